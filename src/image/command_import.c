/* SPDX-License-Identifier: Apache-2.0 */
/* import: an archive of a root file system becomes an image of one layer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "image/change.h"
#include "image/commands.h"
#include "image/import.h"
#include "image/reference.h"

static char *make_config(const struct image_import *i, const struct layer *layer, struct error *err)
{
    const char *platform = i->platform ? i->platform : image_platform_host();
    const char *slash = strchr(platform, '/'), *variant = slash ? strchr(slash + 1, '/') : NULL;
    char now[IMAGE_TIME_TEXT];
    json_t *config = json_object(), *root;
    char *text;
    int r = 0;

    for (size_t n = 0; r == 0 && i->changes && i->changes[n]; n++)
        r = image_change(config, i->changes[n], err);
    if (r == 0 && !slash)
        r = error_set(err, -EINVAL, "platform \"%s\" is not OS/ARCH", platform);
    if (r < 0) {
        json_decref(config);
        return NULL;
    }
    image_time(now);
    root = json_pack("{s:s, s:s%, s:s%, s:o, s:{s:s, s:[s]}, s:[{s:s, s:s, s:s}]}", "created", now,
                     "architecture", slash + 1,
                     variant ? (size_t)(variant - slash - 1) : strlen(slash + 1), "os", platform,
                     (size_t)(slash - platform), "config", config, "rootfs", "type", "layers",
                     "diff_ids", layer->diff_id.text, "history", "created", now, "created_by",
                     i->created_by, "comment", i->comment ? i->comment : "");
    if (root && variant)
        json_object_set_new(root, "variant", json_string(variant + 1));
    text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        error_set(err, -EINVAL, "a change or comment is not UTF-8 text");
    return text;
}

int image_import(struct image_store *store, const struct image_import *i, struct digest *ret_id,
                 struct error *err)
{
    cleanup_free char *config = NULL;
    struct layer layer;
    int r = layer_from_stream(store, i->read, i->opaque, i->kind, NULL, 0, NULL, &layer, err);

    if (r < 0)
        return r;
    config = make_config(i, &layer, err);
    if (!config)
        return -EINVAL;
    return image_commit(store,
                        &(struct image_new){.config = config,
                                            .config_len = strlen(config),
                                            .layers = &layer,
                                            .layer_count = 1,
                                            .names = (const char *const[]){i->name, NULL}},
                        ret_id, err);
}

/* All values of a repeated option, NULL after the last. New, the values borrowed. */
static const char **list_of(const struct program *p, const char *name)
{
    size_t n = 0;
    const char **list;

    while (program_list(p, name, n))
        n++;
    list = calloc(n + 1, sizeof *list);
    for (size_t k = 0; list && k < n; k++)
        list[k] = program_list(p, name, k);
    return list;
}

/* Names are checked before work begins. */
int command_check_name(struct program *p, const char *name)
{
    struct image_reference ref;
    struct error err = {0};

    if (name && (image_reference_parse(name, &ref, &err) < 0 || ref.digest[0])) {
        if (!err.code)
            error_set(&err, -EINVAL, "\"%s\" has a digest; a new image has a tag or nothing", name);
        program_error(p, &err);
        return PROGRAM_USAGE;
    }
    return 0;
}

int command_import(struct program *p)
{
    const char *file = p->words[0];
    cleanup_free const char **changes = list_of(p, "change");
    cleanup_fd int fd = -1;
    struct image_import i = {.read = layer_read_fd,
                             .opaque = &fd,
                             .changes = changes,
                             .name = p->word_count > 1 ? p->words[1] : NULL,
                             .comment = program_option(p, "message"),
                             .platform = program_option(p, "platform"),
                             .created_by = "isola import"};
    struct image_store *store;
    struct error err = {0};
    struct digest id;
    int status = command_check_name(p, i.name);

    if (status)
        return status;
    if (encode_kind_parse(program_option(p, "compression"), &i.kind, &err) < 0) {
        program_error(p, &err);
        return PROGRAM_USAGE;
    }
    fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return program_complain(p, "open %s: %s", file, strerror(errno));
    store = program_store(p);
    if (!store)
        return PROGRAM_FAILED;
    if (image_import(store, &i, &id, &err) < 0) {
        error_wrap(&err, err.code, "%s", file);
        return program_error(p, &err);
    }
    puts(id.text);
    return 0;
}
