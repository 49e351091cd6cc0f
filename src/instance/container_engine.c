/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall "container": makes a configuration from spec and image and runs it (container/).
 *
 * A container lives and dies with its supervisor: its first process gets SIGKILL when the
 * supervisor ends in whatever way. What a supervisor that was killed leaves behind (cgroups, the
 * state directory) is collected by the next command that looks.
 *
 *   DIR/upper, DIR/work   what the container wrote, and overlayfs's scratch directory
 *   RUN/names/ID          its hosts, hostname and resolv.conf, and network.json (container_net.h)
 *   RUN/containers/ID     state of the container (container.h)
 */
#include "instance/container_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup.h"
#include "container/container.h"
#include "image/store.h"
#include "instance/confine.h"
#include "instance/container_config.h"
#include "instance/container_config_internal.h"
#include "instance/container_exec.h"
#include "instance/container_files.h"
#include "instance/container_health.h"
#include "instance/container_io.h"
#include "instance/container_net.h"
#include "instance/container_root.h"
#include "instance/container_sandbox.h"
#include "instance/container_sources.h"
#include "instance/engine.h"

/* Once the first process has ended, its output ends soon: its orphans are gone with it. */
#define DRAIN_NS (2ull * 1000000000)

struct box {
    struct engine engine;
    struct engine_env env;
    struct container_parts parts;
    struct container *container;
    struct container_io *io;
    struct container_net *net;
    struct container_health *health;
    struct loop_fd *exit_watch;
    struct loop_timer *drain;
    int exit_pidfd;
    int mounts; /* its mount namespace, see container_engine_hold */
    bool ended, drained, reported, stopping;
    int exit_code;
};

static struct box *box_of(struct engine *e)
{
    return container_of(e, struct box, engine);
}

char *container_state_dir(const char *runtime_dir)
{
    return str_format("%s/containers", runtime_dir);
}

static void warn(void *opaque, const char *line)
{
    struct box *b = opaque;
    cleanup_free char *text = str_format("isola: %s\n", line);

    log_warn("container", "%s", line);
    if (text && b->env.errors)
        b->env.errors->ops->write(b->env.errors, (const uint8_t *)text, strlen(text));
}

/* Whether the kernel ended processes of it for want of memory. */
static bool ran_out_of_memory(struct box *b)
{
    struct cgroup_stats st = {0};
    bool out = container_stats(b->container, &st, NULL) == 0 && st.memory.oom_kills > 0;

    cgroup_stats_done(&st);
    return out;
}

static void report(struct box *b)
{
    const char *reason = NULL;

    if (b->reported || !b->ended || !b->drained)
        return;
    if (b->exit_code == INSTANCE_EXIT_KILLED && ran_out_of_memory(b))
        reason = "out of memory: it reached its limit";
    b->reported = true;
    b->env.ended(b->env.opaque, b->exit_code, reason);
}

static void on_drained(void *opaque)
{
    struct box *b = opaque;

    b->drained = true;
    report(b);
}

/* What is still to come after DRAIN_NS is left behind. */
static void drain_late(void *opaque)
{
    on_drained(opaque);
}

/*
 * How an init that was process 1 ended, as reboot_pid_ns(2) tells its parent: SIGHUP for a reboot,
 * SIGINT for halt and power off.
 */
static int exit_code_of_system(const struct box *b, int signal)
{
    if (signal == SIGINT)
        return 0;
    if (signal == SIGHUP)
        return b->stopping ? 0 : ENGINE_REBOOT;
    return 128 + signal;
}

static void on_exit_of_first(void *opaque, int fd, unsigned events)
{
    struct box *b = opaque;
    siginfo_t info = {0};

    loop_remove_fd(b->exit_watch);
    b->exit_watch = NULL;
    container_health_stop(steal_ptr(&b->health));
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0)
        b->exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    else
        b->exit_code = INSTANCE_EXIT_KILLED;
    if (info.si_code != CLD_EXITED && container_boots(b->env.spec, b->parts.plan.image))
        b->exit_code = exit_code_of_system(b, info.si_status);
    b->ended = true;
    if (container_io_flush(b->io))
        b->drained = true;
    else
        loop_timer_set(b->drain, loop_now_ns() + DRAIN_NS);
    report(b);
}

static void container_engine_destroy(struct engine *e)
{
    struct error err = {0};
    struct box *b;

    if (!e)
        return;
    b = box_of(e);
    loop_remove_fd(b->exit_watch);
    if (b->drain)
        loop_timer_free(b->drain);
    container_health_stop(b->health);
    if (b->container) {
        if (container_delete(b->container, true, &err) < 0)
            log_warn("container", "%s", error_text(&err));
        if (b->exit_pidfd >= 0 && !b->ended)
            waitid(P_PIDFD, (id_t)b->exit_pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
        container_free(b->container);
    }
    container_net_stop(b->net);
    container_io_free(b->io);
    container_parts_done(&b->parts);
    if (b->exit_pidfd >= 0)
        close(b->exit_pidfd);
    if (b->mounts >= 0)
        close(b->mounts);
    free(b);
}

/* Numbers that JSON cannot hold: -1 means no limit. */
static void unlimited_rlimits(struct oci_config *c)
{
    for (size_t i = 0; i < c->process.rlimit_count; i++) {
        struct oci_rlimit *l = &c->process.rlimits[i];
        l->soft = l->soft == INT64_MAX ? RLIM_INFINITY : l->soft;
        l->hard = l->hard == INT64_MAX ? RLIM_INFINITY : l->hard;
    }
}

/* While the container waits: its network comes to be. */
static int plug(void *opaque, pid_t pid, int netns_fd, struct error *err)
{
    struct box *b = opaque;
    const struct container_plan *p = &b->parts.plan;
    struct container_net_view view;
    int r;

    r = container_net_start(b->env.spec, b->env.id, b->parts.names, netns_fd, p->user_namespace,
                            &b->net, &view, err);
    if (r < 0)
        return r;
    container_net_warn(b->net, warn, b);
    return container_parts_names(&b->parts, &view, warn, b, err);
}

/* A command that cannot be executed has exit codes of its own, as with shells. */
static void judge_start(struct box *b, int r, const struct error *err)
{
    if (!str_starts(err->text, "exec: "))
        return;
    *b->env.start_code =
        r == -ENOENT || r == -ENOTDIR ? INSTANCE_EXIT_NOT_FOUND : INSTANCE_EXIT_NOT_EXECUTABLE;
}

static int make_container(struct box *b, struct error *err)
{
    const struct spec *spec = b->env.spec;
    cleanup_free char *state_dir = container_state_dir(b->env.runtime_dir);
    struct container_options o = {.id = b->env.id,
                                  .state_dir = state_dir,
                                  .bundle = b->env.dir,
                                  .overlay = b->parts.has_overlay ? &b->parts.overlay : NULL,
                                  .stdio = {-1, -1, -1},
                                  .console_socket = -1,
                                  .best_effort = spec->container.best_effort,
                                  .rootless = b->parts.plan.rootless,
                                  .die_with_parent = true,
                                  .reap = spec->container.init,
                                  .warn = warn,
                                  .opaque = b,
                                  .plug = spec->net == SPEC_NET_NAT ? plug : NULL};
    struct oci_config *config = NULL;
    struct str text = {0};
    int r = state_dir ? container_config_make(&b->parts.plan, &text, err)
                      : error_set(err, -ENOMEM, "out of memory");

    if (r == 0)
        r = oci_config_parse(str_text(&text), text.len, &config, err);
    str_done(&text);
    if (r < 0)
        return r;
    unlimited_rlimits(config);
    b->env.size(b->env.opaque, &o.columns, &o.rows);
    b->io = container_io_new(b->env.loop, b->env.console, b->env.errors, config->process.terminal,
                             spec->interactive || spec->container.boot, err);
    if (b->io) {
        container_io_ends(b->io, o.stdio);
        r = container_create(config, &o, &b->container, err);
        if (r < 0)
            judge_start(b, r, err);
    } else {
        r = err->code;
    }
    if (r == 0 && config->process.terminal)
        r = container_io_console(b->io, container_console(b->container), err);
    oci_config_free(config);
    if (b->io)
        container_io_started(b->io);
    return r;
}

/* -1 where it may not be looked at before its program runs: without root. */
static int open_mounts(struct container *c)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)container_pid(c));
    return open(path, O_RDONLY | O_CLOEXEC);
}

/*
 * Who uses a mount namespace last takes it apart, and who uses an overlay last writes back all that
 * is dirty on the disk below, whoever's it is. Were that the container's first process, its end
 * would be known only after that.
 */
static int container_engine_hold(struct engine *e)
{
    return steal_fd(&box_of(e)->mounts);
}

static int container_engine_create(const struct engine_env *env, struct engine **ret,
                                   struct error *err)
{
    struct box *b = mem_new(struct box);
    const struct engine_place place = {.data_dir = env->data_dir,
                                       .runtime_dir = env->runtime_dir,
                                       .dir = env->dir,
                                       .id = env->id,
                                       .spec = env->spec};
    int r;

    if (!b)
        return error_set(err, -ENOMEM, "out of memory");
    b->engine.ops = &container_engine;
    b->env = *env;
    b->exit_pidfd = b->mounts = -1;
    b->drain = loop_timer_new(env->loop, drain_late, b);
    r = b->drain ? container_parts_make(&place, &b->parts, err)
                 : error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = make_container(b, err);
    if (r == 0) {
        b->exit_pidfd = fcntl(container_pidfd(b->container), F_DUPFD_CLOEXEC, 3);
        if (b->exit_pidfd < 0)
            r = error_set_errno(err, -errno, "watch the container");
    }
    if (r < 0) {
        container_engine_destroy(&b->engine);
        return r;
    }
    b->mounts = open_mounts(b->container);
    *ret = &b->engine;
    return 0;
}

/*
 * What a supervisor still does for a container that runs: end, freeze and count its processes, and
 * remove what is left of it and of its network. One that starts it again or runs checks in it keeps
 * all, but for system calls that nothing here and in the container makes.
 */
static int confine(const struct box *b, struct error *err)
{
    const struct spec *spec = b->env.spec;
    uint64_t keep = 1ull << CAP_KILL | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER;
    uint64_t capabilities = 0;
    int r;

    if (spec->restart != SPEC_RESTART_NO || container_boots(spec, b->parts.plan.image) ||
        b->health) {
        /* After a restart it is in force already. */
        if (b->env.again || !container_seccomp_is_default(spec))
            return 0;
        r = container_capability_set(spec, false, &capabilities, err);
        return r < 0 ? r : container_sandbox_open(capabilities, err);
    }
    *b->env.spent = true;
    if (container_net_needs_admin(b->net))
        keep |= 1ull << CAP_NET_ADMIN;
    r = confine_capabilities(keep, err);
    if (r < 0)
        return r;
    /* What ids of the user's own ranges wrote is removed by a process that has them. */
    return b->parts.plan.rootless && spec->rm ? container_sandbox_open(0, err)
                                              : container_sandbox_closed(err);
}

static int container_engine_start(struct engine *e, struct error *err)
{
    struct box *b = box_of(e);
    int r = container_io_run(b->io, on_drained, b, err);

    if (r < 0)
        return r;
    r = container_start(b->container, err);
    if (r < 0)
        judge_start(b, r, err);
    if (r < 0)
        return r;
    b->exit_watch = loop_add_fd(b->env.loop, b->exit_pidfd, LOOP_READ, on_exit_of_first, b, err);
    if (!b->exit_watch)
        return err->code;
    r = container_health_start(&b->env, b->parts.plan.image, b->container, &b->health, err);
    return r < 0 ? r : confine(b, err);
}

static int container_engine_signal(struct engine *e, int number, struct error *err)
{
    return container_kill(box_of(e)->container, number, false, err);
}

static int container_engine_stop(struct engine *e, struct error *err)
{
    struct box *b = box_of(e);

    b->stopping = true;
    return container_kill(b->container, container_stop_signal(b->env.spec, b->parts.plan.image),
                          false, err);
}

static int container_engine_pause(struct engine *e, struct error *err)
{
    int r = container_pause(box_of(e)->container, err);

    if (r == 0)
        container_health_pause(box_of(e)->health, true);
    return r;
}

static int container_engine_resume(struct engine *e, struct error *err)
{
    int r = container_resume(box_of(e)->container, err);

    if (r == 0)
        container_health_pause(box_of(e)->health, false);
    return r;
}

static int container_engine_stats(struct engine *e, struct instance_stats *ret, struct error *err)
{
    struct box *b = box_of(e);
    struct cgroup_stats st = {0};
    int r = container_stats(b->container, &st, err);

    if (r < 0)
        return r;
    *ret = (struct instance_stats){.cpu_ns = st.cpu.total_ns,
                                   .memory_used = st.memory.usage,
                                   .memory_limit = st.memory.limit,
                                   .pids = (unsigned)st.pids.current,
                                   .cpus = (unsigned)((b->env.spec->millicpus + 999) / 1000)};
    /* Page cache that can be given back is not use; so does Docker count. */
    for (size_t i = 0; i < st.memory.raw_count; i++)
        if (strcmp(st.memory.raw[i].name, "total_inactive_file") == 0 ||
            strcmp(st.memory.raw[i].name, "inactive_file") == 0) {
            if (st.memory.raw[i].value < ret->memory_used)
                ret->memory_used = st.memory.usage - st.memory.raw[i].value;
        }
    if (st.memory.limit > (uint64_t)1 << 60) { /* none: the host's memory is the limit */
        long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
        ret->memory_limit = (uint64_t)pages * (uint64_t)size;
    }
    if (!ret->cpus)
        ret->cpus = (unsigned)max_of(sysconf(_SC_NPROCESSORS_ONLN), 1l);
    for (size_t i = 0; i < st.io_count; i++) {
        if (strcmp(st.io[i].op, "Read") == 0)
            ret->block_read += st.io[i].bytes;
        else if (strcmp(st.io[i].op, "Write") == 0)
            ret->block_written += st.io[i].bytes;
    }
    cgroup_stats_done(&st);
    if (b->env.spec->net != SPEC_NET_HOST)
        container_net_traffic(container_pid(b->container), &ret->net_rx, &ret->net_tx);
    return 0;
}

static int container_engine_update(struct engine *e, struct error *err)
{
    struct box *b = box_of(e);
    struct oci_config *config = NULL;
    struct str text = {0};
    int r = container_resources_make(b->env.spec, b->parts.plan.rootless, &text, err);

    if (r == 0)
        r = oci_config_parse_resources(str_text(&text), text.len, &config, err);
    if (r == 0)
        r = container_update(b->container, &config->resources, err);
    oci_config_free(config);
    str_done(&text);
    return r;
}

static int container_engine_inspect(struct engine *e, struct str *out, struct error *err)
{
    struct box *b = box_of(e);

    str_addf(out, "{\"pid\":%d,\"status\":\"%s\"}", (int)container_pid(b->container),
             container_status_name(container_status(b->container)));
    return 0;
}

/* What the supervisor's death has left: the container is dead by now or about to be. */
static void container_engine_collect(const struct engine_place *place, bool remove)
{
    cleanup_free char *state_dir = container_state_dir(place->runtime_dir);
    struct container *c = NULL;
    struct error err = {0};

    if (state_dir && container_load(state_dir, place->id, &c, NULL) == 0) {
        if (container_delete(c, true, &err) < 0)
            log_warn("container", "%s", error_text(&err));
        container_free(c);
    }
    container_net_collect(place);
    if (remove)
        container_parts_remove(place);
}

static int container_engine_pids(const struct engine_place *place, pid_t **ret, size_t *ret_count,
                                 struct error *err)
{
    cleanup_free char *state_dir = container_state_dir(place->runtime_dir);
    struct container *c = NULL;
    int r = state_dir ? container_load(state_dir, place->id, &c, err) : -ENOMEM;

    if (r == 0)
        r = container_pids(c, ret, ret_count, err);
    container_free(c);
    return r;
}

const struct engine_ops container_engine = {.wall = "container",
                                            .about = "namespaces of this host's kernel",
                                            .confines_itself = true,
                                            .forked = true,
                                            .prepare = container_parts_prepare,
                                            .collect = container_engine_collect,
                                            .create = container_engine_create,
                                            .start = container_engine_start,
                                            .signal = container_engine_signal,
                                            .pause = container_engine_pause,
                                            .resume = container_engine_resume,
                                            .stats = container_engine_stats,
                                            .update = container_engine_update,
                                            .stop = container_engine_stop,
                                            .hold = container_engine_hold,
                                            .inspect = container_engine_inspect,
                                            .exec = container_exec_serve,
                                            .root = container_root_open,
                                            .files = container_root_files,
                                            .diff = container_root_diff,
                                            .pids = container_engine_pids,
                                            .destroy = container_engine_destroy};
