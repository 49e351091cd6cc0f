/* SPDX-License-Identifier: Apache-2.0 */
/* Integer arithmetic and logic (vol. 1, 7.3.2 and 7.3.5). */
#include "cpu/x86/int_core.h"

/* The immediate at the operand size. */
static always_inline uint64_t imm_of(const struct x86_insn *i, unsigned sz)
{
    return sext(sz, i->imm);
}

static always_inline enum x86_result put(struct x86_cpu *c, const struct x86_insn *i, unsigned sz,
                                         bool mem, uint64_t ea, struct alu a)
{
    if (rm_set(c, i, sz, mem, ea, a.r))
        return X86_FAULT;
    alu_commit(c, a);
    return X86_NEXT;
}

/* The three operand forms of one operation: r/m op= reg, reg op= r/m, r/m op= immediate. */
#define ALU_FORMS(name, COMPUTE)                                                                   \
    INT_DO(name##_EG)                                                                              \
    {                                                                                              \
        uint64_t a, b = g_get(c, i, sz);                                                           \
        if (rm_get_rmw(c, i, sz, mem, ea, &a))                                                     \
            return X86_FAULT;                                                                      \
        return put(c, i, sz, mem, ea, COMPUTE);                                                    \
    }                                                                                              \
    INT_DO(name##_GE)                                                                              \
    {                                                                                              \
        uint64_t b, a = g_get(c, i, sz);                                                           \
        struct alu x;                                                                              \
        if (rm_get(c, i, sz, mem, ea, &b))                                                         \
            return X86_FAULT;                                                                      \
        x = COMPUTE;                                                                               \
        g_set(c, i, sz, x.r);                                                                      \
        alu_commit(c, x);                                                                          \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    INT_DO(name##_EI)                                                                              \
    {                                                                                              \
        uint64_t a, b = imm_of(i, sz);                                                             \
        if (rm_get_rmw(c, i, sz, mem, ea, &a))                                                     \
            return X86_FAULT;                                                                      \
        return put(c, i, sz, mem, ea, COMPUTE);                                                    \
    }                                                                                              \
    INT_OP(name##_EG)                                                                              \
    INT_OP(name##_GE)                                                                              \
    INT_OP(name##_EI)

ALU_FORMS(add, alu_add(sz, a, b))
ALU_FORMS(adc, alu_adc(sz, a, b, x86_flag_cf(c)))
ALU_FORMS(sub, alu_sub(sz, a, b))
ALU_FORMS(sbb, alu_sbb(sz, a, b, x86_flag_cf(c)))
ALU_FORMS(and, alu_logic(a &b))
ALU_FORMS(or, alu_logic(a | b))
ALU_FORMS(xor, alu_logic(a ^ b))

/* The same without a result. */
#define COMPARE_FORM(name, OTHER, COMPUTE)                                                         \
    INT_DO(name)                                                                                   \
    {                                                                                              \
        uint64_t a, b = OTHER;                                                                     \
        if (rm_get(c, i, sz, mem, ea, &a))                                                         \
            return X86_FAULT;                                                                      \
        alu_commit(c, COMPUTE);                                                                    \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    INT_OP(name)

COMPARE_FORM(cmp_EG, g_get(c, i, sz), alu_sub(sz, a, b))
COMPARE_FORM(cmp_GE, g_get(c, i, sz), alu_sub(sz, b, a))
COMPARE_FORM(cmp_EI, imm_of(i, sz), alu_sub(sz, a, b))
COMPARE_FORM(test_EG, g_get(c, i, sz), alu_logic(a &b))
COMPARE_FORM(test_EI, imm_of(i, sz), alu_logic(a &b))

#define UNARY(name, COMPUTE)                                                                       \
    INT_DO(name)                                                                                   \
    {                                                                                              \
        uint64_t a;                                                                                \
        if (rm_get_rmw(c, i, sz, mem, ea, &a))                                                     \
            return X86_FAULT;                                                                      \
        return put(c, i, sz, mem, ea, COMPUTE);                                                    \
    }                                                                                              \
    INT_OP(name)

UNARY(inc_E, alu_inc(sz, a, x86_flag_cf(c)))
UNARY(dec_E, alu_dec(sz, a, x86_flag_cf(c)))
UNARY(neg_E, alu_sub(sz, 0, a))

INT_DO(not_E)
{
    uint64_t a;

    if (rm_get_rmw(c, i, sz, mem, ea, &a) || rm_set(c, i, sz, mem, ea, ~a))
        return X86_FAULT;
    return X86_NEXT;
}
INT_OP(not_E)

/*
 * Multiplication. CF = OF = the upper half is needed; SF and PF follow the lower half, ZF and AF
 * are undefined: ZF follows the lower half too, AF is clear.
 */
static always_inline void mul_flags(struct x86_cpu *c, unsigned sz, uint64_t low, bool overflow)
{
    alu_commit(c, (struct alu){sext(sz, low), 0, overflow});
    set_cf_of(c, overflow, overflow);
}

INT_DO(mul)
{
    uint64_t b, a = zext(sz, c->gpr[X86_RAX]);
    unsigned __int128 r;

    if (rm_get(c, i, sz, mem, ea, &b))
        return X86_FAULT;
    r = (unsigned __int128)a * zext(sz, b);
    if (sz == X86_SIZE_8) {
        reg_set(c, X86_RAX, 0, X86_SIZE_16, (uint64_t)r);
    } else {
        reg_set(c, X86_RAX, 0, sz, (uint64_t)r);
        reg_set(c, X86_RDX, 0, sz, (uint64_t)(r >> bits_of(sz)));
    }
    mul_flags(c, sz, (uint64_t)r, (r >> bits_of(sz)) != 0);
    return X86_NEXT;
}
INT_OP_REGS(mul)

INT_DO(imul1)
{
    uint64_t b, a = sext(sz, c->gpr[X86_RAX]);
    __int128 r;

    if (rm_get(c, i, sz, mem, ea, &b))
        return X86_FAULT;
    r = (__int128)(int64_t)a * (int64_t)b;
    if (sz == X86_SIZE_8) {
        reg_set(c, X86_RAX, 0, X86_SIZE_16, (uint64_t)r);
    } else {
        reg_set(c, X86_RAX, 0, sz, (uint64_t)r);
        reg_set(c, X86_RDX, 0, sz, (uint64_t)(r >> bits_of(sz)));
    }
    mul_flags(c, sz, (uint64_t)r, r != (__int128)(int64_t)sext(sz, (uint64_t)r));
    return X86_NEXT;
}
INT_OP_REGS(imul1)

static always_inline void imul_to_g(struct x86_cpu *c, const struct x86_insn *i, unsigned sz,
                                    uint64_t a, uint64_t b)
{
    __int128 r = (__int128)(int64_t)a * (int64_t)b;

    g_set(c, i, sz, (uint64_t)r);
    mul_flags(c, sz, (uint64_t)r, r != (__int128)(int64_t)sext(sz, (uint64_t)r));
}

INT_DO(imul_GE)
{
    uint64_t b;

    if (rm_get(c, i, sz, mem, ea, &b))
        return X86_FAULT;
    imul_to_g(c, i, sz, g_get(c, i, sz), b);
    return X86_NEXT;
}
INT_OP_WIDE(imul_GE)

INT_DO(imul_GEI)
{
    uint64_t a;

    if (rm_get(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    imul_to_g(c, i, sz, a, imm_of(i, sz));
    return X86_NEXT;
}
INT_OP_WIDE(imul_GEI)

/* The dividend: AX, or rDX:rAX. */
static always_inline unsigned __int128 dividend(const struct x86_cpu *c, unsigned sz)
{
    if (sz == X86_SIZE_8)
        return zext(X86_SIZE_16, c->gpr[X86_RAX]);
    return (unsigned __int128)zext(sz, c->gpr[X86_RDX]) << bits_of(sz) | zext(sz, c->gpr[X86_RAX]);
}

static always_inline void put_quotient(struct x86_cpu *c, unsigned sz, uint64_t q, uint64_t r)
{
    if (sz == X86_SIZE_8) {
        reg_set(c, X86_RAX, 0, X86_SIZE_16, (q & 0xff) | (r & 0xff) << 8);
    } else {
        reg_set(c, X86_RAX, 0, sz, q);
        reg_set(c, X86_RDX, 0, sz, r);
    }
}

/* DIV and IDIV leave the flags as they were (undefined). */
INT_DO(div)
{
    unsigned __int128 n = dividend(c, sz), q;
    uint64_t d;

    if (rm_get(c, i, sz, mem, ea, &d))
        return X86_FAULT;
    d = zext(sz, d);
    if (d == 0)
        return x86_raise(c, X86_DE);
    if (sz != X86_SIZE_64 || !(n >> 64)) {
        uint64_t low = (uint64_t)n;
        if ((low / d) >> (bits_of(sz) - 1) >> 1)
            return x86_raise(c, X86_DE);
        put_quotient(c, sz, low / d, low % d);
        return X86_NEXT;
    }
    q = n / d;
    if (q >> 64)
        return x86_raise(c, X86_DE);
    put_quotient(c, sz, (uint64_t)q, (uint64_t)(n % d));
    return X86_NEXT;
}
INT_OP_REGS(div)

INT_DO(idiv)
{
    unsigned width = sz == X86_SIZE_8 ? 16 : bits_of(sz) * 2;
    unsigned __int128 n = dividend(c, sz) << (128 - width), q, r, limit;
    bool n_neg = n >> 127, d_neg;
    uint64_t d;

    if (rm_get(c, i, sz, mem, ea, &d))
        return X86_FAULT;
    if (d == 0)
        return x86_raise(c, X86_DE);
    d_neg = d >> 63;
    d = d_neg ? 0 - d : d;
    n = (n_neg ? 0 - n : n) >> (128 - width);
    limit = ((unsigned __int128)1 << (bits_of(sz) - 1)) - (n_neg == d_neg);
    if (!(n >> 64)) {
        q = (uint64_t)n / d;
        r = (uint64_t)n % d;
    } else {
        q = n / d;
        r = n % d;
    }
    if (q > limit)
        return x86_raise(c, X86_DE);
    put_quotient(c, sz, n_neg == d_neg ? (uint64_t)q : 0 - (uint64_t)q,
                 n_neg ? 0 - (uint64_t)r : (uint64_t)r);
    return X86_NEXT;
}
INT_OP_REGS(idiv)

/* ADCX, ADOX: one flag each, nothing else. */
enum x86_result x86_op_adcx(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned sz = i->osize == X86_SIZE_64 ? X86_SIZE_64 : X86_SIZE_32;
    uint64_t b;
    struct alu x;

    if (rm_get(c, i, sz, i->mem, i->mem ? x86_ea(c, i) : 0, &b))
        return X86_FAULT;
    x = alu_adc(sz, g_get(c, i, sz), b, x86_flag_cf(c));
    g_set(c, i, sz, x.r);
    set_cf(c, x.op);
    return X86_NEXT;
}

enum x86_result x86_op_adox(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned sz = i->osize == X86_SIZE_64 ? X86_SIZE_64 : X86_SIZE_32;
    uint64_t b;
    struct alu x;

    if (rm_get(c, i, sz, i->mem, i->mem ? x86_ea(c, i) : 0, &b))
        return X86_FAULT;
    x = alu_adc(sz, g_get(c, i, sz), b, x86_flag_of(c));
    g_set(c, i, sz, x.r);
    set_cf_of(c, x86_flag_cf(c), x.op);
    return X86_NEXT;
}

/* BCD adjustments (vol. 2, DAA ff.). They set SF, ZF, PF by AL. */
static void bcd_flags(struct x86_cpu *c, bool cf, bool af)
{
    c->lazy.result = sext(X86_SIZE_8, c->gpr[X86_RAX]);
    c->lazy.op = cf;
    c->lazy.aux = (af ? X86_AF : 0) | (cf ? UINT64_C(1) << 63 : 0); /* OF undefined: clear */
}

static void set_al(struct x86_cpu *c, unsigned v)
{
    reg_set(c, X86_RAX, 0, X86_SIZE_8, v);
}

static enum x86_result decimal_adjust(struct x86_cpu *c, int sign)
{
    unsigned al = c->gpr[X86_RAX] & 0xff, old = al;
    bool cf = x86_flag_cf(c), af = x86_flag_af(c), carry = cf;

    if ((al & 15) > 9 || af) {
        carry = cf || (sign > 0 ? al + 6 > 0xff : al < 6);
        al += (unsigned)(sign * 6);
        af = true;
    }
    if (old > 0x99 || cf) {
        al += (unsigned)(sign * 0x60);
        carry = true;
    } else if (sign > 0) {
        carry = false;
    }
    set_al(c, al);
    bcd_flags(c, carry, af);
    return X86_NEXT;
}

enum x86_result x86_op_daa(struct x86_cpu *c, const struct x86_insn *i)
{
    return decimal_adjust(c, 1);
}

enum x86_result x86_op_das(struct x86_cpu *c, const struct x86_insn *i)
{
    return decimal_adjust(c, -1);
}

static enum x86_result ascii_adjust(struct x86_cpu *c, int sign)
{
    unsigned ax = c->gpr[X86_RAX] & 0xffff;
    bool adjust = (ax & 15) > 9 || x86_flag_af(c);

    if (adjust)
        ax += (unsigned)(sign * 0x106);
    reg_set(c, X86_RAX, 0, X86_SIZE_16, ax & 0xff0f);
    bcd_flags(c, adjust, adjust);
    return X86_NEXT;
}

enum x86_result x86_op_aaa(struct x86_cpu *c, const struct x86_insn *i)
{
    return ascii_adjust(c, 1);
}

enum x86_result x86_op_aas(struct x86_cpu *c, const struct x86_insn *i)
{
    return ascii_adjust(c, -1);
}

enum x86_result x86_op_aam(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned al = c->gpr[X86_RAX] & 0xff, d = (unsigned)i->imm & 0xff;

    if (d == 0)
        return x86_raise(c, X86_DE);
    reg_set(c, X86_RAX, 0, X86_SIZE_16, (al / d) << 8 | al % d);
    bcd_flags(c, false, false);
    return X86_NEXT;
}

enum x86_result x86_op_aad(struct x86_cpu *c, const struct x86_insn *i)
{
    unsigned ax = c->gpr[X86_RAX] & 0xffff;

    reg_set(c, X86_RAX, 0, X86_SIZE_16,
            ((ax & 0xff) + (ax >> 8) * ((unsigned)i->imm & 0xff)) & 0xff);
    bcd_flags(c, false, false);
    return X86_NEXT;
}
