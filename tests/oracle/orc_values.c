/* SPDX-License-Identifier: Apache-2.0 */
/* Operand values: the special ones of each type, mixed with random ones. */
#include <string.h>

#include "orc_gen.h"

uint64_t orc_value(struct orc_rng *r)
{
    uint64_t x = orc_next(r);
    unsigned how = x & 15;
    x = orc_next(r);
    switch (how) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return UINT64_MAX;
    case 3:
        return UINT64_C(1) << (x & 63);
    case 4:
        return (UINT64_C(1) << (x & 63)) - 1;
    case 5:
        return ~(UINT64_C(1) << (x & 63));
    case 6:
        return -(UINT64_C(1) << (x & 63));
    case 7:
        return x & 0xff;
    case 8:
        return (uint64_t)(int8_t)x;
    case 9:
        return x & 0xffff;
    case 10:
        return (uint64_t)(int32_t)x;
    case 11:
        return (x & 1 ? 0x8080808080808080u : 0x7f7f7f7f7f7f7f7fu) << (x >> 8 & 7);
    default:
        return x;
    }
}

/* A binary float of @frac fraction bits (hidden integer bit) and @exp exponent bits. */
static uint64_t ieee(struct orc_rng *r, unsigned frac, unsigned exp)
{
    uint64_t x = orc_next(r), mask = (UINT64_C(1) << frac) - 1;
    uint64_t f = orc_next(r) & mask, top = (UINT64_C(1) << exp) - 1, bias = top >> 1, e;
    if (x & 16)
        f = orc_below(r, 2) ? f & ~(mask >> orc_below(r, frac)) : mask >> orc_below(r, frac);
    switch (x & 15) {
    case 0:
        e = 0, f = 0;
        break;
    case 1:
        e = 0;
        break;
    case 2:
        e = top, f = 0;
        break;
    case 3:
        e = top, f |= UINT64_C(1) << (frac - 1);
        break;
    case 4:
        e = top, f = (f & mask >> 1) | 1;
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
        e = orc_next(r) & top;
    }
    return (x >> 63) << (frac + exp) | (e & top) << frac | f;
}

static void f80(struct orc_rng *r, uint8_t to[10])
{
    uint64_t x = orc_next(r), f = orc_next(r);
    uint16_t e;
    if (x & 16)
        f &= ~(UINT64_MAX >> orc_below(r, 63));
    f |= UINT64_C(1) << 63;
    switch (x & 15) {
    case 0:
        e = 0, f = 0;
        break;
    case 1:
        e = 0, f &= INT64_MAX;
        break;
    case 2:
        e = 0x7fff, f = UINT64_C(1) << 63;
        break;
    case 3:
        e = 0x7fff;
        break;
    case 4:
        e = (uint16_t)orc_next(r); /* invalid encodings, pseudo-denormals */
        f ^= x >> 5 & UINT64_C(1) << 63;
        if (x & 32)
            e = x & 64 ? 0 : 0x7fff;
        break;
    case 5:
        e = (uint16_t)(1 + orc_below(r, 70));
        break;
    case 6:
        e = (uint16_t)(0x7ffe - orc_below(r, 70));
        break;
    case 7:
    case 8:
        e = (uint16_t)(16383 + orc_below(r, 72) - 3);
        break;
    case 9:
        e = (uint16_t)(16383 + 1023 - 3 + orc_below(r, 6)); /* limits of double and single */
        break;
    case 10:
        e = (uint16_t)(x & 32 ? 16383 - 1023 - 55 + orc_below(r, 58)
                              : 16383 - 127 - 25 + orc_below(r, 28));
        break;
    case 11:
    case 12:
        e = (uint16_t)(16383 + orc_below(r, 5) - 2);
        break;
    default:
        e = (uint16_t)(orc_next(r) & 0x7fff);
    }
    e = (uint16_t)((e & 0x7fff) | (x >> 63) << 15);
    memcpy(to, &f, 8);
    memcpy(to + 8, &e, 2);
}

void orc_fill(struct orc_rng *r, enum orc_kind kind, void *to, size_t n)
{
    uint8_t *p = to;
    size_t step = kind == ORC_F32 ? 4 : kind == ORC_F80 ? 10 : 8;
    uint64_t v, letters = orc_next(r);
    for (; n; p += step, n -= step) {
        uint8_t x[16];
        switch (kind) {
        case ORC_F32:
            v = ieee(r, 23, 8);
            memcpy(x, &v, 4);
            break;
        case ORC_F64:
            v = ieee(r, 52, 11);
            memcpy(x, &v, 8);
            break;
        case ORC_F80:
            f80(r, x);
            break;
        case ORC_TEXT: /* few different letters and terminators, for the string compares */
            v = orc_next(r);
            for (unsigned i = 0; i < 8; i++, v >>= 8)
                x[i] = (uint8_t)((v & 15) == 0 ? 0 : letters >> (v & 48));
            break;
        case ORC_INT:
        case ORC_KINDS:
            v = orc_value(r);
            memcpy(x, &v, 8);
            break;
        }
        if (step > n)
            step = n;
        memcpy(p, x, step);
    }
}
