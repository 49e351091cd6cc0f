/* SPDX-License-Identifier: Apache-2.0 */
/* VEX data movement: loads, stores, broadcasts, halves, sign masks, clearing of registers. */
#include "cpu/x86/avx.h"
#include "cpu/x86/flags.h"
#include "x86-opcodes.h"

enum x86_result x86_avx_unavailable(struct x86_cpu *c)
{
    const unsigned need = X86_XCR0_SSE | X86_XCR0_AVX;
    if (!(c->cr4 & X86_CR4_OSXSAVE) || (c->xcr0 & need) != need)
        return x86_raise_ud(c);
    return x86_raise(c, X86_NM);
}

/* Whole registers. */

enum x86_result x86_op_avx_mov_rr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm v = x86_ymm_get(c, i->rm);
    x86_avx_put(c, i->reg, &v, i->vlen);
    return X86_NEXT;
}

enum x86_result x86_op_avx_mov_rr_rev(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm v = x86_ymm_get(c, i->reg);
    x86_avx_put(c, i->rm, &v, i->vlen);
    return X86_NEXT;
}

static inline bool misaligned(const struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    return unlikely((c->seg[i->seg].lin_base + off) & (x86_avx_bytes(i) - 1));
}

static inline enum x86_result load(struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    if (!i->vlen) {
        union x86_xmm v;
        if (x86_load128(c, i->seg, off, &v))
            return X86_FAULT;
        x86_avx_put128(c, i->reg, v);
        return X86_NEXT;
    }
    union x86_ymm v;
    if (x86_load256(c, i->seg, off, &v))
        return X86_FAULT;
    x86_ymm_set(c, i->reg, &v);
    return X86_NEXT;
}

static inline enum x86_result store(struct x86_cpu *c, const struct x86_insn *i, uint64_t off)
{
    if (!i->vlen)
        return x86_store128(c, i->seg, off, c->xmm[i->reg]) ? X86_FAULT : X86_NEXT;
    return x86_store256(c, i->seg, off, x86_ymm_get(c, i->reg)) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_avx_load_u(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    return load(c, i, x86_ea(c, i));
}

enum x86_result x86_op_avx_load_a(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    uint64_t off = x86_ea(c, i);
    return misaligned(c, i, off) ? x86_raise_gp(c, 0) : load(c, i, off);
}

enum x86_result x86_op_avx_store_u(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    return store(c, i, x86_ea(c, i));
}

enum x86_result x86_op_avx_store_a(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    uint64_t off = x86_ea(c, i);
    return misaligned(c, i, off) ? x86_raise_gp(c, 0) : store(c, i, off);
}

enum x86_result x86_op_avx_vzeroupper(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    memset(c->ymmh, 0, (c->mode == X86_MODE_64 ? 16 : 8) * sizeof(c->ymmh[0]));
    return X86_NEXT;
}

enum x86_result x86_op_avx_vzeroall(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    memset(c->ymmh, 0, (c->mode == X86_MODE_64 ? 16 : 8) * sizeof(c->ymmh[0]));
    memset(c->xmm, 0, (c->mode == X86_MODE_64 ? 16 : 8) * sizeof(c->xmm[0]));
    return X86_NEXT;
}

/* Register forms of VMOVSS, VMOVSD, VMOVHLPS, VMOVLHPS: the rest comes from the first source. */

#define MERGE(name, dest, from, field)                                                             \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_xmm v = c->xmm[i->vvvv];                                                         \
        v.field = c->xmm[i->from].field;                                                           \
        x86_avx_put128(c, i->dest, v);                                                             \
        return X86_NEXT;                                                                           \
    }
MERGE(movss_rr, reg, rm, u32[0])
MERGE(movss_rr_rev, rm, reg, u32[0])
MERGE(movsd_rr, reg, rm, u64[0])
MERGE(movsd_rr_rev, rm, reg, u64[0])

enum x86_result x86_op_avx_movhlps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    x86_avx_put128(c, i->reg,
                   (union x86_xmm){.u64 = {c->xmm[i->rm].u64[1], c->xmm[i->vvvv].u64[1]}});
    return X86_NEXT;
}

enum x86_result x86_op_avx_movlhps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    x86_avx_put128(c, i->reg,
                   (union x86_xmm){.u64 = {c->xmm[i->vvvv].u64[0], c->xmm[i->rm].u64[0]}});
    return X86_NEXT;
}

enum x86_result x86_op_avx_load_lo(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_xmm v = c->xmm[i->vvvv];
    if (x86_load64(c, i->seg, x86_ea(c, i), &v.u64[0]))
        return X86_FAULT;
    x86_avx_put128(c, i->reg, v);
    return X86_NEXT;
}

enum x86_result x86_op_avx_load_hi(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_xmm v = c->xmm[i->vvvv];
    if (x86_load64(c, i->seg, x86_ea(c, i), &v.u64[1]))
        return X86_FAULT;
    x86_avx_put128(c, i->reg, v);
    return X86_NEXT;
}

/* Quadwords of VMOVDDUP: 128-bit ones read 8 bytes of memory. */
enum x86_result x86_op_avx_movddup(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm s;
    if (i->vlen ? x86_avx_src(c, i, &s) : x86_src64(c, i, &s.u64[0]))
        return X86_FAULT;
    s.u64[1] = s.u64[0];
    s.u64[3] = s.u64[2];
    x86_avx_put(c, i->reg, &s, i->vlen);
    return X86_NEXT;
}

/* Broadcasts of a lane of @bits from register or memory. */
#define BROADCAST(bits)                                                                            \
    enum x86_result x86_op_avx_broadcast##bits(struct x86_cpu *c, const struct x86_insn *i)        \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        uint##bits##_t v = c->xmm[i->rm & 15].u##bits[0];                                          \
        if (i->mem && x86_load##bits(c, i->seg, x86_ea(c, i), &v))                                 \
            return X86_FAULT;                                                                      \
        union x86_ymm r;                                                                           \
        for (unsigned k = 0; k < 256 / bits; k++)                                                  \
            r.u##bits[k] = v;                                                                      \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }
BROADCAST(8)
BROADCAST(16)
BROADCAST(32)
BROADCAST(64)

enum x86_result x86_op_avx_broadcast128(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm r;
    if (x86_load128(c, i->seg, x86_ea(c, i), &r.x[0]))
        return X86_FAULT;
    r.x[1] = r.x[0];
    x86_ymm_set(c, i->reg, &r);
    return X86_NEXT;
}

/* VINSERTF128 and VEXTRACTF128 have a 128-bit memory operand, VPERM2F128 one of 256. */

enum x86_result x86_op_avx_insert128(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_xmm s = c->xmm[i->rm & 15];
    if (i->mem && x86_load128(c, i->seg, x86_ea(c, i), &s))
        return X86_FAULT;
    union x86_ymm r = x86_ymm_get(c, i->vvvv);
    r.x[i->imm & 1] = s;
    x86_ymm_set(c, i->reg, &r);
    return X86_NEXT;
}

enum x86_result x86_op_avx_extract128(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_xmm v = i->imm & 1 ? c->ymmh[i->reg] : c->xmm[i->reg];
    if (i->mem)
        return x86_store128(c, i->seg, x86_ea(c, i), v) ? X86_FAULT : X86_NEXT;
    x86_avx_put128(c, i->rm, v);
    return X86_NEXT;
}

enum x86_result x86_op_avx_perm128(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm s[2] = {x86_ymm_get(c, i->vvvv)}, r;
    if (x86_avx_src(c, i, &s[1]))
        return X86_FAULT;
    for (unsigned k = 0; k < 2; k++) {
        unsigned pick = i->imm >> 4 * k & 15;
        r.x[k] = pick & 8 ? (union x86_xmm){.u64 = {0, 0}} : s[pick >> 1 & 1].x[pick & 1];
    }
    x86_ymm_set(c, i->reg, &r);
    return X86_NEXT;
}

/* Sign masks into a general register, zero-extended. */

enum x86_result x86_op_avx_movmskps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm s = x86_ymm_get(c, i->rm);
    uint64_t m = 0;
    for (unsigned k = 0; k < x86_avx_bytes(i) / 4; k++)
        m |= (uint64_t)(s.u32[k] >> 31) << k;
    c->gpr[i->reg] = m;
    return X86_NEXT;
}

enum x86_result x86_op_avx_movmskpd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm s = x86_ymm_get(c, i->rm);
    uint64_t m = 0;
    for (unsigned k = 0; k < x86_avx_bytes(i) / 8; k++)
        m |= s.u64[k] >> 63 << k;
    c->gpr[i->reg] = m;
    return X86_NEXT;
}

enum x86_result x86_op_avx_pmovmskb(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    uint64_t m = x86_byte_signs(&c->xmm[i->rm]);
    if (i->vlen)
        m |= (uint64_t)x86_byte_signs(&c->ymmh[i->rm]) << 16;
    c->gpr[i->reg] = m;
    return X86_NEXT;
}

/* VPTEST, VTESTPS, VTESTPD: ZF for no common bit, CF for no bit of the second alone, of @mask. */
static enum x86_result test(struct x86_cpu *c, const struct x86_insn *i, uint64_t mask)
{
    X86_AVX_ENTER(c);
    union x86_ymm d = x86_ymm_get(c, i->reg), s;
    uint64_t both = 0, alone = 0;
    if (x86_avx_src(c, i, &s))
        return X86_FAULT;
    for (unsigned k = 0; k < x86_avx_bytes(i) / 8; k++) {
        both |= s.u64[k] & d.u64[k];
        alone |= s.u64[k] & ~d.u64[k];
    }
    x86_flags_set(c, (both & mask ? 0 : X86_ZF) | (alone & mask ? 0 : X86_CF), X86_ARITH);
    return X86_NEXT;
}

enum x86_result x86_op_avx_ptest(struct x86_cpu *c, const struct x86_insn *i)
{
    return test(c, i, UINT64_MAX);
}

enum x86_result x86_op_avx_testps(struct x86_cpu *c, const struct x86_insn *i)
{
    return test(c, i, UINT64_C(0x8000000080000000));
}

enum x86_result x86_op_avx_testpd(struct x86_cpu *c, const struct x86_insn *i)
{
    return test(c, i, UINT64_C(1) << 63);
}
