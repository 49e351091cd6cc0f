/* SPDX-License-Identifier: Apache-2.0 */
/* ps, inspect, port: what there is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "cli/filter.h"
#include "cli/human.h"
#include "cli/inspect.h"
#include "cli/output.h"
#include "cli/row.h"
#include "instance/instance.h"

static const struct output_column ps_columns[] = {
    {"INSTANCE ID", "id", NULL},     {"IMAGE", "image", NULL},
    {"WALL", "wall", NULL},          {"CREATED", "running_for", NULL},
    {"STATUS", "status", row_color}, {"PORTS", "ports", NULL},
    {"NAME", "name", NULL},          {NULL, NULL, NULL},
};

int verb_ps(struct cli *cli, struct args *args)
{
    struct output o = {.columns = ps_columns};
    struct filter filter;
    struct instance **list = NULL;
    struct error err = {0};
    size_t count = 0, last = args_bool(args, "latest") ? 1 : (size_t)args_number(args, "last");
    int64_t now = human_now();
    bool all;
    json_t *rows;

    output_from_args(&o, args);
    if (filter_parse(&filter, args, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_list(cli->home, &list, &count, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    all = args_bool(args, "all") || filter.stopped || last;
    rows = json_array();
    for (size_t i = 0; i < count && !(last && json_array_size(rows) == last); i++) {
        if ((all || lifecycle_supervised(list[i]->state)) && filter_match(&filter, list[i]))
            json_array_append_new(rows, row_instance(list[i], now));
    }
    instance_list_free(list, count);
    return output_print(cli, &o, rows);
}

/*
 * Moves what changes while an instance lives into "state", where scripts written for Docker look
 * for it: {{.State.Running}}, {{.State.ExitCode}}.
 */
static void shape_state(json_t *o)
{
    static const struct {
        const char *from, *to;
    } moved[] = {{"pid", "pid"},
                 {"exit_code", "exit_code"},
                 {"reason", "reason"},
                 {"started", "started_at"},
                 {"finished", "finished_at"}};
    json_t *health = json_object_get(o, "health");
    const char *name = json_string_value(json_object_get(o, "state"));
    enum lifecycle_state state;
    json_t *shaped;

    if (!name || !lifecycle_state_parse(name, &state))
        return;
    shaped = json_pack("{s:s, s:b, s:b, s:b, s:b}", "status", name, "running",
                       state == LIFECYCLE_RUNNING || state == LIFECYCLE_PAUSED, "paused",
                       state == LIFECYCLE_PAUSED, "restarting", state == LIFECYCLE_RESTARTING,
                       "dead", state == LIFECYCLE_DEAD);
    for (size_t i = 0; i < array_size(moved); i++) {
        json_t *value = json_object_get(o, moved[i].from);
        if (value)
            json_object_set(shaped, moved[i].to, value);
        json_object_del(o, moved[i].from);
    }
    if (health)
        json_object_set_new(shaped, "health", json_pack("{s:O}", "status", health));
    json_object_del(o, "health");
    json_object_set_new(o, "state", shaped);
}

/* The description of @ref as a new object, NULL with @err set. */
static json_t *describe(struct cli *cli, const char *ref, bool live, struct error *err)
{
    struct str text = {0};
    struct instance *instance = NULL;
    json_error_t where;
    json_t *value = NULL;

    if (instance_inspect(cli->home, ref, live, &text, err) == 0) {
        value = json_loads(str_text(&text), 0, &where);
        if (!value)
            error_set(err, -EPROTO, "inspect %s: %s in the description", ref, where.text);
        else
            shape_state(value);
        if (value && instance_find(cli->home, ref, &instance, NULL) == 0)
            inspect_add(cli, instance, value);
        instance_free(instance);
    }
    str_done(&text);
    return value;
}

/* What running machines do now, as text. */
static int report(struct cli *cli, const struct args *args)
{
    const char *at = args_text(args, "walk");
    cleanup_free char *what = at ? str_format("walk %s", at) : strdup("");
    int status = 0;

    for (int i = 0; what && i < args->word_count; i++) {
        struct error err = {0};
        struct str text = {0};
        if (instance_show(cli->home, args->words[i], what, &text, &err) == 0) {
            cli_print(str_text(&text));
        } else {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
        str_done(&text);
    }
    return status;
}

int verb_inspect(struct cli *cli, struct args *args)
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    struct output o = {.format = format ? format : "json", .no_trunc = true};
    json_t *list = json_array();
    int status = 0, printed;

    if (!cli_home(cli)) {
        json_decref(list);
        return EXIT_FAILED;
    }
    if (args_bool(args, "report") || args_text(args, "walk")) {
        json_decref(list);
        return report(cli, args);
    }
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        json_t *one = describe(cli, args->words[i], args_bool(args, "live"), &err);
        if (one) {
            json_array_append_new(list, one);
        } else {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
    }
    printed = output_print(cli, &o, list);
    return status ? status : printed;
}

/* "80", "80/tcp" or "53/udp". */
static int parse_port(const char *text, unsigned *ret_port, bool *ret_udp, struct error *err)
{
    size_t n = strcspn(text, "/");
    char *digits = strndup(text, n);
    uint64_t port = 0;
    bool ok = digits && str_parse_u64(digits, &port) == 0 && port >= 1 && port <= 65535;

    free(digits);
    *ret_udp = strcmp(text + n, "/udp") == 0;
    if (!ok || (text[n] && !*ret_udp && strcmp(text + n, "/tcp") != 0))
        return error_set(err, -EINVAL, "\"%s\" is not a port; write 80, 80/tcp or 53/udp", text);
    *ret_port = (unsigned)port;
    return 0;
}

static void print_port(const struct spec_port *p, bool whole)
{
    bool v6 = strchr(p->address, ':') != NULL;

    if (whole)
        printf("%u/%s -> ", (unsigned)p->guest, p->udp ? "udp" : "tcp");
    printf("%s%s%s:%u\n", v6 ? "[" : "", p->address, v6 ? "]" : "", (unsigned)p->host);
}

static json_t *port_row(const struct spec_port *p)
{
    return json_pack("{s:i, s:s, s:s, s:i}", "port", (int)p->guest, "protocol",
                     p->udp ? "udp" : "tcp", "address", p->address, "host_port", (int)p->host);
}

int verb_port(struct cli *cli, struct args *args)
{
    const char *ref = args->words[0], *wanted = args->word_count > 1 ? args->words[1] : NULL;
    bool json = args_bool(args, "json"), udp = false, found = false;
    struct instance *instance = NULL;
    struct error err = {0};
    unsigned port = 0;
    json_t *rows;
    int r = wanted ? parse_port(wanted, &port, &udp, &err) : 0;

    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_find(cli->home, ref, &instance, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    rows = json_array();
    for (size_t i = 0; i < instance->spec->port_count; i++) {
        const struct spec_port *p = &instance->spec->ports[i];
        if (wanted && (p->guest != port || p->udp != udp))
            continue;
        found = true;
        json_array_append_new(rows, port_row(p));
        if (!json)
            print_port(p, !wanted);
    }
    instance_free(instance);
    if (wanted && !found) {
        cli_complain(cli, "port %s of %s is not published; \"isola port %s\" lists those that are",
                     wanted, ref, ref);
        json_decref(rows);
        return EXIT_FAILED;
    }
    if (json)
        return output_print(cli, &(struct output){.format = "json"}, rows);
    json_decref(rows);
    return 0;
}
