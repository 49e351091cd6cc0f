/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threaded execution: functions of the decoded-instruction cache (codecache.h).
 *
 * A cached instruction's exec member holds an x86_fast_fn, which executes the instruction and goes
 * on with the next one: by a sibling call where the compiler makes one (X86_FAST_TAIL), by
 * returning it to the loop elsewhere. NULL leaves the block; interp.c then finds out where to go
 * from c->rip.
 *
 * RIP and instruction counts are lazy in a block: c->code_base is the RIP of the block's first
 * byte, i->off the distance of an instruction from there. c->insn_count already counts the whole
 * block; i->left instructions of it have not been completed when i starts.
 *
 * Addressing forms, chosen when the block is built:
 *   r  register
 *   b  64-bit [base + disp]
 *   x  anything else
 * base and index are words of struct x86_cpu here: X86_FAST_ZERO is an absent register,
 * X86_FAST_CODE the block's address (RIP-relative).
 */
#ifndef CPU_X86_FAST_H
#define CPU_X86_FAST_H

#include "cpu/x86/exc.h"
#include "cpu/x86/insn.h"

/* Given by the build where the compiler is known to turn a call in return position into a jump. */
#ifndef X86_FAST_TAIL
#define X86_FAST_TAIL 0
#endif

typedef const struct x86_insn *x86_fast_fn(struct x86_cpu *c, const struct x86_insn *i);

enum { X86_FAST_ZERO = 16, X86_FAST_CODE = 17 };
_Static_assert(offsetof(struct x86_cpu, gpr) == 0, "registers are the first words");
_Static_assert(offsetof(struct x86_cpu, zero) == X86_FAST_ZERO * 8, "zero register");
_Static_assert(offsetof(struct x86_cpu, code_base) == X86_FAST_CODE * 8, "code register");

enum x86_fast_form { X86_FORM_R, X86_FORM_B, X86_FORM_X, X86_FORMS };

struct x86_fast_set {
    x86_fast_fn *fn[4][X86_FORMS]; /* by operand size and form; NULL: the generic way */
};

/*
 * The threaded function for decoded instruction @i, whose off member is set. Changes @i as the
 * function wants it (address registers, branch displacement).
 */
x86_fast_fn *x86_fast_select(struct x86_insn *i);

x86_fast_fn x86_fast_generic;      /* calls the row's x86_exec_fn */
x86_fast_fn x86_fast_generic_last; /* the same for one that ends its block and leaves the loop */
x86_fast_fn x86_fast_generic_priv; /* the same, after the check for CPL 0 */
x86_fast_fn x86_fast_end; /* after the last instruction of a block that does not end in a branch */
x86_fast_fn x86_fast_stale; /* the block was overwritten: look the instruction up again */

/* Delivers c->fault of instruction @i. */
const struct x86_insn *x86_fast_fault(struct x86_cpu *c, const struct x86_insn *i);
/* c->rip has been set to a checked branch target: goes there, from instruction @i. */
const struct x86_insn *x86_fast_goto(struct x86_cpu *c, const struct x86_insn *i);

/* The exec member of a cached instruction. Read and written atomically: a device's write may make
 * code stale from another thread. */
static inline x86_fast_fn *x86_fast_of(const struct x86_insn *i)
{
    return (x86_fast_fn *)(void (*)(void))__atomic_load_n(&i->exec, __ATOMIC_RELAXED);
}
static inline void x86_fast_set_fn(struct x86_insn *i, x86_fast_fn *fn)
{
    __atomic_store_n(&i->exec, (x86_exec_fn *)(void (*)(void))fn, __ATOMIC_RELAXED);
}

#if X86_FAST_TAIL
#define X86_FAST_NEXT(c, i) return x86_fast_of((i) + 1)((c), (i) + 1)
#define X86_FAST_RUN(c, i)  return x86_fast_of(i)((c), (i))
#else
#define X86_FAST_NEXT(c, i) return (i) + 1
#define X86_FAST_RUN(c, i)  return (i)
#endif

static inline uint64_t x86_fast_word(const struct x86_cpu *c, unsigned n)
{
    uint64_t v;
    memcpy(&v, (const char *)c + n * 8, 8);
    return v;
}
static inline uint64_t x86_fast_ea_b(const struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_fast_word(c, i->base) + (uint64_t)(int64_t)i->disp;
}
static inline uint64_t x86_fast_ea_x(const struct x86_cpu *c, const struct x86_insn *i)
{
    static const uint64_t masks[] = {0, UINT16_MAX, UINT32_MAX, UINT64_MAX};
    uint64_t ea = x86_fast_word(c, i->base) + (x86_fast_word(c, i->index) << (i->scale & 3)) +
                  (uint64_t)(int64_t)i->disp;
    return ea & masks[i->asize];
}

/* RIP of cached instruction @i, and of the one after it. */
static inline uint64_t x86_fast_rip(const struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t rip = c->code_base + i->off;
    return c->mode == X86_MODE_64 ? rip : (uint32_t)rip;
}

#endif
