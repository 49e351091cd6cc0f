/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the integer instructions are made of. Private to the int_*.c files.
 *
 * Each instruction is written once, as an inline function do_NAME(c, i, sz, mem, ea) whose operand
 * size and memory form are constants after inlining. Two kinds of function are made from it: the
 * generic x86_op_NAME of the opcode table (insn.h has its contract) by INT_GENERIC, and the
 * threaded ones of the decoded-instruction cache, specialised by size and addressing form (fast.h),
 * by INT_FAST.
 *
 * Operands are held sign-extended to 64 bits (flags.h says why).
 */
#ifndef CPU_X86_INT_CORE_H
#define CPU_X86_INT_CORE_H

#include "cpu/x86/access.h"
#include "cpu/x86/exc.h"
#include "cpu/x86/fast.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/optable.h"

#define always_inline inline __attribute__((always_inline))

static always_inline uint64_t sext(unsigned sz, uint64_t v)
{
    return sz == X86_SIZE_8    ? (uint64_t)(int64_t)(int8_t)v
           : sz == X86_SIZE_16 ? (uint64_t)(int64_t)(int16_t)v
           : sz == X86_SIZE_32 ? (uint64_t)(int64_t)(int32_t)v
                               : v;
}

static always_inline uint64_t zext(unsigned sz, uint64_t v)
{
    return sz == X86_SIZE_8    ? (uint8_t)v
           : sz == X86_SIZE_16 ? (uint16_t)v
           : sz == X86_SIZE_32 ? (uint32_t)v
                               : v;
}

static always_inline unsigned bits_of(unsigned sz)
{
    return 8u << sz;
}

/* General register @r; byte registers by their offset @r8. */
static always_inline uint64_t reg_get(const struct x86_cpu *c, unsigned r, unsigned r8, unsigned sz)
{
    if (sz == X86_SIZE_8)
        return sext(sz, ((const uint8_t *)c->gpr)[r8]);
    return sext(sz, c->gpr[r]);
}

/* Writes 8 and 16 bits leave the rest alone; 32 bits clear the upper half. */
static always_inline void reg_set(struct x86_cpu *c, unsigned r, unsigned r8, unsigned sz,
                                  uint64_t v)
{
    if (sz == X86_SIZE_8)
        ((uint8_t *)c->gpr)[r8] = (uint8_t)v;
    else if (sz == X86_SIZE_16)
        memcpy(&c->gpr[r], &v, 2);
    else
        c->gpr[r] = zext(sz, v);
}

/*
 * Memory operands: the fast path of access.h, with slow paths that take and give values (the loaded
 * one in c->loaded): a local variable whose address leaves the function would keep the compiler
 * from making the sibling calls of fast.h.
 */
int x86_int_load_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz);
int x86_int_load_rmw_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz);
int x86_int_store_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz, uint64_t v);

static always_inline uint64_t host_load(const uint8_t *p, unsigned sz)
{
    return sz == X86_SIZE_8    ? sext(sz, *p)
           : sz == X86_SIZE_16 ? sext(sz, load_le16(p))
           : sz == X86_SIZE_32 ? sext(sz, load_le32(p))
                               : load_le64(p);
}

static always_inline int mem_get(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz,
                                 uint64_t *ret)
{
    const struct x86_seg *s = &c->seg[seg];

    if (likely(s->flat_r)) {
        const uint8_t *p = x86_tlb_hit(c, s->lin_base + off, 1u << sz, false);
        if (likely(p != NULL)) {
            *ret = host_load(p, sz);
            return 0;
        }
    }
    if (x86_int_load_slow(c, seg, off, sz))
        return 1;
    *ret = sext(sz, c->loaded);
    return 0;
}

static always_inline int mem_get_rmw(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz,
                                     uint64_t *ret)
{
    const struct x86_seg *s = &c->seg[seg];

    if (likely(s->flat_r && s->flat_w)) {
        const uint8_t *p = x86_tlb_hit(c, s->lin_base + off, 1u << sz, true);
        if (likely(p != NULL)) {
            *ret = host_load(p, sz);
            return 0;
        }
    }
    if (x86_int_load_rmw_slow(c, seg, off, sz))
        return 1;
    *ret = sext(sz, c->loaded);
    return 0;
}

static always_inline int mem_set(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz,
                                 uint64_t v)
{
    const struct x86_seg *s = &c->seg[seg];

    if (likely(s->flat_w)) {
        uint8_t *p = x86_tlb_hit(c, s->lin_base + off, 1u << sz, true);
        if (likely(p != NULL)) {
            memcpy(p, &v, 1u << sz);
            return 0;
        }
    }
    return x86_int_store_slow(c, seg, off, sz, v);
}

/* The r/m operand. */
static always_inline int rm_get(struct x86_cpu *c, const struct x86_insn *i, unsigned sz, bool mem,
                                uint64_t ea, uint64_t *ret)
{
    if (mem)
        return mem_get(c, i->seg, ea, sz, ret);
    *ret = reg_get(c, i->rm, i->rm8, sz);
    return 0;
}
static always_inline int rm_get_rmw(struct x86_cpu *c, const struct x86_insn *i, unsigned sz,
                                    bool mem, uint64_t ea, uint64_t *ret)
{
    if (mem)
        return mem_get_rmw(c, i->seg, ea, sz, ret);
    *ret = reg_get(c, i->rm, i->rm8, sz);
    return 0;
}
static always_inline int rm_set(struct x86_cpu *c, const struct x86_insn *i, unsigned sz, bool mem,
                                uint64_t ea, uint64_t v)
{
    if (mem)
        return mem_set(c, i->seg, ea, sz, v);
    reg_set(c, i->rm, i->rm8, sz, v);
    return 0;
}
static always_inline uint64_t g_get(const struct x86_cpu *c, const struct x86_insn *i, unsigned sz)
{
    return reg_get(c, i->reg, i->reg8, sz);
}
static always_inline void g_set(struct x86_cpu *c, const struct x86_insn *i, unsigned sz,
                                uint64_t v)
{
    reg_set(c, i->reg, i->reg8, sz, v);
}

/* A result with its flags, committed only when nothing can fault any more. */
struct alu {
    uint64_t r, aux;
    uint32_t op;
};

static always_inline void alu_commit(struct x86_cpu *c, struct alu a)
{
    c->lazy.result = a.r;
    c->lazy.aux = a.aux;
    c->lazy.op = a.op;
}

static always_inline struct alu alu_add(unsigned sz, uint64_t a, uint64_t b)
{
    uint64_t r = sext(sz, a + b);
    return (struct alu){r, a ^ b ^ r, r < a};
}
static always_inline struct alu alu_adc(unsigned sz, uint64_t a, uint64_t b, unsigned carry)
{
    uint64_t r = sext(sz, a + b + carry);
    return (struct alu){r, a ^ b ^ r, (uint32_t)(((a & b) | ((a | b) & ~r)) >> 63)};
}
static always_inline struct alu alu_sub(unsigned sz, uint64_t a, uint64_t b)
{
    uint64_t r = sext(sz, a - b);
    return (struct alu){r, a ^ b ^ r, a < b};
}
static always_inline struct alu alu_sbb(unsigned sz, uint64_t a, uint64_t b, unsigned carry)
{
    uint64_t r = sext(sz, a - b - carry);
    return (struct alu){r, a ^ b ^ r, (uint32_t)(((~a & b) | (~(a ^ b) & r)) >> 63)};
}
static always_inline struct alu alu_logic(uint64_t r)
{
    return (struct alu){r, 0, 0};
}
/* INC and DEC leave CF alone; OF is kept relative to CF. */
static always_inline struct alu alu_inc(unsigned sz, uint64_t a, uint32_t cf)
{
    uint64_t r = sext(sz, a + 1);
    return (struct alu){r, ((a ^ r) & X86_AF) | ((((~a & r) >> 63) ^ cf) << 63), cf};
}
static always_inline struct alu alu_dec(unsigned sz, uint64_t a, uint32_t cf)
{
    uint64_t r = sext(sz, a - 1);
    return (struct alu){r, ((a ^ r) & X86_AF) | ((((a & ~r) >> 63) ^ cf) << 63), cf};
}

/* Sets CF and OF alone. */
static always_inline void set_cf_of(struct x86_cpu *c, unsigned cf, unsigned of)
{
    c->lazy.op = (c->lazy.op & ~1u) | cf;
    c->lazy.aux = (c->lazy.aux & ~(1ull << 63)) | ((uint64_t)(cf ^ of) << 63);
}
/* Sets CF alone. */
static always_inline void set_cf(struct x86_cpu *c, unsigned cf)
{
    set_cf_of(c, cf, x86_flag_of(c));
}

/* x86_op_NAME from do_NAME(c, i, sz, mem, ea). */
#define INT_GENERIC(name)                                                                          \
    enum x86_result x86_op_##name(struct x86_cpu *c, const struct x86_insn *i)                     \
    {                                                                                              \
        uint64_t ea = i->mem ? x86_ea(c, i) : 0;                                                   \
        switch (i->osize) {                                                                        \
        case X86_SIZE_8:                                                                           \
            return i->mem ? do_##name(c, i, X86_SIZE_8, true, ea)                                  \
                          : do_##name(c, i, X86_SIZE_8, false, 0);                                 \
        case X86_SIZE_16:                                                                          \
            return i->mem ? do_##name(c, i, X86_SIZE_16, true, ea)                                 \
                          : do_##name(c, i, X86_SIZE_16, false, 0);                                \
        case X86_SIZE_32:                                                                          \
            return i->mem ? do_##name(c, i, X86_SIZE_32, true, ea)                                 \
                          : do_##name(c, i, X86_SIZE_32, false, 0);                                \
        default:                                                                                   \
            return i->mem ? do_##name(c, i, X86_SIZE_64, true, ea)                                 \
                          : do_##name(c, i, X86_SIZE_64, false, 0);                                \
        }                                                                                          \
    }

/* The threaded functions of do_NAME for one size: register, and the two memory forms of fast.h.
 */
#define INT_FAST_ONE(name, bits, form, is_mem, ea)                                                 \
    static const struct x86_insn *fast_##name##_##bits##_##form(struct x86_cpu *c,                 \
                                                                const struct x86_insn *i)          \
    {                                                                                              \
        if (unlikely(do_##name(c, i, X86_SIZE_##bits, is_mem, ea) != X86_NEXT))                    \
            return x86_fast_fault(c, i);                                                           \
        X86_FAST_NEXT(c, i);                                                                       \
    }
#define INT_FAST_REG(name, bits) INT_FAST_ONE(name, bits, r, false, 0)
#define INT_FAST_MEM(name, bits)                                                                   \
    INT_FAST_ONE(name, bits, b, true, x86_fast_ea_b(c, i))                                         \
    INT_FAST_ONE(name, bits, x, true, x86_fast_ea_x(c, i))
#define INT_FAST_SIZE(name, bits)                                                                  \
    INT_FAST_REG(name, bits)                                                                       \
    INT_FAST_MEM(name, bits)
#define INT_FAST_ROW(name, bits)                                                                   \
    [X86_SIZE_##                                                                                   \
        bits] = {fast_##name##_##bits##_r, fast_##name##_##bits##_b, fast_##name##_##bits##_x}

/* All sizes; sizes of two bytes and more; register forms alone (memory goes the generic way). */
#define INT_FAST(name)                                                                             \
    INT_FAST_SIZE(name, 8)                                                                         \
    INT_FAST_SIZE(name, 16)                                                                        \
    INT_FAST_SIZE(name, 32)                                                                        \
    INT_FAST_SIZE(name, 64)                                                                        \
    const struct x86_fast_set x86_fast_##name = {{INT_FAST_ROW(name, 8), INT_FAST_ROW(name, 16),   \
                                                  INT_FAST_ROW(name, 32),                          \
                                                  INT_FAST_ROW(name, 64)}};
#define INT_FAST_WIDE(name)                                                                        \
    INT_FAST_SIZE(name, 16)                                                                        \
    INT_FAST_SIZE(name, 32)                                                                        \
    INT_FAST_SIZE(name, 64)                                                                        \
    const struct x86_fast_set x86_fast_##name = {                                                  \
        {INT_FAST_ROW(name, 16), INT_FAST_ROW(name, 32), INT_FAST_ROW(name, 64)}};
#define INT_FAST_REGS(name)                                                                        \
    INT_FAST_REG(name, 8)                                                                          \
    INT_FAST_REG(name, 16)                                                                         \
    INT_FAST_REG(name, 32)                                                                         \
    INT_FAST_REG(name, 64)                                                                         \
    const struct x86_fast_set x86_fast_##name = {{[X86_SIZE_8] = {fast_##name##_8_r},              \
                                                  [X86_SIZE_16] = {fast_##name##_16_r},            \
                                                  [X86_SIZE_32] = {fast_##name##_32_r},            \
                                                  [X86_SIZE_64] = {fast_##name##_64_r}}};

/* Both kinds. */
#define INT_OP(name)                                                                               \
    INT_GENERIC(name)                                                                              \
    INT_FAST(name)
#define INT_OP_WIDE(name)                                                                          \
    INT_GENERIC(name)                                                                              \
    INT_FAST_WIDE(name)
#define INT_OP_REGS(name)                                                                          \
    INT_GENERIC(name)                                                                              \
    INT_FAST_REGS(name)

/* Head of an instruction's inline function. */
#define INT_DO(name)                                                                               \
    static always_inline enum x86_result do_##name(struct x86_cpu *c, const struct x86_insn *i,    \
                                                   const unsigned sz, const bool mem, uint64_t ea)

#endif
