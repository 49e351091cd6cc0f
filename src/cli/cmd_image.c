/* SPDX-License-Identifier: Apache-2.0 */
/* images, rmi, tag, history, image inspect, image prune, system df: what the store tells. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/human.h"
#include "cli/image_program.h"
#include "cli/output.h"
#include "cli/prune.h"
#include "image/reference.h"
#include "image/store.h"
#include "instance/instance.h"

/* The store, NULL with the error printed. */
static struct image_store *open_store(struct cli *cli)
{
    struct error err = {0};
    struct image_store *store = image_store_open(NULL, &err);

    if (!store)
        cli_error(cli, &err);
    return store;
}

static int failed(struct cli *cli, const struct error *err)
{
    cli_error(cli, err);
    return EXIT_FAILED;
}

/* Instances as users of images: an image_user_fn. */
struct users {
    struct instance **list;
    size_t count;
};

static const char *user_of(void *opaque, const char *image_id)
{
    struct users *u = opaque;

    for (size_t i = 0; i < u->count; i++) {
        const char *id = u->list[i]->spec->container.image_id;
        if (id && strcmp(id, image_id) == 0)
            return u->list[i]->name;
    }
    return NULL;
}

static int load_users(struct cli *cli, struct users *u, struct error *err)
{
    *u = (struct users){0};
    if (!cli_home(cli))
        return error_set(err, -EIO, "the instances that may use images are not known");
    return instance_list(cli->home, &u->list, &u->count, err);
}

/* What only isola-image may delete: files of other ids of this user. */
static void sweep(void)
{
    (void)!image_program_run((const char *const[]){"_sweep", NULL}, NULL);
}

static int64_t created_ns(const struct image *image)
{
    int64_t ns = 0;

    if (human_parse_time(image->config.created, 0, &ns, NULL) < 0)
        return 0;
    return ns;
}

static void set_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, json_string(text ? text : ""));
}

static void set_str(json_t *o, const char *key, struct str *text)
{
    set_text(o, key, str_text(text));
    str_done(text);
}

static json_t *strings(char *const *list)
{
    json_t *array = json_array();

    for (; list && *list; list++)
        json_array_append_new(array, json_string(*list));
    return array;
}

/* The last word before ":" or "@" apart; "<none>" where there is nothing. */
static void set_name(json_t *row, const char *name)
{
    struct image_reference ref = {0};
    struct str repository = {0};

    if (name && image_reference_parse(name, &ref, NULL) == 0) {
        struct image_reference only = ref;
        size_t n;
        only.digest[0] = 0;
        snprintf(only.tag, sizeof only.tag, "x");
        image_reference_familiar(&only, &repository);
        n = strlen(":x");
        if (repository.len > n)
            repository.data[repository.len -= n] = 0;
    }
    set_text(row, "repository", repository.len ? repository.data : "<none>");
    set_text(row, "tag", ref.tag[0] ? ref.tag : "<none>");
    str_done(&repository);
}

static const char *digest_of(const struct image *image)
{
    const char *at = image->digests[0] ? strchr(image->digests[0], '@') : NULL;

    return at ? at + 1 : image->digest;
}

static json_t *image_row(const struct output *o, const struct image *image, const char *name,
                         int64_t now)
{
    json_t *row = json_object();
    struct str since = {0}, at = {0}, size = {0}, platform = {0};
    int64_t created = created_ns(image);

    set_text(row, "id", o->no_trunc || output_is_json(o) ? image->id : strchr(image->id, ':') + 1);
    set_name(row, name);
    set_text(row, "digest", digest_of(image));
    if (created) {
        human_duration(&since, now > created ? now - created : 0);
        str_add(&since, " ago");
    }
    human_time(&at, created);
    human_traffic(&size, image->size);
    str_addf(&platform, "%s/%s%s%s", image->config.os, image->config.architecture,
             image->config.variant[0] ? "/" : "", image->config.variant);
    set_str(row, "created_since", &since);
    set_str(row, "created_at", &at);
    set_str(row, "size", &size);
    set_str(row, "platform", &platform);
    json_object_set_new(row, "bytes", json_integer((json_int_t)image->size));
    return row;
}

static bool label_matches(const struct image *image, const char *want)
{
    size_t n = strcspn(want, "=");

    for (size_t i = 0; i < image->config.label_count; i++) {
        const struct image_label *l = &image->config.labels[i];
        if (strlen(l->key) == n && strncmp(l->key, want, n) == 0 &&
            (!want[n] || strcmp(l->value, want + n + 1) == 0))
            return true;
    }
    return false;
}

/* A pattern for the whole familiar name, or for that without its tag. */
static bool name_matches(const char *name, const char *pattern)
{
    struct image_reference ref;
    struct str text = {0};
    char *colon;
    bool ok;

    if (!name || image_reference_parse(name, &ref, NULL) < 0)
        return false;
    image_reference_familiar(&ref, &text);
    ok = fnmatch(pattern, str_text(&text), 0) == 0 || strcmp(pattern, name) == 0;
    colon = text.data ? strrchr(text.data, ':') : NULL;
    if (colon && !strchr(colon, '/'))
        *colon = 0;
    ok = ok || fnmatch(pattern, str_text(&text), 0) == 0;
    str_done(&text);
    return ok;
}

static bool passes(const struct image *image, const char *name, struct args *args)
{
    const char *f;

    if (args->word_count && !name_matches(name, args->words[0]))
        return false;
    for (size_t i = 0; (f = args_list(args, "filter", i)); i++) {
        if (strcmp(f, "dangling=true") == 0    ? image->names[0] != NULL
            : strcmp(f, "dangling=false") == 0 ? image->names[0] == NULL
            : str_starts(f, "label=")          ? !label_matches(image, f + strlen("label="))
                                               : !name_matches(name, f + strlen("reference=")))
            return false;
    }
    return true;
}

static int check_filters(struct args *args, struct error *err)
{
    const char *f;

    for (size_t i = 0; (f = args_list(args, "filter", i)); i++) {
        if (strcmp(f, "dangling=true") != 0 && strcmp(f, "dangling=false") != 0 &&
            !str_starts(f, "label=") && !str_starts(f, "reference="))
            return error_set(err, -EINVAL,
                             "option --filter: \"%s\" is none of dangling=true, dangling=false, "
                             "label=KEY[=VALUE] and reference=PATTERN",
                             f);
    }
    return 0;
}

int verb_images(struct cli *cli, struct args *args)
{
    static const struct output_column plain[] = {
        {"REPOSITORY", "repository", NULL}, {"TAG", "tag", NULL},   {"IMAGE ID", "id", NULL},
        {"CREATED", "created_since", NULL}, {"SIZE", "size", NULL}, {NULL, NULL, NULL}};
    static const struct output_column digests[] = {{"REPOSITORY", "repository", NULL},
                                                   {"TAG", "tag", NULL},
                                                   {"DIGEST", "digest", NULL},
                                                   {"IMAGE ID", "id", NULL},
                                                   {"CREATED", "created_since", NULL},
                                                   {"SIZE", "size", NULL},
                                                   {NULL, NULL, NULL}};
    struct output o = {.columns = args_bool(args, "digests") ? digests : plain};
    struct image_store *store;
    struct image **list = NULL;
    struct error err = {0};
    size_t count = 0;
    json_t *rows;
    int r;

    output_from_args(&o, args);
    if (check_filters(args, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    store = open_store(cli);
    if (!store)
        return EXIT_FAILED;
    r = image_list(store, &list, &count, &err);
    image_store_close(store);
    if (r < 0)
        return failed(cli, &err);
    rows = json_array();
    for (size_t i = 0; i < count; i++) {
        char *const none[] = {NULL};
        char *const *name = list[i]->names[0] ? list[i]->names : none;
        do {
            if (passes(list[i], *name, args))
                json_array_append_new(rows, image_row(&o, list[i], *name, human_now()));
        } while (*name && *++name && !o.quiet);
    }
    image_list_free(list, count);
    return output_print(cli, &o, rows);
}

int verb_rmi(struct cli *cli, struct args *args)
{
    struct image_store *store = open_store(cli);
    struct users users;
    struct error err = {0};
    int status = 0;
    bool left = false;

    if (!store)
        return EXIT_FAILED;
    if (load_users(cli, &users, &err) < 0) {
        image_store_close(store);
        return failed(cli, &err);
    }
    for (int i = 0; i < args->word_count; i++) {
        struct str report = {0};
        bool more = false;
        err = (struct error){0};
        if (image_remove(store, args->words[i], args_bool(args, "force"), user_of, &users, &report,
                         &more, &err) < 0) {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
        left = left || more;
        cli_print(str_text(&report));
        str_done(&report);
    }
    instance_list_free(users.list, users.count);
    image_store_close(store);
    if (left)
        sweep();
    return status;
}

int verb_tag(struct cli *cli, struct args *args)
{
    struct image_store *store = open_store(cli);
    struct error err = {0};
    int r;

    if (!store)
        return EXIT_FAILED;
    r = image_tag(store, args->words[0], args->words[1], &err);
    image_store_close(store);
    return r < 0 ? failed(cli, &err) : 0;
}

/* One step of the history; the id stands at the last one, as Docker shows it. */
static json_t *history_row(const struct output *o, const struct image *image, size_t i, int64_t now)
{
    const struct image_history *h = &image->config.history[i];
    bool last = i + 1 == image->config.history_count;
    json_t *row = json_object();
    struct str since = {0};
    int64_t created = 0;

    if (h->created && human_parse_time(h->created, 0, &created, NULL) == 0 && created) {
        human_duration(&since, now > created ? now - created : 0);
        str_add(&since, " ago");
    }
    set_text(row, "id",
             !last                              ? "<missing>"
             : o->no_trunc || output_is_json(o) ? image->id
                                                : strchr(image->id, ':') + 1);
    set_str(row, "created_since", &since);
    set_text(row, "created_at", h->created);
    if (h->created_by && !o->no_trunc && !output_is_json(o) && strlen(h->created_by) > 60) {
        struct str cut = {0};
        str_addf(&cut, "%.57s...", h->created_by);
        set_str(row, "created_by", &cut);
    } else {
        set_text(row, "created_by", h->created_by);
    }
    set_text(row, "comment", h->comment);
    json_object_set_new(row, "empty_layer", json_boolean(h->empty_layer));
    return row;
}

int verb_history(struct cli *cli, struct args *args)
{
    static const struct output_column columns[] = {{"IMAGE", "id", NULL},
                                                   {"CREATED", "created_since", NULL},
                                                   {"CREATED BY", "created_by", NULL},
                                                   {"COMMENT", "comment", NULL},
                                                   {NULL, NULL, NULL}};
    struct output o = {.columns = columns};
    struct image_store *store = open_store(cli);
    struct image *image = NULL;
    struct error err = {0};
    json_t *rows;
    int r;

    output_from_args(&o, args);
    if (!store)
        return EXIT_FAILED;
    r = image_find(store, args->words[0], NULL, &image, &err);
    image_store_close(store);
    if (r < 0)
        return failed(cli, &err);
    rows = json_array();
    for (size_t i = image->config.history_count; i-- > 0;)
        json_array_append_new(rows, history_row(&o, image, i, human_now()));
    image_free(image);
    return output_print(cli, &o, rows);
}

static json_t *health_object(const struct image_health *h)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:i}", "test", strings(h->test), "interval",
                     (json_int_t)h->interval, "timeout", (json_int_t)h->timeout, "start_period",
                     (json_int_t)h->start_period, "start_interval", (json_int_t)h->start_interval,
                     "retries", h->retries);
}

static json_t *config_object(const struct image_config *c)
{
    json_t *labels = json_object(), *o;

    for (size_t i = 0; i < c->label_count; i++)
        json_object_set_new(labels, c->labels[i].key, json_string(c->labels[i].value));
    o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:o}", "env", strings(c->env),
                  "entrypoint", strings(c->entrypoint), "cmd", strings(c->cmd), "volumes",
                  strings(c->volumes), "exposed_ports", strings(c->exposed_ports), "shell",
                  strings(c->shell), "on_build", strings(c->onbuild), "user", c->user,
                  "working_dir", c->workdir, "stop_signal", c->stop_signal, "labels", labels);
    if (o && c->health)
        json_object_set_new(o, "healthcheck", health_object(c->health));
    return o;
}

static json_t *image_object(const struct image *image)
{
    const struct image_config *c = &image->config;
    struct str added = {0};
    json_t *layers = json_array(), *o;

    for (size_t i = 0; i < image->layer_count; i++)
        json_array_append_new(layers, json_string(image->layers[i]));
    human_time(&added, image->added * HUMAN_SECOND);
    o = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o}", "id",
                  image->id, "digest", image->digest, "repo_tags", strings(image->names),
                  "repo_digests", strings(image->digests), "created", c->created, "added",
                  str_text(&added), "author", c->author, "architecture", c->architecture, "variant",
                  c->variant, "os", c->os, "size", (json_int_t)image->size, "config",
                  config_object(c), "diff_ids", strings(c->diff_ids), "layers", layers);
    str_done(&added);
    return o;
}

int verb_image_inspect(struct cli *cli, struct args *args)
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    struct output o = {.format = format ? format : "json", .no_trunc = true};
    struct image_store *store = open_store(cli);
    json_t *list;
    int status = 0, printed;

    if (!store)
        return EXIT_FAILED;
    list = json_array();
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        struct image *image = NULL;
        if (image_find(store, args->words[i], args_text(args, "platform"), &image, &err) < 0) {
            status = failed(cli, &err);
            continue;
        }
        json_array_append_new(list, image_object(image));
        image_free(image);
    }
    image_store_close(store);
    printed = output_print(cli, &o, list);
    return status ? status : printed;
}

int prune_images(struct cli *cli, const struct image_prune_what *what, struct error *err)
{
    struct image_store *store;
    struct str report = {0}, size = {0};
    struct users users;
    uint64_t bytes = 0;
    bool left = false;
    int r = load_users(cli, &users, err);

    if (r < 0)
        return r;
    store = image_store_open(NULL, err);
    r = store ? image_prune(store, what, user_of, &users, &report, &bytes, &left, err) : -EIO;
    image_store_close(store);
    instance_list_free(users.list, users.count);
    cli_print(str_text(&report));
    str_done(&report);
    if (r < 0)
        return r;
    if (left)
        sweep();
    human_traffic(&size, bytes);
    printf("Total reclaimed space: %s\n", str_text(&size));
    str_done(&size);
    return 0;
}

int verb_image_prune(struct cli *cli, struct args *args)
{
    const char *until = args_text(args, "until");
    struct image_prune_what what = {.all = args_bool(args, "all"),
                                    .build_cache = args_bool(args, "build-cache")};
    struct error err = {0};
    int64_t before = 0;

    if (until && human_parse_time(until, human_now(), &before, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    what.before = before / HUMAN_SECOND;
    if (prune_confirm(args, &err, "all images that no instance uses%s",
                      what.all ? "" : " and that have no name") < 0 ||
        prune_images(cli, &what, &err) < 0)
        return failed(cli, &err);
    return 0;
}

static json_t *df_row(const char *type, size_t count, uint64_t bytes, uint64_t free_bytes)
{
    struct str size = {0}, reclaimable = {0};
    json_t *row = json_pack("{s:s, s:I, s:I}", "type", type, "count", (json_int_t)count, "bytes",
                            (json_int_t)bytes);

    human_traffic(&size, bytes);
    human_traffic(&reclaimable, free_bytes);
    set_str(row, "size", &size);
    set_str(row, "reclaimable", &reclaimable);
    return row;
}

int verb_system_df(struct cli *cli, struct args *args)
{
    static const struct output_column columns[] = {
        {"TYPE", "type", NULL}, {"COUNT", "count", NULL},
        {"SIZE", "size", NULL}, {"RECLAIMABLE", "reclaimable", NULL},
        {NULL, NULL, NULL},
    };
    struct output o = {.columns = columns};
    struct image_store *store = open_store(cli);
    struct image_usage usage;
    struct error err = {0};
    json_t *rows;
    int r;

    output_from_args(&o, args);
    if (!store)
        return EXIT_FAILED;
    r = image_usage(store, &usage, &err);
    image_store_close(store);
    if (r < 0)
        return failed(cli, &err);
    rows = json_array();
    json_array_append_new(rows, df_row("Image layers", usage.layers, usage.layer_bytes, 0));
    json_array_append_new(rows, df_row("Image blobs", usage.blobs, usage.blob_bytes, 0));
    json_array_append_new(rows, df_row("Image drives", usage.drives, usage.drive_bytes, 0));
    json_array_append_new(
        rows, df_row("Build cache", usage.cache_layers, usage.cache_bytes, usage.cache_bytes));
    json_array_append_new(rows, df_row("Leftovers", 0, usage.garbage_bytes, usage.garbage_bytes));
    return output_print(cli, &o, rows);
}
