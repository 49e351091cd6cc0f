/* SPDX-License-Identifier: Apache-2.0 */
/* SSE floating point arithmetic, scalar and packed; horizontal sums and dot products. */
#include "cpu/x86/avx.h"
#include "cpu/x86/fp_fast.h"
#include "cpu/x86/sse_fp.h"
#include "x86-opcodes.h"

enum x86_result x86_sse_exceptions(struct x86_cpu *c, const struct sf_env *env)
{
    unsigned flags = env->flags;
    c->sse_raised = (uint8_t)flags;
    if (flags & ~env->masked & SF_PRE)
        flags &= SF_PRE;
    c->mxcsr |= flags;
    return c->cr4 & X86_CR4_OSXMMEXCPT ? x86_raise(c, X86_XM) : x86_raise_ud(c);
}

typedef uint32_t soft32_fn(struct sf_env *env, uint32_t a, uint32_t b);
typedef uint64_t soft64_fn(struct sf_env *env, uint64_t a, uint64_t b);

#define SOFT_BINARY(name)                                                                          \
    static uint32_t soft_##name##32(struct sf_env * env, uint32_t a, uint32_t b)                   \
    {                                                                                              \
        struct sf_num x = sf_from32(env, a), y = sf_from32(env, b), r = sf_##name(env, &x, &y);    \
        return sf_to32(env, &r);                                                                   \
    }                                                                                              \
    static uint64_t soft_##name##64(struct sf_env * env, uint64_t a, uint64_t b)                   \
    {                                                                                              \
        struct sf_num x = sf_from64(env, a), y = sf_from64(env, b), r = sf_##name(env, &x, &y);    \
        return sf_to64(env, &r);                                                                   \
    }
SOFT_BINARY(add)
SOFT_BINARY(sub)
SOFT_BINARY(mul)
SOFT_BINARY(div)

/* The operand is the second one. */
static uint32_t soft_sqrt32(struct sf_env *env, uint32_t a, uint32_t b)
{
    struct sf_num y = sf_from32(env, b), r = sf_sqrt(env, &y);
    return sf_to32(env, &r);
}

static uint64_t soft_sqrt64(struct sf_env *env, uint64_t a, uint64_t b)
{
    struct sf_num y = sf_from64(env, b), r = sf_sqrt(env, &y);
    return sf_to64(env, &r);
}

/*
 * MIN and MAX return the second operand, unchanged, when either is a NaN or both are zeros (vol. 2,
 * MINPS). Denormals that DAZ turned into zeros come out as zeros.
 */
#define SOFT_PICK(name, relation)                                                                  \
    static uint32_t soft_##name##32(struct sf_env * env, uint32_t a, uint32_t b)                   \
    {                                                                                              \
        struct sf_num x = sf_from32(env, a), y = sf_from32(env, b);                                \
        const struct sf_num *r = sf_compare(env, &x, &y, false) == relation ? &x : &y;             \
        return r->cls == SF_ZERO ? (uint32_t)r->sign << 31 : r == &x ? a : b;                      \
    }                                                                                              \
    static uint64_t soft_##name##64(struct sf_env * env, uint64_t a, uint64_t b)                   \
    {                                                                                              \
        struct sf_num x = sf_from64(env, a), y = sf_from64(env, b);                                \
        const struct sf_num *r = sf_compare(env, &x, &y, false) == relation ? &x : &y;             \
        return r->cls == SF_ZERO ? (uint64_t)r->sign << 63 : r == &x ? a : b;                      \
    }
SOFT_PICK(min, SF_LESS)
SOFT_PICK(max, SF_GREATER)

/* Slow paths of whole instructions. */

static enum x86_result slow_ss(struct x86_cpu *c, unsigned reg, uint32_t b, soft32_fn *fn)
{
    struct sf_env env = x86_sse_env(c);
    uint32_t r = fn(&env, c->xmm[reg].u32[0], b);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[reg].u32[0] = r;
    return X86_NEXT;
}

static enum x86_result slow_sd(struct x86_cpu *c, unsigned reg, uint64_t b, soft64_fn *fn)
{
    struct sf_env env = x86_sse_env(c);
    uint64_t r = fn(&env, c->xmm[reg].u64[0], b);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[reg].u64[0] = r;
    return X86_NEXT;
}

static enum x86_result slow_ps(struct x86_cpu *c, unsigned reg, const union x86_xmm *a,
                               const union x86_xmm *b, soft32_fn *fn)
{
    struct sf_env env = x86_sse_env(c);
    union x86_xmm r;
    for (int k = 0; k < 4; k++)
        r.u32[k] = fn(&env, a->u32[k], b->u32[k]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[reg] = r;
    return X86_NEXT;
}

static enum x86_result slow_pd(struct x86_cpu *c, unsigned reg, const union x86_xmm *a,
                               const union x86_xmm *b, soft64_fn *fn)
{
    struct sf_env env = x86_sse_env(c);
    union x86_xmm r;
    for (int k = 0; k < 2; k++)
        r.u64[k] = fn(&env, a->u64[k], b->u64[k]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[reg] = r;
    return X86_NEXT;
}

/*
 * All lanes of VEX packed operations. The exceptions of both halves are looked at together.
 */
static enum x86_result slow_avx_ps(struct x86_cpu *c, const struct x86_insn *i,
                                   const union x86_ymm *a, const union x86_ymm *b, soft32_fn *fn)
{
    struct sf_env env = x86_sse_env(c);
    union x86_ymm r;
    for (unsigned k = 0; k < x86_avx_bytes(i) / 4; k++)
        r.u32[k] = fn(&env, a->u32[k], b->u32[k]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    x86_avx_put(c, i->reg, &r, i->vlen);
    return X86_NEXT;
}

static enum x86_result slow_avx_pd(struct x86_cpu *c, const struct x86_insn *i,
                                   const union x86_ymm *a, const union x86_ymm *b, soft64_fn *fn)
{
    struct sf_env env = x86_sse_env(c);
    union x86_ymm r;
    for (unsigned k = 0; k < x86_avx_bytes(i) / 8; k++)
        r.u64[k] = fn(&env, a->u64[k], b->u64[k]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    x86_avx_put(c, i->reg, &r, i->vlen);
    return X86_NEXT;
}

#define AVX_PACKED(name, type, bits)                                                               \
    enum x86_result x86_op_avx_##name##type(struct x86_cpu *c, const struct x86_insn *i)           \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm a = x86_ymm_get(c, i->vvvv), b, r;                                           \
        if (x86_avx_src(c, i, &b))                                                                 \
            return X86_FAULT;                                                                      \
        for (unsigned k = 0; k < x86_avx_bytes(i) / (bits / 8); k++)                               \
            if (unlikely(!fast_##name##bits(c->mxcsr, a.u##bits[k], b.u##bits[k], &r.u##bits[k]))) \
                return slow_avx_##type(c, i, &a, &b, soft_##name##bits);                           \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }

#define ARITHMETIC(name)                                                                           \
    enum x86_result x86_op_sse_##name##ss(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        uint32_t b, r;                                                                             \
        if (x86_src32(c, i, &b))                                                                   \
            return X86_FAULT;                                                                      \
        if (unlikely(!fast_##name##32(c->mxcsr, c->xmm[i->reg].u32[0], b, &r)))                    \
            return slow_ss(c, i->reg, b, soft_##name##32);                                         \
        c->xmm[i->reg].u32[0] = r;                                                                 \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_sse_##name##sd(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        uint64_t b, r;                                                                             \
        if (x86_src64(c, i, &b))                                                                   \
            return X86_FAULT;                                                                      \
        if (unlikely(!fast_##name##64(c->mxcsr, c->xmm[i->reg].u64[0], b, &r)))                    \
            return slow_sd(c, i->reg, b, soft_##name##64);                                         \
        c->xmm[i->reg].u64[0] = r;                                                                 \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_sse_##name##ps(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm a = c->xmm[i->reg], b, r;                                                    \
        if (x86_src128(c, i, &b))                                                                  \
            return X86_FAULT;                                                                      \
        for (int k = 0; k < 4; k++)                                                                \
            if (unlikely(!fast_##name##32(c->mxcsr, a.u32[k], b.u32[k], &r.u32[k])))               \
                return slow_ps(c, i->reg, &a, &b, soft_##name##32);                                \
        c->xmm[i->reg] = r;                                                                        \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_sse_##name##pd(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm a = c->xmm[i->reg], b, r;                                                    \
        if (x86_src128(c, i, &b))                                                                  \
            return X86_FAULT;                                                                      \
        for (int k = 0; k < 2; k++)                                                                \
            if (unlikely(!fast_##name##64(c->mxcsr, a.u64[k], b.u64[k], &r.u64[k])))               \
                return slow_pd(c, i->reg, &a, &b, soft_##name##64);                                \
        c->xmm[i->reg] = r;                                                                        \
        return X86_NEXT;                                                                           \
    }
ARITHMETIC(add)
AVX_PACKED(add, ps, 32)
AVX_PACKED(add, pd, 64)
ARITHMETIC(sub)
AVX_PACKED(sub, ps, 32)
AVX_PACKED(sub, pd, 64)
ARITHMETIC(mul)
AVX_PACKED(mul, ps, 32)
AVX_PACKED(mul, pd, 64)
ARITHMETIC(div)
AVX_PACKED(div, ps, 32)
AVX_PACKED(div, pd, 64)
ARITHMETIC(sqrt)
AVX_PACKED(sqrt, ps, 32)
AVX_PACKED(sqrt, pd, 64)
ARITHMETIC(min)
AVX_PACKED(min, ps, 32)
AVX_PACKED(min, pd, 64)
ARITHMETIC(max)
AVX_PACKED(max, ps, 32)
AVX_PACKED(max, pd, 64)

/* SSE3 horizontal and alternating forms: operands gathered, then as the packed ones. */

static enum x86_result horizontal_ps(struct x86_cpu *c, const struct x86_insn *i, soft32_fn *fn)
{
    X86_SSE_ENTER(c);
    union x86_xmm d = c->xmm[i->reg], s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    union x86_xmm a = {.u32 = {d.u32[0], d.u32[2], s.u32[0], s.u32[2]}};
    union x86_xmm b = {.u32 = {d.u32[1], d.u32[3], s.u32[1], s.u32[3]}};
    return slow_ps(c, i->reg, &a, &b, fn);
}

static enum x86_result horizontal_pd(struct x86_cpu *c, const struct x86_insn *i, soft64_fn *fn)
{
    X86_SSE_ENTER(c);
    union x86_xmm d = c->xmm[i->reg], s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    union x86_xmm a = {.u64 = {d.u64[0], s.u64[0]}}, b = {.u64 = {d.u64[1], s.u64[1]}};
    return slow_pd(c, i->reg, &a, &b, fn);
}

enum x86_result x86_op_sse_haddps(struct x86_cpu *c, const struct x86_insn *i)
{
    return horizontal_ps(c, i, soft_add32);
}

enum x86_result x86_op_sse_hsubps(struct x86_cpu *c, const struct x86_insn *i)
{
    return horizontal_ps(c, i, soft_sub32);
}

enum x86_result x86_op_sse_haddpd(struct x86_cpu *c, const struct x86_insn *i)
{
    return horizontal_pd(c, i, soft_add64);
}

enum x86_result x86_op_sse_hsubpd(struct x86_cpu *c, const struct x86_insn *i)
{
    return horizontal_pd(c, i, soft_sub64);
}

enum x86_result x86_op_sse_addsubps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm d = c->xmm[i->reg], s, r;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    for (int k = 0; k < 4; k++)
        r.u32[k] = (k & 1 ? soft_add32 : soft_sub32)(&env, d.u32[k], s.u32[k]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg] = r;
    return X86_NEXT;
}

enum x86_result x86_op_sse_addsubpd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm d = c->xmm[i->reg], s, r;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    r.u64[0] = soft_sub64(&env, d.u64[0], s.u64[0]);
    r.u64[1] = soft_add64(&env, d.u64[1], s.u64[1]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg] = r;
    return X86_NEXT;
}

/*
 * Dot products: selected products, then sums in pairs; exceptions are looked at after each step, so
 * that an unmasked one ends the instruction there.
 */
static enum x86_result dot_ps(struct x86_cpu *c, unsigned imm, const union x86_ymm *d,
                              const union x86_ymm *s, unsigned lanes, union x86_ymm *ret)
{
    struct sf_env env = x86_sse_env(c);
    uint32_t p[8], low[2], high[2], sum[2];
    for (unsigned k = 0; k < 4 * lanes; k++)
        p[k] = imm >> (4 + k % 4) & 1 ? soft_mul32(&env, d->u32[k], s->u32[k]) : 0;
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    for (unsigned n = 0; n < lanes; n++) {
        low[n] = soft_add32(&env, p[4 * n], p[4 * n + 1]);
        high[n] = soft_add32(&env, p[4 * n + 2], p[4 * n + 3]);
    }
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    for (unsigned n = 0; n < lanes; n++)
        sum[n] = soft_add32(&env, low[n], high[n]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    for (unsigned k = 0; k < 4 * lanes; k++)
        ret->u32[k] = imm >> k % 4 & 1 ? sum[k / 4] : 0;
    return X86_NEXT;
}

enum x86_result x86_op_sse_dpps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_ymm d = {.x[0] = c->xmm[i->reg]}, s, r;
    if (x86_src128(c, i, &s.x[0]) || dot_ps(c, (uint8_t)i->imm, &d, &s, 1, &r) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg] = r.x[0];
    return X86_NEXT;
}

enum x86_result x86_op_avx_dpps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm d = x86_ymm_get(c, i->vvvv), s, r;
    if (x86_avx_src(c, i, &s) || dot_ps(c, (uint8_t)i->imm, &d, &s, 1u + i->vlen, &r) != X86_NEXT)
        return X86_FAULT;
    x86_avx_put(c, i->reg, &r, i->vlen);
    return X86_NEXT;
}

enum x86_result x86_op_sse_dppd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm d = c->xmm[i->reg], s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    uint64_t p[2];
    for (int k = 0; k < 2; k++)
        p[k] = i->imm >> (4 + k) & 1 ? soft_mul64(&env, d.u64[k], s.u64[k]) : 0;
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    uint64_t sum = soft_add64(&env, p[0], p[1]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u64 = {i->imm & 1 ? sum : 0, i->imm & 2 ? sum : 0}};
    return X86_NEXT;
}
