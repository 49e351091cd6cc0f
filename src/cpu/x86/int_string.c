/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions (vol. 1, 7.3.9). Each iteration that completed stays when a later one faults.
 *
 * REP runs many iterations at a time, whole pages through host pointers where memory allows, and
 * gives the dispatcher a turn in between (X86_BRANCH with rip unchanged): when attention is asked
 * for, and after BURST iterations.
 */
#include "cpu/x86/int_core.h"

enum { BURST = 4096 };

struct string {
    unsigned sz, asz, seg;
    int64_t step; /* by DF, in bytes */
};

static struct string string_of(const struct x86_cpu *c, const struct x86_insn *i)
{
    int64_t size = 1 << i->osize;
    return (struct string){i->osize, i->asize, i->seg, c->rflags & X86_DF ? -size : size};
}

static inline uint64_t src(const struct x86_cpu *c, const struct string *s)
{
    return zext(s->asz, c->gpr[X86_RSI]);
}
static inline uint64_t dst(const struct x86_cpu *c, const struct string *s)
{
    return zext(s->asz, c->gpr[X86_RDI]);
}
static inline void advance(struct x86_cpu *c, const struct string *s, unsigned reg, uint64_t n)
{
    reg_set(c, reg, 0, s->asz, c->gpr[reg] + (uint64_t)s->step * n);
}

/*
 * Host pointer for whole elements at [seg:off] going up, at most @n, all before the offset wraps.
 * NULL: one element the slow way.
 */
static uint8_t *run_at(struct x86_cpu *c, const struct string *s, unsigned seg, uint64_t off,
                       bool write, uint64_t *n)
{
    const struct x86_seg *sg = &c->seg[seg];
    uint64_t max = s->asz == X86_SIZE_16 ? 0xffff : s->asz == X86_SIZE_32 ? UINT32_MAX : UINT64_MAX;
    uint64_t lin, bytes = *n << s->sz;
    size_t len;
    uint8_t *p;

    if (bytes - 1 > max - off || c->align_check)
        return NULL;
    if (c->mode != X86_MODE_64 && !(write ? sg->flat_w : sg->flat_r)) {
        /* Segment limits: try the whole page's worth, no fault is wanted here. */
        uint64_t room = GMEM_PAGE_SIZE - ((sg->lin_base + off) & (GMEM_PAGE_SIZE - 1));
        if (bytes > room)
            bytes = room;
        if ((sg->attr & (X86_SEG_S | X86_SEG_P | 0xc)) != (X86_SEG_S | X86_SEG_P) ||
            (write && !(sg->attr & 2)) || sg->null || off > sg->limit ||
            bytes - 1 > sg->limit - off)
            return NULL; /* data, expand-up segments only */
    } else if (c->mode == X86_MODE_64 &&
               (uint64_t)((int64_t)((sg->lin_base + off) << 16) >> 16) != sg->lin_base + off) {
        return NULL;
    }
    lin = sg->lin_base + off;
    if (c->mode != X86_MODE_64)
        lin = (uint32_t)lin;
    len = (size_t)min_of(bytes, (uint64_t)GMEM_PAGE_SIZE);
    p = x86_direct(c, lin, write, &len);
    if (!p || !(len >> s->sz))
        return NULL;
    *n = min_of(*n, (uint64_t)(len >> s->sz));
    return p;
}

/* One element each; nonzero after a fault. */
static int movs_one(struct x86_cpu *c, const struct string *s)
{
    uint64_t v;

    if (mem_get(c, s->seg, src(c, s), s->sz, &v) || mem_set(c, X86_ES, dst(c, s), s->sz, v))
        return 1;
    advance(c, s, X86_RSI, 1);
    advance(c, s, X86_RDI, 1);
    return 0;
}

static int stos_one(struct x86_cpu *c, const struct string *s)
{
    if (mem_set(c, X86_ES, dst(c, s), s->sz, c->gpr[X86_RAX]))
        return 1;
    advance(c, s, X86_RDI, 1);
    return 0;
}

static int lods_one(struct x86_cpu *c, const struct string *s)
{
    uint64_t v;

    if (mem_get(c, s->seg, src(c, s), s->sz, &v))
        return 1;
    reg_set(c, X86_RAX, 0, s->sz, v);
    advance(c, s, X86_RSI, 1);
    return 0;
}

static int cmps_one(struct x86_cpu *c, const struct string *s)
{
    uint64_t a, b;

    if (mem_get(c, s->seg, src(c, s), s->sz, &a) || mem_get(c, X86_ES, dst(c, s), s->sz, &b))
        return 1;
    alu_commit(c, alu_sub(s->sz, a, b));
    advance(c, s, X86_RSI, 1);
    advance(c, s, X86_RDI, 1);
    return 0;
}

static int scas_one(struct x86_cpu *c, const struct string *s)
{
    uint64_t b;

    if (mem_get(c, X86_ES, dst(c, s), s->sz, &b))
        return 1;
    alu_commit(c, alu_sub(s->sz, reg_get(c, X86_RAX, 0, s->sz), b));
    advance(c, s, X86_RDI, 1);
    return 0;
}

/* Many elements through host pointers: the number done, 0 when one must go the slow way. */
static uint64_t movs_many(struct x86_cpu *c, const struct string *s, uint64_t n)
{
    uint8_t *to, *from;

    to = run_at(c, s, X86_ES, dst(c, s), true, &n);
    from = to ? run_at(c, s, s->seg, src(c, s), false, &n) : NULL;
    if (!from)
        return 0;
    if (to > from && to < from + (n << s->sz)) {
        /* Overlapping upwards: the pattern in front repeats, element by element. */
        for (uint64_t k = 0; k < n; k++)
            memmove(to + (k << s->sz), from + (k << s->sz), 1u << s->sz);
    } else {
        memmove(to, from, n << s->sz);
    }
    advance(c, s, X86_RSI, n);
    advance(c, s, X86_RDI, n);
    return n;
}

static uint64_t stos_many(struct x86_cpu *c, const struct string *s, uint64_t n)
{
    uint8_t *to = run_at(c, s, X86_ES, dst(c, s), true, &n);
    uint64_t v = c->gpr[X86_RAX];

    if (!to)
        return 0;
    if (s->sz == X86_SIZE_8 || zext(s->sz, v) == 0)
        memset(to, (uint8_t)v, n << s->sz);
    else
        for (uint64_t k = 0; k < n; k++)
            memcpy(to + (k << s->sz), &v, 1u << s->sz);
    advance(c, s, X86_RDI, n);
    return n;
}

typedef int one_fn(struct x86_cpu *c, const struct string *s);
typedef uint64_t many_fn(struct x86_cpu *c, const struct string *s, uint64_t n);

/* @compares: REPE and REPNE end it by ZF. @many may be NULL. */
static always_inline enum x86_result repeat(struct x86_cpu *c, const struct x86_insn *i,
                                            one_fn *one, many_fn *many, bool compares)
{
    struct string s = string_of(c, i);
    uint64_t count, done, burst = BURST;

    if (!i->rep)
        return one(c, &s) ? X86_FAULT : X86_NEXT;
    while ((count = zext(s.asz, c->gpr[X86_RCX])) != 0) {
        done = 0;
        if (many && s.step > 0 && count > 1 &&
            !(atomic_load_explicit(&c->attention, memory_order_relaxed) & X86_ATTN_SLOW))
            done = many(c, &s, min_of(count, (uint64_t)GMEM_PAGE_SIZE));
        if (!done) {
            if (one(c, &s))
                return X86_FAULT;
            done = 1;
        }
        reg_set(c, X86_RCX, 0, s.asz, count - done);
        if (count == done || (compares && x86_flag_zf(c) != (i->rep == X86_REP_E)))
            return X86_NEXT;
        burst -= min_of(burst, done);
        if (!burst || atomic_load_explicit(&c->attention, memory_order_relaxed))
            return X86_BRANCH;
    }

    return X86_NEXT;
}

enum x86_result x86_op_movs(struct x86_cpu *c, const struct x86_insn *i)
{
    return repeat(c, i, movs_one, movs_many, false);
}
enum x86_result x86_op_stos(struct x86_cpu *c, const struct x86_insn *i)
{
    return repeat(c, i, stos_one, stos_many, false);
}
enum x86_result x86_op_lods(struct x86_cpu *c, const struct x86_insn *i)
{
    return repeat(c, i, lods_one, NULL, false);
}
enum x86_result x86_op_cmps(struct x86_cpu *c, const struct x86_insn *i)
{
    return repeat(c, i, cmps_one, NULL, true);
}
enum x86_result x86_op_scas(struct x86_cpu *c, const struct x86_insn *i)
{
    return repeat(c, i, scas_one, NULL, true);
}
