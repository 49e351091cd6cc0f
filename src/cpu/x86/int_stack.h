/* SPDX-License-Identifier: Apache-2.0 */
/* The stack as near instructions use it (vol. 1, 6.2). Private to the int_*.c files. */
#ifndef CPU_X86_INT_STACK_H
#define CPU_X86_INT_STACK_H

#include "cpu/x86/int_core.h"

/* Stack address size, X86_SIZE_16, 32 or 64, for operand size @sz: 64 exists in 64-bit mode only.
 */
static always_inline unsigned stack_size(const struct x86_cpu *c, unsigned sz)
{
    if (sz == X86_SIZE_64 || c->mode == X86_MODE_64)
        return X86_SIZE_64;
    return c->seg[X86_SS].attr & X86_SEG_DB ? X86_SIZE_32 : X86_SIZE_16;
}

/* rSP + @delta in the stack's address size. */
static always_inline uint64_t stack_at(const struct x86_cpu *c, unsigned ssz, int64_t delta)
{
    return zext(ssz, c->gpr[X86_RSP] + (uint64_t)delta);
}

/* Pushes the low bytes of @v. Nonzero after a fault. */
static always_inline int push(struct x86_cpu *c, unsigned sz, uint64_t v)
{
    unsigned ssz = stack_size(c, sz);
    uint64_t sp = stack_at(c, ssz, -(1 << sz));

    if (unlikely(mem_set(c, X86_SS, sp, sz, v)))
        return 1;
    reg_set(c, X86_RSP, 0, ssz, sp);
    return 0;
}

/* The value on top of the stack, which is left there. */
static always_inline int peek(struct x86_cpu *c, unsigned sz, uint64_t *ret)
{
    return mem_get(c, X86_SS, stack_at(c, stack_size(c, sz), 0), sz, ret);
}

/* Moves rSP by @bytes after an access of size @sz. */
static always_inline void drop(struct x86_cpu *c, unsigned sz, uint64_t bytes)
{
    unsigned ssz = stack_size(c, sz);
    reg_set(c, X86_RSP, 0, ssz, stack_at(c, ssz, (int64_t)bytes));
}

/* Near branch targets of operand size @sz, 64 in 64-bit mode: canonical there, inside CS elsewhere.
 */
static always_inline bool near_target_ok(const struct x86_cpu *c, unsigned sz, uint64_t rip)
{
    if (sz == X86_SIZE_64)
        return (uint64_t)((int64_t)(rip << 16) >> 16) == rip;
    return rip <= c->seg[X86_CS].limit;
}

#endif
