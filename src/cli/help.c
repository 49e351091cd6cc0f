/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "cli/document.h"

/* Letters and names of options take at most this many columns before their text. */
enum { NAMES_MAX = 34, COMMAND_COLUMN = 40, COMMAND_NAME = 11, MORE_LINES = 4 };

void document_option(const struct option *o, struct str *out)
{
    if (o->letter)
        str_addf(out, "-%c, ", o->letter);
    else
        str_add(out, "    ");
    str_addf(out, "--%s", o->name);
    if (o->value)
        str_addf(out, " %s", o->value);
}

static void pad(struct str *out, size_t from, size_t width)
{
    for (size_t used = out->len - from; used < width; used++)
        str_add_char(out, ' ');
}

/* The commands of one heading in two columns. */
static void add_group(struct str *out, const char *group)
{
    size_t begin = out->len;

    for (const struct verb *v = NULL; (v = verb_next(v));) {
        if (!v->group || strcmp(v->group, group) != 0)
            continue;
        if (out->len - begin > COMMAND_COLUMN) {
            str_add_char(out, '\n');
            begin = out->len;
        }
        if (out->len > begin)
            pad(out, begin, COMMAND_COLUMN);
        size_t cell = out->len;
        str_addf(out, "  %s", v->name);
        pad(out, cell, COMMAND_NAME + 2);
        str_add(out, v->brief);
    }
    str_add_char(out, '\n');
}

/* The commands of one heading in one line, as far as it reaches; nouns are named once. */
static void add_names(struct str *out, const char *group)
{
    size_t begin = out->len, last = 0;
    const char *before = "";

    str_addf(out, "%s:", group);
    for (const struct verb *v = NULL; (v = verb_next(v));) {
        size_t n = strcspn(v->name, " ");
        bool noun = v->name[n];
        if (!v->group || strcmp(v->group, group) != 0 ||
            (noun && n == last && strncmp(before, v->name, n) == 0))
            continue;
        if (out->len - begin + n + 5 > DOCUMENT_COLUMNS) {
            str_add(out, "\n ");
            begin = out->len - 1;
        }
        str_addf(out, " %.*s%s", (int)n, v->name, noun ? " ..." : "");
        before = v->name;
        last = noun ? n : 0;
    }
    str_add_char(out, '\n');
}

/* Where the last two lines fit on one, they go there. */
static void join_lines(struct str *out, size_t second)
{
    size_t first = second - 1;

    while (first && out->data[first - 1] != '\n')
        first--;
    if (memchr(out->data + second, '\n', out->len - second) != out->data + out->len - 1 ||
        out->len - first > DOCUMENT_COLUMNS)
        return;
    str_add_char(out, 0); /* room for one more byte */
    if (out->failed)
        return;
    memmove(out->data + second + 1, out->data + second, out->len - second - 1);
    out->data[second - 1] = out->data[second] = ' ';
}

void document_commands(struct str *out)
{
    str_add(out, "Usage: isola [--debug] COMMAND [ARGUMENTS]\n"
                 "Runs systems in isolation: containers, and virtual machines that need no KVM.\n");
    for (const struct verb_group *group = verb_groups; group->name; group++) {
        if (group->brief) {
            str_addf(out, "%s:\n", group->name);
            add_group(out, group->name);
        } else {
            size_t begin = out->len;
            add_names(out, group->name);
            if (!group[-1].brief)
                join_lines(out, begin);
        }
    }
    str_add(out, "\"isola COMMAND --help\" says how a command is used; man isola says all.\n");
}

static void add_option(const struct option *o, size_t column, struct str *out)
{
    size_t begin = out->len;

    str_add(out, "  ");
    document_option(o, out);
    if (out->len - begin + 2 > column) {
        str_add_char(out, '\n');
        begin = out->len;
    }
    pad(out, begin, column);
    str_add(out, o->help);
    /* A default that fits beside the text. */
    if (o->initial && o->kind != OPTION_BOOL &&
        out->len - begin + strlen(o->initial) + 12 <= DOCUMENT_COLUMNS)
        str_addf(out, " (default %s)", o->initial);
    str_add_char(out, '\n');
}

static size_t names_column(const struct verb *verb, bool all)
{
    size_t column = 0;

    for (const struct option *o = verb->options; o && o->name; o++) {
        struct str names = {0};
        if (o->more && !all)
            continue;
        document_option(o, &names);
        if (names.len + 4 <= NAMES_MAX)
            column = max_of(column, names.len + 4);
        str_done(&names);
    }
    return column;
}

static void add_more(const struct verb *verb, struct str *out)
{
    size_t begin = out->len;
    unsigned lines = 0;

    /* Names are a taste of what there is: the screen is short. */
    str_add(out, "More:");
    for (const struct option *o = verb->options; o->name; o++) {
        if (!o->more)
            continue;
        if (out->len - begin + strlen(o->name) + 7 > DOCUMENT_COLUMNS) {
            if (++lines == MORE_LINES) {
                str_add(out, " ...");
                break;
            }
            str_add_char(out, '\n');
            begin = out->len;
            str_add(out, "     ");
        }
        str_addf(out, " --%s", o->name);
    }
    str_addf(out, "\n\"isola help --all %s\" explains them.\n", verb->name);
}

void document_usage(const struct verb *verb, bool all, struct str *out)
{
    size_t column = names_column(verb, all);
    bool more = false;

    str_addf(out, "Usage: isola %s%s%s\n%s\n", verb->name, verb->synopsis ? " " : "",
             verb->synopsis ? verb->synopsis : "", verb->help ? verb->help : "");
    if (verb->aliases) {
        str_add(out, "Also called: ");
        for (const char *a = verb->aliases; *a; a++)
            str_add(out, *a == ' ' ? ", " : (char[]){*a == '_' ? ' ' : *a, 0});
        str_add_char(out, '\n');
    }
    if (verb->options)
        str_add_char(out, '\n');
    for (const struct option *o = verb->options; o && o->name; o++) {
        if (!o->more || all)
            add_option(o, column, out);
        more = more || o->more;
    }
    if (more && !all)
        add_more(verb, out);
}
