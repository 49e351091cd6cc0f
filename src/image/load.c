/* SPDX-License-Identifier: Apache-2.0 */
#include "image/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/json.h"
#include "image/manifest.h"
#include "image/store_internal.h"

enum { STEP = 256 << 10, NAMES_MAX = 1000, NESTING_MAX = 4, IMAGES_MAX = 1000 };

struct loading {
    struct image_store *store;
    struct bundle *bundle;
    const struct image_load *options;
    json_t *docker; /* manifest.json of docker save, NULL */
    size_t images;
};

static int blob_name(const char *digest, char *ret, size_t size, struct error *err)
{
    if (!store_digest_ok(digest))
        return error_set(err, -ENOTSUP, "digest \"%.100s\" is not a sha256", digest);
    snprintf(ret, size, "blobs/sha256/%s", digest + strlen("sha256:"));
    return 0;
}

/* Reads a small blob and checks it. */
static int read_blob(const struct loading *l, const char *digest, size_t max, char **ret,
                     size_t *ret_n, struct error *err)
{
    char name[128];
    struct digest got;
    int r = blob_name(digest, name, sizeof name, err);

    if (r == 0)
        r = bundle_read(l->bundle, name, max, ret, ret_n, err);
    if (r < 0)
        return r;
    hash_bytes(*ret, *ret_n, &got);
    if (strcmp(got.text, digest) == 0)
        return 0;
    free(*ret);
    *ret = NULL;
    return error_set(err, -EBADMSG, "%s has digest %s", name, got.text);
}

/* Copies what is missing of a blob; @job (NULL: none) follows. */
static int copy_blob(struct loading *l, const char *name, struct blob_writer *w,
                     struct layer_job *job, struct error *err)
{
    cleanup_free char *buf = malloc(STEP);
    struct bundle_file f;
    ssize_t n = 1;
    int r =
        buf ? bundle_file_open(l->bundle, name, &f, err) : error_set(err, -ENOMEM, "out of memory");

    if (r < 0)
        return r;
    if (blob_offset(w) > f.left) {
        r = blob_restart(w, err);
    } else {
        f.offset += blob_offset(w);
        f.left -= blob_offset(w);
    }
    while (r == 0 && n > 0) {
        n = bundle_stream(&f, buf, STEP, err);
        r = n < 0 ? (int)n : n ? blob_append(w, buf, (size_t)n, err) : 0;
        if (r == 0 && job)
            layer_more(job, blob_offset(w), n == 0);
        if (job && layer_failed(job))
            break;
    }
    bundle_file_close(&f);
    return r;
}

/* Brings in the blob of a layer that is unpacked here already. */
static int bring_blob(struct loading *l, const char *digest, const char *name, struct error *err)
{
    struct blob_writer *w;
    uint64_t offset;
    int r = blob_begin(l->store, digest, true, &w, &offset, err);

    if (r == -EEXIST)
        return 0;
    if (r < 0)
        return r;
    r = copy_blob(l, name, w, NULL, err);
    if (r < 0) {
        blob_abort(w);
        return r;
    }
    return blob_commit(w, NULL, err);
}

static int unpack_blob(struct loading *l, const char *digest, const char *name,
                       const char *media_type, const struct layer *parents, size_t count,
                       const char *diff_id, struct layer *ret, struct error *err)
{
    struct blob_writer *w = NULL;
    struct layer_job *job = NULL;
    uint64_t offset;
    int r = blob_begin(l->store, digest, true, &w, &offset, err);

    if (r < 0 && r != -EEXIST)
        return r;
    r = layer_begin(l->store, digest, w, media_type, &job, err);
    if (r == 0 && w)
        r = copy_blob(l, name, w, job, err);
    if (r == 0 && w)
        r = layer_wait(job, err);
    if (r == 0 && w) {
        r = blob_commit(w, NULL, err);
        w = NULL;
    }
    blob_abort(w);
    if (r < 0) {
        layer_abort(job);
        return r;
    }
    return layer_finish(job, parents, count, diff_id, ret, err);
}

/* @digest NULL: the layer is only a file of the bundle, and not in the form that is stored. */
static int bring_layer(struct loading *l, const char *digest, const char *name,
                       const char *media_type, const char *diff_id, const struct layer *parents,
                       size_t count, struct layer *ret, struct error *err)
{
    struct digest chain;
    struct bundle_file f;
    int r;

    layer_chain(count ? parents[count - 1].chain.text : NULL, diff_id, &chain);
    if (layer_read(l->store, chain.text, ret, NULL) == 0) {
        if (!digest)
            return 0;
        r = bring_blob(l, digest, name, err);
        if (r == 0 && !blob_exists(l->store, digest, &ret->blob_size))
            r = error_set(err, -EIO, "blob %s vanished", digest);
        snprintf(ret->blob.text, sizeof ret->blob.text, "%.71s", digest);
        snprintf(ret->media_type, sizeof ret->media_type, "%s", media_type);
        return r;
    }
    if (digest)
        return unpack_blob(l, digest, name, media_type, parents, count, diff_id, ret, err);
    r = bundle_file_open(l->bundle, name, &f, err);
    if (r < 0)
        return r;
    r = layer_from_stream(l->store, bundle_stream, &f, ENCODE_GZIP, parents, count, diff_id, ret,
                          err);
    bundle_file_close(&f);
    return r;
}

/* Makes the image known and tells of it. */
static int finish(struct loading *l, struct image_new *image, char *const *names, struct error *err)
{
    const char *only[] = {l->options->name, NULL};
    struct digest id;
    int r;

    if (++l->images > IMAGES_MAX)
        return error_set(err, -E2BIG, "there are more than %d images in it", IMAGES_MAX);
    image->names = l->options->name ? only : (const char *const *)names;
    r = image_commit(l->store, image, &id, err);
    if (r < 0 || !l->options->loaded)
        return r;
    for (const char *const *n = image->names; n && *n; n++)
        l->options->loaded(l->options->opaque, *n, id.text);
    if (!image->names || !*image->names)
        l->options->loaded(l->options->opaque, NULL, id.text);
    return 0;
}

/* The names that docker save gives the image with this configuration. New, NULL: none. */
static char **docker_names(const struct loading *l, const char *config)
{
    json_t *item;
    size_t i;

    json_array_foreach(l->docker, i, item)
    {
        const char *path = json_string_value(json_object_get(item, "Config"));
        char **names = NULL;
        if (path && strstr(path, config + strlen("sha256:")) &&
            image_json_list(item, "RepoTags", NAMES_MAX, &names, NULL) == 0)
            return names;
    }
    return NULL;
}

/* What an index calls the image: a whole name, not only a tag. New, NULL: none. */
static char **annotated_name(json_t *descriptor)
{
    static const char *const keys[] = {"io.containerd.image.name",
                                       "org.opencontainers.image.ref.name"};
    json_t *annotations = json_object_get(descriptor, "annotations");

    for (size_t i = 0; i < array_size(keys); i++) {
        const char *name = json_string_value(json_object_get(annotations, keys[i]));
        char **list;
        if (!name || (!strchr(name, ':') && !strchr(name, '/')))
            continue;
        list = mem_alloc(2, sizeof *list);
        if (list)
            list[0] = strdup(name);
        return list;
    }
    return NULL;
}

static int load_layers(struct loading *l, const struct manifest *m, const struct image_config *c,
                       struct layer *layers, struct error *err)
{
    int r = 0;

    if (m->count != c->diff_count)
        return error_set(err, -EINVAL, "the manifest has %zu layers, the configuration %zu",
                         m->count, c->diff_count);
    for (size_t i = 0; i < m->count && r == 0; i++) {
        char name[128];
        r = blob_name(m->entries[i].digest, name, sizeof name, err);
        if (r == 0)
            r = bring_layer(l, m->entries[i].digest, name, m->entries[i].media_type, c->diff_ids[i],
                            layers, i, &layers[i], err);
        if (r < 0)
            r = error_wrap(err, r, "layer %zu", i + 1);
    }
    return r;
}

static int load_image(struct loading *l, const char *text, size_t len, const struct manifest *m,
                      char **names, struct error *err)
{
    struct image_config config = {0};
    cleanup_free struct layer *layers = NULL;
    cleanup_free char *config_text = NULL;
    char **from_docker = NULL;
    size_t config_len = 0;
    int r = read_blob(l, m->config.digest, IMAGE_CONFIG_MAX, &config_text, &config_len, err);

    if (r == 0)
        r = image_config_parse(config_text, config_len, &config, err);
    if (r < 0)
        return r;
    layers = mem_alloc(m->count ? m->count : 1, sizeof *layers);
    r = layers ? load_layers(l, m, &config, layers, err) : error_set(err, -ENOMEM, "out of memory");
    if (!names || !names[0])
        names = from_docker = docker_names(l, m->config.digest);
    if (r == 0)
        r = finish(l,
                   &(struct image_new){.manifest = text,
                                       .manifest_len = len,
                                       .config = config_text,
                                       .config_len = config_len,
                                       .layers = layers,
                                       .layer_count = m->count},
                   names, err);
    image_strings_free(from_docker);
    image_config_done(&config);
    return r;
}

/* A manifest or index by its digest. */
static int load_descriptor(struct loading *l, const char *digest, const char *media_type,
                           char **names, int nesting, struct error *err)
{
    cleanup_free char *text = NULL;
    struct manifest m;
    size_t len = 0;
    int r = read_blob(l, digest, MANIFEST_MAX, &text, &len, err);

    if (r == 0)
        r = manifest_parse(text, len, media_type, &m, err);
    if (r < 0)
        return r;
    if (m.is_index) {
        const struct descriptor *chosen = NULL;
        struct platform wanted;
        platform_host(&wanted);
        if (l->options->platform)
            r = platform_parse(l->options->platform, &wanted, err);
        if (r == 0 && nesting == NESTING_MAX)
            r = error_set(err, -ELOOP, "indexes are nested too deeply");
        if (r == 0)
            r = manifest_select(&m, &wanted, &chosen, err);
        if (r == 0)
            r = load_descriptor(l, chosen->digest, chosen->media_type, names, nesting + 1, err);
    } else {
        r = load_image(l, text, len, &m, names, err);
    }
    manifest_done(&m);
    return r;
}

static json_t *read_json(const struct loading *l, const char *name, struct error *err)
{
    cleanup_free char *text = NULL;
    size_t len = 0;
    int r = bundle_read(l->bundle, name, MANIFEST_MAX, &text, &len, err);

    return r < 0 ? NULL : image_json(text, len, name, err);
}

/*
 * What index.json names. Entries for several platforms under one name are alternatives, of which
 * the one that suits is taken; manifest_select sees them as an index.
 */
static int load_layout(struct loading *l, struct error *err)
{
    json_t *index = read_json(l, "index.json", err), *list, *item;
    size_t i;
    int r = 0;

    if (!index)
        return -EINVAL;
    list = json_object_get(index, "manifests");
    if (!json_is_array(list) || json_array_size(list) > IMAGES_MAX)
        r = error_set(err, -EINVAL, "index.json has no list of manifests that can be taken");
    json_array_foreach(list, i, item)
    {
        const char *digest = "", *type = "";
        char **names;
        if (r < 0)
            break;
        r = image_json_text(item, "digest", &digest, err);
        if (r == 0)
            r = image_json_text(item, "mediaType", &type, err);
        names = annotated_name(item);
        if (r == 0)
            r = load_descriptor(l, digest, *type ? type : NULL, names, 0, err);
        if (r < 0)
            error_wrap(err, r, "image %zu", i + 1);
        image_strings_free(names);
    }
    json_decref(index);
    return r;
}

/* One image of docker save's manifest.json, whose layers are plain files. */
static int load_docker_image(struct loading *l, json_t *item, struct error *err)
{
    struct image_config config = {0};
    char **names = NULL, **files = NULL;
    cleanup_free struct layer *layers = NULL;
    cleanup_free char *text = NULL;
    const char *path = "";
    size_t len = 0;
    int r = image_json_text(item, "Config", &path, err);

    if (r == 0)
        r = image_json_list(item, "RepoTags", NAMES_MAX, &names, err);
    if (r == 0)
        r = image_json_list(item, "Layers", MANIFEST_LAYERS_MAX, &files, err);
    if (r == 0)
        r = bundle_read(l->bundle, path, IMAGE_CONFIG_MAX, &text, &len, err);
    if (r == 0)
        r = image_config_parse(text, len, &config, err);
    if (r == 0 && config.diff_count != image_strings_count(files))
        r = error_set(err, -EINVAL, "there are %zu layers, but the configuration has %zu",
                      image_strings_count(files), config.diff_count);
    if (r == 0) {
        layers = mem_alloc(config.diff_count + 1, sizeof *layers);
        r = layers ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; r == 0 && i < config.diff_count; i++) {
        r = bring_layer(l, NULL, files[i], NULL, config.diff_ids[i], layers, i, &layers[i], err);
        if (r < 0)
            error_wrap(err, r, "layer %zu", i + 1);
    }
    if (r == 0)
        r = finish(l,
                   &(struct image_new){.config = text,
                                       .config_len = len,
                                       .layers = layers,
                                       .layer_count = config.diff_count},
                   names, err);
    image_config_done(&config);
    image_strings_free(names);
    image_strings_free(files);
    return r;
}

static int load_docker(struct loading *l, struct error *err)
{
    json_t *item;
    size_t i;
    int r = 0;

    if (!json_is_array(l->docker) || json_array_size(l->docker) > IMAGES_MAX)
        return error_set(err, -EINVAL, "manifest.json is not a list of images that can be taken");
    json_array_foreach(l->docker, i, item)
    {
        r = load_docker_image(l, item, err);
        if (r < 0)
            return error_wrap(err, r, "image %zu", i + 1);
    }
    return 0;
}

int image_load(struct image_store *store, struct bundle *bundle, const struct image_load *options,
               struct error *err)
{
    struct loading l = {.store = store, .bundle = bundle, .options = options};
    bool layout = bundle_has(bundle, "index.json");
    int r = 0;

    if (bundle_has(bundle, "manifest.json")) {
        l.docker = read_json(&l, "manifest.json", err);
        r = l.docker ? 0 : -EINVAL;
    } else if (!layout) {
        r = error_set(err, -EINVAL,
                      "neither index.json nor manifest.json is in it; a root file system is "
                      "brought in by \"isola import\"");
    }
    if (r == 0)
        r = layout ? load_layout(&l, err) : load_docker(&l, err);
    if (r == 0 && l.images == 0)
        r = error_set(err, -ENOENT, "there is no image in it");
    json_decref(l.docker);
    return r;
}
