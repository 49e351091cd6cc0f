/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter's loop.
 *
 * Normally blocks of decoded instructions run from one to the next through the jump cache
 * (codecache.h, fast.h) until something asks for attention, the budget is used up, the way on is
 * not in the jump cache, or an instruction changed the mode. Then this loop has the processor to
 * itself, with c->rip and c->insn_count exact.
 *
 * While X86_ATTN_SLOW is set, or when the cache cannot be used (no memory, code that runs into its
 * segment limit), instructions are fetched, decoded and executed one at a time by step().
 */
#include "cpu/x86/interp.h"

#include "cpu/x86/access.h"
#include "cpu/x86/codecache.h"
#include "cpu/x86/debugger.h"
#include "cpu/x86/optable.h"

enum { CODE_BYTES = 12 << 20 };
enum { MOST_FAULTS = 1000 }; /* without an instruction between them, in one run */

static bool prepare(struct x86_cpu *c)
{
    if (!c->engine)
        c->engine = mem_new(struct x86_interp);
    if (!c->vm->code)
        c->vm->code = x86_code_new(space_ram(c->vm->space), CODE_BYTES);
    return c->engine && c->vm->code;
}

bool x86_interp_count(const struct x86_cpu *c, struct x86_interp_counters *ret)
{
    const struct x86_interp *en = c->engine;

    if (!en)
        return false;
    *ret = en->counters;
    return true;
}

void x86_interp_release(struct x86_vm *vm)
{
    x86_code_free(vm->code);
    vm->code = NULL;
    for (unsigned n = 0; n < vm->cpu_count; n++) {
        free(vm->cpus[n]->engine);
        vm->cpus[n]->engine = NULL;
    }
}

void x86_interp_rest(struct x86_vm *vm, void (*give_back)(void *memory, size_t bytes))
{
    if (vm->code)
        x86_code_trim(vm->code, give_back);
}

static bool flat_code(const struct x86_cpu *c)
{
    return c->mode == X86_MODE_64 ||
           (c->seg[X86_CS].base == 0 && c->seg[X86_CS].limit == UINT32_MAX);
}

/* Everything that decides how bytes become instructions, and that code has no limit to run into. */
static uint8_t decode_mode(const struct x86_cpu *c)
{
    return (uint8_t)(c->mode | (c->seg[X86_CS].attr & X86_SEG_DB ? 8 : 0) |
                     (flat_code(c) ? 0 : 16));
}

/*
 * Works out en->key. Equal keys mean: the same linear address is the same physical place, with the
 * same rights, decoded the same way, as far as TLB flushes tell.
 */
static void update_key(struct x86_cpu *c, struct x86_interp *en)
{
    const struct x86_seg *cs = &c->seg[X86_CS];
    bool flat = flat_code(c);
    uint64_t base = flat ? 0 : cs->base, epoch = x86_code_epoch(c->vm->code);
    uint32_t limit = flat ? UINT32_MAX : cs->limit;

    if (en->fetch_gen != c->fetch_gen || en->epoch != epoch || en->cs_base != base ||
        en->cs_limit != limit) {
        en->fetch_gen = c->fetch_gen;
        en->epoch = epoch;
        en->cs_base = base;
        en->cs_limit = limit;
        en->key_gen++;
    }
    en->key =
        en->key_gen << 20 | (c->asid & 0xfff) << 8 | (unsigned)decode_mode(c) << 1 | (c->cpl == 3);
    en->attention_mask = c->rflags & X86_IF ? ~0u : ~(unsigned)X86_ATTN_INTR;
}

/* The page of code at @lin. False after a fault was raised. */
static bool fetch_page(struct x86_cpu *c, struct x86_interp *en, uint64_t lin,
                       struct x86_code_page *ret)
{
    uint64_t page = lin & ~(uint64_t)(GMEM_PAGE_SIZE - 1), gpa;
    struct x86_itlb *t = &en->itlb[(page >> GMEM_PAGE_BITS) & (X86_ITLB_ENTRIES - 1)];

    if (t->lin != page || t->key != en->key) {
        en->counters.pages++;
        if (x86_fetch_page(c, page | (lin & (GMEM_PAGE_SIZE - 1)), &ret->host, &gpa, &ret->gfn))
            return false;
        *t = (struct x86_itlb){.lin = page, .key = en->key, .page = *ret};
    }
    *ret = t->page;
    return true;
}

/*
 * The block at c->rip, entered into the jump cache. NULL with *ret: X86_FAULT after a fault was
 * raised; X86_NEXT when the instruction must be stepped.
 */
static const struct x86_insn *look_up(struct x86_cpu *c, struct x86_interp *en,
                                      enum x86_result *ret)
{
    const struct x86_seg *cs = &c->seg[X86_CS];
    uint64_t lin = cs->lin_base + c->rip, wrapped = c->mode == X86_MODE_64 ? lin : (uint32_t)lin;
    unsigned offset = wrapped & (GMEM_PAGE_SIZE - 1);
    uint8_t mode = decode_mode(c);
    struct x86_jump *j = &en->jump[x86_jump_slot(lin)];
    struct x86_decode_env env;
    enum x86_decode_result r;
    struct x86_code_page page, next;
    struct x86_block *b;

    if (j->lin == lin && j->key == en->key && x86_fast_of(j->insn) != x86_fast_stale)
        return j->insn;
    *ret = X86_NEXT;
    if (unlikely(c->vm->debugger != NULL) && x86_debugger_page(c->vm->debugger, wrapped))
        return NULL;
    en->counters.lookups++;
    *ret = X86_FAULT;
    if (c->mode != X86_MODE_64 && c->rip > cs->limit) {
        x86_raise_gp(c, 0);
        return NULL;
    }
    if (!fetch_page(c, en, wrapped, &page))
        return NULL;
    b = x86_code_find(c->vm->code, &page, offset, mode);
    if (!b) {
        env = x86_decode_env_of(c);
        b = x86_code_build(c->vm->code, &env, &page, offset, NULL, mode, &r);
        en->counters.blocks++;
        *ret = X86_NEXT;
        c->counts.blocks++;
        if (!b && r != X86_DECODE_MORE)
            return NULL; /* invalid: step() raises what is due */
    }
    if (!b || b->end > GMEM_PAGE_SIZE) {
        uint64_t second = (wrapped | (GMEM_PAGE_SIZE - 1)) + 1;
        if (c->mode != X86_MODE_64)
            second = (uint32_t)second;
        *ret = X86_FAULT;
        if (!fetch_page(c, en, second, &next))
            return NULL;
        *ret = X86_NEXT;
        if (!b)
            b = x86_code_build(c->vm->code, &env, &page, offset, &next, mode, &r);
        /* The page that follows is not the one that followed when the block was built. */
        if (!b || (b->end > GMEM_PAGE_SIZE && b->gfn[1] != next.gfn))
            return NULL;
        if (next.gfn == UINT64_MAX || page.gfn == UINT64_MAX)
            return NULL;
    }
    if (!flat_code(c) && c->rip + (b->end - b->start) - 1 > cs->limit) {
        *ret = X86_NEXT;
        return NULL;
    }
    update_key(c, en); /* building may have started a new epoch */
    *j = (struct x86_jump){.lin = lin, .key = en->key, .insn = b->insn};
    return b->insn;
}

/* The bytes of the instruction at c->rip and its decoding. Not X86_NEXT after a fault was raised.
 */
static enum x86_result fetch_insn(struct x86_cpu *c, struct x86_insn *ret)
{
    const struct x86_seg *cs = &c->seg[X86_CS];
    struct x86_decode_env env = x86_decode_env_of(c);
    uint64_t lin = cs->lin_base + c->rip, gpa, gfn;
    uint8_t bytes[X86_INSN_MAX];
    unsigned have = 0, here;
    enum x86_decode_result r = X86_DECODE_MORE;
    const uint8_t *page;

    while (r == X86_DECODE_MORE && have < X86_INSN_MAX) {
        uint64_t at = lin + have;
        if (c->mode != X86_MODE_64)
            at = (uint32_t)at;
        if (c->mode != X86_MODE_64 && c->rip + have > cs->limit)
            return x86_raise_gp(c, 0);
        if (x86_fetch_page(c, at, &page, &gpa, &gfn))
            return X86_FAULT;
        here = GMEM_PAGE_SIZE - (unsigned)(at & (GMEM_PAGE_SIZE - 1));
        if (here > X86_INSN_MAX - have)
            here = X86_INSN_MAX - have;
        if (c->mode != X86_MODE_64 && here - 1 > cs->limit - (c->rip + have))
            here = (unsigned)(cs->limit - (c->rip + have)) + 1;
        memcpy(bytes + have, page + (at & (GMEM_PAGE_SIZE - 1)), here);
        have += here;
        r = x86_decode(&env, bytes, have, ret);
    }
    if (r == X86_DECODE_OK)
        return X86_NEXT;
    return r == X86_DECODE_INVALID ? x86_raise_ud(c) : x86_raise_gp(c, 0);
}

/* One instruction without the cache, with all that may surround it. X86_STOP: leave the loop. */
static enum x86_result execute(struct x86_cpu *c)
{
    bool tf = c->rflags & X86_TF;
    enum x86_result r = x86_step_begin(c), after;
    struct x86_insn i;

    if (r != X86_NEXT)
        return r;
    r = fetch_insn(c, &i);
    if (r == X86_NEXT && (x86_optable[i.row].attr & X86_ATTR_PRIV) && c->cpl != 0)
        r = x86_raise_gp(c, 0);
    if (r == X86_NEXT)
        r = i.exec(c, &i);
    if (r == X86_FAULT)
        return x86_deliver_fault(c);
    if (r == X86_NEXT)
        c->rip = x86_next_rip(c, &i);
    c->insn_count++;
    after = x86_step_end(c, tf);
    return r == X86_STOP ? r : after;
}

/* The same under the eyes of a debugger outside, if there is one. */
static enum x86_result step(struct x86_cpu *c)
{
    if (likely(!c->vm->debugger))
        return execute(c);
    return x86_debugger_begin(c) == X86_STOP ? X86_STOP : x86_debugger_end(c, execute(c));
}

static enum x86_result step_counted(struct x86_cpu *c, struct x86_interp *en)
{
    if (en)
        en->counters.steps++;
    return step(c);
}

static enum x86_result run_blocks(struct x86_cpu *c, struct x86_interp *en)
{
    const struct x86_insn *i;
    enum x86_result r = X86_NEXT;

    update_key(c, en);
    en->counters.entries++;
    i = look_up(c, en, &r);
    if (unlikely(!i))
        return r == X86_FAULT ? x86_deliver_fault(c) : step_counted(c, en);
    en->result = X86_NEXT;
    c->code_base = c->rip;
    c->insn_count += i->left;
#if X86_FAST_TAIL
    x86_fast_of(i)(c, i);
#else
    while (i)
        i = x86_fast_of(i)(c, i);
#endif
    return en->result;
}

enum x86_exit x86_idle_exit(const struct x86_cpu *c)
{
    switch (c->activity) {
    case X86_HALTED:
        return X86_EXIT_HALT;
    case X86_WAIT_SIPI:
        return X86_EXIT_IDLE;
    default:
        return X86_EXIT_SHUTDOWN;
    }
}

static enum x86_exit run(struct x86_cpu *c, uint64_t budget, bool cached)
{
    struct x86_interp *en = c->engine;
    uint64_t limit = c->insn_count + budget, before = c->insn_count;
    unsigned stuck = 0;

    x86_enter_thread(c);
    c->debug_stop = 0;
    /* Blocks count as a whole when they are entered: the last instructions are stepped, so that the
     * budget is met exactly and a run can be repeated. */
    if (en)
        en->limit = budget > X86_BLOCK_MAX ? limit - X86_BLOCK_MAX : 0;
    for (;;) {
        unsigned attention = atomic_load_explicit(&c->attention, memory_order_acquire);
        enum x86_result r;

        if (unlikely(attention)) {
            enum x86_result taken = x86_take_events(c);
            if (unlikely(taken == X86_BRANCH && c->vm->debugger))
                taken = x86_debugger_end(c, taken);
            if (taken == X86_STOP)
                return (enum x86_exit)c->exit_reason;
        }
        if (unlikely(c->activity != X86_ACTIVE))
            return x86_idle_exit(c);
        /* A handler that faults on its first instruction never completes one. Nothing but such a
         * storm of faults ends a run before its budget: engines are compared by that. */
        stuck = c->insn_count == before ? stuck + 1 : 0;
        before = c->insn_count;
        if (unlikely(c->insn_count >= limit || stuck > MOST_FAULTS))
            return X86_EXIT_BUDGET;
        if (unlikely(!cached || c->insn_count >= en->limit ||
                     (atomic_load_explicit(&c->attention, memory_order_relaxed) & X86_ATTN_SLOW)))
            r = step_counted(c, en);
        else
            r = run_blocks(c, en);
        if (r == X86_STOP)
            return (enum x86_exit)c->exit_reason;
    }
}

enum x86_exit x86_interp_run(struct x86_cpu *c, uint64_t budget)
{
    bool cached = prepare(c);

    return run(c, budget, cached);
}

enum x86_exit x86_interp_run_steps(struct x86_cpu *c, uint64_t budget)
{
    prepare(c);
    return run(c, budget, false);
}
