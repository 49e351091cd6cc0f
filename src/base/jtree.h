/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) read into a flat tree of nodes, and written piece by piece.
 *
 * The reader is strict: one value, UTF-8 only, no NUL inside strings, no duplicate check (that is
 * the decoder's, which knows the keys). Numbers stay text until they are asked for, so that all 64
 * bits of an unsigned number survive. Depth and size are bounded, so foreign text is safe.
 */
#ifndef BASE_JTREE_H
#define BASE_JTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum jtree_type {
    JTREE_NULL,
    JTREE_FALSE,
    JTREE_TRUE,
    JTREE_NUMBER,
    JTREE_STRING,
    JTREE_ARRAY,
    JTREE_OBJECT
};

enum { JTREE_DEPTH_MAX = 64 };

/* A value. Children of an array or object follow it; jtree_first and jtree_next walk them. */
struct jnode {
    uint8_t type;     /* enum jtree_type */
    uint32_t key;     /* offset of the key in the text, when the parent is an object */
    uint32_t text;    /* offset of a string's or number's NUL-terminated text */
    uint32_t len;     /* bytes of that text; of an array or object: number of children */
    uint32_t subtree; /* nodes from here to the next sibling */
};

struct jtree {
    char *text;
    struct jnode *nodes;
    size_t count, cap;
};

/*
 * Parses @len bytes at @text (copied). The root is @ret->nodes[0]. 0, -EINVAL with the line and
 * column, -EFBIG (over 64 MiB) or -ENOMEM. Release with jtree_done.
 */
int jtree_parse(const char *text, size_t len, struct jtree *ret, struct error *err);
/* Zeroed or done documents are fine. */
void jtree_done(struct jtree *doc);

/* First child of an array or object, NULL when it has none (or is neither). Borrowed. */
const struct jnode *jtree_first(const struct jnode *value);
/* The sibling after @child among the children of @parent, NULL after the last. */
const struct jnode *jtree_next(const struct jnode *parent, const struct jnode *child);
/* The value of @key in an object, NULL when it is absent, null, or @object is no object. */
const struct jnode *jtree_get(const struct jtree *doc, const struct jnode *object, const char *key);
/* The key of an object's child; a string's or number's text, else "". Borrowed from the document.
 */
const char *jtree_key(const struct jtree *doc, const struct jnode *child);
const char *jtree_text(const struct jtree *doc, const struct jnode *value);
/* The text of string @key of @object, NULL when absent or no string. */
const char *jtree_get_string(const struct jtree *doc, const struct jnode *object, const char *key);
/* Whole numbers in range; false otherwise. */
bool jtree_u64(const struct jtree *doc, const struct jnode *value, uint64_t *ret);
bool jtree_i64(const struct jtree *doc, const struct jnode *value, int64_t *ret);

/* Appends @text as a quoted and escaped JSON string. */
void jtree_add_string(struct str *out, const char *text);
/*
 * Appends @value (with all inside it) as compact JSON.
 */
void jtree_add_value(struct str *out, const struct jtree *doc, const struct jnode *value);

#endif
