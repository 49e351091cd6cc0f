/* SPDX-License-Identifier: Apache-2.0 */
/* Makes containers: state directory, cgroup, plan, init, hooks. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_internal.h"
#include "container/container_internal.h"
#include "container/plan_build.h"
#include "container/seccomp.h"
#include "container/utc.h"

/* A creation under way. */
struct create {
    struct container *c;
    const struct oci_config *config;
    const struct container_options *o;
    struct plan_builder b;
    struct seccomp_filter filter;
    int cgroups[CGROUP_FDS_MAX];
    unsigned cgroup_count;
    int cgroup_clone, start, null;
};

/* --- parts --- */

static int check(const struct oci_config *config, const struct container_options *o,
                 struct error *err)
{
    if (!container_id_valid(o->id))
        return error_set(err, -EINVAL, "\"%s\" is no container id: letters, digits and _+.- only",
                         o->id);
    if (!config->has_process)
        return error_set(err, -EINVAL, "process is missing in the configuration");
    if (o->console_socket >= 0 && !config->process.terminal)
        return error_set(err, -EINVAL,
                         "a console socket is given, but process.terminal is not set");
    if (config->process.cpu_initial || config->process.cpu_final)
        return error_set(err, -EINVAL, "execCPUAffinity is for exec alone");
    return 0;
}

/* The directory of the state, and those above it. */
static int make_dirs(const char *path, struct error *err)
{
    cleanup_free char *copy = strdup(path);
    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    if (mkdir(copy, 0700) == 0 || errno == EEXIST)
        return 0;
    for (char *p = copy + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                return error_set_errno(err, -errno, "make %s", copy);
            *p = '/';
        }
    if (mkdir(copy, 0700) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "make %s", copy);
    return 0;
}

static int fill(struct create *x, struct error *err)
{
    const struct container_options *o = x->o;
    struct container *c = x->c;
    char owner[16], now[UTC_TEXT_MAX];
    utc_now(now, true);
    snprintf(owner, sizeof owner, "%u", geteuid());
    c->pidfd = c->sync = c->console = -1;
    c->id = strdup(o->id);
    c->dir = str_format("%s/%s", o->state_dir, o->id);
    c->bundle = strdup(o->bundle);
    const char *root = x->config->root_path ? x->config->root_path : "";
    c->rootfs = *root == '/' || !*root ? strdup(root) : str_format("%s/%s", o->bundle, root);
    c->owner = strdup(geteuid() == 0 ? "root" : owner);
    c->created = strdup(now);
    c->version = strdup(x->config->version);
    c->annotation_map = x->config->annotations;
    c->config_text = x->config->text;
    c->config_len = strlen(x->config->text);
    c->at_once = o->at_once;
    c->hooks = x->config->hooks[OCI_HOOK_POSTSTART].n || x->config->hooks[OCI_HOOK_POSTSTOP].n;
    c->reap = o->reap;
    c->warn = o->warn;
    c->opaque = o->opaque;
    for (size_t i = 0; i < x->config->namespace_count; i++)
        c->namespaces |= (uint32_t)x->config->namespaces[i].flag;
    container_set_facts(c);
    if (!c->id || !c->dir || !c->bundle || !c->rootfs || !c->owner || !c->created || !c->version)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int make_dir(struct create *x, struct error *err)
{
    int e = mkdir(x->c->dir, 0700) < 0 ? errno : 0;
    if (e == ENOENT) {
        int r = make_dirs(x->o->state_dir, err);
        if (r < 0)
            return error_wrap(err, r, "state directory");
        e = mkdir(x->c->dir, 0700) < 0 ? errno : 0;
    }
    if (e)
        return e == EEXIST ? error_set(err, -EEXIST,
                                       "container with id \"%s\" exists: container id already "
                                       "in use",
                                       x->c->id)
                           : error_set_errno(err, -e, "make %s", x->c->dir);
    return 0;
}

/* Bound through /proc/self/fd, because the path may be longer than a socket address takes. */
static int listen_for_start(struct create *x, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int dir = open(x->c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", dir);
    if (dir < 0 || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 4) < 0)
        return error_set_errno(err, -errno, "make the socket %s/start", x->c->dir);
    x->start = steal_fd(&fd);
    return 0;
}

static int make_cgroup(struct create *x, struct error *err)
{
    struct cgroup_place place = {.path = x->config->cgroups_path,
                                 .id = x->o->id,
                                 .systemd = x->o->systemd_cgroup,
                                 .rootless = x->o->rootless || geteuid() != 0,
                                 .best_effort = x->o->best_effort,
                                 .warn = x->o->warn,
                                 .opaque = x->o->opaque};
    struct str text = {0};
    int r = cgroup_make(&place, &x->config->resources, &x->c->cgroup, err);
    if (r < 0)
        return r;
    cgroup_save(x->c->cgroup, &text);
    x->c->cgroup_text = str_steal(&text);
    if (!x->c->cgroup_text)
        x->c->cgroup_text = strdup("");
    r = cgroup_join_fds(x->c->cgroup, x->cgroups, &x->cgroup_count, err);
    if (r == 0)
        x->cgroup_clone = cgroup_clone_fd(x->c->cgroup, 0);
    return r;
}

/*
 * After the first process is there, a v2 directory (of a hybrid host) cannot be cloned into: it is
 * joined like the others.
 */
static int make_late_cgroup(struct create *x, struct error *err)
{
    int r = make_cgroup(x, err);
    if (r < 0 || x->cgroup_clone < 0 || x->cgroup_count == CGROUP_FDS_MAX)
        return r;
    int fd = openat(x->cgroup_clone, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, -errno, "open the container's v2 cgroup");
    x->cgroups[x->cgroup_count++] = fd;
    return 0;
}

/* A detached mount of each hierarchy's directory for the container to see, and their names. */
static int open_cgroup_trees(struct create *x, int trees[CGROUP_FDS_MAX], size_t *count,
                             struct str *names, struct error *err)
{
    static const char top[] = "/sys/fs/cgroup/";
    const struct cgroup *cg = x->c->cgroup;
    bool single = cg->count == 1 && cg->dirs[0].version == 2;
    for (unsigned i = 0; i < cg->count; i++) {
        const char *path = cg->dirs[i].path;
        if (!str_starts(path, top))
            continue;
        const char *from;
        int at = cgroup_dir_at(&cg->dirs[i], &from);
        int fd = (int)syscall(SYS_open_tree, at, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        /* Without privilege only a user namespace's owner could: the container sees none then. */
        if (fd < 0 && errno == EPERM && geteuid() != 0)
            return 0;
        if (fd < 0)
            return error_set_errno(err, -errno, "bind %s", path);
        trees[(*count)++] = fd;
        const char *name = path + strlen(top);
        str_add(names, names->len ? "\n" : "");
        str_add_n(names, single ? "." : name, single ? 1 : strcspn(name, "/"));
    }
    return names->failed ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static int send_cgroups(struct create *x, struct error *err)
{
    int trees[CGROUP_FDS_MAX];
    struct str names = {0};
    size_t count = 0;
    int r = x->b.cgroup_mount ? open_cgroup_trees(x, trees, &count, &names, err) : 0;
    bool no_mknod = geteuid() == 0 && !oci_config_namespace(x->config, CLONE_NEWUSER) &&
                    !cgroup_devices_enforced(x->c->cgroup);
    if (r == 0)
        r = init_send_cgroups(x->c->sync, x->cgroups, x->cgroup_count, trees, count,
                              str_text(&names), no_mknod, err);
    for (size_t i = 0; i < count; i++)
        close(trees[i]);
    str_done(&names);
    return r;
}

/* Where the first process is cloned into its cgroup, that must be there before. */
static bool cgroup_first(const struct container_options *o)
{
    struct statfs fs;
    return o->systemd_cgroup ||
           (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC);
}

static int add_seccomp(struct create *x, struct error *err)
{
    if (!x->config->seccomp)
        return 0;
    int r = seccomp_compile(x->config->seccomp, &x->filter, err);
    if (r < 0)
        return error_wrap(err, r, "linux.seccomp");
    const struct seccomp_filter *f = &x->filter;
    x->b.plan.seccomp = plan_add_records(&x->b, f->code, f->count, sizeof *f->code);
    x->b.plan.seccomp_flags = x->c->filter_flags = f->flags;
    x->b.plan.seccomp_notify = x->c->filter_notify = f->notify;
    x->c->filter = f->code;
    x->c->filter_count = f->count;
    return 0;
}

/* --- hooks and the like, while init waits --- */

static bool has_hooks(const struct oci_config *config)
{
    return config->hooks[OCI_HOOK_PRESTART].n || config->hooks[OCI_HOOK_CREATE_RUNTIME].n ||
           config->hooks[OCI_HOOK_CREATE_CONTAINER].n || config->hooks[OCI_HOOK_START_CONTAINER].n;
}

static int on_map(void *opaque, pid_t stage1, struct error *err)
{
    struct create *x = opaque;
    return id_maps_write(stage1, &x->config->uid_mappings, &x->config->gid_mappings, err);
}

static int on_known(void *opaque, pid_t pid, struct error *err)
{
    struct create *x = opaque;
    x->c->pid = pid;
    x->c->start_time = process_start_time(pid, NULL);
    x->c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (x->c->pidfd < 0)
        return error_set_errno(err, -errno, "open the container's first process");
    return container_save(x->c, err);
}

static int plug(struct create *x, pid_t pid, int netns, struct error *err)
{
    if (!x->o->plug)
        return 0;
    if (netns < 0)
        return error_set(err, -EIO, "the container's network namespace could not be opened");
    return x->o->plug(x->o->opaque, pid, netns, err);
}

static int on_namespaces(void *opaque, pid_t pid, int netns, int ret_fds[2], struct error *err)
{
    struct create *x = opaque;
    struct str creating = {0}, created = {0};
    int r = plug(x, pid, netns, err);
    container_state_json(x->c, "creating", &creating);
    container_state_json(x->c, "created", &created);
    const struct oci_hooks *hooks = x->config->hooks;
    r = r < 0 ? r : hooks_run_all(&hooks[OCI_HOOK_PRESTART], str_text(&creating), "prestart", err);
    r = r < 0 ? r
              : hooks_run_all(&hooks[OCI_HOOK_CREATE_RUNTIME], str_text(&creating), "createRuntime",
                              err);
    if (r == 0 && (hooks[OCI_HOOK_CREATE_CONTAINER].n || hooks[OCI_HOOK_START_CONTAINER].n)) {
        ret_fds[0] = text_fd(str_text(&creating));
        ret_fds[1] = text_fd(str_text(&created));
        if (ret_fds[0] < 0 || ret_fds[1] < 0)
            r = error_set_errno(err, -errno, "make the hooks' state");
    }
    str_done(&creating);
    str_done(&created);
    return r;
}

static int on_listener(void *opaque, pid_t pid, int fd, struct error *err)
{
    struct create *x = opaque;
    struct str state = {0};
    x->c->pid = pid;
    container_state_json(x->c, "creating", &state);
    int r = seccomp_send_listener(x->config->seccomp, fd, pid, str_text(&state), err);
    str_done(&state);
    return r;
}

static void on_warn(void *opaque, const char *line)
{
    struct create *x = opaque;
    if (x->o->warn)
        x->o->warn(x->o->opaque, line);
}

/* --- the whole --- */

static int open_null(struct create *x, struct error *err)
{
    for (int i = 0; i < 3; i++) {
        int fd = x->o->stdio[i];
        if (fd < 0 && x->null < 0)
            x->null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0 && x->null < 0)
            return error_set_errno(err, -errno, "open /dev/null");
        x->b.plan.stdio[i] = fd < 0 ? x->null : fd;
    }
    return 0;
}

/*
 * Whether init may go on while the network is plugged in: hooks want to see it, parameters may be
 * those of its devices, and without root init must stay open to us until then.
 */
static bool plugs_beside(const struct create *x)
{
    return x->o->plug && !has_hooks(x->config) && !x->config->sysctl.n && geteuid() == 0;
}

static bool barrier(const struct create *x)
{
    return has_hooks(x->config) || (x->o->plug && !plugs_beside(x));
}

static int make_plan(struct create *x, struct error *err)
{
    const struct container_options *o = x->o;
    const struct oci_namespace *user = oci_config_namespace(x->config, CLONE_NEWUSER);
    const struct oci_namespace *mounts = oci_config_namespace(x->config, CLONE_NEWNS);
    struct plan *plan = &x->b.plan;
    struct plan_context context = {.config = x->config,
                                   .options = o,
                                   .prepare_mounts = user && geteuid() == 0,
                                   .root_target = x->c->dir};
    struct plan_process_options process = {.best_effort = o->best_effort,
                                           .userns = user,
                                           .columns = o->columns,
                                           .rows = o->rows,
                                           .preserve_fds = o->preserve_fds,
                                           .warn = o->warn,
                                           .opaque = o->opaque};
    int r = plan_add_namespaces(&x->b, x->config, err);
    if (r == 0 && !mounts->path)
        r = plan_add_rootfs(&x->b, &context, err);
    r = r < 0 ? r : plan_add_process(&x->b, &x->config->process, &process, err);
    r = r < 0 ? r : add_seccomp(x, err);
    r = r < 0 ? r : open_null(x, err);
    if (r < 0)
        return r;
    plan->flags |= barrier(x) ? PLAN_BARRIER : 0;
    plan->flags |= plugs_beside(x) ? PLAN_TELL_NETNS : 0;
    plan->flags |= user ? PLAN_BIND_DEVICES : 0;
    plan->flags |= geteuid() != 0 ? PLAN_UNPRIVILEGED : 0;
    plan->flags |= o->die_with_parent ? PLAN_DIE_WITH_PARENT : 0;
    plan->flags |= o->reap ? PLAN_REAP : 0;
    plan->flags |= o->at_once ? PLAN_AT_ONCE : 0;
    if (!o->no_new_keyring) {
        cleanup_free char *name = str_format("_ses.%s", o->id);
        plan->flags |= PLAN_KEYRING;
        plan->keyring = plan_add_text(&x->b, name);
    }
    plan->start = x->start;
    plan->flags |= PLAN_LATE_CGROUPS;
    plan->cgroup_clone = x->cgroup_clone;
    return 0;
}

/* Starts init and, while it works, makes the cgroups that it is to join. */
static int start_init(struct create *x, struct init_events *events, struct error *err)
{
    int extra[8], n = 0;
    extra[n++] = x->cgroup_clone;
    extra[n++] = x->start;
    for (int i = 0; i < 3; i++)
        extra[n++] = x->b.plan.stdio[i];
    int r = init_spawn(&x->b, extra, (unsigned)n, events, &x->c->sync, err);
    if (r < 0)
        return r;
    if (x->start >= 0)
        close(steal_fd(&x->start));
    r = x->c->cgroup ? 0 : make_late_cgroup(x, err);
    /* Once it has its cgroups, it may come to the program. */
    if (r == 0 && events->pid > 0 && events->at_once)
        r = events->known(events->opaque, events->pid, err);
    r = r < 0 ? r : send_cgroups(x, err);
    if (r < 0)
        init_abort(x->c->sync, events);
    return r;
}

static int run_init(struct create *x, struct error *err)
{
    struct init_events events = {.map = on_map,
                                 .known = on_known,
                                 .namespaces = on_namespaces,
                                 .listener = on_listener,
                                 .warn = on_warn,
                                 .opaque = x,
                                 .goes_on = plugs_beside(x),
                                 .at_once = x->o->at_once,
                                 .silent = x->o->at_once && !x->filter.notify && !barrier(x) &&
                                           !plugs_beside(x),
                                 .console = -1};
    int r = start_init(x, &events, err);
    if (r < 0)
        return r;
    r = init_converse(x->c->sync, &events, err);
    if (r < 0)
        return r;
    x->c->console = events.console;
    if (x->o->console_socket >= 0) {
        r = console_send(x->o->console_socket, x->c->console, err);
        close(steal_fd(&x->c->console));
    }
    if (r < 0) {
        kill(events.pid, SIGKILL);
        while (waitpid(events.pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return r;
}

static void create_done(struct create *x)
{
    for (unsigned i = 0; i < x->cgroup_count; i++)
        close(x->cgroups[i]);
    const int fds[] = {x->cgroup_clone, x->start, x->null};
    for (size_t i = 0; i < array_size(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    seccomp_filter_done(&x->filter);
    plan_done(&x->b);
}

/* Nothing is left of a container that could not be made. */
static void undo(struct container *c)
{
    if (c->cgroup) {
        cgroup_kill(c->cgroup, SIGKILL, NULL);
        cgroup_remove(c->cgroup, NULL);
    }
    container_remove_dir(c->dir);
}

int container_create(const struct oci_config *config, const struct container_options *o,
                     struct container **ret, struct error *err)
{
    struct create x = {.config = config,
                       .o = o,
                       .c = mem_new(struct container),
                       .cgroup_clone = -1,
                       .start = -1,
                       .null = -1};
    if (!x.c)
        return error_set(err, -ENOMEM, "out of memory");
    plan_begin(&x.b);
    int r = check(config, o, err);
    r = r < 0 ? r : fill(&x, err);
    r = r < 0 ? r : make_dir(&x, err);
    bool made = r == 0;
    if (r == 0 && !o->at_once)
        r = listen_for_start(&x, err);
    if (r == 0 && cgroup_first(o))
        r = make_cgroup(&x, err);
    r = r < 0 ? r : make_plan(&x, err);
    r = r < 0 ? r : run_init(&x, err);
    create_done(&x);
    if (r < 0) {
        if (made)
            undo(x.c);
        container_free(x.c);
        return r;
    }
    cgroup_settled(x.c->cgroup);
    if (!o->at_once)
        cgroup_close_tops(x.c->cgroup);
    /* These were the caller's, and the filter ours; state.json has them all. */
    x.c->annotation_map = (struct oci_map){0};
    x.c->config_text = NULL;
    x.c->filter = NULL;
    *ret = x.c;
    return 0;
}
