/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translator's loop: events, looking blocks up, entering them, and the interpreter for what is
 * not translated (modes other than 64-bit, single instructions).
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cpu/jit/jit_internal.h"
#include "cpu/x86/exc.h"
#include "cpu/x86/interp.h"

enum { SLICE = 4096 }; /* instructions interpreted before looking for translatable code again */

static void read_host(uint32_t words[X86_FEATURE_WORDS])
{
    unsigned a, b, c, d;

    if (__get_cpuid(1, &a, &b, &c, &d)) {
        words[X86_W_1_EDX] = d;
        words[X86_W_1_ECX] = c;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        words[X86_W_7_EBX] = b;
        words[X86_W_7_ECX] = c;
        words[X86_W_7_EDX] = d;
    }
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) {
        words[X86_W_81_EDX] = d;
        words[X86_W_81_ECX] = c;
    }
    if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d))
        words[X86_W_D1_EAX] = a;
}

int x86_jit_probe(struct error *err)
{
    uint32_t words[X86_FEATURE_WORDS] = {0};
    struct arena a;
    int r;

    read_host(words);
    if (!(words[X86_W_81_ECX] & 1))
        return error_set(err, -ENOTSUP, "this processor has no LAHF in 64-bit mode");
    r = arena_map(&a, 4096, err);
    if (r == 0)
        arena_unmap(&a);
    return r;
}

int x86_jit_create(struct x86_vm *vm, struct error *err)
{
    struct jit *j = mem_new(struct jit);
    int r;

    if (!j)
        return error_set(err, -ENOMEM, "create translator: out of memory");
    j->vm = vm;
    j->gm = space_ram(vm->space);
    j->data = mem_alloc(JIT_DATA_BYTES, 1);
    r = j->data ? arena_map(&j->arena, JIT_CODE_BYTES, err)
                : error_set(err, -ENOMEM, "create translator: out of memory");
    if (r < 0) {
        free(j->data);
        free(j);
        return r;
    }
    read_host(j->host_features);
    j->block_max = JIT_BLOCK_INSNS;
    jit_rows_init(j);
    jit_make_thunks(j);
    jit_listen(j);
    vm->translator = j;
    return 0;
}

void x86_jit_destroy(struct x86_vm *vm)
{
    struct jit *j = vm->translator;

    if (!j)
        return;
    jit_drop_all(j);
    jit_unlisten(j);
    arena_unmap(&j->arena);
    free(j->data);
    free(j);
    vm->translator = NULL;
}

struct x86_jit_stats x86_jit_stats(const struct x86_vm *vm)
{
    const struct jit *j = vm->translator;

    return j ? j->stats : (struct x86_jit_stats){0};
}

void x86_jit_forget(struct x86_vm *vm)
{
    if (vm->translator)
        jit_drop_all(vm->translator);
}

void x86_jit_limit(struct x86_vm *vm, unsigned insns)
{
    struct jit *j = vm->translator;

    if (!j)
        return;
    jit_drop_all(j);
    j->block_max = insns < 1 ? 1 : min_of(insns, (unsigned)JIT_BLOCK_INSNS);
}

/* Equal contexts: the same linear address is the same code, with the same rights and access class.
 */
static uint64_t context_of(struct jit *j, struct x86_cpu *c)
{
    uint64_t mode = (uint64_t)c->index << 8 | (uint64_t)c->mmu_class << 1 | (c->cpl == 3);
    uint64_t h = (c->asid * 0x9e3779b97f4a7c15ull) >> 32 ^ mode * 37;
    struct jit_context *x = &j->contexts[h % array_size(j->contexts)];

    if (x->id && x->asid == c->asid && x->gen == c->fetch_gen && x->mode == mode)
        return x->id;
    *x = (struct jit_context){c->asid, c->fetch_gen, mode, ++j->context_last};
    return x->id;
}

/*
 * The entry of the block at c->rip, entered in the jump table. NULL with *ret: X86_FAULT after a
 * fault was raised; X86_NEXT when the instruction is the interpreter's. *ret_code is for links.
 */
static const void *look_up(struct jit *j, struct x86_cpu *c, enum x86_result *ret,
                           uint8_t **ret_code)
{
    uint64_t lin = c->rip, gpa, gfn, ctx = context_of(j, c);
    struct x86_jit_jump *slot;
    struct jit_block *b;
    const uint8_t *page;

    c->jit.context = ctx;
    slot = jit_jump_slot(c, lin);
    if (slot->lin == lin && slot->context == ctx && !jit_gone(slot->host)) {
        *ret_code = j->arena.write + ((const uint8_t *)slot->host - j->arena.run);
        return slot->host;
    }
    *ret = X86_FAULT;
    if (x86_fetch_page(c, lin, &page, &gpa, &gfn))
        return NULL;
    *ret = X86_NEXT;
    if (gfn == UINT64_MAX) /* ROM */
        return NULL;
    b = jit_find(j, lin, gfn, c->mmu_class, c->cpl == 3);
    if (!b)
        b = jit_translate(c, lin, gfn);
    if (!b)
        return NULL;
    c->jit.context = context_of(j, c);
    slot = jit_jump_slot(c, lin);
    *ret_code = b->code;
    *slot = (struct x86_jit_jump){
        .lin = lin, .context = c->jit.context, .host = arena_run(&j->arena, b->code)};
    return slot->host;
}

/* Runs @n instructions on the interpreter. False: leave, with *ret. */
static bool interpret(struct jit *j, struct x86_cpu *c, uint64_t n, enum x86_exit *ret)
{
    uint64_t before = c->insn_count;

    *ret = x86_interp_run(c, n);
    j->stats.interpreted += c->insn_count - before;
    return *ret == X86_EXIT_BUDGET;
}

static bool translatable(const struct x86_cpu *c)
{
    return c->mode == X86_MODE_64 && !c->align_check && !c->vm->debugger &&
           !(atomic_load_explicit(&c->attention, memory_order_relaxed) & X86_ATTN_SLOW);
}

/* Enters translated code. Registers and counts are exact again afterwards. */
static enum jit_leave enter(struct jit *j, struct x86_cpu *c, const void *code, uint64_t limit)
{
    enum jit_leave why;

    j->stats.entries++;
    c->jit.budget = limit - c->insn_count;
    c->insn_count = limit;
    c->jit.attention_mask = c->rflags & X86_IF ? ~0u : ~(unsigned)X86_ATTN_INTR;
    c->jit.leave = 0;
    jit_flags_from_cpu(c);
    why = (enum jit_leave)j->enter(c, code);
    jit_flags_to_cpu(c);
    c->insn_count = limit - c->jit.budget;
    return why;
}

static void connect(struct jit *j, const struct jit_link *link, const uint8_t *code)
{
    int32_t distance = (int32_t)(code - (link->at + 4));

    memcpy(link->at, &distance, 4);
    j->stats.links++;
}

/* Takes what is due between instructions. False: leave, with *ret. */
static bool events(struct jit *j, struct x86_cpu *c, enum x86_exit *ret)
{
    unsigned attention = atomic_load_explicit(&c->attention, memory_order_acquire);

    if (unlikely(attention & X86_ATTN_CODE)) {
        x86_attention_clear(c, X86_ATTN_CODE);
        jit_take_written(j);
    }
    if (unlikely(attention & ~(unsigned)X86_ATTN_CODE) && x86_take_events(c) == X86_STOP) {
        *ret = (enum x86_exit)c->exit_reason;
        return false;
    }
    if (unlikely(c->activity != X86_ACTIVE)) {
        *ret = x86_idle_exit(c);
        return false;
    }
    return true;
}

enum x86_exit x86_jit_run(struct x86_cpu *c, uint64_t budget)
{
    struct jit *j = jit_of(c);
    uint64_t limit = c->insn_count + budget, turns = 0;
    const struct jit_link *link = NULL;
    enum x86_exit ret;

    x86_enter_thread(c);
    for (;;) {
        enum x86_result r = X86_NEXT;
        const void *code;
        uint8_t *at;
        uint64_t epoch = j->stats.flushes + j->stats.dropped;

        if (!events(j, c, &ret))
            return ret;
        if (unlikely(c->insn_count >= limit || turns++ >= budget))
            return X86_EXIT_BUDGET;
        if (!translatable(c)) {
            bool slow = atomic_load_explicit(&c->attention, memory_order_relaxed) & X86_ATTN_SLOW;
            if (!interpret(j, c, min_of(limit - c->insn_count, (uint64_t)(slow ? 1 : SLICE)), &ret))
                return ret;
            link = NULL;
            continue;
        }
        code = look_up(j, c, &r, &at);
        if (unlikely(!code)) {
            link = NULL;
            if (r == X86_FAULT) {
                if (x86_deliver_fault(c) == X86_STOP)
                    return (enum x86_exit)c->exit_reason;
            } else if (!interpret(j, c, 1, &ret)) {
                return ret;
            }
            continue;
        }
        if (link && epoch == j->stats.flushes + j->stats.dropped && link->target == c->rip)
            connect(j, link, at);
        link = NULL;
        switch (enter(j, c, code, limit)) {
        case JIT_LEAVE_LOOK:
            break;
        case JIT_LEAVE_LINK:
            link = c->jit.site;
            break;
        case JIT_LEAVE_FAULT:
            if (x86_deliver_fault(c) == X86_STOP)
                return (enum x86_exit)c->exit_reason;
            break;
        case JIT_LEAVE_STOP:
            return (enum x86_exit)c->exit_reason;
        case JIT_LEAVE_STEP:
            if (!interpret(j, c, 1, &ret))
                return ret;
            break;
        }
        if (c->jit.budget < j->block_max && c->insn_count < limit) {
            link = NULL;
            if (!interpret(j, c, limit - c->insn_count, &ret))
                return ret;
        }
    }
}
