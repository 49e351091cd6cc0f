/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of templates share: the parser (template.c) and its functions. */
#ifndef CLI_TEMPLATE_INTERNAL_H
#define CLI_TEMPLATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

enum { TEMPLATE_VARIABLES = 16, TEMPLATE_NAME_MAX = 32 };

/* What $ and $name are; values are references of their own. */
struct template_scope {
    json_t *root; /* borrowed */
    struct {
        char name[TEMPLATE_NAME_MAX];
        json_t *value;
    } variables[TEMPLATE_VARIABLES];
    size_t count;
};

/* One action, from after "{{" to before "}}". */
struct scanner {
    const char *p, *end;
    json_t *dot; /* borrowed */
    struct template_scope *scope;
    unsigned depth;
    struct error *err;
};

/* Returns a new value, NULL with the error set; @words are borrowed. */
typedef json_t *template_fn(struct scanner *s, json_t **words, size_t count);

/* The function called @name (@n bytes); NULL with @err set. */
template_fn *template_function(const char *name, size_t n, struct error *err);
/* index OBJECT KEY...: what {{.Label "key"}} means too. */
template_fn template_index;

/* Whether an if takes @value for true, by Go's rules. */
bool template_truth(json_t *value);
void template_add_value(struct str *out, json_t *value);
/* A new string from @text, which it releases. NULL with the error set. */
json_t *template_take_text(struct scanner *s, struct str *text);

#endif
