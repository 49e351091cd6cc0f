/* SPDX-License-Identifier: Apache-2.0 */
/* x87 data movement: loads, stores, integers, packed decimal, constants, register moves. */
#include "cpu/x86/flags.h"
#include "cpu/x86/x87.h"
#include "x86-opcodes.h"

/* Pushes @v, or the indefinite NaN when ST(7) is in use. */
static enum x86_result push(struct x86_cpu *c, struct x86_f80 v)
{
    if (unlikely(!x87_empty(&c->fpu, 7))) {
        if (x87_stack_fault(c, true))
            x87_push(&c->fpu, X87_INDEFINITE);
        return X86_NEXT;
    }
    x87_set_cc(c, X87_C1, 0);
    x87_push(&c->fpu, v);
    return X86_NEXT;
}

/* Pushes a 32 or 64-bit operand: exact, but signalling NaNs and denormals are noticed. */
static enum x86_result push_num(struct x86_cpu *c, struct sf_num n)
{
    if (x87_empty(&c->fpu, 7)) {
        struct sf_env env = x87_env_extended(c);
        sf_operand(&env, &n);
        struct x86_f80 v = sf_to80(&env, &n);
        x87_finish(c, &env); /* an unmasked DE does not prevent the load */
        return env.flags & ~env.masked & SF_IE ? X86_NEXT : push(c, v);
    }
    return push(c, X87_INDEFINITE);
}

enum x86_result x86_op_fld_m32(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    struct sf_env env = x87_env(c);
    uint64_t off = x86_ea(c, i);
    uint32_t v;
    if (x86_load32(c, i->seg, off, &v))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    return push_num(c, sf_from32(&env, v));
}

enum x86_result x86_op_fld_m64(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    struct sf_env env = x87_env(c);
    uint64_t off = x86_ea(c, i), v;
    if (x86_load64(c, i->seg, off, &v))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    return push_num(c, sf_from64(&env, v));
}

static int load80(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, struct x86_f80 *ret)
{
    return x86_load64(c, i->seg, off, &ret->frac) || x86_load16(c, i->seg, off + 8, &ret->se);
}

/* What a store would raise, for those that an unmasked exception keeps from storing. */
static int probe_size(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, unsigned size)
{
    uint64_t v64;
    uint32_t v32;
    uint16_t v16;
    if (size == 2)
        return x86_load_rmw16(c, i->seg, off, &v16);
    if (size == 4)
        return x86_load_rmw32(c, i->seg, off, &v32);
    /* Alignment of 80 bits is that of the first 64. */
    return x86_load_rmw64(c, i->seg, off, &v64) ||
           (size > 8 && x86_probe_write(c, i->seg, off, size));
}

static int store80(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, struct x86_f80 v)
{
    return probe_size(c, i, off, 10) || x86_store64(c, i->seg, off, v.frac) ||
           x86_store16(c, i->seg, off + 8, v.se);
}

enum x86_result x86_op_fld_m80(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint64_t off = x86_ea(c, i);
    struct x86_f80 v;
    if (load80(c, i, off, &v))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    return push(c, v);
}

enum x86_result x86_op_fld_st(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    unsigned src = i->modrm & 7;
    if (x87_empty(&c->fpu, src)) {
        if (x87_stack_fault(c, false))
            x87_push(&c->fpu, X87_INDEFINITE);
        return X86_NEXT;
    }
    return push(c, *x87_st(&c->fpu, src));
}

static enum x86_result load_integer(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
    X87_ENTER(c);
    uint64_t off = x86_ea(c, i), v64 = 0;
    uint32_t v32 = 0;
    uint16_t v16 = 0;
    if (size == 2   ? x86_load16(c, i->seg, off, &v16)
        : size == 4 ? x86_load32(c, i->seg, off, &v32)
                    : x86_load64(c, i->seg, off, &v64))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    return push_num(c, sf_from_int(size == 2   ? (int16_t)v16
                                   : size == 4 ? (int32_t)v32
                                               : (int64_t)v64));
}
X87_HANDLER(fild_i16, load_integer(c, i, 2))
X87_HANDLER(fild_i32, load_integer(c, i, 4))
X87_HANDLER(fild_i64, load_integer(c, i, 8))

static int store_size(struct x86_cpu *c, const struct x86_insn *i, uint64_t off, unsigned size,
                      uint64_t v)
{
    if (size == 2)
        return x86_store16(c, i->seg, off, (uint16_t)v);
    if (size == 4)
        return x86_store32(c, i->seg, off, (uint32_t)v);
    return x86_store64(c, i->seg, off, v);
}

/* The end of every store: memory first, because it may fault, then flags and stack. */
static enum x86_result store(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
                             struct sf_env *env, uint64_t v, bool pop)
{
    uint64_t off = x86_ea(c, i);
    bool go = x87_stores(env);
    if (!go) { /* nothing was rounded */
        env->flags &= (uint8_t)~SF_PE;
        env->up = false;
    }
    if (go ? store_size(c, i, off, size, v) : probe_size(c, i, off, size))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    x87_finish(c, env);
    if (go && pop)
        x87_pop(&c->fpu);
    return X86_NEXT;
}

/* Stores @indefinite from an empty register if the underflow is masked. */
static enum x86_result store_empty(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
                                   uint64_t indefinite, bool pop)
{
    uint64_t off = x86_ea(c, i);
    bool masked = c->fpu.cw & X87_IE;
    if (masked ? store_size(c, i, off, size, indefinite) : probe_size(c, i, off, size))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    x87_stack_fault(c, false);
    if (masked && pop)
        x87_pop(&c->fpu);
    return X86_NEXT;
}

static enum x86_result store_real(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
                                  bool pop)
{
    X87_ENTER(c);
    if (x87_empty(&c->fpu, 0))
        return store_empty(c, i, size, size == 4 ? 0xffc00000 : UINT64_C(0xfff8) << 48, pop);
    struct sf_env env = x87_env(c);
    struct sf_num n = sf_from80(*x87_st(&c->fpu, 0));
    n.denormal = false; /* stores do not raise DE */
    sf_operand(&env, &n);
    return store(c, i, size, &env, size == 4 ? sf_to32(&env, &n) : sf_to64(&env, &n), pop);
}
X87_HANDLER(fst_m32, store_real(c, i, 4, false))
X87_HANDLER(fstp_m32, store_real(c, i, 4, true))
X87_HANDLER(fst_m64, store_real(c, i, 8, false))
X87_HANDLER(fstp_m64, store_real(c, i, 8, true))

static enum x86_result store_integer(struct x86_cpu *c, const struct x86_insn *i, unsigned size,
                                     bool truncate, bool pop)
{
    X87_ENTER(c);
    if (x87_empty(&c->fpu, 0))
        return store_empty(c, i, size, UINT64_C(1) << (8 * size - 1), pop);
    struct sf_env env = x87_env(c);
    struct sf_num n = sf_from80(*x87_st(&c->fpu, 0));
    int64_t v = sf_to_int(&env, &n, 8 * size, truncate ? SF_TRUNCATE : env.rounding);
    return store(c, i, size, &env, (uint64_t)v, pop);
}
X87_HANDLER(fist_i16, store_integer(c, i, 2, false, false))
X87_HANDLER(fist_i32, store_integer(c, i, 4, false, false))
X87_HANDLER(fistp_i16, store_integer(c, i, 2, false, true))
X87_HANDLER(fistp_i32, store_integer(c, i, 4, false, true))
X87_HANDLER(fistp_i64, store_integer(c, i, 8, false, true))
X87_HANDLER(fisttp_i16, store_integer(c, i, 2, true, true))
X87_HANDLER(fisttp_i32, store_integer(c, i, 4, true, true))
X87_HANDLER(fisttp_i64, store_integer(c, i, 8, true, true))

enum x86_result x86_op_fstp_m80(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint64_t off = x86_ea(c, i);
    bool empty = x87_empty(&c->fpu, 0), go = !empty || (c->fpu.cw & X87_IE);
    if (go ? store80(c, i, off, empty ? X87_INDEFINITE : *x87_st(&c->fpu, 0))
           : probe_size(c, i, off, 10))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    if (empty)
        x87_stack_fault(c, false);
    else
        x87_set_cc(c, X87_C1, 0);
    if (go)
        x87_pop(&c->fpu);
    return X86_NEXT;
}

/* Packed decimal (vol. 1, 4.7): 18 digits, two a byte, and a sign byte. */

enum { BCD_DIGITS = 18 };
#define BCD_LIMIT UINT64_C(1000000000000000000)

enum x86_result x86_op_fbld(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint64_t off = x86_ea(c, i), v = 0;
    struct x86_f80 bcd;
    if (load80(c, i, off, &bcd))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    for (int k = BCD_DIGITS - 1; k >= 0; k--)
        v = v * 10 + (k < 16 ? bcd.frac >> (4 * k) & 15 : (unsigned)bcd.se >> (4 * (k - 16)) & 15);
    struct sf_num n = sf_from_int((int64_t)v);
    n.sign = bcd.se >> 15;
    return push_num(c, n);
}

enum x86_result x86_op_fbstp(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    uint64_t off = x86_ea(c, i);
    struct sf_env env = x87_env(c);
    struct sf_num n = sf_from80(*x87_st(&c->fpu, 0));
    bool empty = x87_empty(&c->fpu, 0);
    int64_t v = sf_to_int(&env, &n, 64, env.rounding);
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (left >= BCD_LIMIT)
        env.flags = SF_IE, env.up = false;
    struct x86_f80 bcd = {0, n.sign ? 0x8000 : 0};
    for (int k = 0; k < BCD_DIGITS; k++, left /= 10) {
        if (k < 16)
            bcd.frac |= left % 10 << (4 * k);
        else
            bcd.se |= (uint16_t)(left % 10 << (4 * (k - 16)));
    }
    if (empty || (env.flags & SF_IE))
        bcd = (struct x86_f80){UINT64_C(0xc000) << 48, 0xffff};
    bool go = empty ? (c->fpu.cw & X87_IE) != 0 : x87_stores(&env);
    if (go ? store80(c, i, off, bcd) : probe_size(c, i, off, 10))
        return X86_FAULT;
    x87_record_mem(c, i, off);
    if (empty)
        x87_stack_fault(c, false);
    else
        x87_finish(c, &env);
    if (go)
        x87_pop(&c->fpu);
    return X86_NEXT;
}

/* Constants: rounded to 64 bits as RC says, without PE (vol. 1, 8.3.8). */
static enum x86_result constant(struct x86_cpu *c, const struct x86_insn *i, int exp, uint64_t hi,
                                uint64_t lo)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct sf_env env = x87_env_extended(c);
    struct sf_num n = {.cls = hi ? SF_NORMAL : SF_ZERO, .exp = exp, .hi = hi, .lo = lo};
    return push(c, sf_to80(&env, &n));
}
X87_HANDLER(fld1, constant(c, i, 0, UINT64_C(1) << 63, 0))
X87_HANDLER(fldz, constant(c, i, 0, 0, 0))
X87_HANDLER(fldpi, constant(c, i, 1, UINT64_C(0xc90fdaa22168c234), UINT64_C(0xc4c6628b80dc1cd1)))
X87_HANDLER(fldl2t, constant(c, i, 1, UINT64_C(0xd49a784bcd1b8afe), UINT64_C(0x492bf6ff4dafdb4d)))
X87_HANDLER(fldl2e, constant(c, i, 0, UINT64_C(0xb8aa3b295c17f0bb), UINT64_C(0xbe87fed0691d3e88)))
X87_HANDLER(fldlg2, constant(c, i, -2, UINT64_C(0x9a209a84fbcff798), UINT64_C(0x8f8959ac0b7c9178)))
X87_HANDLER(fldln2, constant(c, i, -1, UINT64_C(0xb17217f7d1cf79ab), UINT64_C(0xc9e3b39803f2f6af)))

/* Register moves. */

static enum x86_result store_st(struct x86_cpu *c, const struct x86_insn *i, bool pop)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    if (x87_empty(f, 0)) {
        if (!x87_stack_fault(c, false))
            return X86_NEXT;
        x87_set(f, i->modrm & 7, X87_INDEFINITE);
    } else {
        x87_set_cc(c, X87_C1, 0);
        x87_set(f, i->modrm & 7, *x87_st(f, 0));
    }
    if (pop)
        x87_pop(f);
    return X86_NEXT;
}
X87_HANDLER(fst_st, store_st(c, i, false))
X87_HANDLER(fstp_st, store_st(c, i, true))

/* D9 D8+i, an alias of FSTP that only pops when ST(0) is empty. */
enum x86_result x86_op_fstp_nce(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    x87_set_cc(c, X87_C1, 0);
    if (!x87_empty(f, 0))
        x87_set(f, i->modrm & 7, *x87_st(f, 0));
    x87_pop(f);
    return X86_NEXT;
}

enum x86_result x86_op_fxch(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    unsigned with = i->modrm & 7;
    struct x86_f80 a = *x87_st(f, 0), b = *x87_st(f, with);
    bool a_empty = x87_empty(f, 0), b_empty = x87_empty(f, with);
    if (a_empty || b_empty) {
        if (!x87_stack_fault(c, false))
            return X86_NEXT;
        if (a_empty)
            a = X87_INDEFINITE;
        if (b_empty)
            b = X87_INDEFINITE;
    } else {
        x87_set_cc(c, X87_C1, 0);
    }
    x87_set(f, 0, b);
    x87_set(f, with, a);
    return X86_NEXT;
}

static enum x86_result change_sign(struct x86_cpu *c, const struct x86_insn *i, uint16_t and,
                                   uint16_t xor)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    if (x87_empty(f, 0)) {
        if (x87_stack_fault(c, false))
            x87_set(f, 0, X87_INDEFINITE);
        return X86_NEXT;
    }
    x87_set_cc(c, X87_C1, 0);
    x87_st(f, 0)->se = (x87_st(f, 0)->se & and) ^ xor;
    return X86_NEXT;
}
X87_HANDLER(fchs, change_sign(c, i, 0xffff, 0x8000))
X87_HANDLER(fabs, change_sign(c, i, 0x7fff, 0))

static enum x86_result conditional_move(struct x86_cpu *c, const struct x86_insn *i, uint64_t flags,
                                        bool when)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    unsigned src = i->modrm & 7;
    if (x87_empty(f, 0) || x87_empty(f, src)) {
        if (x87_stack_fault(c, false))
            x87_set(f, 0, X87_INDEFINITE);
        return X86_NEXT;
    }
    if (((x86_flags_get(c) & flags) != 0) == when)
        x87_set(f, 0, *x87_st(f, src));
    return X86_NEXT;
}
X87_HANDLER(fcmovb, conditional_move(c, i, X86_CF, true))
X87_HANDLER(fcmove, conditional_move(c, i, X86_ZF, true))
X87_HANDLER(fcmovbe, conditional_move(c, i, X86_CF | X86_ZF, true))
X87_HANDLER(fcmovu, conditional_move(c, i, X86_PF, true))
X87_HANDLER(fcmovnb, conditional_move(c, i, X86_CF, false))
X87_HANDLER(fcmovne, conditional_move(c, i, X86_ZF, false))
X87_HANDLER(fcmovnbe, conditional_move(c, i, X86_CF | X86_ZF, false))
X87_HANDLER(fcmovnu, conditional_move(c, i, X86_PF, false))
