/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a machine out of a kernel: modules, root file system, mounts, network, names.
 *
 * The first drive is the image, read-only. The second one is the instance's own; an overlay of both
 * is the root. Without a second drive what is written goes to memory.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "guest/agent.h"

#define MODULES  "/lib/modules"
#define NEW_ROOT "/newroot"
/* The driver tells of its port after the module's init has returned. */
enum { PORT_WAIT_MS = 30000 };

static int mount_at(const char *source, const char *target, const char *type, unsigned long flags,
                    const char *data, struct error *err)
{
    if (mkdir(target, 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "make directory %s", target);
    if (mount(source, target, type, flags, data) < 0)
        return error_set_errno(err, -errno, "mount %s on %s", type ? type : source, target);
    return 0;
}

/* ---- modules ---- */

static int load_module(const char *name, struct error *err)
{
    char path[256];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof path, MODULES "/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
        return error_set_errno(err, -errno, "load module %s", name);
    unlink(path); /* its memory is the guest's */
    return 0;
}

static int load_modules(struct error *err)
{
    FILE *list = fopen(MODULES "/list", "re");
    char name[128];
    int r = list ? 0 : error_set_errno(err, -errno, "open " MODULES "/list");

    while (r == 0 && fgets(name, sizeof name, list)) {
        name[strcspn(name, "\n")] = 0;
        r = load_module(name, err);
    }
    if (list)
        fclose(list);
    return r;
}

int setup_early(struct error *err)
{
    int r = mount_at("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=755", err);

    if (r == 0)
        r = mount_at("proc", "/proc", "proc", 0, NULL, err);
    return r < 0 ? r : load_modules(err);
}

/* The second port of the only console, /dev/vport3p1 for one: a descriptor, or a negative errno. */
static int find_port(void)
{
    DIR *dev = opendir("/dev");
    struct dirent *e;
    int fd = -ENOENT;
    unsigned device;
    char last;

    while (dev && fd == -ENOENT && (e = readdir(dev))) {
        if (sscanf(e->d_name, "vport%up1%c", &device, &last) != 1)
            continue;
        fd = openat(dirfd(dev), e->d_name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        fd = fd < 0 ? -errno : fd;
    }
    if (dev)
        closedir(dev);
    return fd;
}

int setup_port(struct error *err)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int fd;

    for (int ms = 0; (fd = find_port()) == -ENOENT && ms < PORT_WAIT_MS; ms++)
        nanosleep(&pause, NULL);
    return fd < 0 ? error_set_errno(err, fd, "open the port to the host in /dev") : fd;
}

/* ---- network ---- */

static struct sockaddr_in internet(in_addr_t address)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {address}};
}

static int set_link(int fd, const char *name, const struct settings *s, struct error *err)
{
    const char *address = settings_get(s, "address"), *gateway = settings_get(s, "gateway");
    unsigned long prefix = settings_number(s, "prefix");
    struct sockaddr_in a;
    struct ifreq r = {0};
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};

    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    a = internet(inet_addr(address));
    memcpy(&r.ifr_addr, &a, sizeof a);
    if (ioctl(fd, SIOCSIFADDR, &r) < 0)
        return error_set_errno(err, -errno, "give %s the address %s", name, address);
    a = internet(htonl(prefix ? ~0u << (32 - min_of(prefix, 32ul)) : 0));
    memcpy(&r.ifr_netmask, &a, sizeof a);
    if (ioctl(fd, SIOCSIFNETMASK, &r) < 0)
        return error_set_errno(err, -errno, "set the network mask of %s", name);
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        return error_set_errno(err, -errno, "bring up %s", name);
    if (!gateway)
        return 0;
    a = internet(inet_addr(gateway));
    memcpy(&route.rt_gateway, &a, sizeof a);
    a = internet(0);
    memcpy(&route.rt_dst, &a, sizeof a);
    memcpy(&route.rt_genmask, &a, sizeof a);
    if (ioctl(fd, SIOCADDRT, &route) < 0)
        return error_set_errno(err, -errno, "set the gateway %s", gateway);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd >= 0)
        (void)!write(fd, text, strlen(text));
}

static int set_network(const struct settings *s, struct error *err)
{
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
        return error_set_errno(err, -errno, "bring up lo");
    /* As in a container: its user may listen on any port, and ping. */
    write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    write_file("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
    return settings_get(s, "address") ? set_link(fd, "eth0", s, err) : 0;
}

/* ---- root file system ---- */

static int mount_root(const struct agent *a, const struct settings *s, struct error *err)
{
    const char *upper = settings_get(s, "upper");
    int r = mount_at("/dev/vda", "/lower", "ext4", MS_RDONLY, "noload", err);

    if (r < 0)
        return error_wrap(err, r, "the image");
    if (upper)
        r = mount_at(upper, "/upper", "ext4", 0, "noinit_itable", err);
    else
        r = mount_at("tmpfs", "/upper", "tmpfs", 0, "mode=755", err);
    if (r < 0)
        return error_wrap(err, r, "the instance's drive");
    mkdir("/upper/data", 0755);
    mkdir("/upper/work", 0755);
    return mount_at("overlay", NEW_ROOT, "overlay", 0,
                    a->scratch
                        ? "lowerdir=/lower/root,upperdir=/upper/data,workdir=/upper/work,volatile"
                        : "lowerdir=/lower/root,upperdir=/upper/data,workdir=/upper/work",
                    err);
}

/* Files of the host's making, which are not part of the root file system. */
static const struct own_file {
    const char *setting, *source, *target;
} own_files[] = {
    {"hosts", "/hosts", "/etc/hosts"},
    {"resolv", "/resolv.conf", "/etc/resolv.conf"},
    {"hostname", "/hostname", "/etc/hostname"},
};

/* A mount of each file, which does not depend on where the root is. */
static void pick_files(const struct settings *s, int mounts[array_size(own_files)])
{
    for (size_t i = 0; i < array_size(own_files); i++) {
        const char *text = settings_get(s, own_files[i].setting);
        mounts[i] = -1;
        if (!text)
            continue;
        write_file(own_files[i].source, text);
        mounts[i] = open_tree(AT_FDCWD, own_files[i].source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    }
}

/* Where the image has no /etc, it has no use for them either. */
static void place_files(int mounts[array_size(own_files)])
{
    for (size_t i = 0; i < array_size(own_files); i++) {
        if (mounts[i] < 0)
            continue;
        close(open(own_files[i].target, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
        move_mount(mounts[i], "", AT_FDCWD, own_files[i].target, MOVE_MOUNT_F_EMPTY_PATH);
        close(mounts[i]);
    }
}

static int switch_root(struct error *err)
{
    if (mkdir(NEW_ROOT "/dev", 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "make directory /dev");
    if (mount("/dev", NEW_ROOT "/dev", NULL, MS_MOVE, NULL) < 0 || chdir(NEW_ROOT) < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return error_set_errno(err, -errno, "enter the root file system");
    return 0;
}

static void link_streams(void)
{
    (void)!symlink("/proc/self/fd", "/dev/fd");
    (void)!symlink("/proc/self/fd/0", "/dev/stdin");
    (void)!symlink("/proc/self/fd/1", "/dev/stdout");
    (void)!symlink("/proc/self/fd/2", "/dev/stderr");
}

/* A mount of --tmpfs: TARGET:OPTIONS, of which some are flags. */
static int mount_tmpfs(char *text, struct error *err)
{
    static const struct {
        const char *name;
        unsigned long flag;
        bool set;
    } names[] = {{"exec", MS_NOEXEC, false}, {"noexec", MS_NOEXEC, true},
                 {"suid", MS_NOSUID, false}, {"nosuid", MS_NOSUID, true},
                 {"dev", MS_NODEV, false},   {"nodev", MS_NODEV, true},
                 {"ro", MS_RDONLY, true},    {"rw", MS_RDONLY, false}};
    unsigned long flags = MS_NOEXEC | MS_NOSUID | MS_NODEV;
    char data[512] = "", *save = NULL, *options = strchr(text, ':');

    if (options)
        *options++ = 0;
    for (char *o = options ? strtok_r(options, ",", &save) : NULL; o;
         o = strtok_r(NULL, ",", &save)) {
        size_t i = 0, used = strlen(data);
        while (i < array_size(names) && strcmp(o, names[i].name) != 0)
            i++;
        if (i < array_size(names))
            flags = names[i].set ? flags | names[i].flag : flags & ~names[i].flag;
        else
            snprintf(data + used, sizeof data - used, "%s%s", used ? "," : "", o);
    }
    return mount_at("tmpfs", text, "tmpfs", flags, data, err);
}

static int mount_rest(const struct settings *s, struct error *err)
{
    const char *at = NULL, *value, *shm = settings_get(s, "shm");
    char data[64];
    int r = mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err);

    if (r == 0)
        r = mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                     "gid=5,mode=620,ptmxmode=666", err);
    snprintf(data, sizeof data, "mode=1777,size=%.30s", shm ? shm : "64m");
    if (r == 0)
        r = mount_at("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data, err);
    if (r == 0)
        r = mount_at("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
                     err);
    if (r == 0)
        r = mount_at("cgroup", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL,
                     err);
    while (r == 0 && (value = settings_next(s, "tmpfs", &at))) {
        cleanup_free char *text = strdup(value);
        r = text ? mount_tmpfs(text, err) : error_set(err, -ENOMEM, "out of memory");
    }
    return r;
}

/* The first process's directory, as Docker makes it. What fails shows when it is entered. */
static void make_dirs(const char *path)
{
    char part[4096];
    size_t n = strlen(path);

    for (size_t i = 1; i <= n && n < sizeof part; i++)
        if (path[i] == '/' || !path[i]) {
            memcpy(part, path, i);
            part[i] = 0;
            mkdir(part, 0755);
        }
}

int setup_machine(struct agent *a, const struct settings *s, struct error *err)
{
    const char *name = settings_get(s, "name"), *domain = settings_get(s, "domainname");
    int mounts[array_size(own_files)];
    int r = set_network(s, err);

    if (r == 0 && name && sethostname(name, strlen(name)) < 0)
        r = error_set_errno(err, -errno, "set the name %s", name);
    if (r == 0 && domain && setdomainname(domain, strlen(domain)) < 0)
        r = error_set_errno(err, -errno, "set the domain name %s", domain);
    if (r == 0)
        r = mount_root(a, s, err);
    if (r < 0)
        return r;
    pick_files(s, mounts);
    r = switch_root(err);
    if (r < 0)
        return r;
    place_files(mounts);
    link_streams();
    mkdir("/proc", 0555); /* mounted by the first process, in its namespace */
    r = mount_rest(s, err);
    if (settings_get(s, "workdir"))
        make_dirs(settings_get(s, "workdir"));
    if (r == 0 && settings_number(s, "readonly") &&
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
        r = error_set_errno(err, -errno, "make the root file system read-only");
    return r;
}

void setup_sync(void)
{
    sync();
}
