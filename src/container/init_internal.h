/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of init, the first process of a container until its program runs. See plan.h for what
 * it is told and how it answers. Private to init: no C library, no allocation.
 */
#ifndef CONTAINER_INIT_INTERNAL_H
#define CONTAINER_INIT_INTERNAL_H

#include "container/init_sys.h"
#include "container/plan.h"

/* What is known while a container is set up. Descriptors are -1 until they exist. */
struct init {
    const struct plan *plan;
    int sync;
    int root;                  /* the root file system's mount */
    int dev, proc, sys, pts;   /* our mounts at these places in it */
    int null;                  /* the host's /dev/null, checked */
    int empty;                 /* a detached, read-only, empty tmpfs for masks */
    int console;               /* the pty's slave */
    int cgroups[PLAN_FDS_MAX]; /* as PLAN_CGROUPS brought them */
    unsigned cgroup_count, cgroup_trees;
    bool cgroups_known, cgroups_joined, no_mknod;
    char cgroup_names[PLAN_TEXT_MAX];
    int state[2];     /* what createContainer and startContainer hooks read */
    long sigset_full; /* scratch for signal masks */
};

/* Text and records of the plan. */
const char *plan_text(const struct plan *plan, uint32_t at);
const void *plan_records(const struct plan *plan, struct plan_list list);

/*
 * Sends PLAN_ERROR "@what @detail: reason of @code" (@detail may be NULL, @code a negative errno or
 * 0) and ends the process.
 */
_Noreturn void init_die(struct init *i, long code, const char *what, const char *detail);
/* As init_die without a code's text, for messages that say it all. */
_Noreturn void init_die_line(struct init *i, long code, const char *line);
/* Sends PLAN_WARNING with the same kind of text. */
void init_warn(struct init *i, long code, const char *what, const char *detail);
/* Sends a message, with descriptor @fd when it is not -1. */
void init_send(struct init *i, enum plan_message_type type, int value, const char *text, int fd);
/* Waits for PLAN_GO; up to two descriptors that come with it go to @fds. Ends when the runtime is
 * gone. */
void init_wait_go(struct init *i, int fds[2]);

/* Waits for PLAN_CGROUPS, joins them and makes the cgroup namespace; once. */
void init_join_cgroups(struct init *i);

/* --- init_path.c: the one way to files of a container --- */

/* PATH_MARK: what is made in the writable branch is marked as made to be mounted on. */
enum path_kind { PATH_EXISTING, PATH_DIRECTORY, PATH_FILE, PATH_KIND = 3, PATH_MARK = 4 };

/*
 * A descriptor (O_PATH) of @path inside @root: symbolic links, also absolute ones and "..", stay
 * inside; links of /proc are not followed. With PATH_DIRECTORY or PATH_FILE what is missing is
 * made (0755; files empty, 0644), also where a symbolic link points. @kind: enum path_kind. @extra:
 * O_NOFOLLOW, O_DIRECTORY. A negative errno.
 */
int path_open(int root, const char *path, unsigned kind, int extra);
/* The same for an absolute path of the container, from our own mounts at /dev, /proc and /sys. */
int path_in_container(struct init *i, const char *path, unsigned kind, int extra);
/* A regular file of at most @max bytes, open for reading. A negative errno (-EINVAL: another type).
 */
int path_read(int root, const char *path, size_t max, size_t *ret_size);
/* The directory that @path's last component is in (made when missing); *ret_name: that component.
 */
int path_parent(struct init *i, const char *path, const char **ret_name);

/* --- init_mount.c, init_rootfs.c --- */

/* Mounts one entry of the plan. */
void mount_entry(struct init *i, const struct plan_mount *m);
/* A detached mount of a file system. @options: plan records, may be none. Negative errno. */
int mount_new(struct init *i, const char *type, const char *source, struct plan_list options,
              uint64_t attributes);
/* Copies a directory tree into another. 0 or a negative errno. */
int copy_tree(int from, int to, unsigned depth);
/* Builds the root file system and makes it "/". */
void rootfs_build(struct init *i);
void rootfs_enter(struct init *i);
/* Nodes, links and the console of our /dev. */
void devices_make(struct init *i);

/* --- init_process.c --- */

/* The pty of the process; its slave goes to i->console and the master to the runtime. */
void terminal_open(struct init *i);
/* Everything from limits to capabilities, then what needs none of them. */
void process_prepare(struct init *i);
_Noreturn void process_run(struct init *i);
void hooks_run(struct init *i, struct plan_list hooks, int state, const char *name);

#endif
