/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shifts, rotates and bit instructions (vol. 1, 7.3.6, 7.3.7).
 *
 * Counts are masked to 5 bits (6 with 64-bit operands); a masked count of 0 changes no flag. OF is
 * defined for a count of 1; for others it is computed by the same formula, AF is cleared.
 */
#include "cpu/x86/int_core.h"

/* The flags of a shift: result, last bit out, overflow. */
static always_inline struct alu shift_flags(unsigned sz, uint64_t r, unsigned cf, unsigned of)
{
    return (struct alu){sext(sz, r), (uint64_t)(cf ^ of) << 63, cf};
}

/* @a zero-extended, 1 <= @n < 64. */
static always_inline struct alu do_shl(unsigned sz, uint64_t a, unsigned n)
{
    unsigned bits = bits_of(sz);
    uint64_t r = a << n;
    unsigned cf = n <= bits ? (unsigned)(a >> (bits - n)) & 1 : 0;
    return shift_flags(sz, r, cf, cf ^ (unsigned)(sext(sz, r) >> 63));
}
static always_inline struct alu do_shr(unsigned sz, uint64_t a, unsigned n)
{
    uint64_t r = a >> n, last = a >> (n - 1);
    /* The bit below the new sign bit and the sign bit: for a count of 1 the old sign. */
    unsigned of = (unsigned)((sext(sz, r << 1) ^ sext(sz, r)) >> 63);
    return shift_flags(sz, r, last & 1, of);
}
static always_inline struct alu do_sar(unsigned sz, uint64_t a, unsigned n)
{
    int64_t s = (int64_t)sext(sz, a);
    return shift_flags(sz, (uint64_t)(s >> n), (unsigned)(s >> (n - 1)) & 1, 0);
}

static always_inline unsigned masked_count(unsigned sz, uint64_t n)
{
    return (unsigned)n & (sz == X86_SIZE_64 ? 63 : 31);
}

#define SHIFT_FORM(name, form, COUNT)                                                              \
    INT_DO(name##_##form)                                                                          \
    {                                                                                              \
        unsigned n = masked_count(sz, COUNT);                                                      \
        struct alu x;                                                                              \
        uint64_t a;                                                                                \
        if (rm_get_rmw(c, i, sz, mem, ea, &a))                                                     \
            return X86_FAULT;                                                                      \
        if (n == 0) /* a 32-bit register operand is still written */                               \
            return rm_set(c, i, sz, mem, ea, a) ? X86_FAULT : X86_NEXT;                            \
        x = do_##name(sz, zext(sz, a), n);                                                         \
        if (rm_set(c, i, sz, mem, ea, x.r))                                                        \
            return X86_FAULT;                                                                      \
        alu_commit(c, x);                                                                          \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    INT_OP_REGS(name##_##form)
#define SHIFT_FORMS(name)                                                                          \
    SHIFT_FORM(name, EI, i->imm)                                                                   \
    SHIFT_FORM(name, E1, 1)                                                                        \
    SHIFT_FORM(name, EC, c->gpr[X86_RCX])

SHIFT_FORMS(shl)
SHIFT_FORMS(shr)
SHIFT_FORMS(sar)

/* Rotates: result, CF, OF. @n is the masked count, not 0. */
struct rotated {
    uint64_t r;
    unsigned cf, of;
};

static always_inline struct rotated do_rol(unsigned sz, uint64_t a, unsigned n, unsigned cf)
{
    unsigned bits = bits_of(sz), k = n & (bits - 1);
    uint64_t r = k ? zext(sz, a << k | a >> (bits - k)) : a;
    unsigned out = r & 1;
    return (struct rotated){r, out, out ^ (unsigned)(sext(sz, r) >> 63)};
}
static always_inline struct rotated do_ror(unsigned sz, uint64_t a, unsigned n, unsigned cf)
{
    unsigned bits = bits_of(sz), k = n & (bits - 1);
    uint64_t r = k ? zext(sz, a >> k | a << (bits - k)) : a;
    unsigned out = (unsigned)(sext(sz, r) >> 63);
    return (struct rotated){r, out, out ^ (unsigned)(sext(sz, r << 1) >> 63)};
}
static always_inline struct rotated do_rcl(unsigned sz, uint64_t a, unsigned n, unsigned cf)
{
    unsigned bits = bits_of(sz), k = sz < X86_SIZE_32 ? n % (bits + 1) : n;
    uint64_t r = a;
    unsigned out = cf;

    if (k) {
        r = (k < 64 ? a << k : 0) | (uint64_t)cf << (k - 1);
        if (k > 1)
            r |= a >> (bits + 1 - k);
        r = zext(sz, r);
        out = (unsigned)(a >> (bits - k)) & 1;
    }
    return (struct rotated){r, out, out ^ (unsigned)(sext(sz, r) >> 63)};
}
static always_inline struct rotated do_rcr(unsigned sz, uint64_t a, unsigned n, unsigned cf)
{
    unsigned bits = bits_of(sz), k = sz < X86_SIZE_32 ? n % (bits + 1) : n;
    uint64_t r = a;
    unsigned out = cf;

    if (k) {
        r = (k < 64 ? a >> k : 0) | (uint64_t)cf << (bits - k);
        if (k > 1)
            r |= a << (bits + 1 - k);
        r = zext(sz, r);
        out = (unsigned)(a >> (k - 1)) & 1;
    }
    return (struct rotated){r, out, (unsigned)((sext(sz, r) ^ sext(sz, r << 1)) >> 63)};
}

#define ROTATE_FORM(name, form, COUNT)                                                             \
    INT_DO(name##_##form)                                                                          \
    {                                                                                              \
        unsigned n = masked_count(sz, COUNT);                                                      \
        struct rotated x;                                                                          \
        uint64_t a;                                                                                \
        if (rm_get_rmw(c, i, sz, mem, ea, &a))                                                     \
            return X86_FAULT;                                                                      \
        if (n == 0)                                                                                \
            return rm_set(c, i, sz, mem, ea, a) ? X86_FAULT : X86_NEXT;                            \
        x = do_##name(sz, zext(sz, a), n, x86_flag_cf(c));                                         \
        if (rm_set(c, i, sz, mem, ea, x.r))                                                        \
            return X86_FAULT;                                                                      \
        set_cf_of(c, x.cf, x.of);                                                                  \
        return X86_NEXT;                                                                           \
    }
#define ROTATE_FORMS(name, MAKE)                                                                   \
    ROTATE_FORM(name, EI, i->imm)                                                                  \
    ROTATE_FORM(name, E1, 1)                                                                       \
    ROTATE_FORM(name, EC, c->gpr[X86_RCX])                                                         \
    MAKE(name##_EI)                                                                                \
    MAKE(name##_E1)                                                                                \
    MAKE(name##_EC)

ROTATE_FORMS(rol, INT_OP_REGS)
ROTATE_FORMS(ror, INT_OP_REGS)
ROTATE_FORMS(rcl, INT_GENERIC)
ROTATE_FORMS(rcr, INT_GENERIC)

/*
 * SHLD, SHRD. With 16-bit operands a count above 16 is undefined; bits of the source follow again,
 * as on current processors: the value shifted is dest:src:dest.
 */
static always_inline struct alu shld(unsigned sz, uint64_t a, uint64_t b, unsigned n)
{
    unsigned bits = bits_of(sz);
    uint64_t r;
    unsigned cf;

    if (sz == X86_SIZE_16) {
        uint64_t all = a << 32 | b << 16 | a;
        r = (all << n) >> 32 & 0xffff;
        cf = (unsigned)(all >> (48 - n)) & 1;
    } else {
        r = a << n | b >> (bits - n);
        cf = (unsigned)(a >> (bits - n)) & 1;
    }
    return shift_flags(sz, r, cf, (unsigned)((sext(sz, r) ^ sext(sz, a)) >> 63));
}
static always_inline struct alu shrd(unsigned sz, uint64_t a, uint64_t b, unsigned n)
{
    unsigned bits = bits_of(sz);
    uint64_t r, all = a;

    if (sz == X86_SIZE_16) {
        all = a << 32 | b << 16 | a;
        r = all >> n & 0xffff;
    } else {
        r = a >> n | b << (bits - n);
    }
    return shift_flags(sz, r, (unsigned)(all >> (n - 1)) & 1,
                       (unsigned)((sext(sz, r) ^ sext(sz, a)) >> 63));
}

#define DOUBLE_SHIFT(name, form, COUNT)                                                            \
    INT_DO(name##_##form)                                                                          \
    {                                                                                              \
        unsigned n = masked_count(sz, COUNT);                                                      \
        struct alu x;                                                                              \
        uint64_t a;                                                                                \
        if (rm_get_rmw(c, i, sz, mem, ea, &a))                                                     \
            return X86_FAULT;                                                                      \
        if (n == 0)                                                                                \
            return rm_set(c, i, sz, mem, ea, a) ? X86_FAULT : X86_NEXT;                            \
        x = name(sz, zext(sz, a), zext(sz, g_get(c, i, sz)), n);                                   \
        if (rm_set(c, i, sz, mem, ea, x.r))                                                        \
            return X86_FAULT;                                                                      \
        alu_commit(c, x);                                                                          \
        return X86_NEXT;                                                                           \
    }
DOUBLE_SHIFT(shld, I, i->imm)
DOUBLE_SHIFT(shld, C, c->gpr[X86_RCX])
DOUBLE_SHIFT(shrd, I, i->imm)
DOUBLE_SHIFT(shrd, C, c->gpr[X86_RCX])
INT_OP_REGS(shld_I)
INT_GENERIC(shld_C)
INT_OP_REGS(shrd_I)
INT_GENERIC(shrd_C)

/*
 * BT family. CF = the bit; the others are undefined and stay. With a register offset the bit string
 * in memory extends both ways.
 */
enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static always_inline enum x86_result bit_op(struct x86_cpu *c, const struct x86_insn *i,
                                            unsigned sz, bool mem, uint64_t ea, uint64_t n,
                                            enum bit_op op)
{
    uint64_t a, bit = 1ull << (n & (bits_of(sz) - 1));
    bool was;

    if (op == BIT_TEST ? rm_get(c, i, sz, mem, ea, &a) : rm_get_rmw(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    was = a & bit;
    if (op != BIT_TEST) {
        a = op == BIT_SET ? a | bit : op == BIT_RESET ? a & ~bit : a ^ bit;
        if (rm_set(c, i, sz, mem, ea, a))
            return X86_FAULT;
    }
    set_cf(c, was);
    return X86_NEXT;
}

static always_inline uint64_t bit_string_ea(const struct x86_insn *i, unsigned sz, uint64_t ea,
                                            uint64_t n)
{
    ea += (uint64_t)(((int64_t)n >> (3 + sz)) * (1 << sz));
    return i->asize == X86_SIZE_64 ? ea : i->asize == X86_SIZE_32 ? (uint32_t)ea : (uint16_t)ea;
}

#define BIT_FORMS(name, OP, MAKE)                                                                  \
    INT_DO(name##_EG)                                                                              \
    {                                                                                              \
        uint64_t n = g_get(c, i, sz);                                                              \
        return bit_op(c, i, sz, mem, mem ? bit_string_ea(i, sz, ea, n) : 0, n, OP);                \
    }                                                                                              \
    INT_DO(name##_EI)                                                                              \
    {                                                                                              \
        return bit_op(c, i, sz, mem, ea, i->imm, OP);                                              \
    }                                                                                              \
    MAKE(name##_EG)                                                                                \
    MAKE(name##_EI)

BIT_FORMS(bt, BIT_TEST, INT_OP_WIDE)
BIT_FORMS(bts, BIT_SET, INT_OP_REGS)
BIT_FORMS(btr, BIT_RESET, INT_OP_REGS)
BIT_FORMS(btc, BIT_COMPLEMENT, INT_OP_REGS)

/*
 * BSF, BSR: a source of 0 leaves the destination alone (AMD's rule, and what Intel processors do; a
 * 32-bit destination keeps its upper half). Flags but ZF are undefined and stay.
 */
static always_inline void set_zf(struct x86_cpu *c, bool zf)
{
    x86_flags_set(c, zf ? X86_ZF : 0, X86_ZF);
}

INT_DO(bsf)
{
    uint64_t a;

    if (rm_get(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    if (a)
        g_set(c, i, sz, (uint64_t)__builtin_ctzll(a));
    set_zf(c, a == 0);
    return X86_NEXT;
}
INT_OP_REGS(bsf)

INT_DO(bsr)
{
    uint64_t a;

    if (rm_get(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    a = zext(sz, a);
    if (a)
        g_set(c, i, sz, 63u - (unsigned)__builtin_clzll(a));
    set_zf(c, a == 0);
    return X86_NEXT;
}
INT_OP_REGS(bsr)

/* CF: the source was 0; ZF: the result is. */
static always_inline void count_flags(struct x86_cpu *c, uint64_t source, uint64_t r)
{
    x86_flags_set(c, (source ? 0 : X86_CF) | (r ? 0 : X86_ZF), X86_CF | X86_ZF);
}

INT_DO(tzcnt)
{
    uint64_t a, r;

    if (rm_get(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    r = a ? (unsigned)__builtin_ctzll(a) : bits_of(sz);
    g_set(c, i, sz, r);
    count_flags(c, a, r);
    return X86_NEXT;
}
INT_OP_REGS(tzcnt)

INT_DO(lzcnt)
{
    uint64_t a, r;

    if (rm_get(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    a = zext(sz, a);
    r = a ? (unsigned)__builtin_clzll(a) - (64 - bits_of(sz)) : bits_of(sz);
    g_set(c, i, sz, r);
    count_flags(c, a, r);
    return X86_NEXT;
}
INT_OP_REGS(lzcnt)

INT_DO(popcnt)
{
    uint64_t a;

    if (rm_get(c, i, sz, mem, ea, &a))
        return X86_FAULT;
    a = zext(sz, a);
    g_set(c, i, sz, (uint64_t)__builtin_popcountll(a));
    x86_flags_set(c, a ? 0 : X86_ZF, X86_ARITH);
    return X86_NEXT;
}
INT_OP_REGS(popcnt)

INT_DO(bswap)
{
    uint64_t a = c->gpr[i->rm];

    /* The 16-bit form is undefined; current processors clear the register. */
    reg_set(c, i->rm, 0, sz,
            sz == X86_SIZE_64   ? __builtin_bswap64(a)
            : sz == X86_SIZE_32 ? __builtin_bswap32((uint32_t)a)
                                : 0);
    return X86_NEXT;
}
INT_OP_REGS(bswap)
