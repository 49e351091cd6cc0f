/* SPDX-License-Identifier: Apache-2.0 */
/* Formats: unpacking, rounding and packing, integers. */
#include "cpu/x86/softfloat.h"

/* Emin of a format is its smallest normal exponent; fields are exp - emin + 1. */
struct format {
    int precision; /* significand bits with the integer bit */
    int32_t emin, emax;
};
static const struct format FORMAT16 = {11, -14, 15};
static const struct format FORMAT32 = {24, -126, 127};
static const struct format FORMAT64 = {53, -1022, 1023};
static const struct format FORMAT80 = {64, -16382, 16383};

/*
 * An unmasked overflow or underflow wraps the exponent (vol. 1, 8.5.4); x87 stores such results in
 * registers. For the other formats the result is dropped, but PE tells whether it was exact.
 */
enum { WRAP = 24576 };

static struct sf_num unpack(const struct sf_env *env, bool sign, unsigned field, unsigned field_max,
                            uint64_t frac, const struct format *f)
{
    /* @frac: the fraction below the implied integer bit, moved up to bit 62. */
    struct sf_num n = {.sign = sign};
    if (likely(field != 0 && field != field_max)) {
        n.cls = SF_NORMAL;
        n.exp = (int32_t)field - 1 + f->emin;
        n.hi = frac | UINT64_C(1) << 63;
    } else if (field != 0) {
        n.hi = frac | UINT64_C(1) << 63;
        n.cls = frac == 0 ? SF_INF : frac >> 62 ? SF_QNAN : SF_SNAN;
    } else if (frac != 0 && !env->daz) {
        int shift = __builtin_clzll(frac);
        n.cls = SF_NORMAL;
        n.denormal = true;
        n.exp = f->emin - shift;
        n.hi = frac << shift;
    }
    return n;
}

struct sf_num sf_from16(uint16_t v)
{
    const struct sf_env keep_denormals = {.daz = false};
    return unpack(&keep_denormals, v >> 15, v >> 10 & 0x1f, 0x1f, (uint64_t)(v & 0x3ff) << 53,
                  &FORMAT16);
}

struct sf_num sf_from32(const struct sf_env *env, uint32_t v)
{
    return unpack(env, v >> 31, v >> 23 & 0xff, 0xff, (uint64_t)(v & 0x7fffff) << 40, &FORMAT32);
}

struct sf_num sf_from64(const struct sf_env *env, uint64_t v)
{
    return unpack(env, v >> 63, v >> 52 & 0x7ff, 0x7ff, (v & ((UINT64_C(1) << 52) - 1)) << 11,
                  &FORMAT64);
}

/* Vol. 1, table 8-3: without the integer bit, a nonzero exponent is unsupported. */
struct sf_num sf_from80(struct x86_f80 v)
{
    unsigned field = v.se & 0x7fff;
    struct sf_num n = {.sign = v.se >> 15, .hi = v.frac};
    bool integer_bit = v.frac >> 63;
    if (field == 0x7fff) {
        uint64_t frac = v.frac << 1;
        n.cls = !integer_bit ? SF_BAD : frac == 0 ? SF_INF : frac >> 63 ? SF_QNAN : SF_SNAN;
    } else if (field != 0) {
        n.cls = integer_bit ? SF_NORMAL : SF_BAD;
        n.exp = (int32_t)field - 1 + FORMAT80.emin;
    } else if (v.frac != 0) {
        int shift = __builtin_clzll(v.frac);
        n.cls = SF_NORMAL;
        n.denormal = true;
        n.exp = FORMAT80.emin - shift;
        n.hi = v.frac << shift;
    }
    return n;
}

struct sf_num sf_from_int(int64_t v)
{
    struct sf_num n = {.sign = v < 0};
    uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (m) {
        int shift = __builtin_clzll(m);
        n.cls = SF_NORMAL;
        n.exp = 63 - shift;
        n.hi = m << shift;
    }
    return n;
}

/* A significand cut to an integer of so many bits. */
struct cut {
    uint64_t q; /* 0 with carry set: 2^64 */
    bool carry, inexact, up;
};

/* Rounds hi.lo to its upper @keep bits (at most 64; zero or less: everything is below the last
 * place). */
static struct cut cut_at(unsigned rounding, bool sign, uint64_t hi, uint64_t lo, int keep)
{
    uint64_t q = 0, rest, rest_lo = lo; /* rest: what is cut off, half a unit = 2^63 */
    if (keep == 64) {
        q = hi;
        rest = lo;
        rest_lo = 0;
    } else if (keep > 0) {
        q = hi >> (64 - keep);
        rest = hi << keep;
    } else if (keep == 0) {
        rest = hi;
    } else {
        rest = 1;
    }
    struct cut r = {.inexact = (rest | rest_lo) != 0};
    const uint64_t half = UINT64_C(1) << 63;
    switch (rounding) {
    case SF_NEAREST:
        r.up = rest > half || (rest == half && (rest_lo != 0 || (q & 1)));
        break;
    case SF_DOWN:
        r.up = sign && r.inexact;
        break;
    case SF_UP:
        r.up = !sign && r.inexact;
        break;
    default:
        break;
    }
    r.q = q + r.up;
    r.carry = r.up && (keep == 64 ? r.q == 0 : keep > 0 && r.q >> keep);
    return r;
}

/* What packing is to store: exponent field and significand with integer bit, right-aligned. */
struct packed {
    unsigned field;
    uint64_t q;
};

static struct packed overflow(struct sf_env *env, const struct sf_num *n, const struct format *f,
                              int precision)
{
    uint64_t ones = precision == 64 ? UINT64_MAX : (UINT64_C(1) << precision) - 1;
    bool to_infinity = env->rounding == SF_NEAREST || (env->rounding == SF_DOWN && n->sign) ||
                       (env->rounding == SF_UP && !n->sign);
    env->flags |= SF_OE | SF_PE;
    env->up = to_infinity;
    unsigned top = (unsigned)(f->emax - f->emin + 1);
    if (to_infinity)
        return (struct packed){top + 1, UINT64_C(1) << (precision - 1)};
    return (struct packed){top, ones};
}

/* A normal number into format @f with significands of @precision bits. */
static struct packed round_pack(struct sf_env *env, const struct sf_num *n, const struct format *f,
                                int precision)
{
    int32_t exp = n->exp;
    struct cut c = cut_at(env->rounding, n->sign, n->hi, n->lo, precision);
    if (unlikely(exp + c.carry < f->emin)) {
        if (!(env->masked & SF_UE)) {
            env->flags |= SF_UE;
            exp += WRAP;
            if (unlikely(exp + c.carry < f->emin)) { /* FSCALE can go that far */
                env->flags |= SF_PE;
                return (struct packed){0, 0};
            }
            goto wrapped;
        } else if (env->ftz) {
            env->flags |= SF_UE | SF_PE;
            return (struct packed){0, 0};
        } else {
            goto denormal;
        }
    } else if (unlikely(exp < f->emin)) {
        goto denormal; /* rounds up to the smallest normal number, and is not tiny */
    }
    if (unlikely(exp + c.carry > f->emax)) {
        if (env->masked & SF_OE)
            return overflow(env, n, f, precision);
        env->flags |= SF_OE;
        exp -= WRAP;
        if (unlikely(exp + c.carry > f->emax)) {
            env->flags |= SF_PE;
            env->up = true;
            return (struct packed){(unsigned)(f->emax - f->emin + 2), UINT64_C(1)
                                                                          << (precision - 1)};
        }
    }
wrapped:
    if (c.inexact)
        env->flags |= SF_PE;
    env->up = c.up;
    if (c.carry) {
        exp++;
        c.q = UINT64_C(1) << (precision - 1);
    }
    return (struct packed){(unsigned)(exp - f->emin + 1), c.q};

denormal : {
    bool tiny = exp + c.carry < f->emin;
    int64_t keep = (int64_t)precision - (f->emin - exp);
    c = cut_at(env->rounding, n->sign, n->hi, n->lo, keep < -1 ? -1 : (int)keep);
    if (c.inexact)
        env->flags |= tiny ? SF_PE | SF_UE : SF_PE;
    env->up = c.up;
    return (struct packed){(unsigned)(c.q >> (precision - 1)), c.q};
}
}

uint16_t sf_to16(struct sf_env *env, const struct sf_num *n)
{
    uint16_t sign = (uint16_t)(n->sign << 15);
    env->up = false;
    if (likely(n->cls == SF_NORMAL)) {
        struct packed p = round_pack(env, n, &FORMAT16, 11);
        return (uint16_t)(sign | p.field << 10 | (p.q & 0x3ff));
    }
    if (n->cls == SF_ZERO)
        return sign;
    if (n->cls == SF_INF)
        return sign | 0x7c00;
    return (uint16_t)(sign | 0x7e00 | (n->hi >> 53 & 0x1ff));
}

uint32_t sf_to32(struct sf_env *env, const struct sf_num *n)
{
    uint32_t sign = (uint32_t)n->sign << 31;
    env->up = false;
    if (likely(n->cls == SF_NORMAL)) {
        struct packed p = round_pack(env, n, &FORMAT32, 24);
        return sign | p.field << 23 | ((uint32_t)p.q & 0x7fffff);
    }
    if (n->cls == SF_ZERO)
        return sign;
    if (n->cls == SF_INF)
        return sign | 0x7f800000;
    return sign | 0x7fc00000 | ((uint32_t)(n->hi >> 40) & 0x3fffff);
}

uint64_t sf_to64(struct sf_env *env, const struct sf_num *n)
{
    uint64_t sign = (uint64_t)n->sign << 63;
    env->up = false;
    if (likely(n->cls == SF_NORMAL)) {
        struct packed p = round_pack(env, n, &FORMAT64, 53);
        return sign | (uint64_t)p.field << 52 | (p.q & ((UINT64_C(1) << 52) - 1));
    }
    if (n->cls == SF_ZERO)
        return sign;
    if (n->cls == SF_INF)
        return sign | UINT64_C(0x7ff) << 52;
    return sign | UINT64_C(0xfff) << 51 | (n->hi >> 11 & ((UINT64_C(1) << 51) - 1));
}

struct x86_f80 sf_to80(struct sf_env *env, const struct sf_num *n)
{
    uint16_t sign = (uint16_t)(n->sign << 15);
    env->up = false;
    if (likely(n->cls == SF_NORMAL)) {
        struct packed p = round_pack(env, n, &FORMAT80, env->precision);
        return (struct x86_f80){p.q << (64 - env->precision), (uint16_t)(sign | p.field)};
    }
    if (n->cls == SF_ZERO)
        return (struct x86_f80){0, sign};
    if (n->cls == SF_INF)
        return (struct x86_f80){UINT64_C(1) << 63, sign | 0x7fff};
    return (struct x86_f80){n->hi | UINT64_C(3) << 62, sign | 0x7fff};
}

int64_t sf_to_int(struct sf_env *env, const struct sf_num *n, unsigned bits, unsigned rounding)
{
    const int64_t lowest = -1 - (int64_t)((UINT64_C(1) << (bits - 1)) - 1);
    const uint64_t limit = UINT64_C(1) << (bits - 1);
    env->up = false;
    if (n->cls == SF_ZERO)
        return 0;
    if (n->cls != SF_NORMAL || n->exp > 63) {
        env->flags |= SF_IE;
        return lowest;
    }
    struct cut c = cut_at(rounding, n->sign, n->hi, n->lo, n->exp < -1 ? -1 : n->exp + 1);
    if ((c.carry && n->exp == 63) || c.q > limit || (c.q == limit && !n->sign)) {
        env->flags |= SF_IE;
        return lowest;
    }
    if (c.inexact)
        env->flags |= SF_PE;
    env->up = c.up;
    return n->sign ? (int64_t)(0 - c.q) : (int64_t)c.q;
}

struct sf_num sf_round(struct sf_env *env, const struct sf_num *a, unsigned rounding)
{
    env->up = false;
    if (a->cls != SF_NORMAL || (a->exp >= 63 && a->lo == 0))
        return *a;
    struct cut c = cut_at(rounding, a->sign, a->hi, a->lo, a->exp < -1 ? -1 : a->exp + 1);
    if (c.inexact)
        env->flags |= SF_PE;
    env->up = c.up;
    struct sf_num r = {.cls = SF_ZERO, .sign = a->sign};
    if (c.q) {
        int shift = __builtin_clzll(c.q);
        r.cls = SF_NORMAL;
        r.exp = 63 - shift;
        r.hi = c.q << shift;
    }
    return r;
}
