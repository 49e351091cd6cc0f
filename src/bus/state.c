/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binary form, little-endian:
 *   u8 name length, name, u32 version, u16 field count; then per field:
 *   u8 name length, name, u8 kind, u16 count, u32 size, and the content:
 *     UINT   count * size bytes
 *     BYTES  size bytes
 *     TIMER  u8 armed, u64 deadline
 */
#include "bus/state.h"

#include <errno.h>

#include "base/mem.h"
#include "bus/clock.h"

static uint64_t load_uint(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, at, size);
    return value;
}

void state_reset(const struct state_table *t, void *dev)
{
    for (unsigned n = 0; n < t->field_count; n++) {
        const struct state_field *f = &t->fields[n];
        uint8_t *at = (uint8_t *)dev + f->offset;
        switch ((enum state_kind)f->kind) {
        case STATE_UINT:
            for (unsigned i = 0; i < f->count; i++)
                memcpy(at + i * f->size, &f->reset, f->size);
            break;
        case STATE_BYTES:
            memset(at, 0, f->size);
            break;
        case STATE_TIMER:
            gtimer_clear((struct gtimer *)(void *)at);
            break;
        }
    }
    if (t->after)
        t->after(dev);
}

void state_json(const struct state_table *t, const void *dev, struct str *out)
{
    str_add(out, "{");
    for (unsigned n = 0; n < t->field_count; n++) {
        const struct state_field *f = &t->fields[n];
        const uint8_t *at = (const uint8_t *)dev + f->offset;
        str_addf(out, "%s\"%s\":", n ? "," : "", f->name);
        switch ((enum state_kind)f->kind) {
        case STATE_UINT:
            if (f->count > 1)
                str_add(out, "[");
            for (unsigned i = 0; i < f->count; i++) {
                uint64_t value = load_uint(at + i * f->size, f->size);
                str_addf(out, value > INT64_MAX ? "%s\"0x%llx\"" : "%s%llu", i ? "," : "",
                         (unsigned long long)value);
            }
            if (f->count > 1)
                str_add(out, "]");
            break;
        case STATE_BYTES:
            str_add(out, "\"");
            for (unsigned i = 0; i < f->size; i++)
                str_addf(out, "%02x", at[i]);
            str_add(out, "\"");
            break;
        case STATE_TIMER: {
            const struct gtimer *timer = (const struct gtimer *)(const void *)at;
            if (timer->armed)
                str_addf(out, "%llu",
                         (unsigned long long)min_of(timer->deadline, (uint64_t)INT64_MAX));
            else
                str_add(out, "null");
            break;
        }
        }
    }
    str_add(out, "}");
}

static void put(struct str *out, uint64_t value, unsigned size)
{
    str_add_n(out, &value, size);
}

static void put_name(struct str *out, const char *name)
{
    size_t len = min_of(strlen(name), (size_t)255);
    put(out, len, 1);
    str_add_n(out, name, len);
}

void state_save(const struct state_table *t, const void *dev, struct str *out)
{
    put_name(out, t->name);
    put(out, t->version, 4);
    put(out, t->field_count, 2);
    for (unsigned n = 0; n < t->field_count; n++) {
        const struct state_field *f = &t->fields[n];
        const uint8_t *at = (const uint8_t *)dev + f->offset;
        put_name(out, f->name);
        put(out, f->kind, 1);
        put(out, f->count, 2);
        put(out, f->size, 4);
        if (f->kind == STATE_TIMER) {
            const struct gtimer *timer = (const struct gtimer *)(const void *)at;
            put(out, timer->armed, 1);
            put(out, timer->armed ? timer->deadline : 0, 8);
        } else {
            str_add_n(out, at, (size_t)f->count * f->size);
        }
    }
}

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    const uint8_t *at = r->at;

    if (r->failed || (size_t)(r->end - r->at) < n) {
        r->failed = true;
        return NULL;
    }
    r->at += n;
    return at;
}

static uint64_t take_uint(struct reader *r, unsigned size)
{
    const uint8_t *at = take(r, size);
    return at ? load_uint(at, size) : 0;
}

static bool take_name(struct reader *r, const char *expected)
{
    size_t len = (size_t)take_uint(r, 1);
    const uint8_t *at = take(r, len);
    return at && len == strlen(expected) && memcmp(at, expected, len) == 0;
}

/* Walks the bytes; with @dev set it also stores them. 0, or -EINVAL with @err set. */
static int walk(const struct state_table *t, void *dev, struct reader *r, struct error *err)
{
    uint64_t version;

    if (!take_name(r, t->name))
        return error_set(err, -EINVAL, "load state of %s: the bytes are of another device",
                         t->name);
    version = take_uint(r, 4);
    if (version != t->version)
        return error_set(err, -EINVAL, "load state of %s: version %llu, this Isola knows %u",
                         t->name, (unsigned long long)version, t->version);
    if (take_uint(r, 2) != t->field_count)
        return error_set(err, -EINVAL, "load state of %s: another number of fields", t->name);
    for (unsigned n = 0; n < t->field_count; n++) {
        const struct state_field *f = &t->fields[n];
        if (!take_name(r, f->name) || take_uint(r, 1) != f->kind || take_uint(r, 2) != f->count ||
            take_uint(r, 4) != f->size)
            return error_set(err, -EINVAL, "load state of %s: field %s does not match", t->name,
                             f->name);
        if (f->kind == STATE_TIMER) {
            bool armed = take_uint(r, 1) != 0;
            uint64_t deadline = take_uint(r, 8);
            struct gtimer *timer =
                dev ? (struct gtimer *)(void *)((uint8_t *)dev + f->offset) : NULL;
            if (timer && !r->failed) {
                gtimer_clear(timer);
                if (armed)
                    gtimer_set(timer, deadline);
            }
        } else {
            size_t n_bytes = (size_t)f->count * f->size;
            const uint8_t *at = take(r, n_bytes);
            if (at && dev)
                memcpy((uint8_t *)dev + f->offset, at, n_bytes);
        }
    }
    if (r->failed)
        return error_set(err, -EINVAL, "load state of %s: the bytes are cut off", t->name);
    return 0;
}

int64_t state_load(const struct state_table *t, void *dev, const void *bytes, size_t len,
                   struct error *err)
{
    struct reader r = {.at = bytes, .end = (const uint8_t *)bytes + len};
    int result = walk(t, NULL, &r, err); /* look first, so that a refusal changes nothing */

    if (result < 0)
        return result;
    r = (struct reader){.at = bytes, .end = (const uint8_t *)bytes + len};
    walk(t, dev, &r, NULL);
    if (t->after)
        t->after(dev);
    return r.at - (const uint8_t *)bytes;
}
