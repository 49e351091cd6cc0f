/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/tree_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

enum { DEPTH_MAX = 512, NAMES_BYTES = 64 << 10, VALUE_BYTES = 64 << 10, CHUNK = 1 << 30 };

struct copy {
    unsigned flags;
    unsigned depth;
    struct error *err;
};

static int fail(struct copy *c, const char *what, const char *name)
{
    return error_set_errno(c->err, -errno, "%s %s", what, name);
}

/* Holes stay holes. */
static int copy_data(int from, int to, off_t size)
{
    off_t at = 0;

    while (at < size) {
        off_t data = lseek(from, at, SEEK_DATA), hole;
        if (data < 0 && errno == ENXIO)
            break;
        if (data < 0)
            data = at;
        hole = lseek(from, data, SEEK_HOLE);
        if (hole <= data)
            hole = size;
        if (lseek(from, data, SEEK_SET) < 0 || lseek(to, data, SEEK_SET) < 0)
            return -errno;
        for (at = data; at < hole;) {
            ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)(hole - at), 0);
            if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
                          errno == EOPNOTSUPP || errno == EBADF || errno == EPERM))
                n = sendfile(to, from, NULL, (size_t)min_of(hole - at, (off_t)CHUNK));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return -errno;
            if (n == 0) /* it became shorter meanwhile */
                return ftruncate(to, at) < 0 ? -errno : 0;
            at += n;
        }
    }
    return ftruncate(to, size) < 0 ? -errno : 0;
}

static void copy_xattrs(int from, int to)
{
    cleanup_free char *names = malloc(NAMES_BYTES), *value = malloc(VALUE_BYTES);
    ssize_t n = names && value ? flistxattr(from, names, NAMES_BYTES) : -1;

    for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        ssize_t len;
        /* overlayfs's own marks mean nothing outside of their layer */
        if (strncmp(name, "user.overlay.", 13) == 0 || strncmp(name, "trusted.overlay.", 16) == 0)
            continue;
        len = fgetxattr(from, name, value, VALUE_BYTES);
        if (len >= 0 && fsetxattr(to, name, value, (size_t)len, 0) < 0)
            continue; /* another file system need not have them all */
    }
}

/* Owner before mode: a change of owner takes set-id bits away. */
static int copy_attributes(struct copy *c, int from, int to, const struct stat *st,
                           const char *name)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    bool archive = c->flags & TREE_COPY_ARCHIVE;

    if (archive && fchown(to, st->st_uid, st->st_gid) < 0)
        return fail(c, "set the owner of", name);
    if (archive)
        copy_xattrs(from, to);
    if (fchmod(to, st->st_mode & (archive ? 07777 : 0777)) < 0)
        return fail(c, "set the mode of", name);
    if (archive)
        futimens(to, times);
    return 0;
}

static int copy_file(struct copy *c, int from, const char *from_name, int to, const char *name,
                     const struct stat *st)
{
    cleanup_fd int in = openat(from, from_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    cleanup_fd int out = -1;
    struct stat now;
    int r;

    if (in < 0 || fstat(in, &now) < 0)
        return fail(c, "open", from_name);
    if (!S_ISREG(now.st_mode))
        return error_set(c->err, -EAGAIN, "%s changed while it was copied", from_name);
    if (unlinkat(to, name, 0) < 0 && errno != ENOENT)
        return fail(c, "replace", name);
    out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return fail(c, "create", name);
    r = copy_data(in, out, now.st_size);
    if (r < 0)
        return error_set_errno(c->err, r, "copy %s", from_name);
    return copy_attributes(c, in, out, st, name);
}

static int copy_link(struct copy *c, int from, const char *from_name, int to, const char *name,
                     const struct stat *st)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(from, from_name, target, sizeof target - 1);

    if (n < 0)
        return fail(c, "read link", from_name);
    target[n] = 0;
    if (unlinkat(to, name, 0) < 0 && errno != ENOENT)
        return fail(c, "replace", name);
    if (symlinkat(target, to, name) < 0)
        return fail(c, "create link", name);
    if ((c->flags & TREE_COPY_ARCHIVE) &&
        fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(c, "set the owner of", name);
    return 0;
}

static int copy_special(struct copy *c, int to, const char *name, const struct stat *st)
{
    if (S_ISSOCK(st->st_mode))
        return 0; /* is nothing without its process */
    if (!S_ISFIFO(st->st_mode) && !(c->flags & TREE_COPY_ARCHIVE))
        return error_set(c->err, -ENOTSUP, "%s is a device; add --archive to copy it", name);
    if (unlinkat(to, name, 0) < 0 && errno != ENOENT)
        return fail(c, "replace", name);
    if (mknodat(to, name, st->st_mode, st->st_rdev) < 0)
        return fail(c, "create", name);
    if ((c->flags & TREE_COPY_ARCHIVE) &&
        fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(c, "set the owner of", name);
    return 0;
}

static int copy_entry(struct copy *c, int from, const char *from_name, int to, const char *name);

static int copy_contents(struct copy *c, int from, int to)
{
    int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return fail(c, "read", "a directory");
    }
    if (++c->depth > DEPTH_MAX)
        r = error_set(c->err, -ELOOP, "more than %d directories deep", DEPTH_MAX);
    while (r == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = copy_entry(c, dirfd(d), e->d_name, to, e->d_name);
    c->depth--;
    closedir(d);
    return r;
}

static int copy_dir(struct copy *c, int from, const char *from_name, int to, const char *name,
                    const struct stat *st)
{
    cleanup_fd int in = openat(from, from_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_fd int out = -1;
    bool made = true;
    int r;

    if (in < 0)
        return fail(c, "open", from_name);
    if (mkdirat(to, name, 0700) < 0) {
        if (errno != EEXIST || !(c->flags & TREE_COPY_INTO))
            return fail(c, "create directory", name);
        made = false;
    }
    out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out < 0)
        return fail(c, "open", name);
    r = copy_contents(c, in, out);
    if (r == 0 && (made || (c->flags & TREE_COPY_ARCHIVE)))
        r = copy_attributes(c, in, out, st, name);
    return r;
}

static int copy_entry(struct copy *c, int from, const char *from_name, int to, const char *name)
{
    struct stat st;

    if (fstatat(from, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(c, "look at", from_name);
    if (S_ISDIR(st.st_mode))
        return copy_dir(c, from, from_name, to, name, &st);
    if (S_ISREG(st.st_mode))
        return copy_file(c, from, from_name, to, name, &st);
    if (S_ISLNK(st.st_mode))
        return copy_link(c, from, from_name, to, name, &st);
    return copy_special(c, to, name, &st);
}

int tree_copy(int from, const char *from_name, int to, const char *to_name, unsigned flags,
              struct error *err)
{
    struct error own = {0};
    struct copy c = {.flags = flags, .err = err ? err : &own};

    return copy_entry(&c, from, from_name, to, to_name);
}

int tree_copy_contents(int from, int to, unsigned flags, struct error *err)
{
    struct error own = {0};
    struct copy c = {.flags = flags | TREE_COPY_INTO, .err = err ? err : &own};

    return copy_contents(&c, from, to);
}
