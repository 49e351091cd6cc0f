/* SPDX-License-Identifier: Apache-2.0 */
/* SSE floating point compares, rounding to integral values, reciprocal estimates. */
#include "cpu/x86/avx.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/fp_fast.h"
#include "cpu/x86/sse_fp.h"
#include "x86-opcodes.h"

/*
 * Predicates of CMPxx by imm[3:0], a bit for each enum sf_relation: EQ LT LE UNORD, the same
 * negated, and with VEX eight more. Those that order signal on quiet NaNs; imm[4] turns that round.
 */
static bool predicate(unsigned imm, enum sf_relation r)
{
    static const uint8_t truth[16] = {2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15};
    return truth[imm & 15] >> r & 1;
}

static bool predicate_quiet(unsigned imm)
{
    return ((imm & 3) == 0 || (imm & 3) == 3) != (imm >> 4 & 1);
}

static inline enum sf_relation relation32(struct sf_env *env, uint32_t a, uint32_t b, bool quiet)
{
    if (fast_ordered32(0, a, b)) {
        float x = fast_real32(a), y = fast_real32(b);
        return x < y ? SF_LESS : x == y ? SF_EQUAL : SF_GREATER;
    }
    struct sf_num x = sf_from32(env, a), y = sf_from32(env, b);
    return sf_compare(env, &x, &y, quiet);
}

static inline enum sf_relation relation64(struct sf_env *env, uint64_t a, uint64_t b, bool quiet)
{
    if (fast_ordered64(0, a, b)) {
        double x = fast_real64(a), y = fast_real64(b);
        return x < y ? SF_LESS : x == y ? SF_EQUAL : SF_GREATER;
    }
    struct sf_num x = sf_from64(env, a), y = sf_from64(env, b);
    return sf_compare(env, &x, &y, quiet);
}

/* The first @n lanes of @a and @b to *ret, nothing after #XM. */
static enum x86_result compare32(struct x86_cpu *c, unsigned imm, const uint32_t *a,
                                 const uint32_t *b, int n, uint32_t *ret)
{
    struct sf_env env = x86_sse_env(c);
    uint32_t r[8];
    for (int k = 0; k < n; k++)
        r[k] = predicate(imm, relation32(&env, a[k], b[k], predicate_quiet(imm))) ? UINT32_MAX : 0;
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    memcpy(ret, r, (size_t)n * 4);
    return X86_NEXT;
}

static enum x86_result compare64(struct x86_cpu *c, unsigned imm, const uint64_t *a,
                                 const uint64_t *b, int n, uint64_t *ret)
{
    struct sf_env env = x86_sse_env(c);
    uint64_t r[4];
    for (int k = 0; k < n; k++)
        r[k] = predicate(imm, relation64(&env, a[k], b[k], predicate_quiet(imm))) ? UINT64_MAX : 0;
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    memcpy(ret, r, (size_t)n * 8);
    return X86_NEXT;
}

#define COMPARE(type, bits, source, n)                                                             \
    enum x86_result x86_op_sse_cmp##type(struct x86_cpu *c, const struct x86_insn *i)              \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s, *d = &c->xmm[i->reg];                                                     \
        if (source)                                                                                \
            return X86_FAULT;                                                                      \
        return compare##bits(c, i->imm & 7, d->u##bits, s.u##bits, n, d->u##bits);                 \
    }
COMPARE(ps, 32, x86_src128(c, i, &s), 4)
COMPARE(pd, 64, x86_src128(c, i, &s), 2)
COMPARE(ss, 32, x86_src32(c, i, &s.u32[0]), 1)
COMPARE(sd, 64, x86_src64(c, i, &s.u64[0]), 1)

#define AVX_COMPARE(type, bits)                                                                    \
    enum x86_result x86_op_avx_cmp##type(struct x86_cpu *c, const struct x86_insn *i)              \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm d = x86_ymm_get(c, i->vvvv), s;                                              \
        int n = (int)x86_avx_bytes(i) / (bits / 8);                                                \
        if (x86_avx_src(c, i, &s) ||                                                               \
            compare##bits(c, (uint8_t)i->imm, d.u##bits, s.u##bits, n, d.u##bits) != X86_NEXT)     \
            return X86_FAULT;                                                                      \
        x86_avx_put(c, i->reg, &d, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }
AVX_COMPARE(ps, 32)
AVX_COMPARE(pd, 64)

#define AVX_COMPARE_SCALAR(type, bits)                                                             \
    enum x86_result x86_op_avx_cmp##type(struct x86_cpu *c, const struct x86_insn *i)              \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_xmm d = c->xmm[i->vvvv];                                                         \
        uint##bits##_t s;                                                                          \
        if (x86_src##bits(c, i, &s) ||                                                             \
            compare##bits(c, (uint8_t)i->imm, d.u##bits, &s, 1, d.u##bits) != X86_NEXT)            \
            return X86_FAULT;                                                                      \
        x86_avx_put128(c, i->reg, d);                                                              \
        return X86_NEXT;                                                                           \
    }
AVX_COMPARE_SCALAR(ss, 32)
AVX_COMPARE_SCALAR(sd, 64)

static void set_relation(struct x86_cpu *c, enum sf_relation r)
{
    static const uint8_t flags[] = {X86_CF, X86_ZF, 0, X86_ZF | X86_PF | X86_CF};
    x86_flags_set(c, flags[r], X86_ARITH);
}

static enum x86_result comis32(struct x86_cpu *c, const struct x86_insn *i, bool quiet)
{
    X86_SSE_ENTER(c);
    uint32_t b;
    if (x86_src32(c, i, &b))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    enum sf_relation r = relation32(&env, c->xmm[i->reg].u32[0], b, quiet);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    set_relation(c, r);
    return X86_NEXT;
}

static enum x86_result comis64(struct x86_cpu *c, const struct x86_insn *i, bool quiet)
{
    X86_SSE_ENTER(c);
    uint64_t b;
    if (x86_src64(c, i, &b))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    enum sf_relation r = relation64(&env, c->xmm[i->reg].u64[0], b, quiet);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    set_relation(c, r);
    return X86_NEXT;
}

enum x86_result x86_op_sse_comiss(struct x86_cpu *c, const struct x86_insn *i)
{
    return comis32(c, i, false);
}

enum x86_result x86_op_sse_ucomiss(struct x86_cpu *c, const struct x86_insn *i)
{
    return comis32(c, i, true);
}

enum x86_result x86_op_sse_comisd(struct x86_cpu *c, const struct x86_insn *i)
{
    return comis64(c, i, false);
}

enum x86_result x86_op_sse_ucomisd(struct x86_cpu *c, const struct x86_insn *i)
{
    return comis64(c, i, true);
}

/* ROUNDxx: imm[2] takes MXCSR.RC instead of imm[1:0], imm[3] suppresses PE. Denormals are silent.
 */
static struct sf_num round_lane(struct sf_env *env, struct sf_num n, unsigned imm)
{
    struct sf_env quiet = *env;
    n.denormal = false;
    sf_operand(env, &n);
    return sf_round(imm & 8 ? &quiet : env, &n, imm & 4 ? env->rounding : imm & 3);
}

static enum x86_result round32(struct x86_cpu *c, const struct x86_insn *i, const union x86_xmm *s,
                               int lanes)
{
    struct sf_env env = x86_sse_env(c);
    union x86_xmm r = c->xmm[i->reg];
    for (int k = 0; k < lanes; k++) {
        struct sf_num n = round_lane(&env, sf_from32(&env, s->u32[k]), (unsigned)i->imm);
        r.u32[k] = sf_to32(&env, &n);
    }
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg] = r;
    return X86_NEXT;
}

static enum x86_result round64(struct x86_cpu *c, const struct x86_insn *i, const union x86_xmm *s,
                               int lanes)
{
    struct sf_env env = x86_sse_env(c);
    union x86_xmm r = c->xmm[i->reg];
    for (int k = 0; k < lanes; k++) {
        struct sf_num n = round_lane(&env, sf_from64(&env, s->u64[k]), (unsigned)i->imm);
        r.u64[k] = sf_to64(&env, &n);
    }
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg] = r;
    return X86_NEXT;
}

enum x86_result x86_op_sse_roundps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    return x86_src128(c, i, &s) ? X86_FAULT : round32(c, i, &s, 4);
}

enum x86_result x86_op_sse_roundpd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    return x86_src128(c, i, &s) ? X86_FAULT : round64(c, i, &s, 2);
}

enum x86_result x86_op_sse_roundss(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    return x86_src32(c, i, &s.u32[0]) ? X86_FAULT : round32(c, i, &s, 1);
}

enum x86_result x86_op_sse_roundsd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    return x86_src64(c, i, &s.u64[0]) ? X86_FAULT : round64(c, i, &s, 1);
}

/*
 * RCPxx and RSQRTxx: the architecture allows a relative error of 1.5 * 2^-12; these return the
 * correctly rounded value. Denormal operands count as zeros, tiny results become zeros, no flag is
 * ever raised.
 */
static const struct sf_env ESTIMATE = {
    .rounding = SF_NEAREST, .precision = 64, .masked = 0x3f, .daz = true, .ftz = true};

static uint32_t estimate_rcp(uint32_t v)
{
    struct sf_env env = ESTIMATE;
    struct sf_num n = sf_from32(&env, v), one = sf_from_int(1), r = sf_div(&env, &one, &n);
    if (n.cls == SF_NORMAL && n.exp >= 126)
        return v & 0x80000000; /* tiny; at 2^126 itself processors flush, too */
    return sf_to32(&env, &r);
}

static uint32_t estimate_rsqrt(uint32_t v)
{
    struct sf_env env = ESTIMATE;
    struct sf_num n = sf_from32(&env, v), one = sf_from_int(1), r = sf_sqrt(&env, &n);
    r.hi += r.hi != UINT64_MAX && r.lo >> 63; /* an operand has no more than 64 bits */
    r.lo = 0;
    r = sf_div(&env, &one, &r);
    return sf_to32(&env, &r);
}

#define ESTIMATES(name)                                                                            \
    enum x86_result x86_op_sse_##name##ps(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s;                                                                           \
        if (x86_src128(c, i, &s))                                                                  \
            return X86_FAULT;                                                                      \
        for (int k = 0; k < 4; k++)                                                                \
            c->xmm[i->reg].u32[k] = estimate_##name(s.u32[k]);                                     \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_sse_##name##ss(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        uint32_t s;                                                                                \
        if (x86_src32(c, i, &s))                                                                   \
            return X86_FAULT;                                                                      \
        c->xmm[i->reg].u32[0] = estimate_##name(s);                                                \
        return X86_NEXT;                                                                           \
    }
ESTIMATES(rcp)
ESTIMATES(rsqrt)
