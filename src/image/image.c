/* SPDX-License-Identifier: Apache-2.0 */
/* Images by name: find, list, tag. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/json.h"
#include "image/reference.h"
#include "image/store_internal.h"

enum { PREFIX_MIN = 2 };

const char *store_entry_text(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));

    return text ? text : "";
}

bool store_entry_has(const json_t *entry, const char *key, const char *text)
{
    json_t *list = json_object_get(entry, key), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *have = json_string_value(item);
        if (have && strcmp(have, text) == 0)
            return true;
    }
    return false;
}

bool store_entry_drop(json_t *entry, const char *key, const char *text)
{
    json_t *list = json_object_get(entry, key);

    for (size_t i = json_array_size(list); i-- > 0;) {
        const char *have = json_string_value(json_array_get(list, i));
        if (have && strcmp(have, text) == 0)
            return json_array_remove(list, i) == 0;
    }
    return false;
}

void store_entry_name(json_t *index, json_t *entry, const char *key, const char *name)
{
    json_t *images = json_object_get(index, "images"), *other;
    size_t i;

    json_array_foreach(images, i, other)
    {
        if (other != entry && strcmp(key, "names") == 0 &&
            strcmp(store_entry_text(other, "platform"), store_entry_text(entry, "platform")) == 0)
            store_entry_drop(other, key, name);
    }
    if (!json_is_array(json_object_get(entry, key)))
        json_object_set_new(entry, key, json_array());
    if (!store_entry_has(entry, key, name))
        json_array_append_new(json_object_get(entry, key), json_string(name));
}

/* "os/arch/variant" of an entry as much of a configuration as image_platform_match looks at. */
static bool platform_match(const json_t *entry, const char *platform)
{
    cleanup_free char *text = strdup(store_entry_text(entry, "platform"));
    char *arch = text ? strchr(text, '/') : NULL, *variant = arch ? strchr(arch + 1, '/') : NULL;
    struct image_config c = {.os = text, .variant = ""};

    if (!arch)
        return false;
    *arch = 0;
    c.architecture = arch + 1;
    if (variant) {
        *variant = 0;
        c.variant = variant + 1;
    }
    return image_platform_match(&c, platform);
}

static bool is_hex(const char *text)
{
    return *text && !text[strspn(text, "0123456789abcdef")];
}

/* How an entry can be meant by a reference. */
struct wanted {
    char *name, *digest_name; /* normalised; NULL when it cannot be one */
    const char *digest;       /* whole, or NULL */
    const char *prefix;       /* of an id's digits, or NULL */
};

static bool by_name(const json_t *entry, const struct wanted *w)
{
    return (w->name && store_entry_has(entry, "names", w->name)) ||
           (w->digest_name && store_entry_has(entry, "digests", w->digest_name));
}

static bool by_id(const json_t *entry, const struct wanted *w)
{
    const char *id = store_entry_text(entry, "id");

    if (w->digest)
        return strcmp(id, w->digest) == 0 ||
               strcmp(store_entry_text(entry, "manifest"), w->digest) == 0;
    return w->prefix && store_digest_ok(id) && str_starts(id + strlen("sha256:"), w->prefix);
}

/* Among images with one name the best for the platform; *foreign: there was one for another. */
static json_t *pick_named(const json_t *images, const struct wanted *w, const char *platform,
                          bool *foreign)
{
    json_t *best = NULL, *entry;
    size_t i;

    json_array_foreach(images, i, entry)
    {
        if (!by_name(entry, w))
            continue;
        if (platform_match(entry, platform ? platform : image_platform_host()))
            return entry;
        *foreign = true;
        if (!platform)
            best = entry;
    }
    return best;
}

/* Digits that begin ids of several images: -EEXIST. */
static int pick_id(const json_t *images, const struct wanted *w, json_t **ret)
{
    json_t *found = NULL, *entry;
    size_t i;

    json_array_foreach(images, i, entry)
    {
        if (!by_id(entry, w))
            continue;
        if (found && strcmp(store_entry_text(found, "id"), store_entry_text(entry, "id")) != 0)
            return -EEXIST;
        found = entry;
    }
    *ret = found;
    return found ? 0 : -ENOENT;
}

static int wanted_parse(const char *ref, struct wanted *w, struct error *err)
{
    struct image_reference parsed;
    struct str text = {0};
    int r;

    *w = (struct wanted){0};
    if (store_digest_ok(ref))
        w->digest = ref;
    else if (is_hex(ref) && strlen(ref) >= PREFIX_MIN && strlen(ref) <= STORE_DIGEST_HEX)
        w->prefix = ref;
    else if (str_starts(ref, "sha256:") && is_hex(ref + 7) && strlen(ref) >= 7 + PREFIX_MIN)
        w->prefix = ref + 7;
    r = image_reference_parse(ref, &parsed, err);
    if (r < 0)
        return w->digest || w->prefix ? 0 : r;
    if (parsed.digest[0]) {
        parsed.tag[0] = 0;
        image_reference_text(&parsed, &text);
        w->digest_name = str_steal(&text);
    } else {
        image_reference_text(&parsed, &text);
        w->name = str_steal(&text);
    }
    return w->name || w->digest_name ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int store_entry_find(const json_t *index, const char *ref, const char *platform, json_t **ret,
                     struct error *err)
{
    const json_t *images = json_object_get(index, "images");
    struct wanted w;
    bool foreign = false;
    json_t *entry;
    int r = wanted_parse(ref, &w, err);

    if (r < 0)
        return r;
    entry = pick_named(images, &w, platform, &foreign);
    r = entry ? 0 : foreign ? -ENOEXEC : -ENOENT;
    if (r == -ENOENT && (w.digest || w.prefix)) {
        r = pick_id(images, &w, &entry);
        if (r == 0 && platform && !platform_match(entry, platform))
            r = -ENOEXEC;
    }
    free(w.name);
    free(w.digest_name);
    if (r == -ENOEXEC)
        return error_set(err, r, "image %s is here, but not for platform %s", ref, platform);
    if (r == -EEXIST)
        return error_set(err, r, "\"%s\" begins the ids of several images; give more digits", ref);
    if (r < 0)
        return error_set(err, r, "no image \"%s\"; \"isola images\" lists what is here", ref);
    *ret = entry;
    return 0;
}

static int fill_layers(struct image_store *s, const json_t *entry, struct image *image)
{
    const json_t *chains = json_object_get(entry, "chains");
    size_t n = json_array_size(chains);

    image->layers = mem_alloc(n + 1, sizeof *image->layers);
    if (!image->layers)
        return -ENOMEM;
    for (size_t i = n; i-- > 0;) {
        const char *chain = json_string_value(json_array_get(chains, i));
        char path[STORE_PATH_MAX];
        if (!chain || !store_digest_ok(chain))
            return -EINVAL;
        store_layer_path(chain, "diff", path);
        image->layers[image->layer_count] = str_format("%s/%s", s->dir, path);
        if (!image->layers[image->layer_count++])
            return -ENOMEM;
    }
    return 0;
}

/* The image of an index entry, with its configuration. */
static int load_image(struct image_store *s, const json_t *entry, struct image **ret,
                      struct error *err)
{
    struct image *image = mem_new(struct image);
    cleanup_free char *config = NULL;
    size_t len = 0;
    int r;

    if (!image)
        return error_set(err, -ENOMEM, "out of memory");
    image->id = strdup(store_entry_text(entry, "id"));
    image->digest = strdup(store_entry_text(entry, "manifest"));
    image->size = (uint64_t)json_integer_value(json_object_get(entry, "size"));
    image->added = json_integer_value(json_object_get(entry, "added"));
    r = image->id && image->digest ? fill_layers(s, entry, image)
                                   : error_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        error_set_errno(err, r, "the index of images");
    if (r == 0)
        r = image_json_list(entry, "names", SIZE_MAX, &image->names, err);
    if (r == 0)
        r = image_json_list(entry, "digests", SIZE_MAX, &image->digests, err);
    if (r == 0)
        r = image_blob_read(s, image->id, IMAGE_CONFIG_MAX, &config, &len, err);
    if (r == 0)
        r = image_config_parse(config, len, &image->config, err);
    if (r < 0) {
        r = error_wrap(err, r, "image %s", store_entry_text(entry, "id"));
        image_free(image);
        return r;
    }
    *ret = image;
    return 0;
}

int image_find(struct image_store *s, const char *ref, const char *platform, struct image **ret,
               struct error *err)
{
    json_t *index = store_index_load(s, err), *entry;
    int r;

    if (!index)
        return -EIO;
    r = store_entry_find(index, ref, platform, &entry, err);
    if (r == 0)
        r = load_image(s, entry, ret, err);
    json_decref(index);
    return r;
}

int image_list(struct image_store *s, struct image ***ret, size_t *ret_count, struct error *err)
{
    json_t *index = store_index_load(s, err), *images;
    size_t n, count = 0;
    struct image **list;
    int r = 0;

    if (!index)
        return -EIO;
    images = json_object_get(index, "images");
    n = json_array_size(images);
    list = mem_alloc(n + 1, sizeof *list);
    if (!list)
        r = error_set(err, -ENOMEM, "out of memory");
    for (size_t i = n; i-- > 0 && r == 0;) {
        r = load_image(s, json_array_get(images, i), &list[count], err);
        count += r == 0;
    }
    json_decref(index);
    if (r < 0) {
        image_list_free(list, count);
        return r;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

void image_free(struct image *image)
{
    if (!image)
        return;
    free(image->id);
    free(image->digest);
    image_strings_free(image->names);
    image_strings_free(image->digests);
    for (size_t i = 0; i < image->layer_count; i++)
        free(image->layers[i]);
    free(image->layers);
    image_config_done(&image->config);
    free(image);
}

void image_list_free(struct image **images, size_t count)
{
    for (size_t i = 0; images && i < count; i++)
        image_free(images[i]);
    free(images);
}

int image_tag(struct image_store *s, const char *ref, const char *name, struct error *err)
{
    struct image_reference parsed;
    struct str text = {0};
    cleanup_fd int lock = -1;
    json_t *index = NULL, *entry;
    int r = image_reference_parse(name, &parsed, err);

    if (r < 0)
        return r;
    if (parsed.digest[0])
        return error_set(err, -EINVAL, "\"%s\" has a digest; a new name has a tag or nothing",
                         name);
    if (is_hex(name) && strlen(name) == STORE_DIGEST_HEX)
        return error_set(err, -EINVAL, "\"%s\" looks like an id and cannot be a name", name);
    image_reference_text(&parsed, &text);
    if (text.failed)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = store_lock(s, "lock", LOCK_EX, &lock, err);
    if (r == 0) {
        index = store_index_load(s, err);
        r = index ? store_entry_find(index, ref, NULL, &entry, err) : -EIO;
    }
    if (r == 0) {
        store_entry_name(index, entry, "names", str_text(&text));
        r = store_index_save(s, index, err);
    }
    json_decref(index);
    str_done(&text);
    return r;
}
