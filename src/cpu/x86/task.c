/* SPDX-License-Identifier: Apache-2.0 */
/* Task-state segments: hardware task switches, inner stacks, the I/O permission bitmap (vol. 3,
 * chapter 7, and vol. 1, 18.5.2). */
#include "cpu/x86/flags.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/system.h"

/* Offsets in the 32-bit and the 16-bit TSS. */
enum { TSS32_SIZE = 104, TSS16_SIZE = 44, TSS32_CR3 = 28, TSS32_REGS = 32, TSS16_REGS = 14 };
enum { TSS32_IOMAP = 102, TSS64_RSP0 = 4, TSS64_IST1 = 36 };

static int tss_load(struct x86_cpu *c, uint64_t base, unsigned off, unsigned size, void *ret)
{
    uint64_t lin = base + off;
    return x86_lin_load(c, X86_CLASS_SYSTEM, x86_long(c) ? lin : (uint32_t)lin, size, ret);
}

static int tss_store(struct x86_cpu *c, uint64_t base, unsigned off, unsigned size, uint64_t value)
{
    return x86_lin_store(c, X86_CLASS_SYSTEM, (uint32_t)(base + off), size, &value);
}

/* Raises what reading or writing [base, base + len) would raise; a TSS spans at most two pages. */
static int tss_probe(struct x86_cpu *c, uint64_t base, unsigned len, bool write)
{
    struct x86_place p;
    uint64_t first = (uint32_t)base, last = (uint32_t)(base + len - 1);

    return x86_place(c, X86_CLASS_SYSTEM, first, write, &p) ||
           ((first ^ last) >> GMEM_PAGE_BITS && x86_place(c, X86_CLASS_SYSTEM, last, write, &p));
}

int x86_tss_stack(struct x86_cpu *c, unsigned dpl, uint16_t *ret_ss, uint64_t *ret_sp)
{
    bool wide = c->tr.attr & 8;
    unsigned off = wide ? 4 + dpl * 8 : 2 + dpl * 4;
    uint32_t sp = 0;

    if (off + (wide ? 5 : 3) > c->tr.limit)
        return x86_raise_code(c, X86_TS, c->tr.sel & ~3u);
    if (tss_load(c, c->tr.base, off, wide ? 4 : 2, &sp) ||
        tss_load(c, c->tr.base, off + (wide ? 4 : 2), 2, ret_ss))
        return 1;
    *ret_sp = sp;
    return 0;
}

int x86_tss_rsp(struct x86_cpu *c, unsigned dpl, unsigned ist, uint64_t *ret_rsp)
{
    unsigned off = ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + dpl * 8;

    if (off + 7 > c->tr.limit)
        return x86_raise_code(c, X86_TS, c->tr.sel & ~3u);
    if (tss_load(c, c->tr.base, off, 8, ret_rsp))
        return 1;
    return x86_canonical(*ret_rsp) ? 0 : x86_raise_code(c, X86_SSV, 0);
}

int x86_inner_stack(struct x86_cpu *c, unsigned dpl, struct x86_stack *s, struct x86_desc *d,
                    uint16_t *ret_sel)
{
    *s = (struct x86_stack){.cls = x86_class_at(c, dpl)};
    if (x86_long(c)) {
        *ret_sel = (uint16_t)dpl;
        s->wide = true;
        s->mask = UINT64_MAX;
        return x86_tss_rsp(c, dpl, 0, &s->sp);
    }
    if (x86_tss_stack(c, dpl, ret_sel, &s->sp))
        return 1;
    if (!(*ret_sel & ~3u))
        return x86_raise_code(c, X86_TS, 0);
    if (x86_ss_check(c, *ret_sel, dpl, X86_TS, d) || x86_desc_accessed(c, d))
        return 1;
    x86_seg_from_desc(&s->ss, *ret_sel, d);
    s->mask = x86_desc_db(d) ? 0xffffffffu : 0xffffu;
    s->error_sel = *ret_sel & ~3u;
    return 0;
}

void x86_inner_stack_enter(struct x86_cpu *c, const struct x86_stack *s, const struct x86_desc *d,
                           uint16_t sel)
{
    if (s->wide) {
        x86_seg_set_null(c, X86_SS, sel);
    } else {
        x86_seg_from_desc(&c->seg[X86_SS], sel, d);
        x86_seg_update(c, X86_SS);
        /* A 16-bit stack replaces SP only, of an ESP that came from the TSS. */
        c->gpr[X86_RSP] = s->sp;
    }
}

bool x86_io_permitted(struct x86_cpu *c, uint16_t port, unsigned size, bool *ret_fault)
{
    uint16_t map, bits;
    unsigned type = c->tr.attr & 0xf, off;

    *ret_fault = false;
    /* Only a 32-bit or 64-bit TSS has a bitmap. */
    if (c->tr.null || !(type & 8) || c->tr.limit < TSS32_IOMAP + 1)
        return false;
    if (tss_load(c, c->tr.base, TSS32_IOMAP, 2, &map)) {
        *ret_fault = true;
        return false;
    }
    off = map + port / 8u;
    if (off + 1 > c->tr.limit) /* two bytes are always read */
        return false;
    if (tss_load(c, c->tr.base, off, 2, &bits)) {
        *ret_fault = true;
        return false;
    }
    return !(bits >> (port & 7) & ((1u << size) - 1));
}

int x86_vme_redirect(struct x86_cpu *c, uint8_t vector)
{
    uint16_t map;
    uint8_t bits;
    unsigned off;

    if (c->tr.null || c->tr.limit < TSS32_IOMAP + 1)
        goto outside;
    if (tss_load(c, c->tr.base, TSS32_IOMAP, 2, &map))
        return -1;
    off = map - 32u + vector / 8u; /* the redirection bitmap stands below the I/O bitmap */
    if (map < 32 || off > c->tr.limit)
        goto outside;
    if (tss_load(c, c->tr.base, off, 1, &bits))
        return -1;
    return bits >> (vector & 7) & 1;

outside:
    x86_raise_gp(c, 0);
    return -1;
}

int x86_task_gate(struct x86_cpu *c, const struct x86_desc *gate, uint16_t *ret_sel,
                  struct x86_desc *ret)
{
    uint16_t sel = x86_gate_selector(gate), code = sel & ~3u;
    unsigned type;

    if (sel & 4 || !code)
        return x86_raise_gp(c, code);
    if (x86_desc_need(c, sel, X86_GP, ret))
        return 1;
    type = x86_desc_type(ret);
    if (x86_desc_s(ret) || (type != X86_TYPE_TSS32 && type != X86_TYPE_TSS16))
        return x86_raise_gp(c, code);
    if (!x86_desc_present(ret))
        return x86_raise_code(c, X86_NP, code);
    *ret_sel = sel;
    return 0;
}

/* The dynamic part of a TSS. */
struct task {
    uint32_t cr3, eip, eflags, reg[8];
    uint16_t seg[X86_SEGS], ldt;
    bool trap;
};

static int set_busy(struct x86_cpu *c, uint64_t desc_lin, bool busy)
{
    uint8_t byte;

    if (x86_lin_load(c, X86_CLASS_SYSTEM, desc_lin + 5, 1, &byte))
        return 1;
    byte = busy ? byte | 2 : (uint8_t)(byte & ~2);
    return x86_lin_store(c, X86_CLASS_SYSTEM, desc_lin + 5, 1, &byte);
}

/* TSS order of segments: ES CS SS DS FS GS, which is that of enum X86_ES... */
static int save_task(struct x86_cpu *c, uint64_t flags)
{
    uint64_t base = c->tr.base;
    bool wide = c->tr.attr & 8;
    unsigned size = wide ? 4 : 2, off = wide ? TSS32_REGS : TSS16_REGS, r = 0;

    r |= tss_store(c, base, off, size, c->rip);
    r |= tss_store(c, base, off += size, size, flags);
    for (unsigned i = 0; i < 8; i++)
        r |= tss_store(c, base, off += size, size, c->gpr[i]);
    for (unsigned i = 0; i < (wide ? 6 : 4); i++)
        r |= tss_store(c, base, off += size, 2, c->seg[i].sel);
    return (int)r;
}

static int load_task(struct x86_cpu *c, uint64_t base, bool wide, struct task *t)
{
    unsigned size = wide ? 4 : 2, off = wide ? TSS32_REGS : TSS16_REGS, r = 0;
    uint16_t trap = 0;

    *t = (struct task){0};
    if (wide)
        r |= tss_load(c, base, TSS32_CR3, 4, &t->cr3);
    r |= tss_load(c, base, off, size, &t->eip);
    r |= tss_load(c, base, off += size, size, &t->eflags);
    for (unsigned i = 0; i < 8; i++) {
        r |= tss_load(c, base, off += size, size, &t->reg[i]);
        if (!wide)
            t->reg[i] |= 0xffff0000u;
    }
    for (unsigned i = 0; i < (wide ? 6 : 4); i++)
        r |= tss_load(c, base, off += size, 2, &t->seg[i]);
    r |= tss_load(c, base, off += size, 2, &t->ldt);
    if (wide)
        r |= tss_load(c, base, off + 4, 2, &trap);
    t->trap = trap & 1;
    return (int)r;
}

static enum x86_result raise_ts(struct x86_cpu *c, uint16_t sel)
{
    return x86_raise_code(c, X86_TS, sel & ~3u);
}

static enum x86_result load_ldt(struct x86_cpu *c, uint16_t sel)
{
    struct x86_desc d;

    c->ldt = (struct x86_seg){.sel = sel, .null = true};
    if (!(sel & ~3u))
        return X86_NEXT;
    if (sel & 4)
        return raise_ts(c, sel);
    if (x86_desc_need(c, sel, X86_TS, &d))
        return X86_FAULT;
    if (x86_desc_s(&d) || x86_desc_type(&d) != X86_TYPE_LDT || !x86_desc_present(&d))
        return raise_ts(c, sel);
    x86_seg_from_desc(&c->ldt, sel, &d);
    return X86_NEXT;
}

/* Loads CS of the new task, whose CPL is its RPL. */
static enum x86_result load_task_cs(struct x86_cpu *c, uint16_t sel)
{
    struct x86_desc d;
    unsigned rpl = sel & 3;

    if (!(sel & ~3u))
        return raise_ts(c, sel);
    if (x86_desc_need(c, sel, X86_TS, &d))
        return X86_FAULT;
    if (!x86_desc_code(&d) ||
        (x86_desc_conforming(&d) ? x86_desc_dpl(&d) > rpl : x86_desc_dpl(&d) != rpl))
        return raise_ts(c, sel);
    if (!x86_desc_present(&d))
        return x86_raise_code(c, X86_NP, sel & ~3u);
    if (x86_desc_accessed(c, &d))
        return X86_FAULT;
    x86_cs_enter(c, sel, &d, rpl);
    return X86_NEXT;
}

static enum x86_result load_task_ss(struct x86_cpu *c, uint16_t sel)
{
    struct x86_desc d;

    if (!(sel & ~3u))
        return raise_ts(c, sel);
    if (x86_ss_check(c, sel, c->cpl, X86_TS, &d) || x86_desc_accessed(c, &d))
        return X86_FAULT;
    x86_seg_from_desc(&c->seg[X86_SS], sel, &d);
    x86_seg_update(c, X86_SS);
    return X86_NEXT;
}

static enum x86_result load_task_segs(struct x86_cpu *c, const struct task *t)
{
    static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    if (load_ldt(c, t->ldt) == X86_FAULT)
        return X86_FAULT;
    if (c->mode == X86_MODE_V86) {
        for (unsigned i = 0; i < X86_SEGS; i++)
            x86_seg_set_real(c, i, t->seg[i]);
    } else if (load_task_cs(c, t->seg[X86_CS]) == X86_FAULT ||
               load_task_ss(c, t->seg[X86_SS]) == X86_FAULT) {
        return X86_FAULT;
    }
    for (unsigned i = 0; c->mode != X86_MODE_V86 && i < array_size(data); i++) {
        if (x86_seg_load(c, data[i], t->seg[data[i]])) {
            if (c->fault.vector == X86_GP)
                c->fault.vector = X86_TS;
            return X86_FAULT;
        }
    }
    if (c->rip > c->seg[X86_CS].limit)
        return x86_raise_gp(c, 0);
    return X86_NEXT;
}

/* Registers of the new task; what is loaded here cannot fault. Segments are selectors only. */
static void enter_task(struct x86_cpu *c, const struct task *t, uint32_t eflags, bool wide)
{
    uint32_t known = 0x3f7fd5;

    c->rip = t->eip;
    x86_flags_set(c, eflags, wide ? known : 0xffff & known);
    if (!wide)
        x86_flags_set(c, 0, X86_VM | X86_RF | X86_AC | X86_VIF | X86_VIP | X86_ID);
    for (unsigned i = 0; i < 8; i++)
        c->gpr[i] = t->reg[i];
    for (unsigned i = 0; i < X86_SEGS; i++) {
        c->seg[i].sel = t->seg[i];
        c->seg[i].null = true;
        c->seg[i].attr = 0;
    }
    c->cpl = eflags & X86_VM ? 3 : t->seg[X86_CS] & 3;
    c->dr[7] &= ~0x155ull; /* local breakpoints belong to the old task */
    x86_mode_update(c);
    for (unsigned i = 0; i < X86_SEGS; i++)
        x86_seg_update(c, i);
    x86_debug_update(c);
}

enum x86_result x86_task_switch(struct x86_cpu *c, uint16_t sel, struct x86_desc *d,
                                enum x86_switch why, bool *ret_switched)
{
    bool wide = x86_desc_type(d) & 8, old_wide = c->tr.attr & 8;
    uint64_t base = x86_desc_base(d), flags = x86_flags_get(c);
    uint32_t limit = x86_desc_limit(d);
    bool nested = why != X86_SWITCH_JMP && why != X86_SWITCH_IRET;
    struct task t;

    *ret_switched = false;
    if (limit < (wide ? TSS32_SIZE - 1u : TSS16_SIZE - 1u))
        return raise_ts(c, sel);
    if (c->tr.null || c->tr.limit < (old_wide ? 95u : TSS16_SIZE - 3u))
        return raise_ts(c, c->tr.sel);
    /* Everything that can fault in the old task comes before the first change. */
    if (tss_probe(c, c->tr.base, old_wide ? 96 : TSS16_SIZE - 2, true) ||
        tss_probe(c, base, wide ? TSS32_SIZE : TSS16_SIZE, nested) ||
        tss_probe(c, d->lin, 8, true) || load_task(c, base, wide, &t))
        return X86_FAULT;
    if (why == X86_SWITCH_IRET)
        flags &= ~(uint64_t)X86_NT;
    if (why == X86_SWITCH_FAULT)
        flags |= X86_RF;
    if (why == X86_SWITCH_JMP || why == X86_SWITCH_IRET) {
        if (set_busy(c, (uint32_t)(c->gdt.base + (c->tr.sel & 0xfff8u)), false))
            return X86_FAULT;
    }
    if (save_task(c, flags))
        return X86_FAULT;
    /* A switch from a task to itself sees what was just saved. */
    if (base == c->tr.base && load_task(c, base, wide, &t))
        return X86_FAULT;
    if (nested && (tss_store(c, base, 0, 2, c->tr.sel)))
        return X86_FAULT;
    if (why != X86_SWITCH_IRET && set_busy(c, d->lin, true))
        return X86_FAULT;

    *ret_switched = true;
    d->hi |= 0x200;
    x86_seg_from_desc(&c->tr, sel, d);
    c->cr0 |= X86_CR0_TS;
    if (wide && (c->cr0 & X86_CR0_PG)) {
        c->cr3 = t.cr3;
        if ((c->cr4 & X86_CR4_PAE) && !x86_load_pdptes(c, t.cr3))
            return x86_raise_gp(c, 0);
        x86_tlb_flush_nonglobal(c);
    }
    enter_task(c, &t, t.eflags | (nested ? X86_NT : 0), wide);
    if (load_task_segs(c, &t) == X86_FAULT)
        return X86_FAULT;
    if (t.trap) {
        x86_raise(c, X86_DB);
        c->fault.dr6 = 1u << 15; /* BT */
        return X86_FAULT;
    }
    return X86_BRANCH;
}
