/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of this host: made from an OCI runtime configuration (runtime-spec 1.2 config.json)
 * and kept as a state file in a directory, so that any later process can act on them. Two users:
 * the program isola-runtime (runc's command line) and the engine of the wall "container".
 *
 * A container's life (runtime-spec, "Lifecycle"): creating, created, running, paused, stopped.
 * Functions return 0 or a negative errno with a one-line reason.
 */
#ifndef CONTAINER_CONTAINER_H
#define CONTAINER_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "container/oci_config.h"

struct container;
struct cgroup_stats;

/*
 * The root file system as layers, for callers that bring no mounted one: the container mounts an
 * overlay of them in its own mount namespace (option userxattr), so nothing stays on the host.
 */
struct container_overlay {
    const char *const *lower; /* directories of unpacked layers, topmost first */
    size_t lower_count;
    const char *upper, *work; /* directories on one file system; NULL: read-only */
    bool mark;  /* what is made in the branch to mount on bears MOUNT_MARK (image/mount_mark.h) */
    bool idmap; /* idmap each layer and the branch to the container's user namespace */
    /*
     * Nobody needs the branch after this run: nothing in it is written to the disk for its own sake
     * (option volatile). @work must be empty.
     */
    bool discard;
};

struct container_options {
    const char *id; /* [a-zA-Z0-9_+.-]{1,1024}, neither "." nor ".." */
    const char
        *state_dir;     /* absolute; "<state_dir>/<id>/state.json" is written; made when missing */
    const char *bundle; /* absolute; a relative root.path resolves here */
    const struct container_overlay *overlay; /* NULL: config's root.path */
    int stdio[3];           /* for a process without terminal; -1: /dev/null; borrowed */
    int console_socket;     /* connected unix socket that gets the pty's master (SCM_RIGHTS);
                               -1: none, the master comes back in container_console */
    unsigned columns, rows; /* of the terminal before the first byte; 0: as config says */
    unsigned preserve_fds;  /* descriptors 3.. that the first process keeps */
    bool systemd_cgroup, no_pivot, no_new_keyring;
    bool best_effort;     /* limits that the host cannot enforce warn instead of failing */
    bool rootless;        /* EPERM of cgroups is tolerated as runc --rootless does */
    bool die_with_parent; /* the first process gets SIGKILL when the creating thread ends */
    bool reap; /* a small init of Isola's is the first process: forwards signals, reaps */
    /*
     * The program runs as soon as all is set up; only the caller can start it. container_start is
     * still to be called: it tells whether the program could be executed.
     */
    bool at_once;
    void (*warn)(void *opaque, const char *line); /* degradations, a line each; may be NULL */
    void *opaque;
    /*
     * Called in the parent with the child's pid and network namespace: here networks are plugged
     * in. NULL: none. The child waits, so that hooks and parameters find the network; where there
     * are none (and the parent is root), it goes on with its set-up meanwhile. A negative errno
     * aborts.
     */
    int (*plug)(void *opaque, pid_t pid, int netns_fd, struct error *err);
};

/*
 * Clones, sets up and leaves the first process waiting before its program ("created"). @config is
 * borrowed for the call. The caller is the parent of the first process and collects it (waitid on
 * container_pidfd). On failure nothing is left.
 */
int container_create(const struct oci_config *config, const struct container_options *options,
                     struct container **ret, struct error *err) error_must_check;
/*
 * Lets it run its program; fails with the reason when the program cannot be executed (-ENOENT: not
 * found; -EACCES, -ENOEXEC: not executable).
 */
int container_start(struct container *c, struct error *err) error_must_check;
/* The container that @state_dir holds under @id; -ENOENT. New. */
int container_load(const char *state_dir, const char *id, struct container **ret,
                   struct error *err) error_must_check;
/* Frees the handle; the container goes on. NULL is fine. */
void container_free(struct container *c);

enum container_status {
    CONTAINER_CREATING,
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_PAUSED,
    CONTAINER_STOPPED
};
enum container_status container_status(struct container *c);
/* "creating" ... "stopped" */
const char *container_status_name(enum container_status status);
/* The first process as this process sees it; 0 when stopped. */
pid_t container_pid(struct container *c);
/* Borrowed, -1 when stopped; readable when the first process ended. */
int container_pidfd(struct container *c);
/* The pty's master when there was no console socket; the caller owns it from now; -1. */
int container_console(struct container *c);
/* Sends @signal to the first process, with @all to every process of the container's cgroup. */
int container_kill(struct container *c, int signal, bool all, struct error *err);
int container_pause(struct container *c, struct error *err);
int container_resume(struct container *c, struct error *err);
/* New array of host pids. */
int container_pids(struct container *c, pid_t **ret, size_t *ret_count, struct error *err);
int container_update(struct container *c, const struct oci_resources *r, struct error *err);
int container_stats(struct container *c, struct cgroup_stats *ret, struct error *err);

/* Another process in a container. */
struct container_exec {
    const struct oci_process *process;
    int stdio[3];           /* as in container_options */
    int console_socket;     /* as in container_options */
    unsigned columns, rows; /* of the terminal; 0: as the process says */
    unsigned preserve_fds;
    const char *cgroup; /* below the container's cgroup, NULL: the same */
    bool no_new_keyring;
    bool die_with_parent;
    bool best_effort;
    void (*warn)(void *opaque, const char *line);
    void *opaque;
};
/*
 * Runs it; returns once its program was executed. The caller is its parent. @ret_pidfd and
 * @ret_console may be NULL, else the caller owns what they get (-1: none).
 */
int container_exec(struct container *c, const struct container_exec *x, pid_t *ret_pid,
                   int *ret_pidfd, int *ret_console, struct error *err) error_must_check;
/*
 * Collects the cgroup and the state directory and runs the poststop hooks. -EBUSY for a container
 * that lives, unless @force, which kills it first. @c stays to be freed.
 */
int container_delete(struct container *c, bool force, struct error *err);

/* What is told about a container that was loaded or created. Borrowed from @c. */
struct container_facts {
    const char *id, *bundle, *rootfs, *owner, *version;
    const char *created; /* RFC 3339 with nanoseconds */
    const struct oci_map *annotations;
};
const struct container_facts *container_facts(const struct container *c);

/* Whether @id may name a container: a file name that cannot leave its directory. */
bool container_id_valid(const char *id);

#endif
