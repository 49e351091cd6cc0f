/* SPDX-License-Identifier: Apache-2.0 */
/* Removing trees that strangers made: any depth, any mode, no link followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/home.h"

/* syscalls: fchmod fchmodat fstatfs getdents64 newfstatat unlinkat */

/* What is deeper is moved up first, so that depth costs neither stack nor descriptors. */
enum { DEPTH_MAX = 64 };

static int remove_in(int top, dev_t device, int dir, const char *name, unsigned depth);

static int empty(int top, dev_t device, int dir, unsigned depth)
{
    DIR *d = fdopendir(dir);
    struct dirent *e;
    int r = 0;

    if (!d) {
        r = -errno;
        close(dir);
        return r;
    }
    while ((e = readdir(d))) {
        int one;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        one = remove_in(top, device, dirfd(d), e->d_name, depth + 1);
        r = r < 0 ? r : one;
    }
    closedir(d);
    return r;
}

/* Too deep: becomes a child of @top under a new name, which an outer round removes. */
static int move_up(int top, int dir, const char *name)
{
    static _Atomic unsigned counter;
    char moved[32];

    snprintf(moved, sizeof moved, ".deep-%u", counter++);
    return renameat(dir, name, top, moved) < 0 ? -errno : 0;
}

static int remove_in(int top, dev_t device, int dir, const char *name, unsigned depth)
{
    struct stat st;
    int fd, r;

    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -EPERM;
    if (device && st.st_dev != device)
        return -EXDEV;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
        return 0;
    if (depth > DEPTH_MAX)
        return move_up(top, dir, name);
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if ((st.st_mode & 0300) != 0300 && fchmod(fd, 0700) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    r = empty(top, device, fd, depth);
    if (r < 0)
        return r;
    return unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int home_remove_tree(int dir, const char *name)
{
    struct stat st;
    int r = 0;

    /* Each round that only fails because something was moved up leaves less behind. */
    for (unsigned round = 0; round < 4096; round++) {
        cleanup_fd int top = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (top < 0 && errno == ENOENT)
            return 0;
        if (top < 0 || fstat(top, &st) < 0)
            return -errno;
        r = remove_in(top, st.st_dev, dir, name, 0);
        if (r != -ENOTEMPTY)
            return r;
    }
    return r;
}
