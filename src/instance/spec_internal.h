/* SPDX-License-Identifier: Apache-2.0 */
/* The field table of a spec, shared by its text and JSON sides. */
#ifndef INSTANCE_SPEC_INTERNAL_H
#define INSTANCE_SPEC_INTERNAL_H

#include "instance/spec.h"

enum spec_kind {
    SPEC_KIND_STRING, /* any text */
    SPEC_KIND_NAME,   /* spec_name_ok */
    SPEC_KIND_WORD,   /* not empty */
    SPEC_KIND_PATH,   /* becomes absolute */
    SPEC_KIND_BOOL,
    SPEC_KIND_UINT, /* unsigned, min..max */
    SPEC_KIND_SIZE, /* uint64_t bytes, min..max, rounded up to unit */
    SPEC_KIND_ENUM, /* an enum of the size of unsigned, by names */
    SPEC_KIND_MAC,
    SPEC_KIND_UUID,
    SPEC_KIND_RESTART /* restart and restart_max */
};

struct spec_field {
    const char *json;   /* key in JSON */
    const char *option; /* long option, NULL: none */
    enum spec_kind kind;
    size_t offset;
    const char *const *names;
    uint64_t min, max, unit;
    bool alias; /* a second option for a field named elsewhere in the table */
};

static inline bool spec_kind_is_text(enum spec_kind kind)
{
    return kind <= SPEC_KIND_PATH;
}

extern const char *const spec_cache_names[];

/* NULL after the last. */
const struct spec_field *spec_field_at(unsigned i);
int spec_field_text(struct spec *s, const struct spec_field *f, const char *text,
                    struct error *err);
int spec_field_number(struct spec *s, const struct spec_field *f, uint64_t n, struct error *err);
int spec_add_disk(struct spec *s, const char *text, struct error *err);
int spec_add_port(struct spec *s, const char *text, struct error *err);
int spec_add_label(struct spec *s, const char *key, size_t key_len, const char *value,
                   struct error *err);

#endif
