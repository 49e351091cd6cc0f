/* SPDX-License-Identifier: Apache-2.0 */
/* record ls, inspect, rm; replay. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/human.h"
#include "cli/noun.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "instance/recording.h"

static const struct output_column columns[] = {
    {"NAME", "name", NULL},
    {"CHANGED", "changed_ago", NULL},
    {"SIZE", "size", NULL},
    {NULL, NULL, NULL},
};

static json_t *row_of(const struct recording *r)
{
    struct str changed = {0}, ago = {0}, size = {0};
    json_t *row;

    human_time(&changed, r->changed);
    human_duration(&ago, human_now() - r->changed);
    str_add(&ago, " ago");
    human_size(&size, r->bytes);
    row = json_pack("{s:s,s:s,s:s,s:s,s:I}", "name", r->name, "changed_at", str_text(&changed),
                    "changed_ago", str_text(&ago), "size", str_text(&size), "bytes",
                    (json_int_t)r->bytes);
    str_done(&changed);
    str_done(&ago);
    str_done(&size);
    return row;
}

int verb_record_ls(struct cli *cli, struct args *args)
{
    struct recording *list = NULL;
    struct error err = {0};
    size_t count = 0;
    json_t *rows = NULL;

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (recording_list(cli->home, &list, &count, &err) < 0)
        cli_error(cli, &err);
    else
        rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, row_of(&list[i]));
    recording_list_free(list, count);
    return noun_ls(cli, args, columns, rows);
}

static json_t *report_of(const char *name, const struct recording_report *r)
{
    return json_pack("{s:s,s:b,s:s,s:i,s:I,s:I,s:f,s:f,s:I,s:I,s:I,s:I}", "name", name, "whole",
                     r->whole, "end", r->end, "end_value", r->end_value, "first_instruction",
                     (json_int_t)r->first, "instructions", (json_int_t)r->last, "begin_seconds",
                     (double)r->begin_ns / HUMAN_SECOND, "end_seconds",
                     (double)r->end_ns / HUMAN_SECOND, "checkpoints", (json_int_t)r->checkpoints,
                     "bytes", (json_int_t)r->bytes, "event_bytes", (json_int_t)r->event_bytes,
                     "checkpoint_bytes", (json_int_t)r->checkpoint_bytes);
}

static json_t *describe(struct cli *cli, const char *name, struct error *err)
{
    const struct recording_play look = {.name = name, .only_look = true};
    struct recording_report report;

    return recording_play(cli->home, &look, &report, err) < 0 ? NULL : report_of(name, &report);
}

int verb_record_inspect(struct cli *cli, struct args *args)
{
    return noun_inspect(cli, args, describe);
}

static int remove_one(struct cli *cli, const char *name, struct error *err)
{
    return recording_remove(cli->home, name, err);
}

int verb_record_rm(struct cli *cli, struct args *args)
{
    return noun_rm(cli, args, remove_one);
}

/* ---- replay ---- */

struct show {
    bool console, progress;
    int64_t shown; /* when progress was shown last */
};

static void print_console(void *opaque, const uint8_t *bytes, size_t n)
{
    const struct show *s = opaque;

    if (s->console)
        fwrite(bytes, 1, n, stdout);
}

static void print_progress(void *opaque, uint64_t count, uint64_t last)
{
    struct show *s = opaque;
    int64_t now = human_now();

    fflush(stdout);
    if (!s->progress || now - s->shown < HUMAN_SECOND)
        return;
    s->shown = now;
    fprintf(stderr, "\r%3u%% of %llu instructions",
            last ? (unsigned)min_of((uint64_t)100, count / (last / 100 + 1)) : 100,
            (unsigned long long)last);
}

/* Seconds with up to nine digits behind the point, as nanoseconds. */
static bool parse_seconds(const char *text, uint64_t *ret)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds >= 0 && seconds < 1e9))
        return false;
    *ret = (uint64_t)(seconds * HUMAN_SECOND + 0.5);
    return true;
}

static void say_verdict(const struct recording_report *r, int result, int64_t took)
{
    if (result < 0)
        return; /* the error says it */
    fprintf(stderr, "equal: %llu instructions, %.3f s of guest time in %.3f s%s%s\n",
            (unsigned long long)(r->count - r->first),
            (double)(r->time_ns - r->begin_ns) / HUMAN_SECOND, (double)took / HUMAN_SECOND,
            !r->reached_end ? "; the recording goes on"
            : r->whole      ? "; then the machine ended: "
                            : "; the recorder was killed there",
            r->reached_end && r->whole ? r->end : "");
}

int verb_replay(struct cli *cli, struct args *args)
{
    bool json = args_bool(args, "json");
    struct show show = {.console = !json && !args_bool(args, "quiet"),
                        .progress = !json && args_bool(args, "quiet") && isatty(2),
                        .shown = human_now()};
    struct recording_play play = {.name = args->words[0],
                                  .to =
                                      args_given(args, "to") ? args_number(args, "to") : UINT64_MAX,
                                  .at = UINT64_MAX,
                                  .output = print_console,
                                  .progress = print_progress,
                                  .opaque = &show};
    struct recording_report report;
    struct error err = {0};
    int64_t begin = human_now();
    int r;

    if (args_given(args, "at") &&
        (args_given(args, "to") || !parse_seconds(args_text(args, "at"), &play.at))) {
        cli_complain(cli, args_given(args, "to") ? "give --to or --at, not both"
                                                 : "--at takes seconds of guest time: 12.5");
        return EXIT_USAGE;
    }
    if (!cli_home(cli))
        return EXIT_FAILED;
    r = recording_play(cli->home, &play, &report, &err);
    fflush(stdout);
    if (show.progress)
        fprintf(stderr, "\r\033[K");
    if (r < 0)
        cli_error(cli, &err);
    if (json && (r == 0 || r == -EBADMSG)) {
        json_t *o = report_of(play.name, &report);
        json_object_set_new(o, "equal", json_boolean(r == 0));
        json_object_set_new(o, "reached_end", json_boolean(report.reached_end));
        json_object_set_new(o, "count", json_integer((json_int_t)report.count));
        json_object_set_new(o, "seconds", json_real((double)report.time_ns / HUMAN_SECOND));
        json_object_set_new(o, "error", r < 0 ? json_string(error_text(&err)) : json_null());
        output_print_object(cli, "json", o);
    } else if (!json) {
        say_verdict(&report, r, human_now() - begin);
    }
    return r < 0 ? EXIT_FAILED : 0;
}
