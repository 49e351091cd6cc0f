/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions of the accumulator, flag instructions, table look-up, random numbers, CRC, no-ops. */
#include "cpu/x86/int_core.h"

/* CBW, CWDE, CDQE. */
INT_DO(cbw)
{
    reg_set(c, X86_RAX, 0, sz, sext(sz - 1, c->gpr[X86_RAX]));
    return X86_NEXT;
}
/* CWD, CDQ, CQO. */
INT_DO(cwd)
{
    reg_set(c, X86_RDX, 0, sz, (uint64_t)((int64_t)sext(sz, c->gpr[X86_RAX]) >> 63));
    return X86_NEXT;
}
INT_DO(nop)
{
    return X86_NEXT;
}
INT_OP_REGS(cbw)
INT_OP_REGS(cwd)
INT_FAST(nop)

/* Also the hint and prefetch forms: their memory operand is not touched. */
enum x86_result x86_op_nop(struct x86_cpu *c, const struct x86_insn *i)
{
    return X86_NEXT;
}

enum x86_result x86_op_ud(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_raise_ud(c);
}

/* Lets another processor have its turn; alone, it is a NOP. */
enum x86_result x86_op_pause(struct x86_cpu *c, const struct x86_insn *i)
{
    if (c->vm->cpu_count < 2)
        return X86_NEXT;
    c->rip = x86_next_rip(c, i);
    c->exit_reason = X86_EXIT_PAUSE;
    return X86_STOP;
}

enum { AH_FLAGS = X86_SF | X86_ZF | X86_AF | X86_PF | X86_CF };

/* In 64-bit mode LAHF and SAHF are a feature. */
static bool lahf_missing(const struct x86_cpu *c)
{
    return c->mode == X86_MODE_64 && c->vm->model &&
           !x86_model_has(c->vm->model, X86_FEATURE(X86_W_81_ECX, 0));
}

enum x86_result x86_op_lahf(struct x86_cpu *c, const struct x86_insn *i)
{
    if (lahf_missing(c))
        return x86_raise_ud(c);
    reg_set(c, X86_RAX, 1, X86_SIZE_8, (x86_flags_get(c) & AH_FLAGS) | X86_F1);
    return X86_NEXT;
}

enum x86_result x86_op_sahf(struct x86_cpu *c, const struct x86_insn *i)
{
    if (lahf_missing(c))
        return x86_raise_ud(c);
    x86_flags_set(c, c->gpr[X86_RAX] >> 8, AH_FLAGS);
    return X86_NEXT;
}

enum x86_result x86_op_cmc(struct x86_cpu *c, const struct x86_insn *i)
{
    set_cf(c, !x86_flag_cf(c));
    return X86_NEXT;
}
enum x86_result x86_op_clc(struct x86_cpu *c, const struct x86_insn *i)
{
    set_cf(c, 0);
    return X86_NEXT;
}
enum x86_result x86_op_stc(struct x86_cpu *c, const struct x86_insn *i)
{
    set_cf(c, 1);
    return X86_NEXT;
}
enum x86_result x86_op_cld(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rflags &= ~(uint64_t)X86_DF;
    return X86_NEXT;
}
enum x86_result x86_op_std(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rflags |= X86_DF;
    return X86_NEXT;
}

/* SALC (D6): AL = CF ? FF : 0. */
enum x86_result x86_op_salc(struct x86_cpu *c, const struct x86_insn *i)
{
    reg_set(c, X86_RAX, 0, X86_SIZE_8, x86_flag_cf(c) ? 0xff : 0);
    return X86_NEXT;
}

enum x86_result x86_op_xlat(struct x86_cpu *c, const struct x86_insn *i)
{
    uint8_t v;

    if (x86_load8(c, i->seg, zext(i->asize, c->gpr[X86_RBX] + (c->gpr[X86_RAX] & 0xff)), &v))
        return X86_FAULT;
    reg_set(c, X86_RAX, 0, X86_SIZE_8, v);
    return X86_NEXT;
}

/* CRC-32C of the source (vol. 2, CRC32), bit by bit reflected. */
static uint32_t crc32c(uint32_t crc, uint64_t v, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++) {
        crc ^= (uint8_t)(v >> (n * 8));
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

static enum x86_result crc32(struct x86_cpu *c, const struct x86_insn *i, unsigned sz)
{
    uint64_t v;

    if (rm_get(c, i, sz, i->mem, i->mem ? x86_ea(c, i) : 0, &v))
        return X86_FAULT;
    c->gpr[i->reg] = crc32c((uint32_t)c->gpr[i->reg], v, 1u << sz);
    return X86_NEXT;
}

enum x86_result x86_op_crc32_b(struct x86_cpu *c, const struct x86_insn *i)
{
    return crc32(c, i, X86_SIZE_8);
}
enum x86_result x86_op_crc32_v(struct x86_cpu *c, const struct x86_insn *i)
{
    return crc32(c, i, i->osize);
}

/* RDRAND and RDSEED always succeed: CF = 1, the other flags 0. */
enum x86_result x86_op_rdrand(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t v = 0;

    c->vm->host.random(c->vm->host.opaque, &v, sizeof(v));
    reg_set(c, i->rm, 0, i->osize, v);
    x86_flags_set(c, X86_CF, X86_ARITH);
    return X86_NEXT;
}
enum x86_result x86_op_rdseed(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_op_rdrand(c, i);
}
