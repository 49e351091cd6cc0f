/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's arithmetic flags. SETO and LAHF take them out of the host's, an addition that
 * overflows and SAHF put them back: a tenth of the cost of PUSHF and POPF.
 */
#include "cpu/jit/translate.h"
#include "cpu/x86/flags.h"

void flags_save(struct emit *e, bool af_unknown)
{
    emit_mov(e, T0, RAX);
    emit_bytes(e, "\x9f\x0f\x90\xc0", 4); /* lahf; seto al */
    if (af_unknown)
        emit_bytes(e, "\x80\xe4\xef", 3); /* and ah, ~AF */
    emit_op(e, (struct host_op){.opsize = true, .opcode = 0x89, .reg = RAX}, CPU_AT(jit.flags));
    emit_mov(e, RAX, T0);
}

void flags_load(struct emit *e, int tmp)
{
    emit_mov(e, tmp, RAX);
    emit_op(e, (struct host_op){.map = 1, .opcode = 0xb7, .reg = RAX}, CPU_AT(jit.flags));
    emit_bytes(e, "\x04\x7f\x9e", 3); /* add al, 127; sahf */
    emit_mov(e, RAX, tmp);
}

void flags_clobber(struct translation *t)
{
    if (!t->saved) {
        flags_save(&t->e, t->af_unknown);
        t->saved = true;
    }
    t->in_host = false;
}

/* A shift by CL may leave all flags as they are. */
static bool by_cl(unsigned handler)
{
    switch (handler) {
    case X86_H_shl_EC:
    case X86_H_shr_EC:
    case X86_H_sar_EC:
    case X86_H_rol_EC:
    case X86_H_ror_EC:
    case X86_H_rcl_EC:
    case X86_H_rcr_EC:
    case X86_H_shld_C:
    case X86_H_shrd_C:
        return true;
    default:
        return false;
    }
}

/* Shifts and rotates by a count that is 0 when masked change no flag. */
static bool by_nothing(const struct x86_insn *i)
{
    unsigned count = (unsigned)i->imm & (i->osize == X86_SIZE_64 ? 63 : 31);

    switch (x86_insn_row(i)->handler) {
    case X86_H_shl_EI:
    case X86_H_shr_EI:
    case X86_H_sar_EI:
    case X86_H_rol_EI:
    case X86_H_ror_EI:
    case X86_H_rcl_EI:
    case X86_H_rcr_EI:
    case X86_H_shld_I:
    case X86_H_shrd_I:
        return count == 0;
    default:
        return false;
    }
}

void flags_need(struct translation *t, const struct x86_insn *i)
{
    const struct jit_row *row = row_of(t, i);
    unsigned handler = x86_insn_row(i)->handler;
    bool partial = (row->writes && row->writes != X86_ARITH) || by_cl(handler);
    bool all = handler == X86_H_inc_E || handler == X86_H_dec_E
                   ? false
                   : partial || (row->reads & ~X86_CF) || (row->reads && !row->writes);

    if (t->in_host || by_nothing(i))
        return;
    if (all) {
        flags_load(&t->e, T1);
        t->in_host = true;
        t->af_unknown = false;
    } else if (partial || row->reads) { /* CF alone: BT takes it from memory */
        emit_op(&t->e, (struct host_op){.map = 1, .opcode = 0xba, .reg = 4}, CPU_AT(jit.flags));
        emit8(&t->e, 8);
    }
}

void flags_written(struct translation *t, const struct x86_insn *i)
{
    if (row_of(t, i)->writes && !by_nothing(i)) {
        t->in_host = true;
        t->saved = false;
        if (row_of(t, i)->writes & X86_AF)
            t->af_unknown = row_of(t, i)->af_unknown;
    }
}
