/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that keep their encoding: only register numbers and the memory operand change. */
#include "cpu/jit/translate.h"

/* Byte registers AH, CH, DH, BH: not to be had beside a REX prefix. */
static bool is_high(const struct x86_insn *i, uint8_t size, unsigned reg)
{
    return size == 1 && !i->rex && reg >= 4 && reg < 8;
}

static uint8_t rm_register_size(const struct jit_row *row)
{
    return row->rm_dword ? 4 : row->rm_size;
}

static bool without_rex(const struct x86_insn *i, uint8_t size, unsigned reg)
{
    int home = jit_home(reg);

    return is_high(i, size, reg) || (home != NO_REG && home < 8 && !(size == 1 && home >= 4));
}

bool same_possible(const struct translation *t, const struct x86_insn *i)
{
    const struct jit_row *row = row_of(t, i);
    bool high = (row->reg == JIT_GPR && is_high(i, row->reg_size, i->reg)) ||
                (row->rm == JIT_GPR && !i->mem && is_high(i, rm_register_size(row), i->rm));

    /* A bit string, which goes on before and after its operand. */
    switch (x86_insn_row(i)->handler) {
    case X86_H_bt_EG:
    case X86_H_bts_EG:
    case X86_H_btr_EG:
    case X86_H_btc_EG:
        if (i->mem)
            return false;
        break;
    default:
        break;
    }
    if (i->mem && (i->asize == X86_SIZE_16 || !operand_size(i, row->rm_size)))
        return false;
    if (!high)
        return true;
    return !i->mem && (row->rm != JIT_GPR || without_rex(i, rm_register_size(row), i->rm)) &&
           (row->reg != JIT_GPR || without_rex(i, row->reg_size, i->reg));
}

static struct host_op same_op(const struct x86_insn *i)
{
    const struct x86_row *row = x86_insn_row(i);
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 0x66, [X86_PREFIX_F3] = 0xf3, [X86_PREFIX_F2] = 0xf2};

    return (struct host_op){.prefix = row->prefix < sizeof(prefixes) ? prefixes[row->prefix] : 0,
                            .opsize = i->osize == X86_SIZE_16 && row->prefix != X86_PREFIX_66,
                            .wide = i->rex & 8,
                            .map = row->map,
                            .opcode = i->opcode};
}

static void emit_imm(struct emit *e, const struct x86_insn *i)
{
    switch (x86_insn_row(i)->imm[0]) {
    case X86_IMM_IB:
    case X86_IMM_IBS:
        emit8(e, (uint8_t)i->imm);
        break;
    case X86_IMM_IW:
        emit16(e, (uint16_t)i->imm);
        break;
    case X86_IMM_IZ:
        if (i->osize == X86_SIZE_16)
            emit16(e, (uint16_t)i->imm);
        else
            emit32(e, (uint32_t)i->imm);
        break;
    default:
        break;
    }
}

/* Without ModRM: the accumulator, whose home is the host's. */
static void emit_plain(struct emit *e, const struct x86_insn *i, struct host_op op)
{
    if (op.opsize)
        emit8(e, 0x66);
    if (op.wide)
        emit8(e, 0x48);
    emit8(e, op.opcode);
    emit_imm(e, i);
}

/* A byte register that is written, or a word, keeps the rest. */
static bool is_read(const struct x86_insn *i, uint8_t access, uint8_t size)
{
    return (access & JIT_READ) || operand_size(i, size) < 4;
}

void emit_same_core(struct translation *t, const struct x86_insn *i)
{
    const struct jit_row *row = row_of(t, i);
    struct emit *e = &t->e;
    struct host_op op = same_op(i);
    struct host_rm rm = host_mem(T0, 0);
    bool reg_home = true, rm_home = true;

    flags_need(t, i);
    if (!x86_insn_row(i)->has_modrm) {
        emit_plain(e, i, op);
        flags_written(t, i);
        return;
    }
    op.reg = row->reg == JIT_NONE ? i->modrm >> 3 & 7 : i->reg;
    if (row->reg == JIT_GPR && !is_high(i, row->reg_size, i->reg)) {
        int home = jit_home(i->reg);
        reg_home = home != NO_REG;
        op.reg = (uint8_t)(reg_home ? home : T1);
        if (!reg_home && is_read(i, row->reg_access, row->reg_size))
            emit_load(e, T1, jit_gpr(i->reg));
        op.rex |= row->reg_size == 1 && op.reg >= 4;
    }
    if (!i->mem) {
        rm = host_reg(i->rm);
        if (row->rm == JIT_GPR && !is_high(i, rm_register_size(row), i->rm)) {
            int home = jit_home(i->rm);
            rm_home = home != NO_REG;
            rm.reg = (int8_t)(rm_home ? home : T0);
            if (!rm_home && is_read(i, row->rm_access, rm_register_size(row)))
                emit_load(e, T0, jit_gpr(i->rm));
            op.rex |= rm_register_size(row) == 1 && rm.reg >= 4;
        }
    }
    emit_op(e, op, rm);
    emit_imm(e, i);
    if (!reg_home && (row->reg_access & JIT_WRITE))
        emit_store(e, jit_gpr(i->reg), T1);
    if (!rm_home && (row->rm_access & JIT_WRITE))
        emit_store(e, jit_gpr(i->rm), T0);
    flags_written(t, i);
}
