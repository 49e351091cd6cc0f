/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operand values: the special ones of each type, mixed with random ones. A value is a random number
 * of which a pattern keeps some bits and sets others, so that picking one costs no branch.
 */
#include <string.h>

#include "orc_gen.h"

enum { INTS = 1024, FLOATS = 2048 };
struct pattern {
    uint64_t keep, set;
};
struct pattern80 {
    uint64_t keep, set;
    uint16_t exp_keep, exp_set;
};
static struct pattern ints[INTS], singles[FLOATS], doubles[FLOATS];
static struct pattern80 extended[FLOATS];

static struct pattern int_pattern(unsigned how, unsigned n)
{
    uint64_t bit = UINT64_C(1) << n, odd = n & 1;
    switch (how) {
    case 0:
        return (struct pattern){0, 0};
    case 1:
        return (struct pattern){0, 1};
    case 2:
        return (struct pattern){0, UINT64_MAX};
    case 3:
        return (struct pattern){0, bit};
    case 4:
        return (struct pattern){0, bit - 1};
    case 5:
        return (struct pattern){0, ~bit};
    case 6:
        return (struct pattern){0, -bit};
    case 7:
        return (struct pattern){0xff, 0};
    case 8:
        return (struct pattern){0x7f, odd ? 0 : ~UINT64_C(0x7f)};
    case 9:
        return (struct pattern){0xffff, 0};
    case 10:
        return (struct pattern){INT32_MAX, odd ? 0 : ~(uint64_t)INT32_MAX};
    case 11:
        return (struct pattern){
            0, (odd ? UINT64_C(0x8080808080808080) : UINT64_C(0x7f7f7f7f7f7f7f7f)) << (n >> 1 & 7)};
    default:
        return (struct pattern){UINT64_MAX, 0};
    }
}

/* A binary float of @frac fraction bits (hidden integer bit) and @exp exponent bits. */
static struct pattern ieee_pattern(struct orc_rng *r, unsigned how, unsigned frac, unsigned exp)
{
    uint64_t mask = (UINT64_C(1) << frac) - 1, keep = mask, f = 0;
    uint64_t top = (UINT64_C(1) << exp) - 1, bias = top >> 1, e = 0, any = 0;
    if (orc_one_in(r, 2)) {
        uint64_t tail = mask >> orc_below(r, frac);
        keep = orc_one_in(r, 2) ? mask & ~tail : 0;
        f = keep ? 0 : tail;
    }
    switch (how) {
    case 0:
        keep = f = 0;
        break;
    case 1:
        break;
    case 2:
        e = top, keep = f = 0;
        break;
    case 3:
        e = top, f |= UINT64_C(1) << (frac - 1);
        break;
    case 4:
        e = top, keep &= mask >> 1, f = (f & mask >> 1) | 1;
        break;
    case 5:
        e = 1 + orc_below(r, 3);
        break;
    case 6:
        e = top - 1 - orc_below(r, 3);
        break;
    case 7:
    case 8:
        e = bias + orc_below(r, 70) - 3; /* around the integers */
        break;
    case 9:
    case 10:
    case 11:
        e = bias + orc_below(r, 5) - 2;
        break;
    case 12:
        e = bias / 2 + orc_below(r, 40) - 20; /* squares underflow */
        break;
    default:
        any = top;
    }
    return (struct pattern){keep | any << frac | UINT64_C(1) << (frac + exp), f | (e & top)
                                                                                      << frac};
}

static struct pattern80 f80_pattern(struct orc_rng *r, unsigned how)
{
    const uint64_t one = UINT64_C(1) << 63;
    struct pattern80 p = {one - 1, one, 0x8000, 0};
    unsigned e = 0;
    if (orc_one_in(r, 2))
        p.keep &= ~(UINT64_MAX >> orc_below(r, 63));
    switch (how) {
    case 0:
        p.keep = p.set = 0;
        break;
    case 1:
        p.set = 0;
        break;
    case 2:
        e = 0x7fff, p.keep = 0;
        break;
    case 3:
        e = 0x7fff;
        break;
    case 4: /* invalid encodings, pseudo-denormals */
        if (orc_one_in(r, 2)) {
            e = orc_one_in(r, 2) ? 0 : 0x7fff;
            p.set = orc_one_in(r, 2) ? 0 : one;
        } else {
            p.exp_keep = 0xffff;
            p.keep |= one;
            p.set = 0;
        }
        break;
    case 5:
        e = 1 + orc_below(r, 70);
        break;
    case 6:
        e = 0x7ffe - orc_below(r, 70);
        break;
    case 7:
    case 8:
        e = 16383 + orc_below(r, 72) - 3;
        break;
    case 9:
        e = 16383 + 1023 - 3 + orc_below(r, 6); /* limits of double and single */
        break;
    case 10:
        e = orc_one_in(r, 2) ? 16383 - 1023 - 55 + orc_below(r, 58)
                             : 16383 - 127 - 25 + orc_below(r, 28);
        break;
    case 11:
    case 12:
        e = 16383 + orc_below(r, 5) - 2;
        break;
    default:
        p.exp_keep = 0xffff;
    }
    p.exp_set = (uint16_t)e;
    return p;
}

void orc_values_init(void)
{
    struct orc_rng rng = {0x7a1e5}, *r = &rng;
    for (unsigned i = 0; i < INTS; i++)
        ints[i] = int_pattern(i & 15, i >> 4);
    for (unsigned i = 0; i < FLOATS; i++) {
        singles[i] = ieee_pattern(r, i & 15, 23, 8);
        doubles[i] = ieee_pattern(r, i & 15, 52, 11);
        extended[i] = f80_pattern(r, i & 15);
    }
}

uint64_t orc_value(struct orc_rng *r)
{
    const struct pattern *p = &ints[orc_next(r) % INTS];
    return (orc_next(r) & p->keep) | p->set;
}

static uint64_t text(struct orc_rng *r, uint64_t letters)
{
    uint64_t v = orc_next(r), bytes = 0;
    for (unsigned i = 0; i < 8; i++, v >>= 8)
        bytes = bytes << 8 | ((v & 15) == 0 ? 0 : (uint8_t)(letters >> (v & 48)));
    return bytes;
}

/* One unit of @kind: 4, 10 or 8 bytes at @to. */
static void fill_one(struct orc_rng *r, enum orc_kind kind, uint64_t letters, uint8_t *to)
{
    const struct pattern *p;
    const struct pattern80 *x;
    uint64_t v = orc_next(r), i = orc_next(r);
    switch (kind) {
    case ORC_F32:
        p = &singles[i % FLOATS];
        store_le32(to, (uint32_t)((v & p->keep) | p->set));
        break;
    case ORC_F64:
        p = &doubles[i % FLOATS];
        store_le64(to, (v & p->keep) | p->set);
        break;
    case ORC_F80:
        x = &extended[i % FLOATS];
        store_le64(to, (v & x->keep) | x->set);
        store_le16(to + 8, (uint16_t)((i >> 32 & x->exp_keep) | x->exp_set));
        break;
    case ORC_TEXT: /* few different letters and terminators, for the string compares */
        store_le64(to, text(r, letters));
        break;
    case ORC_INT:
    case ORC_KINDS:
        p = &ints[i % INTS];
        store_le64(to, (v & p->keep) | p->set);
        break;
    }
}

void orc_fill(struct orc_rng *r, enum orc_kind kind, void *to, size_t n)
{
    uint8_t *p = to, last[16];
    size_t step = kind == ORC_F32 ? 4 : kind == ORC_F80 ? 10 : 8;
    uint64_t letters = orc_next(r);
    for (; n >= step; p += step, n -= step)
        fill_one(r, kind, letters, p);
    if (n) {
        fill_one(r, kind, letters, last);
        memcpy(p, last, n);
    }
}
