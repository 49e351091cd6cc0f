/* SPDX-License-Identifier: Apache-2.0 */
/* Decodes JSON objects into structs by tables. Private to the parser of config.json. */
#ifndef CONTAINER_OCI_DECODE_H
#define CONTAINER_OCI_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/jtree.h"

struct oci_arena;

/* What decoding needs: the document, the arena that results live in, where errors go. */
struct decode {
    const struct jtree *doc;
    struct oci_arena *arena;
    struct error *err;
};

enum field_kind {
    FIELD_BOOL,    /* bool */
    FIELD_STRING,  /* const char * */
    FIELD_STRINGS, /* struct oci_strings */
    FIELD_U32,     /* uint32_t */
    FIELD_U64,     /* uint64_t */
    FIELD_I64,     /* int64_t */
    FIELD_OPT_U64, /* struct oci_u64 */
    FIELD_OPT_I64, /* struct oci_i64 */
    FIELD_U32S,    /* uint32_t *, then size_t */
    FIELD_MAP,     /* struct oci_map */
    FIELD_OBJECT,  /* a struct in place, by @shape */
    FIELD_POINTER, /* a pointer to a struct, NULL when absent */
    FIELD_ARRAY,   /* a pointer to structs, then size_t */
    FIELD_FN,      /* @fn decodes */
    FIELD_REFUSE,  /* refused with @refusal when present (and not empty) */
};

struct shape;
struct field {
    const char *name;
    enum field_kind kind;
    uint16_t offset;
    bool required;
    const struct shape *shape;
    int (*fn)(struct decode *d, const struct jnode *value, void *to);
    const char *refusal;
};

struct shape {
    size_t size; /* of the struct, for pointers and arrays */
    const struct field *fields;
    size_t count; /* at most 64 */
    /* Checks the decoded struct; NULL: nothing to check. */
    int (*check)(struct decode *d, void *to);
    void (*init)(void *to); /* defaults other than zero */
};

/* Zeroed memory that lives as long as the arena; NULL when memory ran out. */
void *arena_alloc(struct oci_arena *arena, size_t count, size_t size);

/* Fills @to from object @value. 0 or a negative errno with the property's path. */
int decode_object(struct decode *d, const struct jnode *value, const struct shape *shape, void *to);

#endif
