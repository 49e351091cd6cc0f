/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "image/command_registry.h"
#include "image/commands.h"

/* The image that is here under @name for the wanted platform, or NULL. */
static struct image *here(struct registry_run *run, const struct image_reference *ref)
{
    struct str name = {0};
    struct image *image = NULL;

    image_reference_text(ref, &name);
    if (image_find(run->program->store, str_text(&name), program_option(run->program, "platform"),
                   &image, NULL) < 0)
        image = NULL;
    str_done(&name);
    return image;
}

static int pull(struct registry_run *run, const char *name, struct error *err)
{
    const char *policy = program_option(run->program, "policy");
    struct pull_options o = {
        .platform = program_option(run->program, "platform"),
        .all_platforms = program_flag(run->program, "all-platforms"),
        .progress = run->progress,
        .cancel = &run->cancel,
    };
    struct image_reference ref;
    struct image *image;
    struct digest id;
    int r = registry_run_name(run, name, &ref, err);

    if (r < 0)
        return r;
    policy = policy ? policy : "always";
    image = strcmp(policy, "always") == 0 ? NULL : here(run, &ref);
    if (image && strcmp(policy, "newer") != 0) {
        printf("%s\n", image->id);
        image_free(image);
        return 0;
    }
    if (strcmp(policy, "never") == 0)
        return error_set(err, -ENOENT, "it is not here, and --policy never forbids to fetch it");
    r = image_pull(run->program->store, run->context, &ref, &o, &id, err);
    if (r < 0 && image) {
        struct str line = {0};
        str_addf(&line, "%s: %s; what is here is used", name, error_text(err));
        progress_notice(run->progress, str_text(&line));
        str_done(&line);
        snprintf(id.text, sizeof(id.text), "%s", image->id);
        r = 0;
    }
    if (r == 0)
        printf("%s\n", id.text);
    image_free(image);
    return r;
}

int command_pull(struct program *p)
{
    struct registry_run run = {0};
    int status;

    if (!program_store(p))
        return PROGRAM_FAILED;
    status = registry_run_begin(&run, p, "pulling");
    if (status)
        return status;
    for (int i = 0; i < p->word_count; i++) {
        struct error err = {0};
        if (pull(&run, p->words[i], &err) < 0)
            status = program_complain(p, "%s: %s", p->words[i], error_text(&err));
    }
    registry_run_end(&run);
    return status;
}
