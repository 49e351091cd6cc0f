/* SPDX-License-Identifier: Apache-2.0 */
/* Raising and delivering exceptions and interrupts (vol. 3, chapter 6). */
#ifndef CPU_X86_EXC_H
#define CPU_X86_EXC_H

#include "cpu/x86/insn.h"

/*
 * Record a fault in c->fault and return X86_FAULT, so that "return x86_raise_gp(c, 0);" reads well.
 * The dispatcher delivers it with c->rip = the faulting instruction.
 */
void x86_set_fault(struct x86_cpu *c, uint8_t vector, bool has_code, uint32_t code);
static inline enum x86_result x86_raise(struct x86_cpu *c, uint8_t vector)
{
    x86_set_fault(c, vector, false, 0);
    return X86_FAULT;
}
static inline enum x86_result x86_raise_code(struct x86_cpu *c, uint8_t vector, uint32_t code)
{
    x86_set_fault(c, vector, true, code);
    return X86_FAULT;
}
static inline enum x86_result x86_raise_gp(struct x86_cpu *c, uint32_t code)
{
    return x86_raise_code(c, X86_GP, code);
}
static inline enum x86_result x86_raise_ud(struct x86_cpu *c)
{
    return x86_raise(c, X86_UD);
}

enum x86_event_kind {
    X86_EVENT_FAULT,      /* exceptions; c->rip is pushed as it stands */
    X86_EVENT_EXTERNAL,   /* INTR, NMI: EXT = 1 */
    X86_EVENT_SOFT,       /* INT n, INT3, INTO: gate DPL is checked; c->rip is pushed */
    X86_EVENT_SOFT_ICEBP, /* INT1: no DPL check */
};

/*
 * Delivers @vector through IVT or IDT in the current mode, with stack switch, task gates, IST,
 * v8086 exit. c->rip is the return address. Handles double faults itself; returns X86_BRANCH when
 * the handler's first instruction is next, X86_STOP after a triple fault (c->activity =
 * X86_SHUTDOWN).
 */
enum x86_result x86_deliver(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind,
                            bool has_code, uint32_t code);

/* Delivers and clears c->fault (sets CR2 and DR6 as the vector demands). Same results. */
enum x86_result x86_deliver_fault(struct x86_cpu *c);

/*
 * Takes the most urgent of what c->attention asks for at an instruction boundary, in the order of
 * vol. 3, table 6-2 (INIT, SIPI, SMI, NMI, INTR), honouring IF and the interrupt shadow. X86_NEXT:
 * nothing was taken; X86_BRANCH: delivered; X86_STOP: leave the loop (kick, shutdown, waits for
 * SIPI).
 */
enum x86_result x86_take_events(struct x86_cpu *c);

/*
 * The one-instruction-at-a-time loop, which runs while X86_ATTN_SLOW is set (x86_mode_update and
 * the debug registers keep that bit: TF, interrupt shadow, RF, armed breakpoints), calls these
 * around each instruction. x86_step_begin looks at instruction breakpoints (unless RF) and delivers
 * #DB: X86_NEXT: execute the instruction at c->rip; X86_BRANCH, X86_STOP as x86_deliver.
 * x86_step_end follows an instruction that completed without a fault, c->rip already advanced:
 * delivers its traps (@tf: TF was set before the instruction; data and I/O breakpoints noticed;
 * task switch) and recomputes X86_ATTN_SLOW. The interrupt shadow in force at
 * x86_step_begin has ended by then.
 */
enum x86_result x86_step_begin(struct x86_cpu *c);
enum x86_result x86_step_end(struct x86_cpu *c, bool tf);

/*
 * INT n and its kin, from the handler of instruction @i: delivers with the next instruction as
 * return address. X86_BRANCH, or X86_FAULT with nothing changed.
 */
enum x86_result x86_soft_interrupt(struct x86_cpu *c, const struct x86_insn *i, uint8_t vector,
                                   enum x86_event_kind kind);

#endif
