/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/compare.h"

#include "cpu/x86/flags.h"
#include "cpu/x86/state.h"

/* What is not compared byte by byte: lazy flags, and what only saving fills in. */
static bool apart(const struct state_field *f, const struct x86_cpu *a, const struct x86_cpu *b)
{
    if (strncmp(f->name, "lazy.", 5) == 0 || strcmp(f->name, "rflags") == 0 ||
        strcmp(f->name, "edges") == 0)
        return true;
    /* The place of an interrupt shadow means something while there is one. */
    return strcmp(f->name, "shadow_rip") == 0 && !a->shadow && !b->shadow;
}

static void add_bytes(struct str *out, const uint8_t *bytes, size_t n)
{
    str_add(out, " ");
    while (n)
        str_addf(out, "%02x", bytes[--n]);
}

/* The elements of field @f that differ; returns how many. */
static unsigned compare_field(const struct state_field *f, const uint8_t *a, const uint8_t *b,
                              struct str *out)
{
    /* Vector registers are a blob of 16 bytes each. */
    size_t unit = f->kind == STATE_BYTES ? 16 : f->size;
    size_t total = f->kind == STATE_BYTES ? f->size : (size_t)f->size * f->count;
    unsigned n = 0;

    for (size_t at = 0; at + unit <= total; at += unit) {
        if (memcmp(a + at, b + at, unit) == 0)
            continue;
        str_add(out, f->name);
        if (total > unit)
            str_addf(out, "[%u]", (unsigned)(at / unit));
        add_bytes(out, a + at, unit);
        add_bytes(out, b + at, unit);
        str_add(out, "\n");
        n++;
    }
    return n;
}

unsigned x86_compare(const struct x86_cpu *a, const struct x86_cpu *b, struct str *out)
{
    uint64_t flags_a = x86_flags_get(a), flags_b = x86_flags_get(b);
    unsigned n = 0;

    for (unsigned i = 0; i < x86_cpu_state.field_count; i++) {
        const struct state_field *f = &x86_cpu_state.fields[i];
        if (!apart(f, a, b))
            n += compare_field(f, (const uint8_t *)a + f->offset, (const uint8_t *)b + f->offset,
                               out);
    }
    if (flags_a != flags_b) {
        str_addf(out, "rflags %llx %llx\n", (unsigned long long)flags_a,
                 (unsigned long long)flags_b);
        n++;
    }
    return n;
}
