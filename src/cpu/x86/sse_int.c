/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed integer arithmetic, 128 bits (sse_), 64 bits (mmx_) and with a VEX prefix (avx_).
 *
 * Each operation is one function on whole vectors. An operation that works lane by lane serves MMX
 * unchanged (the upper half is computed and dropped); operations across lanes get their MMX form by
 * the way the operands are laid out: see MMX_JOINED and MMX_UPPER.
 */
#include "cpu/x86/avx.h"
#include "x86-opcodes.h"

/* VEX form: three operands, and twice on 256 bits. */
#define AVX_FORM(name)                                                                             \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_AVX_ENTER(c);                                                                          \
        union x86_ymm s;                                                                           \
        if (x86_avx_src(c, i, &s))                                                                 \
            return X86_FAULT;                                                                      \
        union x86_vec d = {.x = c->xmm[i->vvvv]}, e = {.x = s.x[0]}, hi = {.u64 = {0, 0}};         \
        union x86_vec lo = vec_##name(d, e);                                                       \
        if (i->vlen) {                                                                             \
            d.x = c->ymmh[i->vvvv];                                                                \
            e.x = s.x[1];                                                                          \
            hi = vec_##name(d, e);                                                                 \
        }                                                                                          \
        c->xmm[i->reg] = lo.x;                                                                     \
        c->ymmh[i->reg] = hi.x;                                                                    \
        return X86_NEXT;                                                                           \
    }
#define SSE_ONLY(name)                                                                             \
    AVX_FORM(name)                                                                                 \
    enum x86_result x86_op_sse_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_vec s;                                                                           \
        if (x86_src128(c, i, &s.x))                                                                \
            return X86_FAULT;                                                                      \
        union x86_vec d = {.x = c->xmm[i->reg]};                                                   \
        c->xmm[i->reg] = vec_##name(d, s).x;                                                       \
        return X86_NEXT;                                                                           \
    }
/* MMX form: d and s as @prepare leaves them, result half @lane of operation @op. */
#define MMX_FORM(name, op, prepare, lane)                                                          \
    enum x86_result x86_op_mmx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_MMX_ENTER(c);                                                                          \
        uint64_t v;                                                                                \
        if (x86_srcmm(c, i, &v))                                                                   \
            return X86_FAULT;                                                                      \
        x86_mmx_commit(c);                                                                         \
        union x86_vec d = {.x = {.u64 = {x86_mmx_get(c, i->reg), 0}}};                             \
        union x86_vec s = {.x = {.u64 = {v, 0}}};                                                  \
        prepare;                                                                                   \
        x86_mmx_set(c, i->reg, vec_##op(d, s).x.u64[lane]);                                        \
        return X86_NEXT;                                                                           \
    }
#define BOTH(name) SSE_ONLY(name) MMX_FORM(name, name, (void)0, 0)
/* Both 64-bit operands side by side as the first operand of the 128-bit operation. */
#define MMX_JOINED(name) SSE_ONLY(name) MMX_FORM(name, name, d.x.u64[1] = s.x.u64[0], 0)
/* The upper half of 128-bit operation @op. */
#define MMX_UPPER(name, op) MMX_FORM(name, op, (void)0, 1)

#define VEC(name, ...)                                                                             \
    static inline union x86_vec vec_##name(union x86_vec d, union x86_vec s)                       \
    {                                                                                              \
        union x86_vec r;                                                                           \
        __VA_ARGS__;                                                                               \
        return r;                                                                                  \
    }
#define LANES(n) for (int k = 0; k < (n); k++)

static inline int32_t clamp(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* clang-format off */
VEC(paddb, r.u8 = d.u8 + s.u8)
VEC(paddw, r.u16 = d.u16 + s.u16)
VEC(paddd, r.u32 = d.u32 + s.u32)
VEC(paddq, r.u64 = d.u64 + s.u64)
VEC(psubb, r.u8 = d.u8 - s.u8)
VEC(psubw, r.u16 = d.u16 - s.u16)
VEC(psubd, r.u32 = d.u32 - s.u32)
VEC(psubq, r.u64 = d.u64 - s.u64)
VEC(paddsb, LANES(16) r.i8[k] = (int8_t)clamp(d.i8[k] + s.i8[k], INT8_MIN, INT8_MAX))
VEC(paddsw, LANES(8) r.i16[k] = (int16_t)clamp(d.i16[k] + s.i16[k], INT16_MIN, INT16_MAX))
VEC(psubsb, LANES(16) r.i8[k] = (int8_t)clamp(d.i8[k] - s.i8[k], INT8_MIN, INT8_MAX))
VEC(psubsw, LANES(8) r.i16[k] = (int16_t)clamp(d.i16[k] - s.i16[k], INT16_MIN, INT16_MAX))
VEC(paddusb, x86_vu8 t = d.u8 + s.u8; r.u8 = t | (x86_vu8)(t < d.u8))
VEC(paddusw, x86_vu16 t = d.u16 + s.u16; r.u16 = t | (x86_vu16)(t < d.u16))
VEC(psubusb, r.u8 = (d.u8 - s.u8) & (x86_vu8)(d.u8 > s.u8))
VEC(psubusw, r.u16 = (d.u16 - s.u16) & (x86_vu16)(d.u16 > s.u16))
VEC(pand, r.u64 = d.u64 & s.u64)
VEC(pandn, r.u64 = ~d.u64 & s.u64)
VEC(por, r.u64 = d.u64 | s.u64)
VEC(pxor, r.u64 = d.u64 ^ s.u64)
VEC(pcmpeqb, r.i8 = d.u8 == s.u8)
VEC(pcmpeqw, r.i16 = d.u16 == s.u16)
VEC(pcmpeqd, r.i32 = d.u32 == s.u32)
VEC(pcmpeqq, r.i64 = d.u64 == s.u64)
VEC(pcmpgtb, r.i8 = d.i8 > s.i8)
VEC(pcmpgtw, r.i16 = d.i16 > s.i16)
VEC(pcmpgtd, r.i32 = d.i32 > s.i32)
VEC(pcmpgtq, r.i64 = d.i64 > s.i64)
VEC(pminub, x86_vu8 m = (x86_vu8)(d.u8 < s.u8); r.u8 = (d.u8 & m) | (s.u8 & ~m))
VEC(pmaxub, x86_vu8 m = (x86_vu8)(d.u8 > s.u8); r.u8 = (d.u8 & m) | (s.u8 & ~m))
VEC(pminsw, x86_vi16 m = d.i16 < s.i16; r.i16 = (d.i16 & m) | (s.i16 & ~m))
VEC(pmaxsw, x86_vi16 m = d.i16 > s.i16; r.i16 = (d.i16 & m) | (s.i16 & ~m))
VEC(pminsb, x86_vi8 m = d.i8 < s.i8; r.i8 = (d.i8 & m) | (s.i8 & ~m))
VEC(pmaxsb, x86_vi8 m = d.i8 > s.i8; r.i8 = (d.i8 & m) | (s.i8 & ~m))
VEC(pminuw, x86_vu16 m = (x86_vu16)(d.u16 < s.u16); r.u16 = (d.u16 & m) | (s.u16 & ~m))
VEC(pmaxuw, x86_vu16 m = (x86_vu16)(d.u16 > s.u16); r.u16 = (d.u16 & m) | (s.u16 & ~m))
VEC(pminud, x86_vu32 m = (x86_vu32)(d.u32 < s.u32); r.u32 = (d.u32 & m) | (s.u32 & ~m))
VEC(pmaxud, x86_vu32 m = (x86_vu32)(d.u32 > s.u32); r.u32 = (d.u32 & m) | (s.u32 & ~m))
VEC(pminsd, x86_vi32 m = d.i32 < s.i32; r.i32 = (d.i32 & m) | (s.i32 & ~m))
VEC(pmaxsd, x86_vi32 m = d.i32 > s.i32; r.i32 = (d.i32 & m) | (s.i32 & ~m))
VEC(pavgb, LANES(16) r.u8[k] = (uint8_t)((d.u8[k] + s.u8[k] + 1) >> 1))
VEC(pavgw, LANES(8) r.u16[k] = (uint16_t)((d.u16[k] + s.u16[k] + 1) >> 1))
VEC(pmullw, r.u16 = d.u16 * s.u16)
VEC(pmulhw, LANES(8) r.i16[k] = (int16_t)((d.i16[k] * s.i16[k]) >> 16))
VEC(pmulhuw, LANES(8) r.u16[k] = (uint16_t)((uint32_t)d.u16[k] * s.u16[k] >> 16))
VEC(pmulhrsw, LANES(8) r.i16[k] = (int16_t)((((d.i16[k] * s.i16[k]) >> 14) + 1) >> 1))
VEC(pmulld, r.u32 = d.u32 * s.u32)
VEC(pmuludq, LANES(2) r.u64[k] = (uint64_t)d.u32[2 * k] * s.u32[2 * k])
VEC(pmuldq, LANES(2) r.i64[k] = (int64_t)d.i32[2 * k] * s.i32[2 * k])
VEC(pmaddwd, LANES(4) r.u32[k] = (uint32_t)(d.i16[2 * k] * s.i16[2 * k]) +
                                 (uint32_t)(d.i16[2 * k + 1] * s.i16[2 * k + 1]))
VEC(pmaddubsw, LANES(8) r.i16[k] = (int16_t)clamp(d.u8[2 * k] * s.i8[2 * k] +
                                                  d.u8[2 * k + 1] * s.i8[2 * k + 1],
                                                  INT16_MIN, INT16_MAX))
VEC(psadbw, LANES(2) {
    uint64_t sum = 0;
    for (int b = 8 * k; b < 8 * k + 8; b++)
        sum += d.u8[b] > s.u8[b] ? d.u8[b] - s.u8[b] : s.u8[b] - d.u8[b];
    r.u64[k] = sum;
})
VEC(pabsb, r.i8 = s.i8 < 0; r.u8 = (s.u8 ^ r.u8) - r.u8)
VEC(pabsw, r.i16 = s.i16 < 0; r.u16 = (s.u16 ^ r.u16) - r.u16)
VEC(pabsd, r.i32 = s.i32 < 0; r.u32 = (s.u32 ^ r.u32) - r.u32)
VEC(psignb, x86_vi8 n = s.i8 < 0; r.u8 = ((d.u8 ^ (x86_vu8)n) - (x86_vu8)n) & (x86_vu8)(s.i8 != 0))
VEC(psignw, x86_vi16 n = s.i16 < 0;
    r.u16 = ((d.u16 ^ (x86_vu16)n) - (x86_vu16)n) & (x86_vu16)(s.i16 != 0))
VEC(psignd, x86_vi32 n = s.i32 < 0;
    r.u32 = ((d.u32 ^ (x86_vu32)n) - (x86_vu32)n) & (x86_vu32)(s.i32 != 0))

VEC(punpcklbw, LANES(8) r.u8[2 * k] = d.u8[k], r.u8[2 * k + 1] = s.u8[k])
VEC(punpckhbw, LANES(8) r.u8[2 * k] = d.u8[8 + k], r.u8[2 * k + 1] = s.u8[8 + k])
VEC(punpcklwd, LANES(4) r.u16[2 * k] = d.u16[k], r.u16[2 * k + 1] = s.u16[k])
VEC(punpckhwd, LANES(4) r.u16[2 * k] = d.u16[4 + k], r.u16[2 * k + 1] = s.u16[4 + k])
VEC(punpckldq, LANES(2) r.u32[2 * k] = d.u32[k], r.u32[2 * k + 1] = s.u32[k])
VEC(punpckhdq, LANES(2) r.u32[2 * k] = d.u32[2 + k], r.u32[2 * k + 1] = s.u32[2 + k])
VEC(punpcklqdq, r.u64[0] = d.u64[0]; r.u64[1] = s.u64[0])
VEC(punpckhqdq, r.u64[0] = d.u64[1]; r.u64[1] = s.u64[1])

VEC(packsswb, LANES(8) {
    r.i8[k] = (int8_t)clamp(d.i16[k], INT8_MIN, INT8_MAX);
    r.i8[8 + k] = (int8_t)clamp(s.i16[k], INT8_MIN, INT8_MAX);
})
VEC(packuswb, LANES(8) {
    r.u8[k] = (uint8_t)clamp(d.i16[k], 0, UINT8_MAX);
    r.u8[8 + k] = (uint8_t)clamp(s.i16[k], 0, UINT8_MAX);
})
VEC(packssdw, LANES(4) {
    r.i16[k] = (int16_t)clamp(d.i32[k], INT16_MIN, INT16_MAX);
    r.i16[4 + k] = (int16_t)clamp(s.i32[k], INT16_MIN, INT16_MAX);
})
VEC(packusdw, LANES(4) {
    r.u16[k] = (uint16_t)clamp(d.i32[k], 0, UINT16_MAX);
    r.u16[4 + k] = (uint16_t)clamp(s.i32[k], 0, UINT16_MAX);
})

VEC(phaddw, LANES(4) {
    r.u16[k] = (uint16_t)(d.u16[2 * k] + d.u16[2 * k + 1]);
    r.u16[4 + k] = (uint16_t)(s.u16[2 * k] + s.u16[2 * k + 1]);
})
VEC(phsubw, LANES(4) {
    r.u16[k] = (uint16_t)(d.u16[2 * k] - d.u16[2 * k + 1]);
    r.u16[4 + k] = (uint16_t)(s.u16[2 * k] - s.u16[2 * k + 1]);
})
VEC(phaddd, LANES(2) {
    r.u32[k] = d.u32[2 * k] + d.u32[2 * k + 1];
    r.u32[2 + k] = s.u32[2 * k] + s.u32[2 * k + 1];
})
VEC(phsubd, LANES(2) {
    r.u32[k] = d.u32[2 * k] - d.u32[2 * k + 1];
    r.u32[2 + k] = s.u32[2 * k] - s.u32[2 * k + 1];
})
VEC(phaddsw, LANES(4) {
    r.i16[k] = (int16_t)clamp(d.i16[2 * k] + d.i16[2 * k + 1], INT16_MIN, INT16_MAX);
    r.i16[4 + k] = (int16_t)clamp(s.i16[2 * k] + s.i16[2 * k + 1], INT16_MIN, INT16_MAX);
})
VEC(phsubsw, LANES(4) {
    r.i16[k] = (int16_t)clamp(d.i16[2 * k] - d.i16[2 * k + 1], INT16_MIN, INT16_MAX);
    r.i16[4 + k] = (int16_t)clamp(s.i16[2 * k] - s.i16[2 * k + 1], INT16_MIN, INT16_MAX);
})
VEC(pshufb, LANES(16) r.u8[k] = s.u8[k] & 0x80 ? 0 : d.u8[s.u8[k] & 15])

BOTH(paddb) BOTH(paddw) BOTH(paddd) BOTH(paddq)
BOTH(psubb) BOTH(psubw) BOTH(psubd) BOTH(psubq)
BOTH(paddsb) BOTH(paddsw) BOTH(psubsb) BOTH(psubsw)
BOTH(paddusb) BOTH(paddusw) BOTH(psubusb) BOTH(psubusw)
BOTH(pand) BOTH(pandn) BOTH(por) BOTH(pxor)
BOTH(pcmpeqb) BOTH(pcmpeqw) BOTH(pcmpeqd) BOTH(pcmpgtb) BOTH(pcmpgtw) BOTH(pcmpgtd)
BOTH(pminub) BOTH(pmaxub) BOTH(pminsw) BOTH(pmaxsw) BOTH(pavgb) BOTH(pavgw)
BOTH(pmullw) BOTH(pmulhw) BOTH(pmulhuw) BOTH(pmulhrsw) BOTH(pmuludq)
BOTH(pmaddwd) BOTH(pmaddubsw) BOTH(psadbw)
BOTH(pabsb) BOTH(pabsw) BOTH(pabsd) BOTH(psignb) BOTH(psignw) BOTH(psignd)
SSE_ONLY(pcmpeqq) SSE_ONLY(pcmpgtq) SSE_ONLY(pmulld) SSE_ONLY(pmuldq)
SSE_ONLY(pminsb) SSE_ONLY(pmaxsb) SSE_ONLY(pminuw) SSE_ONLY(pmaxuw)
SSE_ONLY(pminud) SSE_ONLY(pmaxud) SSE_ONLY(pminsd) SSE_ONLY(pmaxsd)
SSE_ONLY(packusdw) SSE_ONLY(pshufb)
SSE_ONLY(punpcklbw) SSE_ONLY(punpcklwd) SSE_ONLY(punpckldq) SSE_ONLY(punpcklqdq)
SSE_ONLY(punpckhbw) SSE_ONLY(punpckhwd) SSE_ONLY(punpckhdq) SSE_ONLY(punpckhqdq)
MMX_JOINED(packsswb) MMX_JOINED(packuswb) MMX_JOINED(packssdw)
MMX_JOINED(phaddw) MMX_JOINED(phsubw) MMX_JOINED(phaddd) MMX_JOINED(phsubd)
MMX_JOINED(phaddsw) MMX_JOINED(phsubsw)
MMX_UPPER(punpckhbw, punpcklbw) MMX_UPPER(punpckhwd, punpcklwd) MMX_UPPER(punpckhdq, punpckldq)
/* clang-format on */

/* PUNPCKL of MMX reads only 4 bytes of memory. */
#define MMX_UNPACK_LOW(name)                                                                       \
    enum x86_result x86_op_mmx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_MMX_ENTER(c);                                                                          \
        uint32_t v = (uint32_t)x86_mmx_get(c, i->rm);                                              \
        if (i->mem && x86_load32(c, i->seg, x86_ea(c, i), &v))                                     \
            return X86_FAULT;                                                                      \
        x86_mmx_commit(c);                                                                         \
        union x86_vec d = {.x = {.u64 = {x86_mmx_get(c, i->reg), 0}}};                             \
        union x86_vec s = {.x = {.u64 = {v, 0}}};                                                  \
        x86_mmx_set(c, i->reg, vec_##name(d, s).x.u64[0]);                                         \
        return X86_NEXT;                                                                           \
    }
                                                                MMX_UNPACK_LOW(punpcklbw)
                                                                    MMX_UNPACK_LOW(punpcklwd)
                                                                        MMX_UNPACK_LOW(punpckldq)
