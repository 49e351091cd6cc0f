/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void str_done(struct str *s)
{
    free(s->data);
    *s = (struct str){0};
}

static bool str_reserve(struct str *s, size_t more)
{
    size_t need, cap;
    char *data;

    if (s->failed || __builtin_add_overflow(s->len, more + 1, &need)) {
        s->failed = true;
        return false;
    }
    if (s->data && need <= s->cap)
        return true;
    cap = s->cap ? s->cap : 64;
    while (cap < need)
        cap *= 2;
    data = realloc(s->data, cap);
    if (!data) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->cap = cap;
    return true;
}

void str_add_n(struct str *s, const void *bytes, size_t n)
{
    if (!str_reserve(s, n))
        return;
    if (n)
        memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = 0;
}

void str_add(struct str *s, const char *text)
{
    str_add_n(s, text, strlen(text));
}

void str_add_char(struct str *s, char c)
{
    str_add_n(s, &c, 1);
}

void str_addf(struct str *s, const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    int n;

    va_start(ap, format);
    n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0) {
        s->failed = true;
        return;
    }
    str_add_n(s, text, (size_t)n);
    free(text);
}

const char *str_text(const struct str *s)
{
    return s->data ? s->data : "";
}

char *str_steal(struct str *s)
{
    char *data;

    if (!s->data)
        str_add_n(s, "", 0);
    if (s->failed) {
        str_done(s);
        return NULL;
    }
    data = s->data;
    *s = (struct str){0};
    return data;
}

char *str_format(const char *format, ...)
{
    va_list ap;
    char *text = NULL;
    int n;

    va_start(ap, format);
    n = vasprintf(&text, format, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

bool str_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

int str_parse_u64(const char *text, uint64_t *ret_value)
{
    char *end;
    unsigned long long value;

    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
    if (errno)
        return -errno;
    if (*end || end == text)
        return -EINVAL;
    *ret_value = value;
    return 0;
}

int str_parse_size(const char *text, uint64_t default_unit, uint64_t *ret_bytes)
{
    static const char units[] = "kmgtp";
    char *end;
    unsigned long long value;
    uint64_t unit = default_unit;

    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno)
        return -errno;
    if (*end) {
        const char *u = strchr(units, tolower((unsigned char)*end));
        if (u) {
            unit = 1ull << (10 * (u - units + 1));
            end++;
            if (*end == 'i')
                end++;
        } else {
            unit = 1;
        }
        if (*end == 'b' || *end == 'B')
            end++;
        if (*end)
            return -EINVAL;
    }
    if (__builtin_mul_overflow((uint64_t)value, unit, ret_bytes))
        return -ERANGE;
    return 0;
}
