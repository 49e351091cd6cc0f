/* SPDX-License-Identifier: Apache-2.0 */
/* Another process in a container: everything is opened before its namespaces are joined. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"
#include "container/plan_build.h"
#include "container/seccomp.h"

static int add_seccomp(struct plan_builder *b, struct container *c, struct error *err)
{
    int r = container_read_file(c, err);
    if (r < 0 || !c->filter_count)
        return r;
    b->plan.seccomp = plan_add_records(b, c->filter, c->filter_count, sizeof(struct sock_filter));
    b->plan.seccomp_flags = c->filter_flags;
    b->plan.seccomp_notify = c->filter_notify;
    return 0;
}

/* The namespaces that the first process has and this one has not: one setns joins them all. */
static int add_namespaces(struct plan_builder *b, struct container *c, int pidfd, struct error *err)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } kinds[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS},       {"pid", CLONE_NEWPID},
                 {"net", CLONE_NEWNET},   {"ipc", CLONE_NEWIPC},      {"uts", CLONE_NEWUTS},
                 {"time", 0x80},          {"cgroup", CLONE_NEWCGROUP}};
    struct plan_join join = {.fd = pidfd};
    for (size_t i = 0; i < array_size(kinds); i++) {
        char path[48];
        struct stat theirs, ours;
        if (!(c->namespaces & kinds[i].flag))
            continue;
        snprintf(path, sizeof path, "/proc/%d/ns/%s", c->pid, kinds[i].name);
        if (stat(path, &theirs) < 0)
            return error_set_errno(err, -errno, "look at the container's %s namespace",
                                   kinds[i].name);
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
        if (stat(path, &ours) == 0 && ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
            continue;
        join.flags |= kinds[i].flag;
    }
    if (join.flags & CLONE_NEWUSER)
        b->plan.flags |= PLAN_USERNS;
    if (join.flags)
        b->plan.joins = plan_add_records(b, &join, 1, sizeof join);
    return 0;
}

struct exec {
    struct container *c;
    const struct container_exec *x;
    struct plan_builder b;
    int cgroups[CGROUP_FDS_MAX];
    unsigned cgroup_count;
    int cgroup_clone, null, pidfd;
};

static int join_cgroup(struct exec *e, struct error *err)
{
    struct cgroup *cg = e->c->cgroup;
    if (!cg)
        return 0;
    if (e->x->cgroup && *e->x->cgroup)
        return error_set(err, -ENOTSUP, "exec into a sub-cgroup is not supported");
    int r = cgroup_join_fds(cg, e->cgroups, &e->cgroup_count, err);
    e->cgroup_clone = r < 0 ? -1 : cgroup_clone_fd(cg, e->c->pid);
    return r;
}

static int on_listener(void *opaque, pid_t pid, int fd, struct error *err)
{
    struct exec *e = opaque;
    const struct oci_config *config;
    int r = container_config(e->c, &config, err);
    if (r < 0)
        return r;
    if (!config->seccomp)
        return error_set(err, -EPROTO, "the container has no seccomp profile");
    struct str state = {0};
    container_state_json(e->c, "running", &state);
    r = seccomp_send_listener(config->seccomp, fd, pid, str_text(&state), err);
    str_done(&state);
    return r;
}

static void on_warn(void *opaque, const char *line)
{
    struct exec *e = opaque;
    if (e->x->warn)
        e->x->warn(e->x->opaque, line);
}

static int make_plan(struct exec *e, struct error *err)
{
    const struct container_exec *x = e->x;
    struct plan *plan = &e->b.plan;
    struct plan_process_options options = {.best_effort = x->best_effort,
                                           .columns = x->columns,
                                           .rows = x->rows,
                                           .preserve_fds = x->preserve_fds,
                                           .warn = x->warn,
                                           .opaque = x->opaque};
    int r = add_namespaces(&e->b, e->c, e->pidfd, err);
    r = r < 0 ? r : plan_add_process(&e->b, x->process, &options, err);
    r = r < 0 ? r : plan_add_affinity(&e->b, x->process, err);
    r = r < 0 ? r : add_seccomp(&e->b, e->c, err);
    r = r < 0 ? r : join_cgroup(e, err);
    if (r < 0)
        return r;
    plan->flags |= PLAN_EXEC | (x->die_with_parent ? PLAN_DIE_WITH_PARENT : 0);
    if (!x->no_new_keyring) {
        /* The session keyring of the first process has this name. */
        cleanup_free char *name = str_format("_ses.%s", e->c->id);
        plan->flags |= PLAN_KEYRING;
        plan->keyring = plan_add_text(&e->b, name);
    }
    for (int i = 0; i < 3; i++) {
        if (x->stdio[i] < 0 && e->null < 0)
            e->null = open("/dev/null", O_RDWR | O_CLOEXEC);
        plan->stdio[i] = x->stdio[i] < 0 ? e->null : x->stdio[i];
    }
    plan->cgroup_clone = e->cgroup_clone;
    plan->cgroup_count = e->cgroup_count;
    memcpy(plan->cgroups, e->cgroups, sizeof plan->cgroups);
    return 0;
}

static int run_init(struct exec *e, pid_t *ret_pid, int *ret_pidfd, int *ret_console,
                    struct error *err)
{
    int extra[CGROUP_FDS_MAX + 5], n = 0, sync;
    struct init_events events = {.listener = on_listener, .warn = on_warn, .opaque = e};
    for (unsigned i = 0; i < e->cgroup_count; i++)
        extra[n++] = e->cgroups[i];
    extra[n++] = e->cgroup_clone;
    extra[n++] = e->pidfd;
    for (int i = 0; i < 3; i++)
        extra[n++] = e->b.plan.stdio[i];
    int r = init_spawn(&e->b, extra, (unsigned)n, &events, &sync, err);
    if (r < 0)
        return r;
    r = init_converse(sync, &events, err);
    if (r < 0) {
        close(sync);
        return r;
    }
    cleanup_fd int console = events.console;
    cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, events.pid, 0);
    if (console >= 0 && e->x->console_socket >= 0)
        r = console_send(e->x->console_socket, console, err);
    if (r == 0)
        r = init_start(sync, INIT_WAITS, err);
    else
        close(sync);
    if (r < 0) {
        kill(events.pid, SIGKILL);
        while (waitpid(events.pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return r;
    }
    *ret_pid = events.pid;
    if (ret_pidfd)
        *ret_pidfd = steal_fd(&pidfd);
    if (ret_console)
        *ret_console = e->x->console_socket >= 0 ? -1 : steal_fd(&console);
    return 0;
}

int container_exec(struct container *c, const struct container_exec *x, pid_t *ret_pid,
                   int *ret_pidfd, int *ret_console, struct error *err)
{
    struct exec e = {.c = c, .x = x, .cgroup_clone = -1, .null = -1, .pidfd = container_pidfd(c)};
    enum container_status status = container_status(c);
    if (status != CONTAINER_RUNNING && status != CONTAINER_CREATED)
        return error_set(err, -EINVAL, "cannot exec in a container that is %s",
                         container_status_name(status));
    if (e.pidfd < 0)
        return error_set(err, -ESRCH, "container not running");
    if (x->console_socket >= 0 && !x->process->terminal)
        return error_set(err, -EINVAL, "a console socket is given, but terminal is not set");
    plan_begin(&e.b);
    int r = make_plan(&e, err);
    r = r < 0 ? r : run_init(&e, ret_pid, ret_pidfd, ret_console, err);
    for (unsigned i = 0; i < e.cgroup_count; i++)
        close(e.cgroups[i]);
    if (e.cgroup_clone >= 0)
        close(e.cgroup_clone);
    if (e.null >= 0)
        close(e.null);
    plan_done(&e.b);
    return r;
}
