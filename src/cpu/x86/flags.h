/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFLAGS. The six arithmetic flags are kept as in struct x86_lazy: instructions store a result, the
 * carries into each bit and the carry out; the flags are read off when somebody asks.
 *
 * Operands and results are sign-extended to 64 bits whatever the operand size: that keeps the order
 * of unsigned numbers, so CF of a subtraction is a < b, and brings the sign to bit 63 for every
 * size.
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

static inline bool x86_flag_cf(const struct x86_cpu *c)
{
    return c->lazy.op & X86_CF;
}
static inline bool x86_flag_zf(const struct x86_cpu *c)
{
    return c->lazy.result == 0;
}
static inline bool x86_flag_sf(const struct x86_cpu *c)
{
    return (c->lazy.result >> 63) ^ ((c->lazy.op >> 7) & 1);
}
static inline bool x86_flag_of(const struct x86_cpu *c)
{
    return (c->lazy.aux >> 63) ^ (c->lazy.op & X86_CF);
}
static inline bool x86_flag_af(const struct x86_cpu *c)
{
    return (c->lazy.aux >> 4) & 1;
}
static inline bool x86_flag_pf(const struct x86_cpu *c)
{
    return !__builtin_parity((unsigned)(c->lazy.result & 0xff)) ^ ((c->lazy.op >> 2) & 1);
}

/* Condition @cc (low four bits of Jcc, SETcc, CMOVcc). */
static inline bool x86_cond(const struct x86_cpu *c, unsigned cc)
{
    bool t;

    switch ((cc >> 1) & 7) {
    case 0:
        t = x86_flag_of(c);
        break;
    case 1:
        t = x86_flag_cf(c);
        break;
    case 2:
        t = x86_flag_zf(c);
        break;
    case 3:
        t = (int)x86_flag_cf(c) | x86_flag_zf(c);
        break;
    case 4:
        t = x86_flag_sf(c);
        break;
    case 5:
        t = x86_flag_pf(c);
        break;
    case 6:
        t = x86_flag_sf(c) ^ x86_flag_of(c);
        break;
    default:
        t = (int)(x86_flag_sf(c) ^ x86_flag_of(c)) | x86_flag_zf(c);
        break;
    }
    return t ^ (cc & 1);
}

#endif
