/* SPDX-License-Identifier: Apache-2.0 */
/* What the interpreter keeps beside the architectural state. x86_interp_run is in cpu.h. */
#ifndef CPU_X86_INTERP_H
#define CPU_X86_INTERP_H

#include "cpu/x86/cpu.h"

/* What happened to a processor on the interpreter since its engine state was made. */
struct x86_interp_counters {
    uint64_t blocks;  /* decoded for the cache */
    uint64_t entries; /* from the loop: the way on was not in the jump cache, or attention */
    uint64_t lookups; /* in the cache: not in the jump cache */
    uint64_t pages;   /* of code looked up in the TLB */
    uint64_t steps;   /* instructions that ran without the cache */
};

/* False while @c has not run on the interpreter. Only for a processor that this engine runs. */
bool x86_interp_count(const struct x86_cpu *c, struct x86_interp_counters *ret);

/*
 * As x86_interp_run, one instruction at a time and without the cache of decoded instructions: the
 * same results at a tenth of the speed, to hold x86_interp_run to.
 */
enum x86_exit x86_interp_run_steps(struct x86_cpu *c, uint64_t budget);

/* Releases the decoded-instruction cache of @vm and the engine state of its processors; the next
 * x86_interp_run makes them anew. For x86_vm_free and for handing a processor to another engine. */
void x86_interp_release(struct x86_vm *vm);
/* Gives back what decoded instructions take, as struct accel_ops has it. */
void x86_interp_rest(struct x86_vm *vm, void (*give_back)(void *memory, size_t bytes));

/* What the activity state of a processor says that has nothing to run. */
enum x86_exit x86_idle_exit(const struct x86_cpu *c);

#endif
