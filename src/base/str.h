/* SPDX-License-Identifier: Apache-2.0 */
/* A growing string. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Zero-initialise, release with str_done. Once memory ran out, @failed stays set and later
 * additions do nothing, so that one check at the end is enough.
 */
struct str {
    char *data; /* NUL-terminated when not NULL */
    size_t len, cap;
    bool failed;
};

void str_done(struct str *s);
void str_add(struct str *s, const char *text);
void str_add_n(struct str *s, const void *bytes, size_t n);
void str_add_char(struct str *s, char c);
void str_addf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text so far, "" when nothing was added. Borrowed. */
const char *str_text(const struct str *s);
/* Takes the text out of @s as a new malloc'ed string, NULL when memory ran out. */
char *str_steal(struct str *s);

/* A new formatted string, NULL when memory ran out. */
char *str_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool str_starts(const char *text, const char *prefix);

/*
 * Parses a size in bytes: digits with an optional suffix k, m, g, t (any case, optionally followed
 * by "b" or "ib"), all binary. @default_unit multiplies a bare number. Returns 0, or -EINVAL /
 * -ERANGE.
 */
int str_parse_size(const char *text, uint64_t default_unit, uint64_t *ret_bytes);

/* Parses a whole unsigned number with strict syntax (decimal or 0x). 0, -EINVAL or -ERANGE. */
int str_parse_u64(const char *text, uint64_t *ret_value);

#endif
