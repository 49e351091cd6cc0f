/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shortcuts through the host's float and double where they provably give the same bits and the
 * same MXCSR as softfloat.h: rounding to nearest, operands normal or zero, result normal and not
 * next to the denormals (or a zero that is exact), so that inexact is the only possible exception;
 * that one must be masked, and either be set already or be excluded by showing the result exact.
 * Each function returns false when that cannot be shown; the caller then takes the slow path.
 *
 * Hosts that evaluate in excess precision have no shortcuts. The files that include this are built
 * without contraction into fused operations.
 */
#ifndef CPU_X86_FP_FAST_H
#define CPU_X86_FP_FAST_H

#include "cpu/x86/cpu.h"

#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 0 && !defined(ISOLA_NO_FAST_FP)
enum { X86_FP_FAST = 1 };
#else
enum { X86_FP_FAST = 0 };
#endif

enum { FAST_RC = 3 << 13, FAST_PM = 1 << 12, FAST_PE = 1 << 5, FAST_DAZ = 1 << 6 };

/* Rounding to nearest with inexact masked. */
static inline bool fast_mode(uint32_t mxcsr)
{
    return X86_FP_FAST && likely((mxcsr & (FAST_RC | FAST_PM)) == FAST_PM);
}

#define FAST_FORMAT(bits, uint, real, mant, emax)                                                  \
    static inline real fast_real##bits(uint v)                                                     \
    {                                                                                              \
        real r;                                                                                    \
        memcpy(&r, &v, sizeof(r));                                                                 \
        return r;                                                                                  \
    }                                                                                              \
    static inline uint fast_bits##bits(real v)                                                     \
    {                                                                                              \
        uint r;                                                                                    \
        memcpy(&r, &v, sizeof(r));                                                                 \
        return r;                                                                                  \
    }                                                                                              \
    static inline bool fast_zero##bits(uint v)                                                     \
    {                                                                                              \
        return (uint)(v << 1) == 0;                                                                \
    }                                                                                              \
    /* Normal with at least @low as exponent field. */                                             \
    static inline bool fast_normal##bits(uint v, unsigned low)                                     \
    {                                                                                              \
        return (unsigned)(v >> mant & (emax)) - low < (emax)-low;                                  \
    }                                                                                              \
    static inline bool fast_operand##bits(uint v)                                                  \
    {                                                                                              \
        return likely(fast_normal##bits(v, 1)) || fast_zero##bits(v);                              \
    }                                                                                              \
    /* Trailing zeros of the significand. */                                                       \
    static inline unsigned fast_ctz##bits(uint v)                                                  \
    {                                                                                              \
        return (unsigned)__builtin_ctzll((uint64_t)v | UINT64_C(1) << mant);                       \
    }                                                                                              \
    static inline bool fast_sum_exact##bits(real a, real b, real r)                                \
    {                                                                                              \
        real bb = r - a;                                                                           \
        real aa = r - bb;                                                                          \
        return (a - aa) + (b - bb) == 0;                                                           \
    }                                                                                              \
    static inline bool fast_add##bits(uint32_t mxcsr, uint a, uint b, uint *ret)                   \
    {                                                                                              \
        real ra = fast_real##bits(a), rb = fast_real##bits(b), r = ra + rb;                        \
        *ret = fast_bits##bits(r);                                                                 \
        return fast_mode(mxcsr) && fast_operand##bits(a) && fast_operand##bits(b) &&               \
               (fast_normal##bits(*ret, 2) || fast_zero##bits(*ret)) &&                            \
               ((mxcsr & FAST_PE) || fast_sum_exact##bits(ra, rb, r));                             \
    }                                                                                              \
    static inline bool fast_sub##bits(uint32_t mxcsr, uint a, uint b, uint *ret)                   \
    {                                                                                              \
        return fast_add##bits(mxcsr, a, b ^ (uint)1 << (bits - 1), ret);                           \
    }                                                                                              \
    static inline bool fast_mul##bits(uint32_t mxcsr, uint a, uint b, uint *ret)                   \
    {                                                                                              \
        real r = fast_real##bits(a) * fast_real##bits(b);                                          \
        *ret = fast_bits##bits(r);                                                                 \
        if (!fast_mode(mxcsr) || !fast_operand##bits(a) || !fast_operand##bits(b))                 \
            return false;                                                                          \
        if (fast_zero##bits(a) || fast_zero##bits(b))                                              \
            return true;                                                                           \
        return fast_normal##bits(*ret, 2) &&                                                       \
               ((mxcsr & FAST_PE) || fast_ctz##bits(a) + fast_ctz##bits(b) > mant);                \
    }                                                                                              \
    static inline bool fast_div##bits(uint32_t mxcsr, uint a, uint b, uint *ret)                   \
    {                                                                                              \
        if (!fast_mode(mxcsr) || !fast_normal##bits(a, 1) || !fast_normal##bits(b, 1))             \
            return false;                                                                          \
        real r = fast_real##bits(a) / fast_real##bits(b);                                          \
        *ret = fast_bits##bits(r);                                                                 \
        return fast_normal##bits(*ret, 2) &&                                                       \
               ((mxcsr & FAST_PE) || (fast_ctz##bits(*ret) + fast_ctz##bits(b) > mant &&           \
                                      r * fast_real##bits(b) == fast_real##bits(a)));              \
    }                                                                                              \
    static inline bool fast_ordered##bits(uint32_t mxcsr, uint a, uint b)                          \
    {                                                                                              \
        return X86_FP_FAST && fast_operand##bits(a) && fast_operand##bits(b);                      \
    }                                                                                              \
    static inline bool fast_min##bits(uint32_t mxcsr, uint a, uint b, uint *ret)                   \
    {                                                                                              \
        *ret = fast_real##bits(a) < fast_real##bits(b) ? a : b;                                    \
        return fast_ordered##bits(mxcsr, a, b);                                                    \
    }                                                                                              \
    static inline bool fast_max##bits(uint32_t mxcsr, uint a, uint b, uint *ret)                   \
    {                                                                                              \
        *ret = fast_real##bits(a) > fast_real##bits(b) ? a : b;                                    \
        return fast_ordered##bits(mxcsr, a, b);                                                    \
    }
FAST_FORMAT(32, uint32_t, float, 23, 0xff)
FAST_FORMAT(64, uint64_t, double, 52, 0x7ff)

/* Square roots: @a, the unused first operand, keeps the shape of the others. */
static inline bool fast_sqrt32(uint32_t mxcsr, uint32_t a, uint32_t b, uint32_t *ret)
{
    if (!fast_mode(mxcsr) || b >> 31 || !fast_normal32(b, 1))
        return false;
    float r = __builtin_sqrtf(fast_real32(b));
    *ret = fast_bits32(r);
    return (mxcsr & FAST_PE) || (2 * fast_ctz32(*ret) > 23 && r * r == fast_real32(b));
}

static inline bool fast_sqrt64(uint32_t mxcsr, uint64_t a, uint64_t b, uint64_t *ret)
{
    if (!fast_mode(mxcsr) || b >> 63 || !fast_normal64(b, 1))
        return false;
    double r = __builtin_sqrt(fast_real64(b));
    *ret = fast_bits64(r);
    return (mxcsr & FAST_PE) || (2 * fast_ctz64(*ret) > 52 && r * r == fast_real64(b));
}

#endif
