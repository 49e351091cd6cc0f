/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR, LDMXCSR, STMXCSR.
 *
 * The legacy region (vol. 1, 10.5.1 and 13.4.1): bytes 0-23 x87 control, 24-31 MXCSR and its mask,
 * 32-159 ST(0)-ST(7) or MM0-MM7, 160-415 XMM0-XMM15 (XMM8-15 only in 64-bit mode); 416-511 are
 * never touched. XSAVE adds a header at 512: XSTATE_BV, XCOMP_BV and 48 reserved bytes.
 */
#include "cpu/x86/fpu.h"
#include "cpu/x86/simd.h"
#include "x86-opcodes.h"

enum {
    AREA_X87 = 0,
    AREA_MXCSR = 24,
    AREA_ST = 32,
    AREA_XMM = 160,
    AREA_USED = 416,
    AREA_HDR = 512
};
enum { XSTATE_X87 = 1, XSTATE_SSE = 2 };

static unsigned xmm_count(const struct x86_cpu *c)
{
    return c->mode == X86_MODE_64 ? 16 : 8;
}

/* The 24 bytes of x87 control state; @wide: REX.W, 64-bit pointers without selectors. */
static void put_control(const struct x86_cpu *c, uint8_t *p, bool wide)
{
    const struct x86_fpu *f = &c->fpu;
    store_le16(p, f->cw);
    store_le16(p + 2, x86_fpu_sw(f));
    store_le16(p + 4, f->tag);
    store_le16(p + 6, f->fop);
    store_le64(p + 8, wide ? f->fip : (uint32_t)f->fip | (uint64_t)f->fcs << 32);
    store_le64(p + 16, wide ? f->fdp : (uint32_t)f->fdp | (uint64_t)f->fds << 32);
}

static void put_st(const struct x86_fpu *f, uint8_t *p)
{
    for (unsigned k = 0; k < 8; k++) {
        const struct x86_f80 *r = &f->st[(f->top + k) & 7];
        store_le64(p + 16 * k, r->frac);
        store_le64(p + 16 * k + 8, r->se);
    }
}

static void get_control(struct x86_cpu *c, const uint8_t *p, bool wide)
{
    struct x86_fpu *f = &c->fpu;
    x86_fpu_set_cw(f, load_le16(p));
    x86_fpu_set_sw(f, load_le16(p + 2));
    f->tag = p[4];
    f->fop = load_le16(p + 6) & 0x7ff;
    f->fip = wide ? load_le64(p + 8) : load_le32(p + 8);
    f->fdp = wide ? load_le64(p + 16) : load_le32(p + 16);
    f->fcs = wide ? 0 : load_le16(p + 12);
    f->fds = wide ? 0 : load_le16(p + 20);
    x86_fpu_update_es(c);
}

static void get_st(struct x86_fpu *f, const uint8_t *p)
{
    for (unsigned k = 0; k < 8; k++) {
        struct x86_f80 *r = &f->st[(f->top + k) & 7];
        r->frac = load_le64(p + 16 * k);
        r->se = load_le16(p + 16 * k + 8);
    }
}

static int store_bytes(struct x86_cpu *c, const struct x86_insn *i, uint64_t off,
                       const uint8_t *bytes, unsigned from, unsigned to)
{
    for (unsigned k = from; k < to; k += 8)
        if (x86_store64(c, i->seg, off + k, load_le64(bytes + k)))
            return X86_FAULT;
    return 0;
}

static int load_bytes(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, uint8_t *bytes,
                      unsigned from, unsigned to)
{
    for (unsigned k = from; k < to; k += 8) {
        uint64_t v;
        if (x86_load64(c, i->seg, off + k, &v))
            return X86_FAULT;
        store_le64(bytes + k, v);
    }
    return 0;
}

/* #GP(0), but of a stack operand the segment is looked at first (#SS), unlike SSE operands. */
static enum x86_result raise_misaligned(struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    uint64_t lin;

    if (x86_linear(c, i->seg, off, 16, false, &lin))
        return X86_FAULT;
    return x86_raise_gp(c, 0);
}

enum x86_result x86_op_fxsave(struct x86_cpu *c, const struct x86_insn *i)
{
    if (c->cr0 & (X86_CR0_EM | X86_CR0_TS))
        return x86_raise(c, X86_NM);
    uint64_t off = x86_ea(c, i);
    if (x86_misaligned16(c, i, off))
        return raise_misaligned(c, i, off);
    if (x86_probe_write(c, i->seg, off, 512))
        return X86_FAULT;
    uint8_t area[AREA_USED];
    put_control(c, area, i->rex & 8);
    store_le32(area + AREA_MXCSR, c->mxcsr);
    store_le32(area + AREA_MXCSR + 4, x86_mxcsr_mask(c));
    put_st(&c->fpu, area + AREA_ST);
    unsigned n = xmm_count(c);
    memcpy(area + AREA_XMM, c->xmm, n * 16);
    return store_bytes(c, i, off, area, 0, AREA_XMM + n * 16) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_fxrstor(struct x86_cpu *c, const struct x86_insn *i)
{
    if (c->cr0 & (X86_CR0_EM | X86_CR0_TS))
        return x86_raise(c, X86_NM);
    uint64_t off = x86_ea(c, i);
    if (x86_misaligned16(c, i, off))
        return raise_misaligned(c, i, off);
    if (x86_probe_read(c, i->seg, off, 512))
        return X86_FAULT;
    uint8_t area[AREA_USED];
    unsigned n = xmm_count(c);
    if (load_bytes(c, i, off, area, 0, AREA_XMM + n * 16))
        return X86_FAULT;
    uint32_t mxcsr = load_le32(area + AREA_MXCSR);
    if (mxcsr & ~x86_mxcsr_mask(c))
        return x86_raise_gp(c, 0);
    get_control(c, area, i->rex & 8);
    get_st(&c->fpu, area + AREA_ST);
    c->mxcsr = mxcsr;
    memcpy(c->xmm, area + AREA_XMM, n * 16);
    return X86_NEXT;
}

/* Common conditions of the XSAVE family; *ret_off is the area's address. */
static enum x86_result xsave_enter(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret_off,
                                   uint64_t *ret_rfbm)
{
    if (!(c->cr4 & X86_CR4_OSXSAVE))
        return x86_raise_ud(c);
    if (c->cr0 & X86_CR0_TS)
        return x86_raise(c, X86_NM);
    *ret_off = x86_ea(c, i);
    if ((c->seg[i->seg].lin_base + *ret_off) & 63)
        return x86_raise_gp(c, 0);
    *ret_rfbm =
        ((uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32) & c->xcr0 & (XSTATE_X87 | XSTATE_SSE);
    return X86_NEXT;
}

/* State components that are not in their initial configuration (vol. 1, 13.6). */
static uint64_t xinuse(const struct x86_cpu *c)
{
    const struct x86_fpu *f = &c->fpu;
    uint64_t used = 0;
    if (f->cw != X87_CW_INIT || f->sw || f->top || f->tag || f->fop || f->fcs || f->fds || f->fip ||
        f->fdp)
        used |= XSTATE_X87;
    for (unsigned k = 0; k < 8; k++)
        if (f->st[k].frac || f->st[k].se)
            used |= XSTATE_X87;
    for (unsigned k = 0; k < xmm_count(c); k++)
        if (c->xmm[k].u64[0] | c->xmm[k].u64[1])
            used |= XSTATE_SSE;
    return used;
}

/* Standard format; @skip holds components that need not be written (XSAVEOPT's init ones). */
static enum x86_result xsave(struct x86_cpu *c, const struct x86_insn *i, bool optimise)
{
    uint64_t off, rfbm, bv;
    enum x86_result r = xsave_enter(c, i, &off, &rfbm);
    if (r != X86_NEXT)
        return r;
    if (x86_probe_write(c, i->seg, off, AREA_HDR + 64) ||
        x86_load64(c, i->seg, off + AREA_HDR, &bv))
        return X86_FAULT;
    uint64_t used = xinuse(c), write = optimise ? rfbm & used : rfbm;
    uint8_t area[AREA_USED];
    unsigned n = xmm_count(c);
    if (write & XSTATE_X87) {
        put_control(c, area, i->rex & 8);
        put_st(&c->fpu, area + AREA_ST);
        if (store_bytes(c, i, off, area, AREA_X87, AREA_MXCSR) ||
            store_bytes(c, i, off, area, AREA_ST, AREA_XMM))
            return X86_FAULT;
    }
    if (rfbm & XSTATE_SSE) {
        store_le32(area + AREA_MXCSR, c->mxcsr);
        store_le32(area + AREA_MXCSR + 4, x86_mxcsr_mask(c));
        if (store_bytes(c, i, off, area, AREA_MXCSR, AREA_ST))
            return X86_FAULT;
    }
    if (write & XSTATE_SSE) {
        memcpy(area + AREA_XMM, c->xmm, n * 16);
        if (store_bytes(c, i, off, area, AREA_XMM, AREA_XMM + n * 16))
            return X86_FAULT;
    }
    bv = (bv & ~rfbm) | (used & rfbm);
    return x86_store64(c, i->seg, off + AREA_HDR, bv) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_xsave(struct x86_cpu *c, const struct x86_insn *i)
{
    return xsave(c, i, false);
}

enum x86_result x86_op_xsaveopt(struct x86_cpu *c, const struct x86_insn *i)
{
    return xsave(c, i, true);
}

/* The compacted format (XCOMP_BV bit 63) is not announced and raises #GP. */
enum x86_result x86_op_xrstor(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t off, rfbm;
    enum x86_result r = xsave_enter(c, i, &off, &rfbm);
    if (r != X86_NEXT)
        return r;
    uint8_t area[AREA_HDR + 24];
    unsigned n = xmm_count(c);
    if (x86_probe_read(c, i->seg, off, AREA_HDR + 64) ||
        load_bytes(c, i, off, area, AREA_HDR, AREA_HDR + 24))
        return X86_FAULT;
    uint64_t bv = load_le64(area + AREA_HDR);
    if ((bv & ~c->xcr0) || load_le64(area + AREA_HDR + 8) || load_le64(area + AREA_HDR + 16))
        return x86_raise_gp(c, 0);
    if (load_bytes(c, i, off, area, 0, AREA_XMM + n * 16))
        return X86_FAULT;
    uint32_t mxcsr = load_le32(area + AREA_MXCSR);
    if ((rfbm & XSTATE_SSE) && (mxcsr & ~x86_mxcsr_mask(c)))
        return x86_raise_gp(c, 0);
    if (rfbm & bv & XSTATE_X87) {
        get_control(c, area, i->rex & 8);
        get_st(&c->fpu, area + AREA_ST);
    } else if (rfbm & XSTATE_X87) {
        x86_fpu_init(c);
        memset(c->fpu.st, 0, sizeof(c->fpu.st));
    }
    if (rfbm & XSTATE_SSE) {
        c->mxcsr = mxcsr;
        if (bv & XSTATE_SSE)
            memcpy(c->xmm, area + AREA_XMM, n * 16);
        else
            memset(c->xmm, 0, n * 16);
    }
    return X86_NEXT;
}

enum x86_result x86_op_ldmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint32_t v;
    if (x86_load32(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    if (v & ~x86_mxcsr_mask(c))
        return x86_raise_gp(c, 0);
    c->mxcsr = v;
    return X86_NEXT;
}

enum x86_result x86_op_stmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    return x86_store32(c, i->seg, x86_ea(c, i), c->mxcsr) ? X86_FAULT : X86_NEXT;
}
