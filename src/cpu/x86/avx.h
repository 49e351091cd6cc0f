/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the execution functions of VEX-encoded vector instructions share. Private to cpu/x86.
 *
 * i->vlen is 1 for 256 bits; every write of a register clears what is above the operand size.
 * Memory operands need no alignment, but for the few instructions that demand it. CR0.EM and
 * CR4.OSFXSR mean nothing to these instructions (vol. 2, 2.5).
 */
#ifndef CPU_X86_AVX_H
#define CPU_X86_AVX_H

#include "cpu/x86/simd.h"

/* Raises #UD or #NM as CR4, XCR0 and CR0 demand. */
enum x86_result x86_avx_unavailable(struct x86_cpu *c);

static inline bool x86_avx_off(const struct x86_cpu *c)
{
    const unsigned need = X86_XCR0_SSE | X86_XCR0_AVX;
    return unlikely((c->cr0 & X86_CR0_TS) || !(c->cr4 & X86_CR4_OSXSAVE) ||
                    (c->xcr0 & need) != need);
}

/* Start of every VEX instruction that touches vector registers. */
#define X86_AVX_ENTER(c)                                                                           \
    do {                                                                                           \
        if (x86_avx_off(c))                                                                        \
            return x86_avx_unavailable(c);                                                         \
    } while (0)

static inline unsigned x86_avx_bytes(const struct x86_insn *i)
{
    return i->vlen ? 32 : 16;
}

/* Source operand of the vector size, in 128-bit instructions only its lower lane. Nonzero after a
 * fault. */
static inline int x86_avx_src(struct x86_cpu *c, const struct x86_insn *i, union x86_ymm *ret)
{
    if (!i->mem) {
        *ret = x86_ymm_get(c, i->rm);
        return 0;
    }
    if (i->vlen)
        return x86_load256(c, i->seg, x86_ea(c, i), ret);
    return x86_load128(c, i->seg, x86_ea(c, i), &ret->x[0]);
}

static inline void x86_avx_put(struct x86_cpu *c, unsigned reg, const union x86_ymm *v,
                               unsigned vlen)
{
    c->xmm[reg] = v->x[0];
    if (vlen)
        c->ymmh[reg] = v->x[1];
    else
        c->ymmh[reg] = (union x86_xmm){.u64 = {0, 0}};
}

static inline void x86_avx_put128(struct x86_cpu *c, unsigned reg, union x86_xmm v)
{
    c->xmm[reg] = v;
    c->ymmh[reg] = (union x86_xmm){.u64 = {0, 0}};
}

#endif
