/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container as a whole: list, freeze, end, and remove their directories. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_internal.h"

enum {
    DEPTH_MAX = 64,        /* a container that manages sub-groups may nest them */
    PIDS_MAX = 1 << 22,    /* the kernel's own limit */
    FREEZE_TRIES = 2000,   /* of 1 ms and less */
    REMOVE_WAIT_MS = 2000, /* for processes that are ending */
    SYSTEMD_TRIES = 500,   /* of 1 ms */
};

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

struct pid_list {
    pid_t *pids;
    size_t count, cap;
};

static int add_pid(struct pid_list *list, pid_t pid)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        pid_t *more = cap > PIDS_MAX ? NULL : realloc(list->pids, cap * sizeof(*more));
        if (!more)
            return -ENOMEM;
        list->pids = more;
        list->cap = cap;
    }
    list->pids[list->count++] = pid;
    return 0;
}

static int read_pids(int dir_fd, const char *file, struct pid_list *list)
{
    cleanup_fd int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    char text[8192];
    long pid = 0;
    bool digits = false;
    ssize_t n;
    while ((n = read(fd, text, sizeof(text))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
                digits = true;
            } else if (digits) {
                /* 0: a process that our pid namespace does not see */
                int r = pid ? add_pid(list, (pid_t)pid) : 0;
                if (r)
                    return r;
                pid = 0;
                digits = false;
            }
        }
    }
    return n < 0 && errno != ENODEV && errno != EOPNOTSUPP ? -errno : 0;
}

/* Calls @fn for each directory below @dir_fd. */
static int each_sub(int dir_fd, unsigned depth, int (*fn)(int, const char *, unsigned, void *),
                    void *opaque)
{
    if (depth > DEPTH_MAX)
        return -ELOOP;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        close_fd(&fd);
        return errno == ENOENT ? 0 : -errno;
    }
    int r = 0;
    for (struct dirent *e; !r && (e = readdir(d));)
        if (e->d_type == DT_DIR && strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            r = fn(dirfd(d), e->d_name, depth, opaque);
    closedir(d);
    return r;
}

static int collect_sub(int parent, const char *name, unsigned depth, void *opaque)
{
    cleanup_fd int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = read_pids(fd, "cgroup.procs", opaque);
    return r ? r : each_sub(fd, depth + 1, collect_sub, opaque);
}

/* The directory whose list of processes is the container's. */
static const struct cgroup_dir *main_dir(const struct cgroup *cg)
{
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_FREEZER);
    if (!dir)
        dir = cgroup_v2_dir(cg);
    return dir ? dir : cg->count ? &cg->dirs[0] : NULL;
}

int cgroup_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_count, struct error *err)
{
    const struct cgroup_dir *dir = main_dir(cg);
    struct pid_list list = {0};
    int r = 0;
    struct stat st;
    if (dir && stat(dir->path, &st) == 0) {
        char procs[PATH_MAX];
        snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir->path);
        r = read_pids(AT_FDCWD, procs, &list);
        /* the kernel counts sub-groups as links, as everywhere */
        cleanup_fd int fd = r || st.st_nlink == 2 ? -1 : open(dir->path, O_PATH | O_CLOEXEC);
        if (fd >= 0)
            r = each_sub(fd, 0, collect_sub, &list);
    }
    if (r) {
        free(list.pids);
        return error_set_errno(err, r, "list the processes of %s", dir->path);
    }
    *ret = list.pids;
    *ret_count = list.count;
    return 0;
}

/* Freezing. */

/* The directory that can freeze, and how: v1's freezer, or the core of v2. */
static const struct cgroup_dir *freezer(const struct cgroup *cg)
{
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_FREEZER);
    if (dir)
        return dir;
    dir = cgroup_v2_dir(cg);
    return dir && cgroup_has_file(dir, "cgroup.freeze") ? dir : NULL;
}

static bool frozen_now(const struct cgroup_dir *dir)
{
    char text[256];
    if (dir->version == 1)
        return cgroup_read_text(dir, "freezer.state", text, sizeof(text)) > 0 &&
               str_starts(text, "FROZEN");
    return cgroup_read_text(dir, "cgroup.events", text, sizeof(text)) > 0 &&
           cgroup_keyed(text, "frozen", 0) == 1;
}

int cgroup_is_frozen(const struct cgroup *cg)
{
    const struct cgroup_dir *dir = freezer(cg);
    return dir && frozen_now(dir);
}

int cgroup_freeze(struct cgroup *cg, bool frozen, struct error *err)
{
    const struct cgroup_dir *dir = freezer(cg);
    if (!dir)
        return error_set(err, -ENOTSUP,
                         "%s needs a freezer: this container has no directory of its own in the "
                         "cgroup v1 'freezer' or in cgroup v2",
                         frozen ? "pause" : "resume");
    const char *file = dir->version == 1 ? "freezer.state" : "cgroup.freeze";
    const char *on = dir->version == 1 ? "FROZEN" : "1";
    const char *off = dir->version == 1 ? "THAWED" : "0";
    int r = cgroup_write(cg, dir, file, err, "%s", frozen ? on : off);
    if (r || !frozen || cg->create_files)
        return r;
    for (int i = 0; i < FREEZE_TRIES; i++) {
        if (frozen_now(dir))
            return 0;
        /* v1: a process that forked meanwhile needs the order again; one in a vfork or traced may
         * never stop until the others run for a moment. */
        if (dir->version == 1 && i % 100 == 99) {
            cgroup_write_raw(cg, dir, file, off);
            sleep_us(1000);
        }
        if (dir->version == 1 && i % 10 == 9)
            cgroup_write_raw(cg, dir, file, on);
        sleep_us(i < 20 ? 50 : 1000);
    }
    cgroup_write_raw(cg, dir, file, off);
    return error_set(err, -ETIMEDOUT, "freeze %s: a process did not stop", dir->path);
}

/* Ending. */

static int kill_all(struct cgroup *cg, int signal, size_t *ret_count, struct error *err)
{
    cleanup_free pid_t *pids = NULL;
    int r = cgroup_pids(cg, &pids, ret_count, err);
    for (size_t i = 0; !r && i < *ret_count; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH)
            r = error_set_errno(err, -errno, "send signal %d to process %d", signal, (int)pids[i]);
    return r;
}

int cgroup_kill(struct cgroup *cg, int signal, struct error *err)
{
    const struct cgroup_dir *dir = main_dir(cg);
    if (!dir)
        return error_set(err, -ENOTSUP,
                         "cannot find the container's processes: it has no cgroup of its own");
    if (signal == SIGKILL && dir->version == 2 && !cgroup_write_raw(cg, dir, "cgroup.kill", "1"))
        return 0;
    size_t count = 0;
    cleanup_free pid_t *pids = NULL;
    int any = cgroup_pids(cg, &pids, &count, err);
    if (any || !count)
        return any;
    if (cgroup_is_frozen(cg)) {
        int r = kill_all(cg, signal, &count, err);
        /* v1 delivers to the frozen only after thawing */
        return !r && signal == SIGKILL ? cgroup_freeze(cg, false, err) : r;
    }
    /* While frozen none can fork, so one pass reaches all, and no pid is used again. */
    if (freezer(cg) && !cgroup_freeze(cg, true, NULL)) {
        int r = kill_all(cg, signal, &count, err);
        int thawed = cgroup_freeze(cg, false, r ? NULL : err);
        return r ? r : thawed;
    }
    for (int i = 0; i < 1000; i++) {
        int r = kill_all(cg, signal, &count, err);
        if (r || signal != SIGKILL || !count)
            return r;
        sleep_us(1000);
    }
    return error_set(err, -EBUSY, "%zu processes of %s outlive SIGKILL", count, dir->path);
}

/* Removing. */

static int remove_sub(int parent, const char *name, unsigned depth, void *opaque)
{
    if (!unlinkat(parent, name, AT_REMOVEDIR) || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    cleanup_fd int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = each_sub(fd, depth + 1, remove_sub, opaque);
    if (r)
        return r;
    return unlinkat(parent, name, AT_REMOVEDIR) && errno != ENOENT ? -errno : 0;
}

/* Lets systemd see that its scope is empty and remove it: it does not look again when the directory
 * goes under its hands. */
static void wait_for_systemd(const struct cgroup *cg)
{
    const struct cgroup_dir *dir = cgroup_v2_dir(cg);
    if (!dir)
        dir = cgroup_dir_of(cg, CGROUP_NAMED);
    for (int i = 0; dir && i < SYSTEMD_TRIES && access(dir->path, F_OK) == 0; i++)
        sleep_us(1000);
}

int cgroup_remove(struct cgroup *cg, struct error *err)
{
    int result = 0;
    cgroup_settled(cg);
    if (cg->systemd)
        wait_for_systemd(cg);
    long waited_us = 0, pause_us = 100;
    for (unsigned i = 0; i < cg->count; i++) {
        const struct cgroup_dir *dir = &cg->dirs[i];
        const char *path;
        int at = cgroup_dir_at(dir, &path), r;
        while ((r = remove_sub(at, path, 0, NULL)) == -EBUSY &&
               waited_us < REMOVE_WAIT_MS * 1000L) {
            sleep_us(pause_us);
            waited_us += pause_us;
            pause_us = min_of(pause_us * 2, 50000L);
        }
        if (r && !result) {
            result = r;
            if (r == -EBUSY)
                error_set(err, r, "remove cgroup %s: processes still run in it", dir->path);
            else
                error_set_errno(err, r, "remove cgroup %s", dir->path);
        }
    }
    return result;
}
