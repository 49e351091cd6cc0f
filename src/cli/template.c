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

enum { DEPTH_MAX = 16, WORDS_MAX = 8, WIDTH_MAX = 999 };

/* One action, from after "{{" to before "}}". */
struct scanner {
    const char *p, *end;
    json_t *dot; /* borrowed */
    unsigned depth;
    struct error *err;
};

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

static void add_value(struct str *out, json_t *value)
{
    char *text;

    switch (json_typeof(value)) {
    case JSON_STRING:
        str_add_n(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        str_addf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        str_addf(out, "%g", json_real_value(value));
        break;
    case JSON_TRUE:
        str_add(out, "true");
        break;
    case JSON_FALSE:
        str_add(out, "false");
        break;
    case JSON_NULL:
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        text = json_dumps(value, JSON_COMPACT);
        str_add(out, text ? text : "");
        free(text);
        break;
    }
}

/* A new string from @text, which it releases. NULL with the error set. */
static json_t *take_text(struct scanner *s, struct str *text)
{
    json_t *value = text->failed ? NULL : json_stringn(str_text(text), text->len);

    str_done(text);
    if (!value)
        error_set(s->err, -EINVAL, "template: the text is not UTF-8 or memory ran out");
    return value;
}

static json_t *call_index(struct scanner *s, json_t **words, size_t count)
{
    json_t *value = count ? words[0] : NULL;

    for (size_t i = 1; i < count; i++) {
        json_t *key = words[i];
        if (json_is_object(value) && json_is_string(key)) {
            value = json_object_get(value, json_string_value(key));
            if (!value)
                return json_string("");
        } else if (json_is_array(value) && json_is_integer(key)) {
            value = json_array_get(value, (size_t)json_integer_value(key));
            if (!value) {
                error_set(s->err, -EINVAL, "template: index %lld is out of range",
                          (long long)json_integer_value(key));
                return NULL;
            }
        } else {
            value = NULL;
        }
        if (!value)
            break;
    }
    if (!value)
        error_set(s->err, -EINVAL,
                  "template: index needs an object and a text, or a list and a "
                  "number");
    return json_incref(value);
}

/* One conversion of printf at *p (after "%"): flags, width and precision, then a letter. */
static bool convert(struct str *out, const char **p, json_t *value)
{
    bool left = false, zero = false;
    size_t width = 0, precision = SIZE_MAX, len;
    struct str text = {0};

    for (; **p == '-' || **p == '0'; ++*p)
        *(**p == '-' ? &left : &zero) = true;
    for (; isdigit((unsigned char)**p); ++*p)
        width = min_of(width * 10 + (size_t)(**p - '0'), (size_t)WIDTH_MAX);
    if (**p == '.') {
        precision = 0;
        for (++*p; isdigit((unsigned char)**p); ++*p)
            precision = min_of(precision * 10 + (size_t)(**p - '0'), (size_t)WIDTH_MAX);
    }
    switch (*(*p)++) {
    case 's':
    case 'v':
    case 'd':
        add_value(&text, value);
        break;
    case 'x':
        if (!json_is_integer(value))
            return false;
        str_addf(&text, "%llx", (long long)json_integer_value(value));
        break;
    case 'f':
        if (!json_is_number(value))
            return false;
        str_addf(&text, "%.*f", precision == SIZE_MAX ? 6 : (int)precision,
                 json_number_value(value));
        precision = SIZE_MAX;
        break;
    case 'q': {
        char *quoted = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        str_add(&text, quoted ? quoted : "");
        free(quoted);
        break;
    }
    default:
        return false;
    }
    len = min_of(text.len, precision);
    for (size_t i = len; !left && i < width; i++)
        str_add_char(out, zero ? '0' : ' ');
    str_add_n(out, str_text(&text), len);
    for (size_t i = len; left && i < width; i++)
        str_add_char(out, ' ');
    str_done(&text);
    return true;
}

static json_t *call_printf(struct scanner *s, json_t **words, size_t count)
{
    const char *p = count ? json_string_value(words[0]) : NULL;
    struct str out = {0};
    size_t used = 1;

    while (p && *p) {
        if (*p != '%') {
            str_add_char(&out, *p++);
        } else if (p[1] == '%') {
            str_add_char(&out, '%');
            p += 2;
        } else {
            p++;
            if (used >= count || !convert(&out, &p, words[used++]))
                p = NULL;
        }
    }
    if (!p || used != count) {
        str_done(&out);
        error_set(s->err, -EINVAL,
                  "template: printf needs a format of %%s %%d %%x %%f %%v %%q and as many values");
        return NULL;
    }
    return take_text(s, &out);
}

static json_t *call_join(struct scanner *s, json_t **words, size_t count)
{
    struct str out = {0};
    json_t *item;
    size_t i;

    if (count != 2 || !json_is_array(words[0]) || !json_is_string(words[1])) {
        error_set(s->err, -EINVAL, "template: join needs a list and a separator");
        return NULL;
    }
    json_array_foreach(words[0], i, item)
    {
        if (i)
            str_add(&out, json_string_value(words[1]));
        add_value(&out, item);
    }
    return take_text(s, &out);
}

static json_t *call_json(struct scanner *s, json_t **words, size_t count)
{
    char *text = count == 1 ? json_dumps(words[0], JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_t *value = text ? json_string(text) : NULL;

    free(text);
    if (!value)
        error_set(s->err, -EINVAL, "template: json needs one value");
    return value;
}

static json_t *call_len(struct scanner *s, json_t **words, size_t count)
{
    if (count == 1 && json_is_string(words[0]))
        return json_integer((json_int_t)json_string_length(words[0]));
    if (count == 1 && json_is_array(words[0]))
        return json_integer((json_int_t)json_array_size(words[0]));
    if (count == 1 && json_is_object(words[0]))
        return json_integer((json_int_t)json_object_size(words[0]));
    error_set(s->err, -EINVAL, "template: len needs a text, a list or an object");
    return NULL;
}

static json_t *change_case(struct scanner *s, json_t **words, size_t count, int (*change)(int),
                           size_t limit)
{
    struct str in = {0};

    if (count != 1) {
        error_set(s->err, -EINVAL, "template: upper, lower and title need one value");
        return NULL;
    }
    add_value(&in, words[0]);
    for (size_t i = 0; i < in.len && i < limit; i++) {
        if ((unsigned char)in.data[i] < 0x80)
            in.data[i] = (char)change((unsigned char)in.data[i]);
    }
    return take_text(s, &in);
}

static json_t *call_upper(struct scanner *s, json_t **words, size_t count)
{
    return change_case(s, words, count, toupper, SIZE_MAX);
}

static json_t *call_lower(struct scanner *s, json_t **words, size_t count)
{
    return change_case(s, words, count, tolower, SIZE_MAX);
}

static json_t *call_title(struct scanner *s, json_t **words, size_t count)
{
    return change_case(s, words, count, toupper, 1);
}

static json_t *call_split(struct scanner *s, json_t **words, size_t count)
{
    json_t *list;
    const char *text, *separator, *next;
    size_t n;

    if (count != 2 || !json_is_string(words[0]) || !json_string_length(words[1])) {
        error_set(s->err, -EINVAL, "template: split needs a text and a separator");
        return NULL;
    }
    text = json_string_value(words[0]);
    separator = json_string_value(words[1]);
    n = strlen(separator);
    list = json_array();
    for (; (next = strstr(text, separator)); text = next + n)
        json_array_append_new(list, json_stringn(text, (size_t)(next - text)));
    json_array_append_new(list, json_string(text));
    return list;
}

/* Each returns a new value, NULL with the error set; words are borrowed. */
static const struct {
    const char *name;
    json_t *(*call)(struct scanner *s, json_t **words, size_t count);
} functions[] = {
    {"json", call_json},   {"index", call_index}, {"len", call_len},
    {"upper", call_upper}, {"lower", call_lower}, {"title", call_title},
    {"join", call_join},   {"split", call_split}, {"printf", call_printf},
};

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
    return take_text(s, &text);
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

/* One operand. NULL with the error set. */
static json_t *operand(struct scanner *s)
{
    json_t *value;

    if (*s->p == '.')
        return path(s, s->dot);
    if (*s->p == '"' || *s->p == '`')
        return literal(s);
    if (isdigit((unsigned char)*s->p))
        return number(s);
    if (*s->p == '(' && s->depth < DEPTH_MAX) {
        s->p++;
        s->depth++;
        value = pipeline(s, ')');
        s->depth--;
        return value;
    }
    error_set(s->err, -EINVAL, "template: unexpected \"%.*s\"", (int)min_of(s->end - s->p, 20),
              s->p);
    return NULL;
}

/*
 * The function named at the scanner's place, or -1 for an operand. -EINVAL when the word is
 * something that is not supported.
 */
static int function_index(struct scanner *s, size_t *ret_index)
{
    const char *name = s->p;
    size_t n = 0;

    if (!isalpha((unsigned char)*name))
        return -ENOENT;
    while (name + n < s->end && name_char(name[n]))
        n++;
    for (size_t i = 0; i < array_size(functions); i++) {
        if (strlen(functions[i].name) == n && memcmp(functions[i].name, name, n) == 0) {
            s->p += n;
            *ret_index = i;
            return 0;
        }
    }
    return error_set(s->err, -EINVAL,
                     "template: \"%.*s\" is not supported; there are json, index, len, upper, "
                     "lower, title, join, split and printf",
                     (int)min_of(n, (size_t)40), name);
}

/* One command of a pipeline; takes @piped (may be NULL) as its last word. */
static json_t *command(struct scanner *s, json_t *piped, char closing)
{
    json_t *words[WORDS_MAX + 1], *result = NULL;
    size_t count = 0, function = 0;
    int r = function_index(s, &function);

    if (r == -EINVAL) {
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
    if (r == 0)
        result = functions[function].call(s, words, count);
    else if (count == 2 && json_is_object(words[0]) && json_is_string(words[1]))
        result = call_index(s, words, count); /* Docker's {{.Label "key"}} */
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

int template_render(const char *template, json_t *value, struct str *out, struct error *err)
{
    size_t begin = out->len;
    const char *p = template;

    while (*p) {
        struct scanner s = {.dot = value, .err = err};
        bool trim_after;
        json_t *result;

        if (p[0] == '\\' && (p[1] == 'n' || p[1] == 't')) {
            str_add_char(out, p[1] == 'n' ? '\n' : '\t');
            p += 2;
            continue;
        }
        if (p[0] != '{' || p[1] != '{') {
            str_add_char(out, *p++);
            continue;
        }
        s.p = p + 2;
        s.end = action_end(s.p);
        if (!s.end)
            return error_set(err, -EINVAL, "template: \"{{\" without \"}}\"");
        p = s.end + 2;
        if (*s.p == '-') {
            s.p++;
            trim_right(out, begin);
        }
        trim_after = s.end > s.p && s.end[-1] == '-';
        s.end -= trim_after;
        result = pipeline(&s, 0);
        if (!result)
            return -EINVAL;
        add_value(out, result);
        json_decref(result);
        while (trim_after && isspace((unsigned char)*p))
            p++;
    }
    return 0;
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
