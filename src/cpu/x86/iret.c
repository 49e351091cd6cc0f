/* SPDX-License-Identifier: Apache-2.0 */
/* IRET in all modes (vol. 2, IRET), and the fast system calls. */
#include "cpu/x86/flags.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/model_internal.h"
#include "cpu/x86/system.h"
#include "x86-opcodes.h"

/* Flags that any IRET may load; IF, IOPL, VIF, VIP and VM have rules of their own. */
enum {
    IRET_BASE = X86_ARITH | X86_TF | X86_DF | X86_NT | X86_RF | X86_AC | X86_ID,
};

static void load_flags(struct x86_cpu *c, uint64_t image, uint64_t mask, unsigned size)
{
    if (size == X86_SIZE_16)
        mask &= 0xffff;
    x86_flags_set(c, image, mask);
}

static uint64_t protected_mask(const struct x86_cpu *c)
{
    uint64_t mask = IRET_BASE;

    if (c->cpl <= (c->rflags & X86_IOPL) >> 12)
        mask |= X86_IF;
    if (c->cpl == 0)
        mask |= X86_IOPL | X86_VIF | X86_VIP;
    return mask;
}

/* Real mode, and v8086 mode with IOPL 3. */
static enum x86_result iret_real(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    uint64_t ip, cs, flags, mask = IRET_BASE | X86_IF;

    x86_stack_here(c, &s);
    if (x86_stack_pop(c, &s, i->osize, &ip) || x86_stack_pop(c, &s, i->osize, &cs) ||
        x86_stack_pop(c, &s, i->osize, &flags))
        return X86_FAULT;
    if (ip > (c->mode == X86_MODE_V86 ? 0xffff : c->seg[X86_CS].limit))
        return x86_raise_gp(c, 0);
    if (c->mode == X86_MODE_REAL)
        mask |= X86_IOPL;
    x86_stack_commit(c, &s);
    x86_seg_set_real(c, X86_CS, (uint16_t)cs);
    c->rip = ip;
    load_flags(c, flags, mask, i->osize);
    return X86_BRANCH;
}

/* v8086 mode, IOPL < 3: only with the virtual-interrupt extensions and 16-bit operands. */
static enum x86_result iret_vme(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    uint64_t ip, cs, flags;

    if (!(c->cr4 & X86_CR4_VME) || i->osize != X86_SIZE_16)
        return x86_raise_gp(c, 0);
    x86_stack_here(c, &s);
    if (x86_stack_pop(c, &s, X86_SIZE_16, &ip) || x86_stack_pop(c, &s, X86_SIZE_16, &cs) ||
        x86_stack_pop(c, &s, X86_SIZE_16, &flags))
        return X86_FAULT;
    if (((flags & X86_IF) && (c->rflags & X86_VIP)) || (flags & X86_TF))
        return x86_raise_gp(c, 0);
    x86_stack_commit(c, &s);
    x86_seg_set_real(c, X86_CS, (uint16_t)cs);
    c->rip = ip;
    load_flags(c, flags, IRET_BASE & ~X86_TF, X86_SIZE_16);
    x86_flags_set(c, flags & X86_IF ? X86_VIF : 0, X86_VIF);
    return X86_BRANCH;
}

static enum x86_result iret_to_v86(struct x86_cpu *c, struct x86_stack *s, uint64_t ip, uint64_t cs,
                                   uint64_t flags)
{
    static const uint8_t order[] = {X86_ES, X86_DS, X86_FS, X86_GS};
    uint64_t sp, ss, seg[4];

    if (x86_stack_pop(c, s, X86_SIZE_32, &sp) || x86_stack_pop(c, s, X86_SIZE_32, &ss))
        return X86_FAULT;
    for (unsigned n = 0; n < 4; n++)
        if (x86_stack_pop(c, s, X86_SIZE_32, &seg[n]))
            return X86_FAULT;
    x86_flags_set(c, flags, IRET_BASE | X86_IF | X86_IOPL | X86_VIF | X86_VIP | X86_VM);
    c->cpl = 3;
    x86_mode_update(c);
    x86_seg_set_real(c, X86_CS, (uint16_t)cs);
    x86_seg_set_real(c, X86_SS, (uint16_t)ss);
    for (unsigned n = 0; n < 4; n++)
        x86_seg_set_real(c, order[n], (uint16_t)seg[n]);
    c->gpr[X86_RSP] = sp;
    c->rip = (uint16_t)ip; /* the upper half is dropped, not checked */
    return X86_BRANCH;
}

static enum x86_result iret_task(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_desc d;
    uint16_t link;
    uint64_t rip = c->rip;
    unsigned type;
    bool switched;

    if (x86_long(c))
        return x86_raise_gp(c, 0);
    if (x86_lin_load(c, X86_CLASS_SYSTEM, (uint32_t)c->tr.base, 2, &link))
        return X86_FAULT;
    if ((link & 4) || !(link & ~3u))
        return x86_raise_code(c, X86_TS, link & ~3u);
    if (x86_desc_need(c, link, X86_TS, &d))
        return X86_FAULT;
    type = x86_desc_type(&d);
    if (x86_desc_s(&d) || (type != X86_TYPE_TSS16_BUSY && type != X86_TYPE_TSS32_BUSY))
        return x86_raise_code(c, X86_TS, link & ~3u);
    if (!x86_desc_present(&d))
        return x86_raise_code(c, X86_NP, link & ~3u);
    c->rip = x86_next_rip(c, i);
    if (x86_task_switch(c, link, &d, X86_SWITCH_IRET, &switched) != X86_FAULT)
        return X86_BRANCH;
    if (switched)
        return x86_deliver_fault(c);
    c->rip = rip;
    return X86_FAULT;
}

static enum x86_result iret_prot(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    struct x86_desc cs, ss = {0};
    uint64_t rip, sel, flags, sp = 0, ss_sel = 0, mask;
    bool outer, null_ss = true;

    x86_stack_here(c, &s);
    if (x86_stack_pop(c, &s, i->osize, &rip) || x86_stack_pop(c, &s, i->osize, &sel) ||
        x86_stack_pop(c, &s, i->osize, &flags))
        return X86_FAULT;
    sel = (uint16_t)sel;
    if ((flags & X86_VM) && c->cpl == 0 && i->osize == X86_SIZE_32 && !x86_long(c))
        return iret_to_v86(c, &s, rip, sel, flags);
    if (x86_return_cs(c, (uint16_t)sel, &cs))
        return X86_FAULT;
    /* 64-bit mode always pops SS:RSP. */
    outer = (sel & 3) > c->cpl || c->mode == X86_MODE_64;
    if (outer) {
        if (x86_stack_pop(c, &s, i->osize, &sp) || x86_stack_pop(c, &s, i->osize, &ss_sel))
            return X86_FAULT;
        ss_sel = (uint16_t)ss_sel;
        if (x86_return_ss(c, (uint16_t)ss_sel, sel & 3, &cs, &ss, &null_ss))
            return X86_FAULT;
    }
    if (x86_long(c) && x86_desc_l(&cs) ? !x86_canonical(rip) : rip > x86_desc_limit(&cs))
        return x86_raise_gp(c, 0);
    if (x86_return_accessed(c, &cs, &ss, null_ss))
        return X86_FAULT;
    mask = protected_mask(c);
    c->rip = rip;
    load_flags(c, flags, mask, i->osize);
    if (!outer) {
        x86_stack_commit(c, &s);
        x86_cs_enter(c, (uint16_t)sel, &cs, c->cpl);
        return X86_BRANCH;
    }
    bool dropped = (sel & 3) > c->cpl;
    x86_return_outer(c, (uint16_t)sel, &cs, (uint16_t)ss_sel, &ss, null_ss);
    x86_return_sp(c, sp);
    if (dropped)
        x86_segs_drop_inner(c, sel & 3);
    return X86_BRANCH;
}

enum x86_result x86_op_iret(struct x86_cpu *c, const struct x86_insn *i)
{
    enum x86_result r;

    if (c->mode == X86_MODE_REAL || (c->mode == X86_MODE_V86 && (c->rflags & X86_IOPL) == X86_IOPL))
        r = iret_real(c, i);
    else if (c->mode == X86_MODE_V86)
        r = iret_vme(c, i);
    else if (c->rflags & X86_NT)
        r = iret_task(c, i);
    else
        r = iret_prot(c, i);
    if (r == X86_FAULT)
        return r;
    c->nmi_blocked = false;
    x86_mode_update(c);
    return r;
}

/* The flat segments of the fast system calls: base 0, limit 4 GiB, accessed. */
static void flat_segment(struct x86_cpu *c, unsigned seg, uint16_t sel, unsigned dpl, bool wide)
{
    struct x86_seg *s = &c->seg[seg];

    s->sel = sel;
    s->base = 0;
    s->limit = 0xffffffffu;
    s->null = false;
    s->attr =
        (uint16_t)(X86_SEG_P | X86_SEG_S | X86_SEG_G | dpl << X86_SEG_DPL_SHIFT |
                   (seg == X86_CS ? 0xb : 0x3) | (seg == X86_CS && wide ? X86_SEG_L : X86_SEG_DB));
}

static void enter_flat(struct x86_cpu *c, uint16_t cs, uint16_t ss, unsigned cpl, bool wide)
{
    flat_segment(c, X86_CS, cs, cpl, wide);
    flat_segment(c, X86_SS, ss, cpl, wide);
    c->cpl = (uint8_t)cpl;
    x86_mode_update(c);
    x86_seg_update(c, X86_CS);
    x86_seg_update(c, X86_SS);
}

/* SYSCALL exists outside 64-bit mode on AMD's processors only. */
static bool syscall_here(const struct x86_cpu *c)
{
    if (!(c->efer & X86_EFER_SCE) || !(c->cr0 & X86_CR0_PE))
        return false;
    return c->mode == X86_MODE_64 || !c->vm->model->intel;
}

enum x86_result x86_op_syscall(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t next = x86_next_rip(c, i);
    uint16_t cs = (uint16_t)(c->star >> 32) & ~3u;

    if (!syscall_here(c))
        return x86_raise_ud(c);
    c->gpr[X86_RCX] = next;
    if (x86_long(c)) {
        c->gpr[11] = x86_flags_get(c) & ~(uint64_t)X86_RF;
        c->rip = c->mode == X86_MODE_64 ? c->lstar : c->cstar;
        x86_flags_set(c, 0, c->sfmask | X86_RF);
    } else {
        c->rip = (uint32_t)c->star;
        x86_flags_set(c, 0, X86_IF | X86_VM | X86_RF);
    }
    c->step_rule = X86_STEP_AFTER;
    enter_flat(c, cs, (uint16_t)(cs + 8), 0, x86_long(c));
    return X86_BRANCH;
}

enum x86_result x86_op_sysret(struct x86_cpu *c, const struct x86_insn *i)
{
    uint16_t base = (uint16_t)(c->star >> 48);
    bool wide = i->osize == X86_SIZE_64;
    /* All but VM and the reserved bits; RF is loaded, too. */
    uint64_t mask = 0x3c7fd5;

    if (!syscall_here(c))
        return x86_raise_ud(c);
    if (c->cpl != 0 || (wide && c->vm->model->intel && !x86_canonical(c->gpr[X86_RCX])))
        return x86_raise_gp(c, 0);
    c->rip = wide ? c->gpr[X86_RCX] : (uint32_t)c->gpr[X86_RCX];
    if (x86_long(c))
        x86_flags_set(c, c->gpr[11], mask);
    else
        x86_flags_set(c, X86_IF, X86_IF);
    c->step_rule = X86_STEP_AFTER;
    enter_flat(c, (uint16_t)(base + (wide ? 16 : 0)) | 3, (uint16_t)(base + 8) | 3, 3, wide);
    return X86_BRANCH;
}

enum x86_result x86_op_sysenter(struct x86_cpu *c, const struct x86_insn *i)
{
    uint16_t cs = (uint16_t)c->sysenter_cs & ~3u;
    bool wide = x86_long(c);

    if (wide && !c->vm->model->intel)
        return x86_raise_ud(c);
    if (!(c->cr0 & X86_CR0_PE) || !cs)
        return x86_raise_gp(c, 0);
    x86_flags_set(c, 0, X86_VM | X86_IF | X86_RF);
    c->gpr[X86_RSP] = wide ? c->sysenter_esp : (uint32_t)c->sysenter_esp;
    c->rip = wide ? c->sysenter_eip : (uint32_t)c->sysenter_eip;
    enter_flat(c, cs, (uint16_t)(cs + 8), 0, wide);
    return X86_BRANCH;
}

enum x86_result x86_op_sysexit(struct x86_cpu *c, const struct x86_insn *i)
{
    uint16_t cs = (uint16_t)c->sysenter_cs & ~3u;
    uint64_t rip = c->gpr[X86_RDX], rsp = c->gpr[X86_RCX];
    bool wide = i->osize == X86_SIZE_64;

    if (x86_long(c) && !c->vm->model->intel)
        return x86_raise_ud(c);
    if (!(c->cr0 & X86_CR0_PE) || !cs || c->cpl != 0 ||
        (wide && (!x86_canonical(rip) || !x86_canonical(rsp))))
        return x86_raise_gp(c, 0);
    c->gpr[X86_RSP] = wide ? rsp : (uint32_t)rsp;
    c->rip = wide ? rip : (uint32_t)rip;
    enter_flat(c, (uint16_t)(cs + (wide ? 32 : 16)) | 3, (uint16_t)(cs + (wide ? 40 : 24)) | 3, 3,
               wide);
    return X86_BRANCH;
}
