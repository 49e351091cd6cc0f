/* SPDX-License-Identifier: Apache-2.0 */
/* BMI1 and BMI2: general-register instructions with a VEX prefix; SSE state has no say in them. */
#include "cpu/x86/access.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/insn.h"
#include "x86-opcodes.h"

static unsigned bits_of(const struct x86_insn *i)
{
    return i->osize == X86_SIZE_64 ? 64 : 32;
}

static uint64_t cut(const struct x86_insn *i, uint64_t v)
{
    return i->osize == X86_SIZE_64 ? v : (uint32_t)v;
}

/* The ModRM operand, zero-extended. Nonzero after a fault. */
static int source(struct x86_cpu *c, const struct x86_insn *i, uint64_t *ret)
{
    uint32_t v;
    if (!i->mem) {
        *ret = cut(i, c->gpr[i->rm]);
        return 0;
    }
    if (i->osize == X86_SIZE_64)
        return x86_load64(c, i->seg, x86_ea(c, i), ret);
    if (x86_load32(c, i->seg, x86_ea(c, i), &v))
        return 1;
    *ret = v;
    return 0;
}

/* SF and ZF of @r, @cf; OF, AF and PF become 0 (AF and PF are undefined). */
static void set_flags(struct x86_cpu *c, const struct x86_insn *i, uint64_t r, bool cf)
{
    uint64_t f = cf ? X86_CF : 0;
    if (r == 0)
        f |= X86_ZF;
    if (r >> (bits_of(i) - 1))
        f |= X86_SF;
    x86_flags_set(c, f, X86_ARITH);
}

/* Defines x86_op_NAME: s = ModRM operand, v = VEX.vvvv, r = result for register @dest. */
#define BMI(name, dest, ...)                                                                       \
    enum x86_result x86_op_##name(struct x86_cpu *c, const struct x86_insn *i)                     \
    {                                                                                              \
        uint64_t s, v = cut(i, c->gpr[i->vvvv]), r;                                                \
        if (source(c, i, &s))                                                                      \
            return X86_FAULT;                                                                      \
        (void)v;                                                                                   \
        __VA_ARGS__;                                                                               \
        c->gpr[i->dest] = r;                                                                       \
        return X86_NEXT;                                                                           \
    }

/* The bits of @s at the places of @mask, together at the bottom. */
static uint64_t extract(uint64_t s, uint64_t mask)
{
    uint64_t r = 0;
    for (unsigned k = 0; mask; k++, mask &= mask - 1)
        r |= (uint64_t)(s >> __builtin_ctzll(mask) & 1) << k;
    return r;
}

/* The bottom bits of @s at the places of @mask. */
static uint64_t deposit(uint64_t s, uint64_t mask)
{
    uint64_t r = 0;
    for (; mask; s >>= 1, mask &= mask - 1)
        if (s & 1)
            r |= mask & (0 - mask);
    return r;
}

static uint64_t low_bits(uint64_t s, unsigned n)
{
    return n < 64 ? s & ((UINT64_C(1) << n) - 1) : s;
}

/* clang-format off */
BMI(andn, reg, r = ~v & s; set_flags(c, i, r, false))
BMI(blsr, vvvv, r = cut(i, s & (s - 1)); set_flags(c, i, r, s == 0))
BMI(blsmsk, vvvv, r = cut(i, s ^ (s - 1)); set_flags(c, i, r, s == 0))
BMI(blsi, vvvv, r = cut(i, s & (0 - s)); set_flags(c, i, r, s != 0))
BMI(bextr, reg, unsigned start = v & 0xff;
    r = low_bits(start < 64 ? s >> start : 0, v >> 8 & 0xff); set_flags(c, i, r, false))
BMI(bzhi, reg, unsigned n = v & 0xff;
    r = low_bits(s, n); set_flags(c, i, r, n >= bits_of(i)))
BMI(pext, reg, r = extract(v, s))
BMI(pdep, reg, r = deposit(v, s))
BMI(shlx, reg, r = cut(i, s << (v & (bits_of(i) - 1))))
BMI(shrx, reg, r = s >> (v & (bits_of(i) - 1)))
BMI(sarx, reg, unsigned n = v & (bits_of(i) - 1);
    r = i->osize == X86_SIZE_64 ? (uint64_t)((int64_t)s >> n) : (uint32_t)((int32_t)s >> n))
BMI(rorx, reg, unsigned n = i->imm & (bits_of(i) - 1);
    r = n ? cut(i, s >> n | s << (bits_of(i) - n)) : s)
/* clang-format on */

/* Upper half to ModRM.reg, lower half to vvvv; the same register gets the upper one. */
enum x86_result x86_op_mulx(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t s, d = cut(i, c->gpr[X86_RDX]);
    if (source(c, i, &s))
        return X86_FAULT;
    unsigned __int128 r = (unsigned __int128)s * d;
    c->gpr[i->vvvv] = cut(i, (uint64_t)r);
    c->gpr[i->reg] = cut(i, (uint64_t)(r >> bits_of(i)));
    return X86_NEXT;
}
