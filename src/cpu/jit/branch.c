/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways from block to block. A direct jump inside the page is connected to its target once that is
 * translated: who runs here has the page mapped. All others go through the jump table of the
 * processor, whose entries name the context they are true for.
 */
#include "cpu/jit/translate.h"

void emit_refund(struct translation *t, unsigned n)
{
    if (n)
        emit_alu_imm(&t->e, 0, CPU_AT(jit.budget), (int32_t)n);
}

_Static_assert(sizeof(struct x86_jit_jump) == 32, "an index is shifted by 5");

static struct host_rm jump_at(size_t member)
{
    return (struct host_rm){.mem = true,
                            .base = CPU,
                            .index = T1,
                            .disp = (int32_t)(offsetof(struct x86_cpu, jit.jump) + member)};
}

/* Goes to linear address T0, through the jump table. */
static void emit_go_t0(struct translation *t)
{
    struct emit *e = &t->e;
    uint8_t *miss, *other;

    emit_rm(e, false, 0x89, T0, host_reg(T1)); /* mov r11d, r10d */
    emit_rm(e, false, 0xc1, 5, host_reg(T1));  /* shr r11d, 12 */
    emit8(e, 12);
    emit_rm(e, false, 0x31, T0, host_reg(T1)); /* xor r11d, r10d */
    emit_rm(e, false, 0x33, T1, CPU_AT(jit.context));
    emit_rm(e, false, 0x81, 4, host_reg(T1)); /* and */
    emit32(e, X86_JIT_JUMPS - 1);
    emit_rm(e, false, 0xc1, 4, host_reg(T1)); /* shl r11d, 5 */
    emit8(e, 5);
    emit_rm(e, true, 0x3b, T0, jump_at(offsetof(struct x86_jit_jump, lin)));
    miss = emit_jcc(e, CC_NE);
    emit_load(e, T0, CPU_AT(jit.context));
    emit_rm(e, true, 0x3b, T0, jump_at(offsetof(struct x86_jit_jump, context)));
    other = emit_jcc(e, CC_NE);
    emit_rm(e, false, 0xff, 4, jump_at(offsetof(struct x86_jit_jump, host)));
    emit_land(e, other);
    emit_load(e, T0, jump_at(offsetof(struct x86_jit_jump, lin)));
    emit_land(e, miss);
    emit_jmp_to(e, t->j->leave);
}

static bool canonical(uint64_t lin)
{
    return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

/* Leaves at @target if something asks for attention: on each way back, so that no loop goes on
 * without. */
static void emit_poll(struct translation *t, uint64_t target)
{
    struct emit *e = &t->e;
    uint8_t *quiet;

    emit_rm(e, false, 0x8b, T0, CPU_AT(attention));
    emit_rm(e, false, 0x85, T0, CPU_AT(jit.attention_mask));
    quiet = emit_jcc(e, CC_E);
    emit_mov_imm(e, T0, target);
    emit_jmp_to(e, t->j->leave);
    emit_land(e, quiet);
}

/* Goes on at @target, giving back @refund instructions. Flags have been saved. */
void emit_go(struct translation *t, uint64_t target, unsigned refund)
{
    struct emit *e = &t->e;
    struct jit_link *link;

    emit_refund(t, refund);
    if (target <= rip_of(t, t->now))
        emit_poll(t, target);
    if ((target ^ t->lin) >> GMEM_PAGE_BITS) {
        emit_mov_imm(e, T0, target);
        emit_go_t0(t);
        return;
    }
    if (target == t->lin) {
        emit_jmp_to(e, t->block->code);
        return;
    }
    link = jit_data(t->j, sizeof(*link));
    link->at = emit_jmp(e);
    link->target = target;
    emit_land(e, link->at);
    emit_mov_imm(e, T0, target);
    emit_mov_imm(e, T1, (uint64_t)(uintptr_t)link);
    emit_jmp_to(e, t->j->leave_link);
}

/* T0 must be canonical: the interpreter raises what is due when it is not. */
static void emit_check_target(struct translation *t)
{
    struct emit *e = &t->e;

    emit_mov(e, T1, T0);
    emit_rm(e, true, 0xc1, 4, host_reg(T1)); /* shl */
    emit8(e, 16);
    emit_rm(e, true, 0xc1, 7, host_reg(T1)); /* sar */
    emit8(e, 16);
    emit_rm(e, true, 0x39, T0, host_reg(T1)); /* cmp */
    add_stub(t, STUB_STEP, emit_jcc(e, CC_NE));
}

/* The operand of an indirect jump or call, to T0. */
static void emit_target(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;
    int home = jit_home(i->rm);
    struct stub *s;

    if (!i->mem) {
        if (home == NO_REG)
            emit_load(e, T0, jit_gpr(i->rm));
        else
            emit_mov(e, T0, home);
        return;
    }
    emit_address(t, i);
    s = emit_check(t, i, 8, false, false, false, i->seg);
    s->back = e->at;
    emit_load(e, T0, host_mem(T0, 0));
}

static void emit_jcc_insn(struct translation *t, const struct x86_insn *i)
{
    uint64_t target = rip_of(t, t->now + 1) + i->imm;
    struct stub *s;

    if (!t->in_host) {
        flags_load(&t->e, T0);
        t->in_host = true;
        t->af_unknown = false;
    }
    s = add_stub(t, STUB_EDGE, emit_jcc(&t->e, i->opcode & 15u));
    s->target = target;
}

void emit_branch(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;
    uint64_t target = rip_of(t, t->now + 1) + i->imm;

    if (row_of(t, i)->kind == JIT_JCC) {
        emit_jcc_insn(t, i);
        return;
    }
    flags_clobber(t);
    t->ended = true;
    switch (row_of(t, i)->kind) {
    case JIT_JMP:
        emit_go(t, target, 0);
        break;
    case JIT_CALL:
        emit_special(t, i);
        emit_go(t, target, 0);
        break;
    case JIT_JMP_TO:
        emit_target(t, i);
        emit_check_target(t);
        emit_go_t0(t);
        break;
    case JIT_CALL_TO:
        emit_target(t, i);
        emit_check_target(t);
        emit_store(e, CPU_AT(jit.spill), T0);
        emit_special(t, i);
        emit_load(e, T0, CPU_AT(jit.spill));
        emit_go_t0(t);
        break;
    case JIT_RET:
        emit_special(t, i);
        emit_check_target(t);
        emit_rm(e, true, 0x8d, GUEST_SP, host_mem(GUEST_SP, 8 + (int32_t)(i->imm & 0xffff)));
        emit_go_t0(t);
        break;
    default:
        break;
    }
}

bool branch_possible(const struct translation *t, const struct x86_insn *i, uint64_t next)
{
    if (i->osize != X86_SIZE_64)
        return false;
    switch (row_of(t, i)->kind) {
    case JIT_JCC:
    case JIT_JMP:
    case JIT_CALL:
        return canonical(next + i->imm);
    case JIT_JMP_TO:
    case JIT_CALL_TO:
        return !i->mem || i->asize != X86_SIZE_16;
    default:
        return true;
    }
}
