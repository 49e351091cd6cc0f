/* SPDX-License-Identifier: Apache-2.0 */
/* What translated code calls. All guest registers are in struct x86_cpu then, flags in x86_jit. */
#include "cpu/jit/jit_internal.h"
#include "cpu/x86/exc.h"
#include "cpu/x86/flags.h"
#include "cpu/x86/simd.h"

enum { MXCSR_MASKS = 0x1f80 };

void jit_flags_to_cpu(struct x86_cpu *c)
{
    unsigned f = c->jit.flags;

    x86_flags_set(c, (f >> 8 & (X86_ARITH & ~X86_OF)) | (f & 1 ? X86_OF : 0), X86_ARITH);
}

void jit_flags_from_cpu(struct x86_cpu *c)
{
    uint64_t f = x86_flags_get(c);

    c->jit.flags = (uint16_t)((f & 0xff) << 8 | (f >> 11 & 1));
}

/* Ends the block at instruction @s, which faulted. */
static uint64_t fault(struct x86_cpu *c, const struct jit_site *s)
{
    c->rip = s->rip;
    c->jit.budget += s->left;
    return JIT_LEAVE_FAULT;
}

static bool misaligned(const struct jit_site *s, uint64_t lin)
{
    return s->aligned && (lin & 15);
}

uint64_t jit_slow_load(struct x86_cpu *c, uint64_t lin, const struct jit_site *s)
{
    jit_of(c)->stats.slow_loads++;
    if (misaligned(s, lin)) {
        x86_raise_gp(c, 0);
        return fault(c, s);
    }
    if (x86_load_slow(c, s->seg, lin - c->seg[s->seg].lin_base, s->size, c->jit.buffer))
        return fault(c, s);
    return 0;
}

uint64_t jit_slow_prepare(struct x86_cpu *c, uint64_t lin, const struct jit_site *s)
{
    uint64_t off = lin - c->seg[s->seg].lin_base;

    jit_of(c)->stats.slow_stores++;
    if (misaligned(s, lin)) {
        x86_raise_gp(c, 0);
        return fault(c, s);
    }
    if (s->rmw ? x86_load_rmw_slow(c, s->seg, off, s->size, c->jit.buffer)
               : x86_probe_write(c, s->seg, off, s->size))
        return fault(c, s);
    c->jit.lin = off;
    c->jit.site = s;
    return 0;
}

/*
 * The operand that jit_slow_prepare allowed has been written to the buffer. A device may ask for
 * attention when it is told.
 */
void jit_slow_commit(struct x86_cpu *c)
{
    const struct jit_site *s = c->jit.site;

    x86_store_slow(c, s->seg, c->jit.lin, s->size, c->jit.buffer);
    c->fault.valid = false;
    if (atomic_load_explicit(&c->attention, memory_order_relaxed) & c->jit.attention_mask)
        c->jit.leave = 1;
}

/* Whether the handler's instruction at @s may begin: nothing but the privilege is checked here. */
static enum x86_result execute(struct x86_cpu *c, const struct jit_site *s)
{
    const struct x86_row *row = x86_insn_row(&s->insn);

    if ((row->attr & X86_ATTR_PRIV) && c->cpl != 0)
        return x86_raise_gp(c, 0);
    return x86_execs[s->insn.row](c, &s->insn);
}

uint64_t jit_help(struct x86_cpu *c, const struct jit_site *s)
{
    struct jit *j = jit_of(c);
    uint64_t limit = c->insn_count;
    enum x86_result r;

    j->stats.helped++;
    c->rip = s->rip;
    c->insn_count = limit - c->jit.budget - s->left;
    if (s->flags_in)
        jit_flags_to_cpu(c);
    r = execute(c, s);
    c->insn_count = limit;
    if (r == X86_FAULT) {
        /* Flags may have been changed by finished iterations of a string instruction. */
        if (s->flags_in)
            jit_flags_from_cpu(c);
        return fault(c, s);
    }
    if (s->flags_in || s->flags_out)
        jit_flags_from_cpu(c);
    if (r == X86_NEXT && !s->last && !c->jit.leave)
        return 0;
    if (r == X86_NEXT)
        c->rip = s->next;
    c->jit.budget += s->left - 1u;
    return r == X86_STOP ? JIT_LEAVE_STOP : JIT_LEAVE_LOOK;
}

uint64_t jit_vectors_ready(struct x86_cpu *c, const struct jit_site *s)
{
    if (!x86_sse_off(c) && (c->mxcsr & MXCSR_MASKS) == MXCSR_MASKS) {
        c->jit.host_mxcsr = __builtin_ia32_stmxcsr();
        return 0;
    }
    c->rip = s->rip;
    c->jit.budget += s->left;
    return JIT_LEAVE_STEP;
}
