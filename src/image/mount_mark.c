/* SPDX-License-Identifier: Apache-2.0 */
#include "image/mount_mark.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"

/* A mount point and the directories made for it: deeper ones are shown. */
enum { DEPTH_MAX = 64 };

static bool hides(int dir, const char *name, const struct stat *st, unsigned depth);

/* Takes @fd. */
static bool hides_all(int fd, unsigned depth)
{
    DIR *d = fdopendir(fd);
    const struct dirent *e;
    bool all = d != NULL;

    if (!d)
        close(fd);
    while (all && (e = readdir(d))) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        all = fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
              hides(dirfd(d), e->d_name, &st, depth + 1);
    }
    if (d)
        closedir(d);
    return all;
}

static bool hides(int dir, const char *name, const struct stat *st, unsigned depth)
{
    cleanup_fd int fd = -1;
    char value;

    if (depth > DEPTH_MAX || !(S_ISDIR(st->st_mode) || (S_ISREG(st->st_mode) && !st->st_size)))
        return false;
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fgetxattr(fd, MOUNT_MARK, &value, sizeof value) < 0)
        return false;
    return !S_ISDIR(st->st_mode) || hides_all(steal_fd(&fd), depth);
}

bool mount_mark_hides(int dir, const char *name, const struct stat *st)
{
    return hides(dir, name, st, 0);
}
