/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the processor's system side. */
#ifndef CPU_X86_SYSTEM_H
#define CPU_X86_SYSTEM_H

#include "cpu/x86/exc.h"
#include "cpu/x86/segment.h"

/* Keeps X86_ATTN_SLOW: TF, RF, interrupt shadow or armed breakpoints. */
void x86_slow_update(struct x86_cpu *c);
/* Puts the interrupt shadow of STI or MOV SS in force at the boundary after @i. */
void x86_shadow_set(struct x86_cpu *c, const struct x86_insn *i, uint8_t shadow);

/* An event is delivered: counts and tells it. Vector 2 from outside is NMI. */
void x86_note_event(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind, bool has_code,
                    uint32_t code);
/* Tells of a change of ring. Only while somebody traces. */
void x86_note_ring(struct x86_cpu *c);
/* Tells of translations: enum trace_what, and what goes with it. */
void x86_note_paging(struct x86_cpu *c, unsigned what, uint64_t a, uint64_t b, unsigned size);

/* After DR7 changed: which breakpoints are armed. */
void x86_debug_update(struct x86_cpu *c);
/* Notes I/O breakpoints met by an access to @port. */
void x86_debug_io(struct x86_cpu *c, uint16_t port, unsigned size);

/* Writes of CR0, CR3 and CR4 with all checks. Nonzero after a fault. */
int x86_cr0_write(struct x86_cpu *c, uint64_t value);
int x86_cr3_write(struct x86_cpu *c, uint64_t value);
int x86_cr4_write(struct x86_cpu *c, uint64_t value);

/* MSRs (msr.c). Nonzero: #GP(0) is due; nothing was raised. */
int x86_msr_read(struct x86_cpu *c, uint32_t msr, uint64_t *ret);
int x86_msr_write(struct x86_cpu *c, uint32_t msr, uint64_t value);
uint64_t x86_tsc(struct x86_cpu *c);

/*
 * Delivers one event without handling nested faults: X86_BRANCH, or X86_FAULT with c->fault filled
 * and nothing changed.
 */
enum x86_result x86_inject(struct x86_cpu *c, uint8_t vector, enum x86_event_kind kind,
                           bool has_code, uint32_t code);

/*
 * Task switches (vol. 3, chapter 7). @d is the checked TSS descriptor of @sel; c->rip is what the
 * old task will go on with. Returns X86_BRANCH in the new task, X86_FAULT with the fault due in the
 * old task (nothing changed) or, with *ret_switched set, in the new one.
 */
enum x86_switch {
    X86_SWITCH_JMP,
    X86_SWITCH_CALL,
    X86_SWITCH_IRET,
    X86_SWITCH_EVENT,
    X86_SWITCH_FAULT, /* a fault-class exception: the old task gets RF (vol. 3, 17.3.1.1) */
};
enum x86_result x86_task_switch(struct x86_cpu *c, uint16_t sel, struct x86_desc *d,
                                enum x86_switch why, bool *ret_switched);
/* Reads and checks the TSS a task gate points to. Nonzero after a fault. */
int x86_task_gate(struct x86_cpu *c, const struct x86_desc *gate, uint16_t *ret_sel,
                  struct x86_desc *ret);
/* SS:ESP (or RSP) of privilege @dpl, or of @ist when not 0, from the TSS. Nonzero after a fault. */
int x86_tss_stack(struct x86_cpu *c, unsigned dpl, uint16_t *ret_ss, uint64_t *ret_sp);
int x86_tss_rsp(struct x86_cpu *c, unsigned dpl, unsigned ist, uint64_t *ret_rsp);
/*
 * Prepares the stack of inner privilege @dpl from the TSS. *@d is its SS descriptor, *ret_sel its
 * selector (null with RPL @dpl in long mode). Nonzero after a fault.
 */
int x86_inner_stack(struct x86_cpu *c, unsigned dpl, struct x86_stack *s, struct x86_desc *d,
                    uint16_t *ret_sel);
/* Makes it the current stack, once CPL is @dpl. */
void x86_inner_stack_enter(struct x86_cpu *c, const struct x86_stack *s, const struct x86_desc *d,
                           uint16_t sel);
/* Whether the TSS permits I/O to [port, port + size); sets *ret_fault after a page fault. */
bool x86_io_permitted(struct x86_cpu *c, uint16_t port, unsigned size, bool *ret_fault);
/* Interrupt redirection bit of v8086 mode extensions: 1 = not redirected, 0 = redirected, -1 = a
 * fault was raised. */
int x86_vme_redirect(struct x86_cpu *c, uint8_t vector);

/* Far returns (far.c): checks of CS and SS, and the switch to an outer ring. Nonzero after a
 * fault. */
int x86_return_cs(struct x86_cpu *c, uint16_t sel, struct x86_desc *cs);
int x86_return_ss(struct x86_cpu *c, uint16_t sel, unsigned rpl, const struct x86_desc *cs,
                  struct x86_desc *ss, bool *ret_null);
int x86_return_accessed(struct x86_cpu *c, struct x86_desc *cs, struct x86_desc *ss, bool null_ss);
void x86_return_outer(struct x86_cpu *c, uint16_t cs_sel, const struct x86_desc *cs,
                      uint16_t ss_sel, const struct x86_desc *ss, bool null_ss);
void x86_return_sp(struct x86_cpu *c, uint64_t sp);

/* Writes a general register by size (log2 of bytes, at least 16 bits). */
void x86_put_reg(struct x86_cpu *c, unsigned reg, unsigned size, uint64_t value);
/* The 16-bit r/m operand. Nonzero after a fault. */
int x86_load_rm16(struct x86_cpu *c, const struct x86_insn *i, uint16_t *ret);
/* Reads a far pointer operand: offset of the operand size, then the selector. */
int x86_load_far(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret_off, uint16_t *ret_sel);

/* Ends an instruction that may have changed anything the dispatcher caches. */
static inline enum x86_result x86_resync(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rip = x86_next_rip(c, i);
    return X86_BRANCH;
}

#endif
