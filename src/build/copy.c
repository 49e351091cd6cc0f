/* SPDX-License-Identifier: Apache-2.0 */
#include "build/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "build/rootfs.h"
#include "build/words.h"
#include "image/writer.h"

enum { DEPTH_MAX = 500, SOURCES_MAX = 100000, STEP = 256 << 10, ATTRIBUTE_MAX = 64 << 10 };

/* --- directories --- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The sorted names in the directory @fd (borrowed). NULL with errno. */
static char **list_names(int fd, size_t *ret_n)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    char **names = mem_alloc(1, sizeof(*names));
    struct dirent *e;
    size_t n = 0;

    if (!d && own >= 0)
        close(own);
    while (d && names && (e = readdir(d))) {
        char **more;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        more = realloc(names, (n + 2) * sizeof(*names));
        if (more) {
            names = more;
            names[n] = strdup(e->d_name);
        }
        if (!more || !names[n++]) {
            names[n ? n - 1 : 0] = NULL;
            words_free(names);
            names = NULL;
            break;
        }
        names[n] = NULL;
    }
    if (d)
        closedir(d);
    else
        words_free(steal_ptr(&names));
    if (names)
        qsort(names, n, sizeof(*names), compare);
    *ret_n = n;
    return names;
}

static bool left_out(const struct copy_how *how, const char *path)
{
    return ignore_matches(how->ignore, path) || ignore_matches(how->exclude, path);
}

/* Whether a directory that is left out has to be looked into all the same. */
static bool look_inside(const struct copy_how *how)
{
    return ignore_has_exceptions(how->ignore) || ignore_has_exceptions(how->exclude);
}

/* --- sources --- */

void copy_sources_done(struct copy_sources *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->paths[i]);
    free(s->paths);
    memset(s, 0, sizeof(*s));
}

static int add_source(struct copy_sources *s, const char *path, struct error *err)
{
    char **more;

    if (s->count == SOURCES_MAX)
        return error_set(err, -E2BIG, "more than %d sources", SOURCES_MAX);
    more = realloc(s->paths, (s->count + 1) * sizeof(*more));
    if (more)
        s->paths = more;
    if (!more || !(s->paths[s->count] = strdup(path)))
        return error_set_errno(err, -ENOMEM, "find sources");
    s->count++;
    return 0;
}

/* Follows @pattern, of which the components before are @at. */
static int find(int root, const char *at, const char *pattern, const struct copy_how *how,
                struct copy_sources *s, struct error *err)
{
    size_t n = strcspn(pattern, "/"), count;
    const char *rest = pattern + n + (pattern[n] == '/');
    cleanup_free char *one = strndup(pattern, n);
    cleanup_fd int fd = -1;
    char **names;
    int r = 0;

    if (!one)
        return error_set_errno(err, -ENOMEM, "find sources");
    if (!n) {
        fd = root_open(root, at, O_PATH);
        if (fd < 0 ||
            (*at && left_out(how, at) && !(look_inside(how) && copy_is_directory(root, at))))
            return 0;
        return add_source(s, at, err);
    }
    if (!strpbrk(one, "*?[\\")) {
        cleanup_free char *path = str_format("%s%s%s", at, *at ? "/" : "", one);
        return path ? find(root, path, rest, how, s, err) : -ENOMEM;
    }
    fd = root_open(root, at, O_RDONLY | O_DIRECTORY);
    names = fd < 0 ? NULL : list_names(fd, &count);
    for (size_t i = 0; names && r == 0 && i < count; i++) {
        cleanup_free char *path = str_format("%s%s%s", at, *at ? "/" : "", names[i]);
        if (path && words_match(one, names[i], '\\'))
            r = find(root, path, rest, how, s, err);
    }
    words_free(names);
    return r;
}

int copy_find(int root, const char *pattern, const struct copy_how *how, struct copy_sources *ret,
              struct error *err)
{
    struct copy_sources s = {0};
    char clean[PATH_MAX];
    int r;

    if (!path_clean(pattern, clean, sizeof(clean)))
        return error_set(err, -EINVAL, "\"%.100s\" leads out of the context", pattern);
    r = find(root, "", clean, how, &s, err);
    if (r == 0 && !s.count)
        r = error_set(err, -ENOENT, "there is no \"%.200s\"%s", pattern,
                      how->ignore ? " in the context, or .dockerignore leaves it out" : "");
    if (r < 0)
        copy_sources_done(&s);
    else
        *ret = s;
    return r;
}

bool copy_is_directory(int root, const char *path)
{
    cleanup_fd int fd = root_open(root, path, O_PATH | O_DIRECTORY);

    return fd >= 0;
}

/* --- attributes --- */

static mode_t mode_of(const struct stat *st, const struct copy_how *how)
{
    if (!how->moded)
        return st->st_mode & 07777;
    return S_ISDIR(st->st_mode) ? how->mode | (how->mode & 0444) >> 2 : how->mode;
}

/* What a program relies on: its capabilities, and its user's own attributes. */
static bool attribute_kept(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (str_starts(name, "user.") && !str_starts(name, "user.overlay."));
}

static void copy_attributes(int from, int to)
{
    char names[4096];
    ssize_t n = flistxattr(from, names, sizeof(names));
    cleanup_free char *value = n > 0 ? malloc(ATTRIBUTE_MAX) : NULL;

    for (ssize_t i = 0; value && i < n; i += (ssize_t)strlen(names + i) + 1) {
        ssize_t len;
        if (!attribute_kept(names + i))
            continue;
        len = fgetxattr(from, names + i, value, ATTRIBUTE_MAX);
        if (len >= 0)
            (void)!fsetxattr(to, names + i, value, (size_t)len, 0);
    }
}

/* Owner, mode and times of @name in @to (@fd: opened, or -1 for a link). */
static int set_facts(int to, const char *name, int fd, const struct stat *st,
                     const struct copy_how *how)
{
    struct timespec times[2] = {st->st_mtim, st->st_mtim};
    uid_t uid = how->owned ? how->uid : st->st_uid;
    gid_t gid = how->owned ? how->gid : st->st_gid;

    if (fchownat(to, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (fd >= 0 && fchmod(fd, mode_of(st, how)) < 0) /* after the owner, who takes set-id away */
        return -errno;
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* --- one walk for both: hashing, or copying --- */

struct walk {
    const struct copy_how *how;
    struct hash *hash; /* NULL: copy */
    struct error *err;
    char path[PATH_MAX]; /* below the source's root */
    unsigned depth;
};

static int complain(struct walk *w, int code, const char *what)
{
    return error_set_errno(w->err, code, "%s %s", what, w->path[0] ? w->path : ".");
}

static int file_data(struct walk *w, int from, int to)
{
    cleanup_free char *buf = malloc(STEP);
    struct hash *file = w->hash ? hash_new() : NULL;
    struct digest d;
    int r = !buf || (w->hash && !file) ? -ENOMEM : 0;

    while (r == 0) {
        ssize_t n = read(from, buf, STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        if (file)
            hash_add(file, buf, (size_t)n);
        for (ssize_t put = 0, done; r == 0 && !file && put < n; put += done) {
            done = write(to, buf + put, (size_t)(n - put));
            if (done < 0) {
                r = errno == EINTR ? 0 : -errno;
                done = 0;
            }
        }
    }
    if (r == 0 && file) {
        hash_get(file, &d);
        hash_add(w->hash, d.text, strlen(d.text));
    }
    hash_free(file);
    return r;
}

static void hash_facts(struct walk *w, const char *shown, const struct stat *st)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%o %u %u %zu ",
                     (unsigned)(st->st_mode & S_IFMT) | mode_of(st, w->how),
                     w->how->owned ? w->how->uid : st->st_uid,
                     w->how->owned ? w->how->gid : st->st_gid, strlen(shown));

    hash_add(w->hash, text, (size_t)n);
    hash_add(w->hash, shown, strlen(shown));
}

static int one_file(struct walk *w, int dir, const char *name, const struct stat *st, int to,
                    const char *as)
{
    cleanup_fd int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    cleanup_fd int out = -1;
    struct stat now;
    int r;

    if (from < 0 || fstat(from, &now) < 0 || !S_ISREG(now.st_mode))
        return complain(w, from < 0 ? -errno : -EINVAL, "read");
    if (w->hash) {
        r = file_data(w, from, -1);
        return r < 0 ? complain(w, r, "read") : 0;
    }
    if (unlinkat(to, as, 0) < 0 && errno != ENOENT)
        return complain(w, -errno, "replace what is there by");
    out = openat(to, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return complain(w, -errno, "write");
    r = file_data(w, from, out);
    if (r == 0)
        r = set_facts(to, as, out, st, w->how);
    if (r == 0)
        copy_attributes(from, out);
    return r < 0 ? complain(w, r, "copy") : 0;
}

static int one_link(struct walk *w, int dir, const char *name, const struct stat *st, int to,
                    const char *as)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
    int r;

    if (n < 0)
        return complain(w, -errno, "read");
    target[n] = 0;
    if (w->hash) {
        hash_add(w->hash, target, (size_t)n);
        return 0;
    }
    if (unlinkat(to, as, 0) < 0 && errno != ENOENT)
        return complain(w, -errno, "replace what is there by");
    r = symlinkat(target, to, as) < 0 ? -errno : set_facts(to, as, -1, st, w->how);
    return r < 0 ? complain(w, r, "copy") : 0;
}

static int entry(struct walk *w, int dir, const char *name, int to, const char *as);

/* What is in the directory @from goes to @to (-1: hashing). */
static int contents(struct walk *w, int from, int to)
{
    size_t n, len = strlen(w->path);
    char **names = list_names(from, &n);
    int r = names ? 0 : complain(w, errno ? -errno : -ENOMEM, "read");

    if (r == 0 && ++w->depth > DEPTH_MAX)
        r = complain(w, -ELOOP, "copy");
    for (size_t i = 0; r == 0 && i < n; i++) {
        if ((size_t)snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "/" : "",
                             names[i]) >= sizeof(w->path) - len)
            r = complain(w, -ENAMETOOLONG, "copy");
        else
            r = entry(w, from, names[i], to, names[i]);
        w->path[len] = 0;
    }
    w->depth--;
    words_free(names);
    return r;
}

static int one_directory(struct walk *w, int dir, const char *name, const struct stat *st, int to,
                         const char *as, bool wanted)
{
    cleanup_fd int from = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_fd int out = -1;
    int r;

    if (from < 0)
        return complain(w, -errno, "read");
    if (w->hash)
        return contents(w, from, -1);
    if (wanted && mkdirat(to, as, 0700) < 0 && errno != EEXIST)
        return complain(w, -errno, "make the directory");
    out = openat(to, as, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out < 0 && !wanted && errno == ENOENT) {
        /* Left out itself, but something below may be in. */
        if (mkdirat(to, as, 0755) < 0)
            return complain(w, -errno, "make the directory");
        out = openat(to, as, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (out >= 0 && (r = contents(w, from, out)) < 0)
            return r;
        if (unlinkat(to, as, AT_REMOVEDIR) == 0) /* it was not */
            return 0;
        return out < 0 ? complain(w, -errno, "make the directory") : 0;
    }
    if (out < 0)
        return complain(w, -errno, "make the directory");
    r = contents(w, from, out);
    if (r == 0 && wanted && (r = set_facts(to, as, out, st, w->how)) < 0)
        r = complain(w, r, "make the directory");
    return r;
}

static int entry(struct walk *w, int dir, const char *name, int to, const char *as)
{
    bool wanted = !left_out(w->how, w->path);
    struct stat st;

    if (!wanted && !look_inside(w->how))
        return 0;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return complain(w, -errno, "look at");
    if (!wanted && !S_ISDIR(st.st_mode))
        return 0;
    if (w->hash && wanted)
        hash_facts(w, w->path, &st);
    if (S_ISDIR(st.st_mode))
        return one_directory(w, dir, name, &st, to, as, wanted);
    if (S_ISREG(st.st_mode))
        return one_file(w, dir, name, &st, to, as);
    if (S_ISLNK(st.st_mode))
        return one_link(w, dir, name, &st, to, as);
    if (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode))
        return 0; /* have no contents to bring */
    return complain(w, -EPERM, "copy the device");
}

/* The directory that holds @path with the name it has there, after following a link. */
static int open_parent(int root, const char *path, int *ret_dir, char *name, struct error *err)
{
    cleanup_fd int fd = root_open(root, path, O_PATH);
    char link[64], full[PATH_MAX], top[PATH_MAX], *slash;
    ssize_t n, m;

    if (fd < 0)
        return error_set_errno(err, fd, "open %s", path);
    /* Both names are the kernel's for what is open, so that the rest is a path without links. */
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, full, sizeof(full) - 1);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
    m = readlink(link, top, sizeof(top) - 1);
    if (n <= 0 || m <= 0)
        return error_set_errno(err, -errno, "open %s", path);
    full[n] = 0;
    top[m] = 0;
    if (strcmp(top, "/") == 0)
        m = 0;
    if (strncmp(full, top, (size_t)m) != 0 || full[m] != '/')
        return error_set(err, -EXDEV, "%s is not below its root", path);
    slash = strrchr(full + m, '/');
    snprintf(name, NAME_MAX + 1, "%.255s", slash + 1);
    *slash = 0;
    *ret_dir = root_open(root, full + m + (full[m] == '/'), O_PATH | O_DIRECTORY);
    return *ret_dir < 0 ? error_set_errno(err, *ret_dir, "open %s", path) : 0;
}

static int walk(int root, const char *path, int to, const char *name, const struct copy_how *how,
                struct hash *hash, struct error *err)
{
    struct walk w = {.how = how, .hash = hash, .err = err};
    cleanup_fd int dir = -1;
    char leaf[NAME_MAX + 1];
    int r;

    snprintf(w.path, sizeof(w.path), "%s", path);
    if (copy_is_directory(root, path)) {
        cleanup_fd int from = root_open(root, path, O_RDONLY | O_DIRECTORY);
        cleanup_fd int own = to < 0 ? -1 : openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return from < 0 ? complain(&w, from, "read") : contents(&w, from, own);
    }
    r = open_parent(root, path, &dir, leaf, err);
    return r < 0 ? r : entry(&w, dir, leaf, to, name);
}

int copy_hash(int root, const char *path, const struct copy_how *how, struct hash *hash,
              struct error *err)
{
    return walk(root, path, -1, "", how, hash, err);
}

int copy_tree(int root, const char *path, int to, const char *name, const struct copy_how *how,
              struct error *err)
{
    return walk(root, path, to, name, how, NULL, err);
}
