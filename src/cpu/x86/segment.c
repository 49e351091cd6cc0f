/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/segment.h"

#include "cpu/x86/exc.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/system.h"
#include "cpu/x86/tlb.h"

uint32_t x86_desc_limit(const struct x86_desc *d)
{
    uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000);
    return d->hi & 0x800000 ? limit << 12 | 0xfff : limit;
}

uint64_t x86_desc_base(const struct x86_desc *d)
{
    return (uint64_t)d->base_high << 32 |
           ((d->lo >> 16) | (d->hi & 0xff) << 16 | (d->hi & 0xff000000u));
}

static int table_read(struct x86_cpu *c, uint16_t sel, unsigned extra, uint64_t *ret_lin)
{
    uint64_t base = sel & 4 ? c->ldt.base : c->gdt.base;
    uint32_t limit = sel & 4 ? c->ldt.limit : c->gdt.limit, off = sel & 0xfff8u;

    if ((sel & 4) && c->ldt.null)
        return X86_DESC_LIMIT;
    if (off + 7 + extra > limit)
        return X86_DESC_LIMIT;
    *ret_lin = x86_long(c) ? base + off + extra : (uint32_t)(base + off + extra);
    return X86_DESC_OK;
}

int x86_desc_read(struct x86_cpu *c, uint16_t sel, struct x86_desc *ret)
{
    uint64_t lin, raw;
    int r = table_read(c, sel, 0, &lin);

    if (r != X86_DESC_OK)
        return r;
    if (x86_lin_load(c, X86_CLASS_SYSTEM, lin, 8, &raw))
        return X86_DESC_FAULT;
    *ret = (struct x86_desc){.lo = (uint32_t)raw, .hi = (uint32_t)(raw >> 32), .lin = lin};
    return X86_DESC_OK;
}

int x86_desc_read_high(struct x86_cpu *c, uint16_t sel, struct x86_desc *d)
{
    uint64_t lin, raw;
    int r = table_read(c, sel, 8, &lin);

    if (r != X86_DESC_OK)
        return r;
    if (x86_lin_load(c, X86_CLASS_SYSTEM, lin, 8, &raw))
        return X86_DESC_FAULT;
    if (raw >> 32 & 0x1f00) /* the type field of the upper half must be 0 */
        return X86_DESC_LIMIT;
    d->base_high = (uint32_t)raw;
    return X86_DESC_OK;
}

int x86_desc_need(struct x86_cpu *c, uint16_t sel, uint8_t vector, struct x86_desc *ret)
{
    int r = x86_desc_read(c, sel, ret);

    if (r == X86_DESC_LIMIT)
        x86_raise_code(c, vector, sel & ~3u);
    return r;
}

int x86_desc_accessed(struct x86_cpu *c, struct x86_desc *d)
{
    uint8_t byte;

    if (d->hi & 0x100)
        return 0;
    d->hi |= 0x100;
    byte = (uint8_t)(d->hi >> 8);
    return x86_lin_store(c, X86_CLASS_SYSTEM, d->lin + 5, 1, &byte);
}

void x86_seg_from_desc(struct x86_seg *s, uint16_t sel, const struct x86_desc *d)
{
    s->sel = sel;
    s->attr = (uint16_t)(d->hi >> 8 & 0xf0ff);
    s->limit = x86_desc_limit(d);
    s->base = x86_desc_base(d);
    s->null = false;
}

void x86_seg_set_null(struct x86_cpu *c, unsigned seg, uint16_t sel)
{
    struct x86_seg *s = &c->seg[seg];

    s->sel = sel;
    s->attr = seg == X86_SS ? (uint16_t)((sel & 3) << X86_SEG_DPL_SHIFT | X86_SEG_DB) : 0;
    s->limit = 0;
    s->base = 0;
    s->null = true;
    x86_seg_update(c, seg);
}

void x86_seg_set_real(struct x86_cpu *c, unsigned seg, uint16_t sel)
{
    struct x86_seg *s = &c->seg[seg];

    s->sel = sel;
    s->base = (uint32_t)sel << 4;
    s->null = false;
    /* Real mode leaves limit and attributes as they are, which is what makes big-real mode. */
    if (c->mode == X86_MODE_V86) {
        s->limit = 0xffff;
        s->attr = 0xf3;
    }
    x86_seg_update(c, seg);
}

void x86_cs_enter(struct x86_cpu *c, uint16_t sel, const struct x86_desc *d, unsigned cpl)
{
    x86_seg_from_desc(&c->seg[X86_CS], (uint16_t)((sel & ~3u) | cpl), d);
    c->cpl = (uint8_t)cpl;
    x86_mode_update(c);
    x86_seg_update(c, X86_CS);
}

int x86_ss_check(struct x86_cpu *c, uint16_t sel, unsigned cpl, uint8_t vector,
                 struct x86_desc *ret)
{
    uint16_t code = sel & ~3u;

    if (x86_desc_need(c, sel, vector, ret))
        return 1;
    if ((sel & 3) != cpl || !x86_desc_s(ret) || x86_desc_code(ret) || !x86_desc_rw(ret) ||
        x86_desc_dpl(ret) != cpl)
        return x86_raise_code(c, vector, code);
    if (!x86_desc_present(ret))
        return x86_raise_code(c, X86_SSV, code);
    return 0;
}

static int load_ss(struct x86_cpu *c, uint16_t sel)
{
    struct x86_desc d;

    if (!(sel & ~3u)) {
        if (c->mode != X86_MODE_64 || c->cpl == 3 || (sel & 3) != c->cpl)
            return x86_raise_gp(c, 0);
        x86_seg_set_null(c, X86_SS, sel);
        return 0;
    }
    if (x86_ss_check(c, sel, c->cpl, X86_GP, &d) || x86_desc_accessed(c, &d))
        return 1;
    x86_seg_from_desc(&c->seg[X86_SS], sel, &d);
    x86_seg_update(c, X86_SS);
    return 0;
}

int x86_seg_load(struct x86_cpu *c, unsigned seg, uint16_t sel)
{
    struct x86_desc d;
    uint16_t code = sel & ~3u;

    if (x86_is_real(c)) {
        x86_seg_set_real(c, seg, sel);
        return 0;
    }
    if (seg == X86_SS)
        return load_ss(c, sel);
    if (!code) {
        x86_seg_set_null(c, seg, sel);
        return 0;
    }
    if (x86_desc_need(c, sel, X86_GP, &d))
        return 1;
    if (!x86_desc_s(&d) || (x86_desc_code(&d) && !x86_desc_rw(&d)))
        return x86_raise_gp(c, code);
    if (!(x86_desc_code(&d) && x86_desc_conforming(&d)) &&
        ((sel & 3u) > x86_desc_dpl(&d) || c->cpl > x86_desc_dpl(&d)))
        return x86_raise_gp(c, code);
    if (!x86_desc_present(&d))
        return x86_raise_code(c, X86_NP, code);
    if (x86_desc_accessed(c, &d))
        return 1;
    x86_seg_from_desc(&c->seg[seg], sel, &d);
    x86_seg_update(c, seg);
    return 0;
}

void x86_segs_drop_inner(struct x86_cpu *c, unsigned cpl)
{
    static const uint8_t data_segs[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (unsigned i = 0; i < array_size(data_segs); i++) {
        struct x86_seg *s = &c->seg[data_segs[i]];
        unsigned dpl = s->attr >> X86_SEG_DPL_SHIFT & 3;
        bool conforming = (s->attr & 0xc) == 0xc;
        if (s->null || conforming || dpl >= cpl)
            continue;
        x86_seg_set_null(c, data_segs[i], 0);
    }
}

bool x86_seg_in_limit(const struct x86_seg *s, uint64_t off, unsigned size)
{
    uint64_t last = off + size - 1;

    if ((s->attr & (X86_SEG_S | 0xc)) == (X86_SEG_S | 4)) /* expand-down data (vol. 3, 5.3) */
        return off > s->limit && last <= (s->attr & X86_SEG_DB ? 0xffffffffu : 0xffffu);
    return last <= s->limit;
}

void x86_seg_update(struct x86_cpu *c, unsigned seg)
{
    struct x86_seg *s = &c->seg[seg];
    bool flat, real = x86_is_real(c);

    if (c->mode == X86_MODE_64) {
        s->lin_base = seg >= X86_FS ? s->base : 0;
        s->flat_r = s->flat_w = !c->align_check;
        return;
    }
    s->lin_base = s->base;
    flat = s->base == 0 && s->limit == 0xffffffffu && !s->null && !c->align_check &&
           (s->attr & (X86_SEG_S | X86_SEG_P)) == (X86_SEG_S | X86_SEG_P) && (s->attr & 0xc) != 4;
    s->flat_r = flat && (real || !(s->attr & 8) || (s->attr & 2));
    s->flat_w = flat && (real || (!(s->attr & 8) && (s->attr & 2)));
}

static enum x86_mode mode_of(const struct x86_cpu *c)
{
    if (!(c->cr0 & X86_CR0_PE))
        return X86_MODE_REAL;
    if (c->efer & X86_EFER_LMA)
        return c->seg[X86_CS].attr & X86_SEG_L ? X86_MODE_64 : X86_MODE_COMPAT;
    return c->rflags & X86_VM ? X86_MODE_V86 : X86_MODE_PROT;
}

void x86_mode_update(struct x86_cpu *c)
{
    enum x86_mode mode = mode_of(c);
    enum x86_access_class cls = x86_class_at(c, c->cpl);
    bool align = c->cpl == 3 && (c->cr0 & X86_CR0_AM) && (c->rflags & X86_AC);

    c->mmu_class = (uint8_t)cls;
    x86_tlb_update_asid(c);
    if (mode != c->mode || align != c->align_check) {
        c->mode = (uint8_t)mode;
        c->align_check = align;
        for (unsigned seg = 0; seg < X86_SEGS; seg++)
            x86_seg_update(c, seg);
    }
    x86_slow_update(c);
    if (unlikely(c->vm->trace != NULL))
        x86_note_ring(c);
}

void x86_stack_here(struct x86_cpu *c, struct x86_stack *s)
{
    s->ss = c->seg[X86_SS];
    s->wide = c->mode == X86_MODE_64;
    s->mask = s->wide ? UINT64_MAX : s->ss.attr & X86_SEG_DB ? 0xffffffffu : 0xffffu;
    s->sp = c->gpr[X86_RSP];
    s->cls = c->mmu_class;
    s->error_sel = 0;
}

static int stack_linear(struct x86_cpu *c, const struct x86_stack *s, uint64_t off, unsigned bytes,
                        uint64_t *ret_lin)
{
    bool ok = s->wide ? x86_canonical(off) && x86_canonical(off + bytes - 1)
                      : !s->ss.null && x86_seg_in_limit(&s->ss, off, bytes);

    if (!ok)
        return x86_raise_code(c, X86_SSV, s->error_sel);
    *ret_lin = s->wide ? off : (uint32_t)(s->ss.base + off);
    /* Stacks of inner rings are never checked: align_check is of the present ring. */
    if (unlikely(c->align_check) && s->cls == X86_CLASS_USER && (*ret_lin & (bytes - 1)))
        return x86_raise_code(c, X86_AC_VEC, 0);
    return 0;
}

int x86_stack_room(struct x86_cpu *c, const struct x86_stack *s, unsigned size, unsigned count)
{
    uint64_t sp = s->sp, lin;

    while (count--) {
        sp = (sp - (1u << size)) & s->mask;
        if (stack_linear(c, s, sp, 1u << size, &lin))
            return 1;
    }
    return 0;
}

int x86_stack_push(struct x86_cpu *c, struct x86_stack *s, unsigned size, uint64_t value)
{
    unsigned bytes = 1u << size;
    uint64_t sp = (s->sp - bytes) & s->mask, lin;

    if (stack_linear(c, s, sp, bytes, &lin) || x86_lin_store(c, s->cls, lin, bytes, &value))
        return 1;
    s->sp = (s->sp & ~s->mask) | sp;
    return 0;
}

int x86_stack_pop(struct x86_cpu *c, struct x86_stack *s, unsigned size, uint64_t *ret)
{
    unsigned bytes = 1u << size;
    uint64_t value = 0, lin;

    if (stack_linear(c, s, s->sp & s->mask, bytes, &lin) ||
        x86_lin_load(c, s->cls, lin, bytes, &value))
        return 1;
    s->sp = (s->sp & ~s->mask) | ((s->sp + bytes) & s->mask);
    *ret = value;
    return 0;
}

void x86_stack_commit(struct x86_cpu *c, const struct x86_stack *s)
{
    uint64_t *rsp = &c->gpr[X86_RSP];

    if (s->mask == 0xffff)
        *rsp = (*rsp & ~0xffffull) | (s->sp & 0xffff);
    else
        *rsp = s->sp & s->mask;
}
