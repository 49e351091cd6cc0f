/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/jit/emit.h"

#include <string.h>

void emit16(struct emit *e, unsigned v)
{
    emit8(e, v);
    emit8(e, v >> 8);
}

void emit32(struct emit *e, uint32_t v)
{
    emit16(e, v & 0xffff);
    emit16(e, v >> 16);
}

void emit64(struct emit *e, uint64_t v)
{
    emit32(e, (uint32_t)v);
    emit32(e, (uint32_t)(v >> 32));
}

void emit_bytes(struct emit *e, const char *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        emit8(e, (uint8_t)bytes[i]);
}

static bool fits8(int32_t v)
{
    return v == (int8_t)v;
}

static void emit_modrm_mem(struct emit *e, unsigned reg, const struct host_rm *m)
{
    unsigned r = (reg & 7) << 3, sib;
    unsigned mod = m->disp == 0 && (m->base & 7) != RBP ? 0 : fits8(m->disp) ? 1 : 2;

    if (m->base == NO_REG) { /* [index * scale + disp32] or [disp32] */
        emit8(e, r | 4);
        emit8(e, (unsigned)m->scale << 6 | (m->index == NO_REG ? 4u : (unsigned)m->index & 7) << 3 |
                     5);
        emit32(e, (uint32_t)m->disp);
        return;
    }
    if (m->index != NO_REG || (m->base & 7) == RSP) {
        sib = (unsigned)m->scale << 6 | (m->index == NO_REG ? 4u : (unsigned)m->index & 7) << 3 |
              ((unsigned)m->base & 7);
        emit8(e, mod << 6 | r | 4);
        emit8(e, sib);
    } else {
        emit8(e, mod << 6 | r | ((unsigned)m->base & 7));
    }
    if (mod == 1)
        emit8(e, (uint8_t)m->disp);
    else if (mod == 2)
        emit32(e, (uint32_t)m->disp);
}

void emit_op(struct emit *e, struct host_op op, struct host_rm rm)
{
    unsigned rex = (op.wide ? 8 : 0) | (op.reg & 8 ? 4 : 0);

    if (rm.mem)
        rex |= (rm.index != NO_REG && (rm.index & 8) ? 2 : 0) |
               (rm.base != NO_REG && (rm.base & 8) ? 1 : 0);
    else
        rex |= rm.reg & 8 ? 1 : 0;
    if (op.opsize)
        emit8(e, 0x66);
    if (op.prefix)
        emit8(e, op.prefix);
    if (rex || op.rex)
        emit8(e, 0x40 | rex);
    if (op.map)
        emit8(e, 0x0f);
    if (op.map == 2)
        emit8(e, 0x38);
    else if (op.map == 3)
        emit8(e, 0x3a);
    emit8(e, op.opcode);
    if (rm.mem)
        emit_modrm_mem(e, op.reg, &rm);
    else
        emit8(e, 0xc0 | (op.reg & 7u) << 3 | ((unsigned)rm.reg & 7));
}

void emit_rm(struct emit *e, bool wide, uint8_t opcode, unsigned reg, struct host_rm rm)
{
    emit_op(e, (struct host_op){.wide = wide, .opcode = opcode, .reg = (uint8_t)reg}, rm);
}

void emit_mov(struct emit *e, int to, int from)
{
    if (to != from)
        emit_rm(e, true, 0x89, (unsigned)from, host_reg(to));
}

void emit_mov_imm(struct emit *e, int to, uint64_t value)
{
    unsigned low = (unsigned)to & 7, high = to & 8 ? 1 : 0;

    if (value <= UINT32_MAX) {
        if (high)
            emit8(e, 0x41);
        emit8(e, 0xb8 | low);
        emit32(e, (uint32_t)value);
    } else if ((uint64_t)(int64_t)(int32_t)value == value) {
        emit_rm(e, true, 0xc7, 0, host_reg(to));
        emit32(e, (uint32_t)value);
    } else {
        emit8(e, 0x48 | high);
        emit8(e, 0xb8 | low);
        emit64(e, value);
    }
}

void emit_load(struct emit *e, int to, struct host_rm from)
{
    emit_rm(e, true, 0x8b, (unsigned)to, from);
}

void emit_store(struct emit *e, struct host_rm to, int from)
{
    emit_rm(e, true, 0x89, (unsigned)from, to);
}

void emit_alu_imm(struct emit *e, unsigned which, struct host_rm rm, int32_t value)
{
    emit_rm(e, true, fits8(value) ? 0x83 : 0x81, which, rm);
    if (fits8(value))
        emit8(e, (uint8_t)value);
    else
        emit32(e, (uint32_t)value);
}

uint8_t *emit_jcc(struct emit *e, unsigned cc)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 | cc);
    emit32(e, 0);
    return e->at - 4;
}

uint8_t *emit_jmp(struct emit *e)
{
    emit8(e, 0xe9);
    emit32(e, 0);
    return e->at - 4;
}

void emit_land_at(struct emit *e, uint8_t *site, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (site + 4));

    if (!e->full)
        memcpy(site, &distance, 4);
}

void emit_jmp_to(struct emit *e, const uint8_t *target)
{
    emit_land_at(e, emit_jmp(e), target);
}

void emit_jcc_to(struct emit *e, unsigned cc, const uint8_t *target)
{
    emit_land_at(e, emit_jcc(e, cc), target);
}

void emit_call_to(struct emit *e, const uint8_t *target)
{
    emit8(e, 0xe8);
    emit32(e, 0);
    emit_land_at(e, e->at - 4, target);
}
