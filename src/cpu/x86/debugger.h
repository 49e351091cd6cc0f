/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Breakpoints, watchpoints and single steps of a debugger outside the guest.
 *
 * They live in the engine: guest memory, debug registers and flags stay as the guest knows them. A
 * processor that meets one leaves x86_run with X86_EXIT_DEBUG and says why in debug_stop. Addresses
 * are linear, in whatever address space is in force.
 *
 * Cost: code on a page with a breakpoint, and all code while a watchpoint is set or a step is asked
 * for, runs one instruction at a time; everything else as without a debugger.
 *
 * All calls with the processors stopped.
 */
#ifndef CPU_X86_DEBUGGER_H
#define CPU_X86_DEBUGGER_H

#include "cpu/x86/insn.h"

enum x86_point_kind { X86_POINT_CODE, X86_POINT_WRITE, X86_POINT_READ, X86_POINT_ACCESS };

/* Why a processor left with X86_EXIT_DEBUG. */
enum x86_debug_stop {
    X86_DEBUG_NONE,
    X86_DEBUG_STEP,
    X86_DEBUG_POINT, /* before the instruction at a X86_POINT_CODE */
    X86_DEBUG_WATCH, /* after the one that met a watchpoint: debug_kind, debug_at */
};

enum { X86_POINTS = 1024, X86_WATCH_BYTES = 1 << 20 };

struct x86_debugger;

/*
 * Sets a point: @len is 0 of X86_POINT_CODE, else the bytes watched. What is set already stays.
 * -ENOSPC: there are X86_POINTS; -EINVAL: a length that is not from 1 to X86_WATCH_BYTES.
 */
int x86_debugger_add(struct x86_vm *vm, enum x86_point_kind kind, uint64_t lin, uint64_t len,
                     struct error *err) error_must_check;
/* Takes one away; one that is not there is no error. */
void x86_debugger_remove(struct x86_vm *vm, enum x86_point_kind kind, uint64_t lin, uint64_t len);
/* Takes all points and steps away. */
void x86_debugger_clear(struct x86_vm *vm);
/*
 * The next x86_run ends after one instruction, or at the handler of its fault (@on false: it does
 * not). Interrupts wait meanwhile, unless the processor is halted and waits for one. -ENOMEM.
 */
int x86_debugger_step(struct x86_cpu *c, bool on, struct error *err) error_must_check;

/* ---- for the processor ---- */

/* Whether a breakpoint lies in the page of code at @lin. */
bool x86_debugger_page(const struct x86_debugger *d, uint64_t lin);
/* Whether a watchpoint lies in the page of data at @lin, or anywhere. */
bool x86_debugger_watches(const struct x86_debugger *d);
bool x86_debugger_data_page(const struct x86_debugger *d, uint64_t lin);
/* Notes the watchpoints that an access meets. */
void x86_debugger_data(struct x86_cpu *c, uint64_t lin, unsigned size, bool write);
/* Around one instruction. X86_STOP from the first: a breakpoint is here. */
enum x86_result x86_debugger_begin(struct x86_cpu *c);
enum x86_result x86_debugger_end(struct x86_cpu *c, enum x86_result r);

#endif
