/* SPDX-License-Identifier: Apache-2.0 */
/* A processor's architectural state as a table, for snapshots. */
#ifndef CPU_X86_STATE_H
#define CPU_X86_STATE_H

#include "bus/state.h"
#include "cpu/x86/cpu.h"

/*
 * The fields of a struct x86_cpu. Load only while the processor does not run; the level
 * X86_ATTN_INTR is its interrupt controller's to set again.
 */
extern const struct state_table x86_cpu_state;

/* To be called before state_save: brings lazily kept state into its one canonical form. */
void x86_state_settle(struct x86_cpu *c);

#endif
