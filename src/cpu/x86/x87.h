/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the x87 execution functions share: conditions on entry, the register stack, operand
 * access, and the way exceptions of an operation become status bits. Private to cpu/x86.
 */
#ifndef CPU_X86_X87_H
#define CPU_X86_X87_H

#include "cpu/x86/access.h"
#include "cpu/x86/fpu.h"

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
