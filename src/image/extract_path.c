/* SPDX-License-Identifier: Apache-2.0 */
/* From names in archives to descriptors of directories. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/extract_internal.h"

int extract_clean(const char *path, char *ret, struct error *err)
{
    size_t n = 0;

    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.')
            return error_set(err, -EINVAL, "the name leads out of its directory by \"..\"");
        if (len > 255)
            return error_set(err, -ENAMETOOLONG,
                             "a part of the name has %zu bytes; 255 are the "
                             "limit",
                             len);
        if (len && !(len == 1 && *path == '.')) {
            if (n + len + 1 > EXTRACT_PATH_MAX)
                return error_set(err, -ENAMETOOLONG, "the name is longer than %d bytes",
                                 EXTRACT_PATH_MAX);
            if (n)
                ret[n++] = '/';
            memcpy(ret + n, path, len);
            n += len;
        }
        path += len;
        path += *path == '/';
    }
    ret[n] = 0;
    return 0;
}

static int open_how(int root, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    int fd;

    do
        fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : fd;
}

int extract_open(int root, const char *path, uint64_t flags)
{
    return open_how(root, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

bool extract_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int extract_opaque(int dir, const char *name, struct error *err)
{
    cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fsetxattr(fd, OVERLAY_OPAQUE, "y", 1, 0) < 0)
        return error_set_errno(err, -errno, "mark the directory as opaque (attribute %s)",
                               OVERLAY_OPAQUE);
    return 0;
}

void extract_forget(struct extract *x)
{
    if (x->parent >= 0)
        close(x->parent);
    x->parent = -1;
    free(x->parent_path);
    x->parent_path = NULL;
}

static int note_implicit(struct extract *x, const char *path, size_t n, struct error *err)
{
    if (x->result.implicit == x->implicit_cap) {
        size_t cap = x->implicit_cap ? 2 * x->implicit_cap : 32;
        char **grown = realloc(x->implicit, cap * sizeof *grown);
        if (!grown)
            return error_set(err, -ENOMEM, "out of memory");
        x->implicit = grown;
        x->implicit_cap = cap;
    }
    x->implicit[x->result.implicit] = strndup(path, n);
    if (!x->implicit[x->result.implicit])
        return error_set(err, -ENOMEM, "out of memory");
    x->result.implicit++;
    return 0;
}

/* A directory that an entry lies in, but that has no entry (yet). */
static int make_implicit(struct extract *x, int dir, const char *name, const char *path, size_t n,
                         struct error *err)
{
    struct stat st;
    bool hidden = false;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!extract_is_whiteout(&st))
            return error_set(err, -ENOTDIR, "%.*s is not a directory", (int)n, path);
        if (unlinkat(dir, name, 0) < 0)
            return error_set_errno(err, -errno, "replace %.*s", (int)n, path);
        hidden = true;
    }
    if (mkdirat(dir, name, 0755) < 0)
        return error_set_errno(err, -errno, "make directory %.*s", (int)n, path);
    return hidden ? extract_opaque(dir, name, err) : note_implicit(x, path, n, err);
}

/* Opens @path[0..n), whose parent is @dir and last part @name, and makes it when it is missing. */
static int open_step(struct extract *x, int dir, const char *name, const char *path, size_t n,
                     bool make, struct error *err)
{
    char whole[EXTRACT_PATH_MAX + 1];
    int fd = extract_open(dir, name, O_PATH | O_DIRECTORY), r;

    if ((fd == -ENOENT || fd == -ENOTDIR) && make) {
        r = make_implicit(x, dir, name, path, n, err);
        if (r < 0)
            return r;
        fd = extract_open(dir, name, O_PATH | O_DIRECTORY);
    }
    if (fd == -ELOOP) {
        /* A link of this layer, such as lib -> usr/lib: followed within the layer, as others do. */
        snprintf(whole, sizeof whole, "%.*s", (int)n, path);
        fd = open_how(x->root, whole, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
        if (fd < 0)
            return error_set_errno(err, fd, "follow the symbolic link %s within the layer", whole);
    }
    return fd < 0 ? error_set_errno(err, fd, "open directory %.*s", (int)n, path) : fd;
}

/* The directory @path[0..n) as a new descriptor. */
static int open_walk(struct extract *x, const char *path, size_t n, bool make, struct error *err)
{
    char name[256];
    int fd = extract_open(x->root, "", O_PATH | O_DIRECTORY);

    for (size_t at = 0; fd >= 0 && at < n;) {
        size_t len = strcspn(path + at, "/");
        int next;
        snprintf(name, sizeof name, "%.*s", (int)len, path + at);
        next = open_step(x, fd, name, path, at + len, make, err);
        close(fd);
        fd = next;
        at += len + 1;
    }
    return fd;
}

int extract_parent(struct extract *x, const char *path, bool make, int *ret_dir,
                   const char **ret_leaf, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    char *copy;
    struct stat st;
    int fd;

    *ret_leaf = slash ? slash + 1 : path;
    if (x->parent >= 0 && strlen(x->parent_path) == n && memcmp(x->parent_path, path, n) == 0) {
        *ret_dir = x->parent;
        return 0;
    }
    copy = strndup(path, n);
    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    fd = extract_open(x->root, copy, O_PATH | O_DIRECTORY);
    if (fd < 0)
        fd = open_walk(x, path, n, make, err);
    if (fd < 0 || fstat(fd, &st) < 0) {
        free(copy);
        return fd < 0 ? fd : error_set_errno(err, -errno, "look at the directory");
    }
    extract_forget(x);
    x->parent = fd;
    x->parent_path = copy;
    x->parent_sgid = st.st_mode & S_ISGID;
    *ret_dir = fd;
    return 0;
}

bool extract_xattr_allowed(const char *name)
{
    /* What overlayfs or we would obey, and what needs rights on the whole computer. */
    return (str_starts(name, "user.") && !str_starts(name, "user.overlay.") &&
            !str_starts(name, "user.isola.")) ||
           strcmp(name, "security.capability") == 0 ||
           strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}

/* Where the search for @path below @lower ends. */
enum find { FIND_HERE, FIND_BELOW, FIND_NOWHERE };

static enum find find_in(int lower, const char *path, int *ret_fd)
{
    char prefix[EXTRACT_PATH_MAX + 1];
    bool opaque = false;
    size_t n = strlen(path);

    for (size_t at = 0; at < n;) {
        size_t len = strcspn(path + at, "/");
        cleanup_fd int fd = -1;
        char value;
        struct stat st;
        snprintf(prefix, sizeof prefix, "%.*s", (int)(at + len), path);
        fd = extract_open(lower, prefix, O_PATH | O_NOFOLLOW);
        if (fd < 0)
            return opaque ? FIND_NOWHERE : FIND_BELOW;
        if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
            return FIND_NOWHERE;
        close(steal_fd(&fd));
        fd = extract_open(lower, prefix, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
            return FIND_NOWHERE;
        if (fgetxattr(fd, OVERLAY_OPAQUE, &value, 1) == 1 && value == 'y')
            opaque = true;
        at += len + 1;
        if (at >= n)
            *ret_fd = steal_fd(&fd);
    }
    return FIND_HERE;
}

static void copy_xattrs(int from, int to)
{
    char names[65536], value[65536];
    ssize_t n = flistxattr(from, names, sizeof names);

    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
        ssize_t size;
        if (!extract_xattr_allowed(names + i))
            continue;
        size = fgetxattr(from, names + i, value, sizeof value);
        if (size >= 0)
            (void)fsetxattr(to, names + i, value, (size_t)size, 0);
    }
}

static int inherit(struct extract *x, const char *path, int from, struct error *err)
{
    cleanup_fd int to = extract_open(x->root, path, O_RDONLY | O_DIRECTORY);
    struct stat st;

    if (to < 0)
        return 0; /* replaced by something else later in the archive */
    if (from < 0) {
        struct timespec none[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
        (void)futimens(to, none);
        return 0;
    }
    if (fstat(from, &st) < 0 || (!x->options.squash && fchown(to, st.st_uid, st.st_gid) < 0) ||
        fchmod(to, st.st_mode & 07777) < 0)
        return error_set_errno(err, -errno, "inherit the attributes of directory %s", path);
    copy_xattrs(from, to);
    if (futimens(to, (struct timespec[2]){st.st_atim, st.st_mtim}) < 0)
        return error_set_errno(err, -errno, "inherit the attributes of directory %s", path);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int extract_inherit(struct extract *x, const int *lowers, size_t count, struct error *err)
{
    cleanup_free const char **entries = NULL;

    if (!x->result.implicit)
        return 0;
    /* Those that got an entry after all are left alone. */
    entries = mem_alloc(x->late_count + 1, sizeof *entries);
    if (!entries)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < x->late_count; i++)
        entries[i] = x->late[i].path;
    qsort(entries, x->late_count, sizeof *entries, compare);
    for (size_t i = 0; i < x->result.implicit; i++) {
        enum find found = FIND_BELOW;
        cleanup_fd int from = -1;
        int r;
        if (bsearch(&x->implicit[i], entries, x->late_count, sizeof *entries, compare))
            continue;
        for (size_t k = 0; k < count && found == FIND_BELOW; k++)
            found = find_in(lowers[k], x->implicit[i], &from);
        r = inherit(x, x->implicit[i], from, err);
        if (r < 0)
            return r;
    }
    return 0;
}
