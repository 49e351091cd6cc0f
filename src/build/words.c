/* SPDX-License-Identifier: Apache-2.0 */
#include "build/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct expander {
    const struct words_scope *scope;
    struct error *err;
    const char *p;
    unsigned depth;
    bool document; /* quotes are ordinary characters */
};

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t name_length(const char *p)
{
    size_t n = 0;

    while (is_name_start(p[n]) || (p[n] >= '0' && p[n] <= '9'))
        n++;
    return n;
}

/* --- patterns --- */

/* [abc], [a-z], [^a]: whether @c is in the set at *pattern, which is moved behind it. */
static bool match_set(const char **pattern, char c)
{
    const char *p = *pattern + 1;
    bool not = *p == '^' || *p == '!', found = false;

    p += not ;
    do {
        if (!*p)
            return false;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            found |=
                (unsigned char)c >= (unsigned char)p[0] && (unsigned char)c <= (unsigned char)p[2];
            p += 3;
        } else {
            found |= *p++ == c;
        }
    } while (*p != ']');
    *pattern = p + 1;
    return found != not ;
}

/* One step: whether the first element of *pattern (not *) matches @c. */
static bool match_one(const char **pattern, char c, char escape)
{
    const char *p = *pattern;

    if (*p == '[' && strchr(p + 1, ']'))
        return match_set(pattern, c);
    if (*p == escape && p[1])
        p++;
    else if (*p == '?') {
        *pattern = p + 1;
        return true;
    }
    *pattern = p + 1;
    return *p == c;
}

bool words_match(const char *pattern, const char *text, char escape)
{
    const char *star = NULL, *resume = NULL;

    /* The last * takes more and more: linear in both for each star, never exponential. */
    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        if (!*text)
            return !*pattern;
        if (*pattern && match_one(&pattern, *text, escape)) {
            text++;
            continue;
        }
        if (!star)
            return false;
        pattern = star;
        text = ++resume;
    }
}

/* --- ${NAME...} --- */

static int fail(struct expander *x, const char *format, const char *what)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return error_set(x->err, -EINVAL, format, what);
#pragma GCC diagnostic pop
}

static int expand_until(struct expander *x, const char *stop, struct str *out);

/* ${NAME#pattern} and %: what is left of @value. */
static void add_trimmed(const char *value, const char *pattern, char op, bool longest, char escape,
                        struct str *out)
{
    size_t n = strlen(value), best = op == '#' ? 0 : n;
    bool found = false;

    for (size_t k = 0; k <= n; k++) {
        /* Cut lengths in the order in which the first match is the right one. */
        size_t cut = longest ? n - k : k;
        char *part = op == '#' ? strndup(value, cut) : strdup(value + n - cut);
        bool match = part && words_match(pattern, part, escape);
        free(part);
        if (match) {
            best = op == '#' ? cut : n - cut;
            found = true;
            break;
        }
    }
    if (op == '#')
        str_add(out, value + (found ? best : 0));
    else
        str_add_n(out, value, found ? best : n);
}

/* ${NAME/pattern/word}: the longest match at the earliest place, or everywhere. */
static void add_replaced(const char *value, const char *pattern, const char *word, bool all,
                         char escape, struct str *out)
{
    bool done = !*pattern;

    while (*value) {
        size_t n = strlen(value), take = 0;
        for (size_t k = n; !done && k; k--) {
            char *part = strndup(value, k);
            bool match = part && words_match(pattern, part, escape);
            free(part);
            if (match) {
                take = k;
                break;
            }
        }
        if (take) {
            str_add(out, word);
            value += take;
            done = !all;
        } else {
            str_add_char(out, *value++);
        }
    }
}

static int substitute(struct expander *x, const char *name, size_t n, const char *value,
                      struct str *out)
{
    char op = *x->p++;
    bool colon = op == ':', twice = false, set;
    struct str word = {0}, with = {0};
    char text[100];
    int r;

    if (colon)
        op = *x->p ? *x->p++ : 0;
    if (!colon && (op == '#' || op == '%' || op == '/') && *x->p == op) {
        twice = true;
        x->p++;
    }
    if (!strchr(colon ? "-+?" : "-+?#%/", op) || !op)
        return fail(x, "\"${%s\" uses an unknown operator", name);
    r = expand_until(x, op == '/' ? "/}" : "}", &word);
    if (r == 0 && op == '/' && *x->p == '/') {
        x->p++;
        r = expand_until(x, "}", &with);
    }
    if (r == 0 && *x->p != '}')
        r = fail(x, "\"${\" has no end%s", "");
    set = value && (!colon || *value);
    value = value ? value : "";
    snprintf(text, sizeof(text), "%.*s", (int)min_of(n, (size_t)60), name);
    /* Patterns cost the square of the length, replacing its cube. */
    if (r == 0 && strchr("#%/", op) && strlen(value) > (op == '/' ? 512 : 4096))
        r = fail(x, "the value of %s is too long for patterns", text);
    if (r < 0)
        ;
    else if (op == '-')
        str_add(out, set ? value : str_text(&word));
    else if (op == '+')
        str_add(out, set ? str_text(&word) : "");
    else if (op == '?' && !set)
        r = error_set(x->err, -EINVAL, "%s: %s", text, word.len ? str_text(&word) : "not set");
    else if (op == '?')
        str_add(out, value);
    else if (op == '/')
        add_replaced(value, str_text(&word), str_text(&with), twice, x->scope->escape, out);
    else
        add_trimmed(value, str_text(&word), op, twice, x->scope->escape, out);
    str_done(&word);
    str_done(&with);
    return r;
}

/* Behind a "$". */
static int expand_variable(struct expander *x, struct str *out)
{
    bool brace = *x->p == '{';
    const char *name = x->p + brace, *value;
    size_t n = name_length(name);
    int r = 0;

    if (!n && !brace) { /* a lone $ stands for itself */
        str_add_char(out, '$');
        return 0;
    }
    if (!n)
        return fail(x, "\"${\" without a name%s", "");
    value = x->scope->value(x->scope->opaque, name, n);
    x->p = name + n;
    if (!brace || *x->p == '}') {
        str_add(out, value ? value : "");
    } else if (!*x->p) {
        return fail(x, "\"${\" has no end%s", "");
    } else {
        if (++x->depth > WORDS_DEPTH_MAX)
            return fail(x, "too many \"${\" in each other%s", "");
        r = substitute(x, name, n, value, out);
        x->depth--;
    }
    if (brace && r == 0)
        x->p++;
    return r;
}

/* Inside "...", up to the quote that ends it. */
static int expand_quoted(struct expander *x, struct str *out)
{
    int r = 0;

    while (r == 0 && *x->p && *x->p != '"') {
        char c = *x->p++;
        if (c == x->scope->escape && (*x->p == '"' || *x->p == '$' || *x->p == c))
            str_add_char(out, *x->p++);
        else if (c == '$')
            r = expand_variable(x, out);
        else
            str_add_char(out, c);
    }
    if (r == 0 && !*x->p)
        r = fail(x, "a %s has no end", "\"");
    if (r == 0)
        x->p++;
    return r;
}

/* Expands up to (not including) a character of @stop, or the end. */
static int expand_until(struct expander *x, const char *stop, struct str *out)
{
    int r = 0;

    while (r == 0 && *x->p && !strchr(stop, *x->p)) {
        char c = *x->p++;
        if (c == x->scope->escape) {
            if (x->document && *x->p != '$' && *x->p != c)
                str_add_char(out, c);
            if (*x->p)
                str_add_char(out, *x->p++);
        } else if (c == '$') {
            r = expand_variable(x, out);
        } else if (c == '"' && !x->document) {
            r = expand_quoted(x, out);
        } else if (c == '\'' && !x->document) {
            size_t n = strcspn(x->p, "'");
            if (!x->p[n])
                return fail(x, "a %s has no end", "'");
            str_add_n(out, x->p, n);
            x->p += n + 1;
        } else {
            str_add_char(out, c);
        }
        if (out->len > WORDS_EXPANDED_MAX)
            r = fail(x, "its variables become too long%s", "");
    }
    if (r == 0 && out->failed)
        r = error_set_errno(x->err, -ENOMEM, "expand variables");
    return r;
}

static char *expand(const char *text, const struct words_scope *scope, bool document,
                    struct error *err)
{
    struct expander x = {.scope = scope, .err = err, .p = text, .document = document};
    struct str out = {0};

    if (expand_until(&x, "", &out) < 0) {
        str_done(&out);
        return NULL;
    }
    str_add(&out, "");
    if (!out.data)
        return strdup("");
    return str_steal(&out);
}

char *words_expand(const char *text, const struct words_scope *scope, struct error *err)
{
    return expand(text, scope, false, err);
}

char *words_expand_document(const char *text, const struct words_scope *scope, struct error *err)
{
    return expand(text, scope, true, err);
}

void words_free(char **words)
{
    for (char **w = words; w && *w; w++)
        free(*w);
    free(words);
}

char **words_split(const char *text, const struct words_scope *scope, size_t *ret_count,
                   struct error *err)
{
    struct expander x = {.scope = scope, .err = err, .p = text};
    char **words = mem_alloc(1, sizeof(*words));
    size_t count = 0;

    while (words) {
        struct str out = {0};
        char **more;

        x.p += strspn(x.p, " \t");
        if (!*x.p) {
            *ret_count = count;
            return words;
        }
        if (expand_until(&x, " \t", &out) < 0) {
            str_done(&out);
            words_free(words);
            return NULL;
        }
        more = realloc(words, (count + 2) * sizeof(*words));
        if (!more) {
            str_done(&out);
            break;
        }
        words = more;
        words[count] = out.data ? str_steal(&out) : strdup("");
        if (!words[count])
            break;
        words[++count] = NULL;
    }
    words_free(words);
    error_set_errno(err, -ENOMEM, "split words");
    return NULL;
}
