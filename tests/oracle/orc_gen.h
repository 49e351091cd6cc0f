/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generated cases: an instruction made from an opcode row, the registers it starts from and the
 * memory around its operands. A case is a pure function of (seed, number).
 */
#ifndef TESTS_ORACLE_GEN_H
#define TESTS_ORACLE_GEN_H

#include "cpu/x86/optable.h"
#include "orc_cells.h"
#include "orc_state.h"

/* splitmix64 (Steele, Lea, Flood 2014): small, and good enough to pick operands. */
struct orc_rng {
    uint64_t s;
};
static inline uint64_t orc_next(struct orc_rng *r)
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline uint32_t orc_below(struct orc_rng *r, uint32_t n)
{
    return (uint32_t)((orc_next(r) >> 32) * n >> 32);
}
static inline int orc_one_in(struct orc_rng *r, uint32_t n)
{
    return orc_below(r, n) == 0;
}

/* Kinds of operand values, so that both operands of an instruction are comparable. */
enum orc_kind { ORC_INT, ORC_F32, ORC_F64, ORC_F80, ORC_TEXT, ORC_KINDS };
/* Makes the tables of values; before all else here. */
void orc_values_init(void);
/* Fills @n bytes with values of @kind. */
void orc_fill(struct orc_rng *r, enum orc_kind kind, void *to, size_t n);
uint64_t orc_value(struct orc_rng *r);

/* Bits of orc_code.prefixes. */
enum {
    ORC_P66 = 1,
    ORC_P67 = 2,
    ORC_PSEG = 4,
    ORC_PF2 = 8,
    ORC_PF3 = 16,
    ORC_PLOCK = 32,
    ORC_PREX = 64,
    ORC_PREXW = 128
};

/* An encoded instruction and what must be known of it to aim its memory operand. */
struct orc_code {
    uint8_t bytes[24];
    uint8_t len;
    uint8_t prefixes;
    uint8_t rex, modrm, sib; /* @rex also holds the bits of a VEX prefix */
    uint8_t vex, vvvv, vsib;
    uint8_t has_modrm;
    uint8_t modrm_at; /* offset of the ModRM byte */
    uint8_t disp_at, disp_len;
    uint8_t imm_at, imm_len;
    uint8_t seg;   /* override (ORC_ES..), or 0xff */
    uint8_t asize; /* 2, 4, 8 */
    uint8_t osize; /* 2, 4, 8, without the rules of single rows */
};

/*
 * Encodes one random form of @row for @bits (16, 32, 64): prefixes, ModRM, immediates; prefix and
 * operand form of @cell when that is not NULL.
 */
void orc_encode(struct orc_rng *r, const struct x86_row *row, unsigned bits,
                const struct orc_cell *cell, struct orc_code *c);

struct orc_patch {
    uint32_t offset; /* in the data pages */
    uint8_t len;
    uint8_t bytes[64];
};
enum { ORC_PATCHES = 6 };
struct orc_case {
    uint64_t seed, number;
    unsigned row, bits;
    struct orc_code code;
    uint32_t code_offset; /* of the instruction, in the code pages */
    uint8_t whole[40];    /* the instruction and the jump to the stub, as written */
    uint8_t whole_len;
    struct orc_state in;
    uint32_t target; /* linear address that the ModRM operand was aimed at */
    unsigned patches;
    struct orc_patch patch[ORC_PATCHES];
};
/* Makes case @number of @seed for @cell. */
void orc_case_make(struct orc_case *c, uint64_t seed, uint64_t number, const struct orc_cell *cell);

/* What all cases find in the data pages below their patches (ORC_DATA_BYTES). */
void orc_pristine(uint8_t *to);

#endif
