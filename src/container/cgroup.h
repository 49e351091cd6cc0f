/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's place in the cgroup hierarchies of this host: v1, v2 or both at once (hybrid).
 *
 * Hierarchies are found in /proc/self/mountinfo and /proc/self/cgroup. A container gets one
 * directory in each v1 hierarchy, or one in the v2 hierarchy; on a hybrid host also one in the v2
 * hierarchy when that carries a controller that was asked for.
 *
 * One rule for degradation: a limit that was asked for and that the host cannot enforce is an error
 * that names the controller and the remedy, or a warning with best_effort. What nobody asked for
 * (accounting, the default device list) degrades with a warning at most.
 *
 * Functions return 0 or a negative errno with a one-line reason.
 */
#ifndef CONTAINER_CGROUP_H
#define CONTAINER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

struct cgroup;
struct oci_resources; /* container/oci_config.h */

enum { CGROUP_FDS_MAX = 16 };

/* Where a container goes. Strings are borrowed for the call. */
struct cgroup_place {
    const char *path; /* linux.cgroupsPath: absolute from the hierarchy's mount point, relative
                         below our own cgroup; with @systemd slice:prefix:name. NULL or "": @id */
    const char *id;
    bool systemd;     /* ask systemd for a scope; -ENOTSUP where no systemd runs */
    bool rootless;    /* not being allowed to make directories is no error without limits */
    bool best_effort; /* limits that cannot be enforced warn */
    void (*warn)(void *opaque, const char *line); /* may be NULL */
    void *opaque;
};

/*
 * Makes the directories, sets @resources (NULL: none; the default device list applies all the
 * same). -EBUSY when processes are there already. New: release with cgroup_free (which leaves the
 * directories) or cgroup_remove.
 */
int cgroup_make(const struct cgroup_place *place, const struct oci_resources *resources,
                struct cgroup **ret, struct error *err);

/* The place that cgroup_save described: a few lines of text, kept in a state file. -EINVAL. New. */
int cgroup_open(const char *saved, struct cgroup **ret, struct error *err);
void cgroup_save(const struct cgroup *cg, struct str *out);
void cgroup_free(struct cgroup *cg);

/*
 * To be called once after the first process joined: a scope of systemd lives from its first process
 * on, until then a helper holds it open. No-op otherwise.
 */
void cgroup_settled(struct cgroup *cg);

/*
 * A directory descriptor for clone3(CLONE_INTO_CGROUP) (Linux 5.7), -1 when the container has no
 * v2 directory. New: the caller closes it. @beside: for another process in a running container, the
 * group of this one of its processes when it lies below (a container that manages sub-groups has
 * no room in its top one); 0: the container's own.
 */
int cgroup_clone_fd(const struct cgroup *cg, pid_t beside);

/*
 * Opens, before a fork, what the child joins with cgroup_join: the v1 directories. New descriptors,
 * close-on-exec, the caller closes them; none on pure v2. A hybrid host may need both these and
 * cgroup_clone_fd.
 */
int cgroup_join_fds(const struct cgroup *cg, int fds[CGROUP_FDS_MAX], unsigned *ret_count,
                    struct error *err);

/*
 * In the child, single-threaded: joins them all by writing "0". The kernel takes no lock for that
 * in v1's `tasks`, where joining another process waits for an RCU grace period (5 to 10 ms).
 * Async-signal-safe. 0 or a negative errno (-EINVAL in cpu: the caller runs with real-time
 * priority, which v1 admits only where cpu.rt_runtime_us allows it).
 */
int cgroup_join(const int *fds, unsigned count);

/* Freezes and waits until frozen, or thaws. -ENOTSUP without a freezer. */
int cgroup_freeze(struct cgroup *cg, bool frozen, struct error *err);
/* 1 when frozen, 0 when not. */
int cgroup_is_frozen(const struct cgroup *cg);

/* Sends @signal to every process; SIGKILL leaves none behind. */
int cgroup_kill(struct cgroup *cg, int signal, struct error *err);

/* Host pids of all processes, sub-groups included. *@ret is new (free), may be NULL with 0. */
int cgroup_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_count, struct error *err);

/* Changes limits of a running container; members that are not set stay. Never devices. */
int cgroup_update(struct cgroup *cg, const struct oci_resources *resources, bool best_effort,
                  void (*warn)(void *opaque, const char *line), void *opaque, struct error *err);

/* Removes the directories and the ones below them, waiting a moment for processes that are ending.
 * -EBUSY when there are processes. Directories that are gone are fine. */
int cgroup_remove(struct cgroup *cg, struct error *err);

/*
 * Whether the device list is enforced. When not (no devices controller; v2 without the right to
 * load the filter), a caller that runs with privilege must take CAP_MKNOD from the container.
 */
bool cgroup_devices_enforced(const struct cgroup *cg);

/* How the memory controller ended processes so far (for "OOMKilled"); 0 when unknown. */
uint64_t cgroup_oom_kills(const struct cgroup *cg);

/* Counters, in the units of the kernel's files; UINT64_MAX as a limit means none. */
struct cgroup_stats {
    struct {
        uint64_t total_ns, user_ns, system_ns;
        uint64_t *per_cpu_ns; /* v1 */
        size_t cpus;
        uint64_t periods, throttled_periods, throttled_ns;
        bool have;
    } cpu;
    struct {
        uint64_t usage, max_usage, limit, failcnt, cache, rss, swap_usage, swap_limit, swap_max;
        uint64_t swap_failcnt, kernel_usage, oom_kills;
        struct cgroup_stat_item { /* memory.stat as it is */
            char name[40];
            uint64_t value;
        } * raw;
        size_t raw_count;
        bool have, have_swap;
    } memory;
    struct {
        uint64_t current, limit; /* limit 0: none, as runc prints it */
        bool have;
    } pids;
    struct cgroup_stat_io {
        uint64_t major, minor;
        char op[12]; /* Read, Write, Sync, Async, Discard, Total */
        uint64_t bytes, operations;
    } * io;
    size_t io_count;
    bool have_io;
    struct cgroup_stat_hugetlb {
        char size[16]; /* 2MB, 1GB */
        uint64_t usage, max_usage, failcnt;
    } * hugetlb;
    size_t hugetlb_count;
};

/* Fills @ret (release with cgroup_stats_done); what the host does not count stays zero. */
int cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret, struct error *err);
void cgroup_stats_done(struct cgroup_stats *stats);

/* What this host can enforce, as one JSON object: {"version":"hybrid","controllers":{"memory":
 * {"version":1,"mount":"/sys/fs/cgroup/memory","writable":true}, ...}}. */
int cgroup_describe(struct str *ret_json, struct error *err);

#endif
