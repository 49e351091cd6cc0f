/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot create, ls, inspect, rm; restore; fork. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/human.h"
#include "cli/noun.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "instance/fork.h"
#include "instance/snapshot.h"

static const struct output_column columns[] = {
    {"NAME", "name", NULL},     {"INSTANCE", "instance", NULL}, {"CREATED", "created_ago", NULL},
    {"MEMORY", "memory", NULL}, {"SIZE", "size", NULL},         {NULL, NULL, NULL},
};

static json_t *row_of(const struct snapshot *s)
{
    struct str created = {0}, ago = {0}, memory = {0}, size = {0};
    char *text = spec_to_json(s->spec);
    json_t *row;

    human_time(&created, s->created);
    human_duration(&ago, human_now() - s->created);
    str_add(&ago, " ago");
    human_size(&memory, s->memory);
    human_size(&size, s->disk);
    row = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:o}", "name", s->name, "instance",
                    s->instance_name, "instance_id", s->instance, "created_at", str_text(&created),
                    "created_ago", str_text(&ago), "memory", str_text(&memory), "size",
                    str_text(&size), "bytes", (json_int_t)s->disk, "spec",
                    text ? json_loads(text, 0, NULL) : json_null());
    free(text);
    str_done(&created);
    str_done(&ago);
    str_done(&memory);
    str_done(&size);
    return row;
}

int verb_snapshot_create(struct cli *cli, struct args *args)
{
    struct error err = {0};
    char *name = NULL;

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (snapshot_create(cli->home, args->words[0], args->word_count > 1 ? args->words[1] : NULL,
                        &name, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    printf("%s\n", name);
    free(name);
    return 0;
}

int verb_snapshot_ls(struct cli *cli, struct args *args)
{
    struct snapshot *list = NULL;
    struct error err = {0};
    size_t count = 0;
    json_t *rows = NULL;

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (snapshot_list(cli->home, &list, &count, &err) < 0)
        cli_error(cli, &err);
    else
        rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, row_of(&list[i]));
    snapshot_list_free(list, count);
    return noun_ls(cli, args, columns, rows);
}

static json_t *describe(struct cli *cli, const char *name, struct error *err)
{
    struct snapshot s = {0};
    json_t *row = snapshot_find(cli->home, name, &s, err) < 0 ? NULL : row_of(&s);

    snapshot_done(&s);
    return row;
}

int verb_snapshot_inspect(struct cli *cli, struct args *args)
{
    return noun_inspect(cli, args, describe);
}

static int remove_one(struct cli *cli, const char *name, struct error *err)
{
    return snapshot_remove(cli->home, name, err);
}

int verb_snapshot_rm(struct cli *cli, struct args *args)
{
    return noun_rm(cli, args, remove_one);
}

int verb_restore(struct cli *cli, struct args *args)
{
    struct instance *i = NULL;
    struct error err = {0};
    int r;

    if (!cli_home(cli))
        return EXIT_FAILED;
    r = snapshot_restore(cli->home, args->words[0], args_text(args, "name"),
                         args_bool(args, "new-ports"), &i, &err);
    if (r == 0) {
        r = instance_start(cli->home, i->id, NULL, NULL, &err);
        if (r < 0 && instance_rm(cli->home, i->id, true, NULL) < 0)
            cli_complain(cli, "%s stays; remove it with isola rm", i->name);
    }
    if (r < 0)
        cli_error(cli, &err);
    else
        printf("%s\n", i->id);
    instance_free(i);
    return r < 0 ? EXIT_FAILED : 0;
}

static void print_id(void *opaque, const struct instance *i)
{
    (void)opaque;
    printf("%s\n", i->id);
    fflush(stdout);
}

int verb_fork(struct cli *cli, struct args *args)
{
    uint64_t count = args_number(args, "count");
    struct instance_fork how = {.count = (unsigned)min_of(count, (uint64_t)UINT_MAX),
                                .pattern = args_text(args, "name")};
    struct error err = {0};

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_fork(cli->home, args->words[0], &how, print_id, NULL, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}
