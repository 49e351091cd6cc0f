/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near control transfers (vol. 1, 7.3.8). The target is checked before anything is written.
 *
 * The threaded functions go to the next block through the jump cache; x86_fast_goto checks targets
 * that are not in it, since what is there has been fetched before.
 */
#include "cpu/x86/codecache.h"
#include "cpu/x86/int_stack.h"
#include "cpu/x86/segment.h"

/* The target at operand size: IP and EIP wrap outside 64-bit mode. */
static always_inline uint64_t target_of(unsigned sz, uint64_t rip)
{
    return zext(sz, rip);
}

static always_inline enum x86_result jump_to(struct x86_cpu *c, unsigned sz, uint64_t target)
{
    if (!near_target_ok(c, sz, target))
        return x86_raise_gp(c, 0);
    c->rip = target;
    return X86_BRANCH;
}

enum x86_result x86_op_jmp_J(struct x86_cpu *c, const struct x86_insn *i)
{
    return jump_to(c, i->osize, target_of(i->osize, x86_next_rip(c, i) + i->imm));
}

enum x86_result x86_op_jcc(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_cond(c, i->opcode) ? x86_op_jmp_J(c, i) : X86_NEXT;
}

/* A call to where no code can be: #GP(0), but the stack's faults come first (vol. 2, CALL). */
static enum x86_result raise_bad_call(struct x86_cpu *c, unsigned size)
{
    struct x86_stack s;

    x86_stack_here(c, &s);
    if (x86_probe_write(c, X86_SS, (s.sp - (1u << size)) & s.mask, 1u << size))
        return X86_FAULT;
    return x86_raise_gp(c, 0);
}

static enum x86_result call_to(struct x86_cpu *c, const struct x86_insn *i, uint64_t target)
{
    if (!near_target_ok(c, i->osize, target))
        return raise_bad_call(c, i->osize);
    if (push(c, i->osize, x86_next_rip(c, i)))
        return X86_FAULT;
    c->rip = target;
    return X86_BRANCH;
}

enum x86_result x86_op_call_J(struct x86_cpu *c, const struct x86_insn *i)
{
    return call_to(c, i, target_of(i->osize, x86_next_rip(c, i) + i->imm));
}

enum x86_result x86_op_call_E(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t v;

    if (rm_get(c, i, i->osize, i->mem, i->mem ? x86_ea(c, i) : 0, &v))
        return X86_FAULT;
    return call_to(c, i, target_of(i->osize, v));
}

enum x86_result x86_op_jmp_E(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t v;

    if (rm_get(c, i, i->osize, i->mem, i->mem ? x86_ea(c, i) : 0, &v))
        return X86_FAULT;
    return jump_to(c, i->osize, target_of(i->osize, v));
}

enum x86_result x86_op_ret_I(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t v;

    if (peek(c, i->osize, &v))
        return X86_FAULT;
    v = target_of(i->osize, v);
    if (!near_target_ok(c, i->osize, v))
        return x86_raise_gp(c, 0);
    drop(c, i->osize, (1u << i->osize) + (i->imm & 0xffff));
    c->rip = v;
    return X86_BRANCH;
}

enum x86_result x86_op_ret(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_op_ret_I(c, i);
}

/* LOOP, LOOPE, LOOPNE: the counter has the address size. */
enum x86_result x86_op_loop(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t count = zext(i->asize, c->gpr[X86_RCX] - 1);
    bool taken = count != 0;
    enum x86_result r = X86_NEXT;

    if (i->opcode == 0xe0)
        taken = taken && !x86_flag_zf(c);
    else if (i->opcode == 0xe1)
        taken = taken && x86_flag_zf(c);
    if (taken)
        r = x86_op_jmp_J(c, i);
    if (r != X86_FAULT)
        reg_set(c, X86_RCX, 0, i->asize, count);
    return r;
}

enum x86_result x86_op_jcxz(struct x86_cpu *c, const struct x86_insn *i)
{
    return zext(i->asize, c->gpr[X86_RCX]) == 0 ? x86_op_jmp_J(c, i) : X86_NEXT;
}

/* BOUND: signed index against [lower, upper] in memory; #BR outside. */
enum x86_result x86_op_bound(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned size = 1u << i->osize;
    uint64_t ea = x86_ea(c, i), low, high;
    int64_t v = (int64_t)g_get(c, i, i->osize);

    if (mem_get(c, i->seg, ea, i->osize, &low) ||
        mem_get(c, i->seg, zext(i->asize, ea + size), i->osize, &high))
        return X86_FAULT;
    if (v < (int64_t)low || v > (int64_t)high)
        return x86_raise(c, X86_BR);
    return X86_NEXT;
}

/*
 * Threaded forms. x86_fast_select has added the instruction's end to imm, so that the target is
 * code_base + imm. Size 64 is 64-bit mode, since near branches have no other size there.
 */
static always_inline uint64_t direct_target(const struct x86_cpu *c, const struct x86_insn *i,
                                            unsigned sz)
{
    return zext(sz, c->code_base + i->imm);
}

#define JCC(sz, cc)                                                                                \
    static const struct x86_insn *fast_j##sz##_##cc(struct x86_cpu *c, const struct x86_insn *i)   \
    {                                                                                              \
        if (x86_cond(c, 0x##cc))                                                                   \
            return x86_fast_jump(c, i, direct_target(c, i, X86_SIZE_##sz));                        \
        X86_FAST_NEXT(c, i);                                                                       \
    }
/* clang-format off */
#define JCC_ALL(sz) \
    JCC(sz, 0) JCC(sz, 1) JCC(sz, 2) JCC(sz, 3) JCC(sz, 4) JCC(sz, 5) JCC(sz, 6) JCC(sz, 7) \
    JCC(sz, 8) JCC(sz, 9) JCC(sz, a) JCC(sz, b) JCC(sz, c) JCC(sz, d) JCC(sz, e) JCC(sz, f)
/* clang-format on */
JCC_ALL(16)
JCC_ALL(32)
JCC_ALL(64)
#define JCC_ROW(sz)                                                                                \
    [X86_SIZE_##sz] = {fast_j##sz##_0, fast_j##sz##_1, fast_j##sz##_2, fast_j##sz##_3,             \
                       fast_j##sz##_4, fast_j##sz##_5, fast_j##sz##_6, fast_j##sz##_7,             \
                       fast_j##sz##_8, fast_j##sz##_9, fast_j##sz##_a, fast_j##sz##_b,             \
                       fast_j##sz##_c, fast_j##sz##_d, fast_j##sz##_e, fast_j##sz##_f}
x86_fast_fn *const x86_fast_jcc[4][16] = {JCC_ROW(16), JCC_ROW(32), JCC_ROW(64)};

#define FAST_BRANCH(name, bits, form, is_mem, EA)                                                  \
    static const struct x86_insn *fast_##name##_##bits##_##form(struct x86_cpu *c,                 \
                                                                const struct x86_insn *i)          \
    {                                                                                              \
        return fast_##name(c, i, X86_SIZE_##bits, is_mem, EA);                                     \
    }
#define FAST_BRANCH_REG(name)                                                                      \
    FAST_BRANCH(name, 16, r, false, 0)                                                             \
    FAST_BRANCH(name, 32, r, false, 0)                                                             \
    FAST_BRANCH(name, 64, r, false, 0)
#define FAST_BRANCH_MEM(name, bits)                                                                \
    FAST_BRANCH(name, bits, b, true, x86_fast_ea_b(c, i))                                          \
    FAST_BRANCH(name, bits, x, true, x86_fast_ea_x(c, i))
#define FAST_BRANCH_REGS(name)                                                                     \
    FAST_BRANCH_REG(name)                                                                          \
    const struct x86_fast_set x86_fast_##name = {{[X86_SIZE_16] = {fast_##name##_16_r},            \
                                                  [X86_SIZE_32] = {fast_##name##_32_r},            \
                                                  [X86_SIZE_64] = {fast_##name##_64_r}}};
#define FAST_BRANCH_RM(name)                                                                       \
    FAST_BRANCH_REG(name)                                                                          \
    FAST_BRANCH_MEM(name, 16)                                                                      \
    FAST_BRANCH_MEM(name, 32)                                                                      \
    FAST_BRANCH_MEM(name, 64)                                                                      \
    const struct x86_fast_set x86_fast_##name = {                                                  \
        {INT_FAST_ROW(name, 16), INT_FAST_ROW(name, 32), INT_FAST_ROW(name, 64)}};
#define FAST_DO(name)                                                                              \
    static always_inline const struct x86_insn *fast_##name(                                       \
        struct x86_cpu *c, const struct x86_insn *i, unsigned sz, bool mem, uint64_t ea)

FAST_DO(jmp_J)
{
    return x86_fast_jump(c, i, direct_target(c, i, sz));
}
FAST_BRANCH_REGS(jmp_J)

/* Raises #GP(0) for a bad target, else pushes the return address and goes there. */
static always_inline const struct x86_insn *fast_call(struct x86_cpu *c, const struct x86_insn *i,
                                                      unsigned sz, uint64_t target)
{
    if (unlikely(!near_target_ok(c, sz, target))) {
        raise_bad_call(c, sz);
        return x86_fast_fault(c, i);
    }
    if (unlikely(push(c, sz, c->code_base + i->off + i->len)))
        return x86_fast_fault(c, i);
    return x86_fast_jump(c, i, target);
}

FAST_DO(call_J)
{
    return fast_call(c, i, sz, direct_target(c, i, sz));
}
FAST_BRANCH_REGS(call_J)

FAST_DO(call_E)
{
    uint64_t v;

    if (unlikely(rm_get(c, i, sz, mem, ea, &v)))
        return x86_fast_fault(c, i);
    return fast_call(c, i, sz, target_of(sz, v));
}
FAST_BRANCH_RM(call_E)

FAST_DO(jmp_E)
{
    uint64_t v;

    if (unlikely(rm_get(c, i, sz, mem, ea, &v)))
        return x86_fast_fault(c, i);
    return x86_fast_jump(c, i, target_of(sz, v));
}
FAST_BRANCH_RM(jmp_E)

FAST_DO(ret)
{
    uint64_t v;

    if (unlikely(peek(c, sz, &v)))
        return x86_fast_fault(c, i);
    v = target_of(sz, v);
    if (unlikely(!near_target_ok(c, sz, v))) {
        x86_raise_gp(c, 0);
        return x86_fast_fault(c, i);
    }
    drop(c, sz, 1u << sz);
    return x86_fast_jump(c, i, v);
}
FAST_BRANCH_REGS(ret)
