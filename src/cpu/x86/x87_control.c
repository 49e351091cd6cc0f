/* SPDX-License-Identifier: Apache-2.0 */
/* x87 control: control and status words, environment and state images, stack pointer, FWAIT. */
#include "cpu/x86/x87.h"
#include "x86-opcodes.h"

enum x86_result x86_op_fwait(struct x86_cpu *c, const struct x86_insn *i)
{
    if ((c->cr0 & (X86_CR0_MP | X86_CR0_TS)) == (X86_CR0_MP | X86_CR0_TS))
        return x86_raise(c, X86_NM);
    return c->fpu.sw & X87_ES ? x86_fpu_pending(c) : X86_NEXT;
}

enum x86_result x86_op_fnop(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    return X86_NEXT;
}

/* FENI, FDISI, FSETPM: 8087 and 287 instructions, ignored since the 387. */
enum x86_result x86_op_fnop_nowait(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    return X86_NEXT;
}

enum x86_result x86_op_fninit(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    x86_fpu_init(c);
    return X86_NEXT;
}

enum x86_result x86_op_fnclex(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    c->fpu.sw &= (uint16_t) ~(X87_EXCEPTIONS | X87_SF);
    x86_fpu_update_es(c);
    return X86_NEXT;
}

enum x86_result x86_op_fldcw(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint16_t cw;
    if (x86_load16(c, i->seg, x86_ea(c, i), &cw))
        return X86_FAULT;
    x86_fpu_set_cw(&c->fpu, cw);
    x86_fpu_update_es(c);
    return X86_NEXT;
}

enum x86_result x86_op_fnstcw(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    return x86_store16(c, i->seg, x86_ea(c, i), c->fpu.cw) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_fnstsw_m16(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    return x86_store16(c, i->seg, x86_ea(c, i), x86_fpu_sw(&c->fpu)) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_fnstsw_ax(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    c->gpr[X86_RAX] = (c->gpr[X86_RAX] & ~UINT64_C(0xffff)) | x86_fpu_sw(&c->fpu);
    return X86_NEXT;
}

enum x86_result x86_op_fincstp(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    c->fpu.top = (c->fpu.top + 1) & 7;
    c->fpu.sw &= (uint16_t)~X87_C1;
    return X86_NEXT;
}

enum x86_result x86_op_fdecstp(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    c->fpu.top = (c->fpu.top - 1) & 7;
    c->fpu.sw &= (uint16_t)~X87_C1;
    return X86_NEXT;
}

enum x86_result x86_op_ffree(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    x87_free(&c->fpu, i->modrm & 7);
    x87_set_cc(c, X87_C1, 0);
    return X86_NEXT;
}

enum x86_result x86_op_ffreep(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    x87_free(&c->fpu, i->modrm & 7);
    x87_set_cc(c, X87_C1, 0);
    x87_pop(&c->fpu);
    return X86_NEXT;
}

/*
 * The environment has four formats (vol. 1, 8.1.10): seven words or doublewords, pointers as
 * selector and offset in protected mode, as linear addresses spread over the fields in real and
 * v8086 mode.
 */
static bool real_format(const struct x86_cpu *c)
{
    return c->mode == X86_MODE_REAL || c->mode == X86_MODE_V86;
}

static unsigned env_word(const struct x86_insn *i)
{
    return i->osize == X86_SIZE_16 ? 2 : 4;
}

static void env_fields(const struct x86_cpu *c, uint32_t field[7], bool wide)
{
    const struct x86_fpu *f = &c->fpu;
    uint32_t high = wide ? 0xffff0000 : 0;
    field[0] = high | f->cw;
    field[1] = high | x86_fpu_sw(f);
    field[2] = high | x86_fpu_full_tag(f);
    if (real_format(c)) {
        uint32_t ip = (uint32_t)f->fip + ((uint32_t)f->fcs << 4);
        uint32_t dp = (uint32_t)f->fdp + ((uint32_t)f->fds << 4);
        field[3] = high | (ip & 0xffff);
        field[4] = ip >> 16 << 12 | f->fop;
        field[5] = high | (dp & 0xffff);
        field[6] = dp >> 16 << 12;
    } else {
        field[3] = (uint32_t)f->fip;
        field[4] = f->fcs | (wide ? (uint32_t)f->fop << 16 : 0);
        field[5] = (uint32_t)f->fdp;
        field[6] = high | f->fds;
    }
}

static int store_env(struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    uint32_t field[7];
    unsigned word = env_word(i);
    env_fields(c, field, word == 4);
    for (unsigned k = 0; k < 7; k++) {
        if (word == 4 ? x86_store32(c, i->seg, off + 4 * k, field[k])
                      : x86_store16(c, i->seg, off + 2 * k, (uint16_t)field[k]))
            return X86_FAULT;
    }
    return 0;
}

static int load_env(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, uint32_t field[7])
{
    unsigned word = env_word(i);
    for (unsigned k = 0; k < 7; k++) {
        uint16_t v;
        if (word == 4) {
            if (x86_load32(c, i->seg, off + 4 * k, &field[k]))
                return X86_FAULT;
        } else {
            if (x86_load16(c, i->seg, off + 2 * k, &v))
                return X86_FAULT;
            field[k] = v;
        }
    }
    return 0;
}

static void set_env(struct x86_cpu *c, const uint32_t field[7], bool wide)
{
    struct x86_fpu *f = &c->fpu;
    x86_fpu_set_cw(f, (uint16_t)field[0]);
    x86_fpu_set_sw(f, (uint16_t)field[1]);
    f->tag = x86_fpu_short_tag((uint16_t)field[2]);
    if (real_format(c)) {
        f->fip = (field[3] & 0xffff) | (field[4] >> 12 << 16);
        f->fdp = (field[5] & 0xffff) | (field[6] >> 12 << 16);
        f->fop = field[4] & 0x7ff;
        f->fcs = f->fds = 0;
    } else {
        f->fip = field[3];
        f->fcs = (uint16_t)field[4];
        f->fdp = field[5];
        f->fds = (uint16_t)field[6];
        f->fop = wide ? field[4] >> 16 & 0x7ff : 0; /* the 16-bit format has none */
    }
    x86_fpu_update_es(c);
}

enum x86_result x86_op_fnstenv(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    uint64_t off = x86_ea(c, i);
    if (x86_probe_write(c, i->seg, off, 7 * env_word(i)) || store_env(c, i, off))
        return X86_FAULT;
    c->fpu.cw |= X87_EXCEPTIONS;
    x86_fpu_update_es(c);
    return X86_NEXT;
}

enum x86_result x86_op_fldenv(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint32_t field[7];
    if (load_env(c, i, x86_ea(c, i), field))
        return X86_FAULT;
    set_env(c, field, env_word(i) == 4);
    return X86_NEXT;
}

/* Registers in the save area stand ten bytes apart and are checked as words (vol. 3, table 6-7). */
static int store_packed(struct x86_cpu *c, unsigned seg, uint64_t off, const struct x86_f80 *r)
{
    for (unsigned k = 0; k < 4; k++)
        if (x86_store16(c, seg, off + 2 * k, (uint16_t)(r->frac >> 16 * k)))
            return 1;
    return x86_store16(c, seg, off + 8, r->se);
}

static int load_packed(struct x86_cpu *c, unsigned seg, uint64_t off, struct x86_f80 *ret)
{
    uint16_t word[5];
    for (unsigned k = 0; k < 5; k++)
        if (x86_load16(c, seg, off + 2 * k, &word[k]))
            return 1;
    ret->frac =
        (uint64_t)word[3] << 48 | (uint64_t)word[2] << 32 | (uint64_t)word[1] << 16 | word[0];
    ret->se = word[4];
    return 0;
}

enum x86_result x86_op_fnsave(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER_NOWAIT(c);
    uint64_t off = x86_ea(c, i);
    unsigned env = 7 * env_word(i);
    if (x86_probe_write(c, i->seg, off, env + 80) || store_env(c, i, off))
        return X86_FAULT;
    for (unsigned k = 0; k < 8; k++) {
        const struct x86_f80 *r = x87_st(&c->fpu, k);
        if (store_packed(c, i->seg, off + env + 10 * k, r))
            return X86_FAULT;
    }
    x86_fpu_init(c);
    return X86_NEXT;
}

enum x86_result x86_op_frstor(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint64_t off = x86_ea(c, i);
    unsigned env = 7 * env_word(i);
    uint32_t field[7];
    struct x86_f80 st[8];
    if (load_env(c, i, off, field))
        return X86_FAULT;
    for (unsigned k = 0; k < 8; k++) {
        if (load_packed(c, i->seg, off + env + 10 * k, &st[k]))
            return X86_FAULT;
    }
    set_env(c, field, env == 28);
    for (unsigned k = 0; k < 8; k++)
        *x87_st(&c->fpu, k) = st[k];
    return X86_NEXT;
}
