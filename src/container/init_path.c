/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a container are reached through here alone: openat2 with RESOLVE_IN_ROOT, from a
 * descriptor of a mount that is ours, to a descriptor that is then acted on. No path of a container
 * is used as a string a second time, so that a rename between two steps changes nothing that
 * matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "container/init_internal.h"
#include "image/mount_mark.h"

enum { PATH_LINKS_MAX = 40, PATH_TEXT_MAX = 4096 };

static int open_in(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_PATH | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long r;
    /* EAGAIN: a rename or mount raced with "..". */
    for (int tries = 0; tries < 128; tries++) {
        r = sys(openat2, root, path, &how, sizeof how);
        if (r != -EAGAIN && r != -EINTR)
            break;
    }
    return (int)r;
}

/* Makes the last component @name of what is missing, in directory @parent. */
static int make(int parent, const char *name, bool directory, bool mark)
{
    long fd = directory ? sys(mkdirat, parent, name, 0755)
                        : sys(openat, parent, name,
                              O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
    if (fd < 0)
        return (int)fd;
    if (directory && !mark)
        return 0;
    if (directory)
        fd = sys(openat, parent, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_RDONLY);
    /* A file system without such attributes: it will be seen as a change. */
    if (fd >= 0 && mark)
        sys(fsetxattr, fd, MOUNT_MARK, "y", 1, 0);
    if (fd >= 0)
        sys(close, fd);
    return 0;
}

/*
 * Where a component is a symbolic link to nothing: @path becomes the link's target (below @prefix
 * when it is relative) with the rest appended. -EEXIST when it is no link.
 */
static int follow(int parent, const char *name, char *path, size_t prefix, size_t end)
{
    char target[PATH_TEXT_MAX], rest[PATH_TEXT_MAX];
    long n = sys(readlinkat, parent, name, target, sizeof target - 1);
    if (n < 0)
        return n == -EINVAL ? -EEXIST : (int)n;
    target[n] = '\0';
    struct line copy = {rest, sizeof rest, 0};
    rest[0] = '\0';
    line_add(&copy, path + end);
    size_t start = target[0] == '/' ? 0 : prefix;
    if (start + (size_t)n + 1 + copy.len + 1 > PATH_TEXT_MAX)
        return -ENAMETOOLONG;
    struct line l = {path, PATH_TEXT_MAX, start};
    path[start] = '\0';
    line_add(&l, target);
    line_add(&l, rest);
    return 0;
}

/* Makes the first component of @path that is missing. 1 when the path is there already. */
static int make_next(int root, char *path, unsigned kind, unsigned *links)
{
    size_t at = 0;
    for (;;) {
        size_t start = at + (path[at] == '/');
        while (path[start] == '/')
            start++;
        size_t end = start;
        while (path[end] && path[end] != '/')
            end++;
        if (end == start)
            return 1;
        size_t after = end;
        while (path[after] == '/')
            after++;
        char kept = path[end];
        path[end] = '\0';
        int fd = open_in(root, path, 0);
        if (fd >= 0) {
            sys(close, fd);
            path[end] = kept;
            at = end;
            continue;
        }
        char name[256];
        struct line l = {name, sizeof name, 0};
        name[0] = '\0';
        line_add(&l, path + start);
        path[end] = kept;
        if (fd != -ENOENT)
            return fd;
        if (end - start > 255)
            return -ENAMETOOLONG;
        char first = path[start];
        path[start] = '\0';
        int parent = open_in(root, start ? path : ".", O_DIRECTORY);
        path[start] = first;
        if (parent < 0)
            return parent;
        bool directory = (kind & PATH_KIND) == PATH_DIRECTORY || path[after] != '\0';
        int r = make(parent, name, directory, kind & PATH_MARK);
        if (r == -EEXIST && ++*links <= PATH_LINKS_MAX)
            r = follow(parent, name, path, start, end);
        sys(close, parent);
        return r == -EEXIST ? -ELOOP : r;
    }
}

/* The usual case: only the last component is missing. 0, or a negative errno to go the long way. */
static int make_last(int root, char *path, unsigned kind)
{
    size_t at = strlen(path);
    while (at && path[at - 1] != '/')
        at--;
    char first = path[at];
    if (!first)
        return -EINVAL;
    path[at] = '\0';
    int parent = open_in(root, at ? path : ".", O_DIRECTORY);
    path[at] = first;
    if (parent < 0)
        return parent;
    int r = make(parent, path + at, (kind & PATH_KIND) == PATH_DIRECTORY, kind & PATH_MARK);
    sys(close, parent);
    return r;
}

int path_open(int root, const char *path, unsigned kind, int extra)
{
    int fd = open_in(root, *path ? path : ".", extra);
    if (fd != -ENOENT || kind == PATH_EXISTING)
        return fd;
    char buffer[PATH_TEXT_MAX];
    if (strlen(path) + 1 >= sizeof buffer)
        return -ENAMETOOLONG;
    struct line l = {buffer, sizeof buffer, 0};
    line_add(&l, path);
    unsigned links = 0;
    if (make_last(root, buffer, kind) == 0)
        return open_in(root, buffer, extra);
    for (unsigned steps = 0; steps < PATH_TEXT_MAX; steps++) {
        int r = make_next(root, buffer, kind, &links);
        if (r < 0)
            return r;
        if (r == 1)
            break;
    }
    /* From the top once more: what is used is what the whole path leads to now. */
    return open_in(root, buffer, extra);
}

/* First without opening it for real: opening a device or pipe could do something. */
int path_read(int root, const char *path, size_t max, size_t *ret_size)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    struct statx st;
    int fd = open_in(root, path, 0);
    for (int step = 0;; step++) {
        int r = fd < 0 ? fd : (int)sys(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &st);
        if (r == 0 && ((st.stx_mode & S_IFMT) != S_IFREG || st.stx_size > max))
            r = -EINVAL;
        if (r == 0 && step == 1) {
            *ret_size = st.stx_size;
            return fd;
        }
        if (fd >= 0)
            sys(close, fd);
        if (r < 0)
            return r;
        fd = (int)sys(openat2, root, path, &how, sizeof how);
    }
}

/* The mount of ours that @path lies in, and the rest of the path from there. */
static int anchor(struct init *i, const char **path)
{
    const struct {
        const char *prefix;
        int fd;
    } places[] = {{"/dev", i->dev}, {"/proc", i->proc}, {"/sys", i->sys}};
    for (unsigned k = 0; k < sizeof places / sizeof places[0]; k++) {
        size_t n = strlen(places[k].prefix);
        const char *rest = *path + n;
        if (places[k].fd < 0 || !text_starts(*path, places[k].prefix) || *rest != '/')
            continue;
        /* ".." would mean something else from here. */
        for (const char *p = rest; *p; p++)
            if (p[0] == '.' && p[1] == '.' && p[-1] == '/' && (!p[2] || p[2] == '/'))
                return i->root;
        while (*rest == '/')
            rest++;
        *path = rest;
        return places[k].fd;
    }
    return i->root;
}

int path_in_container(struct init *i, const char *path, unsigned kind, int extra)
{
    int root = anchor(i, &path);
    bool plain = *path != '\0';
    for (const char *p = path; *p; p++)
        plain &= *p != '/';
    /* In our /dev a directory at the top is new as a rule: one call instead of four. */
    if (plain && (kind & PATH_KIND) == PATH_DIRECTORY && root >= 0 && root == i->dev)
        sys(mkdirat, root, path, 0755);
    if (root != i->root || !(i->plan->flags & PLAN_MARK))
        kind &= PATH_KIND;
    return path_open(root, path, kind, extra);
}

int path_parent(struct init *i, const char *path, const char **ret_name)
{
    char buffer[PATH_TEXT_MAX];
    const char *name = path;
    for (const char *p = path; *p; p++)
        if (*p == '/' && p[1] && p[1] != '/')
            name = p + 1;
    if ((size_t)(name - path) + 1 >= sizeof buffer || !*name)
        return -EINVAL;
    memcpy(buffer, path, (size_t)(name - path));
    buffer[name - path] = '\0';
    *ret_name = name;
    if (name[strlen(name) - 1] == '/' || text_equal(name, ".") || text_equal(name, ".."))
        return -EINVAL;
    return path_in_container(i, buffer, PATH_DIRECTORY, O_DIRECTORY);
}
