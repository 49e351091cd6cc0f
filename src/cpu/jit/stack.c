/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions with a way of their own: the stack, divisions, moves of registers. */
#include "cpu/jit/translate.h"

bool special_possible(const struct translation *t, const struct x86_insn *i)
{
    switch (row_of(t, i)->kind) {
    case JIT_PUSH:
    case JIT_POP:
        return !i->mem && i->osize == X86_SIZE_64;
    case JIT_PUSH_IMM:
    case JIT_LEAVE_FRAME:
        return i->osize == X86_SIZE_64;
    case JIT_DIV:
    case JIT_IDIV:
        return i->osize >= X86_SIZE_32 && i->asize != X86_SIZE_16;
    case JIT_LEA:
        return i->asize != X86_SIZE_16;
    case JIT_BSWAP:
        return i->osize != X86_SIZE_16;
    default:
        break;
    }
    return true;
}

static void emit_move_sp(struct emit *e, int bytes)
{
    emit_rm(e, true, 0x8d, GUEST_SP, host_mem(GUEST_SP, bytes));
}

/* The value of guest register @n in a host register: its home or T1. */
static int value_of(struct emit *e, unsigned n)
{
    int home = jit_home(n);

    if (home == NO_REG)
        emit_load(e, T1, jit_gpr(n));
    return home == NO_REG ? T1 : home;
}

static void set_register(struct emit *e, unsigned n, int from)
{
    if (jit_home(n) == NO_REG)
        emit_store(e, jit_gpr(n), from);
    else
        emit_mov(e, jit_home(n), from);
}

void emit_core(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;

    switch (row_of(t, i)->kind) {
    case JIT_SAME:
        emit_same_core(t, i);
        break;
    case JIT_PUSH:
        emit_store(e, host_mem(T0, 0), value_of(e, i->rm));
        break;
    case JIT_PUSH_IMM:
        emit_rm(e, true, 0xc7, 0, host_mem(T0, 0));
        emit32(e, (uint32_t)i->imm);
        break;
    case JIT_CALL:
    case JIT_CALL_TO:
        emit_mov_imm(e, T1, rip_of(t, t->now + 1));
        emit_store(e, host_mem(T0, 0), T1);
        break;
    case JIT_POP:
    case JIT_LEAVE_FRAME:
        emit_load(e, T1, host_mem(T0, 0));
        break;
    case JIT_DIV:
    case JIT_IDIV:
        emit_rm(e, i->osize == X86_SIZE_64, 0x8b, T0, host_mem(T0, 0));
        break;
    case JIT_RET:
    case JIT_JMP_TO:
        emit_load(e, T0, host_mem(T0, 0));
        break;
    default:
        break;
    }
}

void emit_post(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;

    switch (row_of(t, i)->kind) {
    case JIT_PUSH:
    case JIT_PUSH_IMM:
    case JIT_CALL:
    case JIT_CALL_TO:
        emit_move_sp(e, -8);
        break;
    case JIT_POP:
        emit_move_sp(e, 8);
        set_register(e, i->rm, T1);
        break;
    case JIT_LEAVE_FRAME:
        emit_rm(e, true, 0x8d, GUEST_SP, host_mem(RBP, 8));
        emit_mov(e, RBP, T1);
        break;
    default:
        break;
    }
}

void emit_access(struct translation *t, const struct x86_insn *i, unsigned size, bool write,
                 bool rmw, bool aligned, unsigned seg)
{
    struct stub *s = emit_check(t, i, size, write, rmw, aligned, seg);

    if (!write)
        s->back = t->e.at;
    emit_core(t, i);
    emit_post(t, i);
    if (write)
        s->back = t->e.at;
    s->in_host = t->in_host;
    s->saved = t->saved;
    s->af_unknown = t->af_unknown;
}

static void emit_lea(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;
    struct x86_insn plain = *i;
    int home = jit_home(i->reg);

    plain.seg = X86_DS;
    emit_address(t, &plain);
    if (i->osize == X86_SIZE_16) {
        struct host_rm to = home == NO_REG ? jit_gpr(i->reg) : host_reg(home);
        emit_op(e, (struct host_op){.opsize = true, .opcode = 0x89, .reg = T0}, to);
        return;
    }
    if (i->osize == X86_SIZE_32)
        emit_rm(e, false, 0x89, T0, host_reg(home == NO_REG ? T0 : home));
    if (home == NO_REG)
        emit_store(e, jit_gpr(i->reg), T0);
    else if (i->osize == X86_SIZE_64)
        emit_mov(e, home, T0);
}

static void emit_mov_imm_reg(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;
    int home = jit_home(i->rm);
    bool high = i->osize == X86_SIZE_8 && !i->rex && i->rm >= 4;
    struct host_rm to = home == NO_REG ? jit_gpr(i->rm) : host_reg(high ? i->rm : home);

    switch (i->osize) {
    case X86_SIZE_8:
        emit_op(e, (struct host_op){.opcode = 0xc6, .rex = !high && home >= 4}, to);
        emit8(e, (uint8_t)i->imm);
        break;
    case X86_SIZE_16:
        emit_op(e, (struct host_op){.opsize = true, .opcode = 0xc7}, to);
        emit16(e, (uint16_t)i->imm);
        break;
    default:
        emit_mov_imm(e, home == NO_REG ? T0 : home,
                     i->osize == X86_SIZE_64 ? i->imm : (uint32_t)i->imm);
        if (home == NO_REG)
            emit_store(e, to, T0);
        break;
    }
}

static void emit_bswap(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;
    int home = jit_home(i->rm), reg = home == NO_REG ? T0 : home;

    if (home == NO_REG)
        emit_load(e, T0, jit_gpr(i->rm));
    emit8(e, (i->osize == X86_SIZE_64 ? 0x48u : 0x40u) | (reg & 8 ? 1 : 0));
    emit8(e, 0x0f);
    emit8(e, 0xc8u | (reg & 7));
    if (home == NO_REG)
        emit_store(e, jit_gpr(i->rm), T0);
}

/* XCHG of a register with the accumulator. Opcode 90 with register 0 is NOP. */
static void emit_xchg_a(struct translation *t, const struct x86_insn *i)
{
    struct emit *e = &t->e;
    int home = jit_home(i->rm), reg = home == NO_REG ? T0 : home;

    if (i->rm == X86_RAX)
        return;
    if (home == NO_REG)
        emit_load(e, T0, jit_gpr(i->rm));
    emit_op(e,
            (struct host_op){.opsize = i->osize == X86_SIZE_16,
                             .wide = i->osize == X86_SIZE_64,
                             .opcode = 0x87,
                             .reg = RAX},
            host_reg(reg));
    if (home == NO_REG)
        emit_store(e, jit_gpr(i->rm), T0);
}

static void emit_step_if(struct translation *t, unsigned cc)
{
    add_stub(t, STUB_STEP, emit_jcc(&t->e, cc));
}

/*
 * Division by T0. What would fault, or might, is left to the interpreter: that the quotient fits is
 * seen from the upper half of the dividend. Flags are left as they are.
 */
static void emit_divide(struct translation *t, const struct x86_insn *i, bool is_signed)
{
    struct emit *e = &t->e;
    bool wide = i->osize == X86_SIZE_64;

    flags_clobber(t);
    if (i->mem) {
        emit_address(t, i);
        emit_access(t, i, 1u << i->osize, false, false, false, i->seg);
    } else {
        emit_rm(e, wide, 0x89, (unsigned)value_of(e, i->rm), host_reg(T0));
    }
    if (is_signed) {
        emit_rm(e, wide, 0x89, RAX, host_reg(T1));
        emit_rm(e, wide, 0xc1, 7, host_reg(T1)); /* sar */
        emit8(e, wide ? 63 : 31);
        emit_rm(e, wide, 0x39, RDX, host_reg(T1)); /* cmp */
        emit_step_if(t, CC_NE);
        emit_rm(e, wide, 0x8d, T1, host_mem(T0, 1)); /* neither 0 nor -1 */
        emit_rm(e, wide, 0x83, 7, host_reg(T1));
        emit8(e, 1);
        emit_step_if(t, CC_BE);
    } else {
        emit_rm(e, wide, 0x39, T0, host_reg(RDX)); /* cmp rdx, r10 */
        emit_step_if(t, CC_AE);
    }
    emit_rm(e, wide, 0xf7, is_signed ? 7 : 6, host_reg(T0));
}

static void emit_stack_access(struct translation *t, const struct x86_insn *i, int base, int disp,
                              bool write)
{
    flags_clobber(t);
    emit_rm(&t->e, true, 0x8d, T0, host_mem(base, disp));
    emit_access(t, i, 8, write, false, false, X86_SS);
}

void emit_special(struct translation *t, const struct x86_insn *i)
{
    switch (row_of(t, i)->kind) {
    case JIT_LEA:
        emit_lea(t, i);
        break;
    case JIT_MOV_IMM:
        emit_mov_imm_reg(t, i);
        break;
    case JIT_BSWAP:
        emit_bswap(t, i);
        break;
    case JIT_XCHG_A:
        emit_xchg_a(t, i);
        break;
    case JIT_PUSH:
    case JIT_PUSH_IMM:
    case JIT_CALL:
    case JIT_CALL_TO:
        emit_stack_access(t, i, GUEST_SP, -8, true);
        break;
    case JIT_POP:
    case JIT_RET:
        emit_stack_access(t, i, GUEST_SP, 0, false);
        break;
    case JIT_LEAVE_FRAME:
        emit_stack_access(t, i, RBP, 0, false);
        break;
    case JIT_DIV:
    case JIT_IDIV:
        emit_divide(t, i, row_of(t, i)->kind == JIT_IDIV);
        break;
    default:
        break;
    }
}
