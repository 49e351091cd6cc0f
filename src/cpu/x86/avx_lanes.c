/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VEX instructions that are their SSE twin with a third operand, on one or two lanes of 128 bits:
 * the twin's function runs on copies of the operands.
 *
 * Instructions that are met in hot loops have functions of their own (sse_int.c, sse_fp.c,
 * sse_shuffle.c, avx_move.c); those here only have to be right.
 */
#include "cpu/x86/avx.h"
#include "cpu/x86/sse_fp.h"
#include "x86-opcodes.h"

/* Runs the twin, which would look at CR0.EM and CR4.OSFXSR. */
static inline enum x86_result twin(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    if (likely(!x86_sse_off(c)))
        return fn(c, i);
    const uint64_t cr0 = c->cr0, cr4 = c->cr4;
    c->cr0 &= ~(uint64_t)X86_CR0_EM;
    c->cr4 |= X86_CR4_OSFXSR;
    enum x86_result r = fn(c, i);
    c->cr0 = cr0;
    c->cr4 = cr4;
    return r;
}

/* The register beside @reg: lent to the source operand, and put back. */
static unsigned beside(unsigned reg)
{
    return (reg + 1) & 15;
}

/*
 * One pass over the lanes with function @fn, destination and source in registers. Results go to
 * *ret; the flags raised by all lanes to *ret_flags when @collect, and MXCSR is then left cleared
 * of its own. False when a lane raised an exception.
 */
static bool pass(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn,
                 const union x86_ymm *d, const union x86_ymm *s, unsigned step, bool collect,
                 union x86_ymm *ret, unsigned *ret_flags)
{
    struct x86_insn lane = *i;
    bool ok = true;
    lane.mem = 0;
    lane.rm = (uint8_t)beside(i->reg);
    for (unsigned k = 0; k <= i->vlen; k++) {
        if (collect)
            c->mxcsr &= ~0x3fu;
        c->xmm[lane.reg] = d->x[k];
        c->xmm[lane.rm] = s->x[k];
        bool fine = twin(c, &lane, fn) == X86_NEXT;
        *ret_flags |= fine ? c->mxcsr & 0x3f : c->sse_raised;
        ok = ok && fine;
        if (!ok && !collect)
            return false;
        ret->x[k] = c->xmm[lane.reg];
        lane.imm = (uint8_t)lane.imm >> step;
    }
    return ok;
}

/*
 * #XM looks at the exceptions of all lanes together: after one, everything is run once more to
 * collect them.
 */
static enum x86_result run_lanes(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn,
                                 const union x86_ymm *d, const union x86_ymm *s, unsigned step)
{
    const union x86_xmm old = c->xmm[i->reg], lent = c->xmm[beside(i->reg)];
    const uint32_t mxcsr = c->mxcsr;
    union x86_ymm r;
    unsigned flags = 0;
    bool ok = pass(c, i, fn, d, s, step, false, &r, &flags);
    if (unlikely(!ok)) {
        flags = 0;
        pass(c, i, fn, d, s, step, true, &r, &flags);
        c->mxcsr = mxcsr;
        c->fault = (struct x86_pending){0};
    }
    c->xmm[beside(i->reg)] = lent;
    if (unlikely(!ok)) {
        c->xmm[i->reg] = old;
        struct sf_env env = x86_sse_env(c);
        env.flags = (uint8_t)flags;
        return x86_sse_exceptions(c, &env);
    }
    x86_avx_put(c, i->reg, &r, i->vlen);
    return X86_NEXT;
}

/* Both operands of the vector size. */
static enum x86_result lanes(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    X86_AVX_ENTER(c);
    union x86_ymm s, d = x86_ymm_get(c, i->vvvv);
    return x86_avx_src(c, i, &s) ? X86_FAULT : run_lanes(c, i, fn, &d, &s, 0);
}

/* 128 bits with a memory operand of the twin's size, which it reads itself, without alignment. */
static enum x86_result merged(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    X86_AVX_ENTER(c);
    const union x86_xmm old = c->xmm[i->reg], lent = c->xmm[beside(i->reg)];
    struct x86_insn copy = *i;
    c->xmm[i->reg] = c->xmm[i->vvvv];
    if (!i->mem && i->rm == i->reg) {
        copy.rm = (uint8_t)beside(i->reg);
        c->xmm[copy.rm] = old;
    }
    enum x86_result r = twin(c, &copy, fn);
    if (copy.rm != i->rm)
        c->xmm[copy.rm] = lent;
    if (r == X86_NEXT)
        c->ymmh[i->reg] = (union x86_xmm){.u64 = {0, 0}};
    else
        c->xmm[i->reg] = old;
    return r;
}

/* The same where the source is a general register or memory. */
static enum x86_result merged_general(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    X86_AVX_ENTER(c);
    const union x86_xmm old = c->xmm[i->reg];
    c->xmm[i->reg] = c->xmm[i->vvvv];
    enum x86_result r = twin(c, i, fn);
    if (r == X86_NEXT)
        c->ymmh[i->reg] = (union x86_xmm){.u64 = {0, 0}};
    else
        c->xmm[i->reg] = old;
    return r;
}

/* As the twin, with the rest of register @dest cleared. */
static enum x86_result cleared(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn,
                               unsigned dest)
{
    X86_AVX_ENTER(c);
    enum x86_result r = twin(c, i, fn);
    if (r == X86_NEXT)
        c->ymmh[dest] = (union x86_xmm){.u64 = {0, 0}};
    return r;
}

/* As the twin: no vector register is written. */
static enum x86_result plain(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    X86_AVX_ENTER(c);
    return twin(c, i, fn);
}

#define FORM(name, call)                                                                           \
    enum x86_result x86_op_avx_##name(struct x86_cpu *c, const struct x86_insn *i)                 \
    {                                                                                              \
        return call;                                                                               \
    }
#define AVX_LANES(name)   FORM(name, lanes(c, i, x86_op_sse_##name))
#define AVX_MERGED(name)  FORM(name, merged(c, i, x86_op_sse_##name))
#define AVX_GENERAL(name) FORM(name, merged_general(c, i, x86_op_sse_##name))
#define AVX_PLAIN(name)   FORM(name, plain(c, i, x86_op_sse_##name))

/* clang-format off */
AVX_LANES(rsqrtps) AVX_LANES(rcpps)
AVX_LANES(haddps) AVX_LANES(haddpd) AVX_LANES(hsubps) AVX_LANES(hsubpd)
AVX_LANES(addsubps) AVX_LANES(addsubpd) AVX_LANES(dppd)
AVX_LANES(roundps) AVX_LANES(roundpd)
AVX_LANES(cvtdq2ps) AVX_LANES(cvtps2dq) AVX_LANES(cvttps2dq)
AVX_LANES(aesenc) AVX_LANES(aesenclast) AVX_LANES(aesdec) AVX_LANES(aesdeclast)
AVX_LANES(aesimc) AVX_LANES(aeskeygenassist) AVX_LANES(pclmulqdq)

AVX_MERGED(addss) AVX_MERGED(subss) AVX_MERGED(mulss) AVX_MERGED(divss) AVX_MERGED(sqrtss)
AVX_MERGED(minss) AVX_MERGED(maxss) AVX_MERGED(rcpss) AVX_MERGED(rsqrtss) AVX_MERGED(roundss)
AVX_MERGED(addsd) AVX_MERGED(subsd) AVX_MERGED(mulsd) AVX_MERGED(divsd) AVX_MERGED(sqrtsd)
AVX_MERGED(minsd) AVX_MERGED(maxsd) AVX_MERGED(roundsd)
AVX_MERGED(cvtss2sd) AVX_MERGED(cvtsd2ss) AVX_MERGED(insertps)
AVX_GENERAL(cvtsi2ss) AVX_GENERAL(cvtsi2sd)
AVX_GENERAL(pinsrb) AVX_GENERAL(pinsrw) AVX_GENERAL(pinsrd)

AVX_PLAIN(store32) AVX_PLAIN(store64) AVX_PLAIN(store_hi) AVX_PLAIN(movd_store)
AVX_PLAIN(maskmovdqu) AVX_PLAIN(pextrb) AVX_PLAIN(pextrw) AVX_PLAIN(pextrw_reg) AVX_PLAIN(pextrd)
AVX_PLAIN(extractps) AVX_PLAIN(pcmpestri) AVX_PLAIN(pcmpistri)
AVX_PLAIN(comiss) AVX_PLAIN(comisd) AVX_PLAIN(ucomiss) AVX_PLAIN(ucomisd)
AVX_PLAIN(cvtss2si) AVX_PLAIN(cvttss2si) AVX_PLAIN(cvtsd2si) AVX_PLAIN(cvttsd2si)
FORM(ldmxcsr, plain(c, i, x86_op_ldmxcsr))
FORM(stmxcsr, plain(c, i, x86_op_stmxcsr))
FORM(load32, cleared(c, i, x86_op_sse_load32, i->reg))
FORM(load64, cleared(c, i, x86_op_sse_load64, i->reg))
FORM(movd_load, cleared(c, i, x86_op_sse_movd_load, i->reg))
FORM(movq_rr, cleared(c, i, x86_op_sse_movq_rr, i->reg))
FORM(movq_rr_rev, cleared(c, i, x86_op_sse_movq_rr_rev, i->rm))
FORM(pcmpestrm, cleared(c, i, x86_op_sse_pcmpestrm, 0))
FORM(pcmpistrm, cleared(c, i, x86_op_sse_pcmpistrm, 0))
    /* clang-format on */

    /*
     * Conversions between lanes of different size: the narrow side is one lane of 128 bits whatever
     * the vector size, of which each pass takes or makes a half.
     */

    /* VCVTPS2PD, VCVTDQ2PD: 8 or 16 bytes of memory. */
    static enum x86_result widened(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    X86_AVX_ENTER(c);
    union x86_ymm s = {.x[0] = c->xmm[i->rm & 15]};
    if (i->mem && (i->vlen ? x86_load128(c, i->seg, x86_ea(c, i), &s.x[0])
                           : x86_load64(c, i->seg, x86_ea(c, i), &s.u64[0])))
        return X86_FAULT;
    s.u64[2] = s.u64[1];
    s.u64[3] = 0;
    return run_lanes(c, i, fn, &s, &s, 0);
}

/* VCVTPD2PS, VCVTPD2DQ, VCVTTPD2DQ. */
static enum x86_result narrowed(struct x86_cpu *c, const struct x86_insn *i, x86_exec_fn *fn)
{
    enum x86_result r = lanes(c, i, fn);
    if (r == X86_NEXT && i->vlen) {
        c->xmm[i->reg].u64[1] = c->ymmh[i->reg].u64[0];
        c->ymmh[i->reg] = (union x86_xmm){.u64 = {0, 0}};
    }
    return r;
}

FORM(cvtps2pd, widened(c, i, x86_op_sse_cvtps2pd))
FORM(cvtdq2pd, widened(c, i, x86_op_sse_cvtdq2pd))
FORM(cvtpd2ps, narrowed(c, i, x86_op_sse_cvtpd2ps))
FORM(cvtpd2dq, narrowed(c, i, x86_op_sse_cvtpd2dq))
FORM(cvttpd2dq, narrowed(c, i, x86_op_sse_cvttpd2dq))
