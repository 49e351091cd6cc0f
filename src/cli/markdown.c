/* SPDX-License-Identifier: Apache-2.0 */
/* docs/commands.md. */
#include <string.h>

#include "cli/document.h"

/* Text in a table cell or paragraph: what Markdown would take as markup is quoted. */
static void escape(struct str *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("|<>*_\\`[]", text[i]))
            str_add_char(out, '\\');
        str_add_char(out, text[i]);
    }
}

static void escape_all(struct str *out, const char *text)
{
    escape(out, text, strlen(text));
}

/* Code in a table cell, where "|" would end the cell even in code. */
static void add_code(struct str *out, const char *text, size_t n)
{
    str_add(out, "`");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '|')
            str_add_char(out, '\\');
        str_add_char(out, text[i]);
    }
    str_add(out, "`");
}

/* Paragraphs; lines "term<tab>meaning" become a list. */
static void add_text(struct str *out, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        const char *tab = memchr(text, '\t', n);
        if (tab) {
            str_add(out, "- `");
            str_add_n(out, text, (size_t)(tab - text));
            str_add(out, "`: ");
            escape(out, tab + 1, n - (size_t)(tab + 1 - text));
        } else {
            escape(out, text, n);
        }
        str_add_char(out, '\n');
        text += n + (text[n] == '\n');
    }
}

static void add_options(const struct verb *verb, struct str *out)
{
    if (!verb->options)
        return;
    str_add(out, "\n| option | meaning | default |\n| --- | --- | --- |\n");
    for (const struct option *o = verb->options; o->name; o++) {
        struct str names = {0};
        if (o->letter)
            str_addf(&names, "-%c, ", o->letter);
        str_addf(&names, "--%s", o->name);
        if (o->alias)
            str_addf(&names, ", --%s", o->alias);
        if (o->value)
            str_addf(&names, " %s", o->value);
        str_add(out, "| ");
        add_code(out, str_text(&names), names.len);
        str_done(&names);
        str_add(out, " | ");
        escape_all(out, o->help);
        if (o->man) {
            str_add(out, ". ");
            escape_all(out, o->man);
        }
        str_add(out, " | ");
        if (o->initial)
            add_code(out, o->initial, strlen(o->initial));
        str_add(out, " |\n");
    }
}

static void add_verb(const struct verb *verb, struct str *out)
{
    str_addf(out, "\n### isola %s\n\n", verb->name);
    str_addf(out, "    isola %s %s\n\n", verb->name, verb->synopsis ? verb->synopsis : "");
    add_text(out, verb->help);
    if (verb->aliases) {
        str_add(out, "\nAlso called: ");
        for (const char *a = verb->aliases; *a; a += *a == ' ') {
            size_t n = strcspn(a, " ");
            str_add(out, a == verb->aliases ? "`" : ", `");
            for (size_t i = 0; i < n; i++)
                str_add_char(out, a[i] == '_' ? ' ' : a[i]);
            str_add_char(out, '`');
            a += n;
        }
        str_add(out, ".\n");
    }
    if (verb->man) {
        str_add_char(out, '\n');
        add_text(out, verb->man);
    }
    add_options(verb, out);
    for (const struct example *e = verb->examples; e && e->command; e++) {
        str_add_char(out, '\n');
        escape_all(out, e->about);
        str_addf(out, "\n\n    %s\n", e->command);
    }
}

void document_markdown(struct str *out)
{
    str_add(out, "<!-- Generated from src/cli/verbs*.c by \"isola __markdown\": do not edit. -->\n"
                 "# Commands\n\n"
                 "`isola COMMAND --help` shows the usual options of a command, `isola help --all "
                 "COMMAND` all of them.\n");
    for (const struct verb_group *group = verb_groups; group->name; group++) {
        str_addf(out, "\n## %s\n", group->name);
        for (const struct verb *v = NULL; (v = verb_next(v));) {
            if (v->group && strcmp(v->group, group->name) == 0)
                add_verb(v, out);
        }
    }
    for (const struct document_section *s = document_sections; s->title; s++) {
        str_addf(out, "\n## %s\n\n", s->title);
        add_text(out, s->text);
    }
}
