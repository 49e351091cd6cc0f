/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON that strangers wrote: every getter checks the type and says where it is wrong. */
#ifndef IMAGE_JSON_H
#define IMAGE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Parses the @len bytes of one document. @what names it in errors. NULL with @err set. */
json_t *image_json(const char *text, size_t len, const char *what, struct error *err);

/* The member @key: its text; "" when it is missing or null. -EINVAL when it is no string. */
int image_json_text(const json_t *o, const char *key, const char **ret, struct error *err);
/* A new list of the strings in the array @key; empty when missing or null. At most @max. */
int image_json_list(const json_t *o, const char *key, size_t max, char ***ret, struct error *err);
/* A new list of the keys of the object @key; empty when missing or null. At most @max. */
int image_json_keys(const json_t *o, const char *key, size_t max, char ***ret, struct error *err);
/* A whole number >= 0; 0 when missing or null. */
int image_json_u64(const json_t *o, const char *key, uint64_t *ret, struct error *err);

/* Lists of strings that end with NULL. */
void image_strings_free(char **list);
size_t image_strings_count(char *const *list);
bool image_strings_have(char *const *list, const char *text);

#endif
