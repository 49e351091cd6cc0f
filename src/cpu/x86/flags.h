/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFLAGS. The six arithmetic flags are lazy (struct x86_lazy): producers in the integer core store
 * what is needed to compute them; everyone else uses these functions.
 */
#ifndef CPU_X86_FLAGS_H
#define CPU_X86_FLAGS_H

#include "cpu/x86/cpu.h"

/* All of RFLAGS, arithmetic flags included. */
uint64_t x86_flags_get(const struct x86_cpu *c);
/*
 * Sets the flags in @mask to those of @value (arithmetic or not). After changing VM, AC, IF, TF or
 * RF the caller calls x86_mode_update; the dispatcher then looks at X86_ATTN_SLOW again.
 */
void x86_flags_set(struct x86_cpu *c, uint64_t value, uint64_t mask);

#endif
