/* SPDX-License-Identifier: Apache-2.0 */
/* Data movement (vol. 1, 7.3.1): MOV and its relatives, exchanges, conditional moves, the stack. */
#include "cpu/x86/int_stack.h"

INT_DO(mov_EG)
{
    return rm_set(c, i, sz, mem, ea, g_get(c, i, sz)) ? X86_FAULT : X86_NEXT;
}
INT_OP(mov_EG)

INT_DO(mov_GE)
{
    uint64_t v;

    if (rm_get(c, i, sz, mem, ea, &v))
        return X86_FAULT;
    g_set(c, i, sz, v);
    return X86_NEXT;
}
INT_OP(mov_GE)

INT_DO(mov_EI)
{
    return rm_set(c, i, sz, mem, ea, i->imm) ? X86_FAULT : X86_NEXT;
}
INT_OP(mov_EI)

enum x86_result x86_op_mov_AO(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t v;

    if (mem_get(c, i->seg, i->imm, i->osize, &v))
        return X86_FAULT;
    reg_set(c, X86_RAX, 0, i->osize, v);
    return X86_NEXT;
}

enum x86_result x86_op_mov_OA(struct x86_cpu *c, const struct x86_insn *i)
{
    return mem_set(c, i->seg, i->imm, i->osize, c->gpr[X86_RAX]) ? X86_FAULT : X86_NEXT;
}

/* Widening moves: the source has a size of its own. */
#define WIDEN(name, source, CONVERT)                                                               \
    INT_DO(name)                                                                                   \
    {                                                                                              \
        uint64_t v;                                                                                \
        if (rm_get(c, i, source, mem, ea, &v))                                                     \
            return X86_FAULT;                                                                      \
        g_set(c, i, sz, CONVERT(source, v));                                                       \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    INT_OP_WIDE(name)
WIDEN(movzx_b, X86_SIZE_8, zext)
WIDEN(movzx_w, X86_SIZE_16, zext)
WIDEN(movsx_b, X86_SIZE_8, sext)
WIDEN(movsx_w, X86_SIZE_16, sext)

/* With a 16-bit operand size MOVSXD moves 16 bits. */
INT_DO(movsxd)
{
    uint64_t v;

    if (rm_get(c, i, sz == X86_SIZE_16 ? X86_SIZE_16 : X86_SIZE_32, mem, ea, &v))
        return X86_FAULT;
    g_set(c, i, sz, v);
    return X86_NEXT;
}
INT_OP_WIDE(movsxd)

enum x86_result x86_op_movnti(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned sz = i->osize == X86_SIZE_64 ? X86_SIZE_64 : X86_SIZE_32;
    return mem_set(c, i->seg, x86_ea(c, i), sz, c->gpr[i->reg]) ? X86_FAULT : X86_NEXT;
}

INT_DO(lea)
{
    g_set(c, i, sz, ea);
    return X86_NEXT;
}
INT_OP_WIDE(lea)

INT_DO(movbe_GM)
{
    uint64_t v;

    if (rm_get(c, i, sz, mem, ea, &v))
        return X86_FAULT;
    g_set(c, i, sz, __builtin_bswap64(v) >> (64 - bits_of(sz)));
    return X86_NEXT;
}
INT_GENERIC(movbe_GM)

INT_DO(movbe_MG)
{
    uint64_t v = __builtin_bswap64(c->gpr[i->reg]) >> (64 - bits_of(sz));
    return rm_set(c, i, sz, mem, ea, v) ? X86_FAULT : X86_NEXT;
}
INT_GENERIC(movbe_MG)

INT_DO(xchg_EG)
{
    uint64_t v, g = g_get(c, i, sz);

    if (rm_get_rmw(c, i, sz, mem, ea, &v) || rm_set(c, i, sz, mem, ea, g))
        return X86_FAULT;
    g_set(c, i, sz, v);
    return X86_NEXT;
}
INT_OP(xchg_EG)

/* 90: with rAX itself it is NOP and clears nothing. */
enum x86_result x86_op_xchg_ZA(struct x86_cpu *c, const struct x86_insn *i)
{
    return i->rm == X86_RAX ? X86_NEXT : x86_op_xchg_EG(c, i);
}

INT_DO(cmpxchg)
{
    uint64_t v, acc = reg_get(c, X86_RAX, 0, sz);
    struct alu x;

    if (rm_get_rmw(c, i, sz, mem, ea, &v))
        return X86_FAULT;
    x = alu_sub(sz, acc, v);
    /* The destination is written either way (vol. 2: to stay a locked read-modify-write); a
     * register that does not match keeps its upper half. */
    if (x.r == 0) {
        if (rm_set(c, i, sz, mem, ea, g_get(c, i, sz)))
            return X86_FAULT;
    } else {
        if (mem && rm_set(c, i, sz, mem, ea, v))
            return X86_FAULT;
        reg_set(c, X86_RAX, 0, sz, v);
    }
    alu_commit(c, x);
    return X86_NEXT;
}
INT_OP(cmpxchg)

INT_DO(xadd)
{
    uint64_t v, g = g_get(c, i, sz);
    struct alu x;

    if (rm_get_rmw(c, i, sz, mem, ea, &v))
        return X86_FAULT;
    x = alu_add(sz, v, g);
    if (mem && rm_set(c, i, sz, mem, ea, x.r))
        return X86_FAULT;
    g_set(c, i, sz, v);
    if (!mem) /* the sum wins when both are one register */
        rm_set(c, i, sz, mem, ea, x.r);
    alu_commit(c, x);
    return X86_NEXT;
}
INT_OP(xadd)

/* CMPXCHG16B needs a feature and an alignment of its own. */
static enum x86_result cmpxchg16b(struct x86_cpu *c, const struct x86_insn *i, uint64_t ea)
{
    union x86_xmm v;
    bool equal;

    if (c->vm->model && !x86_model_has(c->vm->model, X86_FEATURE(X86_W_1_ECX, 13)))
        return x86_raise_ud(c);
    /* Before the address is looked at, like other aligned operands. */
    if ((c->seg[i->seg].lin_base + ea) & 15)
        return x86_raise_gp(c, 0);
    if (x86_load_rmw128(c, i->seg, ea, &v))
        return X86_FAULT;
    equal = v.u64[0] == c->gpr[X86_RAX] && v.u64[1] == c->gpr[X86_RDX];
    if (equal) {
        union x86_xmm put = {.u64 = {c->gpr[X86_RBX], c->gpr[X86_RCX]}};
        if (x86_store128(c, i->seg, ea, put))
            return X86_FAULT;
    } else {
        if (x86_store128(c, i->seg, ea, v))
            return X86_FAULT;
        c->gpr[X86_RAX] = v.u64[0];
        c->gpr[X86_RDX] = v.u64[1];
    }
    x86_flags_set(c, equal ? X86_ZF : 0, X86_ZF);
    return X86_NEXT;
}

enum x86_result x86_op_cmpxchg8b(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t v, put, want, ea = x86_ea(c, i);

    if (i->osize == X86_SIZE_64)
        return cmpxchg16b(c, i, ea);
    want = c->gpr[X86_RDX] << 32 | (uint32_t)c->gpr[X86_RAX];
    put = c->gpr[X86_RCX] << 32 | (uint32_t)c->gpr[X86_RBX];
    if (x86_load_rmw64(c, i->seg, ea, &v) || x86_store64(c, i->seg, ea, v == want ? put : v))
        return X86_FAULT;
    if (v != want) {
        c->gpr[X86_RAX] = (uint32_t)v;
        c->gpr[X86_RDX] = v >> 32;
    }
    x86_flags_set(c, v == want ? X86_ZF : 0, X86_ZF);
    return X86_NEXT;
}

/* CMOVcc reads its source, and clears the upper half of a 32-bit destination, in any case. */
INT_DO(cmov)
{
    uint64_t v;

    if (rm_get(c, i, sz, mem, ea, &v))
        return X86_FAULT;
    if (!x86_cond(c, i->opcode))
        v = g_get(c, i, sz);
    g_set(c, i, sz, v);
    return X86_NEXT;
}
INT_OP_WIDE(cmov)

INT_DO(setcc)
{
    return rm_set(c, i, X86_SIZE_8, mem, ea, x86_cond(c, i->opcode)) ? X86_FAULT : X86_NEXT;
}
INT_OP(setcc)

INT_DO(push_E)
{
    uint64_t v;

    if (rm_get(c, i, sz, mem, ea, &v) || push(c, sz, v))
        return X86_FAULT;
    return X86_NEXT;
}
INT_OP_WIDE(push_E)

INT_DO(push_I)
{
    return push(c, sz, i->imm) ? X86_FAULT : X86_NEXT;
}
INT_OP_REGS(push_I)

/* The address of a memory operand is computed with rSP after the pop. */
INT_DO(pop_E)
{
    uint64_t v, sp = c->gpr[X86_RSP];

    if (peek(c, sz, &v))
        return X86_FAULT;
    drop(c, sz, 1u << sz);
    if (mem && mem_set(c, i->seg, x86_ea(c, i), sz, v)) {
        c->gpr[X86_RSP] = sp;
        return X86_FAULT;
    }
    if (!mem)
        reg_set(c, i->rm, i->rm8, sz, v);
    return X86_NEXT;
}
INT_GENERIC(pop_E)
INT_FAST_REGS(pop_E)

enum x86_result x86_op_pusha(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned ssz = stack_size(c, i->osize), size = 1u << i->osize;

    /* All or nothing: eight slots below rSP. */
    for (unsigned r = 0; r < 8; r++)
        if (x86_probe_write(c, X86_SS, stack_at(c, ssz, -(int)(size * (r + 1))), size))
            return X86_FAULT;
    for (unsigned r = 0; r < 8; r++)
        if (mem_set(c, X86_SS, stack_at(c, ssz, -(int)(size * (r + 1))), i->osize, c->gpr[r]))
            return X86_FAULT;
    drop(c, i->osize, 0ull - size * 8);
    return X86_NEXT;
}

enum x86_result x86_op_popa(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned ssz = stack_size(c, i->osize), size = 1u << i->osize;
    uint64_t v[8];

    for (unsigned r = 0; r < 8; r++)
        if (mem_get(c, X86_SS, stack_at(c, ssz, (int)(size * (7 - r))), i->osize, &v[r]))
            return X86_FAULT;
    for (unsigned r = 0; r < 8; r++)
        if (r != X86_RSP)
            reg_set(c, r, 0, i->osize, v[r]);
    drop(c, i->osize, size * 8);
    return X86_NEXT;
}

/* ENTER (vol. 2): nothing is committed before the last store succeeded. */
enum x86_result x86_op_enter(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned ssz = stack_size(c, i->osize), level = i->imm2 & 31;
    int size = 1 << i->osize, pushed = size;
    uint64_t frame = stack_at(c, ssz, -size), bp = c->gpr[X86_RBP], v, sp;

    if (mem_set(c, X86_SS, frame, i->osize, bp))
        return X86_FAULT;
    if (ssz == X86_SIZE_16) /* the frame pointer is ESP, of which the push changed SP */
        frame |= c->gpr[X86_RSP] & ~0xffffull;
    for (unsigned n = 1; n < level; n++) {
        bp -= (unsigned)size;
        pushed += size;
        if (mem_get(c, X86_SS, zext(ssz, bp), i->osize, &v) ||
            mem_set(c, X86_SS, stack_at(c, ssz, -pushed), i->osize, v))
            return X86_FAULT;
    }
    if (level) {
        pushed += size;
        /* Current processors store the frame pointer at the operand size. */
        if (mem_set(c, X86_SS, stack_at(c, ssz, -pushed), i->osize, frame))
            return X86_FAULT;
    }
    sp = stack_at(c, ssz, -pushed - (int64_t)(uint16_t)i->imm);
    if (x86_probe_write(c, X86_SS, sp, (unsigned)size))
        return X86_FAULT;
    reg_set(c, X86_RBP, 0, i->osize, frame);
    reg_set(c, X86_RSP, 0, ssz, sp);
    return X86_NEXT;
}

INT_DO(leave)
{
    unsigned ssz = stack_size(c, sz);
    uint64_t v, bp = zext(ssz, c->gpr[X86_RBP]);

    if (mem_get(c, X86_SS, bp, sz, &v))
        return X86_FAULT;
    reg_set(c, X86_RSP, 0, ssz, bp + (1u << sz));
    reg_set(c, X86_RBP, 0, sz, v);
    return X86_NEXT;
}
INT_OP_REGS(leave)
