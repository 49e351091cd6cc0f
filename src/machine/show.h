/* SPDX-License-Identifier: Apache-2.0 */
/* A machine told to a person: appends lines of text. The processors must not run meanwhile. */
#ifndef MACHINE_SHOW_H
#define MACHINE_SHOW_H

#include "base/str.h"
#include "cpu/x86/cpu.h"
#include "machine/machine.h"

/* Where Linux on x86-64 is linked to run. */
#define SHOW_KERNEL_LINKED 0xffffffff81000000ull

void show_processor(struct x86_cpu *c, struct str *out);
/* The entries of page tables on the way to @lin, and what they allow. */
void show_walk(struct x86_cpu *c, uint64_t lin, struct str *out);
/* What is mapped in its address space, neighbours of the same rights together; bounded. */
void show_mappings(struct x86_cpu *c, struct str *out);
/* What stands where in guest-physical memory. */
void show_memory_map(const struct machine *m, struct str *out);
/* Where the text of the Linux kernel that @c runs begins; false when none is mapped. */
bool show_kernel_text(struct x86_cpu *c, uint64_t *ret);

#endif
