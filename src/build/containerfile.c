/* SPDX-License-Identifier: Apache-2.0 */
#include "build/containerfile.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"

/* Where the reader is. */
struct reader {
    const char *p, *end;
    unsigned line; /* of @p, from 1 */
    char escape;
};

/* What an instruction may look like. */
static const struct shape {
    const char *name;
    const char *flags; /* separated by blanks; "" none */
    bool json;         /* may be a JSON list of texts */
    bool documents;    /* may have here-documents */
} shapes[] = {
    [INSTRUCTION_ADD] = {"ADD", "from chown chmod link exclude checksum keep-git-dir unpack", true,
                         true},
    [INSTRUCTION_ARG] = {"ARG", "", false, false},
    [INSTRUCTION_CMD] = {"CMD", "", true, false},
    [INSTRUCTION_COPY] = {"COPY", "from chown chmod link exclude parents", true, true},
    [INSTRUCTION_ENTRYPOINT] = {"ENTRYPOINT", "", true, false},
    [INSTRUCTION_ENV] = {"ENV", "", false, false},
    [INSTRUCTION_EXPOSE] = {"EXPOSE", "", false, false},
    [INSTRUCTION_FROM] = {"FROM", "platform", false, false},
    [INSTRUCTION_HEALTHCHECK] = {"HEALTHCHECK",
                                 "interval timeout start-period start-interval retries", false,
                                 false},
    [INSTRUCTION_LABEL] = {"LABEL", "", false, false},
    [INSTRUCTION_MAINTAINER] = {"MAINTAINER", "", false, false},
    [INSTRUCTION_ONBUILD] = {"ONBUILD", "", false, true},
    [INSTRUCTION_RUN] = {"RUN", "mount network security device", true, true},
    [INSTRUCTION_SHELL] = {"SHELL", "", true, false},
    [INSTRUCTION_STOPSIGNAL] = {"STOPSIGNAL", "", false, false},
    [INSTRUCTION_USER] = {"USER", "", false, false},
    [INSTRUCTION_VOLUME] = {"VOLUME", "", true, false},
    [INSTRUCTION_WORKDIR] = {"WORKDIR", "", false, false},
};

const char *instruction_name(enum instruction_kind kind)
{
    return shapes[kind].name;
}

const char *instruction_flag_at(const struct instruction *i, const char *name, size_t index)
{
    for (size_t f = 0; f < i->flag_count; f++)
        if (strcmp(i->flags[f].name, name) == 0 && !index--)
            return i->flags[f].value;
    return NULL;
}

const char *instruction_flag(const struct instruction *i, const char *name)
{
    const char *last = NULL, *value;

    for (size_t n = 0; (value = instruction_flag_at(i, name, n)); n++)
        last = value;
    return last;
}

static void instruction_done(struct instruction *i)
{
    for (size_t f = 0; f < i->flag_count; f++) {
        free(i->flags[f].name);
        free(i->flags[f].value);
    }
    for (char **w = i->words; w && *w; w++)
        free(*w);
    for (size_t d = 0; d < i->document_count; d++) {
        free(i->documents[d].name);
        free(i->documents[d].text);
    }
    free(i->flags);
    free(i->words);
    free(i->documents);
    free(i->text);
}

void containerfile_done(struct containerfile *f)
{
    for (size_t i = 0; i < f->count; i++)
        instruction_done(&f->list[i]);
    free(f->list);
    memset(f, 0, sizeof(*f));
}

static int no_memory(struct error *err)
{
    return error_set_errno(err, -ENOMEM, "read the Containerfile");
}

/* --- lines --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Bytes of the line at @r without its end. */
static size_t line_length(const struct reader *r)
{
    const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));

    return nl ? (size_t)(nl - r->p) : (size_t)(r->end - r->p);
}

static void next_line(struct reader *r)
{
    r->p += line_length(r);
    if (r->p < r->end)
        r->p++;
    r->line++;
}

/* The line without blanks around it and without the carriage return of other systems. */
static const char *trimmed(const struct reader *r, size_t *ret_n)
{
    const char *p = r->p;
    size_t n = line_length(r);

    while (n && (is_blank(p[n - 1]) || p[n - 1] == '\r'))
        n--;
    while (n && is_blank(*p)) {
        p++;
        n--;
    }
    *ret_n = n;
    return p;
}

/*
 * Takes the lines of one instruction: continued lines are joined, comments and empty lines between
 * them left out. False: the end.
 */
static bool take_logical_line(struct reader *r, unsigned *ret_line, struct str *out)
{
    bool more = false, any = false;

    for (; r->p < r->end; next_line(r)) {
        size_t n;
        const char *p = trimmed(r, &n);

        if (!n || *p == '#')
            continue; /* between instructions, and inside one as well */
        if (!any)
            *ret_line = r->line;
        else { /* blanks in front of a continued line are part of it */
            n += (size_t)(p - r->p);
            p = r->p;
        }
        any = true;
        more = p[n - 1] == r->escape;
        str_add_n(out, p, more ? n - 1 : n);
        if (!more) {
            next_line(r);
            break;
        }
    }
    return any;
}

/* "# escape=`" and the like, before anything else (also before other comments). */
static int take_directives(struct reader *r, struct error *err)
{
    for (; r->p < r->end; next_line(r)) {
        size_t n, name;
        const char *p = trimmed(r, &n), *value;

        if (!n || *p != '#')
            return 0;
        for (p++, n--; n && is_blank(*p); p++)
            n--;
        for (name = 0; name < n && p[name] != '=' && !is_blank(p[name]);)
            name++;
        value = p + name;
        while (value < p + n && is_blank(*value))
            value++;
        if (value == p + n || *value != '=')
            return 0; /* an ordinary comment ends the directives */
        if (name != 6 || strncasecmp(p, "escape", 6) != 0)
            continue; /* syntax=, check=: nothing for us */
        for (value++; value < p + n && is_blank(*value);)
            value++;
        if (value + 1 != p + n || (*value != '\\' && *value != '`'))
            return error_set(err, -EINVAL, "line %u: escape is \\ or `", r->line);
        r->escape = *value;
    }
    return 0;
}

/* --- parts of an instruction --- */

static bool find_kind(const char *word, size_t n, enum instruction_kind *ret)
{
    for (size_t k = 0; k < array_size(shapes); k++) {
        if (strlen(shapes[k].name) == n && strncasecmp(shapes[k].name, word, n) == 0) {
            *ret = (enum instruction_kind)k;
            return true;
        }
    }
    return false;
}

static bool in_list(const char *list, const char *word, size_t n)
{
    for (; *list; list += strcspn(list, " "), list += *list == ' ')
        if (strcspn(list, " ") == n && strncmp(list, word, n) == 0)
            return true;
    return false;
}

/* Bytes of the word at @p: blanks end it unless quoted or escaped. */
static size_t word_length(const char *p, char escape)
{
    char quote = 0;
    size_t n = 0;

    for (; p[n] && (quote || !is_blank(p[n])); n++) {
        if (p[n] == escape && p[n + 1] && quote != '\'')
            n++;
        else if (quote && p[n] == quote)
            quote = 0;
        else if (!quote && (p[n] == '"' || p[n] == '\''))
            quote = p[n];
    }
    return n;
}

/* Takes "--name=value" words from the beginning of *text. */
static int take_flags(struct instruction *i, const char **text, char escape, struct error *err)
{
    const char *allowed = shapes[i->kind].flags, *p = *text;

    for (;;) {
        struct instruction_flag *more, *f;
        size_t n, name;

        p += strspn(p, " \t");
        if (p[0] != '-' || p[1] != '-')
            break;
        n = word_length(p, escape);
        if (n == 2) { /* "--" ends the flags */
            p += n;
            break;
        }
        /* CMD --version is a command in the shell's form. */
        if (!*allowed)
            break;
        name = strcspn(p + 2, "= \t");
        if (!in_list(allowed, p + 2, name))
            return error_set(err, -EINVAL, "line %u: %s has no flag --%.*s; it has: %s", i->line,
                             shapes[i->kind].name, (int)min_of(name, (size_t)40), p + 2, allowed);
        if (i->flag_count == CONTAINERFILE_FLAGS_MAX)
            return error_set(err, -E2BIG, "line %u: more than %d flags", i->line,
                             CONTAINERFILE_FLAGS_MAX);
        more = realloc(i->flags, (i->flag_count + 1) * sizeof(*more));
        if (!more)
            return no_memory(err);
        i->flags = more;
        f = &i->flags[i->flag_count++];
        f->name = strndup(p + 2, name);
        f->value = p[2 + name] == '=' ? strndup(p + 3 + name, n - 3 - name) : strdup("true");
        if (!f->name || !f->value)
            return no_memory(err);
        p += n;
    }
    *text = p + strspn(p, " \t");
    return 0;
}

/* Reads ["a", "b"]; anything else that begins with [ is the shell's form, as in Docker. */
static int take_json(struct instruction *i, struct error *err)
{
    json_t *list, *v;
    size_t n, k;

    if (i->text[0] != '[')
        return 0;
    list = json_loads(i->text, 0, NULL);
    n = json_array_size(list);
    json_array_foreach(list, k, v)
    {
        if (!json_is_string(v)) {
            json_decref(list);
            return 0;
        }
    }
    if (json_is_array(list)) {
        i->words = mem_alloc(n + 1, sizeof(*i->words));
        for (k = 0; i->words && k < n; k++)
            i->words[k] = strdup(json_string_value(json_array_get(list, k)));
        for (k = 0; k < n; k++) {
            if (!i->words || !i->words[k]) {
                json_decref(list);
                return no_memory(err);
            }
        }
        if (!i->words) {
            json_decref(list);
            return no_memory(err);
        }
    }
    json_decref(list);
    return 0;
}

/* --- here-documents --- */

/*
 * A here-document's beginning at @p: <<NAME, <<-NAME, <<"NAME", <<'NAME'. Returns its bytes, 0 when
 * there is none.
 */
static size_t document_start(const char *p, struct instruction_document *d, bool *ret_strip)
{
    const char *begin = p, *name;
    size_t n = 0;
    char quote;

    if (p[0] != '<' || p[1] != '<')
        return 0;
    p += 2;
    *ret_strip = *p == '-';
    p += *ret_strip;
    quote = *p == '"' || *p == '\'' ? *p : 0;
    p += quote != 0;
    name = p;
    while ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= 'A' && p[n] <= 'Z') || p[n] == '_' ||
           (n && ((p[n] >= '0' && p[n] <= '9') || p[n] == '.' || p[n] == '-')))
        n++;
    if (!n || (quote && p[n] != quote))
        return 0;
    p += n + (quote != 0);
    if (*p && !is_blank(*p) && !strchr(";|&)>", *p))
        return 0;
    d->name = strndup(name, n);
    d->expand = !quote;
    return (size_t)(p - begin);
}

static int take_document(struct reader *r, struct instruction *i, struct instruction_document *d,
                         bool strip, struct error *err)
{
    struct str text = {0};

    for (; r->p < r->end; next_line(r)) {
        const char *p = r->p;
        size_t n = line_length(r);

        if (n && p[n - 1] == '\r')
            n--;
        while (strip && n && *p == '\t') {
            p++;
            n--;
        }
        if (n == strlen(d->name) && memcmp(p, d->name, n) == 0) {
            next_line(r);
            str_add(&text, "");
            d->text = text.data ? str_steal(&text) : strdup("");
            return d->text ? 0 : no_memory(err);
        }
        str_add_n(&text, p, n);
        str_add_char(&text, '\n');
    }
    str_done(&text);
    return error_set(err, -EINVAL, "line %u: the here-document %s has no end", i->line, d->name);
}

/* Finds all <<NAME in the instruction's text, outside quotes, and takes their lines. */
static int take_documents(struct reader *r, struct instruction *i, struct error *err)
{
    const char *p = i->text;
    char quote = 0;

    for (; *p; p++) {
        struct instruction_document d = {0}, *more;
        bool strip = false;
        size_t n;
        int e;

        if (*p == r->escape && p[1] && quote != '\'') {
            p++;
            continue;
        }
        if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? 0 : *p;
            continue;
        }
        if (!quote && str_starts(p, "<<<")) { /* a here-string is the shell's business */
            p += 2;
            continue;
        }
        if (quote || !(n = document_start(p, &d, &strip)))
            continue;
        more = i->document_count < CONTAINERFILE_DOCUMENTS_MAX
                   ? realloc(i->documents, (i->document_count + 1) * sizeof(*more))
                   : NULL;
        if (!more || !d.name) {
            free(d.name);
            if (more)
                i->documents = more;
            return i->document_count == CONTAINERFILE_DOCUMENTS_MAX
                       ? error_set(err, -E2BIG, "line %u: too many here-documents", i->line)
                       : no_memory(err);
        }
        i->documents = more;
        i->documents[i->document_count++] = d;
        e = take_document(r, i, &i->documents[i->document_count - 1], strip, err);
        if (e < 0)
            return e;
        p += n - 1;
    }
    return 0;
}

/* --- checks that need no values --- */

static int check(const struct instruction *i, struct error *err)
{
    const char *name = shapes[i->kind].name;
    bool empty_ok = i->document_count || (i->words && i->kind != INSTRUCTION_RUN);

    if (!i->text[0] && !empty_ok)
        return error_set(err, -EINVAL, "line %u: %s wants arguments", i->line, name);
    if (i->kind == INSTRUCTION_SHELL && (!i->words || !i->words[0]))
        return error_set(err, -EINVAL, "line %u: SHELL wants a list, such as [\"/bin/sh\", \"-c\"]",
                         i->line);
    if ((i->kind == INSTRUCTION_COPY || i->kind == INSTRUCTION_ADD) && i->words &&
        (!i->words[0] || !i->words[1]))
        return error_set(err, -EINVAL, "line %u: %s wants sources and a destination", i->line,
                         name);
    if (i->kind == INSTRUCTION_ONBUILD) {
        static const char *const never[] = {"ONBUILD", "FROM", "MAINTAINER"};
        enum instruction_kind inner;
        size_t n = strcspn(i->text, " \t");
        for (size_t k = 0; k < array_size(never); k++)
            if (strlen(never[k]) == n && strncasecmp(never[k], i->text, n) == 0)
                return error_set(err, -EINVAL, "line %u: ONBUILD cannot keep %s", i->line,
                                 never[k]);
        if (!find_kind(i->text, n, &inner))
            return error_set(err, -EINVAL, "line %u: ONBUILD wants an instruction", i->line);
    }
    return 0;
}

/* --- the whole --- */

static int unknown(const char *text, size_t n, unsigned line, struct error *err)
{
    return error_set(err, -EINVAL, "line %u: unknown instruction \"%.*s\"", line,
                     (int)min_of(n, (size_t)40), text);
}

static int parse_instruction(struct reader *r, struct str *line, struct instruction *i,
                             struct error *err)
{
    const char *text = str_text(line);
    size_t n = strcspn(text, " \t");
    int e;

    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 32 && *c != '\t')
            return error_set(err, -EINVAL, "line %u: it holds a control character", i->line);
    if (!find_kind(text, n, &i->kind))
        return unknown(text, n, i->line, err);
    text += n;
    e = take_flags(i, &text, r->escape, err);
    if (e < 0)
        return e;
    i->text = strdup(text);
    if (!i->text)
        return no_memory(err);
    if (shapes[i->kind].json && (e = take_json(i, err)) < 0)
        return e;
    if (shapes[i->kind].documents && !i->words && (e = take_documents(r, i, err)) < 0)
        return e;
    return check(i, err);
}

static int parse_all(struct reader *r, struct containerfile *f, struct error *err)
{
    int e = 0;

    while (e == 0) {
        struct str line = {0};
        struct instruction i = {0}, *more;

        if (!take_logical_line(r, &i.line, &line)) {
            str_done(&line);
            break;
        }
        if (line.failed)
            e = no_memory(err);
        else if (!line.len) /* a line of nothing but the escape character */
            e = 0;
        else if (f->count == CONTAINERFILE_INSTRUCTIONS_MAX)
            e = error_set(err, -E2BIG, "line %u: more than %d instructions", i.line,
                          CONTAINERFILE_INSTRUCTIONS_MAX);
        else
            e = parse_instruction(r, &line, &i, err);
        if (e == 0 && line.len) {
            more = f->count % 64 ? f->list : realloc(f->list, (f->count + 64) * sizeof(*more));
            if (more) {
                f->list = more;
                f->list[f->count++] = i;
                memset(&i, 0, sizeof(i));
            } else {
                e = no_memory(err);
            }
        }
        instruction_done(&i);
        str_done(&line);
    }
    return e;
}

int containerfile_parse(const char *text, size_t n, struct containerfile *ret, struct error *err)
{
    struct reader r = {.p = text, .end = text + n, .line = 1, .escape = '\\'};
    struct containerfile f = {0};
    int e;

    if (n > CONTAINERFILE_MAX)
        return error_set(err, -E2BIG, "it has more than %d bytes", CONTAINERFILE_MAX);
    if (memchr(text, 0, n))
        return error_set(err, -EINVAL, "it holds NUL bytes; it is no text");
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.p += 3; /* a byte order mark */
    e = take_directives(&r, err);
    if (e == 0)
        e = parse_all(&r, &f, err);
    f.escape = r.escape;
    for (size_t i = 0; e == 0 && i < f.count && f.list[i].kind != INSTRUCTION_FROM; i++)
        if (f.list[i].kind != INSTRUCTION_ARG)
            e = error_set(err, -EINVAL, "line %u: %s before the first FROM", f.list[i].line,
                          instruction_name(f.list[i].kind));
    if (e == 0 && (!f.count || f.list[f.count - 1].kind == INSTRUCTION_ARG)) {
        bool from = false;
        for (size_t i = 0; i < f.count; i++)
            from |= f.list[i].kind == INSTRUCTION_FROM;
        if (!from)
            e = error_set(err, -EINVAL, "it has no FROM");
    }
    if (e < 0)
        containerfile_done(&f);
    else
        *ret = f;
    return e;
}

int containerfile_parse_one(const char *text, struct containerfile *ret, struct error *err)
{
    struct reader r = {.p = text, .end = text + strlen(text), .line = 1, .escape = '\\'};
    struct containerfile f = {.escape = '\\'};
    int e = parse_all(&r, &f, err);

    if (e == 0 && f.count != 1)
        e = error_set(err, -EINVAL, "not one instruction");
    if (e < 0)
        containerfile_done(&f);
    else
        *ret = f;
    return e;
}
