/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translator: runs the processors of a machine by re-encoding guest code for a host of the same
 * kind (x86-64 with BMI2 or not, Linux). docs/ARCHITECTURE.md has an overview, docs/decisions the
 * reasons.
 */
#ifndef CPU_JIT_JIT_H
#define CPU_JIT_JIT_H

#include "cpu/x86/cpu.h"

/* Whether this host can run translated code: 0, or a negative errno with the reason. */
int x86_jit_probe(struct error *err);

/* Gives @vm, made before, a translator. 0 or a negative errno with @err set. */
int x86_jit_create(struct x86_vm *vm, struct error *err);
/* Ends it; before x86_vm_free. The processors' state is complete without it. */
void x86_jit_destroy(struct x86_vm *vm);

/*
 * As x86_interp_run, with the same instruction counts: it stops after exactly @budget instructions
 * unless there is another reason. The processors of a machine run in turn, on one thread.
 */
enum x86_exit x86_jit_run(struct x86_cpu *c, uint64_t budget);

struct x86_jit_stats {
    uint64_t blocks, dropped;                 /* translated; made stale by writes */
    uint64_t bytes, flushes;                  /* of host code; times that everything was dropped */
    uint64_t entries, links;                  /* of translated code; direct jumps connected */
    uint64_t slow_loads, slow_stores, helped; /* calls out of translated code */
    uint64_t interpreted;                     /* instructions run by the interpreter instead */
};
/* What the translator of @vm has done so far; all zero without one. */
struct x86_jit_stats x86_jit_stats(const struct x86_vm *vm);

/* For tests: drops all translations of @vm; lets blocks have at most @insns instructions. */
void x86_jit_forget(struct x86_vm *vm);
void x86_jit_limit(struct x86_vm *vm, unsigned insns);

#endif
