/* SPDX-License-Identifier: Apache-2.0 */
/* Packed shifts: counts from a register, memory or an immediate; larger than the lane clears it. */
#include "cpu/x86/avx.h"
#include "x86-opcodes.h"

static union x86_vec vec_psllw(union x86_vec d, uint64_t n)
{
    d.u16 = n > 15 ? (x86_vu16){0} : d.u16 << (uint16_t)n;
    return d;
}

static union x86_vec vec_pslld(union x86_vec d, uint64_t n)
{
    d.u32 = n > 31 ? (x86_vu32){0} : d.u32 << (uint32_t)n;
    return d;
}

static union x86_vec vec_psllq(union x86_vec d, uint64_t n)
{
    d.u64 = n > 63 ? (x86_vu64){0} : d.u64 << n;
    return d;
}

static union x86_vec vec_psrlw(union x86_vec d, uint64_t n)
{
    d.u16 = n > 15 ? (x86_vu16){0} : d.u16 >> (uint16_t)n;
    return d;
}

static union x86_vec vec_psrld(union x86_vec d, uint64_t n)
{
    d.u32 = n > 31 ? (x86_vu32){0} : d.u32 >> (uint32_t)n;
    return d;
}

static union x86_vec vec_psrlq(union x86_vec d, uint64_t n)
{
    d.u64 = n > 63 ? (x86_vu64){0} : d.u64 >> n;
    return d;
}

static union x86_vec vec_psraw(union x86_vec d, uint64_t n)
{
    d.i16 = d.i16 >> (int16_t)(n > 15 ? 15 : n);
    return d;
}

static union x86_vec vec_psrad(union x86_vec d, uint64_t n)
{
    d.i32 = d.i32 >> (int32_t)(n > 31 ? 31 : n);
    return d;
}

/* With VEX the immediate forms' destination is VEX.vvvv; a count is 128 bits of memory always. */
#define AVX_SHIFT(name)                                                                            \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_xmm n;                                                                           \
        if (x86_src128u(c, i, &n))                                                                 \
            return X86_FAULT;                                                                      \
        union x86_vec lo = {.x = c->xmm[i->vvvv]}, hi = {.x = c->ymmh[i->vvvv]};                   \
        union x86_ymm r = {.x = {vec_##name(lo, n.u64[0]).x, vec_##name(hi, n.u64[0]).x}};         \
        x86_avx_put(c, i->reg, &r, i->vlen);                                                       \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_avx_##name##_i(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        uint8_t n = (uint8_t)i->imm;                                                               \
        union x86_vec lo = {.x = c->xmm[i->rm]}, hi = {.x = c->ymmh[i->rm]};                       \
        union x86_ymm r = {.x = {vec_##name(lo, n).x, vec_##name(hi, n).x}};                       \
        x86_avx_put(c, i->vvvv, &r, i->vlen);                                                      \
        return X86_NEXT;                                                                           \
    }
#define SHIFT(name)                                                                                \
    AVX_SHIFT(name)                                                                                \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm n;                                                                           \
        if (x86_src128(c, i, &n))                                                                  \
            return X86_FAULT;                                                                      \
        union x86_vec d = {.x = c->xmm[i->reg]};                                                   \
        c->xmm[i->reg] = vec_##name(d, n.u64[0]).x;                                                \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_sse_##name##_i(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_vec d = {.x = c->xmm[i->rm]};                                                    \
        c->xmm[i->rm] = vec_##name(d, (uint8_t)i->imm).x;                                          \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_mmx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_MMX_ENTER(c);                                                                          \
        uint64_t n;                                                                                \
        if (x86_srcmm(c, i, &n))                                                                   \
            return X86_FAULT;                                                                      \
        x86_mmx_commit(c);                                                                         \
        union x86_vec d = {.x = {.u64 = {x86_mmx_get(c, i->reg), 0}}};                             \
        x86_mmx_set(c, i->reg, vec_##name(d, n).x.u64[0]);                                         \
        return X86_NEXT;                                                                           \
    }                                                                                              \
    enum x86_result x86_op_mmx_##name##_i(struct x86_cpu *c, const struct x86_insn *i)             \
    {                                                                                              \
        X86_MMX_ENTER(c);                                                                          \
        x86_mmx_commit(c);                                                                         \
        union x86_vec d = {.x = {.u64 = {x86_mmx_get(c, i->rm), 0}}};                              \
        x86_mmx_set(c, i->rm, vec_##name(d, (uint8_t)i->imm).x.u64[0]);                            \
        return X86_NEXT;                                                                           \
    }
SHIFT(psllw)
SHIFT(pslld)
SHIFT(psllq)
SHIFT(psrlw)
SHIFT(psrld)
SHIFT(psrlq)
SHIFT(psraw)
SHIFT(psrad)

/* Shift of 32 bytes hi:lo right by @n bytes, low 16 kept. */
static union x86_xmm align_bytes(const union x86_xmm *hi, const union x86_xmm *lo, unsigned n)
{
    uint8_t both[48] = {0};
    union x86_xmm r = {.u64 = {0, 0}};
    memcpy(both, lo, 16);
    memcpy(both + 16, hi, 16);
    if (n < 32)
        memcpy(&r, both + n, 16);
    return r;
}

enum x86_result x86_op_sse_palignr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    union x86_xmm s;
    if (x86_src128(c, i, &s))
        return X86_FAULT;
    c->xmm[i->reg] = align_bytes(&c->xmm[i->reg], &s, (uint8_t)i->imm);
    return X86_NEXT;
}

enum x86_result x86_op_sse_psrldq(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    unsigned n = (uint8_t)i->imm;
    union x86_xmm zero = {.u64 = {0, 0}};
    c->xmm[i->rm] = align_bytes(&zero, &c->xmm[i->rm], n > 16 ? 16 : n);
    return X86_NEXT;
}

enum x86_result x86_op_sse_pslldq(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_SSE_ENTER(c);
    unsigned n = (uint8_t)i->imm;
    union x86_xmm zero = {.u64 = {0, 0}};
    c->xmm[i->rm] = align_bytes(&c->xmm[i->rm], &zero, n > 16 ? 0 : 16 - n);
    return X86_NEXT;
}

enum x86_result x86_op_avx_palignr(struct x86_cpu *c, const struct x86_insn *i)
{
    X86_AVX_ENTER(c);
    union x86_ymm d = x86_ymm_get(c, i->vvvv), s, r;
    if (x86_avx_src(c, i, &s))
        return X86_FAULT;
    for (unsigned k = 0; k <= i->vlen; k++)
        r.x[k] = align_bytes(&d.x[k], &s.x[k], (uint8_t)i->imm);
    x86_avx_put(c, i->reg, &r, i->vlen);
    return X86_NEXT;
}

static enum x86_result avx_shift_bytes(struct x86_cpu *c, const struct x86_insn *i, bool right)
{
    X86_AVX_ENTER(c);
    union x86_ymm s = x86_ymm_get(c, i->rm), r;
    union x86_xmm zero = {.u64 = {0, 0}};
    unsigned n = (uint8_t)i->imm > 16 ? 16 : (uint8_t)i->imm;
    for (unsigned k = 0; k < 2; k++)
        r.x[k] = right ? align_bytes(&zero, &s.x[k], n) : align_bytes(&s.x[k], &zero, 16 - n);
    x86_avx_put(c, i->vvvv, &r, i->vlen);
    return X86_NEXT;
}

enum x86_result x86_op_avx_psrldq(struct x86_cpu *c, const struct x86_insn *i)
{
    return avx_shift_bytes(c, i, true);
}

enum x86_result x86_op_avx_pslldq(struct x86_cpu *c, const struct x86_insn *i)
{
    return avx_shift_bytes(c, i, false);
}
