/* SPDX-License-Identifier: Apache-2.0 */
/* SSE and AVX shuffles, blends, lane inserts and extracts, widening moves, PTEST. */
#include "cpu/x86/avx.h"
#include "cpu/x86/flags.h"
#include "x86-opcodes.h"

/*
 * Defines shuffle_NAME of d = destination, s = source, imm, and from it x86_op_sse_NAME and
 * x86_op_avx_NAME; the upper lane of 256 bits takes imm >> @step.
 */
#define AVX_SHUFFLE(name, step, ...)                                                               \
    static inline union x86_xmm shuffle_##name(union x86_xmm d, union x86_xmm s, unsigned imm)     \
    {                                                                                              \
        union x86_xmm r;                                                                           \
        __VA_ARGS__;                                                                               \
        return r;                                                                                  \
    }                                                                                              \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm s, d = x86_ymm_get(c, i->vvvv), r;                                           \
        if (x86_avx_src(c, i, &s))                                                                 \
            return X86_FAULT;                                                                      \
        r.x[0] = shuffle_##name(d.x[0], s.x[0], (uint8_t)i->imm);                                  \
        if (i->vlen)                                                                               \
            r.x[1] = shuffle_##name(d.x[1], s.x[1], (uint8_t)i->imm >> (step));                    \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }
#define SHUFFLE(name, step, ...)                                                                   \
    AVX_SHUFFLE(name, step, __VA_ARGS__)                                                           \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s;                                                                           \
        if (x86_src128(c, i, &s))                                                                  \
            return X86_FAULT;                                                                      \
        c->xmm[i->reg] = shuffle_##name(c->xmm[i->reg], s, (uint8_t)i->imm);                       \
        return X86_NEXT;                                                                           \
    }
/* The same where @m selects: XMM0, with VEX a fourth operand in imm[7:4]. */
#define SELECT(name, ...)                                                                          \
    static inline union x86_xmm select_##name(union x86_xmm d, union x86_xmm s, union x86_xmm m)   \
    {                                                                                              \
        union x86_xmm r;                                                                           \
        __VA_ARGS__;                                                                               \
        return r;                                                                                  \
    }                                                                                              \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s;                                                                           \
        if (x86_src128(c, i, &s))                                                                  \
            return X86_FAULT;                                                                      \
        c->xmm[i->reg] = select_##name(c->xmm[i->reg], s, c->xmm[0]);                              \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        /* Outside 64-bit mode imm[7] is ignored. */                                               \
        unsigned mask = i->imm >> 4 & (c->mode == X86_MODE_64 ? 15 : 7);                           \
        union x86_ymm s, d = x86_ymm_get(c, i->vvvv), m = x86_ymm_get(c, mask), r;                 \
        if (x86_avx_src(c, i, &s))                                                                 \
            return X86_FAULT;                                                                      \
        for (unsigned k = 0; k <= i->vlen; k++)                                                    \
            r.x[k] = select_##name(d.x[k], s.x[k], m.x[k]);                                        \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }
#define LANES(n) for (int k = 0; k < (n); k++)

/* clang-format off */
SHUFFLE(pshufd, 0, LANES(4) r.u32[k] = s.u32[(imm >> (2 * k)) & 3])
SHUFFLE(pshuflw, 0, r = s; LANES(4) r.u16[k] = s.u16[(imm >> (2 * k)) & 3])
SHUFFLE(pshufhw, 0, r = s; LANES(4) r.u16[4 + k] = s.u16[4 + ((imm >> (2 * k)) & 3)])
SHUFFLE(shufps, 0, r.u32[0] = d.u32[imm & 3]; r.u32[1] = d.u32[(imm >> 2) & 3];
        r.u32[2] = s.u32[(imm >> 4) & 3]; r.u32[3] = s.u32[imm >> 6])
SHUFFLE(shufpd, 2, r.u64[0] = d.u64[imm & 1]; r.u64[1] = s.u64[(imm >> 1) & 1])
SHUFFLE(pblendw, 0, LANES(8) r.u16[k] = (imm >> k) & 1 ? s.u16[k] : d.u16[k])
SHUFFLE(blendps, 4, LANES(4) r.u32[k] = (imm >> k) & 1 ? s.u32[k] : d.u32[k])
SHUFFLE(blendpd, 2, LANES(2) r.u64[k] = (imm >> k) & 1 ? s.u64[k] : d.u64[k])
AVX_SHUFFLE(pblendd, 4, LANES(4) r.u32[k] = (imm >> k) & 1 ? s.u32[k] : d.u32[k])
AVX_SHUFFLE(permilps_i, 0, LANES(4) r.u32[k] = s.u32[(imm >> (2 * k)) & 3])
AVX_SHUFFLE(permilpd_i, 2, LANES(2) r.u64[k] = s.u64[(imm >> k) & 1])
AVX_SHUFFLE(permilps, 0, LANES(4) r.u32[k] = d.u32[s.u32[k] & 3])
AVX_SHUFFLE(permilpd, 0, LANES(2) r.u64[k] = d.u64[(s.u64[k] >> 1) & 1])
AVX_SHUFFLE(movsldup, 0, r = (union x86_xmm){.u32 = {s.u32[0], s.u32[0], s.u32[2], s.u32[2]}})
AVX_SHUFFLE(movshdup, 0, r = (union x86_xmm){.u32 = {s.u32[1], s.u32[1], s.u32[3], s.u32[3]}})
/* Variable shifts: counts of the lane's size or more clear it or fill it with the sign. */
AVX_SHUFFLE(psrlvd, 0, LANES(4) r.u32[k] = s.u32[k] < 32 ? d.u32[k] >> s.u32[k] : 0)
AVX_SHUFFLE(psrlvq, 0, LANES(2) r.u64[k] = s.u64[k] < 64 ? d.u64[k] >> s.u64[k] : 0)
AVX_SHUFFLE(psllvd, 0, LANES(4) r.u32[k] = s.u32[k] < 32 ? d.u32[k] << s.u32[k] : 0)
AVX_SHUFFLE(psllvq, 0, LANES(2) r.u64[k] = s.u64[k] < 64 ? d.u64[k] << s.u64[k] : 0)
AVX_SHUFFLE(psravd, 0, LANES(4) r.i32[k] = d.i32[k] >> (s.u32[k] < 32 ? s.u32[k] : 31))
SELECT(pblendvb, LANES(16) r.u8[k] = m.u8[k] >> 7 ? s.u8[k] : d.u8[k])
SELECT(blendvps, LANES(4) r.u32[k] = m.u32[k] >> 31 ? s.u32[k] : d.u32[k])
SELECT(blendvpd, LANES(2) r.u64[k] = m.u64[k] >> 63 ? s.u64[k] : d.u64[k])
/* The smallest word and its index (the lowest one of equals). */
SHUFFLE(phminposuw, 0, unsigned best = 0;
        for (unsigned k = 1; k < 8; k++) if (s.u16[k] < s.u16[best]) best = k;
        r = (union x86_xmm){.u16 = {s.u16[best], (uint16_t)best}})
/* Sums of four absolute differences at eight positions. */
SHUFFLE(mpsadbw, 3, unsigned db = (imm >> 2 & 1) * 4; unsigned sb = (imm & 3) * 4;
        for (unsigned k = 0; k < 8; k++) {
            unsigned sum = 0;
            for (unsigned b = 0; b < 4; b++) {
                int t = d.u8[db + k + b] - s.u8[sb + b];
                sum += (unsigned)(t < 0 ? -t : t);
            }
            r.u16[k] = (uint16_t)sum;
        })

/* The source of a widening move: @bytes of memory for 128 bits, twice that for 256. */
static int narrow_source(struct x86_cpu *c, const struct x86_insn *i, unsigned bytes,
                         union x86_xmm *ret)
{
    if (!i->mem) {
        *ret = c->xmm[i->rm];
        return 0;
    }
    uint64_t off = x86_ea(c, i);
    switch (bytes << i->vlen) {
    case 2:
        return x86_load16(c, i->seg, off, &ret->u16[0]);
    case 4:
        return x86_load32(c, i->seg, off, &ret->u32[0]);
    case 8:
        return x86_load64(c, i->seg, off, &ret->u64[0]);
    default:
        return x86_load128(c, i->seg, off, ret);
    }
}

/* PMOVSX, PMOVZX: lanes of type @from (memory operand of @bits) become @n lanes of @to. */
#define WIDEN(name, bits, from, to, n)                                                             \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s = c->xmm[i->rm & 15], r;                                                   \
        uint##bits##_t m;                                                                          \
        if (i->mem) {                                                                              \
            if (x86_load##bits(c, i->seg, x86_ea(c, i), &m))                                       \
                return X86_FAULT;                                                                  \
            s.u64[0] = m;                                                                          \
        }                                                                                          \
        LANES(n) r.to[k] = s.from[k];                                                              \
        c->xmm[i->reg] = r;                                                                        \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_xmm s;                                                                           \
        union x86_ymm r;                                                                           \
        if (narrow_source(c, i, bits / 8, &s))                                                     \
            return X86_FAULT;                                                                      \
        LANES((n) << i->vlen) r.to[k] = s.from[k];                                                 \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }
WIDEN(pmovsxbw, 64, i8, i16, 8)
WIDEN(pmovsxbd, 32, i8, i32, 4)
WIDEN(pmovsxbq, 16, i8, i64, 2)
WIDEN(pmovsxwd, 64, i16, i32, 4)
WIDEN(pmovsxwq, 32, i16, i64, 2)
WIDEN(pmovsxdq, 64, i32, i64, 2)
WIDEN(pmovzxbw, 64, u8, u16, 8)
WIDEN(pmovzxbd, 32, u8, u32, 4)
WIDEN(pmovzxbq, 16, u8, u64, 2)
WIDEN(pmovzxwd, 64, u16, u32, 4)
WIDEN(pmovzxwq, 32, u16, u64, 2)
WIDEN(pmovzxdq, 64, u32, u64, 2)
/* clang-format on */

/* Permutations across lanes. */

enum x86_result x86_op_avx_permq(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm s, r;
    if (x86_avx_src(c, i, &s))
        return X86_FAULT;
    for (unsigned k = 0; k < 4; k++)
        r.u64[k] = s.u64[i->imm >> 2 * k & 3];
    x86_ymm_set(c, i->reg, &r);
    return X86_NEXT;
}

/* VPERMD, VPERMPS: the first source selects from the second. */
enum x86_result x86_op_avx_permd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm pick = x86_ymm_get(c, i->vvvv), s, r;
    if (x86_avx_src(c, i, &s))
        return X86_FAULT;
    for (unsigned k = 0; k < 8; k++)
        r.u32[k] = s.u32[pick.u32[k] & 7];
    x86_ymm_set(c, i->reg, &r);
    return X86_NEXT;
}

/* Inserts take a general register or memory of the lane's size. */

enum x86_result x86_op_sse_pinsrb(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint8_t v = (uint8_t)c->gpr[i->rm & 15];
    if (i->mem && x86_load8(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    c->xmm[i->reg].u8[i->imm & 15] = v;
    return X86_NEXT;
}

enum x86_result x86_op_sse_pinsrw(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint16_t v = (uint16_t)c->gpr[i->rm & 15];
    if (i->mem && x86_load16(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    c->xmm[i->reg].u16[i->imm & 7] = v;
    return X86_NEXT;
}

/* PINSRD, PINSRQ. */
enum x86_result x86_op_sse_pinsrd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint64_t v;
    if (x86_srcgy(c, i, &v))
        return X86_FAULT;
    if (i->rex & 8)
        c->xmm[i->reg].u64[i->imm & 1] = v;
    else
        c->xmm[i->reg].u32[i->imm & 3] = (uint32_t)v;
    return X86_NEXT;
}

enum x86_result x86_op_sse_insertps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    unsigned imm = (uint8_t)i->imm;
    uint32_t v = i->mem ? 0 : c->xmm[i->rm].u32[imm >> 6];
    if (i->mem && x86_load32(c, i->seg, x86_ea(c, i), &v))
        return X86_FAULT;
    c->xmm[i->reg].u32[(imm >> 4) & 3] = v;
    for (unsigned k = 0; k < 4; k++)
        if ((imm >> k) & 1)
            c->xmm[i->reg].u32[k] = 0;
    return X86_NEXT;
}

/* Extracts to registers zero-extend to 64 bits. */

enum x86_result x86_op_sse_pextrb(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint8_t v = c->xmm[i->reg].u8[i->imm & 15];
    if (i->mem)
        return x86_store8(c, i->seg, x86_ea(c, i), v) ? X86_FAULT : X86_NEXT;
    c->gpr[i->rm] = v;
    return X86_NEXT;
}

/* The SSE4.1 form (register or memory destination in modrm.rm). */
enum x86_result x86_op_sse_pextrw(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint16_t v = c->xmm[i->reg].u16[i->imm & 7];
    if (i->mem)
        return x86_store16(c, i->seg, x86_ea(c, i), v) ? X86_FAULT : X86_NEXT;
    c->gpr[i->rm] = v;
    return X86_NEXT;
}

/* The SSE2 form (register destination in modrm.reg). */
enum x86_result x86_op_sse_pextrw_reg(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    c->gpr[i->reg] = c->xmm[i->rm].u16[i->imm & 7];
    return X86_NEXT;
}

/* PEXTRD, PEXTRQ; EXTRACTPS is PEXTRD without the quadword memory form. */
enum x86_result x86_op_sse_pextrd(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    const union x86_xmm *s = &c->xmm[i->reg];
    uint64_t v = i->rex & 8 ? s->u64[i->imm & 1] : s->u32[i->imm & 3];
    if (!i->mem) {
        c->gpr[i->rm] = v;
        return X86_NEXT;
    }
    if (i->rex & 8)
        return x86_store64(c, i->seg, x86_ea(c, i), v) ? X86_FAULT : X86_NEXT;
    return x86_store32(c, i->seg, x86_ea(c, i), (uint32_t)v) ? X86_FAULT : X86_NEXT;
}

enum x86_result x86_op_sse_extractps(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    uint32_t v = c->xmm[i->reg].u32[i->imm & 3];
    if (i->mem)
        return x86_store32(c, i->seg, x86_ea(c, i), v) ? X86_FAULT : X86_NEXT;
    c->gpr[i->rm] = v;
    return X86_NEXT;
}

enum x86_result x86_op_sse_ptest(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    const union x86_xmm *d = &c->xmm[i->reg];
    uint64_t flags = 0;
    if (!((s.u64[0] & d->u64[0]) | (s.u64[1] & d->u64[1])))
        flags |= X86_ZF;
    if (!((s.u64[0] & ~d->u64[0]) | (s.u64[1] & ~d->u64[1])))
        flags |= X86_CF;
    x86_flags_set(c, flags, X86_ARITH);
    return X86_NEXT;
}
