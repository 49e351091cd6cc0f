/* SPDX-License-Identifier: Apache-2.0 */
/* logs and events: what happened and happens. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/human.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "cli/template.h"
#include "instance/instance.h"

/* The time given by option @name, 0 without. */
static int time_option(const struct args *args, const char *name, int64_t now, int64_t *ret,
                       struct error *err)
{
    const char *text = args_text(args, name);
    int r = 0;

    *ret = 0;
    if (text)
        r = human_parse_time(text, now, ret, err);
    return r < 0 ? error_wrap(err, r, "option --%s", name) : 0;
}

struct log_print {
    bool timestamps;
};

static bool print_log_line(void *opaque, const struct instance_log_line *line)
{
    const struct log_print *print = opaque;
    /* Standard error, and what a guest wrote to the debug port, are kept apart. */
    FILE *file = strcmp(line->stream, "stdout") == 0 ? stdout : stderr;
    struct str time = {0};

    if (print->timestamps) {
        human_time(&time, line->time);
        fprintf(file, "%s ", str_text(&time));
        str_done(&time);
    }
    fwrite(line->text, 1, line->len, file);
    fflush(file);
    return !ferror(file);
}

/* "all", a number of lines, or a negative number, which means all as with Docker. */
static int tail_option(const char *text, int64_t *ret, struct error *err)
{
    uint64_t number = 0;

    *ret = -1;
    if (strcmp(text, "all") == 0 || text[0] == '-')
        return 0;
    if (str_parse_u64(text, &number) < 0 || number > INT64_MAX)
        return error_set(err, -EINVAL, "option --tail: \"%s\" is not a number of lines or all",
                         text);
    *ret = (int64_t)number;
    return 0;
}

int verb_logs(struct cli *cli, struct args *args)
{
    struct instance_log_query query = {.follow = args_bool(args, "follow")};
    struct log_print print = {.timestamps = args_bool(args, "timestamps")};
    struct error err = {0};
    int64_t now = human_now();
    int r = tail_option(args_text(args, "tail"), &query.tail, &err);

    if (r == 0)
        r = time_option(args, "since", now, &query.since, &err);
    if (r == 0)
        r = time_option(args, "until", now, &query.until, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_logs(cli->home, args->words[0], &query, print_log_line, &print, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}

struct event_print {
    struct cli *cli;
    const struct args *args;
    const char *format; /* NULL: a line of text */
    int status;
};

/* Values of one key are alternatives, different keys must all match. */
static bool event_matches(const struct args *args, const struct instance_event *event)
{
    bool asked[2] = {false}, matched[2] = {false};
    const char *text;

    for (size_t i = 0; (text = args_list(args, "filter", i)); i++) {
        bool instance = str_starts(text, "instance=");
        const char *value = strchr(text, '=') + 1;
        asked[instance] = true;
        if (instance ? strcmp(value, event->name) == 0 || str_starts(event->id, value)
                     : strcmp(value, event->action) == 0)
            matched[instance] = true;
    }
    return asked[0] == matched[0] && asked[1] == matched[1];
}

static json_t *event_row(const struct instance_event *event, const char *time)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "time", time, "event", event->action, "id",
                            event->id, "name", event->name);

    if (event->exit_code >= 0)
        json_object_set_new(row, "exit_code", json_integer(event->exit_code));
    if (event->reason)
        json_object_set_new(row, "reason", json_string(event->reason));
    return row;
}

static bool print_event(void *opaque, const struct instance_event *event)
{
    struct event_print *print = opaque;
    struct str time = {0}, out = {0};
    struct error err = {0};
    json_t *row;
    int r = 0;

    if (!event_matches(print->args, event))
        return true;
    human_time(&time, event->time);
    if (print->format) {
        bool json = strcmp(print->format, "json") == 0;
        row = event_row(event, str_text(&time));
        r = template_render(json ? "{{json .}}" : print->format, row, &out, &err);
        json_decref(row);
    } else {
        str_addf(&out, "%s %s %.12s (name=%s", str_text(&time), event->action, event->id,
                 event->name);
        if (event->exit_code >= 0)
            str_addf(&out, ", exit_code=%d", event->exit_code);
        if (event->reason)
            str_addf(&out, ", reason=%s", event->reason);
        str_add_char(&out, ')');
    }
    if (r == 0) {
        printf("%s\n", str_text(&out));
    } else {
        cli_error(print->cli, &err);
        print->status = EXIT_USAGE;
    }
    str_done(&time);
    str_done(&out);
    return fflush(stdout) == 0 && r == 0;
}

static int check_event_filters(const struct args *args, struct error *err)
{
    const char *text;

    for (size_t i = 0; (text = args_list(args, "filter", i)); i++) {
        if (!str_starts(text, "event=") && !str_starts(text, "instance="))
            return error_set(err, -EINVAL,
                             "option --filter: \"%s\" is neither event=NAME nor instance=NAME",
                             text);
    }
    return 0;
}

int verb_events(struct cli *cli, struct args *args)
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    struct event_print print = {.cli = cli, .args = args, .format = format};
    struct instance_event_query query = {0};
    struct error err = {0};
    int64_t now = human_now();
    int r = check_event_filters(args, &err);

    if (r == 0)
        r = time_option(args, "since", now, &query.since, &err);
    if (r == 0)
        r = time_option(args, "until", now, &query.until, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    if (!args_given(args, "since") && !args_given(args, "until"))
        query.since = now;
    query.follow = !query.until || query.until > now;
    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_events(cli->home, &query, print_event, &print, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return print.status;
}
