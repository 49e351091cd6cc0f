/* SPDX-License-Identifier: Apache-2.0 */
/* What jansson leaves to its callers: hostile text on both sides. */
#ifndef INSTANCE_JSON_H
#define INSTANCE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct spec;

/* Parses strictly (no duplicate keys, no trailing text). NULL with @err set; new reference. */
json_t *json_parse(const char *text, size_t len, struct error *err);

/* A copy of @text in which bytes that are not UTF-8 became U+FFFD. New, NULL: out of memory. */
char *json_clean(const char *text);
/* A JSON string of @text, cleaned as json_clean does. */
json_t *json_text(const char *text);

/* Whether the @len bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool utf8_ok(const void *bytes, size_t len);

/* Specs as objects: new reference; NULL with @err set. */
json_t *spec_to_object(const struct spec *spec);
struct spec *spec_from_object(json_t *root, struct error *err);

#endif
