/* SPDX-License-Identifier: Apache-2.0 */
/* MXCSR around software floating point. Private to cpu/x86. */
#ifndef CPU_X86_SSE_FP_H
#define CPU_X86_SSE_FP_H

#include "cpu/x86/simd.h"
#include "cpu/x86/softfloat.h"

enum { MXCSR_DAZ = 1 << 6, MXCSR_MASKS_SHIFT = 7, MXCSR_RC_SHIFT = 13, MXCSR_FTZ = 1 << 15 };

static inline struct sf_env x86_sse_env(const struct x86_cpu *c)
{
    return (struct sf_env){
        .rounding = c->mxcsr >> MXCSR_RC_SHIFT & 3,
        .precision = 64,
        .masked = c->mxcsr >> MXCSR_MASKS_SHIFT & 0x3f,
        .daz = c->mxcsr & MXCSR_DAZ,
        .ftz = c->mxcsr & MXCSR_FTZ,
    };
}

/*
 * Moves the flags of an operation into MXCSR and raises #XM (#UD without CR4.OSXMMEXCPT) for
 * unmasked ones; the destination may be written only after X86_NEXT. An unmasked exception that is
 * found before computing keeps those of the result from being seen (vol. 1, 11.5.3).
 */
enum x86_result x86_sse_exceptions(struct x86_cpu *c, const struct sf_env *env);

static inline enum x86_result x86_sse_finish(struct x86_cpu *c, const struct sf_env *env)
{
    if (likely(!(env->flags & ~env->masked))) {
        c->mxcsr |= env->flags;
        return X86_NEXT;
    }
    return x86_sse_exceptions(c, env);
}

#endif
