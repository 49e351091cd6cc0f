/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves the store: names, images, and whatever the index does not know any more. Nothing is
 * deleted where it lies: a rename into trash/ takes it out of sight at once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/reference.h"
#include "image/store_internal.h"

enum { TREE_DEPTH_MAX = 4096 };

/* Deletes what is in the directory @fd, which it takes. Returns what had to stay. */
static int empty_dir(int fd, int depth)
{
    DIR *d = fdopendir(fd);
    struct dirent *e;
    int left = 0;

    if (!d) {
        close(fd);
        return 1;
    }
    while ((e = readdir(d))) {
        int sub;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (e->d_type != DT_DIR && unlinkat(dirfd(d), e->d_name, 0) == 0)
            continue;
        sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0 && errno == EACCES && fchmodat(dirfd(d), e->d_name, 0700, 0) == 0)
            sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0 && depth < TREE_DEPTH_MAX) {
            struct stat st;
            /* Others' rights do not matter here: a directory that its owner may not write to. */
            if (fstat(sub, &st) == 0 && (st.st_mode & 0700) != 0700)
                (void)fchmod(sub, 0700);
            left += empty_dir(sub, depth + 1);
        } else if (sub >= 0) {
            close(sub);
        }
        if (unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            left++;
    }
    closedir(d);
    return left;
}

int store_remove_tree(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), left;

    if (fd < 0)
        return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : 1;
    left = empty_dir(fd, 0);
    return unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? left : left + 1;
}

int image_sweep(struct image_store *s)
{
    int fd = openat(s->fd, "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? 0 : empty_dir(fd, 0);
}

int store_discard(struct image_store *s, const char *path, struct error *err)
{
    const char *leaf = strrchr(path, '/');
    char to[STORE_PATH_MAX];

    leaf = leaf ? leaf + 1 : path;
    for (unsigned i = 0;; i++) {
        snprintf(to, sizeof to, "trash/%.80s.%d.%u", leaf, (int)getpid(), i);
        if (renameat2(s->fd, path, s->fd, to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno == EINVAL && renameat(s->fd, path, s->fd, to) == 0)
            return 0;
        if (errno == ENOENT)
            return 0;
        if (errno != EEXIST || i == 1000)
            return error_set_errno(err, -errno, "remove %s/%s", s->dir, path);
    }
}

/* Bytes that @path takes: a file's, or those that layer.json tells of a layer. */
static uint64_t bytes_of(struct image_store *s, const char *path)
{
    char file[STORE_PATH_MAX + 16];
    struct stat st;
    char text[4096];
    uint64_t bytes = 0;

    if (fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (str_starts(path, "drives/")) /* which have holes */
        return (uint64_t)st.st_blocks * 512;
    if (S_ISREG(st.st_mode))
        return (uint64_t)st.st_size;
    snprintf(file, sizeof file, "%s/layer.json", path);
    {
        cleanup_fd int fd = openat(s->fd, file, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
        json_t *o = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
        bytes = (uint64_t)json_integer_value(json_object_get(o, "size"));
        json_decref(o);
    }
    return bytes;
}

/* What the index knows: digits of digests, as names of files. */
static json_t *known_names(const json_t *index)
{
    static const char *const texts[] = {"id", "manifest"};
    static const char *const lists[] = {"blobs", "chains"};
    json_t *known = json_object(), *images = json_object_get(index, "images"), *entry, *item;
    size_t i, j;

    json_array_foreach(images, i, entry)
    {
        for (size_t n = 0; n < array_size(texts); n++) {
            const char *t = store_entry_text(entry, texts[n]);
            if (store_digest_ok(t))
                json_object_set_new(known, t + strlen("sha256:"), json_true());
        }
        for (size_t n = 0; n < array_size(lists); n++) {
            json_array_foreach(json_object_get(entry, lists[n]), j, item)
            {
                const char *t = json_string_value(item);
                if (t && store_digest_ok(t))
                    json_object_set_new(known, t + strlen("sha256:"), json_true());
            }
        }
    }
    return known;
}

/*
 * Adds the layers that steps of builds left (build/build.h): records beside the store, each with a
 * layer's name as its first line. With @drop the records go instead.
 */
static void add_build_cache(struct image_store *s, json_t *known, bool drop)
{
    int fd = openat(s->fd, "../build/cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!d && fd >= 0)
        close(fd);
    while (d && (e = readdir(d))) {
        cleanup_fd int file = -1;
        char text[160];
        ssize_t n;
        if (strlen(e->d_name) != 64 || strspn(e->d_name, "0123456789abcdef") != 64)
            continue;
        file = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        n = file < 0 ? -1 : read(file, text, sizeof text - 1);
        text[max_of(n, (ssize_t)0)] = 0;
        text[strcspn(text, "\n")] = 0;
        if (drop && (store_digest_ok(text) || strcmp(text, "none") == 0))
            unlinkat(dirfd(d), e->d_name, 0);
        else if (store_digest_ok(text))
            json_object_set_new(known, text + strlen("sha256:"), json_true());
    }
    if (d)
        closedir(d);
}

/* What is done with each entry of @dir that is not among @known. */
struct visit {
    struct image_store *store;
    bool discard; /* otherwise it is only counted */
    size_t kept, dropped;
    uint64_t kept_bytes, dropped_bytes;
};

static int visit_dir(struct visit *v, const char *dir, const json_t *known, struct error *err)
{
    int fd = openat(v->store->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return error_set_errno(err, -errno, "read %s/%s", v->store->dir, dir);
    }
    while (r == 0 && (e = readdir(d))) {
        char path[STORE_PATH_MAX];
        uint64_t bytes;
        if (e->d_name[0] == '.' || strlen(e->d_name) > 80)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        bytes = bytes_of(v->store, path);
        if (known && json_object_get(known, e->d_name)) {
            v->kept++;
            v->kept_bytes += bytes;
            continue;
        }
        v->dropped++;
        v->dropped_bytes += bytes;
        if (v->discard)
            r = store_discard(v->store, path, err);
    }
    closedir(d);
    return r;
}

int store_collect(struct image_store *s, const json_t *index, unsigned also, uint64_t *bytes,
                  struct error *err)
{
    struct visit v = {.store = s, .discard = true};
    json_t *known = known_names(index);
    int r = visit_dir(&v, "blobs/sha256", known, err);

    add_build_cache(s, known, also & STORE_BUILD_CACHE);
    if (r == 0)
        r = visit_dir(&v, "layers", known, err);
    if (r == 0 && faccessat(s->fd, "drives", F_OK, 0) == 0)
        r = visit_dir(&v, "drives", known, err);
    if (r == 0)
        r = visit_dir(&v, "tmp", NULL, err);
    if (r == 0 && (also & STORE_PARTIAL))
        r = visit_dir(&v, "partial", NULL, err);
    json_decref(known);
    *bytes += v.dropped_bytes;
    return r;
}

int image_usage(struct image_store *s, struct image_usage *ret, struct error *err)
{
    json_t *index = store_index_load(s, err), *known;
    struct visit blobs = {.store = s}, layers = {.store = s}, partial = {.store = s};
    struct visit drives = {.store = s}, cache = {.store = s};
    int r;

    if (!index)
        return -EIO;
    known = known_names(index);
    r = visit_dir(&blobs, "blobs/sha256", known, err);
    if (r == 0)
        r = visit_dir(&layers, "layers", known, err);
    if (r == 0 && faccessat(s->fd, "drives", F_OK, 0) == 0)
        r = visit_dir(&drives, "drives", known, err);
    if (r == 0)
        r = visit_dir(&partial, "partial", NULL, err);
    add_build_cache(s, known, false);
    if (r == 0)
        r = visit_dir(&cache, "layers", known, err);
    *ret = (struct image_usage){
        .images = json_array_size(json_object_get(index, "images")),
        .layers = layers.kept,
        .blobs = blobs.kept,
        .layer_bytes = layers.kept_bytes,
        .blob_bytes = blobs.kept_bytes,
        .drives = drives.kept,
        .drive_bytes = drives.kept_bytes,
        .cache_layers = cache.kept - layers.kept,
        .cache_bytes = cache.kept_bytes - layers.kept_bytes,
        .garbage_bytes = blobs.dropped_bytes + cache.dropped_bytes + partial.dropped_bytes +
                         drives.dropped_bytes,
    };
    json_decref(known);
    json_decref(index);
    return r;
}

/* Collects when nobody brings anything in; otherwise the next time will do. */
static int collect_if_idle(struct image_store *s, unsigned also, uint64_t *bytes, struct error *err)
{
    cleanup_fd int use = -1;
    json_t *index;
    int r = store_lock(s, "use.lock", LOCK_EX | LOCK_NB, &use, err);

    if (r == -EWOULDBLOCK)
        return 0;
    if (r < 0)
        return r;
    index = store_index_load(s, err);
    if (!index)
        return -EIO;
    r = store_collect(s, index, also, bytes, err);
    json_decref(index);
    return r;
}

/* How people see a name in reports. */
static void report_name(struct str *report, const char *name)
{
    struct image_reference ref;

    str_add(report, "Untagged: ");
    if (image_reference_parse(name, &ref, NULL) == 0)
        image_reference_familiar(&ref, report);
    else
        str_add(report, name);
    str_add_char(report, '\n');
}

static void drop_names(json_t *entry, const char *key, struct str *report)
{
    json_t *list = json_object_get(entry, key), *item;
    size_t i;

    json_array_foreach(list, i, item) report_name(report, json_string_value(item));
    json_array_clear(list);
}

static void drop_entry(json_t *index, json_t *entry, struct str *report)
{
    json_t *images = json_object_get(index, "images");

    drop_names(entry, "names", report);
    drop_names(entry, "digests", report);
    str_addf(report, "Deleted: %s\n", store_entry_text(entry, "id"));
    for (size_t i = json_array_size(images); i-- > 0;) {
        if (json_array_get(images, i) == entry)
            json_array_remove(images, i);
    }
}

/* Whether all names of an entry are of one repository. */
static bool one_repository(const json_t *entry)
{
    json_t *names = json_object_get(entry, "names");
    struct image_reference first = {0}, next;

    for (size_t i = 0; i < json_array_size(names); i++) {
        if (image_reference_parse(json_string_value(json_array_get(names, i)), &next, NULL) < 0)
            continue;
        if (i == 0)
            first = next;
        else if (strcmp(first.registry, next.registry) || strcmp(first.repository, next.repository))
            return false;
    }
    return true;
}

/* The stored name that @ref means, NULL when it is an id. Borrowed. */
static const char *name_in(const json_t *entry, const char *ref, const char **ret_key)
{
    struct image_reference parsed;
    struct str text = {0};
    json_t *list, *item;
    const char *found = NULL;
    size_t i;

    if (image_reference_parse(ref, &parsed, NULL) < 0)
        return NULL;
    *ret_key = parsed.digest[0] ? "digests" : "names";
    if (parsed.digest[0])
        parsed.tag[0] = 0;
    image_reference_text(&parsed, &text);
    list = json_object_get(entry, *ret_key);
    json_array_foreach(list, i, item)
    {
        if (strcmp(json_string_value(item) ? json_string_value(item) : "", str_text(&text)) == 0)
            found = json_string_value(item);
    }
    str_done(&text);
    return found;
}

/* Changes @index as image_remove says. */
static int remove_entry(json_t *index, json_t *entry, const char *ref, bool force,
                        const char *used_by, struct str *report, struct error *err)
{
    const char *key = "names", *name = name_in(entry, ref, &key);
    size_t names = json_array_size(json_object_get(entry, "names"));

    if (name && (names > 1 || (strcmp(key, "digests") == 0 && names == 1))) {
        report_name(report, name);
        store_entry_drop(entry, key, name);
        return 0;
    }
    if (!name && names > 1 && !force && !one_repository(entry))
        return error_set(err, -EBUSY,
                         "image %.19s has names in several repositories; remove them by name, or "
                         "use --force",
                         store_entry_text(entry, "id"));
    if (used_by && !force)
        return error_set(err, -EBUSY,
                         "image %s is used by instance %s; remove that first, or use --force to "
                         "take only the name away",
                         ref, used_by);
    if (used_by) {
        drop_names(entry, "names", report);
        drop_names(entry, "digests", report);
        return 0;
    }
    drop_entry(index, entry, report);
    return 0;
}

int image_remove(struct image_store *s, const char *ref, bool force, image_user_fn *user,
                 void *opaque, struct str *report, bool *ret_left, struct error *err)
{
    cleanup_fd int lock = -1;
    json_t *index, *entry;
    const char *used_by = NULL;
    uint64_t bytes = 0;
    int r = store_lock(s, "lock", LOCK_EX, &lock, err);

    if (r < 0)
        return r;
    index = store_index_load(s, err);
    if (!index)
        return -EIO;
    r = store_entry_find(index, ref, NULL, &entry, err);
    if (r == 0 && user)
        used_by = user(opaque, store_entry_text(entry, "id"));
    if (r == 0)
        r = remove_entry(index, entry, ref, force, used_by, report, err);
    if (r == 0)
        r = store_index_save(s, index, err);
    json_decref(index);
    if (lock >= 0)
        close(steal_fd(&lock)); /* the lock order is use.lock first */
    if (r == 0)
        r = collect_if_idle(s, 0, &bytes, err);
    *ret_left = r == 0 && image_sweep(s) > 0;
    return r;
}

int image_prune(struct image_store *s, const struct image_prune_what *what, image_user_fn *user,
                void *opaque, struct str *report, uint64_t *ret_bytes, bool *ret_left,
                struct error *err)
{
    cleanup_fd int lock = -1;
    json_t *index, *images;
    uint64_t bytes = 0;
    int r = store_lock(s, "lock", LOCK_EX, &lock, err);

    if (r < 0)
        return r;
    index = store_index_load(s, err);
    if (!index)
        return -EIO;
    images = json_object_get(index, "images");
    for (size_t i = json_array_size(images); i-- > 0;) {
        json_t *entry = json_array_get(images, i);
        bool named = json_array_size(json_object_get(entry, "names")) > 0;
        if ((named && !what->all) ||
            (what->before && json_integer_value(json_object_get(entry, "added")) >= what->before) ||
            (user && user(opaque, store_entry_text(entry, "id"))))
            continue;
        drop_entry(index, entry, report);
    }
    r = store_index_save(s, index, err);
    json_decref(index);
    close(steal_fd(&lock));
    if (r == 0)
        r = collect_if_idle(s, STORE_PARTIAL | (what->build_cache ? STORE_BUILD_CACHE : 0), &bytes,
                            err);
    *ret_left = r == 0 && image_sweep(s) > 0;
    *ret_bytes = bytes;
    return r;
}
