/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/template.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/own.h"
#include "cli/suggest.h"
#include "cli/template_internal.h"

enum { DEPTH_MAX = 16, WORDS_MAX = 8 };

/* Compares @a (@na bytes) with @b (@nb), skipping underscores and case. */
static bool same_name(const char *a, size_t na, const char *b, size_t nb)
{
    const char *a_end = a + na, *b_end = b + nb;

    for (;;) {
        while (a < a_end && *a == '_')
            a++;
        while (b < b_end && *b == '_')
            b++;
        if (a == a_end || b == b_end)
            return a == a_end && b == b_end;
        if (tolower((unsigned char)*a++) != tolower((unsigned char)*b++))
            return false;
    }
}

json_t *template_member(json_t *object, const char *name, size_t n)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        if (strlen(key) == n && memcmp(key, name, n) == 0)
            return value;
    }
    json_object_foreach(object, key, value)
    {
        if (same_name(name, n, key, strlen(key)))
            return value;
    }
    /* Docker says Names where there is one name, and Label "key" for one of the labels. */
    json_object_foreach(object, key, value)
    {
        size_t len = strlen(key);
        if (len > 1 && key[len - 1] == 's' && same_name(key, len - 1, name, n))
            return value;
        if (n > 1 && name[n - 1] == 's' && same_name(name, n - 1, key, len))
            return value;
    }
    return NULL;
}

static int no_member(struct error *err, json_t *object, const char *name, size_t n)
{
    char *word = strndup(name, n);
    struct suggest s = {.word = word ? word : ""};
    struct str known = {0};
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        error_set(err, -EINVAL, "template: .%s: the value before it has no fields", s.word);
    } else {
        json_object_foreach(object, key, value)
        {
            suggest_offer(&s, key);
            str_addf(&known, "%s%s", known.len ? ", " : "", key);
        }
        if (s.best)
            error_set(err, -EINVAL, "template: no field \"%s\"; did you mean \"%s\"?", s.word,
                      s.best);
        else
            error_set(err, -EINVAL, "template: no field \"%s\"; there are %s", s.word,
                      known.len ? str_text(&known) : "none");
    }
    str_done(&known);
    free(word);
    return -EINVAL;
}

static json_t *pipeline(struct scanner *s, char closing);

static void skip_blanks(struct scanner *s)
{
    while (s->p < s->end && isspace((unsigned char)*s->p))
        s->p++;
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* .A.B from the dot on. */
static json_t *path(struct scanner *s, json_t *value)
{
    while (s->p < s->end && *s->p == '.') {
        const char *name = ++s->p;
        while (s->p < s->end && name_char(*s->p))
            s->p++;
        if (s->p == name) {
            if (value == s->dot)
                continue;
            error_set(s->err, -EINVAL, "template: a name is missing after \".\"");
            return NULL;
        }
        json_t *member = template_member(value, name, (size_t)(s->p - name));
        if (!member) {
            no_member(s->err, value, name, (size_t)(s->p - name));
            return NULL;
        }
        value = member;
    }
    return json_incref(value);
}

static json_t *literal(struct scanner *s)
{
    struct str text = {0};
    char quote = *s->p++;

    while (s->p < s->end && *s->p != quote) {
        char c = *s->p++;
        if (c == '\\' && quote == '"' && s->p < s->end) {
            c = *s->p++;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        str_add_char(&text, c);
    }
    if (s->p == s->end) {
        str_done(&text);
        error_set(s->err, -EINVAL, "template: a quote is not closed");
        return NULL;
    }
    s->p++;
    return template_take_text(s, &text);
}

static json_t *number(struct scanner *s)
{
    json_int_t value = 0;

    while (s->p < s->end && isdigit((unsigned char)*s->p)) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *s->p - '0', &value)) {
            error_set(s->err, -EINVAL, "template: a number is too large");
            return NULL;
        }
        s->p++;
    }
    return json_integer(value);
}

static size_t word_at(const struct scanner *s)
{
    size_t n = 0;

    while (s->p + n < s->end && name_char(s->p[n]))
        n++;
    return n;
}

/* $ or $name. Borrowed; NULL with the error set. */
static json_t *variable(struct scanner *s)
{
    size_t n;

    s->p++;
    n = word_at(s);
    if (!n)
        return s->scope->root;
    for (size_t i = s->scope->count; i-- > 0;) {
        if (strlen(s->scope->variables[i].name) == n &&
            memcmp(s->scope->variables[i].name, s->p, n) == 0) {
            s->p += n;
            return s->scope->variables[i].value;
        }
    }
    error_set(s->err, -EINVAL, "template: there is no variable $%.*s",
              (int)min_of(n, (size_t)TEMPLATE_NAME_MAX), s->p);
    return NULL;
}

/* One operand. NULL with the error set. */
static json_t *operand(struct scanner *s)
{
    json_t *value, *member;
    size_t n = word_at(s);

    if (*s->p == '.')
        return path(s, s->dot);
    if (*s->p == '$') {
        value = variable(s);
        return value ? path(s, value) : NULL;
    }
    if (*s->p == '"' || *s->p == '`')
        return literal(s);
    if (isdigit((unsigned char)*s->p))
        return number(s);
    if ((n == 4 && memcmp(s->p, "true", 4) == 0) || (n == 5 && memcmp(s->p, "false", 5) == 0)) {
        s->p += n;
        return json_boolean(n == 4);
    }
    if (*s->p == '(' && s->depth < DEPTH_MAX) {
        s->p++;
        s->depth++;
        value = pipeline(s, ')');
        s->depth--;
        if (!value || s->p == s->end || *s->p != '.')
            return value;
        member = path(s, value); /* a field of what the parentheses hold */
        json_decref(value);
        return member;
    }
    error_set(s->err, -EINVAL, "template: unexpected \"%.*s\"", (int)min_of(s->end - s->p, 20),
              s->p);
    return NULL;
}

/* The function named at the scanner's place, past which it goes; *ret NULL: an operand is there. */
static int function_at(struct scanner *s, template_fn **ret)
{
    size_t n = word_at(s);

    *ret = NULL;
    if (!isalpha((unsigned char)*s->p) || (n == 4 && memcmp(s->p, "true", 4) == 0) ||
        (n == 5 && memcmp(s->p, "false", 5) == 0))
        return 0;
    *ret = template_function(s->p, n, s->err);
    s->p += n;
    return *ret ? 0 : -EINVAL;
}

/* One command of a pipeline; takes @piped (may be NULL) as its last word. */
static json_t *command(struct scanner *s, json_t *piped, char closing)
{
    json_t *words[WORDS_MAX + 1], *result = NULL;
    template_fn *function;
    size_t count = 0;

    if (function_at(s, &function) < 0) {
        json_decref(piped);
        return NULL;
    }
    for (skip_blanks(s); s->p < s->end && *s->p != '|' && *s->p != closing; skip_blanks(s)) {
        json_t *word = count < WORDS_MAX ? operand(s) : NULL;
        if (!word) {
            if (count == WORDS_MAX)
                error_set(s->err, -EINVAL, "template: too many words");
            goto out;
        }
        words[count++] = word;
    }
    if (piped)
        words[count++] = steal_ptr(&piped);
    if (function)
        result = function(s, words, count);
    else if (count == 2 && json_is_object(words[0]) && json_is_string(words[1]))
        result = template_index(s, words, count); /* Docker's {{.Label "key"}} */
    else if (count == 1)
        result = json_incref(words[0]);
    else
        error_set(s->err, -EINVAL, "template: %s", count ? "a function is missing" : "empty {{}}");
out:
    json_decref(piped);
    while (count)
        json_decref(words[--count]);
    return result;
}

/* Commands separated by "|", up to @closing or the end of the action. */
static json_t *pipeline(struct scanner *s, char closing)
{
    json_t *value = NULL;

    for (;;) {
        skip_blanks(s);
        if (s->p == s->end) {
            json_decref(value);
            error_set(s->err, -EINVAL, "template: %s",
                      value ? "nothing after \"|\"" : "empty {{}}");
            return NULL;
        }
        value = command(s, value, closing);
        if (!value)
            return NULL;
        skip_blanks(s);
        if (s->p < s->end && *s->p == '|') {
            s->p++;
            continue;
        }
        if (closing && (s->p == s->end || *s->p != closing)) {
            json_decref(value);
            error_set(s->err, -EINVAL, "template: \"%c\" is missing", closing);
            return NULL;
        }
        s->p += closing != 0;
        return value;
    }
}

/* The "}}" that ends the action at @p, quotes respected; NULL when there is none. */
static const char *action_end(const char *p)
{
    for (; *p; p++) {
        if (p[0] == '}' && p[1] == '}')
            return p;
        if (*p == '"' || *p == '`') {
            char quote = *p++;
            for (; *p && *p != quote; p++)
                p += *p == '\\' && quote == '"' && p[1];
            if (!*p)
                return NULL;
        }
    }
    return NULL;
}

static void trim_right(struct str *out, size_t from)
{
    while (out->len > from && isspace((unsigned char)out->data[out->len - 1]))
        out->data[--out->len] = 0;
}

/* ---- text, actions and blocks ---- */

struct render {
    const char *p;
    struct template_scope scope;
    struct str *out;
    size_t begin; /* of @out: what is before is not trimmed */
    unsigned depth;
    struct error *err;
};

/* What ends the part of a template that a block reads. */
enum stop { STOP_TEXT, STOP_END, STOP_ELSE };

/* Whether the word at @s is @word; goes past it. */
static bool take_word(struct scanner *s, const char *word)
{
    size_t n = strlen(word);

    if (word_at(s) != n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    skip_blanks(s);
    return true;
}

/* "$name" at @s as a new variable without a value; its index, or -EINVAL. */
static int declare(struct render *r, struct scanner *s)
{
    size_t n;

    s->p++;
    n = word_at(s);
    if (!n || n >= TEMPLATE_NAME_MAX || r->scope.count == TEMPLATE_VARIABLES)
        return error_set(r->err, -EINVAL, "template: %s",
                         r->scope.count == TEMPLATE_VARIABLES ? "too many variables"
                                                              : "a variable needs a name");
    memcpy(r->scope.variables[r->scope.count].name, s->p, n);
    r->scope.variables[r->scope.count].name[n] = 0;
    r->scope.variables[r->scope.count].value = NULL;
    s->p += n;
    skip_blanks(s);
    return (int)r->scope.count++;
}

static void set_variable(struct render *r, int index, json_t *value)
{
    if (index < 0)
        return;
    json_decref(r->scope.variables[index].value);
    r->scope.variables[index].value = json_incref(value);
}

static void forget_variables(struct render *r, size_t count)
{
    while (r->scope.count > count)
        json_decref(r->scope.variables[--r->scope.count].value);
}

/*
 * "$a := " or "$a, $b := " before a pipeline: the indexes, -1 where there is none. 0 or -EINVAL.
 * Without value they are null until set.
 */
static int declarations(struct render *r, struct scanner *s, int ret[2])
{
    const char *q = s->p;

    ret[0] = ret[1] = -1;
    if (q == s->end || *q != '$')
        return 0;
    while (q < s->end && (name_char(*q) || *q == '$' || *q == ',' || isspace((unsigned char)*q)))
        q++;
    if (s->end - q < 2 || q[0] != ':' || q[1] != '=')
        return 0; /* it is used, not declared */
    for (int i = 0; i < 2; i++) {
        ret[i] = declare(r, s);
        if (ret[i] < 0)
            return -EINVAL;
        set_variable(r, ret[i], NULL);
        if (s->p == s->end || *s->p != ',')
            break;
        s->p++;
        skip_blanks(s);
        if (i == 1 || s->p == s->end || *s->p != '$')
            return error_set(r->err, -EINVAL, "template: a variable is missing after \",\"");
    }
    if (s->end - s->p < 2 || s->p[0] != ':' || s->p[1] != '=')
        return error_set(r->err, -EINVAL, "template: \":=\" is missing");
    s->p += 2;
    skip_blanks(s);
    return 0;
}

static int body(struct render *r, json_t *dot, bool live, enum stop *ret_stop,
                struct scanner *ret_else);

static int block_end(struct render *r, enum stop stop, const char *what)
{
    if (stop == STOP_END)
        return 0;
    return error_set(r->err, -EINVAL,
                     stop == STOP_ELSE ? "template: a second \"else\" of \"%s\""
                                       : "template: \"%s\" without \"end\"",
                     what);
}

/* if and with: the first part whose condition is true, or the one after "else". */
static int condition(struct render *r, json_t *dot, bool live, struct scanner *s, bool with)
{
    const char *what = with ? "with" : "if";
    bool taken = false, last = false;
    enum stop stop;

    for (;;) {
        json_t *value = NULL;
        int variables[2], e = 0;
        bool now = live && !taken;
        if (!last && now) {
            e = declarations(r, s, variables);
            value = e < 0 ? NULL : pipeline(s, 0);
            if (!value)
                return -EINVAL;
            set_variable(r, variables[0], value);
            now = template_truth(value);
        }
        taken |= now;
        e = body(r, with && value ? value : dot, now, &stop, s);
        json_decref(value);
        if (e < 0 || last || stop != STOP_ELSE)
            return e < 0 ? e : block_end(r, stop, what);
        last = s->p == s->end;
        if (!last && !take_word(s, what))
            return error_set(r->err, -EINVAL, "template: unexpected \"%.*s\" after \"else\"",
                             (int)min_of(s->end - s->p, 20), s->p);
    }
}

/* Renders the part from @start once for each element of @value. */
static int each(struct render *r, json_t *value, const int variables[2], const char *start,
                enum stop *ret_stop, struct scanner *s)
{
    size_t i = 0;
    void *iter = json_is_object(value) ? json_object_iter(value) : NULL;

    for (; iter || i < json_array_size(value); i++) {
        json_t *item = iter ? json_object_iter_value(iter) : json_array_get(value, i);
        json_t *key = iter ? json_string(json_object_iter_key(iter)) : json_integer((json_int_t)i);
        int e;
        set_variable(r, variables[1] >= 0 ? variables[1] : variables[0], item);
        if (variables[1] >= 0)
            set_variable(r, variables[0], key);
        json_decref(key);
        r->p = start;
        e = body(r, item, true, ret_stop, s);
        if (e < 0)
            return e;
        iter = iter ? json_object_iter_next(value, iter) : NULL;
        if (json_is_object(value) && !iter)
            break;
    }
    return 0;
}

static int range(struct render *r, json_t *dot, bool live, struct scanner *s)
{
    const char *start = r->p;
    json_t *value = NULL;
    int variables[2], e = 0;
    enum stop stop;
    bool any = false;

    if (live) {
        e = declarations(r, s, variables);
        value = e < 0 ? NULL : pipeline(s, 0);
        if (!value)
            return -EINVAL;
        if (!json_is_array(value) && !json_is_object(value) && !json_is_null(value)) {
            json_decref(value);
            return error_set(r->err, -EINVAL, "template: range needs a list or an object");
        }
        any = template_truth(value);
    }
    e = any ? each(r, value, variables, start, &stop, s) : body(r, dot, false, &stop, s);
    json_decref(value);
    if (e == 0 && stop == STOP_ELSE) {
        if (s->p != s->end)
            return error_set(r->err, -EINVAL, "template: \"else\" of \"range\" takes no words");
        e = body(r, dot, live && !any, &stop, s);
    }
    return e < 0 ? e : block_end(r, stop, "range");
}

/* One action; *ret_stop is STOP_END or STOP_ELSE when it ends the part. */
static int action(struct render *r, json_t *dot, bool live, struct scanner *s, enum stop *ret_stop)
{
    size_t variables_before = r->scope.count;
    int variables[2], e = 0;
    json_t *value;

    skip_blanks(s);
    if (s->end - s->p >= 4 && s->p[0] == '/' && s->p[1] == '*')
        return 0; /* a comment */
    if (take_word(s, "end")) {
        *ret_stop = STOP_END;
        return 0;
    }
    if (take_word(s, "else")) {
        *ret_stop = STOP_ELSE;
        return 0;
    }
    if (take_word(s, "if"))
        e = condition(r, dot, live, s, false);
    else if (take_word(s, "with"))
        e = condition(r, dot, live, s, true);
    else if (take_word(s, "range"))
        e = range(r, dot, live, s);
    else if (!live)
        return 0;
    else {
        e = declarations(r, s, variables);
        value = e < 0 ? NULL : pipeline(s, 0);
        if (!value)
            return -EINVAL;
        if (variables[0] >= 0)
            set_variable(r, variables[0], value);
        else
            template_add_value(r->out, value);
        json_decref(value);
        return 0; /* a variable lives until its part ends */
    }
    forget_variables(r, variables_before);
    return e;
}

/*
 * Reads the template up to the end of its block, which it goes past: *ret_stop says what ended it,
 * @ret_else is what follows the word "else". Unless @live nothing is written or looked up.
 */
static int body(struct render *r, json_t *dot, bool live, enum stop *ret_stop,
                struct scanner *ret_else)
{
    size_t variables = r->scope.count;
    int e = 0;

    *ret_stop = STOP_TEXT;
    if (++r->depth > DEPTH_MAX)
        return error_set(r->err, -EINVAL, "template: more than %d blocks in each other", DEPTH_MAX);
    while (*r->p && *ret_stop == STOP_TEXT && e == 0) {
        struct scanner s = {.dot = dot, .scope = &r->scope, .err = r->err};
        bool trim_after;
        if (r->p[0] == '\\' && (r->p[1] == 'n' || r->p[1] == 't')) {
            if (live)
                str_add_char(r->out, r->p[1] == 'n' ? '\n' : '\t');
            r->p += 2;
            continue;
        }
        if (r->p[0] != '{' || r->p[1] != '{') {
            if (live)
                str_add_char(r->out, *r->p);
            r->p++;
            continue;
        }
        s.p = r->p + 2;
        s.end = action_end(s.p);
        if (!s.end)
            return error_set(r->err, -EINVAL, "template: \"{{\" without \"}}\"");
        r->p = s.end + 2;
        if (*s.p == '-') {
            s.p++;
            if (live)
                trim_right(r->out, r->begin);
        }
        trim_after = s.end > s.p && s.end[-1] == '-';
        s.end -= trim_after;
        while (trim_after && isspace((unsigned char)*r->p))
            r->p++;
        e = action(r, dot, live, &s, ret_stop);
        if (ret_else)
            *ret_else = s;
    }
    forget_variables(r, variables);
    r->depth--;
    return e;
}

int template_render(const char *template, json_t *value, struct str *out, struct error *err)
{
    struct render r = {
        .p = template, .scope.root = value, .out = out, .begin = out->len, .err = err};
    enum stop stop;
    int e = body(&r, value, true, &stop, NULL);

    forget_variables(&r, 0);
    if (e == 0 && stop != STOP_TEXT)
        e = error_set(err, -EINVAL, "template: \"%s\" outside of if, with and range",
                      stop == STOP_END ? "end" : "else");
    return e;
}

void template_fields(const char *template, void (*field)(void *opaque, const char *name, size_t n),
                     void *opaque)
{
    for (const char *p = template; (p = strstr(p, "{{"));) {
        const char *end = action_end(p + 2);
        for (p += 2; end && p < end; p++) {
            const char *name = p + 1;
            size_t n = 0;
            if (*p != '.')
                continue;
            while (name + n < end && name_char(name[n]))
                n++;
            if (n && name[n] != '.')
                field(opaque, name, n);
            p += n;
        }
    }
}
