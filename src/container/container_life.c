/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with a container that exists. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "container/container_internal.h"

enum { DELETE_WAIT_MS = 10000 };

static int run_late_hooks(struct container *c, enum oci_hook_point point, const char *name,
                          const char *status, struct error *err)
{
    const struct oci_config *config;
    if (!c->hooks)
        return 0;
    int r = container_config(c, &config, err);
    if (r < 0)
        return r;
    if (!c->annotation_map.n)
        c->annotation_map = config->annotations;
    struct str state = {0};
    container_state_json(c, status, &state);
    r = hooks_run_all(&config->hooks[point], str_text(&state), name, err);
    str_done(&state);
    return r;
}

static int connect_to_init(struct container *c, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int dir = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (dir < 0 || fd < 0)
        return error_set_errno(err, -errno, "open %s", c->dir);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", dir);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return error_set_errno(err, -errno, "start: reach the container's init");
    return steal_fd(&fd);
}

int container_start(struct container *c, struct error *err)
{
    /* Who made it knows that it waits, or hears from init below that it ended. */
    bool own = c->sync >= 0;
    bool frozen = own && !c->at_once && c->cgroup && cgroup_is_frozen(c->cgroup) == 1;
    enum container_status status = !own     ? container_status(c)
                                   : frozen ? CONTAINER_PAUSED
                                            : CONTAINER_CREATED;
    if (status != CONTAINER_CREATED)
        return error_set(err, -EINVAL, "cannot start a container that is %s",
                         container_status_name(status));
    int fd = own ? steal_fd(&c->sync) : connect_to_init(c, err);
    if (fd < 0)
        return fd;
    int r = init_start(fd,
                       c->at_once ? INIT_STARTING
                       : own      ? INIT_WAITS
                                  : INIT_WAITS_FOR_OTHER,
                       err);
    cleanup_free char *socket = c->at_once ? NULL : container_path(c, "start");
    if (socket && (r == 0 || r != -ESRCH))
        unlink(socket);
    if (r < 0)
        return r;
    /* The specification: a poststart hook that fails stops the container. */
    r = run_late_hooks(c, OCI_HOOK_POSTSTART, "poststart", "running", err);
    if (r < 0)
        container_kill(c, SIGKILL, true, NULL);
    return r;
}

static int no_cgroup(struct container *c, const char *what, struct error *err)
{
    return error_set(err, -ENOTSUP,
                     "%s: container %s has no cgroup (the host or its owner's rights "
                     "gave it none)",
                     what, c->id);
}

int container_kill(struct container *c, int signal, bool all, struct error *err)
{
    if (all && c->cgroup)
        return cgroup_kill(c->cgroup, signal, err);
    int fd = container_pidfd(c);
    if (fd < 0)
        return error_set(err, -ESRCH, "container not running");
    if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0)
        return errno == ESRCH ? error_set(err, -ESRCH, "container not running")
                              : error_set_errno(err, -errno, "send signal %d", signal);
    return 0;
}

int container_pause(struct container *c, struct error *err)
{
    enum container_status status = container_status(c);
    if (status != CONTAINER_RUNNING && status != CONTAINER_CREATED)
        return error_set(err, -EINVAL, "container not running: it is %s",
                         container_status_name(status));
    return c->cgroup ? cgroup_freeze(c->cgroup, true, err) : no_cgroup(c, "pause", err);
}

int container_resume(struct container *c, struct error *err)
{
    if (container_status(c) != CONTAINER_PAUSED)
        return error_set(err, -EINVAL, "container not paused");
    return cgroup_freeze(c->cgroup, false, err);
}

int container_pids(struct container *c, pid_t **ret, size_t *ret_count, struct error *err)
{
    if (c->cgroup)
        return cgroup_pids(c->cgroup, ret, ret_count, err);
    return no_cgroup(c, "list processes", err);
}

int container_update(struct container *c, const struct oci_resources *r, struct error *err)
{
    if (!c->cgroup)
        return no_cgroup(c, "update", err);
    return cgroup_update(c->cgroup, r, false, c->warn, c->opaque, err);
}

int container_stats(struct container *c, struct cgroup_stats *ret, struct error *err)
{
    return c->cgroup ? cgroup_stats(c->cgroup, ret, err) : no_cgroup(c, "stats", err);
}

static void wait_for_end(struct container *c)
{
    struct pollfd p = {.fd = container_pidfd(c), .events = POLLIN};
    if (p.fd >= 0)
        poll(&p, 1, DELETE_WAIT_MS);
}

int container_delete(struct container *c, bool force, struct error *err)
{
    enum container_status status = container_status(c);
    if (status != CONTAINER_STOPPED) {
        /* One that was created and never started may go without force, as with runc. */
        if (!force && status != CONTAINER_CREATED)
            return error_set(err, -EBUSY, "cannot delete container %s that is not stopped: %s",
                             c->id, container_status_name(status));
        container_kill(c, SIGKILL, false, NULL);
        if (status == CONTAINER_PAUSED)
            cgroup_freeze(c->cgroup, false, NULL);
        wait_for_end(c);
    }
    if (c->cgroup) {
        /* With a PID namespace of its own, all ended with the first process. */
        if (!(c->namespaces & CLONE_NEWPID))
            cgroup_kill(c->cgroup, SIGKILL, NULL);
        int r = cgroup_remove(c->cgroup, err);
        if (r < 0)
            return error_wrap(err, r, "delete container %s", c->id);
    }
    struct error hook_error = {0};
    int r = run_late_hooks(c, OCI_HOOK_POSTSTOP, "poststop", "stopped", &hook_error);
    if (r < 0 && c->warn)
        c->warn(c->opaque, error_text(&hook_error)); /* the specification: log and go on */
    container_remove_dir(c->dir);
    return 0;
}
