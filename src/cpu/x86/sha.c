/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-1 and SHA-256 instructions (FIPS 180-4; vol. 2, SHA1RNDS4 and those after it). */
#include "cpu/x86/simd.h"
#include "x86-opcodes.h"

static uint32_t rol(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static uint32_t ror(uint32_t v, unsigned n)
{
    return rol(v, 32 - n);
}

/* Defines x86_op_sha_NAME: d = destination, s = aligned source, r = result. */
#define SHA(name, ...)                                                                             \
    enum x86_result x86_op_sha_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        X86_SSE_ENTER(c);                                                                          \
        union x86_xmm s, r;                                                                        \
        if (x86_src128(c, i, &s))                                                                  \
            return X86_FAULT;                                                                      \
        const union x86_xmm d = c->xmm[i->reg];                                                    \
        __VA_ARGS__;                                                                               \
        c->xmm[i->reg] = r;                                                                        \
        return X86_NEXT;                                                                           \
    }

/* The functions f0 to f3 of SHA-1, f1 and f3 being the same. */
static uint32_t sha1_f(unsigned which, uint32_t b, uint32_t c, uint32_t d)
{
    switch (which) {
    case 0:
        return (b & c) ^ (~b & d);
    case 2:
        return (b & c) ^ (b & d) ^ (c & d);
    default:
        return b ^ c ^ d;
    }
}

/* Four rounds; A, B, C, D from the top word down, E is in the first word of the source. */
static union x86_xmm sha1_rounds(const union x86_xmm *state, const union x86_xmm *w, unsigned which)
{
    static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t a = state->u32[3], b = state->u32[2], c = state->u32[1], d = state->u32[0], e = 0;
    for (unsigned n = 0; n < 4; n++) {
        uint32_t t = sha1_f(which, b, c, d) + rol(a, 5) + w->u32[3 - n] + k[which] + e;
        e = d;
        d = c;
        c = rol(b, 30);
        b = a;
        a = t;
    }
    return (union x86_xmm){.u32 = {d, c, b, a}};
}

/* Two rounds: A, B, E, F in the source and C, D, G, H in the destination, from the top down. */
static union x86_xmm sha256_rounds(const union x86_xmm *cdgh, const union x86_xmm *abef,
                                   const union x86_xmm *wk)
{
    uint32_t a = abef->u32[3], b = abef->u32[2], e = abef->u32[1], f = abef->u32[0];
    uint32_t c = cdgh->u32[3], d = cdgh->u32[2], g = cdgh->u32[1], h = cdgh->u32[0];
    for (unsigned n = 0; n < 2; n++) {
        uint32_t t1 = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + ((e & f) ^ (~e & g)) + wk->u32[n];
        uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    return (union x86_xmm){.u32 = {f, e, b, a}};
}

static uint32_t sigma0(uint32_t v)
{
    return ror(v, 7) ^ ror(v, 18) ^ v >> 3;
}

static uint32_t sigma1(uint32_t v)
{
    return ror(v, 17) ^ ror(v, 19) ^ v >> 10;
}

/* clang-format off */
SHA(1rnds4, r = sha1_rounds(&d, &s, i->imm & 3))
SHA(1nexte, r = s; r.u32[3] += rol(d.u32[3], 30))
SHA(1msg1, r.u32[3] = d.u32[1] ^ d.u32[3]; r.u32[2] = d.u32[0] ^ d.u32[2];
    r.u32[1] = s.u32[3] ^ d.u32[1]; r.u32[0] = s.u32[2] ^ d.u32[0])
SHA(1msg2, r.u32[3] = rol(d.u32[3] ^ s.u32[2], 1); r.u32[2] = rol(d.u32[2] ^ s.u32[1], 1);
    r.u32[1] = rol(d.u32[1] ^ s.u32[0], 1); r.u32[0] = rol(d.u32[0] ^ r.u32[3], 1))
SHA(256rnds2, r = sha256_rounds(&d, &s, &c->xmm[0]))
SHA(256msg1, for (unsigned k = 0; k < 4; k++)
    r.u32[k] = d.u32[k] + sigma0(k < 3 ? d.u32[k + 1] : s.u32[0]))
SHA(256msg2, r.u32[0] = d.u32[0] + sigma1(s.u32[2]); r.u32[1] = d.u32[1] + sigma1(s.u32[3]);
    r.u32[2] = d.u32[2] + sigma1(r.u32[0]); r.u32[3] = d.u32[3] + sigma1(r.u32[1]))
/* clang-format on */
