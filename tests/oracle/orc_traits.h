/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What generator and comparison want to know of a row, worked out once from its mnemonic and
 * operands: a bit for each set, and the kind of values that its operands hold.
 */
#ifndef TESTS_ORACLE_TRAITS_H
#define TESTS_ORACLE_TRAITS_H

#include "cpu/x86/optable.h"

enum orc_set {
    /* Generator. */
    ORC_SET_RETURN,
    ORC_SET_BT,
    ORC_SET_DIV,
    ORC_SET_CMPXCHG,
    ORC_SET_SELECTOR,
    ORC_SET_LXS,
    ORC_SET_XLAT,
    ORC_SET_MXCSR,
    ORC_SET_LDMXCSR,
    ORC_SET_XSTATE,
    ORC_SET_FXSTATE,
    ORC_SET_LOAD_ENV,
    ORC_SET_STRING,
    ORC_SET_M,
    ORC_SET_G,
    /* Comparison. */
    ORC_SET_ENTER,
    ORC_SET_FRAME,
    ORC_SET_MASKMOV,
    ORC_SET_MOV,
    ORC_SET_VERW,
    ORC_SET_SYSRET,
    ORC_SET_LOOPCC,
    ORC_SET_MOVSXD,
    ORC_SET_SHIFT2,
    ORC_SET_XSAVE,
    ORC_SET_XRSTOR,
    ORC_SET_HOST_VALUES,
    ORC_SET_RDSEED,
    ORC_SET_UMIP,
    ORC_SET_SYSCALL,
    ORC_SET_INT,
    ORC_SET_BSF,
    ORC_SET_FAR64,
    ORC_SET_TRANSCENDENTAL,
    ORC_SET_FX_IMAGE,
    ORC_SET_ENV_IMAGE,
    ORC_SET_PUSH_SEG,
    ORC_SET_PUSHPOP_SEG,
    ORC_SET_CMPS,
    ORC_SET_RETF,
    ORC_SET_CALLF,
    ORC_SET_POPA,
    ORC_SET_WIDE,
    ORC_SET_SHA,
    ORC_SET_VEX_W,
    ORC_SET_VPERMQ,
    ORC_SETS
};
_Static_assert((int)ORC_SETS <= 64, "a bit each");

enum orc_operands { ORC_OPS_OTHER, ORC_OPS_X87, ORC_OPS_TEXT, ORC_OPS_F32, ORC_OPS_F64 };

struct orc_traits {
    uint64_t sets;
    uint8_t operands; /* enum orc_operands */
};

/* Fills the table; before anything else of the oracles. */
void orc_traits_init(void);
extern struct orc_traits orc_traits[];

/* False for NULL, no row. */
static inline bool orc_in(const struct x86_row *row, enum orc_set set)
{
    return row && orc_traits[row - x86_optable].sets >> set & 1;
}

#endif
