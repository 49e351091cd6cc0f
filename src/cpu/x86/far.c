/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Far JMP, CALL and RET, call gates (vol. 2, CALL, JMP, RET; vol. 3, 5.8). Targets are checked in
 * the order of the SDM's pseudocode; registers change only when nothing can fail any more.
 */
#include "cpu/x86/mmu.h"
#include "cpu/x86/system.h"
#include "x86-opcodes.h"

struct far {
    uint16_t sel;
    uint64_t off;
    unsigned size; /* operand size: X86_SIZE_16, 32, 64 */
    bool call;
};

/* Far transfer in real and v8086 mode. */
static enum x86_result far_real(struct x86_cpu *c, const struct x86_insn *i, const struct far *f)
{
    struct x86_stack s;

    /* Real mode keeps the limit of CS. */
    if (f->off > (c->mode == X86_MODE_V86 ? 0xffff : c->seg[X86_CS].limit))
        return x86_raise_gp(c, 0);
    if (f->call) {
        x86_stack_here(c, &s);
        if (x86_stack_push(c, &s, f->size, c->seg[X86_CS].sel) ||
            x86_stack_push(c, &s, f->size, x86_next_rip(c, i)))
            return X86_FAULT;
        x86_stack_commit(c, &s);
    }
    x86_seg_set_real(c, X86_CS, f->sel);
    c->rip = f->off;
    return X86_BRANCH;
}

/* Whether @off may become RIP in the code segment @cs. */
static bool target_ok(const struct x86_cpu *c, const struct x86_desc *cs, uint64_t off)
{
    if (x86_long(c) && x86_desc_l(cs))
        return x86_canonical(off);
    return off <= x86_desc_limit(cs);
}

/* Checks a code segment reached without a gate: same privilege or conforming. */
static int check_direct(struct x86_cpu *c, uint16_t sel, const struct x86_desc *cs)
{
    uint16_t code = sel & ~3u;
    unsigned dpl = x86_desc_dpl(cs);

    if (x86_long(c) && x86_desc_l(cs) && x86_desc_db(cs))
        return x86_raise_gp(c, code);
    if (x86_desc_conforming(cs) ? dpl > c->cpl : (sel & 3u) > c->cpl || dpl != c->cpl)
        return x86_raise_gp(c, code);
    if (!x86_desc_present(cs))
        return x86_raise_code(c, X86_NP, code);
    return 0;
}

static int push_return(struct x86_cpu *c, struct x86_stack *s, unsigned size, uint64_t next)
{
    return x86_stack_push(c, s, size, c->seg[X86_CS].sel) || x86_stack_push(c, s, size, next);
}

static enum x86_result far_code(struct x86_cpu *c, const struct x86_insn *i, const struct far *f,
                                struct x86_desc *cs)
{
    struct x86_stack s;
    uint64_t off = f->off;

    if (check_direct(c, f->sel, cs))
        return X86_FAULT;
    if (f->size == X86_SIZE_16)
        off &= 0xffff;
    x86_stack_here(c, &s);
    if (f->call && push_return(c, &s, f->size, x86_next_rip(c, i)))
        return X86_FAULT;
    if (!target_ok(c, cs, off))
        return x86_raise_gp(c, 0);
    if (x86_desc_accessed(c, cs))
        return X86_FAULT;
    c->rip = off;
    if (f->call)
        x86_stack_commit(c, &s);
    x86_cs_enter(c, f->sel, cs, c->cpl);
    return X86_BRANCH;
}

/* Copies @count parameters of the outer stack to the inner one. */
static int copy_parameters(struct x86_cpu *c, struct x86_stack *s, unsigned size, unsigned count)
{
    struct x86_stack outer;
    uint64_t value[31];

    x86_stack_here(c, &outer);
    for (unsigned n = 0; n < count; n++)
        if (x86_stack_pop(c, &outer, size, &value[n]))
            return 1;
    while (count--)
        if (x86_stack_push(c, s, size, value[count]))
            return 1;
    return 0;
}

/* The gate's code segment at an inner privilege: stack switch (CALL only). */
static enum x86_result gate_inner(struct x86_cpu *c, const struct x86_insn *i,
                                  const struct x86_desc *gate, struct x86_desc *cs, uint64_t off)
{
    bool wide = x86_long(c);
    unsigned size = wide ? X86_SIZE_64 : x86_desc_type(gate) & 8 ? X86_SIZE_32 : X86_SIZE_16;
    unsigned dpl = x86_desc_dpl(cs);
    struct x86_desc ss = {0};
    struct x86_stack s;
    uint16_t ss_sel;

    if (x86_inner_stack(c, dpl, &s, &ss, &ss_sel))
        return X86_FAULT;
    if (x86_stack_push(c, &s, size, c->seg[X86_SS].sel) ||
        x86_stack_push(c, &s, size, c->gpr[X86_RSP]) ||
        (!wide && copy_parameters(c, &s, size, gate->hi & 31)) ||
        push_return(c, &s, size, x86_next_rip(c, i)))
        return X86_FAULT;
    if (!target_ok(c, cs, off))
        return x86_raise_gp(c, 0);
    if (x86_desc_accessed(c, cs))
        return X86_FAULT;
    c->rip = off;
    x86_cs_enter(c, x86_gate_selector(gate), cs, dpl);
    x86_inner_stack_enter(c, &s, &ss, ss_sel);
    x86_stack_commit(c, &s);
    return X86_BRANCH;
}

static enum x86_result gate_same(struct x86_cpu *c, const struct x86_insn *i, const struct far *f,
                                 const struct x86_desc *gate, struct x86_desc *cs, uint64_t off)
{
    bool wide = x86_long(c);
    unsigned size = wide ? X86_SIZE_64 : x86_desc_type(gate) & 8 ? X86_SIZE_32 : X86_SIZE_16;
    struct x86_stack s;

    x86_stack_here(c, &s);
    if (wide) {
        s.wide = true;
        s.mask = UINT64_MAX;
    }
    if (f->call && push_return(c, &s, size, x86_next_rip(c, i)))
        return X86_FAULT;
    if (!target_ok(c, cs, off))
        return x86_raise_gp(c, 0);
    if (x86_desc_accessed(c, cs))
        return X86_FAULT;
    c->rip = off;
    x86_cs_enter(c, x86_gate_selector(gate), cs, c->cpl);
    if (f->call)
        x86_stack_commit(c, &s);
    return X86_BRANCH;
}

static enum x86_result far_gate(struct x86_cpu *c, const struct x86_insn *i, const struct far *f,
                                struct x86_desc *gate)
{
    struct x86_desc cs;
    uint16_t sel = x86_gate_selector(gate), code = sel & ~3u;
    bool wide = x86_long(c);
    uint64_t off = x86_gate_offset(gate);
    unsigned dpl;
    int r;

    if (wide) {
        r = x86_desc_read_high(c, f->sel, gate);
        if (r == X86_DESC_LIMIT)
            return x86_raise_gp(c, f->sel & ~3u);
        if (r != X86_DESC_OK)
            return X86_FAULT;
        off |= (uint64_t)gate->base_high << 32;
    }
    if (!code)
        return x86_raise_gp(c, 0);
    if (x86_desc_need(c, sel, X86_GP, &cs))
        return X86_FAULT;
    dpl = x86_desc_dpl(&cs);
    if (!x86_desc_code(&cs) || dpl > c->cpl || (wide && (!x86_desc_l(&cs) || x86_desc_db(&cs))) ||
        (!f->call && !x86_desc_conforming(&cs) && dpl != c->cpl))
        return x86_raise_gp(c, code);
    if (!x86_desc_present(&cs))
        return x86_raise_code(c, X86_NP, code);
    if (f->call && !x86_desc_conforming(&cs) && dpl < c->cpl)
        return gate_inner(c, i, gate, &cs, off);
    return gate_same(c, i, f, gate, &cs, off);
}

static enum x86_result far_task(struct x86_cpu *c, const struct x86_insn *i, const struct far *f,
                                uint16_t sel, struct x86_desc *tss)
{
    uint64_t rip = c->rip;
    bool switched;

    c->rip = x86_next_rip(c, i);
    if (x86_task_switch(c, sel, tss, f->call ? X86_SWITCH_CALL : X86_SWITCH_JMP, &switched) !=
        X86_FAULT)
        return X86_BRANCH;
    if (switched)
        return x86_deliver_fault(c); /* in the new task */
    c->rip = rip;
    return X86_FAULT;
}

static enum x86_result far_system(struct x86_cpu *c, const struct x86_insn *i, const struct far *f,
                                  struct x86_desc *d)
{
    unsigned type = x86_desc_type(d), dpl = x86_desc_dpl(d);
    uint16_t code = f->sel & ~3u, tss_sel;
    struct x86_desc tss;
    bool gate = type == X86_TYPE_CALL32 || (!x86_long(c) && type == X86_TYPE_CALL16);
    bool task = !x86_long(c) &&
                (type == X86_TYPE_TASK_GATE || type == X86_TYPE_TSS16 || type == X86_TYPE_TSS32);

    if ((!gate && !task) || dpl < c->cpl || dpl < (f->sel & 3u))
        return x86_raise_gp(c, code);
    if (task && type != X86_TYPE_TASK_GATE && (f->sel & 4))
        return x86_raise_gp(c, code);
    if (!x86_desc_present(d))
        return x86_raise_code(c, X86_NP, code);
    if (gate)
        return far_gate(c, i, f, d);
    if (type != X86_TYPE_TASK_GATE)
        return far_task(c, i, f, f->sel, d);
    if (x86_task_gate(c, d, &tss_sel, &tss))
        return X86_FAULT;
    return far_task(c, i, f, tss_sel, &tss);
}

static enum x86_result far_transfer(struct x86_cpu *c, const struct x86_insn *i,
                                    const struct far *f)
{
    struct x86_desc d;

    if (x86_is_real(c))
        return far_real(c, i, f);
    if (!(f->sel & ~3u))
        return x86_raise_gp(c, 0);
    if (x86_desc_need(c, f->sel, X86_GP, &d))
        return X86_FAULT;
    if (!x86_desc_s(&d))
        return far_system(c, i, f, &d);
    if (!x86_desc_code(&d))
        return x86_raise_gp(c, f->sel & ~3u);
    return far_code(c, i, f, &d);
}

static enum x86_result far_imm(struct x86_cpu *c, const struct x86_insn *i, bool call)
{
    struct far f = {.sel = i->imm2,
                    .off = i->osize == X86_SIZE_16 ? (uint16_t)i->imm : (uint32_t)i->imm,
                    .size = i->osize,
                    .call = call};
    return far_transfer(c, i, &f);
}

static enum x86_result far_mem(struct x86_cpu *c, const struct x86_insn *i, bool call)
{
    struct far f = {.size = i->osize, .call = call};

    if (x86_load_far(c, i, &f.off, &f.sel))
        return X86_FAULT;
    return far_transfer(c, i, &f);
}

enum x86_result x86_op_call_far_imm(struct x86_cpu *c, const struct x86_insn *i)
{
    return far_imm(c, i, true);
}

enum x86_result x86_op_jmp_far_imm(struct x86_cpu *c, const struct x86_insn *i)
{
    return far_imm(c, i, false);
}

enum x86_result x86_op_call_far_mem(struct x86_cpu *c, const struct x86_insn *i)
{
    return far_mem(c, i, true);
}

enum x86_result x86_op_jmp_far_mem(struct x86_cpu *c, const struct x86_insn *i)
{
    return far_mem(c, i, false);
}

/* Checks the code segment of a far return or IRET to privilege RPL; *ret_cs filled. */
int x86_return_cs(struct x86_cpu *c, uint16_t sel, struct x86_desc *cs)
{
    unsigned rpl = sel & 3;
    uint16_t code = sel & ~3u;

    if (!code)
        return x86_raise_gp(c, 0);
    if (x86_desc_need(c, sel, X86_GP, cs))
        return 1;
    if (!x86_desc_code(cs) || rpl < c->cpl ||
        (x86_desc_conforming(cs) ? x86_desc_dpl(cs) > rpl : x86_desc_dpl(cs) != rpl) ||
        (x86_long(c) && x86_desc_l(cs) && x86_desc_db(cs)))
        return x86_raise_gp(c, code);
    if (!x86_desc_present(cs))
        return x86_raise_code(c, X86_NP, code);
    return 0;
}

/* Checks SS of a return to the outer privilege of @cs. *@ret_null: null, as 64-bit code may have
 * it below ring 3. x86_return_accessed follows when nothing else can fail. */
int x86_return_ss(struct x86_cpu *c, uint16_t sel, unsigned rpl, const struct x86_desc *cs,
                  struct x86_desc *ss, bool *ret_null)
{
    *ret_null = !(sel & ~3u);
    if (!*ret_null)
        return x86_ss_check(c, sel, rpl, X86_GP, ss);
    if (!x86_long(c) || !x86_desc_l(cs) || rpl == 3 || (sel & 3u) != rpl)
        return x86_raise_gp(c, 0);
    return 0;
}

int x86_return_accessed(struct x86_cpu *c, struct x86_desc *cs, struct x86_desc *ss, bool null_ss)
{
    return x86_desc_accessed(c, cs) || (!null_ss && x86_desc_accessed(c, ss));
}

void x86_return_outer(struct x86_cpu *c, uint16_t cs_sel, const struct x86_desc *cs,
                      uint16_t ss_sel, const struct x86_desc *ss, bool null_ss)
{
    x86_cs_enter(c, cs_sel, cs, cs_sel & 3);
    if (null_ss) {
        x86_seg_set_null(c, X86_SS, ss_sel);
    } else {
        x86_seg_from_desc(&c->seg[X86_SS], ss_sel, ss);
        x86_seg_update(c, X86_SS);
    }
}

/* RSP after a return that loaded SS: by the width of the new stack. */
void x86_return_sp(struct x86_cpu *c, uint64_t sp)
{
    if (c->mode == X86_MODE_64)
        c->gpr[X86_RSP] = sp;
    else if (c->seg[X86_SS].attr & X86_SEG_DB)
        c->gpr[X86_RSP] = (uint32_t)sp;
    else
        c->gpr[X86_RSP] = (c->gpr[X86_RSP] & ~0xffffull) | (sp & 0xffff);
}

static enum x86_result ret_real(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    uint64_t ip, cs;

    x86_stack_here(c, &s);
    if (x86_stack_pop(c, &s, i->osize, &ip) || x86_stack_pop(c, &s, i->osize, &cs))
        return X86_FAULT;
    if (ip > (c->mode == X86_MODE_V86 ? 0xffff : c->seg[X86_CS].limit))
        return x86_raise_gp(c, 0);
    s.sp += (uint16_t)i->imm;
    x86_stack_commit(c, &s);
    x86_seg_set_real(c, X86_CS, (uint16_t)cs);
    c->rip = ip;
    return X86_BRANCH;
}

static enum x86_result ret_outer(struct x86_cpu *c, const struct x86_insn *i, struct x86_stack *s,
                                 uint64_t rip, uint16_t sel, struct x86_desc *cs)
{
    struct x86_desc ss = {0};
    unsigned rpl = sel & 3;
    uint64_t sp, ss_sel;
    bool null_ss;

    s->sp += (uint16_t)i->imm;
    if (x86_stack_pop(c, s, i->osize, &sp) || x86_stack_pop(c, s, i->osize, &ss_sel))
        return X86_FAULT;
    if (x86_return_ss(c, (uint16_t)ss_sel, rpl, cs, &ss, &null_ss))
        return X86_FAULT;
    if (!target_ok(c, cs, rip))
        return x86_raise_gp(c, 0);
    if (x86_return_accessed(c, cs, &ss, null_ss))
        return X86_FAULT;
    c->rip = rip;
    x86_return_outer(c, sel, cs, (uint16_t)ss_sel, &ss, null_ss);
    x86_return_sp(c, sp + (uint16_t)i->imm);
    x86_segs_drop_inner(c, rpl);
    return X86_BRANCH;
}

enum x86_result x86_op_ret_far(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    struct x86_desc cs;
    uint64_t rip, sel;

    if (x86_is_real(c))
        return ret_real(c, i);
    x86_stack_here(c, &s);
    if (x86_stack_pop(c, &s, i->osize, &rip) || x86_stack_pop(c, &s, i->osize, &sel))
        return X86_FAULT;
    if (x86_return_cs(c, (uint16_t)sel, &cs))
        return X86_FAULT;
    if ((sel & 3) > c->cpl)
        return ret_outer(c, i, &s, rip, (uint16_t)sel, &cs);
    if (!target_ok(c, &cs, rip))
        return x86_raise_gp(c, 0);
    if (x86_desc_accessed(c, &cs))
        return X86_FAULT;
    s.sp += (uint16_t)i->imm;
    c->rip = rip;
    x86_stack_commit(c, &s);
    x86_cs_enter(c, (uint16_t)sel, &cs, c->cpl);
    return X86_BRANCH;
}
