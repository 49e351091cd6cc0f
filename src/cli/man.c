/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages in the macros of man(7). */
#include <ctype.h>
#include <string.h>

#include "cli/document.h"

/* @text (@n bytes) so that roff prints exactly that. */
static void escape(struct str *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n'))
            str_add(out, "\\&");
        if (c == '\\')
            str_add(out, "\\e");
        else if (c == '-')
            str_add(out, "\\-");
        else if (c == '^')
            str_add(out, "\\(ha");
        else if (c == '~')
            str_add(out, "\\(ti");
        else if (c == '\'')
            str_add(out, "\\(aq");
        else if (c == '`')
            str_add(out, "\\(ga");
        else
            str_add_char(out, c);
    }
}

static void escape_all(struct str *out, const char *text)
{
    escape(out, text, strlen(text));
}

static void heading(struct str *out, const char *title)
{
    str_add(out, ".SH ");
    for (; *title; title++)
        str_add_char(out, (char)toupper((unsigned char)*title));
    str_add_char(out, '\n');
}

/* One line of a paragraph: "term<tab>meaning" is a tagged paragraph. */
static void add_line(struct str *out, const char *line, size_t n)
{
    const char *tab = memchr(line, '\t', n);

    if (tab) {
        str_add(out, ".TP\n");
        escape(out, line, (size_t)(tab - line));
        str_add_char(out, '\n');
        n -= (size_t)(tab + 1 - line);
        line = tab + 1;
    }
    escape(out, line, n);
    str_add_char(out, '\n');
}

static void add_text(struct str *out, const char *text)
{
    bool begin = true;

    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n && begin && !memchr(text, '\t', n))
            str_add(out, ".PP\n");
        if (n)
            add_line(out, text, n);
        begin = n == 0;
        text += n + (text[n] == '\n');
    }
}

static void title(struct str *out, const char *name)
{
    str_add(out, ".TH ");
    for (const char *p = name; *p; p++)
        str_add_char(out, (char)toupper((unsigned char)*p));
    str_add(out, " 1 \"\" \"Isola " ISOLA_VERSION "\" \"Isola\"\n.nh\n.ad l\n");
}

static void add_option(const struct option *o, struct str *out)
{
    const char *text = o->man ? o->man : o->help;
    size_t n = strlen(text);

    str_add(out, ".TP\n");
    if (o->letter)
        str_addf(out, "\\fB\\-%c\\fR, ", o->letter);
    str_add(out, "\\fB\\-\\-");
    escape_all(out, o->name);
    str_add(out, "\\fR");
    if (o->alias) {
        str_add(out, ", \\fB\\-\\-");
        escape_all(out, o->alias);
        str_add(out, "\\fR");
    }
    if (o->value) {
        str_add(out, " \\fI");
        escape_all(out, o->value);
        str_add(out, "\\fR");
    }
    str_add_char(out, '\n');
    escape_all(out, text);
    if (n && text[n - 1] != '.')
        str_add_char(out, '.');
    str_add_char(out, '\n');
    if (o->initial) {
        str_add(out, "Default: ");
        escape_all(out, o->initial);
        str_add(out, ".\n");
    }
}

static void add_examples(const struct verb *verb, struct str *out)
{
    if (!verb->examples)
        return;
    heading(out, "Examples");
    for (const struct example *e = verb->examples; e->command; e++) {
        str_add(out, ".PP\n");
        escape_all(out, e->about);
        str_add(out, "\n.PP\n.RS 4\n");
        escape_all(out, e->command);
        str_add(out, "\n.RE\n");
    }
}

void document_man_verb(const struct verb *verb, struct str *out)
{
    struct str name = {0};

    str_addf(&name, "isola-%s", verb->name);
    for (size_t i = 0; i < name.len; i++)
        name.data[i] = name.data[i] == ' ' ? '-' : name.data[i];
    title(out, str_text(&name));
    heading(out, "Name");
    escape_all(out, str_text(&name));
    str_add(out, " \\- ");
    escape_all(out, verb->brief);
    str_add_char(out, '\n');
    heading(out, "Synopsis");
    str_addf(out, "\\fBisola %s\\fR ", verb->name);
    escape_all(out, verb->synopsis ? verb->synopsis : "");
    str_add_char(out, '\n');
    for (const char *a = verb->aliases; a && *a; a += strcspn(a, " "), a += *a == ' ') {
        str_add(out, ".br\n\\fBisola ");
        for (size_t i = 0; i < strcspn(a, " "); i++)
            str_add_char(out, a[i] == '_' ? ' ' : a[i]);
        str_add(out, "\\fR ...\n");
    }
    heading(out, "Description");
    add_text(out, verb->help);
    if (verb->man)
        add_text(out, verb->man);
    heading(out, "Options");
    for (const struct option *o = verb->options; o && o->name; o++)
        add_option(o, out);
    for (const struct option *o = common_options; o->name; o++)
        add_option(o, out);
    add_examples(verb, out);
    heading(out, "See also");
    str_add(out, ".BR isola (1)\n");
    str_done(&name);
}

void document_man(struct str *out)
{
    title(out, "isola");
    heading(out, "Name");
    str_add(out, "isola \\- run systems in isolation\n");
    heading(out, "Synopsis");
    str_add(out, "\\fBisola\\fR [\\-\\-debug] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n");
    heading(out, "Description");
    add_text(
        out,
        "Isola runs anything in isolation. It runs containers, and virtual machines with "
        "its own processor and devices, on hosts with and without KVM and without root. There is "
        "no daemon: each running instance has one process that holds its console, logs "
        "and exit status.");
    add_text(out, "--debug\tPrint messages that help to debug Isola itself.");
    add_text(out, "--version\tPrint the version.");
    heading(out, "Commands");
    for (const struct verb *v = NULL; (v = verb_next(v));) {
        if (!v->group)
            continue;
        str_addf(out, ".TP\n\\fB%s\\fR\n", v->name);
        escape_all(out, v->help);
        str_add(out, "\nSee\n.BR isola\\-");
        for (const char *p = v->name; *p; p++)
            str_add(out, *p == ' ' ? "\\-" : (char[]){*p, 0});
        str_add(out, " (1).\n");
    }
    for (const struct document_section *s = document_sections; s->title; s++) {
        heading(out, s->title);
        add_text(out, s->text);
    }
}
