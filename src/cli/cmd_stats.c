/* SPDX-License-Identifier: Apache-2.0 */
/* stats: what instances use. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/human.h"
#include "cli/output.h"
#include "instance/instance.h"

/* How far two samples lie apart when only one look is asked for, and between two looks. */
enum { ONCE_NS = 500000000, STREAM_NS = 1000000000 };

static const struct output_column columns[] = {
    {"INSTANCE ID", "id", NULL},
    {"NAME", "name", NULL},
    {"CPU %", "cpu_perc", NULL},
    {"MEM USAGE / LIMIT", "mem_usage", NULL},
    {"MEM %", "mem_perc", NULL},
    {"NET I/O", "net_io", NULL},
    {"BLOCK I/O", "block_io", NULL},
    {"THREADS", "pids", NULL},
    {NULL, NULL, NULL},
};

/* One instance and its last sample. */
struct watched {
    struct instance *instance;
    struct instance_stats last;
    bool sampled;
};

static void set_format(json_t *row, const char *key, struct str *text)
{
    json_object_set_new(row, key, json_string(str_text(text)));
    str_done(text);
}

static void set_pair(json_t *row, const char *key, uint64_t a, uint64_t b,
                     void (*human)(struct str *out, uint64_t n))
{
    struct str text = {0};

    human(&text, a);
    str_add(&text, " / ");
    human(&text, b);
    set_format(row, key, &text);
}

static void set_percent(json_t *row, const char *key, double percent)
{
    struct str text = {0};

    str_addf(&text, "%.2f%%", percent);
    set_format(row, key, &text);
}

static json_t *stats_row(const struct watched *w, const struct instance_stats *now)
{
    json_t *row = json_object();
    double cpu = 0, memory = 0;

    if (w->sampled && now->time > w->last.time && now->cpu_ns >= w->last.cpu_ns)
        cpu = 100.0 * (double)(now->cpu_ns - w->last.cpu_ns) / (double)(now->time - w->last.time);
    if (now->memory_limit)
        memory = 100.0 * (double)now->memory_used / (double)now->memory_limit;
    json_object_set_new(row, "id", json_string(w->instance->id));
    json_object_set_new(row, "name", json_string(w->instance->name));
    set_percent(row, "cpu_perc", cpu);
    set_pair(row, "mem_usage", now->memory_used, now->memory_limit, human_size);
    set_percent(row, "mem_perc", memory);
    set_pair(row, "net_io", now->net_rx, now->net_tx, human_traffic);
    set_pair(row, "block_io", now->block_read, now->block_written, human_traffic);
    json_object_set_new(row, "pids", json_integer(now->pids));
    json_object_set_new(row, "cpus", json_integer(now->cpus));
    json_object_set_new(row, "cpu_ns", json_integer((json_int_t)now->cpu_ns));
    json_object_set_new(row, "instructions", json_integer((json_int_t)now->instructions));
    json_object_set_new(row, "memory_used", json_integer((json_int_t)now->memory_used));
    json_object_set_new(row, "memory_limit", json_integer((json_int_t)now->memory_limit));
    json_object_set_new(row, "net_rx", json_integer((json_int_t)now->net_rx));
    json_object_set_new(row, "net_tx", json_integer((json_int_t)now->net_tx));
    json_object_set_new(row, "block_read", json_integer((json_int_t)now->block_read));
    json_object_set_new(row, "block_written", json_integer((json_int_t)now->block_written));
    return row;
}

/* Samples all; those that have ended show zeros when @all, else they are left out. */
static json_t *sample(struct cli *cli, struct watched *watched, size_t count, bool all)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < count; i++) {
        struct instance_stats now = {0};
        struct error err = {0};
        int r = instance_stats(cli->home, watched[i].instance->id, &now, &err);
        if (r < 0 && !all)
            continue;
        json_array_append_new(rows, stats_row(&watched[i], &now));
        watched[i].last = now;
        watched[i].sampled = r == 0;
    }
    return rows;
}

static void watched_free(struct watched *watched, size_t count)
{
    for (size_t i = 0; i < count; i++)
        instance_free(watched[i].instance);
    free(watched);
}

static int find_named(struct cli *cli, const struct args *args, struct watched *watched,
                      struct error *err)
{
    for (int i = 0; i < args->word_count; i++) {
        int r = instance_find(cli->home, args->words[i], &watched[i].instance, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The instances named, else all that run (or all there are with --all). @ret is new. */
static int find_watched(struct cli *cli, const struct args *args, struct watched **ret,
                        size_t *ret_count, struct error *err)
{
    struct instance **list = NULL;
    struct watched *watched;
    size_t total = 0, count = 0;
    int r = 0;

    if (!args->word_count)
        r = instance_list(cli->home, &list, &total, err);
    else
        total = (size_t)args->word_count;
    if (r < 0)
        return r;
    watched = mem_alloc(total + 1, sizeof(*watched));
    if (!watched) {
        r = error_set_errno(err, -ENOMEM, "list instances");
    } else if (args->word_count) {
        r = find_named(cli, args, watched, err);
        count = total;
    } else {
        for (size_t i = 0; i < total; i++) {
            if (args_bool(args, "all") || lifecycle_supervised(list[i]->state)) {
                watched[count++].instance = list[i];
                list[i] = NULL;
            }
        }
    }
    if (!args->word_count)
        instance_list_free(list, total);
    if (r < 0) {
        watched_free(watched, watched ? count : 0);
        return r;
    }
    *ret = watched;
    *ret_count = count;
    return 0;
}

/* One look: renewed in place on a terminal. */
static int show(struct cli *cli, const struct output *o, json_t *rows, bool in_place)
{
    int status;

    if (in_place)
        cli_print("\x1b[H\x1b[J");
    status = output_print(cli, o, rows);
    if (fflush(stdout) != 0)
        status = EXIT_FAILED;
    return status;
}

static int counters(struct cli *cli, const struct args *args)
{
    bool json = args_bool(args, "json");
    int status = 0;

    if (!args->word_count) {
        cli_complain(cli, "--counters is of virtual machines: name some");
        return EXIT_USAGE;
    }
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        struct str text = {0};
        if (instance_show(cli->home, args->words[i], json ? "counters json" : "counters", &text,
                          &err) == 0) {
            cli_print(str_text(&text));
            cli_print(json ? "\n" : "");
        } else {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
        str_done(&text);
    }
    return status;
}

int verb_stats(struct cli *cli, struct args *args)
{
    bool stream = !args_bool(args, "no-stream"), named = args->word_count > 0;
    struct output o = {.columns = columns};
    struct watched *watched = NULL;
    struct error err = {0};
    size_t count = 0;
    int status = 0;

    output_from_args(&o, args);
    if (!cli_home(cli))
        return EXIT_FAILED;
    if (args_bool(args, "counters"))
        return counters(cli, args);
    /* A stream looks for new instances each time unless some were named. */
    while (status == 0) {
        if (!watched && find_watched(cli, args, &watched, &count, &err) < 0) {
            cli_error(cli, &err);
            return EXIT_FAILED;
        }
        json_decref(sample(cli, watched, count, true));
        usleep((stream ? STREAM_NS : count ? ONCE_NS : 0) / 1000);
        status = show(cli, &o, sample(cli, watched, count, named || args_bool(args, "all")),
                      stream && isatty(STDOUT_FILENO));
        if (!stream)
            break;
        if (!named) {
            watched_free(watched, count);
            watched = NULL;
            count = 0;
        }
    }
    watched_free(watched, count);
    return status;
}
