/* SPDX-License-Identifier: Apache-2.0 */
#include "build/stage.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "build/ignore.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int no_memory(struct error *err)
{
    return error_set_errno(err, -ENOMEM, "build");
}

void stage_done(struct stage *s)
{
    json_decref(s->image);
    json_decref(s->args);
    words_free(s->shell);
    words_free(s->from_words);
    free(s->layers);
    memset(s, 0, sizeof(*s));
}

/* --- the base --- */

static int start(struct stage *s, size_t layers, struct error *err)
{
    const char *created = json_string_value(json_object_get(s->image, "created"));

    snprintf(s->created, sizeof(s->created), "%s", created ? created : "1970-01-01T00:00:00Z");
    if (image_source_date() >= 0)
        image_time(s->created);
    if (layers > STAGE_LAYERS_MAX)
        return error_set(err, -E2BIG, "the base has %zu layers; the limit is %d", layers,
                         STAGE_LAYERS_MAX);
    s->layers = mem_alloc(STAGE_LAYERS_MAX, sizeof(*s->layers));
    s->args = json_object();
    return s->layers && s->args ? 0 : no_memory(err);
}

static json_t *member(json_t *o, const char *key, json_t *(*make)(void))
{
    json_t *v = json_object_get(o, key);

    if (!v || json_is_null(v)) {
        json_object_set_new(o, key, make());
        v = json_object_get(o, key);
    }
    return v;
}

int stage_from_scratch(struct stage *s, const char *os, const char *architecture, struct error *err)
{
    s->image = json_pack("{s:s, s:s, s:{}, s:{s:s, s:[]}, s:[]}", "architecture", architecture,
                         "os", os, "config", "rootfs", "type", "layers", "diff_ids", "history");
    hash_bytes("scratch", strlen("scratch"), &s->key);
    return s->image ? start(s, 0, err) : no_memory(err);
}

int stage_from_stage(struct stage *s, const struct stage *base, struct error *err)
{
    int r;

    s->image = json_deep_copy(base->image);
    r = s->image ? start(s, base->layer_count, err) : no_memory(err);
    if (r == 0 && base->layer_count)
        memcpy(s->layers, base->layers, base->layer_count * sizeof(*s->layers));
    s->layer_count = base->layer_count;
    s->key = base->key;
    return r;
}

int stage_from_image(struct stage *s, struct image_store *store, const struct image *image,
                     struct error *err)
{
    cleanup_free char *text = NULL;
    cleanup_free struct layer *layers = NULL;
    size_t n, count = 0;
    int r = image_blob_read(store, image->id, IMAGE_CONFIG_MAX, &text, &n, err);

    if (r == 0 && !(s->image = json_loadb(text, n, 0, NULL)))
        r = error_set(err, -EINVAL, "the configuration of the base is damaged");
    if (r == 0)
        r = image_layers(store, image, 0, &layers, &count, err);
    if (r == 0)
        r = start(s, count, err);
    if (r < 0)
        return r;
    if (count)
        memcpy(s->layers, layers, count * sizeof(*layers));
    s->layer_count = count;
    hash_bytes(image->id, strlen(image->id), &s->key);
    if (!json_is_object(member(s->image, "config", json_object)) ||
        !json_is_array(member(s->image, "history", json_array)) ||
        !json_is_array(json_object_get(json_object_get(s->image, "rootfs"), "diff_ids")))
        return error_set(err, -EINVAL, "the configuration of the base is damaged");
    return 0;
}

char **stage_directories(const struct stage *s, struct image_store *store)
{
    char **list = mem_alloc(s->layer_count + 1, sizeof(*list));

    for (size_t i = 0; list && i < s->layer_count; i++) {
        const struct layer *l = &s->layers[s->layer_count - 1 - i];
        list[i] = str_format("%s/layers/%s/diff", image_store_dir(store),
                             l->chain.text + strlen("sha256:"));
        if (!list[i]) {
            words_free(list);
            return NULL;
        }
    }
    return list;
}

/* --- configuration --- */

json_t *stage_config(struct stage *s)
{
    return json_object_get(s->image, "config");
}

const char *stage_text(struct stage *s, const char *key)
{
    const char *text = json_string_value(json_object_get(stage_config(s), key));

    return text ? text : "";
}

static const char *env_value(struct stage *s, const char *name, size_t n)
{
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(stage_config(s), "Env"), i, v)
    {
        const char *text = json_string_value(v);
        if (text && strncmp(text, name, n) == 0 && text[n] == '=')
            return text + n + 1;
    }
    return NULL;
}

static const char *scope_value(void *opaque, const char *name, size_t n)
{
    struct stage *s = opaque;
    const char *value = env_value(s, name, n);
    cleanup_free char *key = strndup(name, n);

    if (!value && key)
        value = json_string_value(json_object_get(s->args, key));
    return value;
}

struct words_scope stage_scope(struct stage *s)
{
    return (struct words_scope){.value = scope_value, .opaque = s, .escape = s->file->escape};
}

int stage_set_env(struct stage *s, const char *name, const char *value, struct error *err)
{
    json_t *env = member(stage_config(s), "Env", json_array), *v;
    cleanup_free char *text = str_format("%s=%s", name, value);
    size_t n = strlen(name), i;
    json_t *new = text ? json_string(text) : NULL;

    if (!new)
        return error_set(err, -EINVAL, "the value of %s is not UTF-8 text", name);
    json_array_foreach(env, i, v)
    {
        const char *old = json_string_value(v);
        if (old && strncmp(old, name, n) == 0 && old[n] == '=')
            return json_array_set_new(env, i, new) ? no_memory(err) : 0;
    }
    return json_array_append_new(env, new) ? no_memory(err) : 0;
}

struct list {
    char **v;
    size_t n;
    bool failed;
};

static void list_add(struct list *l, char *text)
{
    char **more = text ? realloc(l->v, (l->n + 2) * sizeof(*more)) : NULL;

    if (!more) {
        free(text);
        l->failed = true;
        return;
    }
    l->v = more;
    l->v[l->n++] = text;
    l->v[l->n] = NULL;
}

static char **list_end(struct list *l)
{
    if (!l->failed && l->v)
        return l->v;
    words_free(l->v);
    return NULL;
}

char **stage_environment(struct stage *s, const char *home)
{
    struct list l = {0};
    const char *name;
    json_t *v;
    size_t i;

    if (!env_value(s, "PATH", 4))
        list_add(&l, str_format("PATH=%s", DEFAULT_PATH));
    if (home && !env_value(s, "HOME", 4))
        list_add(&l, str_format("HOME=%s", home));
    json_object_foreach(s->args, name, v)
    {
        if (json_is_string(v) && !env_value(s, name, strlen(name)))
            list_add(&l, str_format("%s=%s", name, json_string_value(v)));
    }
    json_array_foreach(json_object_get(stage_config(s), "Env"), i, v)
    {
        if (json_is_string(v))
            list_add(&l, strdup(json_string_value(v)));
    }
    return list_end(&l);
}

char **stage_shell(struct stage *s, const char *command)
{
    static char sh[] = "/bin/sh", c[] = "-c";
    char *usual[] = {sh, c, NULL}, **shell = s->shell ? s->shell : usual;
    struct list l = {0};
    json_t *v, *kept = json_object_get(stage_config(s), "Shell");
    size_t i;

    if (!s->shell && json_array_size(kept)) {
        json_array_foreach(kept, i, v)
        {
            if (json_is_string(v))
                list_add(&l, strdup(json_string_value(v)));
        }
    } else {
        for (; *shell; shell++)
            list_add(&l, strdup(*shell));
    }
    list_add(&l, strdup(command));
    return list_end(&l);
}

/* --- steps --- */

void stage_key_add(struct stage *s, const char *text, size_t n)
{
    struct hash *h = hash_new();
    char length[32];

    if (!h) { /* never an old key for a new state */
        memset(s->key.text, '0', sizeof(s->key.text) - 1);
        return;
    }
    hash_add(h, s->key.text, strlen(s->key.text));
    snprintf(length, sizeof(length), " %zu ", n);
    hash_add(h, length, strlen(length));
    hash_add(h, text, n);
    hash_get(h, &s->key);
    hash_free(h);
}

int stage_step(struct stage *s, const struct layer *layer, const char *created_by,
               struct error *err)
{
    json_t *diffs = json_object_get(json_object_get(s->image, "rootfs"), "diff_ids"), *line;

    if (layer) {
        if (s->layer_count == STAGE_LAYERS_MAX)
            return error_set(err, -E2BIG, "more than %d layers", STAGE_LAYERS_MAX);
        s->layers[s->layer_count++] = *layer;
        if (json_array_append_new(diffs, json_string(layer->diff_id.text)))
            return no_memory(err);
    }
    json_object_set_new(s->image, "created", json_string(s->created));
    line = json_pack("{s:s, s:s, s:s}", "created", s->created, "created_by", created_by, "comment",
                     "isola build");
    if (!line)
        return error_set(err, -EINVAL, "it is not UTF-8 text");
    if (!layer)
        json_object_set_new(line, "empty_layer", json_true());
    return json_array_append_new(json_object_get(s->image, "history"), line) ? no_memory(err) : 0;
}

char *stage_path(struct stage *s, const char *path)
{
    const char *base = stage_text(s, "WorkingDir");
    cleanup_free char *whole =
        *path == '/' ? strdup(path) : str_format("%s/%s", *base ? base : "/", path);
    char clean[PATH_MAX];

    return whole && path_clean_root(whole, clean, sizeof(clean)) ? str_format("/%s", clean) : NULL;
}
