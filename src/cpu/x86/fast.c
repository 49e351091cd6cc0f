/* SPDX-License-Identifier: Apache-2.0 */
/* Which threaded function executes a decoded instruction, and the ones that are not instructions.
 */
#include "cpu/x86/codecache.h"
#include "cpu/x86/int_core.h"

extern x86_fast_fn *const x86_fast_jcc[4][16];

/* clang-format off */
#define FAST_LIST(X) \
    X(add_EG) X(add_GE) X(add_EI) X(adc_EG) X(adc_GE) X(adc_EI) X(sub_EG) X(sub_GE) X(sub_EI) \
    X(sbb_EG) X(sbb_GE) X(sbb_EI) X(and_EG) X(and_GE) X(and_EI) X(or_EG) X(or_GE) X(or_EI) \
    X(xor_EG) X(xor_GE) X(xor_EI) X(cmp_EG) X(cmp_GE) X(cmp_EI) X(test_EG) X(test_EI) X(inc_E) \
    X(dec_E) X(neg_E) X(not_E) X(mul) X(imul1) X(imul_GE) X(imul_GEI) X(div) X(idiv) X(shl_EI) \
    X(shl_E1) X(shl_EC) X(shr_EI) X(shr_E1) X(shr_EC) X(sar_EI) X(sar_E1) X(sar_EC) X(rol_EI) \
    X(rol_E1) X(rol_EC) X(ror_EI) X(ror_E1) X(ror_EC) X(shld_I) X(shrd_I) X(bt_EG) X(bt_EI) \
    X(bts_EG) X(bts_EI) X(btr_EG) X(btr_EI) X(btc_EG) X(btc_EI) X(bsf) X(bsr) X(tzcnt) \
    X(lzcnt) X(popcnt) X(bswap) X(mov_EG) X(mov_GE) X(mov_EI) X(movzx_b) X(movzx_w) X(movsx_b) \
    X(movsx_w) X(movsxd) X(lea) X(xchg_EG) X(cmpxchg) X(xadd) X(cmov) X(setcc) X(push_E) \
    X(push_I) X(pop_E) X(leave) X(cbw) X(cwd) X(nop) X(jmp_J) X(call_J) X(call_E) X(jmp_E) \
    X(ret)
/* clang-format on */

#define DECLARE(name) extern const struct x86_fast_set x86_fast_##name;
FAST_LIST(DECLARE)

#define ENTRY(name) [X86_H_##name] = &x86_fast_##name,
static const struct x86_fast_set *const fast_sets[X86_HANDLERS] = {FAST_LIST(ENTRY)};

/* Turns the address registers of @i into words of struct x86_cpu. False: no form fits. */
static bool address_form(struct x86_insn *i, enum x86_fast_form *ret)
{
    if (!i->mem) {
        *ret = X86_FORM_R;
        return true;
    }
    *ret = X86_FORM_X;
    if (i->riprel) {
        int64_t disp = (int64_t)i->disp + i->off + i->len;
        if (i->asize != X86_SIZE_64 || disp != (int32_t)disp)
            return false;
        i->disp = (int32_t)disp;
        i->base = X86_FAST_CODE;
    } else if (i->asize == X86_SIZE_64 && i->index == X86_NO_REG && i->base != X86_NO_REG) {
        *ret = X86_FORM_B;
    }
    if (i->base == X86_NO_REG)
        i->base = X86_FAST_ZERO;
    if (i->index == X86_NO_REG)
        i->index = X86_FAST_ZERO;
    return true;
}

static x86_fast_fn *generic_for(const struct x86_row *row)
{
    if (row->attr & X86_ATTR_PRIV)
        return x86_fast_generic_priv;
    if (row->attr & (X86_ATTR_STOP | X86_ATTR_SERIAL))
        return x86_fast_generic_last;
    return x86_fast_generic;
}

x86_fast_fn *x86_fast_select(struct x86_insn *i)
{
    const struct x86_row *row = &x86_optable[i->row];
    const struct x86_fast_set *set = fast_sets[row->handler];
    enum x86_fast_form form;
    struct x86_insn changed = *i;
    x86_fast_fn *fn = NULL;

    if (row->handler == X86_H_jcc) {
        fn = x86_fast_jcc[i->osize][i->opcode & 15];
        form = X86_FORM_R;
    } else if (set && address_form(&changed, &form)) {
        fn = set->fn[i->osize][form];
    }
    if (!fn)
        return generic_for(row);
    if (row->imm[0] == X86_IMM_JB || row->imm[0] == X86_IMM_JZ)
        changed.imm += i->off + (uint64_t)i->len;
    *i = changed;
    return fn;
}

static struct x86_interp *engine_of(struct x86_cpu *c)
{
    return c->engine;
}

const struct x86_insn *x86_fast_fault(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rip = x86_fast_rip(c, i);
    c->insn_count -= i->left;
    engine_of(c)->result = (uint8_t)x86_deliver_fault(c);
    return NULL;
}

const struct x86_insn *x86_fast_goto(struct x86_cpu *c, const struct x86_insn *i)
{
    uint64_t rip = c->rip;
    bool ok = c->mode == X86_MODE_64 ? (uint64_t)((int64_t)(rip << 16) >> 16) == rip
                                     : rip <= c->seg[X86_CS].limit;

    if (likely(ok))
        return NULL;
    c->insn_count += i->left - 1u;
    x86_raise_gp(c, 0);
    return x86_fast_fault(c, i);
}

/* Leaves the block after generic instruction @i, of which c->insn_count knows nothing yet. */
static const struct x86_insn *leave(struct x86_cpu *c, const struct x86_insn *i, enum x86_result r)
{
    if (r == X86_FAULT) {
        r = x86_deliver_fault(c);
    } else {
        c->insn_count++;
        if (r == X86_NEXT)
            c->rip = x86_next_rip(c, i);
    }
    engine_of(c)->result = (uint8_t)r;
    return NULL;
}

const struct x86_insn *x86_fast_generic(struct x86_cpu *c, const struct x86_insn *i)
{
    enum x86_result r;

    c->rip = x86_fast_rip(c, i);
    c->insn_count -= i->left;
    r = x86_execs[i->row](c, i);
    if (likely(r == X86_NEXT)) {
        c->insn_count += i->left;
        X86_FAST_NEXT(c, i);
    }
    return leave(c, i, r);
}

const struct x86_insn *x86_fast_generic_last(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rip = x86_fast_rip(c, i);
    c->insn_count -= i->left;
    return leave(c, i, x86_execs[i->row](c, i));
}

const struct x86_insn *x86_fast_generic_priv(struct x86_cpu *c, const struct x86_insn *i)
{
    if (c->cpl == 0)
        return x86_fast_generic_last(c, i);
    x86_raise_gp(c, 0);
    return x86_fast_fault(c, i);
}

const struct x86_insn *x86_fast_end(struct x86_cpu *c, const struct x86_insn *i)
{
    return x86_fast_enter(c, x86_fast_rip(c, i), NULL);
}

const struct x86_insn *x86_fast_stale(struct x86_cpu *c, const struct x86_insn *i)
{
    c->rip = x86_fast_rip(c, i);
    c->insn_count -= i->left;
    return NULL;
}

int x86_int_load_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz)
{
    return x86_load_slow(c, seg, off, 1u << sz, &c->loaded);
}

int x86_int_load_rmw_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz)
{
    return x86_load_rmw_slow(c, seg, off, 1u << sz, &c->loaded);
}

int x86_int_store_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned sz, uint64_t v)
{
    return x86_store_slow(c, seg, off, 1u << sz, &v);
}
