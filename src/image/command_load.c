/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "image/commands.h"
#include "image/load.h"
#include "image/reference.h"

/* Lines as Docker prints them; scripts read them. */
static void loaded(void *opaque, const char *name, const char *id)
{
    struct program *p = opaque;
    struct image_reference ref;
    struct str text = {0};

    if (program_flag(p, "quiet")) {
        puts(id);
        return;
    }
    if (name && image_reference_parse(name, &ref, NULL) == 0) {
        image_reference_familiar(&ref, &text);
        printf("Loaded image: %s\n", str_text(&text));
        str_done(&text);
    } else {
        printf("Loaded image ID: %s\n", id);
    }
    fflush(stdout);
}

int command_load(struct program *p)
{
    const char *file = program_option(p, "input");
    struct image_load options = {.platform = program_option(p, "platform"),
                                 .name = program_option(p, "tag"),
                                 .loaded = loaded,
                                 .opaque = p};
    struct error err = {0};
    struct image_store *store;
    struct bundle *bundle;
    int r, status = command_check_name(p, options.name);

    if (status)
        return status;
    store = program_store(p);
    if (!store)
        return PROGRAM_FAILED;
    if (!file)
        file = "-";
    bundle = bundle_open(store, file, &err);
    r = bundle ? image_load(store, bundle, &options, &err) : err.code;
    bundle_close(bundle);
    if (r < 0) {
        error_wrap(&err, r, "%s", file);
        return program_error(p, &err);
    }
    return 0;
}
