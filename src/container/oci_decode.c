/* SPDX-License-Identifier: Apache-2.0 */
#include "container/oci_decode.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "container/oci_config.h"
#include "container/oci_arena.h"

/* Memory is handed out from chunks that are freed together. */
struct chunk {
    struct chunk *next;
    size_t used, size;
    max_align_t data[];
};

enum { CHUNK_SIZE = 16 << 10 };

void *arena_alloc(struct oci_arena *arena, size_t count, size_t size)
{
    size_t want;
    if (__builtin_mul_overflow(count, size, &want) || want > SIZE_MAX / 2)
        return NULL;
    want = (want + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct chunk *c = arena->chunks;
    if (!c || c->size - c->used < want) {
        size_t n = max_of(want, (size_t)CHUNK_SIZE);
        c = mem_alloc(1, sizeof *c + n);
        if (!c)
            return NULL;
        c->size = n;
        c->next = arena->chunks;
        arena->chunks = c;
    }
    void *p = (char *)c->data + c->used;
    c->used += want;
    return p;
}

void arena_done(struct oci_arena *arena)
{
    for (struct chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    jtree_done(&arena->doc);
    free(arena->text);
    *arena = (struct oci_arena){0};
}

static int out_of_memory(struct decode *d)
{
    return error_set(d->err, -ENOMEM, "out of memory");
}

static int decode_strings(struct decode *d, const struct jnode *value, struct oci_strings *to)
{
    if (value->type != JTREE_ARRAY)
        return error_set(d->err, -EINVAL, "a list of strings was expected");
    const char **v = arena_alloc(d->arena, (size_t)value->len + 1, sizeof *v);
    if (!v)
        return out_of_memory(d);
    size_t n = 0;
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        if (c->type != JTREE_STRING)
            return error_set(d->err, -EINVAL, "[%zu]: a string was expected", n);
        v[n++] = jtree_text(d->doc, c);
    }
    *to = (struct oci_strings){v, n};
    return 0;
}

static int decode_map(struct decode *d, const struct jnode *value, struct oci_map *to)
{
    if (value->type != JTREE_OBJECT)
        return error_set(d->err, -EINVAL, "an object of strings was expected");
    struct oci_pair *v = arena_alloc(d->arena, (size_t)value->len + 1, sizeof *v);
    if (!v)
        return out_of_memory(d);
    size_t n = 0;
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        if (c->type != JTREE_STRING)
            return error_set(d->err, -EINVAL, "%s: a string was expected", jtree_key(d->doc, c));
        v[n++] = (struct oci_pair){jtree_key(d->doc, c), jtree_text(d->doc, c)};
    }
    *to = (struct oci_map){v, n};
    return 0;
}

static int decode_u32s(struct decode *d, const struct jnode *value, void *to)
{
    if (value->type != JTREE_ARRAY)
        return error_set(d->err, -EINVAL, "a list of numbers was expected");
    uint32_t *v = arena_alloc(d->arena, (size_t)value->len + 1, sizeof *v);
    size_t n = 0;
    if (!v)
        return out_of_memory(d);
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        uint64_t x;
        if (!jtree_u64(d->doc, c, &x) || x > UINT32_MAX)
            return error_set(d->err, -EINVAL, "[%zu]: a number below 2^32 was expected", n);
        v[n++] = (uint32_t)x;
    }
    memcpy(to, &v, sizeof v);
    memcpy((char *)to + sizeof v, &n, sizeof n);
    return 0;
}

static int decode_array(struct decode *d, const struct jnode *value, const struct shape *shape,
                        void *to)
{
    if (value->type != JTREE_ARRAY)
        return error_set(d->err, -EINVAL, "a list was expected");
    char *v = arena_alloc(d->arena, (size_t)value->len + 1, shape->size);
    size_t n = 0;
    if (!v)
        return out_of_memory(d);
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        int r = decode_object(d, c, shape, v + n * shape->size);
        if (r < 0)
            return error_wrap(d->err, r, "[%zu]", n);
        n++;
    }
    memcpy(to, &v, sizeof v);
    memcpy((char *)to + sizeof v, &n, sizeof n);
    return 0;
}

static int decode_number(struct decode *d, const struct jnode *value, enum field_kind kind,
                         void *to)
{
    uint64_t u = 0;
    int64_t i = 0;
    bool is_signed = kind == FIELD_I64 || kind == FIELD_OPT_I64;
    if (is_signed ? !jtree_i64(d->doc, value, &i) : !jtree_u64(d->doc, value, &u))
        return error_set(d->err, -EINVAL, "a whole number%s was expected",
                         is_signed ? "" : " that is not negative");
    if (kind == FIELD_U32) {
        if (u > UINT32_MAX)
            return error_set(d->err, -EINVAL, "%llu is not below 2^32", (unsigned long long)u);
        *(uint32_t *)to = (uint32_t)u;
    } else if (kind == FIELD_U64) {
        *(uint64_t *)to = u;
    } else if (kind == FIELD_I64) {
        *(int64_t *)to = i;
    } else if (kind == FIELD_OPT_U64) {
        *(struct oci_u64 *)to = (struct oci_u64){true, u};
    } else {
        *(struct oci_i64 *)to = (struct oci_i64){true, i};
    }
    return 0;
}

static bool is_empty(const struct jnode *value)
{
    return (value->type == JTREE_ARRAY || value->type == JTREE_OBJECT ||
            value->type == JTREE_STRING)
               ? value->len == 0
               : value->type == JTREE_FALSE;
}

static int decode_pointer(struct decode *d, const struct jnode *value, const struct shape *shape,
                          void *to)
{
    void *p = arena_alloc(d->arena, 1, shape->size);
    if (!p)
        return out_of_memory(d);
    int r = decode_object(d, value, shape, p);
    if (r == 0)
        memcpy(to, &p, sizeof p);
    return r;
}

static int decode_field(struct decode *d, const struct jnode *value, const struct field *f,
                        void *to)
{
    switch (f->kind) {
    case FIELD_BOOL:
        if (value->type != JTREE_TRUE && value->type != JTREE_FALSE)
            return error_set(d->err, -EINVAL, "true or false was expected");
        *(bool *)to = value->type == JTREE_TRUE;
        return 0;
    case FIELD_STRING:
        if (value->type != JTREE_STRING)
            return error_set(d->err, -EINVAL, "a string was expected");
        *(const char **)to = jtree_text(d->doc, value);
        return 0;
    case FIELD_STRINGS:
        return decode_strings(d, value, to);
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_OPT_U64:
    case FIELD_OPT_I64:
        return decode_number(d, value, f->kind, to);
    case FIELD_U32S:
        return decode_u32s(d, value, to);
    case FIELD_MAP:
        return decode_map(d, value, to);
    case FIELD_OBJECT:
        return decode_object(d, value, f->shape, to);
    case FIELD_POINTER:
        return decode_pointer(d, value, f->shape, to);
    case FIELD_ARRAY:
        return decode_array(d, value, f->shape, to);
    case FIELD_FN:
        return f->fn(d, value, to);
    case FIELD_REFUSE:
        return is_empty(value) ? 0 : error_set(d->err, -ENOTSUP, "not supported: %s", f->refusal);
    }
    return error_set(d->err, -EINVAL, "unknown field kind");
}

int decode_object(struct decode *d, const struct jnode *value, const struct shape *shape, void *to)
{
    uint64_t seen = 0;
    if (value->type != JTREE_OBJECT)
        return error_set(d->err, -EINVAL, "an object was expected");
    if (shape->init)
        shape->init(to);
    for (const struct jnode *c = jtree_first(value); c; c = jtree_next(value, c)) {
        const char *key = jtree_key(d->doc, c);
        size_t i = 0;
        while (i < shape->count && strcmp(shape->fields[i].name, key) != 0)
            i++;
        if (i == shape->count)
            continue;
        if (seen & UINT64_C(1) << i)
            return error_set(d->err, -EINVAL, "%s is given twice", key);
        seen |= UINT64_C(1) << i;
        if (c->type == JTREE_NULL) {
            seen &= shape->fields[i].required ? ~(UINT64_C(1) << i) : UINT64_MAX;
            continue;
        }
        int r = decode_field(d, c, &shape->fields[i], (char *)to + shape->fields[i].offset);
        if (r < 0)
            return error_wrap(d->err, r, "%s", key);
    }
    for (size_t i = 0; i < shape->count; i++)
        if (shape->fields[i].required && !(seen & UINT64_C(1) << i))
            return error_set(d->err, -EINVAL, "%s is missing", shape->fields[i].name);
    return shape->check ? shape->check(d, to) : 0;
}
