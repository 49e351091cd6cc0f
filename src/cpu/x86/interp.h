/* SPDX-License-Identifier: Apache-2.0 */
/* What the interpreter keeps beside the architectural state. x86_interp_run is in cpu.h. */
#ifndef CPU_X86_INTERP_H
#define CPU_X86_INTERP_H

#include "cpu/x86/cpu.h"

/* Releases the decoded-instruction cache of @vm and the engine state of its processors; the next
 * x86_interp_run makes them anew. For x86_vm_free and for handing a processor to another engine. */
void x86_interp_release(struct x86_vm *vm);

/* What the activity state of a processor says that has nothing to run. */
enum x86_exit x86_idle_exit(const struct x86_cpu *c);

#endif
