/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processors held to each other: how an engine is checked beside another one (lock-step).
 *
 * Engines may keep what is derived as they like; what has to agree is the table of state.h, with
 * the arithmetic flags as RFLAGS shows them.
 */
#ifndef CPU_X86_COMPARE_H
#define CPU_X86_COMPARE_H

#include "base/str.h"
#include "cpu/x86/cpu.h"

/*
 * Appends to @out a line for each field in which @a and @b differ: its name and both values.
 * Returns how many. Both processors stand between instructions; neither is changed.
 */
unsigned x86_compare(const struct x86_cpu *a, const struct x86_cpu *b, struct str *out);

#endif
