/* SPDX-License-Identifier: Apache-2.0 */
/* commit: what a container has changed becomes an image; isola-image does the packing. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "cli/image_program.h"
#include "cli/verbs.h"
#include "instance/instance.h"

/* The command line of isola-image. */
struct request {
    char **argv;
    size_t count;
    bool failed;
};

static void add(struct request *q, char *text)
{
    char **grown = text ? realloc(q->argv, (q->count + 2) * sizeof *grown) : NULL;

    if (!grown) {
        free(text);
        q->failed = true;
        return;
    }
    q->argv = grown;
    q->argv[q->count++] = text;
    q->argv[q->count] = NULL;
}

static void add_list(struct request *q, const char *instruction, const struct spec_list *list)
{
    json_t *array = json_array();
    char *text;

    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, json_string(list->items[i]));
    text = list->count ? json_dumps(array, JSON_COMPACT) : NULL;
    if (text)
        add(q, str_format("--change=%s %s", instruction, text));
    free(text);
    json_decref(array);
}

/* NAME="VALUE" with what ends a quotation escaped. */
static void add_env(struct request *q, const char *setting)
{
    const char *equals = strchr(setting, '=');
    struct str text = {0};

    if (!equals)
        return;
    str_addf(&text, "--change=ENV %.*s=\"", (int)(equals - setting), setting);
    for (const char *p = equals + 1; *p; p++) {
        if (*p == '"' || *p == '\\')
            str_add_char(&text, '\\');
        str_add_char(&text, *p);
    }
    str_add_char(&text, '"');
    add(q, str_steal(&text));
}

/* How the container was run is how the image will be, as with Docker; --change comes last. */
static void add_changes(struct request *q, const struct spec *spec, struct args *args)
{
    const struct spec_container *c = &spec->container;
    const char *change;

    add_list(q, "CMD", &c->command);
    for (size_t i = 0; i < c->env.count; i++)
        add_env(q, c->env.items[i]);
    if (c->entrypoint && *c->entrypoint)
        add_list(q, "ENTRYPOINT",
                 &(struct spec_list){.items = (char **)(uintptr_t)&c->entrypoint, .count = 1});
    if (c->workdir)
        add(q, str_format("--change=WORKDIR %s", c->workdir));
    if (c->user)
        add(q, str_format("--change=USER %s", c->user));
    for (size_t i = 0; (change = args_list(args, "change", i)); i++)
        add(q, str_format("--change=%s", change));
}

static int run(struct cli *cli, const struct instance *instance, struct args *args,
               struct error *err)
{
    static const char *const passed[] = {"author", "message", "compression"};
    cleanup_free char *upper = instance_upper(cli->home, instance);
    struct request q = {0};
    int r;

    if (!upper)
        return error_set(err, -ENOMEM, "out of memory");
    if (access(upper, F_OK) < 0)
        return error_set(err, -ENOENT, "it has never run and changed nothing; use isola tag");
    add(&q, strdup("_commit"));
    add(&q, str_format("--upper=%s", upper));
    add(&q, str_format("--image=%s", instance->spec->container.image_id));
    for (size_t i = 0; i < array_size(passed); i++) {
        if (args_text(args, passed[i]))
            add(&q, str_format("--%s=%s", passed[i], args_text(args, passed[i])));
    }
    add_changes(&q, instance->spec, args);
    add(&q, strdup("--"));
    if (args->word_count > 1)
        add(&q, strdup(args->words[1]));
    r = q.failed ? error_set(err, -ENOMEM, "out of memory")
                 : image_program_run((const char *const *)q.argv, err);
    for (size_t i = 0; i < q.count; i++)
        free(q.argv[i]);
    free(q.argv);
    return r;
}

int verb_commit(struct cli *cli, struct args *args)
{
    const char *ref = args->words[0];
    struct instance *instance = NULL;
    struct error err = {0};
    bool paused = false;
    int r;

    if (!cli_home(cli))
        return EXIT_FAILED;
    r = instance_find(cli->home, ref, &instance, &err);
    if (r == 0 &&
        (instance->spec->wall != SPEC_WALL_CONTAINER || !instance->spec->container.image_id))
        r = error_set(&err, -ENOTSUP,
                      "%s is not a container made from an image; isola import makes images of "
                      "archives",
                      ref);
    if (r == 0 && args_bool(args, "pause") && instance->state == LIFECYCLE_RUNNING) {
        r = instance_pause(cli->home, ref, &err);
        paused = r == 0;
    }
    if (r == 0)
        r = run(cli, instance, args, &err);
    if (paused && instance_unpause(cli->home, ref, NULL) < 0)
        cli_complain(cli, "%s stays paused; \"isola unpause %s\" lets it go on", ref, ref);
    if (r < 0)
        cli_error(cli, &err);
    instance_free(instance);
    return r < 0 ? EXIT_FAILED : r;
}
