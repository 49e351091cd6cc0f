/* SPDX-License-Identifier: Apache-2.0 */
#include "image/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/layer_pack.h"
#include "image/manifest.h"
#include "image/store_internal.h"

enum { STEP = 256 << 10 };

/* What is to be written, before a byte is. */
struct saving {
    struct image_store *store;
    json_t *index;  /* index.json */
    json_t *docker; /* manifest.json */
    json_t *blobs;  /* digests as keys */
};

/* Where files go. */
struct output {
    struct tar_writer *tar; /* NULL: to a directory */
    int dir;
};

static void add_blob(struct saving *s, const char *digest)
{
    json_object_set_new(s->blobs, digest, json_true());
}

/* The entry of manifest.json for a configuration. Borrowed. */
static json_t *docker_entry(struct saving *s, const struct manifest *m)
{
    cleanup_free char *config = str_format("blobs/sha256/%s", m->config.digest + strlen("sha256:"));
    json_t *item, *layers;
    size_t i;

    json_array_foreach(s->docker, i, item)
    {
        if (strcmp(store_entry_text(item, "Config"), config ? config : "") == 0)
            return item;
    }
    layers = json_array();
    for (i = 0; i < m->count; i++) {
        cleanup_free char *path =
            str_format("blobs/sha256/%s", m->entries[i].digest + strlen("sha256:"));
        json_array_append_new(layers, json_string(path ? path : ""));
    }
    item =
        json_pack("{s:s, s:[], s:o}", "Config", config ? config : "", "RepoTags", "Layers", layers);
    json_array_append_new(s->docker, item);
    return item;
}

/* The name under which @ref found @image; false when it was an id or digest. */
static bool saved_name(const struct image *image, const char *ref, struct image_reference *ret,
                       char **ret_text)
{
    struct str text = {0};

    if (image_reference_parse(ref, ret, NULL) < 0 || ret->digest[0])
        return false;
    image_reference_text(ret, &text);
    *ret_text = str_steal(&text);
    for (char **n = image->names; *ret_text && *n; n++) {
        if (strcmp(*n, *ret_text) == 0)
            return true;
    }
    free(*ret_text);
    *ret_text = NULL;
    return false;
}

static int add_descriptor(struct saving *s, const struct image *image, const char *ref,
                          const struct manifest *m, size_t size, struct error *err)
{
    json_t *docker = docker_entry(s, m), *one, *annotations = json_object();
    cleanup_free char *name = NULL;
    struct image_reference parsed;

    if (saved_name(image, ref, &parsed, &name)) {
        struct str familiar = {0};
        image_reference_familiar(&parsed, &familiar);
        if (!store_entry_has(docker, "RepoTags", str_text(&familiar)))
            json_array_append_new(json_object_get(docker, "RepoTags"),
                                  json_string(str_text(&familiar)));
        str_done(&familiar);
        json_object_set_new(annotations, "io.containerd.image.name", json_string(name));
        json_object_set_new(annotations, "org.opencontainers.image.ref.name",
                            json_string(parsed.tag));
    }
    one = json_pack("{s:s, s:s, s:I, s:{s:s, s:s}, s:o}", "mediaType", m->media_type, "digest",
                    image->digest, "size", (json_int_t)size, "platform", "architecture",
                    image->config.architecture, "os", image->config.os, "annotations", annotations);
    if (!one)
        return error_set(err, -ENOMEM, "out of memory");
    json_array_append_new(json_object_get(s->index, "manifests"), one);
    return 0;
}

static int add_image(struct saving *s, const char *ref, struct error *err)
{
    struct image *image = NULL;
    cleanup_free char *text = NULL;
    struct manifest m = {0};
    size_t len = 0;
    int r = image_find(s->store, ref, NULL, &image, err);

    if (r < 0)
        return r;
    r = image_blob_read(s->store, image->digest, MANIFEST_MAX, &text, &len, err);
    if (r == 0)
        r = manifest_parse(text, len, NULL, &m, err);
    if (r == 0) {
        add_blob(s, image->digest);
        add_blob(s, m.config.digest);
        for (size_t i = 0; i < m.count; i++)
            add_blob(s, m.entries[i].digest);
        r = add_descriptor(s, image, ref, &m, len, err);
    }
    manifest_done(&m);
    image_free(image);
    return r < 0 ? error_wrap(err, r, "image %s", ref) : 0;
}

static int begin_file(struct output *o, const char *path, uint64_t size, int *ret_fd,
                      struct error *err)
{
    if (o->tar)
        return tar_write_entry(
            o->tar,
            &(struct tar_entry){
                .type = TAR_FILE, .path = path, .link = "", .mode = 0644, .size = size},
            err);
    *ret_fd = openat(o->dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return *ret_fd < 0 ? error_set_errno(err, -errno, "create %s", path) : 0;
}

static int put(struct output *o, int fd, const char *path, const char *bytes, size_t n,
               struct error *err)
{
    if (o->tar)
        return tar_write_data(o->tar, bytes, n, err);
    while (n) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_set_errno(err, -errno, "write %s", path);
        bytes += k;
        n -= (size_t)k;
    }
    return 0;
}

static int write_text(struct output *o, const char *path, json_t *value, struct error *err)
{
    cleanup_free char *text = json_dumps(value, JSON_COMPACT);
    cleanup_fd int fd = -1;
    int r;

    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    r = begin_file(o, path, strlen(text), &fd, err);
    return r < 0 ? r : put(o, fd, path, text, strlen(text), err);
}

/* Copies a blob and checks it on the way: a damaged store must not spread. */
static int write_blob(struct saving *s, struct output *o, const char *digest, struct error *err)
{
    cleanup_free char *buf = malloc(STEP);
    struct hash *hash = hash_new();
    char path[STORE_PATH_MAX];
    cleanup_fd int from = -1;
    cleanup_fd int fd = -1;
    struct digest got;
    uint64_t left = 0;
    int r = buf && hash ? blob_open(s->store, digest, &from, &left, err)
                        : error_set(err, -ENOMEM, "out of memory");

    if (r == 0) {
        store_blob_path(digest, path);
        r = begin_file(o, path, left, &fd, err);
    }
    while (r == 0 && left) {
        ssize_t n = layer_read_fd(&from, buf, (size_t)min_of(left, (uint64_t)STEP), err);
        r = n < 0 ? (int)n : n == 0 ? error_set(err, -EIO, "blob %s is cut off", digest) : 0;
        if (r < 0)
            break;
        hash_add(hash, buf, (size_t)n);
        left -= (uint64_t)n;
        r = put(o, fd, path, buf, (size_t)n, err);
    }
    if (r == 0) {
        hash_get(hash, &got);
        if (strcmp(got.text, digest) != 0)
            r = error_set(err, -EBADMSG, "blob %s is damaged in the store; pull the image again",
                          digest);
    }
    hash_free(hash);
    return r;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of digests, so that the same images give the same bytes. */
static int write_blobs(struct saving *s, struct output *o, struct error *err)
{
    size_t n = json_object_size(s->blobs), i = 0;
    cleanup_free const char **list = mem_alloc(n + 1, sizeof *list);
    const char *key;
    json_t *value;
    int r = list ? 0 : error_set(err, -ENOMEM, "out of memory");

    if (r < 0)
        return r;
    json_object_foreach(s->blobs, key, value) list[i++] = key;
    qsort(list, n, sizeof *list, compare);
    for (i = 0; i < n && r == 0; i++)
        r = write_blob(s, o, list[i], err);
    return r;
}

static int write_all(struct saving *s, struct output *o, struct error *err)
{
    json_t *layout = json_pack("{s:s}", "imageLayoutVersion", "1.0.0");
    int r = layout ? write_blobs(s, o, err) : error_set(err, -ENOMEM, "out of memory");

    if (r == 0)
        r = write_text(o, "index.json", s->index, err);
    if (r == 0)
        r = write_text(o, "manifest.json", s->docker, err);
    if (r == 0)
        r = write_text(o, "oci-layout", layout, err);
    json_decref(layout);
    return r;
}

static void saving_done(struct saving *s)
{
    json_decref(s->index);
    json_decref(s->docker);
    json_decref(s->blobs);
}

static int saving_begin(struct saving *s, struct image_store *store, const char *const *refs,
                        struct error *err)
{
    int r = 0;

    *s = (struct saving){.store = store,
                         .index = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
                                            MEDIA_OCI_INDEX, "manifests"),
                         .docker = json_array(),
                         .blobs = json_object()};
    if (!s->index || !s->docker || !s->blobs)
        r = error_set(err, -ENOMEM, "out of memory");
    for (; r == 0 && *refs; refs++)
        r = add_image(s, *refs, err);
    return r;
}

int image_save(struct image_store *store, const char *const *refs, tar_sink_fn *sink, void *opaque,
               struct error *err)
{
    struct output o = {.tar = tar_writer_new(sink, opaque)};
    struct saving s;
    int r = saving_begin(&s, store, refs, err);

    if (r == 0 && !o.tar)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = write_all(&s, &o, err);
    if (r == 0)
        r = tar_write_end(o.tar, err);
    tar_writer_free(o.tar);
    saving_done(&s);
    return r;
}

int image_save_dir(struct image_store *store, const char *const *refs, const char *dir,
                   struct error *err)
{
    static const char *const dirs[] = {"blobs", "blobs/sha256"};
    struct output o = {.dir = -1};
    struct saving s;
    int r = saving_begin(&s, store, refs, err);

    if (r == 0 && mkdir(dir, 0777) < 0 && errno != EEXIST)
        r = error_set_errno(err, -errno, "create %s", dir);
    if (r == 0) {
        o.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (o.dir < 0)
            r = error_set_errno(err, -errno, "open %s", dir);
    }
    for (size_t i = 0; r == 0 && i < array_size(dirs); i++) {
        if (mkdirat(o.dir, dirs[i], 0777) < 0 && errno != EEXIST)
            r = error_set_errno(err, -errno, "create %s/%s", dir, dirs[i]);
    }
    if (r == 0)
        r = write_all(&s, &o, err);
    if (o.dir >= 0)
        close(o.dir);
    saving_done(&s);
    return r;
}
