/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoded-instruction cache: blocks of decoded instructions by the physical place of their
 * first byte and the decoding mode, shared by the processors of a machine.
 *
 * A block is a run of instructions inside one page that starts where a branch went; it goes on
 * behind conditional branches and ends at other branches, at instructions that may change how the
 * next ones run, at the page's end, or where another block starts. An instruction that crosses into
 * the next page is a block alone and belongs to both pages.
 *
 * Pages that blocks came from have GMEM_CODE, so that every write to them is reported
 * (code_written) before it happens. Blocks that overlap the bytes become stale: each of their
 * instructions is turned into x86_fast_stale, which sends whoever gets there, through a jump cache
 * or from the instruction before, to look its RIP up again. Nothing else needs to know. The memory
 * comes back when the arena is full and everything is dropped (epoch).
 *
 * A jump cache in front of it belongs to each processor: by linear address, valid for one state of
 * translations and mode (x86_interp.key).
 */
#ifndef CPU_X86_CODECACHE_H
#define CPU_X86_CODECACHE_H

#include "cpu/x86/decode.h"
#include "cpu/x86/fast.h"
#include "cpu/x86/interp.h"

enum { X86_BLOCK_MAX = 32 }; /* instructions */

struct x86_block {
    uint64_t place; /* see code_place in codecache.c */
    struct x86_block *hash_next;
    struct x86_block *page_next[2]; /* of the page(s) it came from */
    uint64_t gfn[2];                /* UINT64_MAX: none (ROM, or no second page) */
    uint16_t start, end;            /* bytes in the first page; end may pass 4096 */
    uint8_t mode;                   /* decoding mode */
    uint8_t count;                  /* instructions, without the end mark */
    bool stale;
    struct x86_insn insn[];
};

/* Where code is fetched from now, as x86_fetch_page says. */
struct x86_code_page {
    const uint8_t *host;
    uint64_t gfn;
};

struct x86_code;

/* A cache of about @bytes for the RAM @gm (borrowed). NULL when out of memory. */
struct x86_code *x86_code_new(struct gmem *gm, size_t bytes);
void x86_code_free(struct x86_code *code);
/*
 * Drops all blocks when they take much, and has @give_back take the memory that they were in, whose
 * content does not matter any more. No processor runs.
 */
void x86_code_trim(struct x86_code *code, void (*give_back)(void *memory, size_t bytes));
/* Changes whenever all blocks were dropped: pointers to blocks from before are dangling. */
uint64_t x86_code_epoch(const struct x86_code *code);

/* The block for the instruction at @offset of @page in decoding mode @mode, NULL when there is
 * none.
 */
struct x86_block *x86_code_find(struct x86_code *code, const struct x86_code_page *page,
                                unsigned offset, uint8_t mode);

/*
 * Builds the block at @offset of @page. @next is the page that follows in linear addresses, needed
 * when *ret is X86_DECODE_MORE: then, and when the first instruction is invalid, NULL is returned.
 */
struct x86_block *x86_code_build(struct x86_code *code, const struct x86_decode_env *env,
                                 const struct x86_code_page *page, unsigned offset,
                                 const struct x86_code_page *next, uint8_t mode,
                                 enum x86_decode_result *ret);

/* The engine's part of a processor. */
enum { X86_JUMP_BITS = 11, X86_JUMP_ENTRIES = 1 << X86_JUMP_BITS, X86_ITLB_ENTRIES = 64 };

struct x86_jump {
    uint64_t lin, key;
    const struct x86_insn *insn;
};
struct x86_itlb {
    uint64_t lin, key;
    struct x86_code_page page;
};
struct x86_interp {
    struct x86_interp_counters counters;
    uint64_t key;            /* names translations, mode and code segment in force */
    uint64_t limit;          /* leave when c->insn_count gets here */
    uint32_t attention_mask; /* bits of c->attention worth leaving for */
    uint8_t result;          /* enum x86_result that ended the last run of blocks */
    /* What key stands for. */
    uint64_t key_gen, fetch_gen, epoch, cs_base;
    uint32_t cs_limit;
    uint16_t cs_attr;
    struct x86_jump jump[X86_JUMP_ENTRIES];
    struct x86_itlb itlb[X86_ITLB_ENTRIES];
};

static inline unsigned x86_jump_slot(uint64_t lin)
{
    return (unsigned)(lin ^ lin >> X86_JUMP_BITS) & (X86_JUMP_ENTRIES - 1);
}

/* Goes on at RIP @target, checked or sequential. NULL when it is not in the jump cache. */
static inline __attribute__((always_inline)) const struct x86_insn *x86_fast_enter(
    struct x86_cpu *c, uint64_t target, const struct x86_insn *from)
{
    const struct x86_interp *en = c->engine;
    uint64_t lin = c->seg[X86_CS].lin_base + target;
    const struct x86_jump *j = &en->jump[x86_jump_slot(lin)];

    if (likely(j->lin == lin && j->key == en->key && c->insn_count < en->limit &&
               !(atomic_load_explicit(&c->attention, memory_order_relaxed) & en->attention_mask))) {
        const struct x86_insn *i = j->insn;
        c->code_base = target;
        c->insn_count += i->left;
        X86_FAST_RUN(c, i);
    }
    c->rip = target;
    return from ? x86_fast_goto(c, from) : NULL;
}

/* Branch @i, in the middle of its block or not, goes to @target. */
static inline __attribute__((always_inline)) const struct x86_insn *x86_fast_jump(
    struct x86_cpu *c, const struct x86_insn *i, uint64_t target)
{
    c->insn_count -= i->left - 1u;
    return x86_fast_enter(c, target, i);
}

#endif
