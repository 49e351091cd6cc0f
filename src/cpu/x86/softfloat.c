/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on unpacked numbers. softfloat_pack.c holds the formats. */
#include "cpu/x86/softfloat.h"

typedef unsigned __int128 u128;

struct sf_num sf_indefinite(void)
{
    return (struct sf_num){.cls = SF_QNAN, .sign = true, .hi = UINT64_C(3) << 62};
}

struct sf_num sf_invalid(struct sf_env *env)
{
    env->flags |= SF_IE;
    return sf_indefinite();
}

static struct sf_num zero(bool sign)
{
    return (struct sf_num){.cls = SF_ZERO, .sign = sign};
}

static struct sf_num infinity(bool sign)
{
    return (struct sf_num){.cls = SF_INF, .sign = sign, .hi = UINT64_C(1) << 63};
}

static struct sf_num quiet(const struct sf_num *n)
{
    return (struct sf_num){.cls = SF_QNAN, .sign = n->sign, .hi = n->hi | UINT64_C(1) << 62};
}

/* A normal number from a nonzero 128-bit significand whose top bit would have weight 2^exp. */
static struct sf_num normalise(bool sign, int32_t exp, u128 sig)
{
    uint64_t hi = (uint64_t)(sig >> 64);
    int shift = hi ? __builtin_clzll(hi) : 64 + __builtin_clzll((uint64_t)sig);
    sig <<= shift;
    return (struct sf_num){.cls = SF_NORMAL,
                           .sign = sign,
                           .exp = exp - shift,
                           .hi = (uint64_t)(sig >> 64),
                           .lo = (uint64_t)sig};
}

/* Vol. 1, table 4-7: which NaN comes out of two operands. */
bool sf_nan_result(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                   struct sf_num *ret)
{
    if (likely(a->cls < SF_QNAN && b->cls < SF_QNAN))
        return false;
    if (a->cls == SF_BAD || b->cls == SF_BAD) {
        *ret = sf_invalid(env);
        return true;
    }
    if (a->cls == SF_SNAN || b->cls == SF_SNAN)
        env->flags |= SF_IE;
    const struct sf_num *pick = a;
    if (!sf_is_nan(a)) {
        pick = b;
    } else if (env->x87 && sf_is_nan(b)) {
        if (a->cls != b->cls)
            pick = a->cls == SF_QNAN ? a : b;
        else if (a->hi != b->hi)
            pick = a->hi > b->hi ? a : b;
        else
            pick = a->sign ? b : a;
    }
    *ret = quiet(pick);
    return true;
}

void sf_operand(struct sf_env *env, struct sf_num *a)
{
    if (sf_nan_result(env, a, a, a))
        return;
    if (a->denormal)
        env->flags |= SF_DE;
}

static void note_denormals(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    if (unlikely(a->denormal || b->denormal))
        env->flags |= SF_DE;
}

/* a + b where both are finite and not zero. */
static struct sf_num add_normal(const struct sf_env *env, const struct sf_num *a,
                                const struct sf_num *b)
{
    if (a->exp < b->exp || (a->exp == b->exp && a->hi < b->hi)) {
        const struct sf_num *t = a;
        a = b;
        b = t;
    }
    /* Leading bit at 126: room for a carry, and all of the smaller one when it moves 62 places. */
    u128 x = (u128)a->hi << 63, y = (u128)b->hi << 63;
    int32_t distance = a->exp - b->exp;
    if (distance > 126)
        y = 1;
    else if (distance)
        y = y >> distance | ((y & (((u128)1 << distance) - 1)) != 0);
    x = a->sign == b->sign ? x + y : x - y;
    if (x == 0)
        return zero(env->rounding == SF_DOWN);
    return normalise(a->sign, a->exp + 1, x);
}

static struct sf_num add(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    if (a->cls == SF_INF && b->cls == SF_INF && a->sign != b->sign)
        return sf_invalid(env);
    note_denormals(env, a, b);
    if (a->cls == SF_INF)
        return *a;
    if (b->cls == SF_INF)
        return *b;
    if (a->cls == SF_ZERO && b->cls == SF_ZERO)
        return zero(a->sign == b->sign ? a->sign : env->rounding == SF_DOWN);
    if (a->cls == SF_ZERO)
        return *b;
    if (b->cls == SF_ZERO)
        return *a;
    return add_normal(env, a, b);
}

struct sf_num sf_add(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    struct sf_num r;
    return sf_nan_result(env, a, b, &r) ? r : add(env, a, b);
}

struct sf_num sf_sub(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    struct sf_num r, minus = *b;
    minus.sign = !minus.sign;
    return sf_nan_result(env, a, b, &r) ? r : add(env, a, &minus);
}

struct sf_num sf_mul(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    struct sf_num r;
    if (sf_nan_result(env, a, b, &r))
        return r;
    bool sign = a->sign != b->sign;
    if ((a->cls == SF_INF && b->cls == SF_ZERO) || (a->cls == SF_ZERO && b->cls == SF_INF))
        return sf_invalid(env);
    note_denormals(env, a, b);
    if (a->cls == SF_INF || b->cls == SF_INF)
        return infinity(sign);
    if (a->cls == SF_ZERO || b->cls == SF_ZERO)
        return zero(sign);
    return normalise(sign, a->exp + b->exp + 1, (u128)a->hi * b->hi);
}

/*
 * The sum of two nonzero numbers of which one, @p, is a product of up to 106 bits. All of a number
 * is kept while it moves by less than what it has free below; after that at most one leading bit
 * can cancel, and the sticky bit stays far below the last place of a result.
 */
static struct sf_num add_product(const struct sf_env *env, const struct sf_num *p,
                                 const struct sf_num *c)
{
    u128 x = ((u128)p->hi << 64 | p->lo) >> 1, y = (u128)c->hi << 63;
    const struct sf_num *big = p, *small = c;
    if (p->exp < c->exp || (p->exp == c->exp && x < y)) {
        u128 t = x;
        x = y;
        y = t;
        big = c;
        small = p;
    }
    int32_t distance = big->exp - small->exp;
    if (distance > 126)
        y = 1;
    else if (distance)
        y = y >> distance | ((y & (((u128)1 << distance) - 1)) != 0);
    x = big->sign == small->sign ? x + y : x - y;
    if (x == 0)
        return zero(env->rounding == SF_DOWN);
    return normalise(big->sign, big->exp + 1, x);
}

/* NaNs in the order a, b, c; infinity times zero is no invalid operation beside a quiet NaN. */
static bool fma_nan(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                    const struct sf_num *c, struct sf_num *ret)
{
    if (likely(!sf_is_nan(a) && !sf_is_nan(b) && !sf_is_nan(c)))
        return false;
    if (a->cls == SF_SNAN || b->cls == SF_SNAN || c->cls == SF_SNAN)
        env->flags |= SF_IE;
    *ret = quiet(sf_is_nan(a) ? a : sf_is_nan(b) ? b : c);
    return true;
}

struct sf_num sf_fma(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                     const struct sf_num *c)
{
    struct sf_num p;
    if (fma_nan(env, a, b, c, &p))
        return p;
    bool sign = a->sign != b->sign, endless = a->cls == SF_INF || b->cls == SF_INF;
    if (endless &&
        (a->cls == SF_ZERO || b->cls == SF_ZERO || (c->cls == SF_INF && c->sign != sign)))
        return sf_invalid(env);
    note_denormals(env, a, b);
    note_denormals(env, c, c);
    if (endless)
        return infinity(sign);
    if (c->cls == SF_INF)
        return *c;
    if (a->cls == SF_ZERO || b->cls == SF_ZERO) {
        if (c->cls == SF_ZERO)
            return zero(c->sign == sign ? sign : env->rounding == SF_DOWN);
        return *c;
    }
    p = normalise(sign, a->exp + b->exp + 1, (u128)a->hi * b->hi);
    return c->cls == SF_ZERO ? p : add_product(env, &p, c);
}

struct sf_num sf_div(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    struct sf_num r;
    if (sf_nan_result(env, a, b, &r))
        return r;
    bool sign = a->sign != b->sign;
    if (a->cls == b->cls && a->cls != SF_NORMAL)
        return sf_invalid(env);
    if (b->cls == SF_ZERO && a->cls == SF_NORMAL) {
        env->flags |= SF_ZE;
        return infinity(sign);
    }
    note_denormals(env, a, b);
    if (a->cls == SF_INF || b->cls == SF_ZERO)
        return infinity(sign);
    if (a->cls == SF_ZERO || b->cls == SF_INF)
        return zero(sign);
    /* Two digits of base 2^64 and a sticky bit; the first is 63 or 64 bits. */
    u128 n = (u128)a->hi << 63;
    uint64_t q = (uint64_t)(n / b->hi), rest = (uint64_t)(n % b->hi);
    n = (u128)rest << 64;
    uint64_t q2 = (uint64_t)(n / b->hi), rest2 = (uint64_t)(n % b->hi);
    return normalise(sign, a->exp - b->exp, (u128)q << 64 | q2 | (rest2 != 0));
}

/* floor(sqrt(n)) by the schoolbook method, two bits a step. */
static uint32_t root64(uint64_t n)
{
    uint64_t rest = 0;
    uint32_t r = 0;
    for (int k = 0; k < 32; k++) {
        rest = rest << 2 | n >> 62;
        n <<= 2;
        uint64_t trial = (uint64_t)r << 2 | 1;
        r <<= 1;
        if (rest >= trial) {
            rest -= trial;
            r |= 1;
        }
    }
    return r;
}

/*
 * floor(sqrt(n)) for n >= 2^126 from the root of the upper half and one division (Zimmermann's
 * method); *ret_rest is what is left.
 */
static uint64_t root(u128 n, u128 *ret_rest)
{
    uint64_t upper = (uint64_t)(n >> 64), s = root64(upper), left = upper - s * s;
    u128 t = (u128)left << 32 | (uint32_t)(n >> 32);
    u128 q = t / (2 * s), u = t % (2 * s);
    u128 r = ((u128)s << 32) + q, rest = u << 32 | (uint32_t)n;
    if (rest < q * q) { /* one too large */
        rest += 2 * r - 1;
        r--;
    }
    *ret_rest = rest - q * q;
    return (uint64_t)r;
}

struct sf_num sf_sqrt(struct sf_env *env, const struct sf_num *a)
{
    struct sf_num r;
    if (sf_nan_result(env, a, a, &r))
        return r;
    if (a->cls == SF_ZERO)
        return *a;
    if (a->sign)
        return sf_invalid(env);
    note_denormals(env, a, a);
    if (a->cls == SF_INF)
        return *a;
    bool odd = a->exp & 1;
    u128 rest;
    uint64_t s = root((u128)a->hi << (odd ? 64 : 63), &rest);
    /* The root of an integer is never exactly between two integers: rest > s means above. */
    uint64_t lo = rest == 0 ? 0 : rest > s ? UINT64_C(3) << 62 : UINT64_C(1) << 62;
    return (struct sf_num){.cls = SF_NORMAL, .exp = (a->exp - odd) / 2, .hi = s, .lo = lo};
}

enum sf_relation sf_compare(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                            bool quiet_nan)
{
    if (sf_is_nan(a) || sf_is_nan(b)) {
        if (!quiet_nan || a->cls > SF_QNAN || b->cls > SF_QNAN)
            env->flags |= SF_IE;
        return SF_UNORDERED;
    }
    note_denormals(env, a, b);
    if (a->cls == SF_ZERO && b->cls == SF_ZERO)
        return SF_EQUAL;
    if (a->sign != b->sign && a->cls != SF_ZERO && b->cls != SF_ZERO)
        return a->sign ? SF_LESS : SF_GREATER;
    if (a->cls == SF_ZERO)
        return b->sign ? SF_GREATER : SF_LESS;
    if (b->cls == SF_ZERO)
        return a->sign ? SF_LESS : SF_GREATER;
    enum sf_relation bigger = a->sign ? SF_LESS : SF_GREATER;
    enum sf_relation smaller = a->sign ? SF_GREATER : SF_LESS;
    if (a->cls != b->cls)
        return a->cls == SF_INF ? bigger : smaller;
    if (a->cls == SF_INF)
        return SF_EQUAL;
    if (a->exp != b->exp)
        return a->exp > b->exp ? bigger : smaller;
    if (a->hi != b->hi)
        return a->hi > b->hi ? bigger : smaller;
    return SF_EQUAL;
}
