/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR, LDMXCSR, STMXCSR.
 *
 * The legacy region (vol. 1, 10.5.1 and 13.4.1): bytes 0-23 x87 control, 24-31 MXCSR and its mask,
 * 32-159 ST(0)-ST(7) or MM0-MM7, 160-415 XMM0-XMM15 (XMM8-15 only in 64-bit mode); 416-511 are
 * never touched. XSAVE adds a header at 512: XSTATE_BV, XCOMP_BV and 48 reserved bytes. The upper
 * halves of YMM0-YMM15 follow at 576, in the compacted format as well, because there is no other
 * component.
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
    AREA_HDR = 512,
    AREA_YMMH = X86_XSAVE_LEGACY,
    AREA_END = X86_XSAVE_AVX
};
enum { XSTATE_X87 = X86_XCR0_X87, XSTATE_SSE = X86_XCR0_SSE, XSTATE_AVX = X86_XCR0_AVX };
#define XCOMP_COMPACTED (UINT64_C(1) << 63)

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
    *ret_rfbm = ((uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32) & c->xcr0;
    return X86_NEXT;
}

/* Bytes of an area with the components @rfbm. */
static unsigned area_size(uint64_t rfbm)
{
    return rfbm & XSTATE_AVX ? AREA_END : AREA_YMMH;
}

/* State components that are not in their initial configuration (vol. 1, 13.6). */
uint64_t x86_xinuse(const struct x86_cpu *c)
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
    for (unsigned k = 0; k < xmm_count(c); k++)
        if (c->ymmh[k].u64[0] | c->ymmh[k].u64[1])
            used |= XSTATE_AVX;
    return used & c->xcr0;
}

/* The bytes of the components @write, and MXCSR when @mxcsr. */
static int put_components(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, uint64_t write,
                          bool mxcsr)
{
    uint8_t area[AREA_END];
    unsigned n = xmm_count(c);
    if (write & XSTATE_X87) {
        put_control(c, area, i->rex & 8);
        put_st(&c->fpu, area + AREA_ST);
        if (store_bytes(c, i, off, area, AREA_X87, AREA_MXCSR) ||
            store_bytes(c, i, off, area, AREA_ST, AREA_XMM))
            return X86_FAULT;
    }
    if (mxcsr) {
        store_le32(area + AREA_MXCSR, c->mxcsr);
        store_le32(area + AREA_MXCSR + 4, x86_mxcsr_mask(c));
        if (store_bytes(c, i, off, area, AREA_MXCSR, AREA_ST))
            return X86_FAULT;
    }
    memcpy(area + AREA_XMM, c->xmm, n * 16);
    memcpy(area + AREA_YMMH, c->ymmh, n * 16);
    if (write & XSTATE_SSE && store_bytes(c, i, off, area, AREA_XMM, AREA_XMM + n * 16))
        return X86_FAULT;
    if (write & XSTATE_AVX && store_bytes(c, i, off, area, AREA_YMMH, AREA_YMMH + n * 16))
        return X86_FAULT;
    return 0;
}

/* Standard format; with @optimise components in their initial configuration are not written. */
static enum x86_result xsave(struct x86_cpu *c, const struct x86_insn *i, bool optimise)
{
    uint64_t off, rfbm, bv;
    enum x86_result r = xsave_enter(c, i, &off, &rfbm);
    if (r != X86_NEXT)
        return r;
    if (x86_probe_write(c, i->seg, off, area_size(rfbm)) ||
        x86_load64(c, i->seg, off + AREA_HDR, &bv))
        return X86_FAULT;
    uint64_t used = x86_xinuse(c);
    if (put_components(c, i, off, optimise ? rfbm & used : rfbm, rfbm & (XSTATE_SSE | XSTATE_AVX)))
        return X86_FAULT;
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

/* Compacted format (vol. 1, 13.10); MXCSR other than its initial value counts as SSE state. */
enum x86_result x86_op_xsavec(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t off, rfbm;
    enum x86_result r = xsave_enter(c, i, &off, &rfbm);
    if (r != X86_NEXT)
        return r;
    if (x86_probe_write(c, i->seg, off, area_size(rfbm)))
        return X86_FAULT;
    uint64_t used = x86_xinuse(c) & rfbm;
    if (c->mxcsr != MXCSR_INIT)
        used |= rfbm & XSTATE_SSE;
    if (put_components(c, i, off, used, used & XSTATE_SSE) ||
        x86_store64(c, i->seg, off + AREA_HDR, used) ||
        x86_store64(c, i->seg, off + AREA_HDR + 8, rfbm | XCOMP_COMPACTED))
        return X86_FAULT;
    return X86_NEXT;
}

/* The header's rules (vol. 1, 13.8). False: #GP. */
static bool header_fits(const struct x86_cpu *c, const uint8_t *header)
{
    uint64_t bv = load_le64(header), comp = load_le64(header + 8), rest = 0;
    for (unsigned k = 16; k < (comp & XCOMP_COMPACTED ? 64 : 24); k += 8)
        rest |= load_le64(header + k);
    if (!(comp & XCOMP_COMPACTED))
        return !(bv & ~c->xcr0) && !comp && !rest;
    return x86_model_has(c->vm->model, X86_FEATURE(X86_W_D1_EAX, 1)) &&
           !(comp & ~XCOMP_COMPACTED & ~c->xcr0) && !(bv & ~comp) && !rest;
}

/* Sets the components @rfbm from @area: those in @bv to what is there, the others to their initial
 * configuration. */
static void get_components(struct x86_cpu *c, const struct x86_insn *i, const uint8_t *area,
                           uint64_t rfbm, uint64_t bv)
{
    unsigned n = xmm_count(c);
    if (rfbm & bv & XSTATE_X87) {
        get_control(c, area, i->rex & 8);
        get_st(&c->fpu, area + AREA_ST);
    } else if (rfbm & XSTATE_X87) {
        x86_fpu_init(c);
        memset(c->fpu.st, 0, sizeof(c->fpu.st));
    }
    if (rfbm & bv & XSTATE_SSE)
        memcpy(c->xmm, area + AREA_XMM, n * 16);
    else if (rfbm & XSTATE_SSE)
        memset(c->xmm, 0, n * 16);
    if (rfbm & bv & XSTATE_AVX)
        memcpy(c->ymmh, area + AREA_YMMH, n * 16);
    else if (rfbm & XSTATE_AVX)
        memset(c->ymmh, 0, n * 16);
}

enum x86_result x86_op_xrstor(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t off, rfbm;
    enum x86_result r = xsave_enter(c, i, &off, &rfbm);
    if (r != X86_NEXT)
        return r;
    uint8_t area[AREA_END];
    unsigned n = xmm_count(c);
    if (x86_probe_read(c, i->seg, off, area_size(rfbm)) ||
        load_bytes(c, i, off, area, AREA_HDR, AREA_YMMH))
        return X86_FAULT;
    if (!header_fits(c, area + AREA_HDR))
        return x86_raise_gp(c, 0);
    uint64_t bv = load_le64(area + AREA_HDR);
    bool compacted = load_le64(area + AREA_HDR + 8) & XCOMP_COMPACTED;
    if (load_bytes(c, i, off, area, 0, AREA_XMM + n * 16) ||
        (rfbm & bv & XSTATE_AVX && load_bytes(c, i, off, area, AREA_YMMH, AREA_YMMH + n * 16)))
        return X86_FAULT;
    /* The standard format loads MXCSR with either component and whether or not it is in use. */
    bool loads = compacted ? rfbm & bv & XSTATE_SSE : rfbm & (XSTATE_SSE | XSTATE_AVX);
    uint32_t mxcsr = load_le32(area + AREA_MXCSR);
    if (loads && (mxcsr & ~x86_mxcsr_mask(c)))
        return x86_raise_gp(c, 0);
    get_components(c, i, area, rfbm, bv);
    if (loads)
        c->mxcsr = mxcsr;
    else if (compacted && rfbm & XSTATE_SSE)
        c->mxcsr = MXCSR_INIT;
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
