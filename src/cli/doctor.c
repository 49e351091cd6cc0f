/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "cli/human.h"
#include "cpu/x86/model.h"
#include "instance/instance.h"
#include "machine/accel.h"
#include "network/private_net.h"

enum { FILE_MAX = 256 << 10, SMALL_MEMORY = 1 << 30, SMALL_DISK = 1 << 30 };

/* The beginning of a file of /proc or /sys, "" when it cannot be read. New. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = mem_alloc(1, FILE_MAX);

    if (file && text)
        text[fread(text, 1, FILE_MAX - 1, file)] = 0;
    if (file)
        fclose(file);
    return text;
}

static enum doctor_result check_host(struct str *out)
{
    struct utsname u;

    uname(&u);
    str_addf(out, "%s %s on %s", u.sysname, u.release, u.machine);
    return DOCTOR_INFO;
}

static enum doctor_result check_processors(struct str *out)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    cleanup_free char *limit = read_text("/sys/fs/cgroup/cpu.max");
    unsigned long long quota, period;

    str_addf(out, "%ld online", online);
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) < online)
        str_addf(out, ", %d usable by this process", CPU_COUNT(&set));
    if (limit && sscanf(limit, "%llu %llu", &quota, &period) == 2 && period)
        str_addf(out, ", limited to %.2f by a control group", (double)quota / (double)period);
    return DOCTOR_INFO;
}

static uint64_t meminfo(const char *text, const char *key)
{
    const char *line = text ? strstr(text, key) : NULL;

    return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

static enum doctor_result check_memory(struct str *out)
{
    cleanup_free char *info = read_text("/proc/meminfo");
    cleanup_free char *limit = read_text("/sys/fs/cgroup/memory.max");
    uint64_t available = meminfo(info, "MemAvailable:"), max = 0;

    human_size(out, available);
    str_add(out, " available of ");
    human_size(out, meminfo(info, "MemTotal:"));
    if (limit && str_parse_u64(strtok(limit, "\n") ? limit : "", &max) == 0) {
        str_add(out, ", limited to ");
        human_size(out, max);
        str_add(out, " by a control group");
    }
    if (available >= SMALL_MEMORY)
        return DOCTOR_OK;
    str_add(out, "; give guests little: --memory 256m");
    return DOCTOR_NO;
}

bool doctor_has_flag(const char *cpuinfo, const char *flag)
{
    size_t n = strlen(flag);

    for (const char *line = cpuinfo; (line = strstr(line, "flags\t")); line++) {
        const char *end = line + strcspn(line, "\n");
        for (const char *p = line; (p = strstr(p, flag)) && p < end; p++) {
            if (p[-1] == ' ' && (p[n] == ' ' || p[n] == '\n' || !p[n]))
                return true;
        }
    }
    return false;
}

enum doctor_result doctor_kvm(int open_errno, bool vmx, struct str *out)
{
    if (open_errno == ENOENT) {
        str_add(out, vmx ? "no /dev/kvm, though vmx or svm is there: load the module kvm"
                         : "no /dev/kvm and no vmx or svm in the processor's flags");
        return DOCTOR_NO;
    }
    if (open_errno == EACCES || open_errno == EPERM) {
        str_add(out, "/dev/kvm may not be opened; join its group (often kvm)");
        return DOCTOR_NO;
    }
    if (open_errno) {
        str_addf(out, "/dev/kvm: %s", strerror(open_errno));
        return DOCTOR_NO;
    }
    if (!vmx) {
        str_add(out, "no vmx or svm behind /dev/kvm: too slow, passed over");
        return DOCTOR_NO;
    }
    str_add(out, "/dev/kvm works");
    return DOCTOR_OK;
}

/* Whether this build has the accelerator @name. */
static const struct accel_ops *built(const char *name)
{
    const struct accel_ops *a;

    for (unsigned i = 0; (a = accel_at(i)); i++) {
        if (strcmp(a->name, name) == 0)
            return a;
    }
    return NULL;
}

static enum doctor_result check_accel(const char *name, struct str *out)
{
    const struct accel_ops *a = built(name);
    struct error err = {0};

    if (!a) {
        str_add(out, "not built yet");
        return DOCTOR_NO;
    }
    if (a->probe && a->probe(&err) < 0) {
        str_add(out, error_text(&err));
        return DOCTOR_NO;
    }
    str_add(out, a->about);
    return DOCTOR_OK;
}

static enum doctor_result check_interp(struct str *out)
{
    enum doctor_result result = check_accel("interp", out);

    return result == DOCTOR_NO ? DOCTOR_FAIL : result;
}

static enum doctor_result check_jit(struct str *out)
{
    return check_accel("jit", out);
}

static enum doctor_result check_kvm(struct str *out)
{
    cleanup_free char *cpuinfo = read_text("/proc/cpuinfo");
    bool vmx = cpuinfo && (doctor_has_flag(cpuinfo, "vmx") || doctor_has_flag(cpuinfo, "svm"));
    cleanup_fd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    enum doctor_result result = doctor_kvm(fd < 0 ? errno : 0, vmx, out);

    if (result == DOCTOR_OK && !built("kvm")) {
        str_add(out, ", but Isola has no kvm accelerator yet");
        return DOCTOR_NO;
    }
    return result;
}

/* The processor models that guests may see, the default first. */
static enum doctor_result check_models(struct str *out)
{
    const struct x86_model *m;

    for (unsigned i = 0; (m = x86_model_at(i)); i++)
        str_addf(out, "%s%s", i ? ", " : "", x86_model_name(m));
    str_add(out, " (--cpu)");
    return DOCTOR_INFO;
}

/* A directory must take a file. */
static enum doctor_result check_directory(const char *path, struct str *out)
{
    char *probe = str_format("%s/.doctor-XXXXXX", path);
    int fd = probe ? mkostemp(probe, O_CLOEXEC) : -1;

    str_add(out, path);
    if (fd < 0) {
        str_addf(out, ": %s; make it writable", strerror(errno));
        free(probe);
        return DOCTOR_FAIL;
    }
    close(fd);
    unlink(probe);
    free(probe);
    return DOCTOR_OK;
}

static enum doctor_result check_data(struct str *out)
{
    struct error err = {0};
    struct instances *home = instances_open(&(struct instances_config){0}, &err);
    enum doctor_result result;
    struct statvfs fs;
    uint64_t space;

    if (!home) {
        str_add(out, error_text(&err));
        return DOCTOR_FAIL;
    }
    result = check_directory(instances_data_dir(home), out);
    if (result == DOCTOR_OK && statvfs(instances_data_dir(home), &fs) == 0) {
        space = (uint64_t)fs.f_bavail * fs.f_frsize;
        str_add(out, ", ");
        human_size(out, space);
        str_add(out, " free");
        if (space < SMALL_DISK) {
            str_add(out, ", which is little");
            result = DOCTOR_NO;
        }
    }
    instances_close(home);
    return result;
}

static enum doctor_result check_runtime(struct str *out)
{
    struct instances *home = instances_open(&(struct instances_config){0}, NULL);
    enum doctor_result result;
    /* A socket's path must fit: the directory, "/", a short id and a suffix. */
    const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - INSTANCE_SHORT_LEN - 8;

    if (!home) {
        str_add(out, "unknown, because instances cannot be opened");
        return DOCTOR_FAIL;
    }
    result = check_directory(instances_runtime_dir(home), out);
    if (result == DOCTOR_OK && strlen(instances_runtime_dir(home)) > room) {
        str_add(out, ": too long for sockets; set XDG_RUNTIME_DIR to a shorter path");
        result = DOCTOR_FAIL;
    }
    instances_close(home);
    return result;
}

/* Tries in a child whether a namespace can be made; 0 or an errno. */
static int try_unshare(int flags)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0)
        _exit(unshare(flags) == 0 ? 0 : errno & 0x7f);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static enum doctor_result check_namespaces(struct str *out)
{
    int user = try_unshare(CLONE_NEWUSER);
    int all = try_unshare((user ? 0 : CLONE_NEWUSER) | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                          CLONE_NEWUTS | CLONE_NEWIPC);

    if (all) {
        str_addf(out, "cannot be made (%s); containers will need them", strerror(all));
        return DOCTOR_NO;
    }
    str_add(out, user ? "can be made as root only" : "can be made without root");
    return DOCTOR_OK;
}

static enum doctor_result check_cgroups(struct str *out)
{
    enum { CGROUP2_MAGIC = 0x63677270 };
    struct statfs fs;

    if (statfs("/sys/fs/cgroup", &fs) < 0) {
        str_add(out, "not mounted at /sys/fs/cgroup; containers will need them for limits");
        return DOCTOR_NO;
    }
    if (fs.f_type == CGROUP2_MAGIC)
        str_add(out, "version 2");
    else if (access("/sys/fs/cgroup/unified", F_OK) == 0)
        str_add(out, "version 1 with version 2 (hybrid)");
    else
        str_add(out, "version 1");
    str_add(out, access("/sys/fs/cgroup", W_OK) == 0 ? ", writable" : ", not writable");
    return DOCTOR_INFO;
}

/* Which limits of containers can be enforced: controllers whose directories can be written. */
static enum doctor_result check_limits(struct str *out)
{
    static const char *const controllers[] = {"cpu",  "cpuset",  "memory",
                                              "pids", "freezer", "devices"};
    cleanup_free char *v2 = read_text("/sys/fs/cgroup/cgroup.controllers");
    struct str missing = {0};
    size_t count = 0;

    for (size_t i = 0; i < array_size(controllers); i++) {
        const char *name = controllers[i];
        cleanup_free char *dir = str_format("/sys/fs/cgroup/%s", name);
        bool later = strcmp(name, "freezer") == 0 || strcmp(name, "devices") == 0;
        bool unified = v2 && *v2 && (later || strstr(v2, name));
        if ((unified && access("/sys/fs/cgroup", W_OK) == 0) || (dir && access(dir, W_OK) == 0))
            str_addf(out, "%s%s", count++ ? " " : "", name);
        else
            str_addf(&missing, " %s", name);
    }
    if (missing.len)
        str_addf(out, "%snot:%s (such limits are refused, or warn with --best-effort)",
                 count ? "; " : "", str_text(&missing));
    str_done(&missing);
    return count == array_size(controllers) ? DOCTOR_OK : DOCTOR_INFO;
}

/* Firewalls that may stop what the kernel forwards for containers. */
static void add_dropper(void *opaque, const char *family, const char *table, const char *chain)
{
    struct str *out = opaque;

    if (out->len < 512)
        str_addf(out, "%s%s %s %s", out->len ? ", " : "", family, table, chain);
}

/* Tried in a process of its own, which moves into new network namespaces; the reason in @why. */
static bool try_private_net(char *why, size_t size)
{
    struct error err = {0};
    int ends[2], status = 1;
    ssize_t n = 0;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    pid = fork();
    if (pid == 0) {
        int r = private_net_probe(&err);
        n = r < 0 ? write(ends[1], error_text(&err), strlen(error_text(&err))) : 0;
        _exit(r < 0 || n < 0);
    }
    close(ends[1]);
    n = pid > 0 ? read(ends[0], why, size - 1) : 0;
    why[max_of(n, (ssize_t)0)] = 0;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What --network nat of containers is made with. */
static enum doctor_result check_nat(struct str *out)
{
    struct str droppers = {0};
    char why[512] = "it needs root";
    enum doctor_result result = DOCTOR_OK;

    if (geteuid() == 0 && try_private_net(why, sizeof why)) {
        str_add(out, "containers get a network by the kernel (veth, nftables)");
        private_net_droppers(add_dropper, &droppers, NULL);
        if (droppers.len) {
            str_addf(out,
                     "; the firewall (%s) drops what it does not know, so that they may reach "
                     "nothing: let it accept iifname \"isola-*\" and oifname \"isola-*\"",
                     str_text(&droppers));
            result = DOCTOR_NO;
        }
        str_done(&droppers);
        return result;
    }
    if (access("/dev/net/tun", R_OK | W_OK) == 0) {
        str_addf(out, "containers get a network by libslirp in user space (the kernel's: %s)", why);
        return DOCTOR_OK;
    }
    str_addf(out,
             "the kernel's: %s; libslirp: /dev/net/tun: %s; containers have --network none "
             "and host",
             why, strerror(errno));
    return DOCTOR_NO;
}

/* Ports below this need root when they are published. */
static enum doctor_result check_ports(struct str *out)
{
    cleanup_free char *text = read_text("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    long first = text && *text ? strtol(text, NULL, 10) : 1024;

    if (geteuid() == 0 || first <= 1)
        str_add(out, "any port can be published");
    else
        str_addf(out, "ports from %ld on can be published", first);
    return DOCTOR_INFO;
}

static bool in_path(const char *program)
{
    const char *p = getenv("PATH");

    while (p && *p) {
        size_t n = strcspn(p, ":");
        char *file = str_format("%.*s/%s", (int)n, p, program);
        bool found = file && access(file, X_OK) == 0;
        free(file);
        if (found)
            return true;
        p += n + (p[n] == ':');
    }
    return false;
}

/* Nothing here is needed to run; these make root file systems and initial RAM disks. */
static enum doctor_result check_tools(struct str *out)
{
    static const char *const tools[] = {"mmdebstrap", "mke2fs", "cpio"};
    bool missing = false;

    for (size_t i = 0; i < array_size(tools); i++) {
        bool there = in_path(tools[i]) ||
                     (strcmp(tools[i], "mke2fs") == 0 && access("/sbin/mke2fs", X_OK) == 0);
        str_addf(out, "%s%s%s", i ? ", " : "", there ? "" : "no ", tools[i]);
        missing = missing || !there;
    }
    str_add(out, " (only to make disk images)");
    return missing ? DOCTOR_NO : DOCTOR_OK;
}

const struct doctor_check doctor_checks[] = {
    {"host", check_host},
    {"processors", check_processors},
    {"memory", check_memory},
    {"accel interp", check_interp},
    {"accel jit", check_jit},
    {"accel kvm", check_kvm},
    {"models", check_models},
    {"data", check_data},
    {"sockets", check_runtime},
    {"ports", check_ports},
    {"namespaces", check_namespaces},
    {"cgroups", check_cgroups},
    {"limits", check_limits},
    {"nat", check_nat},
    {"tools", check_tools},
    {0},
};
