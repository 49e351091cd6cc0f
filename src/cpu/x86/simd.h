/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the execution functions of MMX and SSE instructions share: availability checks, operand
 * access and a 128-bit value with lane views. Private to cpu/x86.
 *
 * Lane arithmetic is written with the compiler's vector types, which every target supports (they
 * become plain integer code where the target has no vector unit).
 */
#ifndef CPU_X86_SIMD_H
#define CPU_X86_SIMD_H

#include "cpu/x86/access.h"
#include "cpu/x86/exc.h"

typedef uint8_t x86_vu8 __attribute__((vector_size(16)));
typedef uint16_t x86_vu16 __attribute__((vector_size(16)));
typedef uint32_t x86_vu32 __attribute__((vector_size(16)));
typedef uint64_t x86_vu64 __attribute__((vector_size(16)));
typedef int8_t x86_vi8 __attribute__((vector_size(16)));
typedef int16_t x86_vi16 __attribute__((vector_size(16)));
typedef int32_t x86_vi32 __attribute__((vector_size(16)));
typedef int64_t x86_vi64 __attribute__((vector_size(16)));

union x86_vec {
    union x86_xmm x;
    x86_vu8 u8;
    x86_vu16 u16;
    x86_vu32 u32;
    x86_vu64 u64;
    x86_vi8 i8;
    x86_vi16 i16;
    x86_vi32 i32;
    x86_vi64 i64;
};

/*
 * The top bits of 16 bytes. The multiplication moves bit 8k of the masked word to bit 56 + k
 * without carries.
 */
static inline uint32_t x86_byte_signs(const union x86_xmm *v)
{
    const uint64_t ones = 0x0101010101010101u, gather = 0x0102040810204080u;
    uint64_t low = (v->u64[0] >> 7 & ones) * gather >> 56;
    uint64_t high = (v->u64[1] >> 7 & ones) * gather >> 56;
    return (uint32_t)(low | high << 8);
}

/* Raises #UD or #NM as CR0 and CR4 demand (vol. 3, table 14-1 to 14-3 of the SSE conditions). */
enum x86_result x86_sse_unavailable(struct x86_cpu *c);
/* The same for MMX: #UD, #NM, pending #MF. */
enum x86_result x86_mmx_unavailable(struct x86_cpu *c);

static inline bool x86_sse_off(const struct x86_cpu *c)
{
    return unlikely((c->cr0 & (X86_CR0_EM | X86_CR0_TS)) || !(c->cr4 & X86_CR4_OSFXSR));
}

/* Start of every SSE instruction that touches XMM registers or MXCSR. */
#define X86_SSE_ENTER(c)                                                                           \
    do {                                                                                           \
        if (x86_sse_off(c))                                                                        \
            return x86_sse_unavailable(c);                                                         \
    } while (0)

/*
 * Start of every MMX instruction. The transition to MMX mode (x86_mmx_commit) comes when nothing
 * can fault any more. Bit 7 of the x87 status word is the error summary.
 */
#define X86_MMX_ENTER(c)                                                                           \
    do {                                                                                           \
        if (unlikely((c)->cr0 & (X86_CR0_EM | X86_CR0_TS)) || unlikely((c)->fpu.sw & 0x80)) {      \
            enum x86_result mmx_result_ = x86_mmx_unavailable(c);                                  \
            if (mmx_result_ != X86_NEXT)                                                           \
                return mmx_result_;                                                                \
        }                                                                                          \
    } while (0)

/* TOP becomes 0 and all tags valid (vol. 1, 9.5.1). */
static inline void x86_mmx_commit(struct x86_cpu *c)
{
    c->fpu.top = 0;
    c->fpu.tag = 0xff;
}

static inline uint64_t x86_mmx_get(const struct x86_cpu *c, unsigned reg)
{
    return c->fpu.st[reg & 7].frac;
}

static inline void x86_mmx_set(struct x86_cpu *c, unsigned reg, uint64_t v)
{
    c->fpu.st[reg & 7].frac = v;
    c->fpu.st[reg & 7].se = 0xffff;
}

static inline bool x86_misaligned16(const struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    return unlikely((c->seg[i->seg].lin_base + off) & 15);
}

/* Source operand of 16 bytes that must be aligned in memory. Nonzero after a fault, as all here. */
static inline int x86_src128(struct x86_cpu *c, const struct x86_insn *i, union x86_xmm *ret)
{
    if (!i->mem) {
        *ret = c->xmm[i->rm];
        return 0;
    }
    uint64_t off = x86_ea(c, i);
    if (x86_misaligned16(c, i, off))
        return x86_raise_gp(c, 0);
    return x86_load128(c, i->seg, off, ret);
}

/* Source operand of 16 bytes without alignment. */
static inline int x86_src128u(struct x86_cpu *c, const struct x86_insn *i, union x86_xmm *ret)
{
    if (!i->mem) {
        *ret = c->xmm[i->rm];
        return 0;
    }
    return x86_load128(c, i->seg, x86_ea(c, i), ret);
}

/* Low lane of a register or 8, 4 bytes of memory. */
static inline int x86_src64(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret)
{
    if (!i->mem) {
        *ret = c->xmm[i->rm].u64[0];
        return 0;
    }
    return x86_load64(c, i->seg, x86_ea(c, i), ret);
}

static inline int x86_src32(struct x86_cpu *c, const struct x86_insn *i, uint32_t *ret)
{
    if (!i->mem) {
        *ret = c->xmm[i->rm].u32[0];
        return 0;
    }
    return x86_load32(c, i->seg, x86_ea(c, i), ret);
}

/* MMX register or 8 bytes of memory. */
static inline int x86_srcmm(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret)
{
    if (!i->mem) {
        *ret = x86_mmx_get(c, i->rm);
        return 0;
    }
    return x86_load64(c, i->seg, x86_ea(c, i), ret);
}

/* General register or memory, 32 bits or with REX.W 64. */
static inline int x86_srcgy(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret)
{
    if (!i->mem) {
        *ret = i->rex & 8 ? c->gpr[i->rm] : (uint32_t)c->gpr[i->rm];
        return 0;
    }
    if (i->rex & 8)
        return x86_load64(c, i->seg, x86_ea(c, i), ret);
    uint32_t v;
    if (x86_load32(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    *ret = v;
    return 0;
}

#endif
