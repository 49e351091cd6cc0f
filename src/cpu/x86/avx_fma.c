/* SPDX-License-Identifier: Apache-2.0 */
/* Fused multiply-add (FMA) and half-precision conversions (F16C). */
#include "cpu/x86/avx.h"
#include "cpu/x86/fp_fast.h"
#include "cpu/x86/sse_fp.h"
#include "x86-opcodes.h"

/* What is negated: the product, the addend. */
enum { PLUS, MINUS, N_PLUS = 2, N_MINUS = 3, ALTERNATE };

/*
 * Multiplicands a and b, addend c, by the order in the mnemonic (vol. 2, VFMADD132PD): opcode digit
 * 9 is 132, A 213, B 231. Operand 1 is the destination, 2 VEX.vvvv, 3 the last one.
 */
#define ORDER(i, one, two, three, a, b, c)                                                         \
    do {                                                                                           \
        switch ((i)->opcode >> 4) {                                                                \
        case 9:                                                                                    \
            a = one, b = three, c = two;                                                           \
            break;                                                                                 \
        case 10:                                                                                   \
            a = two, b = one, c = three;                                                           \
            break;                                                                                 \
        default:                                                                                   \
            a = two, b = three, c = one;                                                           \
            break;                                                                                 \
        }                                                                                          \
    } while (0)

/* The host's own instruction, where it may have one. */
#if defined(__x86_64__)
static bool host_has_fma(void)
{
    return __builtin_cpu_supports("fma");
}

static __attribute__((target("fma"))) float host_fma32(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

static __attribute__((target("fma"))) double host_fma64(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}
#else
static bool host_has_fma(void)
{
    return false;
}

static float host_fma32(float a, float b, float c)
{
    return a;
}

static double host_fma64(double a, double b, double c)
{
    return a;
}
#endif

/*
 * fast_fma: through the host, under the conditions of fp_fast.h; PE must be set already, because
 * whether the result is exact is not looked at.
 */
#define FUSED(bits, uint)                                                                          \
    static bool fast_fma##bits(uint32_t mxcsr, uint a, uint b, uint c, uint *ret)                  \
    {                                                                                              \
        if (!host_has_fma() || !fast_mode(mxcsr) || !(mxcsr & FAST_PE) ||                          \
            !fast_operand##bits(a) || !fast_operand##bits(b) || !fast_operand##bits(c))            \
            return false;                                                                          \
        *ret = fast_bits##bits(                                                                    \
            host_fma##bits(fast_real##bits(a), fast_real##bits(b), fast_real##bits(c)));           \
        return fast_normal##bits(*ret, 2);                                                         \
    }                                                                                              \
    static uint fma##bits(struct sf_env *env, uint32_t mxcsr, unsigned kind, uint a, uint b,       \
                          uint c)                                                                  \
    {                                                                                              \
        const uint sign = (uint)1 << (bits - 1);                                                   \
        uint r;                                                                                    \
        if (likely(fast_fma##bits(mxcsr, a ^ (kind & N_PLUS ? sign : 0), b,                        \
                                  c ^ (kind & MINUS ? sign : 0), &r)))                             \
            return r;                                                                              \
        struct sf_num x = sf_from##bits(env, a), y = sf_from##bits(env, b),                        \
                      z = sf_from##bits(env, c);                                                   \
        /* Signs of NaNs stay. */                                                                  \
        if (kind & N_PLUS && !sf_is_nan(&x))                                                       \
            x.sign = !x.sign;                                                                      \
        if (kind & MINUS && !sf_is_nan(&z))                                                        \
            z.sign = !z.sign;                                                                      \
        struct sf_num n = sf_fma(env, &x, &y, &z);                                                 \
        return sf_to##bits(env, &n);                                                               \
    }                                                                                              \
    static enum x86_result packed##bits(struct x86_cpu *c, const struct x86_insn *i,               \
                                        unsigned even, unsigned odd)                               \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm one = x86_ymm_get(c, i->reg), two = x86_ymm_get(c, i->vvvv), three, r;       \
        if (x86_avx_src(c, i, &three))                                                             \
            return X86_FAULT;                                                                      \
        struct sf_env env = x86_sse_env(c);                                                        \
        for (unsigned k = 0; k < x86_avx_bytes(i) / (bits / 8); k++) {                             \
            uint x, y, z;                                                                          \
            ORDER(i, one.u##bits[k], two.u##bits[k], three.u##bits[k], x, y, z);                   \
            r.u##bits[k] = fma##bits(&env, c->mxcsr, k & 1 ? odd : even, x, y, z);                 \
        }                                                                                          \
        if (x86_sse_finish(c, &env) != X86_NEXT)                                                   \
            return X86_FAULT;                                                                      \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    static enum x86_result scalar##bits(struct x86_cpu *c, const struct x86_insn *i,               \
                                        unsigned kind)                                             \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        uint three, x, y, z, r;                                                                    \
        if (x86_src##bits(c, i, &three))                                                           \
            return X86_FAULT;                                                                      \
        struct sf_env env = x86_sse_env(c);                                                        \
        ORDER(i, c->xmm[i->reg].u##bits[0], c->xmm[i->vvvv].u##bits[0], three, x, y, z);           \
        r = fma##bits(&env, c->mxcsr, kind, x, y, z);                                              \
        if (x86_sse_finish(c, &env) != X86_NEXT)                                                   \
            return X86_FAULT;                                                                      \
        c->xmm[i->reg].u##bits[0] = r;                                                             \
        c->ymmh[i->reg] = (union x86_xmm){.u64 = {0, 0}};                                          \
        return X86_NEXT;                                                                           \
    }
FUSED(32, uint32_t)
FUSED(64, uint64_t)

#define PACKED(name, even, odd)                                                                    \
    enum x86_result x86_op_avx_##name##ps(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        return packed32(c, i, even, odd);                                                          \
    }                                                                                              \
    enum x86_result x86_op_avx_##name##pd(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        return packed64(c, i, even, odd);                                                          \
    }
#define PACKED_AND_SCALAR(name, kind)                                                              \
    PACKED(name, kind, kind)                                                                       \
    enum x86_result x86_op_avx_##name##ss(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        return scalar32(c, i, kind);                                                               \
    }                                                                                              \
    enum x86_result x86_op_avx_##name##sd(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        return scalar64(c, i, kind);                                                               \
    }
PACKED(fmaddsub, MINUS, PLUS)
PACKED(fmsubadd, PLUS, MINUS)
PACKED_AND_SCALAR(fmadd, PLUS)
PACKED_AND_SCALAR(fmsub, MINUS)
PACKED_AND_SCALAR(fnmadd, N_PLUS)
PACKED_AND_SCALAR(fnmsub, N_MINUS)

/* Half precision. DAZ and FTZ mean nothing to it, and a denormal half raises nothing. */

enum x86_result x86_op_avx_cvtph2ps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_xmm s = c->xmm[i->rm & 15];
    union x86_ymm r;
    if (i->mem && (i->vlen ? x86_load128(c, i->seg, x86_ea(c, i), &s)
                           : x86_load64(c, i->seg, x86_ea(c, i), &s.u64[0])))
        return X86_FAULT;
    struct sf_env env = x86_sse_env(c);
    for (unsigned k = 0; k < (i->vlen ? 8 : 4); k++) {
        struct sf_num n = sf_from16(s.u16[k]);
        n.denormal = false;
        sf_operand(&env, &n);
        r.u32[k] = sf_to32(&env, &n);
    }
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    x86_avx_put(c, i->reg, &r, i->vlen);
    return X86_NEXT;
}

/* imm[2] takes MXCSR.RC instead of imm[1:0]. */
enum x86_result x86_op_avx_cvtps2ph(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm s = x86_ymm_get(c, i->reg);
    union x86_xmm r = {.u64 = {0, 0}};
    struct sf_env env = x86_sse_env(c);
    env.ftz = false;
    if (!(i->imm & 4))
        env.rounding = i->imm & 3;
    for (unsigned k = 0; k < (i->vlen ? 8 : 4); k++) {
        struct sf_num n = sf_from32(&env, s.u32[k]);
        sf_operand(&env, &n);
        r.u16[k] = sf_to16(&env, &n);
    }
    /* The exceptions come before those of the store. */
    unsigned bytes = i->vlen ? 16 : 8;
    if (i->mem && x86_probe_write(c, i->seg, x86_ea(c, i), bytes))
        return X86_FAULT;
    if (x86_sse_finish(c, &env) != X86_NEXT)
        return X86_FAULT;
    if (!i->mem) {
        x86_avx_put128(c, i->rm, r);
        return X86_NEXT;
    }
    if (i->vlen)
        return x86_store128(c, i->seg, x86_ea(c, i), r) ? X86_FAULT : X86_NEXT;
    return x86_store64(c, i->seg, x86_ea(c, i), r.u64[0]) ? X86_FAULT : X86_NEXT;
}
