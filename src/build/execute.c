/* SPDX-License-Identifier: Apache-2.0 */
#include "build/execute.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "container/container.h"
#include "container/seccomp.h"
#include "network/private_net.h"

enum { PIDS_MAX = 4096 };

static json_t *texts(const char *const *list)
{
    json_t *a = json_array();

    for (; list && *list; list++)
        json_array_append_new(a, json_string_nocheck(*list));
    return a;
}

static void add_mount(json_t *list, const char *target, const char *type, const char *source,
                      const char *options)
{
    json_t *o = json_array();

    while (*options) {
        size_t n = strcspn(options, ",");
        json_array_append_new(o, json_stringn_nocheck(options, n));
        options += n + (options[n] == ',');
    }
    json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:o}", "destination",
                                          json_string_nocheck(target), "type", type, "source",
                                          json_string_nocheck(source), "options", o));
}

static json_t *mounts(const struct execute *x, bool own_network)
{
    json_t *list = json_array();

    add_mount(list, "/proc", "proc", "proc", "nosuid,noexec,nodev");
    add_mount(list, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    add_mount(list, "/dev/pts", "devpts", "devpts",
              "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620");
    add_mount(list, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k");
    add_mount(list, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    /* With the devices of the network it is in; only its owner may mount that. */
    if (own_network)
        add_mount(list, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
    else
        add_mount(list, "/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro");
    for (size_t i = 0; i < x->mount_count; i++) {
        const struct execute_mount *m = &x->mounts[i];
        char options[64];
        if (m->source) {
            add_mount(list, m->target, "bind", m->source,
                      m->readonly ? "rbind,rprivate,ro" : "rbind,rprivate");
        } else {
            snprintf(options, sizeof(options), "nosuid,nodev,mode=1777");
            if (m->size)
                snprintf(options, sizeof(options), "nosuid,nodev,mode=1777,size=%llu", m->size);
            add_mount(list, m->target, "tmpfs", "tmpfs", options);
        }
    }
    return list;
}

static json_t *capabilities(void)
{
    uint64_t set = seccomp_default_capabilities();
    json_t *names = json_array(), *o;

    for (unsigned i = 0; i < 64; i++)
        if ((set >> i & 1) && oci_capability_name(i))
            json_array_append_new(names, json_string(oci_capability_name(i)));
    o = json_pack("{s:O,s:O,s:O}", "bounding", names, "effective", names, "permitted", names);
    json_decref(names);
    return o;
}

static json_t *process(const struct execute *x)
{
    json_t *groups = json_array();

    for (size_t i = 0; i < x->user->group_count; i++)
        json_array_append_new(groups, json_integer(x->user->groups[i]));
    return json_pack("{s:b, s:o, s:{s:I, s:I, s:o, s:i}, s:o, s:o, s:o}", "terminal", 0, "cwd",
                     json_string_nocheck(x->workdir), "user", "uid", (json_int_t)x->user->uid,
                     "gid", (json_int_t)x->user->gid, "additionalGids", groups, "umask", 022, "env",
                     texts(x->env), "args", texts(x->args), "capabilities", capabilities());
}

static json_t *linux_part(const struct execute *x, bool rootless, enum execute_network network)
{
    static const char *const masked[] = {"/proc/asound",      "/proc/acpi",
                                         "/proc/interrupts",  "/proc/kcore",
                                         "/proc/keys",        "/proc/latency_stats",
                                         "/proc/timer_list",  "/proc/timer_stats",
                                         "/proc/sched_debug", "/proc/scsi",
                                         "/sys/firmware",     "/sys/devices/virtual/powercap",
                                         "/sys/fs/cgroup",    NULL};
    static const char *const readonly[] = {
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};
    static const char *const kinds[] = {"mount", "pid", "ipc", "uts", "cgroup"};
    json_t *spaces = json_array(), *resources = json_object();

    for (size_t i = 0; i < array_size(kinds); i++)
        json_array_append_new(spaces, json_pack("{s:s}", "type", kinds[i]));
    if (network != EXECUTE_NET_HOST)
        json_array_append_new(spaces, json_pack("{s:s}", "type", "network"));
    if (!rootless)
        json_object_set_new(resources, "pids", json_pack("{s:i}", "limit", PIDS_MAX));
    return json_pack("{s:o, s:o, s:o, s:o}", "namespaces", spaces, "resources", resources,
                     "maskedPaths", texts(masked), "readonlyPaths", texts(readonly));
}

/* The configuration's text, the large filter put in as it is. */
static int make_config(const struct execute *x, bool rootless, enum execute_network network,
                       struct str *out, struct error *err)
{
    struct str filter = {0};
    json_t *o =
        json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.2.0", "process",
                  process(x), "root", "path", x->rootfs->upper, "readonly", 0, "hostname", "build",
                  "mounts", mounts(x, !rootless && network != EXECUTE_NET_HOST), "linux",
                  linux_part(x, rootless, network));
    cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (!text)
        return error_set(err, -EINVAL, "a word or variable is not UTF-8 text");
    seccomp_default_json(seccomp_default_capabilities(), &filter);
    str_add_n(out, text, strlen(text) - 2); /* "linux" is the last: two braces */
    str_addf(out, ",\"seccomp\":%s}}", str_text(&filter));
    str_done(&filter);
    return out->failed ? error_set_errno(err, -ENOMEM, "run") : 0;
}

/* --- what the container mounts on --- */

/* Whether each target was in the root file system before. */
static void note_targets(const struct execute *x, bool *there)
{
    struct error e = {0};

    for (size_t i = 0; i < x->mount_count; i++)
        there[i] = true;
    if (rootfs_mount(x->rootfs, &e) < 0)
        return;
    for (size_t i = 0; i < x->mount_count; i++) {
        int fd = root_open(x->rootfs->fd, x->mounts[i].target + 1, O_PATH | O_NOFOLLOW);
        there[i] = fd >= 0;
        if (fd >= 0)
            close(fd);
    }
    rootfs_unmount(x->rootfs);
}

/* Removes the empty files that were made to mount on. */
static void remove_targets(const struct execute *x, const bool *there)
{
    cleanup_fd int upper = open(x->rootfs->upper, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < x->mount_count; i++) {
        const char *path = x->mounts[i].target + 1, *slash = strrchr(path, '/');
        struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
        cleanup_free char *above = strndup(path, slash ? (size_t)(slash - path) : 0);
        cleanup_fd int dir = -1;
        struct stat st;

        if (there[i] || !x->mounts[i].file || !above)
            continue;
        dir = (int)syscall(SYS_openat2, upper, *above ? above : ".", &how, sizeof(how));
        path = slash ? slash + 1 : path;
        if (dir >= 0 && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            !st.st_size)
            unlinkat(dir, path, 0);
    }
}

/* --- running --- */

/* Waits for the first process. A build that is interrupted dies, and its container with it. */
static int wait_end(struct container *c, int *ret_status, struct error *err)
{
    siginfo_t info = {0};
    int fd = container_pidfd(c);

    while (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for the program");
    *ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return 0;
}

/* The network of one run. */
struct plugging {
    enum execute_network how;
    struct private_net *net;
    bool unsupported;
};

/* While the container waits: its network comes to be. */
static int plug(void *opaque, pid_t pid, int netns_fd, struct error *err)
{
    struct plugging *p = opaque;
    char id[24];
    const struct private_net_options o = {.id = id, .netns = netns_fd};
    int r;

    if (p->how != EXECUTE_NET_PRIVATE)
        return 0;
    /* A step has no id of its own; stages at the same time are processes of their own. */
    snprintf(id, sizeof(id), "b%011x", (unsigned)getpid());
    r = private_net_open(&o, &p->net, err);
    p->unsupported = r == -ENOTSUP;
    return r;
}

/* The engine hands its opaque to both. */
struct both {
    const struct execute *x;
    struct plugging plugging;
};

static void warn(void *opaque, const char *line)
{
    const struct execute *x = ((struct both *)opaque)->x;

    x->warn(x->opaque, line);
}

static int plug_it(void *opaque, pid_t pid, int netns_fd, struct error *err)
{
    return plug(&((struct both *)opaque)->plugging, pid, netns_fd, err);
}

static int run_container(struct both *b, const struct oci_config *config, bool rootless,
                         int *ret_status, struct error *err)
{
    const struct execute *x = b->x;
    struct container_overlay overlay = {.lower = x->rootfs->lower,
                                        .lower_count = x->rootfs->lower_count,
                                        .upper = x->rootfs->upper,
                                        .work = x->rootfs->work};
    char id[64];
    struct container_options o = {
        .id = id,
        .state_dir = x->state_dir,
        .bundle = x->state_dir,
        .overlay = &overlay,
        .stdio = {-1, x->output, x->output},
        .console_socket = -1,
        .best_effort = true,
        .rootless = rootless,
        .die_with_parent = true,
        .warn = warn,
        .opaque = b,
        .plug = b->plugging.how == EXECUTE_NET_PRIVATE ? plug_it : NULL,
    };
    struct container *c = NULL;
    struct error ignored = {0};
    int r;

    snprintf(id, sizeof(id), "build-%d", (int)getpid());
    r = container_create(config, &o, &c, err);
    if (r < 0) {
        private_net_close(b->plugging.net);
        return r;
    }
    for (size_t i = 0; i < x->mount_count; i++)
        if (x->mounts[i].secret)
            unlink(x->mounts[i].source);
    r = container_start(c, err);
    if (r == 0)
        r = wait_end(c, ret_status, err);
    if (container_delete(c, true, r == 0 ? err : &ignored) < 0 && r == 0)
        r = -EIO;
    container_free(c);
    private_net_close(b->plugging.net);
    return r;
}

/* Whether this process is root of a user namespace only. */
static bool in_user_namespace(void)
{
    unsigned inside = 0, outside = 0, count = 0;
    FILE *f = fopen("/proc/self/uid_map", "re");
    int n = f ? fscanf(f, "%u %u %u", &inside, &outside, &count) : 0;

    if (f)
        fclose(f);
    return n == 3 && (inside || outside || count != UINT32_MAX);
}

static int run_with(const struct execute *x, bool rootless, enum execute_network network,
                    bool *ret_unsupported, int *ret_status, struct error *err)
{
    struct both b = {.x = x, .plugging = {.how = network}};
    struct oci_config *config = NULL;
    struct str text = {0};
    int r = make_config(x, rootless, network, &text, err);

    if (r == 0)
        r = oci_config_parse(str_text(&text), text.len, &config, err);
    if (r == 0)
        r = run_container(&b, config, rootless, ret_status, err);
    *ret_unsupported = b.plugging.unsupported;
    oci_config_free(config);
    str_done(&text);
    return r;
}

int execute_run(const struct execute *x, int *ret_status, struct error *err)
{
    bool rootless = geteuid() != 0 || in_user_namespace(), unsupported = false;
    cleanup_free bool *there = mem_alloc(x->mount_count + 1, sizeof(*there));
    enum execute_network network = x->network;
    int r;

    if (!there)
        return error_set_errno(err, -ENOMEM, "run a program");
    if (network == EXECUTE_NET_PRIVATE && rootless)
        network = EXECUTE_NET_HOST;
    note_targets(x, there);
    r = run_with(x, rootless, network, &unsupported, ret_status, err);
    if (r < 0 && unsupported) {
        cleanup_free char *line =
            str_format("RUN has the host's network, not a private one: %s", error_text(err));
        x->warn(x->opaque, line ? line : "RUN has the host's network");
        *err = (struct error){0};
        r = run_with(x, rootless, EXECUTE_NET_HOST, &unsupported, ret_status, err);
    }
    remove_targets(x, there);
    return r;
}
