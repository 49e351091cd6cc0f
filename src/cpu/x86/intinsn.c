/* SPDX-License-Identifier: Apache-2.0 */
/* Software interrupts and the instructions that read or write RFLAGS as a whole (vol. 3, 20.3 for
 * v8086 mode and its virtual-interrupt extensions). */
#include "cpu/x86/flags.h"
#include "cpu/x86/system.h"
#include "x86-opcodes.h"

static unsigned iopl(const struct x86_cpu *c)
{
    return (unsigned)(c->rflags & X86_IOPL) >> 12;
}

enum x86_result x86_op_int3(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_soft_interrupt(c, i, X86_BP, X86_EVENT_SOFT);
}

enum x86_result x86_op_into(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_flag_of(c) ? x86_soft_interrupt(c, i, X86_OFV, X86_EVENT_SOFT) : X86_NEXT;
}

enum x86_result x86_op_int1(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_soft_interrupt(c, i, X86_DB, X86_EVENT_SOFT_ICEBP);
}

/* INT n redirected to the program's own 8086 handler (20.3.3). */
static enum x86_result int_8086(struct x86_cpu *c, const struct x86_insn *i, uint8_t vector)
{
    struct x86_stack s;
    uint64_t image = x86_flags_get(c), off_flags;
    uint32_t entry;

    if (x86_lin_load(c, X86_CLASS_USER, vector * 4u, 4, &entry))
        return X86_FAULT;
    if (iopl(c) < 3) {
        image = (image | X86_IOPL) & ~(uint64_t)X86_IF;
        image |= c->rflags & X86_VIF ? X86_IF : 0;
        off_flags = X86_VIF;
    } else {
        off_flags = X86_IF;
    }
    x86_stack_here(c, &s);
    if (x86_stack_push(c, &s, X86_SIZE_16, image) ||
        x86_stack_push(c, &s, X86_SIZE_16, c->seg[X86_CS].sel) ||
        x86_stack_push(c, &s, X86_SIZE_16, x86_next_rip(c, i)))
        return X86_FAULT;
    x86_stack_commit(c, &s);
    x86_seg_set_real(c, X86_CS, (uint16_t)(entry >> 16));
    c->rip = (uint16_t)entry;
    x86_flags_set(c, 0, off_flags | X86_TF);
    c->step_rule = X86_STEP_NEVER;
    x86_mode_update(c);
    return X86_BRANCH;
}

enum x86_result x86_op_int_n(struct x86_cpu *c, const struct x86_insn *i)
{
    uint8_t vector = (uint8_t)i->imm;

    if (c->mode == X86_MODE_V86) {
        int direct = c->cr4 & X86_CR4_VME ? x86_vme_redirect(c, vector) : 1;
        if (direct < 0)
            return X86_FAULT;
        if (!direct)
            return int_8086(c, i, vector);
        if (iopl(c) < 3)
            return x86_raise_gp(c, 0);
    }
    return x86_soft_interrupt(c, i, vector, X86_EVENT_SOFT);
}

/* Whether CLI and STI act on VIF: v8086 with VME, or ring 3 with PVI, both with IOPL < 3. */
static bool virtual_if(const struct x86_cpu *c)
{
    if (c->mode == X86_MODE_V86)
        return (c->cr4 & X86_CR4_VME) && iopl(c) < 3;
    return c->cpl == 3 && (c->cr4 & X86_CR4_PVI) && iopl(c) < 3;
}

enum x86_result x86_op_cli(struct x86_cpu *c, const struct x86_insn *i)
{
    if (!(c->cr0 & X86_CR0_PE) || c->cpl <= iopl(c))
        c->rflags &= ~(uint64_t)X86_IF;
    else if (virtual_if(c))
        c->rflags &= ~(uint64_t)X86_VIF;
    else
        return x86_raise_gp(c, 0);
    return X86_NEXT;
}

enum x86_result x86_op_sti(struct x86_cpu *c, const struct x86_insn *i)
{
    if (!(c->cr0 & X86_CR0_PE) || c->cpl <= iopl(c)) {
        if (c->rflags & X86_IF)
            return X86_NEXT;
        c->rflags |= X86_IF;
        x86_shadow_set(c, i, X86_SHADOW_STI);
        return x86_resync(c, i);
    }
    if (!virtual_if(c) || (c->rflags & X86_VIP))
        return x86_raise_gp(c, 0);
    c->rflags |= X86_VIF;
    return X86_NEXT;
}

enum x86_result x86_op_pushf(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    uint64_t image = x86_flags_get(c) & ~(uint64_t)(X86_VM | X86_RF);

    if (c->mode == X86_MODE_V86 && iopl(c) < 3) {
        if (!(c->cr4 & X86_CR4_VME) || i->osize != X86_SIZE_16)
            return x86_raise_gp(c, 0);
        image = (image | X86_IOPL) & ~(uint64_t)X86_IF;
        image |= c->rflags & X86_VIF ? X86_IF : 0;
    }
    x86_stack_here(c, &s);
    if (x86_stack_push(c, &s, i->osize, image))
        return X86_FAULT;
    x86_stack_commit(c, &s);
    return X86_NEXT;
}

/* What POPF may change here; X86_FAULT when it may not run at all. */
static enum x86_result popf_mask(struct x86_cpu *c, const struct x86_insn *i, uint64_t image,
                                 uint64_t *ret)
{
    uint64_t mask = X86_ARITH | X86_TF | X86_DF | X86_NT | X86_AC | X86_ID;

    if (c->mode == X86_MODE_V86) {
        if (iopl(c) == 3) {
            mask |= X86_IF;
        } else if (!(c->cr4 & X86_CR4_VME) || i->osize != X86_SIZE_16 || (image & X86_TF) ||
                   ((image & X86_IF) && (c->rflags & X86_VIP))) {
            return x86_raise_gp(c, 0);
        }
    } else {
        if (c->cpl <= iopl(c))
            mask |= X86_IF;
        if (c->cpl == 0)
            mask |= X86_IOPL;
    }
    *ret = i->osize == X86_SIZE_16 ? mask & 0xffff : mask;
    return X86_NEXT;
}

enum x86_result x86_op_popf(struct x86_cpu *c, const struct x86_insn *i)
{
    struct x86_stack s;
    uint64_t image, mask, before = c->rflags;

    x86_stack_here(c, &s);
    if (x86_stack_pop(c, &s, i->osize, &image) || popf_mask(c, i, image, &mask) == X86_FAULT)
        return X86_FAULT;
    x86_stack_commit(c, &s);
    x86_flags_set(c, image, mask);
    if (c->mode == X86_MODE_V86 && iopl(c) < 3)
        x86_flags_set(c, image & X86_IF ? X86_VIF : 0, X86_VIF);
    if ((before ^ c->rflags) & (X86_TF | X86_AC))
        x86_mode_update(c);
    else if (!(~before & c->rflags & X86_IF))
        return X86_NEXT;
    return x86_resync(c, i); /* interrupts may be due now */
}
