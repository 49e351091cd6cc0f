/* SPDX-License-Identifier: Apache-2.0 */
/* x87 arithmetic: the four operations, square root, remainders, scaling, rounding. */
#include "cpu/x86/flags.h"
#include "cpu/x86/x87.h"
#include "x86-opcodes.h"

bool x87_finish(struct x86_cpu *c, const struct sf_env *env)
{
    unsigned flags = env->flags;
    bool go = !(flags & ~env->masked & SF_PRE);
    if (!go)
        flags &= SF_PRE;
    x87_set_cc(c, X87_C1, go && env->up ? X87_C1 : 0);
    if (flags & ~c->fpu.sw) {
        c->fpu.sw |= (uint16_t)flags;
        x86_fpu_update_es(c);
    }
    return go;
}

bool x87_stores(const struct sf_env *env)
{
    return !(env->flags & ~env->masked & (SF_PRE | SF_OE | SF_UE));
}

bool x87_stack_fault(struct x86_cpu *c, bool overflow)
{
    c->fpu.sw |= X87_IE | X87_SF;
    x87_set_cc(c, X87_C1, overflow ? X87_C1 : 0);
    x86_fpu_update_es(c);
    return c->fpu.cw & X87_IE;
}

typedef struct sf_num binary_fn(struct sf_env *env, const struct sf_num *a, const struct sf_num *b);

static struct sf_num reverse_sub(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    return sf_sub(env, b, a);
}

static struct sf_num reverse_div(struct sf_env *env, const struct sf_num *a, const struct sf_num *b)
{
    return sf_div(env, b, a);
}

/* ST(dst) = ST(dst) op @b; an empty destination is an underflow. */
static enum x86_result binary(struct x86_cpu *c, unsigned dst, const struct sf_num *b,
                              binary_fn *fn, bool b_empty, bool pop)
{
    struct x86_fpu *f = &c->fpu;
    if (unlikely(b_empty || x87_empty(f, dst))) {
        if (!x87_stack_fault(c, false))
            return X86_NEXT;
        x87_set(f, dst, X87_INDEFINITE);
    } else {
        struct sf_env env = x87_env(c);
        struct sf_num a = sf_from80(*x87_st(f, dst)), r = fn(&env, &a, b);
        struct x86_f80 v = sf_to80(&env, &r);
        if (!x87_finish(c, &env))
            return X86_NEXT;
        x87_set(f, dst, v);
    }
    if (pop)
        x87_pop(f);
    return X86_NEXT;
}

static enum x86_result binary_st(struct x86_cpu *c, const struct x86_insn *i, unsigned dst,
                                 unsigned src, binary_fn *fn, bool pop)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct sf_num b = sf_from80(*x87_st(&c->fpu, src));
    return binary(c, dst, &b, fn, x87_empty(&c->fpu, src), pop);
}

enum operand { M32, M64, I16, I32 };

/* Reads a memory operand; widening an integer is exact. */
static int load_operand(struct x86_cpu *c, const struct x86_insn *i, enum operand kind,
                        struct sf_num *ret)
{
    static const struct sf_env plain;
    uint64_t off = x86_ea(c, i), v64;
    uint32_t v32;
    uint16_t v16;
    switch (kind) {
    case M32:
        if (x86_load32(c, i->seg, off, &v32))
            return X86_FAULT;
        *ret = sf_from32(&plain, v32);
        break;
    case M64:
        if (x86_load64(c, i->seg, off, &v64))
            return X86_FAULT;
        *ret = sf_from64(&plain, v64);
        break;
    case I16:
        if (x86_load16(c, i->seg, off, &v16))
            return X86_FAULT;
        *ret = sf_from_int((int16_t)v16);
        break;
    case I32:
        if (x86_load32(c, i->seg, off, &v32))
            return X86_FAULT;
        *ret = sf_from_int((int32_t)v32);
        break;
    }
    x87_record_mem(c, i, off);
    return 0;
}

static enum x86_result binary_mem(struct x86_cpu *c, const struct x86_insn *i, enum operand kind,
                                  binary_fn *fn)
{
    X87_ENTER(c);
    struct sf_num b;
    if (load_operand(c, i, kind, &b))
        return X86_FAULT;
    return binary(c, 0, &b, fn, false, false);
}

#define ARITHMETIC(name, fn)                                                                       \
    X87_HANDLER(name##_m32, binary_mem(c, i, M32, fn))                                             \
    X87_HANDLER(name##_m64, binary_mem(c, i, M64, fn))                                             \
    X87_HANDLER(name##_i16, binary_mem(c, i, I16, fn))                                             \
    X87_HANDLER(name##_i32, binary_mem(c, i, I32, fn))                                             \
    X87_HANDLER(name##_st, binary_st(c, i, 0, i->modrm & 7, fn, false))                            \
    X87_HANDLER(name##_sti, binary_st(c, i, i->modrm & 7, 0, fn, false))                           \
    X87_HANDLER(name##p, binary_st(c, i, i->modrm & 7, 0, fn, true))
ARITHMETIC(fadd, sf_add)
ARITHMETIC(fmul, sf_mul)
ARITHMETIC(fsub, sf_sub)
ARITHMETIC(fsubr, reverse_sub)
ARITHMETIC(fdiv, sf_div)
ARITHMETIC(fdivr, reverse_div)

/* Compares. */

/* Condition codes, and ZF PF CF, of a relation. */
static unsigned relation_cc(enum sf_relation r)
{
    static const uint16_t cc[] = {X87_C0, X87_C3, 0, X87_C0 | X87_C2 | X87_C3};
    return cc[r];
}

static enum x86_result compare(struct x86_cpu *c, const struct sf_num *b, bool b_empty, bool quiet,
                               unsigned pops)
{
    struct x86_fpu *f = &c->fpu;
    enum sf_relation r = SF_UNORDERED;
    bool go;
    if (unlikely(b_empty || x87_empty(f, 0))) {
        go = x87_stack_fault(c, false);
    } else {
        struct sf_env env = x87_env(c);
        struct sf_num a = sf_from80(*x87_st(f, 0));
        r = sf_compare(&env, &a, b, quiet);
        go = x87_finish(c, &env);
    }
    x87_set_cc(c, X87_CC, relation_cc(r));
    while (go && pops--)
        x87_pop(f);
    return X86_NEXT;
}

static enum x86_result compare_st(struct x86_cpu *c, const struct x86_insn *i, unsigned src,
                                  bool quiet, unsigned pops)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct sf_num b = sf_from80(*x87_st(&c->fpu, src));
    return compare(c, &b, x87_empty(&c->fpu, src), quiet, pops);
}

static enum x86_result compare_mem(struct x86_cpu *c, const struct x86_insn *i, enum operand kind,
                                   unsigned pops)
{
    X87_ENTER(c);
    struct sf_num b;
    if (load_operand(c, i, kind, &b))
        return X86_FAULT;
    return compare(c, &b, false, false, pops);
}

#define COMPARE(name, pops)                                                                        \
    X87_HANDLER(name##_m32, compare_mem(c, i, M32, pops))                                          \
    X87_HANDLER(name##_m64, compare_mem(c, i, M64, pops))                                          \
    X87_HANDLER(name##_i16, compare_mem(c, i, I16, pops))                                          \
    X87_HANDLER(name##_i32, compare_mem(c, i, I32, pops))                                          \
    X87_HANDLER(name##_st, compare_st(c, i, i->modrm & 7, false, pops))
COMPARE(fcom, 0)
COMPARE(fcomp, 1)
X87_HANDLER(fcompp, compare_st(c, i, 1, false, 2))
X87_HANDLER(fucom, compare_st(c, i, i->modrm & 7, true, 0))
X87_HANDLER(fucomp, compare_st(c, i, i->modrm & 7, true, 1))
X87_HANDLER(fucompp, compare_st(c, i, 1, true, 2))

enum x86_result x86_op_ftst(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct sf_num zero = {.cls = SF_ZERO};
    return compare(c, &zero, false, false, 0);
}

/* FCOMI and relatives set ZF, PF, CF and leave the condition codes alone. */
static enum x86_result compare_flags(struct x86_cpu *c, const struct x86_insn *i, bool quiet,
                                     bool pop)
{
    X87_ENTER(c);
    x87_record(c, i);
    struct x86_fpu *f = &c->fpu;
    unsigned src = i->modrm & 7;
    enum sf_relation r = SF_UNORDERED;
    bool go;
    if (unlikely(x87_empty(f, src) || x87_empty(f, 0))) {
        go = x87_stack_fault(c, false);
    } else {
        struct sf_env env = x87_env(c);
        struct sf_num a = sf_from80(*x87_st(f, 0)), b = sf_from80(*x87_st(f, src));
        r = sf_compare(&env, &a, &b, quiet);
        unsigned c1 = f->sw & X87_C1;
        go = x87_finish(c, &env);
        x87_set_cc(c, X87_C1, c1);
    }
    static const uint8_t flags[] = {X86_CF, X86_ZF, 0, X86_ZF | X86_PF | X86_CF};
    x86_flags_set(c, flags[r], X86_ARITH);
    if (go && pop)
        x87_pop(f);
    return X86_NEXT;
}
X87_HANDLER(fcomi, compare_flags(c, i, false, false))
X87_HANDLER(fcomip, compare_flags(c, i, false, true))
X87_HANDLER(fucomi, compare_flags(c, i, true, false))
X87_HANDLER(fucomip, compare_flags(c, i, true, true))

enum x86_result x86_op_fxam(struct x86_cpu *c, const struct x86_insn *i)
{
    X87_ENTER(c);
    x87_record(c, i);
    const struct x86_f80 *v = x87_st(&c->fpu, 0);
    struct sf_num n = sf_from80(*v);
    static const uint16_t class_cc[] = {
        [SF_ZERO] = X87_C3, [SF_NORMAL] = X87_C2, [SF_INF] = X87_C2 | X87_C0,
        [SF_QNAN] = X87_C0, [SF_SNAN] = X87_C0,   [SF_BAD] = 0};
    unsigned cc = class_cc[n.cls];
    if (x87_empty(&c->fpu, 0))
        cc = X87_C3 | X87_C0;
    else if (n.denormal)
        cc = X87_C3 | X87_C2;
    x87_set_cc(c, X87_CC, cc | (v->se & 0x8000 ? X87_C1 : 0));
    return X86_NEXT;
}
