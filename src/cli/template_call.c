/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of templates. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/template_internal.h"

enum { WIDTH_MAX = 999 };

void template_add_value(struct str *out, json_t *value)
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
json_t *template_take_text(struct scanner *s, struct str *text)
{
    json_t *value = text->failed ? NULL : json_stringn(str_text(text), text->len);

    str_done(text);
    if (!value)
        error_set(s->err, -EINVAL, "template: the text is not UTF-8 or memory ran out");
    return value;
}

json_t *template_index(struct scanner *s, json_t **words, size_t count)
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
        template_add_value(&text, value);
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
    return template_take_text(s, &out);
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
        template_add_value(&out, item);
    }
    return template_take_text(s, &out);
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
    template_add_value(&in, words[0]);
    for (size_t i = 0; i < in.len && i < limit; i++) {
        if ((unsigned char)in.data[i] < 0x80)
            in.data[i] = (char)change((unsigned char)in.data[i]);
    }
    return template_take_text(s, &in);
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

/* ---- comparing and choosing ---- */

bool template_truth(json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_TRUE:
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return false;
}

/* Less than, equal to or greater than 0; false when they cannot be compared. */
static bool compare(struct scanner *s, json_t **words, size_t count, int *ret)
{
    if (count == 2 && json_is_number(words[0]) && json_is_number(words[1])) {
        double a = json_number_value(words[0]), b = json_number_value(words[1]);
        *ret = (a > b) - (a < b);
        return true;
    }
    if (count == 2 && json_is_string(words[0]) && json_is_string(words[1])) {
        *ret = strcmp(json_string_value(words[0]), json_string_value(words[1]));
        return true;
    }
    error_set(s->err, -EINVAL, "template: lt, le, gt and ge need two numbers or two texts");
    return false;
}

/* Go's eq: whether the first is equal to any of the others. */
static json_t *call_eq(struct scanner *s, json_t **words, size_t count)
{
    bool equal = false;

    if (count < 2) {
        error_set(s->err, -EINVAL, "template: eq needs two values");
        return NULL;
    }
    for (size_t i = 1; i < count; i++) {
        /* 1 and 1.0 are equal, as numbers are. */
        if (json_is_number(words[0]) && json_is_number(words[i]))
            equal |= json_number_value(words[0]) == json_number_value(words[i]);
        else
            equal |= json_equal(words[0], words[i]);
    }
    return json_boolean(equal);
}

static json_t *call_ne(struct scanner *s, json_t **words, size_t count)
{
    json_t *equal = count == 2 ? call_eq(s, words, count) : NULL;
    bool same = json_is_true(equal);

    if (count != 2)
        error_set(s->err, -EINVAL, "template: ne needs two values");
    json_decref(equal);
    return equal ? json_boolean(!same) : NULL;
}

static json_t *call_lt(struct scanner *s, json_t **words, size_t count)
{
    int order;
    return compare(s, words, count, &order) ? json_boolean(order < 0) : NULL;
}

static json_t *call_le(struct scanner *s, json_t **words, size_t count)
{
    int order;
    return compare(s, words, count, &order) ? json_boolean(order <= 0) : NULL;
}

static json_t *call_gt(struct scanner *s, json_t **words, size_t count)
{
    int order;
    return compare(s, words, count, &order) ? json_boolean(order > 0) : NULL;
}

static json_t *call_ge(struct scanner *s, json_t **words, size_t count)
{
    int order;
    return compare(s, words, count, &order) ? json_boolean(order >= 0) : NULL;
}

/* The first value that decides, else the last. */
static json_t *choose(struct scanner *s, json_t **words, size_t count, bool decides)
{
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || template_truth(words[i]) == decides)
            return json_incref(words[i]);
    error_set(s->err, -EINVAL, "template: and, or need a value");
    return NULL;
}

static json_t *call_and(struct scanner *s, json_t **words, size_t count)
{
    return choose(s, words, count, false);
}

static json_t *call_or(struct scanner *s, json_t **words, size_t count)
{
    return choose(s, words, count, true);
}

static json_t *call_not(struct scanner *s, json_t **words, size_t count)
{
    if (count == 1)
        return json_boolean(!template_truth(words[0]));
    error_set(s->err, -EINVAL, "template: not needs one value");
    return NULL;
}

static json_t *call_println(struct scanner *s, json_t **words, size_t count)
{
    struct str out = {0};

    for (size_t i = 0; i < count; i++) {
        str_add(&out, i ? " " : "");
        template_add_value(&out, words[i]);
    }
    str_add_char(&out, '\n');
    return template_take_text(s, &out);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    template_fn *call;
} functions[] = {
    {"json", call_json},     {"index", template_index}, {"len", call_len},   {"upper", call_upper},
    {"lower", call_lower},   {"title", call_title},     {"join", call_join}, {"split", call_split},
    {"printf", call_printf}, {"println", call_println}, {"eq", call_eq},     {"ne", call_ne},
    {"lt", call_lt},         {"le", call_le},           {"gt", call_gt},     {"ge", call_ge},
    {"and", call_and},       {"or", call_or},           {"not", call_not},
};

template_fn *template_function(const char *name, size_t n, struct error *err)
{
    struct str known = {0};

    for (size_t i = 0; i < array_size(functions); i++)
        if (strlen(functions[i].name) == n && memcmp(functions[i].name, name, n) == 0)
            return functions[i].call;
    for (size_t i = 0; i < array_size(functions); i++)
        str_addf(&known, "%s%s", i ? ", " : "", functions[i].name);
    error_set(err, -EINVAL, "template: \"%.*s\" is not supported; there are %s",
              (int)min_of(n, (size_t)40), name, str_text(&known));
    str_done(&known);
    return NULL;
}
