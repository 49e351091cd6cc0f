/* SPDX-License-Identifier: Apache-2.0 */
/* SSE data movement: loads, stores, lane moves and masks. */
#include "cpu/x86/simd.h"
#include "x86-opcodes.h"

enum x86_result x86_sse_unavailable(struct x86_cpu *c)
{
    if ((c->cr0 & X86_CR0_EM) || !(c->cr4 & X86_CR4_OSFXSR))
        return x86_raise_ud(c);
    return x86_raise(c, X86_NM);
}

/* Whole registers. */

enum x86_result x86_op_sse_mov_rr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->reg] = c->xmm[i->rm];
    return X86_NEXT;
}

enum x86_result x86_op_sse_mov_rr_rev(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->rm] = c->xmm[i->reg];
    return X86_NEXT;
}

/*
 * Loads and stores of whole registers are what string functions are made of: a hit in the TLB needs
 * no call and no stack frame here.
 */
static inline uint8_t *quick_place(struct x86_cpu *c, const struct x86_insn *i, bool write,
                                   uint64_t align_mask)
{
    const struct x86_seg *s = &c->seg[i->seg];
    uint64_t off = (uint64_t)(int64_t)i->disp;
    if (unlikely(i->asize == X86_SIZE_16 || i->base == X86_NO_REG))
        return NULL; /* RIP-relative ones, too */
    off += c->gpr[i->base & 15];
    if (i->index != X86_NO_REG)
        off += c->gpr[i->index & 15] << (i->scale & 3);
    uint64_t lin = s->lin_base + (i->asize == X86_SIZE_32 ? (uint32_t)off : off);
    if (unlikely((lin & align_mask) || !(write ? s->flat_w : s->flat_r)))
        return NULL;
    return x86_tlb_hit(c, lin, 16, write);
}

static __attribute__((noinline)) enum x86_result load_slow(struct x86_cpu *c,
                                                           const struct x86_insn *i, bool aligned)
{
    uint64_t off = x86_ea(c, i);
    if (aligned && x86_misaligned16(c, i, off))
        return x86_raise_gp(c, 0);
    return x86_load128(c, i->seg, off, &c->xmm[i->reg]) ? X86_FAULT : X86_NEXT;
}

static __attribute__((noinline)) enum x86_result store_slow(struct x86_cpu *c,
                                                            const struct x86_insn *i, bool aligned)
{
    uint64_t off = x86_ea(c, i);
    if (aligned && x86_misaligned16(c, i, off))
        return x86_raise_gp(c, 0);
    return x86_store128(c, i->seg, off, c->xmm[i->reg]) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_load_a(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    const uint8_t *p = quick_place(c, i, false, 15);
    if (unlikely(!p))
        return load_slow(c, i, true);
    memcpy(&c->xmm[i->reg], p, 16);
    return X86_NEXT;
}

enum x86_result x86_op_sse_load_u(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    const uint8_t *p = quick_place(c, i, false, 0);
    if (unlikely(!p))
        return load_slow(c, i, false);
    memcpy(&c->xmm[i->reg], p, 16);
    return X86_NEXT;
}

enum x86_result x86_op_sse_store_a(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint8_t *p = quick_place(c, i, true, 15);
    if (unlikely(!p))
        return store_slow(c, i, true);
    memcpy(p, &c->xmm[i->reg], 16);
    return X86_NEXT;
}

enum x86_result x86_op_sse_store_u(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint8_t *p = quick_place(c, i, true, 0);
    if (unlikely(!p))
        return store_slow(c, i, false);
    memcpy(p, &c->xmm[i->reg], 16);
    return X86_NEXT;
}

/* Scalars: loads clear the rest of the register, register moves keep it. */

enum x86_result x86_op_sse_load32(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint32_t v;
    if (x86_load32(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u64 = {v, 0}};
    return X86_NEXT;
}

enum x86_result x86_op_sse_load64(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_load64(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u64 = {v, 0}};
    return X86_NEXT;
}

enum x86_result x86_op_sse_store32(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return x86_store32(c, i->seg, x86_ea(c, i), c->xmm[i->reg].u32[0]) ? X86_FAULT : X86_NEXT;
}

/* The low (high) half to memory. */
enum x86_result x86_op_sse_store64(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return x86_store64(c, i->seg, x86_ea(c, i), c->xmm[i->reg].u64[0]) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_store_hi(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return x86_store64(c, i->seg, x86_ea(c, i), c->xmm[i->reg].u64[1]) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_movss_rr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->reg].u32[0] = c->xmm[i->rm].u32[0];
    return X86_NEXT;
}

enum x86_result x86_op_sse_movss_rr_rev(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->rm].u32[0] = c->xmm[i->reg].u32[0];
    return X86_NEXT;
}

enum x86_result x86_op_sse_movsd_rr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->reg].u64[0] = c->xmm[i->rm].u64[0];
    return X86_NEXT;
}

enum x86_result x86_op_sse_movsd_rr_rev(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->rm].u64[0] = c->xmm[i->reg].u64[0];
    return X86_NEXT;
}

/* Halves. */

enum x86_result x86_op_sse_load_lo(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return x86_load64(c, i->seg, x86_ea(c, i), &c->xmm[i->reg].u64[0]) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_load_hi(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return x86_load64(c, i->seg, x86_ea(c, i), &c->xmm[i->reg].u64[1]) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_movhlps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->reg].u64[0] = c->xmm[i->rm].u64[1];
    return X86_NEXT;
}

enum x86_result x86_op_sse_movlhps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->reg].u64[1] = c->xmm[i->rm].u64[0];
    return X86_NEXT;
}

/* MOVQ between XMM registers: clears the upper half. */
enum x86_result x86_op_sse_movq_rr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->reg] = (union x86_xmm){.u64 = {c->xmm[i->rm].u64[0], 0}};
    return X86_NEXT;
}

enum x86_result x86_op_sse_movq_rr_rev(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->xmm[i->rm] = (union x86_xmm){.u64 = {c->xmm[i->reg].u64[0], 0}};
    return X86_NEXT;
}

/* MOVD, MOVQ to and from general registers and memory. */

enum x86_result x86_op_sse_movd_load(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_srcgy(c, i, &v))
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u64 = {v, 0}};
    return X86_NEXT;
}

enum x86_result x86_op_sse_movd_store(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v = c->xmm[i->reg].u64[0];
    if (!i->mem) {
        c->gpr[i->rm] = i->rex & 8 ? v : (uint32_t)v;
        return X86_NEXT;
    }
    if (i->rex & 8)
        return x86_store64(c, i->seg, x86_ea(c, i), v) ? X86_FAULT : X86_NEXT;
    return x86_store32(c, i->seg, x86_ea(c, i), (uint32_t)v) ? X86_FAULT : X86_NEXT;
}

/* SSE3 duplicates. */

enum x86_result x86_op_sse_movddup(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_src64(c, i, &v))
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u64 = {v, v}};
    return X86_NEXT;
}

enum x86_result x86_op_sse_movsldup(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u32 = {s.u32[0], s.u32[0], s.u32[2], s.u32[2]}};
    return X86_NEXT;
}

enum x86_result x86_op_sse_movshdup(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    c->xmm[i->reg] = (union x86_xmm){.u32 = {s.u32[1], s.u32[1], s.u32[3], s.u32[3]}};
    return X86_NEXT;
}

/* Sign masks into a general register (zero-extended to 64 bits). */

enum x86_result x86_op_sse_movmskps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    const union x86_xmm *s = &c->xmm[i->rm];
    uint64_t m = 0;
    for (int k = 0; k < 4; k++)
        m |= (uint64_t)(s->u32[k] >> 31) << k;
    c->gpr[i->reg] = m;
    return X86_NEXT;
}

enum x86_result x86_op_sse_movmskpd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    const union x86_xmm *s = &c->xmm[i->rm];
    c->gpr[i->reg] = s->u64[0] >> 63 | s->u64[1] >> 63 << 1;
    return X86_NEXT;
}

enum x86_result x86_op_sse_pmovmskb(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->gpr[i->reg] = x86_byte_signs(&c->xmm[i->rm]);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_pmovmskb(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    x86_mmx_commit(c);
    union x86_xmm s = {.u64 = {x86_mmx_get(c, i->rm), 0}};
    c->gpr[i->reg] = x86_byte_signs(&s);
    return X86_NEXT;
}

/*
 * Byte-masked store to DS:rDI. Only selected bytes are looked at, so an empty mask never faults
 * (implementation specific, vol. 2 MASKMOVDQU).
 */
static int store_masked(struct x86_cpu *c, const struct x86_insn *i, const uint8_t *bytes,
                        const uint8_t *mask, unsigned n)
{
    static const uint64_t asize_mask[] = {0, 0xffff, 0xffffffff, UINT64_MAX};
    uint64_t am = asize_mask[i->asize & 3];
    for (unsigned k = 0; k < n; k++) {
        if ((mask[k] & 0x80) && x86_probe_write(c, i->seg, (c->gpr[X86_RDI] + k) & am, 1))
            return X86_FAULT;
    }
    for (unsigned k = 0; k < n; k++) {
        if ((mask[k] & 0x80) && x86_store8(c, i->seg, (c->gpr[X86_RDI] + k) & am, bytes[k]))
            return X86_FAULT;
    }
    return 0;
}

enum x86_result x86_op_sse_maskmovdqu(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return store_masked(c, i, c->xmm[i->reg].u8, c->xmm[i->rm].u8, 16) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_mmx_maskmovq(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    union x86_xmm bytes = {.u64 = {x86_mmx_get(c, i->reg), 0}};
    union x86_xmm mask = {.u64 = {x86_mmx_get(c, i->rm), 0}};
    if (store_masked(c, i, bytes.u8, mask.u8, 8))
        return X86_FAULT;
    x86_mmx_commit(c);
    return X86_NEXT;
}
