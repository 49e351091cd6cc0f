/* SPDX-License-Identifier: Apache-2.0 */
/* _commit: a writable branch on top of an image becomes another image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/change.h"
#include "image/commands.h"
#include "image/idmap.h"
#include "image/layer_export.h"
#include "image/store_internal.h"

/* The configuration of @base with one layer and one line of history more. New. */
static char *make_config(struct program *p, struct image_store *store, const struct image *base,
                         const struct layer *layer, struct error *err)
{
    const char *author = program_option(p, "author"), *comment = program_option(p, "message");
    cleanup_free char *text = NULL;
    char now[IMAGE_TIME_TEXT], *result;
    const char *change;
    json_t *root, *config, *step;
    size_t len = 0;
    int r = image_blob_read(store, base->id, IMAGE_CONFIG_MAX, &text, &len, err);

    root = r == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    if (!root)
        return NULL;
    image_time(now);
    config = json_object_get(root, "config");
    if (!json_is_object(config)) {
        json_object_set_new(root, "config", json_object());
        config = json_object_get(root, "config");
    }
    for (size_t i = 0; r == 0 && (change = program_list(p, "change", i)); i++)
        r = image_change(config, change, err);
    json_object_set_new(root, "created", json_string(now));
    if (author)
        json_object_set_new(root, "author", json_string(author));
    json_array_append_new(json_object_get(json_object_get(root, "rootfs"), "diff_ids"),
                          json_string(layer->diff_id.text));
    step = json_pack("{s:s, s:s, s:s*, s:s*}", "created", now, "created_by", "isola commit",
                     "author", author, "comment", comment);
    if (!json_is_array(json_object_get(root, "history")))
        json_object_set_new(root, "history", json_array());
    json_array_append_new(json_object_get(root, "history"), step);
    result = r == 0 ? json_dumps(root, JSON_COMPACT) : NULL;
    if (r == 0 && (!result || !step))
        error_set(err, -EINVAL, "the author or message is not UTF-8 text");
    json_decref(root);
    return step ? result : NULL;
}

static int commit(struct program *p, struct image_store *store, int upper, struct digest *id,
                  struct error *err)
{
    cleanup_free struct layer *layers = NULL;
    cleanup_free char *config = NULL;
    struct image *base = NULL;
    enum encode_kind kind;
    size_t count = 0;
    int r = encode_kind_parse(program_option(p, "compression"), &kind, err);

    if (r == 0)
        r = image_find(store, program_option(p, "image"), NULL, &base, err);
    if (r < 0)
        return r;
    r = image_layers(store, base, 1, &layers, &count, err);
    if (r == 0)
        r = layer_from_upper(store, upper, kind, layers, count, &layers[count], err);
    if (r == 0) {
        config = make_config(p, store, base, &layers[count], err);
        r = config ? 0 : -EINVAL;
    }
    image_free(base);
    if (r < 0)
        return r;
    return image_commit(store,
                        &(struct image_new){.config = config,
                                            .config_len = strlen(config),
                                            .layers = layers,
                                            .layer_count = count + 1,
                                            .names = (const char *const[]){p->words[0], NULL}},
                        id, err);
}

/* As the root of this user's ids, so that those of the files are seen as in the container. */
static int run(void *opaque)
{
    struct program *p = opaque;
    const char *path = program_option(p, "upper");
    struct image_store *store = program_store(p);
    cleanup_fd int upper = -1;
    struct error err = {0};
    struct digest id;

    if (!store)
        return PROGRAM_FAILED;
    upper = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0)
        return program_complain(p, "open %s: %s", path, strerror(errno));
    if (commit(p, store, upper, &id, &err) < 0)
        return program_error(p, &err);
    puts(id.text);
    fflush(stdout);
    return 0;
}

int command_commit(struct program *p)
{
    struct error err = {0};
    int status = command_check_name(p, p->words[0]);

    if (status)
        return status;
    if (!program_option(p, "upper") || !program_option(p, "image")) {
        program_complain(p, "--upper and --image are missing; use isola");
        return PROGRAM_USAGE;
    }
    status = idmap_run(run, p, &err);
    return status < 0 ? program_error(p, &err) : status;
}
