/* SPDX-License-Identifier: Apache-2.0 */
/* SSE shuffles, blends, lane inserts and extracts, widening moves, PTEST. */
#include "cpu/x86/flags.h"
#include "cpu/x86/simd.h"
#include "x86-opcodes.h"

/* Defines x86_op_sse_NAME with d = destination, s = aligned source, r = result, imm. */
#define SHUFFLE(name, ...)                                                                         \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s, r;                                                                        \
        if (x86_src128(c, i, &s))                                                                  \
            return X86_FAULT;                                                                      \
        const union x86_xmm d = c->xmm[i->reg];                                                    \
        const unsigned imm = (uint8_t)i->imm;                                                      \
        (void)d, (void)imm;                                                                        \
        __VA_ARGS__;                                                                               \
        c->xmm[i->reg] = r;                                                                        \
        return X86_NEXT;                                                                           \
    }
#define LANES(n) for (int k = 0; k < (n); k++)

/* clang-format off */
SHUFFLE(pshufd, LANES(4) r.u32[k] = s.u32[(imm >> (2 * k)) & 3])
SHUFFLE(pshuflw, r = s; LANES(4) r.u16[k] = s.u16[(imm >> (2 * k)) & 3])
SHUFFLE(pshufhw, r = s; LANES(4) r.u16[4 + k] = s.u16[4 + ((imm >> (2 * k)) & 3)])
SHUFFLE(shufps, r.u32[0] = d.u32[imm & 3]; r.u32[1] = d.u32[(imm >> 2) & 3];
        r.u32[2] = s.u32[(imm >> 4) & 3]; r.u32[3] = s.u32[imm >> 6])
SHUFFLE(shufpd, r.u64[0] = d.u64[imm & 1]; r.u64[1] = s.u64[(imm >> 1) & 1])
SHUFFLE(pblendw, LANES(8) r.u16[k] = (imm >> k) & 1 ? s.u16[k] : d.u16[k])
SHUFFLE(blendps, LANES(4) r.u32[k] = (imm >> k) & 1 ? s.u32[k] : d.u32[k])
SHUFFLE(blendpd, LANES(2) r.u64[k] = (imm >> k) & 1 ? s.u64[k] : d.u64[k])
SHUFFLE(pblendvb, LANES(16) r.u8[k] = c->xmm[0].u8[k] >> 7 ? s.u8[k] : d.u8[k])
SHUFFLE(blendvps, LANES(4) r.u32[k] = c->xmm[0].u32[k] >> 31 ? s.u32[k] : d.u32[k])
SHUFFLE(blendvpd, LANES(2) r.u64[k] = c->xmm[0].u64[k] >> 63 ? s.u64[k] : d.u64[k])
/* The smallest word and its index (the lowest one of equals). */
SHUFFLE(phminposuw, unsigned best = 0;
        for (unsigned k = 1; k < 8; k++) if (s.u16[k] < s.u16[best]) best = k;
        r = (union x86_xmm){.u16 = {s.u16[best], (uint16_t)best}})
/* Sums of four absolute differences at eight positions. */
SHUFFLE(mpsadbw, unsigned db = (imm >> 2 & 1) * 4; unsigned sb = (imm & 3) * 4;
        for (unsigned k = 0; k < 8; k++) {
            unsigned sum = 0;
            for (unsigned b = 0; b < 4; b++) {
                int t = d.u8[db + k + b] - s.u8[sb + b];
                sum += (unsigned)(t < 0 ? -t : t);
            }
            r.u16[k] = (uint16_t)sum;
        })

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
