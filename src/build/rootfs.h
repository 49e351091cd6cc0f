/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root file system of a stage while an instruction changes it: an overlay of its layers and a
 * branch, mounted nowhere; and the only ways to reach into it. A path of an image or context never
 * leaves its root: openat2 with RESOLVE_IN_ROOT finds every one of them.
 */
#ifndef BUILD_ROOTFS_H
#define BUILD_ROOTFS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct rootfs {
    char *dir; /* holds upper/, work/ and empty/; removed by rootfs_close */
    char *upper, *work;
    const char **lower; /* the directories, topmost first */
    size_t lower_count;
    int fd; /* of the mount; -1: not mounted */
};

/*
 * Makes a branch in a new directory below @parent on top of @lower (topmost first; texts are
 * borrowed). Mounts nothing yet. Release with rootfs_close, which removes the branch.
 */
int rootfs_new(const char *parent, const char *const *lower, size_t count, struct rootfs *ret,
               struct error *err) error_must_check;
/* Mounts it, for this process alone. */
int rootfs_mount(struct rootfs *r, struct error *err) error_must_check;
void rootfs_unmount(struct rootfs *r);
void rootfs_close(struct rootfs *r);

/* Opens @path below the root @root as openat does. A descriptor or a negative errno. */
int root_open(int root, const char *path, int flags);
/*
 * Makes the directory @path and those above it that are missing, owned by @uid and @gid. *ret_fd
 * (may be NULL): opened.
 */
int root_mkdirs(int root, const char *path, uid_t uid, gid_t gid, int *ret_fd,
                struct error *err) error_must_check;
/* Reads a file of at most @max bytes. New and NUL-terminated; NULL with errno. */
char *root_read(int root, const char *path, size_t max, size_t *ret_n);
/* The same for a file of the user's own. */
char *host_read(const char *path, size_t max, size_t *ret_n);

/* A user as USER and --chown name it. */
struct root_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[64]; /* supplementary */
    size_t group_count;
    char home[256];
};
/* Reads "user[:group]", names or numbers, by /etc/passwd and /etc/group of @root. */
int root_user(int root, const char *text, struct root_user *ret,
              struct error *err) error_must_check;

#endif
