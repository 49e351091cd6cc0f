/* SPDX-License-Identifier: Apache-2.0 */
/* What the rest of the processor's set-up needs of the TLBs; accesses go through access.h. */
#ifndef CPU_X86_TLB_H
#define CPU_X86_TLB_H

#include "cpu/x86/cpu.h"

/* Listens to guest memory and to the memory map of @vm, whose processors exist already. */
void x86_tlb_attach(struct x86_vm *vm);
void x86_tlb_detach(struct x86_vm *vm);

/* Recomputes c->asid after CR3 or CR4.PCIDE changed. */
void x86_tlb_update_asid(struct x86_cpu *c);

#endif
