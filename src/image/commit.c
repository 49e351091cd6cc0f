/* SPDX-License-Identifier: Apache-2.0 */
/* Makes an image of layers and a configuration: manifest, sync, index. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "image/writer_internal.h"

#define TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define TYPE_CONFIG   "application/vnd.oci.image.config.v1+json"

static json_t *descriptor(const char *type, const char *digest, uint64_t size)
{
    return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
                     (json_int_t)size);
}

/* image-spec, "Image Manifest". */
static char *make_manifest(const struct image_new *image, const struct digest *config)
{
    json_t *layers = json_array(), *root;
    char *text;

    for (size_t i = 0; i < image->layer_count; i++) {
        const struct layer *l = &image->layers[i];
        json_array_append_new(layers, descriptor(l->media_type, l->blob.text, l->blob_size));
    }
    root =
        json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", TYPE_MANIFEST, "config",
                  descriptor(TYPE_CONFIG, config->text, image->config_len), "layers", layers);
    text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* The layers are those that the configuration means. */
static int check_layers(const struct image_new *image, const struct image_config *config,
                        struct error *err)
{
    if (config->diff_count != image->layer_count)
        return error_set(
            err, -EINVAL,
            "the configuration has %zu layers, but there are %zu; the image is damaged",
            config->diff_count, image->layer_count);
    for (size_t i = 0; i < image->layer_count; i++) {
        if (strcmp(config->diff_ids[i], image->layers[i].diff_id.text) != 0)
            return error_set(err, -EBADMSG, "layer %zu is %s, but the configuration says %s", i + 1,
                             image->layers[i].diff_id.text, config->diff_ids[i]);
    }
    return 0;
}

static json_t *make_entry(const struct image_new *image, const struct image_config *config,
                          const char *id, const char *manifest)
{
    json_t *chains = json_array(), *blobs = json_array();
    char platform[256];
    uint64_t size = 0;

    for (size_t i = 0; i < image->layer_count; i++) {
        json_array_append_new(chains, json_string(image->layers[i].chain.text));
        json_array_append_new(blobs, json_string(image->layers[i].blob.text));
        size += image->layers[i].size;
    }
    snprintf(platform, sizeof platform, "%.80s/%.80s%s%.80s", config->os, config->architecture,
             config->variant[0] ? "/" : "", config->variant);
    return json_pack("{s:s, s:s, s:s, s:[], s:[], s:o, s:o, s:I, s:I}", "id", id, "manifest",
                     manifest, "platform", platform, "names", "digests", "chains", chains, "blobs",
                     blobs, "size", (json_int_t)size, "added", (json_int_t)time(NULL));
}

/* Puts @entry, which it takes, into the index, in place of one that is the same image. */
static json_t *add_entry(json_t *index, json_t *entry)
{
    json_t *images = json_object_get(index, "images"), *old;
    size_t i;

    json_array_foreach(images, i, old)
    {
        if (strcmp(store_entry_text(old, "id"), store_entry_text(entry, "id")) != 0)
            continue;
        /* The same content may come by another manifest, with other blobs: the newer one counts. */
        json_object_set(entry, "names", json_object_get(old, "names"));
        json_object_set(entry, "digests", json_object_get(old, "digests"));
        json_array_remove(images, i);
        break;
    }
    json_array_append_new(images, entry);
    return entry;
}

static int add_names(json_t *index, json_t *entry, const char *const *names, struct error *err)
{
    for (; names && *names; names++) {
        struct image_reference ref;
        struct str tag = {0}, digest = {0};
        int r = image_reference_parse(*names, &ref, err);
        if (r < 0)
            return r;
        if (ref.digest[0]) {
            struct image_reference only = ref;
            only.tag[0] = 0;
            image_reference_text(&only, &digest);
            store_entry_name(index, entry, "digests", str_text(&digest));
        } else {
            image_reference_text(&ref, &tag);
            store_entry_name(index, entry, "names", str_text(&tag));
        }
        str_done(&tag);
        str_done(&digest);
    }
    return 0;
}

static int write_index(struct image_store *s, const struct image_new *image, json_t *entry,
                       struct error *err)
{
    cleanup_fd int lock = -1;
    json_t *index = NULL;
    int r;

    /* What the index names must be on the disk first. */
    if (syncfs(s->fd) < 0) {
        json_decref(entry);
        return error_set_errno(err, -errno, "write the image in %s to the disk", s->dir);
    }
    r = store_lock(s, "lock", LOCK_EX, &lock, err);
    if (r == 0) {
        index = store_index_load(s, err);
        r = index ? 0 : -EIO;
    }
    if (r < 0) {
        json_decref(entry);
        return r;
    }
    entry = add_entry(index, entry);
    r = add_names(index, entry, image->names, err);
    if (r == 0)
        r = store_index_save(s, index, err);
    json_decref(index);
    return r;
}

int image_commit(struct image_store *s, const struct image_new *image, struct digest *ret_id,
                 struct error *err)
{
    struct digest id, manifest_digest;
    struct image_config config;
    cleanup_free char *made = NULL;
    json_t *entry;
    int r = image_config_parse(image->config, image->config_len, &config, err);

    if (r < 0)
        return r;
    r = check_layers(image, &config, err);
    if (r == 0)
        r = blob_put(s, image->config, image->config_len, &id, err);
    if (r == 0 && !image->manifest) {
        made = make_manifest(image, &id);
        r = made ? blob_put(s, made, strlen(made), &manifest_digest, err)
                 : error_set(err, -ENOMEM, "out of memory");
    } else if (r == 0) {
        r = blob_put(s, image->manifest, image->manifest_len, &manifest_digest, err);
    }
    if (r == 0) {
        entry = make_entry(image, &config, id.text, manifest_digest.text);
        r = entry ? write_index(s, image, entry, err)
                  : error_set(err, -EINVAL, "%s",
                              "the configuration has text that "
                              "is not UTF-8");
    }
    image_config_done(&config);
    if (r == 0 && ret_id)
        *ret_id = id;
    return r;
}

int image_layers(struct image_store *s, const struct image *image, size_t spare, struct layer **ret,
                 size_t *ret_count, struct error *err)
{
    cleanup_free char *text = NULL;
    struct manifest m = {0};
    struct layer *layers;
    const char *parent = NULL;
    size_t len = 0;
    int r = image_blob_read(s, image->digest, MANIFEST_MAX, &text, &len, err);

    if (r == 0)
        r = manifest_parse(text, len, NULL, &m, err);
    if (r < 0)
        return r;
    layers = mem_alloc(m.count + spare + 1, sizeof *layers);
    if (!layers)
        r = error_set(err, -ENOMEM, "out of memory");
    else if (m.count != image->config.diff_count)
        r = error_set(err, -EINVAL, "manifest and configuration of %s do not agree", image->id);
    for (size_t i = 0; r == 0 && i < m.count; i++) {
        struct digest chain;
        layer_chain(parent, image->config.diff_ids[i], &chain);
        r = layer_read(s, chain.text, &layers[i], err);
        /* The blob may be another one than the one that the layer was unpacked from. */
        snprintf(layers[i].blob.text, DIGEST_TEXT, "%.71s", m.entries[i].digest);
        snprintf(layers[i].media_type, sizeof layers[i].media_type, "%s", m.entries[i].media_type);
        layers[i].blob_size = m.entries[i].size;
        parent = layers[i].chain.text;
    }
    *ret_count = m.count;
    manifest_done(&m);
    if (r < 0) {
        free(layers);
        return r;
    }
    *ret = layers;
    return 0;
}
