/* SPDX-License-Identifier: Apache-2.0 */
/* volume create, ls, inspect, rm, prune. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/human.h"
#include "cli/noun.h"
#include "cli/output.h"
#include "cli/prune.h"
#include "instance/container_volume.h"
#include "instance/instance.h"

static const struct output_column volume_columns[] = {
    {"DRIVER", "driver", NULL},
    {"VOLUME NAME", "name", NULL},
    {NULL, NULL, NULL},
};

static json_t *volume_row(const struct volume *v)
{
    json_t *labels = json_object(), *row;
    struct str created = {0};

    for (size_t i = 0; i < v->labels.count; i++) {
        const char *text = v->labels.items[i], *value = strchr(text, '=');
        char *key = strndup(text, strcspn(text, "="));
        if (key)
            json_object_set_new(labels, key, json_string(value ? value + 1 : ""));
        free(key);
    }
    human_time(&created, v->created);
    row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o}", "driver", "local", "name", v->name,
                    "mountpoint", v->path, "scope", "local", "created_at", str_text(&created),
                    "anonymous", (int)v->anonymous, "labels", labels);
    str_done(&created);
    return row;
}

/* The name of an instance that mounts volume @name: new, NULL: none. */
static char *user_of(struct instance **list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const struct spec_container *c = &list[i]->spec->container;
        for (size_t m = 0; m < c->mount_count; m++)
            if (c->mounts[m].type == SPEC_MOUNT_VOLUME && c->mounts[m].source &&
                strcmp(c->mounts[m].source, name) == 0)
                return strdup(list[i]->name);
    }
    return NULL;
}

int verb_volume_create(struct cli *cli, struct args *args)
{
    char generated[65];
    const char *name = args->word_count ? args->words[0] : generated, *label;
    struct spec_list labels = {0};
    struct error err = {0};
    uint8_t raw[32];
    int r = 0;

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (!args->word_count) {
        r = getrandom(raw, sizeof(raw), 0) == (ssize_t)sizeof(raw)
                ? 0
                : error_set_errno(&err, -errno, "make a name");
        for (size_t i = 0; i < sizeof(raw); i++)
            snprintf(generated + 2 * i, 3, "%02x", raw[i]);
    }
    for (size_t i = 0; r == 0 && (label = args_list(args, "label", i)); i++) {
        char **items = reallocarray(labels.items, labels.count + 1, sizeof(*items));
        if (!items) {
            r = error_set(&err, -ENOMEM, "out of memory");
            break;
        }
        labels.items = items;
        labels.items[labels.count++] = (char *)label;
    }
    if (r == 0)
        r = volume_create(instances_data_dir(cli->home), name, !args->word_count, &labels, NULL,
                          &err);
    free(labels.items);
    if (r < 0)
        cli_error(cli, &err);
    else
        printf("%s\n", name);
    return r < 0 ? EXIT_FAILED : 0;
}

int verb_volume_ls(struct cli *cli, struct args *args)
{
    struct volume *list = NULL;
    struct error err = {0};
    size_t count = 0;
    json_t *rows = NULL;

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (volume_list(instances_data_dir(cli->home), &list, &count, &err) < 0)
        cli_error(cli, &err);
    else
        rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, volume_row(&list[i]));
    volume_list_free(list, count);
    return noun_ls(cli, args, volume_columns, rows);
}

static json_t *describe(struct cli *cli, const char *name, struct error *err)
{
    struct volume v = {0};
    json_t *row =
        volume_find(instances_data_dir(cli->home), name, &v, err) < 0 ? NULL : volume_row(&v);

    volume_done(&v);
    return row;
}

int verb_volume_inspect(struct cli *cli, struct args *args)
{
    return noun_inspect(cli, args, describe);
}

static int remove_one(struct cli *cli, const char *name, struct error *err)
{
    struct instance **list = NULL;
    size_t count = 0;
    char *user;
    int r = instance_list(cli->home, &list, &count, err);

    if (r < 0)
        return r;
    user = user_of(list, count, name);
    r = user ? error_set(err, -EBUSY, "volume %s is used by %s; remove that instance first", name,
                         user)
             : volume_remove(instances_data_dir(cli->home), name, err);
    free(user);
    instance_list_free(list, count);
    return r;
}

int verb_volume_rm(struct cli *cli, struct args *args)
{
    return noun_rm(cli, args, remove_one);
}

int prune_volumes(struct cli *cli, bool named, struct error *err)
{
    struct instance **list = NULL;
    struct volume *volumes = NULL;
    size_t count = 0, volume_count = 0;
    int r;

    if (!cli_home(cli))
        return -EIO;
    r = instance_list(cli->home, &list, &count, err);
    if (r == 0)
        r = volume_list(instances_data_dir(cli->home), &volumes, &volume_count, err);
    for (size_t i = 0; r == 0 && i < volume_count; i++) {
        char *user = user_of(list, count, volumes[i].name);
        bool wanted = !user && (volumes[i].anonymous || named);
        free(user);
        if (!wanted)
            continue;
        r = volume_remove(instances_data_dir(cli->home), volumes[i].name, err);
        if (r == 0)
            printf("%s\n", volumes[i].name);
    }
    volume_list_free(volumes, volume_count);
    instance_list_free(list, count);
    return r;
}

int verb_volume_prune(struct cli *cli, struct args *args)
{
    bool all = args_bool(args, "all");
    struct error err = {0};

    if (prune_confirm(args, &err, "all %svolumes that no instance uses", all ? "" : "nameless ") <
            0 ||
        prune_volumes(cli, all, &err) < 0) {
        if (err.code)
            cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}
