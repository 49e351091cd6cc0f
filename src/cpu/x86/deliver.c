/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event through IVT or IDT (vol. 3, 6.10 to 6.14, 20.1.4, 20.3). Everything is checked and
 * pushed before the first register changes, so that a fault on the way leaves the interrupted
 * context whole.
 */
#include "cpu/x86/flags.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/system.h"

struct event {
    uint8_t vector;
    enum x86_event_kind kind;
    bool has_code;
    uint32_t code;
    unsigned ext; /* bit 0 of error codes of faults met while delivering */
};

static enum x86_result bad_gate(struct x86_cpu *c, const struct event *e, uint8_t vector)
{
    return x86_raise_code(c, vector, e->vector * 8u + 2 + e->ext);
}

/* Whether the saved RFLAGS get RF: fault-class exceptions (vol. 3, 17.3.1.1). */
static bool fault_class(const struct event *e)
{
    return e->kind == X86_EVENT_FAULT && e->vector != X86_DB && e->vector != X86_DF_VEC &&
           e->vector != X86_MC && e->vector != X86_BP && e->vector != X86_OFV;
}

static uint64_t flags_image(struct x86_cpu *c, const struct event *e)
{
    uint64_t f = x86_flags_get(c);

    return fault_class(e) ? f | X86_RF : f;
}

static enum x86_result inject_real(struct x86_cpu *c, const struct event *e)
{
    struct x86_stack s;
    uint32_t entry;
    uint16_t ip, cs;

    if (e->vector * 4u + 3 > c->idt.limit)
        return x86_raise_code(c, X86_GP, e->vector * 8u + 2 + e->ext);
    if (x86_lin_load(c, X86_CLASS_SYSTEM, (uint32_t)(c->idt.base + e->vector * 4u), 4, &entry))
        return X86_FAULT;
    ip = (uint16_t)entry;
    cs = (uint16_t)(entry >> 16);
    x86_stack_here(c, &s);
    if (x86_stack_push(c, &s, X86_SIZE_16, x86_flags_get(c)) ||
        x86_stack_push(c, &s, X86_SIZE_16, c->seg[X86_CS].sel) ||
        x86_stack_push(c, &s, X86_SIZE_16, c->rip))
        return X86_FAULT;
    x86_stack_commit(c, &s);
    x86_seg_set_real(c, X86_CS, cs);
    c->rip = ip;
    x86_flags_set(c, 0, X86_IF | X86_TF | X86_AC | X86_RF);
    x86_mode_update(c);
    return X86_BRANCH;
}

/* Pushes what an interrupt of the given operand size pushes; DS..GS too when leaving v8086 mode. */
static int push_frame(struct x86_cpu *c, const struct event *e, struct x86_stack *s, unsigned size,
                      bool new_stack)
{
    bool v86 = c->rflags & X86_VM;
    static const uint8_t segs[] = {X86_GS, X86_FS, X86_DS, X86_ES};

    for (unsigned i = 0; v86 && i < array_size(segs); i++)
        if (x86_stack_push(c, s, size, c->seg[segs[i]].sel))
            return 1;
    if (new_stack && (x86_stack_push(c, s, size, c->seg[X86_SS].sel) ||
                      x86_stack_push(c, s, size, c->gpr[X86_RSP])))
        return 1;
    return x86_stack_push(c, s, size, flags_image(c, e)) ||
           x86_stack_push(c, s, size, c->seg[X86_CS].sel) || x86_stack_push(c, s, size, c->rip) ||
           (e->has_code && x86_stack_push(c, s, size, e->code));
}

static enum x86_result inject_task(struct x86_cpu *c, const struct event *e,
                                   const struct x86_desc *gate)
{
    struct x86_desc tss;
    struct x86_stack s;
    struct x86_pending trap;
    enum x86_switch why = fault_class(e) ? X86_SWITCH_FAULT : X86_SWITCH_EVENT;
    enum x86_result r;
    bool switched = false;
    uint16_t sel;

    if (x86_task_gate(c, gate, &sel, &tss))
        return X86_FAULT;
    r = x86_task_switch(c, sel, &tss, why, &switched);
    /* The trap of the new TSS's T flag comes when the switch is complete, error code and all. */
    if (r == X86_FAULT && !(switched && c->fault.vector == X86_DB))
        return X86_FAULT;
    trap = c->fault;
    if (e->has_code) {
        x86_stack_here(c, &s);
        if (x86_stack_push(c, &s, c->tr.attr & 8 ? X86_SIZE_32 : X86_SIZE_16, e->code))
            return X86_FAULT;
        x86_stack_commit(c, &s);
    }
    c->fault = trap;
    return r;
}

/* Reads and checks the gate of the vector. Nonzero after a fault. */
static int read_gate(struct x86_cpu *c, const struct event *e, struct x86_desc *gate,
                     uint32_t *ret_high)
{
    bool wide = x86_long(c);
    unsigned size = wide ? 16 : 8, off = e->vector * size, type;
    uint64_t raw[2] = {0}, lin = c->idt.base + off;

    if (off + size - 1 > c->idt.limit)
        return bad_gate(c, e, X86_GP);
    if (x86_lin_load(c, X86_CLASS_SYSTEM, wide ? lin : (uint32_t)lin, 8, &raw[0]) ||
        (wide && x86_lin_load(c, X86_CLASS_SYSTEM, lin + 8, 8, &raw[1])))
        return 1;
    *gate = (struct x86_desc){.lo = (uint32_t)raw[0], .hi = (uint32_t)(raw[0] >> 32)};
    *ret_high = (uint32_t)raw[1];
    type = gate->hi >> 8 & 0x1f;
    if (wide ? type != X86_TYPE_INT32 && type != X86_TYPE_TRAP32
             : type != X86_TYPE_TASK_GATE && type != X86_TYPE_INT16 && type != X86_TYPE_TRAP16 &&
                   type != X86_TYPE_INT32 && type != X86_TYPE_TRAP32)
        return bad_gate(c, e, X86_GP);
    if (e->kind == X86_EVENT_SOFT && x86_desc_dpl(gate) < c->cpl)
        return bad_gate(c, e, X86_GP);
    if (!x86_desc_present(gate))
        return bad_gate(c, e, X86_NP);
    return 0;
}

/* Reads and checks the code segment of the gate; *ret_cpl is the level it runs at. */
static int read_target(struct x86_cpu *c, uint16_t sel, struct x86_desc *cs, unsigned *ret_cpl)
{
    uint16_t code = sel & ~3u;

    if (!code)
        return x86_raise_gp(c, 0);
    if (x86_desc_need(c, sel, X86_GP, cs))
        return 1;
    if (!x86_desc_code(cs) || x86_desc_dpl(cs) > c->cpl ||
        (x86_long(c) && (!x86_desc_l(cs) || x86_desc_db(cs))))
        return x86_raise_gp(c, code);
    if (!x86_desc_present(cs))
        return x86_raise_code(c, X86_NP, code);
    *ret_cpl = x86_desc_conforming(cs) ? c->cpl : x86_desc_dpl(cs);
    if ((c->rflags & X86_VM) && *ret_cpl != 0)
        return x86_raise_gp(c, code);
    return 0;
}

/* Interrupts in long mode: 64-bit frames on RSPn, an IST stack, or the current one (6.14). */
static int push_long(struct x86_cpu *c, const struct event *e, unsigned ist, unsigned cpl,
                     struct x86_stack *s)
{
    uint64_t rsp = c->gpr[X86_RSP];

    if ((ist || cpl < c->cpl) && x86_tss_rsp(c, cpl, ist, &rsp))
        return 1;
    *s = (struct x86_stack){
        .sp = rsp & ~0xfull, .mask = UINT64_MAX, .wide = true, .cls = x86_class_at(c, cpl)};
    return push_frame(c, e, s, X86_SIZE_64, true);
}

static enum x86_result inject_prot(struct x86_cpu *c, const struct event *e)
{
    struct x86_desc gate, cs, ss;
    struct x86_stack s;
    uint32_t high;
    uint16_t ss_sel = 0;
    unsigned cpl, type, size;
    uint64_t target, f;
    bool v86 = c->rflags & X86_VM, wide = x86_long(c), inner;

    if (read_gate(c, e, &gate, &high))
        return X86_FAULT;
    type = x86_desc_type(&gate);
    if (type == X86_TYPE_TASK_GATE)
        return inject_task(c, e, &gate);
    if (read_target(c, x86_gate_selector(&gate), &cs, &cpl))
        return X86_FAULT;
    inner = cpl < c->cpl;
    size = wide ? X86_SIZE_64 : type & 8 ? X86_SIZE_32 : X86_SIZE_16;
    target = x86_gate_offset(&gate) | (uint64_t)high << 32;
    if (!inner)
        x86_stack_here(c, &s);
    else if (!wide && x86_inner_stack(c, cpl, &s, &ss, &ss_sel))
        return X86_FAULT;
    /* Vol. 2, INT n: room on the stack, then the target, then memory. */
    if (!wide && x86_stack_room(c, &s, size, (inner ? 5 : 3) + e->has_code + (v86 ? 4 : 0)))
        return X86_FAULT;
    if (wide ? !x86_canonical(target) : target > x86_desc_limit(&cs))
        return x86_raise_gp(c, 0);
    if (wide ? push_long(c, e, gate.hi & 7, cpl, &s) : push_frame(c, e, &s, size, inner))
        return X86_FAULT;
    if (x86_desc_accessed(c, &cs))
        return X86_FAULT;

    f = X86_TF | X86_NT | X86_VM | X86_RF | (type & 1 ? 0 : X86_IF);
    x86_flags_set(c, 0, f);
    c->rip = target;
    x86_cs_enter(c, x86_gate_selector(&gate), &cs, cpl);
    if (inner && wide)
        x86_seg_set_null(c, X86_SS, (uint16_t)cpl);
    else if (inner)
        x86_inner_stack_enter(c, &s, &ss, ss_sel);
    x86_stack_commit(c, &s);
    if (v86) {
        x86_seg_set_null(c, X86_ES, 0);
        x86_seg_set_null(c, X86_DS, 0);
        x86_seg_set_null(c, X86_FS, 0);
        x86_seg_set_null(c, X86_GS, 0);
    }
    return X86_BRANCH;
}

enum x86_result x86_inject(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind,
                           bool has_code, uint32_t code)
{
    struct event e = {.vector = vector,
                      .kind = kind,
                      .has_code = has_code,
                      .code = code,
                      .ext = kind != X86_EVENT_SOFT};
    enum x86_result r;

    if (!(c->cr0 & X86_CR0_PE)) {
        e.has_code = false;
        return inject_real(c, &e);
    }
    r = inject_prot(c, &e);
    if (r == X86_FAULT && c->fault.vector >= X86_TS && c->fault.vector <= X86_GP)
        c->fault.code |= e.ext;
    return r;
}
