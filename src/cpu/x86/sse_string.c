/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (vol. 1, 12.7 and vol. 2, 4.1).
 *
 * imm8: [0] words instead of bytes, [1] signed, [3:2] aggregation, [4] negative polarity, [5]
 * masked (only valid elements are negated), [6] for the index form the most significant bit, for
 * the mask form a full mask of elements.
 */
#include "cpu/x86/flags.h"
#include "cpu/x86/simd.h"
#include "x86-opcodes.h"

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

static int32_t element(const union x86_xmm *v, unsigned imm, unsigned k)
{
    if (imm & 1)
        return imm & 2 ? v->i16[k] : v->u16[k];
    return imm & 2 ? v->i8[k] : v->u8[k];
}

static unsigned implicit_length(const union x86_xmm *v, unsigned imm, unsigned n)
{
    unsigned k = 0;
    while (k < n && element(v, imm, k) != 0)
        k++;
    return k;
}

/* |RAX| or |RDX|, saturated. */
static unsigned explicit_length(uint64_t reg, bool wide, unsigned n)
{
    int64_t v = wide ? (int64_t)reg : (int32_t)reg;
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    return magnitude > n ? n : (unsigned)magnitude;
}

/* IntRes1: one bit for each element of the second string (@len2 of @n valid). */
static unsigned aggregate(const union x86_xmm *a, unsigned len1, const union x86_xmm *b,
                          unsigned len2, unsigned imm, unsigned n)
{
    unsigned r = 0;
    for (unsigned j = 0; j < n; j++) {
        bool hit = false;
        switch (imm >> 2 & 3) {
        case EQUAL_ANY:
            for (unsigned k = 0; k < len1 && j < len2; k++)
                hit |= element(a, imm, k) == element(b, imm, j);
            break;
        case RANGES:
            for (unsigned k = 0; k + 1 < len1 && j < len2; k += 2)
                hit |= element(b, imm, j) >= element(a, imm, k) &&
                       element(b, imm, j) <= element(a, imm, k + 1);
            break;
        case EQUAL_EACH:
            hit = j < len1 && j < len2 ? element(a, imm, j) == element(b, imm, j)
                                       : j >= len1 && j >= len2;
            break;
        default:
            hit = true;
            for (unsigned k = 0; k < len1 && j + k < n; k++)
                hit &= j + k < len2 && element(a, imm, k) == element(b, imm, j + k);
            break;
        }
        r |= (unsigned)hit << j;
    }
    return r;
}

/* IntRes2, and the flags. */
static unsigned compare_strings(struct x86_cpu *c, const union x86_xmm *a, unsigned len1,
                                const union x86_xmm *b, unsigned len2, unsigned imm)
{
    unsigned n = imm & 1 ? 8 : 16, all = (1u << n) - 1;
    unsigned r = aggregate(a, len1, b, len2, imm, n);
    if (imm & 0x10)
        r ^= imm & 0x20 ? (1u << len2) - 1 : all;
    uint64_t flags = 0;
    if (r)
        flags |= X86_CF;
    if (len2 < n)
        flags |= X86_ZF;
    if (len1 < n)
        flags |= X86_SF;
    if (r & 1)
        flags |= X86_OF;
    x86_flags_set(c, flags, X86_ARITH);
    return r;
}

static enum x86_result run(struct x86_cpu *c, const struct x86_insn *i, bool explicit_lengths,
                           unsigned *ret)
{
    X86_SSE_ENTER(c);
    union x86_xmm a = c->xmm[i->reg], b;
    unsigned imm = (uint8_t)i->imm, n = imm & 1 ? 8 : 16, len1, len2;
    if (x86_src128u(c, i, &b))
        return X86_FAULT;
    if (explicit_lengths) {
        len1 = explicit_length(c->gpr[X86_RAX], i->rex & 8, n);
        len2 = explicit_length(c->gpr[X86_RDX], i->rex & 8, n);
    } else {
        len1 = implicit_length(&a, imm, n);
        len2 = implicit_length(&b, imm, n);
    }
    *ret = compare_strings(c, &a, len1, &b, len2, imm);
    return X86_NEXT;
}

static enum x86_result to_index(struct x86_cpu *c, const struct x86_insn *i, bool explicit_lengths)
{
    unsigned r = 0;
    enum x86_result result = run(c, i, explicit_lengths, &r);
    if (result != X86_NEXT)
        return result;
    unsigned none = i->imm & 1 ? 8 : 16;
    if (!r)
        c->gpr[X86_RCX] = none;
    else if (i->imm & 0x40)
        c->gpr[X86_RCX] = 31 - (unsigned)__builtin_clz(r);
    else
        c->gpr[X86_RCX] = (unsigned)__builtin_ctz(r);
    return X86_NEXT;
}

static enum x86_result to_mask(struct x86_cpu *c, const struct x86_insn *i, bool explicit_lengths)
{
    unsigned r;
    enum x86_result result = run(c, i, explicit_lengths, &r);
    if (result != X86_NEXT)
        return result;
    union x86_xmm m = {.u64 = {r, 0}};
    if (i->imm & 0x40) {
        for (unsigned k = 0; k < 16; k++)
            m.u8[k] = r >> (i->imm & 1 ? k / 2 : k) & 1 ? 0xff : 0;
    }
    c->xmm[0] = m;
    return X86_NEXT;
}

enum x86_result x86_op_sse_pcmpestri(struct x86_cpu *c, const struct x86_insn *i)
{
    return to_index(c, i, true);
}

enum x86_result x86_op_sse_pcmpistri(struct x86_cpu *c, const struct x86_insn *i)
{
    return to_index(c, i, false);
}

enum x86_result x86_op_sse_pcmpestrm(struct x86_cpu *c, const struct x86_insn *i)
{
    return to_mask(c, i, true);
}

enum x86_result x86_op_sse_pcmpistrm(struct x86_cpu *c, const struct x86_insn *i)
{
    return to_mask(c, i, false);
}
