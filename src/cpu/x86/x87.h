/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the x87 execution functions share: conditions on entry, the register stack, operand
 * access, and the way exceptions of an operation become status bits. Private to cpu/x86.
 */
#ifndef CPU_X86_X87_H
#define CPU_X86_X87_H

#include "cpu/x86/access.h"
#include "cpu/x86/fpu.h"
#include "cpu/x86/softfloat.h"

/* #NM of instructions that do not wait (FNxxx). */
#define X87_ENTER_NOWAIT(c)                                                                        \
    do {                                                                                           \
        if (unlikely((c)->cr0 & (X86_CR0_EM | X86_CR0_TS)))                                        \
            return x86_raise(c, X86_NM);                                                           \
    } while (0)

/* #NM and pending #MF of all others. */
#define X87_ENTER(c)                                                                               \
    do {                                                                                           \
        X87_ENTER_NOWAIT(c);                                                                       \
        if (unlikely((c)->fpu.sw & X87_ES)) {                                                      \
            enum x86_result x87_result_ = x86_fpu_pending(c);                                      \
            if (x87_result_ != X86_NEXT)                                                           \
                return x87_result_;                                                                \
        }                                                                                          \
    } while (0)

/* Records the instruction, and its memory operand at @off, in FOP, FIP, FCS, FDP, FDS. */
static inline void x87_record(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_fpu *f = &c->fpu;
    f->fop = (uint16_t)((i->opcode & 7) << 8 | i->modrm);
    f->fip = c->rip;
    f->fcs = c->seg[X86_CS].sel;
}

static inline void x87_record_mem(struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    x87_record(c, i);
    c->fpu.fdp = off;
    c->fpu.fds = c->seg[i->seg].sel;
}

/* Rounding, precision and masks of the control word. */
static inline struct sf_env x87_env(const struct x86_cpu *c)
{
    static const uint8_t precision[] = {24, 64, 53, 64}; /* 01 is reserved */
    return (struct sf_env){
        .rounding = c->fpu.cw >> 10 & 3,
        .precision = precision[c->fpu.cw >> 8 & 3],
        .masked = c->fpu.cw & X87_EXCEPTIONS,
        .x87 = true,
    };
}

/* The same for instructions that precision control does not affect. */
static inline struct sf_env x87_env_extended(const struct x86_cpu *c)
{
    struct sf_env env = x87_env(c);
    env.precision = 64;
    return env;
}

/*
 * Moves the flags of an operation into the status word, sets C1 to the direction of rounding and
 * updates the error summary. False: an unmasked exception found before computing (IE, DE, ZE)
 * leaves destination and stack as they were; flags of the result are then not set.
 */
bool x87_finish(struct x86_cpu *c, const struct sf_env *env);
/* The same for stores to memory, which unmasked overflow and underflow prevent, too. */
bool x87_stores(const struct sf_env *env);

/*
 * Stack underflow or overflow: IE and SF, C1 tells which. True when it is masked: the instruction
 * goes on with the indefinite NaN.
 */
bool x87_stack_fault(struct x86_cpu *c, bool overflow);

/* Defines an execution function whose body is one call. */
#define X87_HANDLER(name, call)                                                                    \
    enum x86_result x86_op_##name(struct x86_cpu *c, const struct x86_insn *i)                     \
    {                                                                                              \
        return call;                                                                               \
    }

#define X87_INDEFINITE ((struct x86_f80){UINT64_C(3) << 62, 0xffff})

static inline void x87_set_cc(struct x86_cpu *c, unsigned mask, unsigned cc)
{
    c->fpu.sw = (uint16_t)((c->fpu.sw & ~mask) | cc);
}

static inline unsigned x87_phys(const struct x86_fpu *f, unsigned sti)
{
    return (f->top + sti) & 7;
}

static inline struct x86_f80 *x87_st(struct x86_fpu *f, unsigned sti)
{
    return &f->st[x87_phys(f, sti)];
}

static inline bool x87_empty(const struct x86_fpu *f, unsigned sti)
{
    return !(f->tag >> x87_phys(f, sti) & 1);
}

static inline void x87_set(struct x86_fpu *f, unsigned sti, struct x86_f80 v)
{
    unsigned r = x87_phys(f, sti);
    f->st[r] = v;
    f->tag |= (uint8_t)(1 << r);
}

static inline void x87_free(struct x86_fpu *f, unsigned sti)
{
    f->tag &= (uint8_t) ~(1 << x87_phys(f, sti));
}

static inline void x87_pop(struct x86_fpu *f)
{
    x87_free(f, 0);
    f->top = (f->top + 1) & 7;
}

static inline void x87_push(struct x86_fpu *f, struct x86_f80 v)
{
    f->top = (f->top - 1) & 7;
    x87_set(f, 0, v);
}

#endif
