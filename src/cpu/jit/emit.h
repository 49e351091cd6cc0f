/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing host instructions (Intel SDM, vol. 2).
 *
 * Code is written through one mapping and runs in another (arena.h): all references inside it are
 * relative, so that the difference never shows. Writing past the end sets @full and is otherwise
 * ignored; whoever emits looks once, when it is done.
 */
#ifndef CPU_JIT_EMIT_H
#define CPU_JIT_EMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Host registers by number. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG = -1 };

/* Conditions of Jcc and SETcc. */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A };

struct emit {
    uint8_t *at, *end;
    bool full;
};

/* A register, or memory at [base + index * 2^scale + disp]. */
struct host_rm {
    bool mem;
    int8_t reg; /* register operand */
    int8_t base, index;
    uint8_t scale;
    int32_t disp;
};

/* An instruction with a ModRM byte. */
struct host_op {
    uint8_t prefix; /* 66, F2, F3 as part of the opcode, or 0 */
    bool opsize;    /* 66 as operand size */
    bool wide;      /* REX.W */
    bool rex;       /* a REX byte even if nothing asks for it (SPL to DIL) */
    uint8_t map, opcode;
    uint8_t reg; /* ModRM.reg: register or extension */
};

static inline void emit8(struct emit *e, unsigned v)
{
    if (e->at == e->end)
        e->full = true;
    else
        *e->at++ = (uint8_t)v;
}
void emit16(struct emit *e, unsigned v);
void emit32(struct emit *e, uint32_t v);
void emit64(struct emit *e, uint64_t v);
void emit_bytes(struct emit *e, const char *bytes, unsigned n);

static inline struct host_rm host_reg(int reg)
{
    return (struct host_rm){.reg = (int8_t)reg};
}
static inline struct host_rm host_mem(int base, int32_t disp)
{
    return (struct host_rm){.mem = true, .base = (int8_t)base, .index = NO_REG, .disp = disp};
}

/* Prefixes, opcode, ModRM, SIB and displacement; an immediate is the caller's to add. */
void emit_op(struct emit *e, struct host_op op, struct host_rm rm);
/* A plain opcode of map 0 with 64-bit (@wide) or 32-bit operands. */
void emit_rm(struct emit *e, bool wide, uint8_t opcode, unsigned reg, struct host_rm rm);

void emit_mov(struct emit *e, int to, int from);              /* 64 bits */
void emit_mov_imm(struct emit *e, int to, uint64_t value);    /* the shortest form */
void emit_load(struct emit *e, int to, struct host_rm from);  /* 64 bits */
void emit_store(struct emit *e, struct host_rm to, int from); /* 64 bits */
/* ADD, OR ... CMP (@which 0 to 7) of an immediate, 64 bits. */
void emit_alu_imm(struct emit *e, unsigned which, struct host_rm rm, int32_t value);

/* Jumps with 32-bit displacements. Return where the displacement is, for emit_land. */
uint8_t *emit_jcc(struct emit *e, unsigned cc);
uint8_t *emit_jmp(struct emit *e);
/* Lets the jump at @site go to @target, or to what comes next. */
void emit_land_at(struct emit *e, uint8_t *site, const uint8_t *target);
static inline void emit_land(struct emit *e, uint8_t *site)
{
    emit_land_at(e, site, e->at);
}
void emit_jmp_to(struct emit *e, const uint8_t *target);
void emit_jcc_to(struct emit *e, unsigned cc, const uint8_t *target);
void emit_call_to(struct emit *e, const uint8_t *target);

#endif
