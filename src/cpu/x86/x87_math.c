/* SPDX-License-Identifier: Apache-2.0 */
/* x87 square root, rounding, scaling, extraction and partial remainders. */
#include "cpu/x86/x87.h"
#include "x86-opcodes.h"

/* An instruction that replaces ST(0) by fn(ST(0)). */
typedef struct sf_num unary_fn(struct sf_env *env, const struct sf_num *a);

static enum x86_result unary(struct x86_cpu *c, const struct x86_insn *i, struct sf_env env,
                             unary_fn *fn)
{
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    if (x87_empty(f, 0)) {
        if (x87_stack_fault(c, false))
            x87_set(f, 0, X87_INDEFINITE);
        return X86_NEXT;
    }
    struct sf_num a = sf_from80(*x87_st(f, 0)), r = fn(&env, &a);
    bool up = env.up;
    struct x86_f80 v = sf_to80(&env, &r);
    env.up |= up;
    if (x87_finish(c, &env))
        x87_set(f, 0, v);
    return X86_NEXT;
}

enum x86_result x86_op_fsqrt(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    return unary(c, i, x87_env(c), sf_sqrt);
}

static struct sf_num round_st0(struct sf_env *env, const struct sf_num *a)
{
    struct sf_num n = *a;
    sf_operand(env, &n);
    return sf_round(env, &n, env->rounding);
}

enum x86_result x86_op_frndint(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    return unary(c, i, x87_env_extended(c), round_st0);
}

/* An instruction that replaces ST(0) by fn(ST(0), ST(1)). */
typedef struct sf_num pair_fn(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                              unsigned *ret_cc);

static enum x86_result pair(struct x86_cpu *c, const struct x86_insn *i, unsigned cc_mask,
                            pair_fn *fn)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    if (x87_empty(f, 0) || x87_empty(f, 1)) {
        x87_set_cc(c, cc_mask & X87_C2, 0);
        if (x87_stack_fault(c, false))
            x87_set(f, 0, X87_INDEFINITE);
        return X86_NEXT;
    }
    struct sf_env env = x87_env_extended(c);
    struct sf_num a = sf_from80(*x87_st(f, 0)), b = sf_from80(*x87_st(f, 1));
    unsigned cc = 0;
    struct sf_num r = fn(&env, &a, &b, &cc);
    struct x86_f80 v = sf_to80(&env, &r);
    bool go = x87_finish(c, &env);
    /* Without a numeric result C0 and C3 stay. */
    if (!go || sf_is_nan(&r))
        x87_set_cc(c, cc_mask & X87_C2, 0);
    else
        x87_set_cc(c, cc_mask, cc);
    if (go)
        x87_set(f, 0, v);
    return X86_NEXT;
}

/* ST(0) * 2^trunc(ST(1)). */
static struct sf_num scale(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                           unsigned *ret_cc)
{
    /* More than any two exponents are apart, less than what would overflow an int32_t. */
    enum { FAR = 0x10000 };
    struct sf_num r = *a;
    (void)ret_cc;
    if (sf_nan_result(env, a, b, &r))
        return r;
    if (b->cls == SF_INF && a->cls == (b->sign ? SF_INF : SF_ZERO))
        return sf_invalid(env);
    if (a->denormal || b->denormal)
        env->flags |= SF_DE;
    if (b->cls == SF_INF && a->cls == SF_NORMAL)
        return (struct sf_num){
            .cls = b->sign ? SF_ZERO : SF_INF, .sign = a->sign, .hi = UINT64_C(1) << 63};
    if (a->cls != SF_NORMAL || b->cls != SF_NORMAL || b->exp < 0)
        return r;
    int32_t n = b->exp > 16 ? FAR : (int32_t)(b->hi >> (63 - b->exp));
    r.exp += b->sign ? -n : n;
    return r;
}
X87_HANDLER(fscale, pair(c, i, 0, scale))

/* Integer quotient bits to C0 (Q2), C3 (Q1), C1 (Q0). */
static unsigned quotient_cc(uint64_t q)
{
    return (q & 4 ? X87_C0 : 0) | (q & 2 ? X87_C3 : 0) | (q & 1 ? X87_C1 : 0);
}

/* Long division of 1.0 to 2.0 by the same: @steps + 1 quotient bits; returns the remainder. */
static uint64_t divide(uint64_t dividend, uint64_t divisor, int32_t steps, uint64_t *ret_quotient)
{
    unsigned __int128 rest = dividend; /* < 2 * divisor at the start of each step */
    uint64_t q = 0;
    for (int32_t k = 0; k <= steps; k++) {
        q <<= 1;
        if (k)
            rest <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            q |= 1;
        }
    }
    *ret_quotient = q;
    return (uint64_t)rest;
}

/*
 * The remainder of one step. When the exponents are 64 or more apart the quotient is computed only
 * in part, and C2 asks for another round: N = 32..63 bits are dealt with (vol. 2, FPREM).
 */
static struct sf_num partial_remainder(struct sf_env *env, const struct sf_num *a,
                                       const struct sf_num *b, unsigned *ret_cc, bool nearest)
{
    struct sf_num r = *a;
    if (sf_nan_result(env, a, b, &r))
        return r;
    if (a->cls == SF_INF || b->cls == SF_ZERO)
        return sf_invalid(env);
    if (a->denormal || b->denormal)
        env->flags |= SF_DE;
    int32_t distance = a->exp - b->exp;
    if (a->cls == SF_ZERO || b->cls == SF_INF || distance < -1 || (distance < 0 && !nearest))
        return r;
    /* With distance -1 the dividend, less than the divisor, is the remainder so far. */
    bool partial = distance >= 64;
    int32_t steps = partial ? 32 + (distance & 31) : distance < 0 ? 0 : distance;
    uint64_t q = 0, rest = distance < 0 ? a->hi : divide(a->hi, b->hi, steps, &q);
    if (partial) {
        *ret_cc = X87_C2;
    } else {
        unsigned __int128 whole = (unsigned __int128)b->hi << (distance < 0), twice = rest;
        twice <<= 1;
        if (nearest && (twice > whole || (twice == whole && (q & 1)))) {
            rest = (uint64_t)(whole - rest);
            r.sign = !r.sign;
            q++;
        }
        *ret_cc = quotient_cc(q);
    }
    if (rest == 0)
        return (struct sf_num){.cls = SF_ZERO, .sign = a->sign};
    int shift = __builtin_clzll(rest);
    r.hi = rest << shift;
    r.exp = a->exp - steps - shift;
    return r;
}

static struct sf_num truncating(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                                unsigned *ret_cc)
{
    return partial_remainder(env, a, b, ret_cc, false);
}

static struct sf_num ieee(struct sf_env *env, const struct sf_num *a, const struct sf_num *b,
                          unsigned *ret_cc)
{
    return partial_remainder(env, a, b, ret_cc, true);
}
X87_HANDLER(fprem, pair(c, i, X87_CC, truncating))
X87_HANDLER(fprem1, pair(c, i, X87_CC, ieee))

/* The exponent replaces ST(0), the significand is pushed. */
enum x86_result x86_op_fxtract(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    bool empty = x87_empty(f, 0);
    if (empty || !x87_empty(f, 7)) {
        if (x87_stack_fault(c, !empty)) {
            x87_set(f, 0, X87_INDEFINITE);
            x87_push(f, X87_INDEFINITE);
        }
        return X86_NEXT;
    }
    struct sf_env env = x87_env_extended(c);
    struct sf_num n = sf_from80(*x87_st(f, 0)), exponent = n;
    sf_operand(&env, &n);
    if (n.cls == SF_ZERO) {
        env.flags |= SF_ZE;
        exponent = (struct sf_num){.cls = SF_INF, .sign = true};
    } else if (n.cls == SF_INF) {
        exponent = (struct sf_num){.cls = SF_INF};
    } else if (n.cls == SF_NORMAL) {
        exponent = sf_from_int(n.exp);
        n.exp = 0;
    } else {
        exponent = n;
    }
    struct x86_f80 e = sf_to80(&env, &exponent), s = sf_to80(&env, &n);
    if (x87_finish(c, &env)) {
        x87_set(f, 0, e);
        x87_push(f, s);
    }
    return X86_NEXT;
}
