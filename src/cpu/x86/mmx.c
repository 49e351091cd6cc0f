/* SPDX-License-Identifier: Apache-2.0 */
/* MMX instructions that have no 128-bit twin: moves, EMMS, transfers between MMX and XMM. */
#include "cpu/x86/fpu.h"
#include "cpu/x86/simd.h"
#include "x86-opcodes.h"

enum x86_result x86_mmx_unavailable(struct x86_cpu *c)
{
    if (c->cr0 & X86_CR0_EM)
        return x86_raise_ud(c);
    if (c->cr0 & X86_CR0_TS)
        return x86_raise(c, X86_NM);
    return x86_fpu_pending(c);
}

enum x86_result x86_op_mmx_movd_load(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t v;
    if (x86_srcgy(c, i, &v))
        return X86_FAULT;
    x86_mmx_commit(c);
    x86_mmx_set(c, i->reg, v);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_movd_store(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t v = x86_mmx_get(c, i->reg);
    if (!i->mem) {
        c->gpr[i->rm] = i->rex & 8 ? v : (uint32_t)v;
    } else if (i->rex & 8) {
        if (x86_store64(c, i->seg, x86_ea(c, i), v))
            return X86_FAULT;
    } else if (x86_store32(c, i->seg, x86_ea(c, i), (uint32_t)v)) {
        return X86_FAULT;
    }
    x86_mmx_commit(c);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_movq_load(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t v;
    if (x86_srcmm(c, i, &v))
        return X86_FAULT;
    x86_mmx_commit(c);
    x86_mmx_set(c, i->reg, v);
    return X86_NEXT;
}

/* MOVQ and MOVNTQ stores. */
enum x86_result x86_op_mmx_movq_store(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t v = x86_mmx_get(c, i->reg);
    if (i->mem) {
        if (x86_store64(c, i->seg, x86_ea(c, i), v))
            return X86_FAULT;
        x86_mmx_commit(c);
    } else {
        x86_mmx_commit(c);
        x86_mmx_set(c, i->rm, v);
    }
    return X86_NEXT;
}

enum x86_result x86_op_mmx_emms(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    c->fpu.tag = 0;
    c->fpu.top = 0;
    return X86_NEXT;
}

/* MOVQ2DQ, MOVDQ2Q: both sets of conditions hold, SSE's checked first. */
enum x86_result x86_op_mmx_movq2dq(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    X86_MMX_ENTER(c);
    x86_mmx_commit(c);
    c->xmm[i->reg] = (union x86_xmm){.u64 = {x86_mmx_get(c, i->rm), 0}};
    return X86_NEXT;
}

enum x86_result x86_op_mmx_movdq2q(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    X86_MMX_ENTER(c);
    x86_mmx_commit(c);
    x86_mmx_set(c, i->reg, c->xmm[i->rm].u64[0]);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_pshufw(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t s, r = 0;
    if (x86_srcmm(c, i, &s))
        return X86_FAULT;
    for (unsigned k = 0; k < 4; k++)
        r |= (s >> ((i->imm >> (2 * k)) & 3) * 16 & 0xffff) << (16 * k);
    x86_mmx_commit(c);
    x86_mmx_set(c, i->reg, r);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_pinsrw(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint16_t v = (uint16_t)c->gpr[i->rm];
    if (i->mem && x86_load16(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    x86_mmx_commit(c);
    unsigned sh = (i->imm & 3) * 16;
    x86_mmx_set(c, i->reg,
                (x86_mmx_get(c, i->reg) & ~((uint64_t)0xffff << sh)) | (uint64_t)v << sh);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_pextrw(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    x86_mmx_commit(c);
    c->gpr[i->reg] = x86_mmx_get(c, i->rm) >> (i->imm & 3) * 16 & 0xffff;
    return X86_NEXT;
}

enum x86_result x86_op_mmx_palignr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t s;
    if (x86_srcmm(c, i, &s))
        return X86_FAULT;
    x86_mmx_commit(c);
    unsigned n = (uint8_t)i->imm;
    uint64_t d = x86_mmx_get(c, i->reg), r = 0;
    if (n < 8)
        r = n ? s >> (8 * n) | d << (64 - 8 * n) : s;
    else if (n < 16)
        r = d >> (8 * (n - 8));
    x86_mmx_set(c, i->reg, r);
    return X86_NEXT;
}

enum x86_result x86_op_mmx_pshufb(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_MMX_ENTER(c);
    uint64_t s, r = 0;
    if (x86_srcmm(c, i, &s))
        return X86_FAULT;
    x86_mmx_commit(c);
    uint64_t d = x86_mmx_get(c, i->reg);
    for (unsigned k = 0; k < 8; k++) {
        uint8_t sel = (uint8_t)(s >> (8 * k));
        if (!(sel & 0x80))
            r |= (d >> (8 * (sel & 7)) & 0xff) << (8 * k);
    }
    x86_mmx_set(c, i->reg, r);
    return X86_NEXT;
}
