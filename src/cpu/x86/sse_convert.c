/* SPDX-License-Identifier: Apache-2.0 */
/* SSE conversions between integers, single and double precision. */
#include "cpu/x86/fp_fast.h"
#include "cpu/x86/sse_fp.h"
#include "x86-opcodes.h"

static uint32_t int_to32(struct sf_env *env, int64_t v)
{
    struct sf_num n = sf_from_int(v);
    return sf_to32(env, &n);
}

static uint64_t int_to64(struct sf_env *env, int64_t v)
{
    struct sf_num n = sf_from_int(v);
    return sf_to64(env, &n);
}

static uint64_t widen(struct sf_env *env, uint32_t v)
{
    if (X86_FP_FAST && fast_operand32(v))
        return fast_bits64((double)fast_real32(v));
    struct sf_num n = sf_from32(env, v);
    sf_operand(env, &n);
    return sf_to64(env, &n);
}

static uint32_t narrow(struct sf_env *env, uint64_t v)
{
    struct sf_num n = sf_from64(env, v);
    sf_operand(env, &n);
    return sf_to32(env, &n);
}

static int64_t int_from32(struct sf_env *env, uint32_t v, unsigned bits, bool truncate)
{
    struct sf_num n = sf_from32(env, v);
    return sf_to_int(env, &n, bits, truncate ? SF_TRUNCATE : env->rounding);
}

static int64_t int_from64(struct sf_env *env, uint64_t v, unsigned bits, bool truncate)
{
    struct sf_num n = sf_from64(env, v);
    return sf_to_int(env, &n, bits, truncate ? SF_TRUNCATE : env->rounding);
}

/* General registers and memory. */

static int64_t srcgy_signed(const struct x86_insn *i, uint64_t v)
{
    return i->rex & 8 ? (int64_t)v : (int32_t)v;
}

enum x86_result x86_op_sse_cvtsi2ss(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_srcgy(c, i, &v))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    uint32_t r = int_to32(&env, srcgy_signed(i, v));
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg].u32[0] = r;
    return X86_NEXT;
}

enum x86_result x86_op_sse_cvtsi2sd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_srcgy(c, i, &v))
        return X86_FAULT;
    int64_t n = srcgy_signed(i, v);
    if (X86_FP_FAST && n == (int32_t)n) {
        c->xmm[i->reg].u64[0] = fast_bits64((double)(int32_t)n);
        return X86_NEXT;
    }
    struct sf_env env = x86_sse_env(c);
    uint64_t r = int_to64(&env, n);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg].u64[0] = r;
    return X86_NEXT;
}

static enum x86_result from_ss(struct x86_cpu *c, const struct x86_insn *i, bool truncate)
{
    X86_SSE_ENTER(c);
    uint32_t v;
    if (x86_src32(c, i, &v))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    int64_t r = int_from32(&env, v, i->rex & 8 ? 64 : 32, truncate);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->gpr[i->reg] = i->rex & 8 ? (uint64_t)r : (uint32_t)r;
    return X86_NEXT;
}

/* Shortcut: |v| < 2^31, exact or inexact masked and already set. */
static bool fast_trunc(uint32_t mxcsr, uint64_t v, uint64_t *ret)
{
    if (!X86_FP_FAST || (v >> 52 & 0x7ff) >= 1023 + 31 || (v >> 52 & 0x7ff) == 0)
        return false;
    double d = fast_real64(v);
    int32_t n = (int32_t)d;
    *ret = (uint64_t)(int64_t)n;
    return (double)n == d || (mxcsr & (FAST_PM | FAST_PE)) == (FAST_PM | FAST_PE);
}

static enum x86_result from_sd(struct x86_cpu *c, const struct x86_insn *i, bool truncate)
{
    X86_SSE_ENTER(c);
    uint64_t v, r;
    if (x86_src64(c, i, &v))
        return X86_FAULT;
    if (!truncate || !fast_trunc(c->mxcsr, v, &r)) {
        struct sf_env env = x86_sse_env(c);
        r = (uint64_t)int_from64(&env, v, i->rex & 8 ? 64 : 32, truncate);
        if (x86_sse_finish(c, &env) != X86_NEXT)
            return X86_FAULT;
    }
    c->gpr[i->reg] = i->rex & 8 ? r : (uint32_t)r;
    return X86_NEXT;
}

enum x86_result x86_op_sse_cvtss2si(struct x86_cpu *c, const struct x86_insn *i)
{
    return from_ss(c, i, false);
}

enum x86_result x86_op_sse_cvttss2si(struct x86_cpu *c, const struct x86_insn *i)
{
    return from_ss(c, i, true);
}

enum x86_result x86_op_sse_cvtsd2si(struct x86_cpu *c, const struct x86_insn *i)
{
    return from_sd(c, i, false);
}

enum x86_result x86_op_sse_cvttsd2si(struct x86_cpu *c, const struct x86_insn *i)
{
    return from_sd(c, i, true);
}

/* Between precisions. */

enum x86_result x86_op_sse_cvtss2sd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint32_t v;
    if (x86_src32(c, i, &v))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    uint64_t r = widen(&env, v);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg].u64[0] = r;
    return X86_NEXT;
}

enum x86_result x86_op_sse_cvtsd2ss(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_src64(c, i, &v))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    uint32_t r = narrow(&env, v);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg].u32[0] = r;
    return X86_NEXT;
}

/* Defines x86_op_sse_NAME: source s read by @load, result r, env. */
#define CONVERT(name, load, ...)                                                                   \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s, r = {.u64 = {0, 0}};                                                      \
        if (load)                                                                                  \
            return X86_FAULT;                                                                      \
        struct sf_env env = x86_sse_env(c);                                                        \
        __VA_ARGS__;                                                                               \
        if (x86_sse_finish(c, &env) != X86_NEXT)                                                   \
            return X86_FAULT;                                                                      \
        c->xmm[i->reg] = r;                                                                        \
        return X86_NEXT;                                                                           \
    }
#define LANES(n) for (int k = 0; k < (n); k++)

/* clang-format off */
CONVERT(cvtps2pd, x86_src64(c, i, &s.u64[0]), LANES(2) r.u64[k] = widen(&env, s.u32[k]))
CONVERT(cvtpd2ps, x86_src128(c, i, &s), LANES(2) r.u32[k] = narrow(&env, s.u64[k]))
CONVERT(cvtdq2ps, x86_src128(c, i, &s), LANES(4) r.u32[k] = int_to32(&env, s.i32[k]))
CONVERT(cvtdq2pd, x86_src64(c, i, &s.u64[0]), LANES(2) r.u64[k] = int_to64(&env, s.i32[k]))
CONVERT(cvtps2dq, x86_src128(c, i, &s),
        LANES(4) r.i32[k] = (int32_t)int_from32(&env, s.u32[k], 32, false))
CONVERT(cvttps2dq, x86_src128(c, i, &s),
        LANES(4) r.i32[k] = (int32_t)int_from32(&env, s.u32[k], 32, true))
CONVERT(cvtpd2dq, x86_src128(c, i, &s),
        LANES(2) r.i32[k] = (int32_t)int_from64(&env, s.u64[k], 32, false))
CONVERT(cvttpd2dq, x86_src128(c, i, &s),
        LANES(2) r.i32[k] = (int32_t)int_from64(&env, s.u64[k], 32, true))
/* clang-format on */

/* MMX registers. Processors enter MMX mode even when the conversion raises #XM. */

/* The source of CVTPI2xx; x87 state matters and changes only when it is a register. */
static enum x86_result source_pi(struct x86_cpu *c, const struct x86_insn *i, union x86_xmm *ret)
{
    X86_SSE_ENTER(c);
    if (!i->mem) {
        X86_MMX_ENTER(c);
        x86_mmx_commit(c);
    }
    return x86_srcmm(c, i, &ret->u64[0]) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_cvtpi2ps(struct x86_cpu *c, const struct x86_insn *i)
{
    union x86_xmm s;
    if (source_pi(c, i, &s) != X86_NEXT)
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    uint32_t low = int_to32(&env, s.i32[0]), high = int_to32(&env, s.i32[1]);
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    c->xmm[i->reg].u32[0] = low;
    c->xmm[i->reg].u32[1] = high;
    return X86_NEXT;
}

enum x86_result x86_op_sse_cvtpi2pd(struct x86_cpu *c, const struct x86_insn *i)
{
    union x86_xmm s;
    if (source_pi(c, i, &s) != X86_NEXT)
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    c->xmm[i->reg] = (union x86_xmm){.u64 = {int_to64(&env, s.i32[0]), int_to64(&env, s.i32[1])}};
    return X86_NEXT;
}

static enum x86_result to_mmx(struct x86_cpu *c, const struct x86_insn *i, const struct sf_env *env,
                              int64_t low, int64_t high)
{
    x86_mmx_commit(c);
    if (x86_sse_finish(c, env) != X86_NEXT)
        return X86_FAULT;
    x86_mmx_set(c, i->reg, (uint32_t)low | (uint64_t)high << 32);
    return X86_NEXT;
}

static enum x86_result ps_to_mmx(struct x86_cpu *c, const struct x86_insn *i, bool truncate)
{
    X86_SSE_ENTER(c);
    X86_MMX_ENTER(c);
    union x86_xmm s;
    if (x86_src64(c, i, &s.u64[0]))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    int64_t low = int_from32(&env, s.u32[0], 32, truncate);
    int64_t high = int_from32(&env, s.u32[1], 32, truncate);
    return to_mmx(c, i, &env, low, high);
}

static enum x86_result pd_to_mmx(struct x86_cpu *c, const struct x86_insn *i, bool truncate)
{
    X86_SSE_ENTER(c);
    X86_MMX_ENTER(c);
    union x86_xmm s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    int64_t low = int_from64(&env, s.u64[0], 32, truncate);
    int64_t high = int_from64(&env, s.u64[1], 32, truncate);
    return to_mmx(c, i, &env, low, high);
}

enum x86_result x86_op_sse_cvtps2pi(struct x86_cpu *c, const struct x86_insn *i)
{
    return ps_to_mmx(c, i, false);
}

enum x86_result x86_op_sse_cvttps2pi(struct x86_cpu *c, const struct x86_insn *i)
{
    return ps_to_mmx(c, i, true);
}

enum x86_result x86_op_sse_cvtpd2pi(struct x86_cpu *c, const struct x86_insn *i)
{
    return pd_to_mmx(c, i, false);
}

enum x86_result x86_op_sse_cvttpd2pi(struct x86_cpu *c, const struct x86_insn *i)
{
    return pd_to_mmx(c, i, true);
}
