/* SPDX-License-Identifier: Apache-2.0 */
/* From guest instructions to a block. */
#include "cpu/jit/translate.h"

#include <string.h>

/* Whether @i is the last of its block. */
static bool ends_block(const struct x86_insn *i)
{
    const struct x86_row *row = x86_insn_row(i);

    if (row->attr & (X86_ATTR_STOP | X86_ATTR_SERIAL))
        return true;
    return (row->attr & X86_ATTR_BRANCH) && row->handler != X86_H_jcc &&
           row->handler != X86_H_loop && row->handler != X86_H_jcxz;
}

/* How @i, which is followed by @next, is translated. */
static enum jit_kind kind_of(const struct translation *t, const struct x86_insn *i, uint64_t next)
{
    enum jit_kind kind = (enum jit_kind)row_of(t, i)->kind;
    bool ok = true;

    switch (kind) {
    case JIT_SAME:
        ok = same_possible(t, i);
        break;
    case JIT_JCC:
    case JIT_JMP:
    case JIT_CALL:
    case JIT_JMP_TO:
    case JIT_CALL_TO:
    case JIT_RET:
        ok = branch_possible(t, i, next);
        break;
    case JIT_HELP:
    case JIT_NOTHING:
    case JIT_LEA:
    case JIT_MOV_IMM:
    case JIT_BSWAP:
    case JIT_XCHG_A:
    case JIT_PUSH:
    case JIT_PUSH_IMM:
    case JIT_POP:
    case JIT_LEAVE_FRAME:
    case JIT_DIV:
    case JIT_IDIV:
        ok = special_possible(t, i);
        break;
    }
    return ok ? kind : JIT_HELP;
}

/* Fills t->insn with what fits in the page. */
static void decode(struct translation *t, struct x86_cpu *c, const uint8_t *page)
{
    struct x86_decode_env env = x86_decode_env_of(c);
    unsigned start = t->lin & (GMEM_PAGE_SIZE - 1), at = start;

    while (t->count < t->j->block_max && at < GMEM_PAGE_SIZE) {
        struct x86_insn *i = &t->insn[t->count];
        if (x86_decode(&env, page + at, GMEM_PAGE_SIZE - at, i) != X86_DECODE_OK)
            break;
        t->at[t->count++] = (uint16_t)(at - start);
        at += i->len;
        if (ends_block(i))
            break;
    }
    t->at[t->count] = (uint16_t)(at - start);
}

/* By the instruction's handler; a branch may have been taken then. */
static void emit_help(struct translation *t, const struct x86_insn *i)
{
    const struct x86_row *row = x86_insn_row(i);
    bool any = row->attr & (X86_ATTR_STOP | X86_ATTR_SERIAL | X86_ATTR_BRANCH);
    struct jit_site *s = make_site(t, i);

    flags_clobber(t);
    s->insn = *i;
    s->last = ends_block(i);
    s->flags_in = any || ((row->fr | row->fw | row->fu) & X86_ARITH);
    s->flags_out = any || ((row->fw | row->fu) & X86_ARITH);
    emit_mov_imm(&t->e, T1, (uint64_t)(uintptr_t)s);
    emit_call_to(&t->e, t->j->helper);
    t->vectors = false;
    if (s->last)
        t->ended = true;
}

static void emit_same(struct translation *t, const struct x86_insn *i)
{
    const struct jit_row *row = row_of(t, i);

    if (row->vectors)
        emit_need_vectors(t, i);
    if (!i->mem) {
        emit_same_core(t, i);
        return;
    }
    flags_clobber(t);
    emit_address(t, i);
    emit_access(t, i, operand_size(i, row->rm_size), row->rm_access & JIT_WRITE,
                row->rm_access & JIT_READ, row->aligned, i->seg);
}

static void emit_insn(struct translation *t, const struct x86_insn *i)
{
    switch (kind_of(t, i, rip_of(t, t->now + 1))) {
    case JIT_HELP:
        emit_help(t, i);
        break;
    case JIT_SAME:
        emit_same(t, i);
        break;
    case JIT_NOTHING:
        break;
    case JIT_LEA:
    case JIT_MOV_IMM:
    case JIT_BSWAP:
    case JIT_XCHG_A:
    case JIT_PUSH:
    case JIT_PUSH_IMM:
    case JIT_POP:
    case JIT_LEAVE_FRAME:
    case JIT_DIV:
    case JIT_IDIV:
        emit_special(t, i);
        break;
    case JIT_JCC:
    case JIT_JMP:
    case JIT_CALL:
    case JIT_JMP_TO:
    case JIT_CALL_TO:
    case JIT_RET:
        emit_branch(t, i);
        break;
    }
}

/* Leaves at instruction @n, which and all after it have not been run. */
static void emit_leave(struct translation *t, unsigned n, const uint8_t *how)
{
    emit_refund(t, t->count - n);
    emit_mov_imm(&t->e, T0, rip_of(t, n));
    emit_jmp_to(&t->e, how);
}

/* A store by function: the instruction writes to the buffer. If that was the block's own code, what
 * follows is not run. */
static void emit_store_stub(struct translation *t, const struct stub *s)
{
    const struct x86_insn *i = &t->insn[s->insn];
    struct emit *e = &t->e;
    uint8_t *leave;

    emit_undo_check(t, true);
    emit_mov_imm(e, T1, (uint64_t)(uintptr_t)s->site);
    emit_call_to(e, t->j->prepare);
    t->in_host = false;
    t->saved = true;
    emit_core(t, i);
    emit_call_to(e, t->j->commit);
    emit_post(t, i);
    if (!s->saved)
        flags_save(e, s->af_unknown);
    emit_op(e, (struct host_op){.opcode = 0x80, .reg = 7}, CPU_AT(jit.leave));
    emit8(e, 0);
    leave = emit_jcc(e, CC_NE);
    if (s->in_host)
        flags_load(e, T1);
    emit_jmp_to(e, s->back);
    emit_land(e, leave);
    if (x86_insn_row(i)->attr & X86_ATTR_BRANCH)
        emit_jmp_to(e, s->back); /* leaves at its end anyway, or meets another block */
    else
        emit_leave(t, s->insn + 1u, t->j->leave);
}

static void emit_stub(struct translation *t, const struct stub *s)
{
    struct emit *e = &t->e;

    t->now = s->insn;
    emit_land(e, s->from);
    switch ((enum stub_kind)s->kind) {
    case STUB_LOAD:
        emit_undo_check(t, false);
        emit_mov_imm(e, T1, (uint64_t)(uintptr_t)s->site);
        emit_call_to(e, t->j->load);
        emit_jmp_to(e, s->back);
        break;
    case STUB_STORE:
        emit_store_stub(t, s);
        break;
    case STUB_VECTORS:
        emit_mov_imm(e, T1, (uint64_t)(uintptr_t)s->site);
        emit_call_to(e, t->j->vectors);
        emit_jmp_to(e, s->back);
        break;
    case STUB_EDGE:
        if (!s->saved)
            flags_save(e, s->af_unknown);
        emit_go(t, s->target, t->count - s->insn - 1);
        break;
    case STUB_STEP:
        emit_leave(t, s->insn, t->j->leave_step);
        break;
    }
}

/* The block's head counts its instructions; two stubs say what else may happen there. */
static void emit_block(struct translation *t)
{
    struct emit *e = &t->e;
    uint8_t *no_budget;

    t->saved = true;
    emit_rm(e, true, 0x83, 5, CPU_AT(jit.budget)); /* sub */
    emit8(e, t->count);
    no_budget = emit_jcc(e, CC_B);
    for (t->now = 0; t->now < t->count; t->now++)
        emit_insn(t, &t->insn[t->now]);
    if (!t->ended) {
        flags_clobber(t);
        t->now = t->count - 1;
        emit_go(t, rip_of(t, t->count), 0);
    }
    for (unsigned n = 0; n < t->stub_count; n++) {
        struct stub s = t->stubs[n];
        emit_stub(t, &s);
    }
    emit_land(e, no_budget);
    emit_refund(t, t->count);
    t->block->gone = e->at;
    emit_mov_imm(e, T0, t->lin);
    emit_jmp_to(e, t->j->leave);
}

struct jit_block *jit_translate(struct x86_cpu *c, uint64_t lin, uint64_t gfn)
{
    struct jit *j = jit_of(c);
    struct translation t;
    struct jit_block *b;

    jit_make_room(j);
    t.j = j;
    t.lin = lin;
    t.count = t.stub_count = 0;
    t.in_host = t.vectors = t.ended = t.af_unknown = false;
    /* Writes are told from here on, before the bytes are read. */
    gmem_set_code(j->gm, gfn, GMEM_CODE_TRANSLATED);
    decode(&t, c, gmem_read_page(j->gm, gfn));
    b = jit_data(j, sizeof(*b));
    *b = (struct jit_block){.lin = lin,
                            .gfn = gfn,
                            .start = (uint16_t)(lin & (GMEM_PAGE_SIZE - 1)),
                            .cls = c->mmu_class,
                            .count = (uint8_t)t.count,
                            .user = c->cpl == 3,
                            .code = j->arena.write + j->code_used};
    b->end = (uint16_t)(b->start + t.at[t.count]);
    t.block = b;
    t.e = (struct emit){.at = b->code, .end = b->code + JIT_BLOCK_CODE};
    if (t.count)
        emit_block(&t);
    if (!t.count || t.e.full) {
        jit_forget_unused(j, gfn);
        return NULL;
    }
    j->stats.blocks++;
    j->stats.bytes += (size_t)(t.e.at - b->code);
    j->code_used = (size_t)(t.e.at - j->arena.write + 15) & ~(size_t)15;
    jit_insert(j, b);
    return b;
}
