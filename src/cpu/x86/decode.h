/* SPDX-License-Identifier: Apache-2.0 */
/* From bytes to struct x86_insn. Pure functions; interpreter, translator and tests share them. */
#ifndef CPU_X86_DECODE_H
#define CPU_X86_DECODE_H

#include "cpu/x86/insn.h"

enum { X86_INSN_MAX = 15 };

/* What decoding depends on besides the bytes. */
struct x86_decode_env {
    const struct x86_model *model; /* NULL: every feature */
    uint8_t mode;                  /* enum x86_mode */
    bool big; /* CS.D: default sizes are 32 bits (not looked at in 64-bit mode) */
};

enum x86_decode_result {
    X86_DECODE_OK,
    X86_DECODE_MORE,    /* the bytes end before the instruction does */
    X86_DECODE_INVALID, /* #UD */
    X86_DECODE_LONG,    /* more than 15 bytes: #GP(0) */
};

/* Decodes the instruction at @bytes, of which @avail may be looked at. @ret is valid after OK. */
enum x86_decode_result x86_decode(const struct x86_decode_env *env, const uint8_t *bytes,
                                  size_t avail, struct x86_insn *ret);

/* The environment of processor @c as it stands. */
struct x86_decode_env x86_decode_env_of(const struct x86_cpu *c);

#endif
