/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/x86/codecache.h"

#include "cpu/x86/optable.h"

enum {
    HASH_BITS = 14,
    PAGE_HASH_BITS = 10,
    TRIM_BYTES = 256 << 10, /* less is not worth decoding it again */
    CHUNK_BITS = 6,         /* writes are told from code at a granularity of 64 bytes */
};

/* A page that blocks came from. */
struct code_page {
    uint64_t gfn;
    uint64_t chunks; /* bit n: block bytes in [n << CHUNK_BITS, ...) */
    struct x86_block *blocks;
    struct code_page *next;
};

struct x86_code {
    /*
     * Guards everything below against code_written calls from a thread that does I/O while the
     * processor runs. Held for bounded work only, so spinning is fine.
     */
    atomic_flag lock;
    struct gmem *gm;
    struct gmem_listener listener;
    uint64_t epoch;
    uint8_t *arena;
    size_t size, used;
    struct x86_block *hash[1 << HASH_BITS];
    struct code_page *pages[1 << PAGE_HASH_BITS];
};

static void code_lock(struct x86_code *code)
{
    while (atomic_flag_test_and_set_explicit(&code->lock, memory_order_acquire))
        ;
}

static void code_unlock(struct x86_code *code)
{
    atomic_flag_clear_explicit(&code->lock, memory_order_release);
}

/* RAM by page number and offset; ROM, which never changes, by host address. */
static uint64_t code_place(const struct x86_code_page *page, unsigned offset)
{
    return page->gfn != UINT64_MAX ? page->gfn << GMEM_PAGE_BITS | offset
                                   : 1ull << 63 | ((uint64_t)(uintptr_t)page->host + offset);
}

static struct x86_block **hash_slot(struct x86_code *code, uint64_t place, uint8_t mode)
{
    uint64_t h = (place ^ (uint64_t)mode << 40) * 0x9e3779b97f4a7c15ull;
    return &code->hash[h >> (64 - HASH_BITS)];
}

static struct code_page **page_slot(struct x86_code *code, uint64_t gfn)
{
    return &code->pages[(gfn * 0x9e3779b97f4a7c15ull) >> (64 - PAGE_HASH_BITS)];
}

static struct code_page *page_find(struct x86_code *code, uint64_t gfn)
{
    struct code_page *p = *page_slot(code, gfn);

    while (p && p->gfn != gfn)
        p = p->next;
    return p;
}

/* The chunk bits of bytes [first, last] of a page. */
static uint64_t chunk_mask(unsigned first, unsigned last)
{
    unsigned a = first >> CHUNK_BITS, b = last >> CHUNK_BITS;
    return (~0ull >> (63 - (b - a))) << a;
}

static void *arena_take(struct x86_code *code, size_t bytes)
{
    void *p = code->arena + code->used;

    code->used += (bytes + 15) & ~(size_t)15;
    return p;
}

/* The bytes of @b in the page in which it is number @which: [*ret_first, *ret_last]. */
static void block_bytes(const struct x86_block *b, unsigned which, unsigned *ret_first,
                        unsigned *ret_last)
{
    *ret_first = which ? 0 : b->start;
    *ret_last = which ? b->end - GMEM_PAGE_SIZE - 1u : min_of(b->end - 1u, GMEM_PAGE_SIZE - 1u);
}

static void make_stale(struct x86_code *code, struct x86_block *b)
{
    struct x86_block **link = hash_slot(code, b->place, b->mode);

    while (*link != b)
        link = &(*link)->hash_next;
    *link = b->hash_next;
    b->stale = true;
    for (unsigned n = 0; n <= b->count; n++)
        x86_fast_set_fn(&b->insn[n], x86_fast_stale);
}

/* Drops stale blocks from the page's list and works out its chunks again. */
static void page_sweep(struct x86_code *code, struct code_page *page)
{
    struct x86_block **link = &page->blocks;

    page->chunks = 0;
    while (*link) {
        struct x86_block *b = *link;
        unsigned which = b->gfn[0] != page->gfn, first, last;
        if (b->stale) {
            *link = b->page_next[which];
            continue;
        }
        block_bytes(b, which, &first, &last);
        page->chunks |= chunk_mask(first, last);
        link = &b->page_next[which];
    }
    if (!page->blocks)
        gmem_clear_code(code->gm, page->gfn, GMEM_CODE_DECODED);
}

static void code_written(void *opaque, uint64_t gfn, unsigned offset, unsigned len)
{
    struct x86_code *code = opaque;
    struct code_page *page;

    if (len == 0 || offset + len > GMEM_PAGE_SIZE)
        return;
    code_lock(code);
    page = page_find(code, gfn);
    if (page && (page->chunks & chunk_mask(offset, offset + len - 1))) {
        bool any = false;
        for (struct x86_block *b = page->blocks; b; b = b->page_next[b->gfn[0] != gfn]) {
            unsigned first, last;
            block_bytes(b, b->gfn[0] != gfn, &first, &last);
            if (!b->stale && first < offset + len && offset <= last) {
                make_stale(code, b);
                any = true;
            }
        }
        if (any)
            page_sweep(code, page);
    }
    code_unlock(code);
}

struct x86_code *x86_code_new(struct gmem *gm, size_t bytes)
{
    struct x86_code *code = mem_new(struct x86_code);

    if (!code)
        return NULL;
    code->arena = mem_alloc(bytes, 1);
    if (!code->arena) {
        free(code);
        return NULL;
    }
    code->size = bytes;
    code->gm = gm;
    code->epoch = 1;
    code->listener = (struct gmem_listener){.code_written = code_written, .opaque = code};
    gmem_listen(gm, &code->listener);
    return code;
}

void x86_code_free(struct x86_code *code)
{
    if (!code)
        return;
    gmem_unlisten(code->gm, &code->listener);
    free(code->arena);
    free(code);
}

uint64_t x86_code_epoch(const struct x86_code *code)
{
    return code->epoch;
}

/* Forgets everything: the arena is full. */
static void drop_all(struct x86_code *code)
{
    for (unsigned n = 0; n < array_size(code->pages); n++)
        for (struct code_page *p = code->pages[n]; p; p = p->next)
            gmem_clear_code(code->gm, p->gfn, GMEM_CODE_DECODED);
    memset(code->hash, 0, sizeof(code->hash));
    memset(code->pages, 0, sizeof(code->pages));
    code->used = 0;
    code->epoch++;
}

void x86_code_trim(struct x86_code *code, void (*give_back)(void *memory, size_t bytes))
{
    if (code->used <= TRIM_BYTES)
        return;
    code_lock(code);
    drop_all(code);
    code_unlock(code);
    give_back(code->arena, code->size);
}

static struct x86_block *find_locked(struct x86_code *code, uint64_t place, uint8_t mode)
{
    struct x86_block *b = *hash_slot(code, place, mode);

    while (b && (b->place != place || b->mode != mode))
        b = b->hash_next;
    return b;
}

struct x86_block *x86_code_find(struct x86_code *code, const struct x86_code_page *page,
                                unsigned offset, uint8_t mode)
{
    struct x86_block *b;

    code_lock(code);
    b = find_locked(code, code_place(page, offset), mode);
    code_unlock(code);
    return b;
}

static bool ends_block(const struct x86_insn *i)
{
    const struct x86_row *row = &x86_optable[i->row];

    if (row->attr & (X86_ATTR_STOP | X86_ATTR_SERIAL))
        return true;
    return (row->attr & X86_ATTR_BRANCH) && row->handler != X86_H_jcc &&
           row->handler != X86_H_loop && row->handler != X86_H_jcxz;
}

/* Decodes into @out what fits in @page; returns the number of instructions and the byte after. */
static unsigned decode_run(struct x86_code *code, const struct x86_decode_env *env,
                           const struct x86_code_page *page, unsigned offset, uint8_t mode,
                           struct x86_insn *out, unsigned *ret_end, enum x86_decode_result *ret)
{
    unsigned count = 0, at = offset;

    *ret = X86_DECODE_OK;
    while (count < X86_BLOCK_MAX && at < GMEM_PAGE_SIZE) {
        struct x86_insn *i = &out[count];
        enum x86_decode_result r;
        if (count && find_locked(code, code_place(page, at), mode))
            break;
        r = x86_decode(env, page->host + at, GMEM_PAGE_SIZE - at, i);
        if (r != X86_DECODE_OK) {
            if (count == 0)
                *ret = r;
            break;
        }
        i->off = (uint16_t)(at - offset);
        count++;
        at += i->len;
        if (ends_block(i))
            break;
    }
    *ret_end = at;
    return count;
}

/* One instruction that may cross into @next. */
static unsigned decode_crossing(const struct x86_decode_env *env, const struct x86_code_page *page,
                                unsigned offset, const struct x86_code_page *next,
                                struct x86_insn *out, unsigned *ret_end,
                                enum x86_decode_result *ret)
{
    uint8_t bytes[2 * X86_INSN_MAX];
    unsigned here = GMEM_PAGE_SIZE - offset;

    if (here > X86_INSN_MAX)
        here = X86_INSN_MAX;
    memcpy(bytes, page->host + offset, here);
    memcpy(bytes + here, next->host, X86_INSN_MAX);
    *ret = x86_decode(env, bytes, here + X86_INSN_MAX, out);
    if (*ret != X86_DECODE_OK)
        return 0;
    out->off = 0;
    *ret_end = offset + out->len;
    return 1;
}

static void page_add(struct x86_code *code, struct x86_block *b, unsigned which)
{
    struct code_page *page = page_find(code, b->gfn[which]);
    unsigned first, last;

    if (!page) {
        struct code_page **slot = page_slot(code, b->gfn[which]);
        page = arena_take(code, sizeof(*page));
        *page = (struct code_page){.gfn = b->gfn[which], .next = *slot};
        *slot = page;
    }
    block_bytes(b, which, &first, &last);
    page->chunks |= chunk_mask(first, last);
    b->page_next[which] = page->blocks;
    page->blocks = b;
}

static struct x86_block *insert(struct x86_code *code, const struct x86_code_page *page,
                                unsigned offset, unsigned end, const struct x86_code_page *next,
                                uint8_t mode, const struct x86_insn *insns, unsigned count)
{
    struct x86_block *b = arena_take(code, sizeof(*b) + (count + 1) * sizeof(struct x86_insn));
    struct x86_block **slot;

    *b = (struct x86_block){.place = code_place(page, offset),
                            .gfn = {page->gfn, UINT64_MAX},
                            .start = (uint16_t)offset,
                            .end = (uint16_t)end,
                            .mode = mode,
                            .count = (uint8_t)count};
    if (next && end > GMEM_PAGE_SIZE)
        b->gfn[1] = next->gfn;
    for (unsigned n = 0; n <= count; n++) {
        struct x86_insn *i = &b->insn[n];
        x86_fast_fn *fn = x86_fast_end;
        if (n < count) {
            *i = insns[n];
            fn = x86_fast_select(i);
        } else {
            *i = (struct x86_insn){.off = (uint16_t)(end - offset)};
        }
        i->left = (uint8_t)(count - n);
        x86_fast_set_fn(i, fn);
    }
    slot = hash_slot(code, b->place, mode);
    b->hash_next = *slot;
    *slot = b;
    for (unsigned which = 0; which < 2; which++)
        if (b->gfn[which] != UINT64_MAX && (which == 0 || b->gfn[1] != b->gfn[0]))
            page_add(code, b, which);
    return b;
}

/* Nothing was built from page @gfn: reports of writes are wanted only if older blocks are there. */
static void forget_unused(struct x86_code *code, uint64_t gfn)
{
    struct code_page *page = page_find(code, gfn);

    if (gfn != UINT64_MAX && (!page || !page->blocks))
        gmem_clear_code(code->gm, gfn, GMEM_CODE_DECODED);
}

struct x86_block *x86_code_build(struct x86_code *code, const struct x86_decode_env *env,
                                 const struct x86_code_page *page, unsigned offset,
                                 const struct x86_code_page *next, uint8_t mode,
                                 enum x86_decode_result *ret)
{
    struct x86_insn insns[X86_BLOCK_MAX];
    struct x86_block *b = NULL;
    unsigned count, end = offset;

    code_lock(code);
    if (code->size - code->used < sizeof(*b) + (X86_BLOCK_MAX + 1) * sizeof(struct x86_insn) +
                                      2 * sizeof(struct code_page) + 64)
        drop_all(code);
    /* Writes are reported from here on; they wait for the lock until the block can be found. */
    if (page->gfn != UINT64_MAX)
        gmem_set_code(code->gm, page->gfn, GMEM_CODE_DECODED);
    if (next && next->gfn != UINT64_MAX)
        gmem_set_code(code->gm, next->gfn, GMEM_CODE_DECODED);
    count = next ? decode_crossing(env, page, offset, next, insns, &end, ret)
                 : decode_run(code, env, page, offset, mode, insns, &end, ret);
    if (count)
        b = insert(code, page, offset, end, next, mode, insns, count);
    else
        forget_unused(code, page->gfn);
    code_unlock(code);
    return b;
}
