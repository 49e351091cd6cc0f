/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer_export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/change.h"
#include "image/extract_internal.h"
#include "image/layer_pack.h"
#include "image/mount_mark.h"

enum { DEPTH_MAX = 1000, STEP = 256 << 10, XATTR_MAX = 65536 };

struct export
{
    struct tar_writer *tar;
    json_t *links;    /* "DEV:INO" of files with several names -> the first one */
    long long latest; /* SOURCE_DATE_EPOCH, -1: none */
    char *buf;        /* STEP bytes */
};

static int export_dir(struct export *x, int fd, const char *path, int depth, struct error *err);

/* Whether the file has the overlay mark @name, of either kind, and its first byte. */
static bool has_mark(int fd, const char *name, char *ret_value)
{
    static const char *const kinds[] = {"user", "trusted"};
    char key[64];

    for (size_t i = 0; i < array_size(kinds); i++) {
        char value[256] = "";
        snprintf(key, sizeof key, "%s.overlay.%s", kinds[i], name);
        if (fgetxattr(fd, key, value, sizeof value) >= 0) {
            *ret_value = value[0];
            return true;
        }
    }
    return false;
}

static void set_time(const struct export *x, struct tar_entry *e, const struct stat *st)
{
    e->mtime = st->st_mtim.tv_sec;
    e->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
    if (x->latest >= 0 && e->mtime >= x->latest) {
        e->mtime = x->latest;
        e->mtime_ns = 0;
    }
}

static void free_xattrs(struct tar_xattr *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i].name);
    free(list);
}

/* The attributes that belong into an image. */
static int read_xattrs(int fd, struct tar_entry *e, struct error *err)
{
    cleanup_free char *names = malloc(XATTR_MAX);
    struct tar_xattr *list = NULL;
    size_t count = 0;
    ssize_t n = names ? flistxattr(fd, names, XATTR_MAX) : -1;

    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        size_t len = strlen(names + at);
        struct tar_xattr *grown;
        ssize_t size;
        char *text;
        if (!extract_xattr_allowed(names + at) || (size = fgetxattr(fd, names + at, NULL, 0)) < 0)
            continue;
        text = malloc(len + 1 + (size_t)size + 1);
        grown = text ? realloc(list, (count + 1) * sizeof *list) : NULL;
        if (!grown) {
            free(text);
            free_xattrs(list, count);
            return error_set(err, -ENOMEM, "out of memory");
        }
        list = grown;
        memcpy(text, names + at, len + 1);
        size = fgetxattr(fd, text, text + len + 1, (size_t)size);
        list[count++] = (struct tar_xattr){text, text + len + 1, size > 0 ? (size_t)size : 0};
    }
    e->xattrs = list;
    e->xattr_count = count;
    return 0;
}

/* Exactly the bytes that the header announced, whatever happens to the file meanwhile. */
static int write_content(struct export *x, int fd, uint64_t size, struct error *err)
{
    bool end = false;

    while (size) {
        size_t want = (size_t)min_of(size, (uint64_t)STEP);
        ssize_t n = end ? 0 : read(fd, x->buf, want);
        int r;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, -errno, "read it");
        if (n == 0) {
            end = true;
            memset(x->buf, 0, want);
            n = (ssize_t)want;
        }
        r = tar_write_data(x->tar, x->buf, (size_t)n, err);
        if (r < 0)
            return r;
        size -= (uint64_t)n;
    }
    return 0;
}

/* Less of holes is not worth a map. */
#define HOLES_MIN (1u << 20)

/* Where data lies in the file, if it has many holes. @ret_extents is new, NULL: it is dense. */
static void find_extents(int fd, uint64_t size, struct tar_extent **ret_extents, size_t *ret_count)
{
    struct tar_extent *list = NULL;
    uint64_t at = 0, data = 0;
    size_t n = 0;

    while (at < size) {
        off_t from = lseek(fd, (off_t)at, SEEK_DATA), to;
        struct tar_extent *grown;
        if (from < 0 && errno == ENXIO)
            break; /* the rest is a hole */
        to = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);
        grown = to <= from || n == TAR_EXTENTS_MAX ? NULL : realloc(list, (n + 1) * sizeof *list);
        if (!grown) { /* not known here, in too many pieces, or it changes: all of it */
            free(list);
            return;
        }
        list = grown;
        to = (off_t)min_of((uint64_t)to, size);
        if ((uint64_t)from >= size)
            break;
        list[n++] = (struct tar_extent){(uint64_t)from, (uint64_t)(to - from)};
        data += (uint64_t)(to - from);
        at = (uint64_t)to;
    }
    if (size - data < HOLES_MIN) {
        free(list);
        return;
    }
    if (!list)
        list = mem_new(struct tar_extent); /* all of it is a hole: no extent, and still a map */
    *ret_extents = list;
    *ret_count = n;
}

static int write_extents(struct export *x, int fd, const struct tar_entry *e, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < e->extent_count; i++) {
        if (lseek(fd, (off_t)e->extents[i].offset, SEEK_SET) < 0)
            return error_set_errno(err, -errno, "read it");
        r = write_content(x, fd, e->extents[i].size, err);
    }
    return r;
}

static int write_mark(struct export *x, const char *dir, const char *name, struct error *err)
{
    cleanup_free char *path = str_format("%s%s%s", dir, *dir ? "/" : "", name);

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    return tar_write_entry(x->tar, &(struct tar_entry){.type = TAR_FILE, .path = path, .link = ""},
                           err);
}

static int export_whiteout(struct export *x, const char *dir, const char *name, struct error *err)
{
    cleanup_free char *mark = str_format(".wh.%s", name);

    return mark ? write_mark(x, dir, mark, err) : error_set(err, -ENOMEM, "out of memory");
}

/* 1: it is another name of a file that was written. */
static int export_link(struct export *x, const struct stat *st, struct tar_entry *e,
                       struct error *err)
{
    char key[64];
    const char *first;

    snprintf(key, sizeof key, "%llx:%llx", (unsigned long long)st->st_dev,
             (unsigned long long)st->st_ino);
    first = json_string_value(json_object_get(x->links, key));
    if (!first) {
        if (json_object_set_new(x->links, key, json_string_nocheck(e->path)) < 0)
            return error_set(err, -ENOMEM, "out of memory");
        return 0;
    }
    e->type = TAR_HARDLINK;
    e->link = first;
    e->size = 0;
    return tar_write_entry(x->tar, e, err) < 0 ? err->code : 1;
}

static int export_file(struct export *x, int dir, const char *dir_path, const char *name,
                       const struct stat *st, struct tar_entry *e, struct error *err)
{
    cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct tar_extent *extents = NULL;
    char value;
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "open it");
    if (st->st_size == 0 && has_mark(fd, "whiteout", &value))
        return export_whiteout(x, dir_path, name, err);
    if (has_mark(fd, "metacopy", &value))
        return error_set(err, -ENOTSUP, "overlayfs has only its attributes here (metacopy)");
    e->type = TAR_FILE;
    e->size = (uint64_t)st->st_size;
    r = st->st_nlink > 1 ? export_link(x, st, e, err) : 0;
    if (r)
        return r < 0 ? r : 0;
    if (e->size >= HOLES_MIN)
        find_extents(fd, e->size, &extents, &e->extent_count);
    e->extents = extents;
    e->sparse = extents != NULL;
    r = read_xattrs(fd, e, err);
    if (r == 0)
        r = tar_write_entry(x->tar, e, err);
    if (r == 0)
        r = lseek(fd, 0, SEEK_SET) < 0 ? error_set_errno(err, -errno, "read it")
            : extents                  ? write_extents(x, fd, e, err)
                                       : write_content(x, fd, e->size, err);
    free(extents);
    e->extents = NULL;
    return r;
}

static int export_subdir(struct export *x, int dir, const char *name, struct tar_entry *e,
                         int depth, struct error *err)
{
    cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_free char *slash = str_format("%s/", e->path);
    const char *path = e->path;
    char value = 0;
    int r;

    if (fd < 0 || !slash)
        return error_set_errno(err, -errno, "open it");
    if (has_mark(fd, "redirect", &value))
        return error_set(err, -ENOTSUP, "overlayfs has moved this directory (redirect)");
    e->type = TAR_DIR;
    e->path = slash;
    r = read_xattrs(fd, e, err);
    if (r == 0)
        r = tar_write_entry(x->tar, e, err);
    if (r == 0 && has_mark(fd, "opaque", &value) && value == 'y')
        r = write_mark(x, path, ".wh..wh..opq", err);
    return r < 0 ? r : export_dir(x, steal_fd(&fd), path, depth + 1, err);
}

static int export_symlink(struct export *x, int dir, const char *name, struct tar_entry *e,
                          struct error *err)
{
    char target[EXTRACT_PATH_MAX + 1];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);

    if (n < 0)
        return error_set_errno(err, -errno, "read the link");
    target[n] = 0;
    e->type = TAR_SYMLINK;
    e->link = target;
    return tar_write_entry(x->tar, e, err);
}

static int export_entry(struct export *x, int dir, const char *dir_path, const char *name,
                        int depth, struct error *err)
{
    cleanup_free char *path = str_format("%s%s%s", dir_path, *dir_path ? "/" : "", name);
    struct tar_entry e = {.path = path, .link = ""};
    struct stat st;
    int r = 0;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(err, -errno, "%s: look at it", path);
    if (mount_mark_hides(dir, name, &st))
        return 0;
    e.mode = st.st_mode & 07777;
    e.uid = st.st_uid;
    e.gid = st.st_gid;
    set_time(x, &e, &st);
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        r = export_file(x, dir, dir_path, name, &st, &e, err);
        break;
    case S_IFDIR:
        r = export_subdir(x, dir, name, &e, depth, err);
        break;
    case S_IFLNK:
        r = export_symlink(x, dir, name, &e, err);
        break;
    case S_IFIFO:
        e.type = TAR_FIFO;
        r = tar_write_entry(x->tar, &e, err);
        break;
    case S_IFCHR:
    case S_IFBLK:
        if (extract_is_whiteout(&st)) {
            r = export_whiteout(x, dir_path, name, err);
            break;
        }
        e.type = S_ISCHR(st.st_mode) ? TAR_CHAR : TAR_BLOCK;
        e.major = major(st.st_rdev);
        e.minor = minor(st.st_rdev);
        r = tar_write_entry(x->tar, &e, err);
        break;
    default:
        break; /* sockets live with their process */
    }
    free_xattrs((struct tar_xattr *)(uintptr_t)e.xattrs, e.xattr_count);
    return r < 0 && !strstr(error_text(err), path) ? error_wrap(err, r, "%s", path) : r;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in the directory @d, sorted. */
static int read_names(DIR *d, char ***ret, size_t *ret_count, struct error *err)
{
    size_t count = 0, cap = 0;
    char **list = NULL;
    struct dirent *e;

    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (count == cap) {
            char **grown = realloc(list, (cap = cap ? 2 * cap : 32) * sizeof *list);
            if (!grown)
                break;
            list = grown;
        }
        list[count] = strdup(e->d_name);
        if (!list[count])
            break;
        count++;
    }
    if (e) {
        while (count)
            free(list[--count]);
        free(list);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (count)
        qsort(list, count, sizeof *list, compare);
    *ret = list;
    *ret_count = count;
    return 0;
}

/* Takes @fd. */
static int export_dir(struct export *x, int fd, const char *path, int depth, struct error *err)
{
    DIR *d = fdopendir(fd);
    char **names = NULL;
    size_t count = 0;
    int r;

    if (!d) {
        r = error_set_errno(err, -errno, "read directory %s", path);
        close(fd);
        return r;
    }
    r = depth < DEPTH_MAX ? read_names(d, &names, &count, err)
                          : error_set(err, -ELOOP, "%.200s...: too many directories", path);
    for (size_t i = 0; i < count; i++) {
        if (r == 0)
            r = export_entry(x, dirfd(d), path, names[i], depth, err);
        free(names[i]);
    }
    free(names);
    closedir(d);
    return r;
}

/* All of directory @dir, or of @name in it. */
static int export_from(int dir, const char *name, tar_sink_fn *sink, void *opaque,
                       struct error *err)
{
    struct error own = {0};
    struct export x = {.tar = tar_writer_new(sink, opaque),
                       .links = json_object(),
                       .latest = image_source_date(),
                       .buf = malloc(STEP)};
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

    if (!err)
        err = &own;
    if (fd < 0) {
        r = error_set_errno(err, -errno, "open the directory");
    } else if (!x.tar || !x.links || !x.buf) {
        close(fd);
        r = error_set(err, -ENOMEM, "out of memory");
    } else if (name) {
        r = export_entry(&x, fd, "", name, 0, err);
        close(fd);
    } else {
        r = export_dir(&x, fd, "", 0, err);
    }
    if (r == 0)
        r = tar_write_end(x.tar, err);
    tar_writer_free(x.tar);
    json_decref(x.links);
    free(x.buf);
    return r;
}

int layer_export(int upper, tar_sink_fn *sink, void *opaque, struct error *err)
{
    return export_from(upper, NULL, sink, opaque, err);
}

int layer_export_entry(int dir, const char *name, tar_sink_fn *sink, void *opaque,
                       struct error *err)
{
    return export_from(dir, name, sink, opaque, err);
}

int layer_from_upper(struct image_store *store, int upper, enum encode_kind kind,
                     const struct layer *parents, size_t parent_count, struct layer *ret,
                     struct error *err)
{
    struct layer_pack *pack;
    int r = layer_pack_begin(store, kind, &pack, err);

    if (r < 0)
        return r;
    r = layer_export(upper, layer_pack_write, pack, err);
    if (r < 0) {
        layer_pack_abort(pack);
        return r;
    }
    return layer_pack_finish(pack, parents, parent_count, NULL, ret, err);
}
