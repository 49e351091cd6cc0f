/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks by linear address and by page, and what makes them stale.
 *
 * A write to translated code is reported before it happens (GMEM_CODE_TRANSLATED). Written by the
 * thread that runs the processors, it makes blocks stale at once: their entries become jumps to
 * their way out. Other threads leave a note and ask for attention; the processor reads it before it
 * looks up or enters anything. Memory comes back when everything is dropped.
 */
#include <string.h>

#include "base/mem.h"
#include "cpu/jit/jit_internal.h"

static uint64_t mix(uint64_t v)
{
    return v * 0x9e3779b97f4a7c15ull;
}

static struct jit_block **hash_slot(struct jit *j, uint64_t lin)
{
    return &j->hash[mix(lin) >> (64 - JIT_HASH_BITS)];
}

static struct jit_page **page_slot(struct jit *j, uint64_t gfn)
{
    return &j->pages[mix(gfn) >> (64 - JIT_PAGE_BITS)];
}

static struct jit_page *page_find(struct jit *j, uint64_t gfn)
{
    struct jit_page *p = *page_slot(j, gfn);

    while (p && p->gfn != gfn)
        p = p->next;
    return p;
}

void *jit_data(struct jit *j, size_t bytes)
{
    void *p = j->data + j->data_used;

    j->data_used += (bytes + 15) & ~(size_t)15;
    return p;
}

struct jit_block *jit_find(struct jit *j, uint64_t lin, uint64_t gfn, uint8_t cls, bool user)
{
    struct jit_block *b = *hash_slot(j, lin);

    while (b && (b->lin != lin || b->gfn != gfn || b->cls != cls || b->user != user))
        b = b->hash_next;
    return b;
}

void jit_insert(struct jit *j, struct jit_block *b)
{
    struct jit_block **slot = hash_slot(j, b->lin);
    struct jit_page *page = page_find(j, b->gfn);

    b->hash_next = *slot;
    *slot = b;
    if (!page) {
        struct jit_page **first = page_slot(j, b->gfn);
        page = jit_data(j, sizeof(*page));
        *page = (struct jit_page){.gfn = b->gfn, .next = *first};
        *first = page;
    }
    b->page_next = page->blocks;
    page->blocks = b;
}

void jit_forget_unused(struct jit *j, uint64_t gfn)
{
    struct jit_page *page = page_find(j, gfn);

    if (!page || !page->blocks)
        gmem_clear_code(j->gm, gfn, GMEM_CODE_TRANSLATED);
}

static void make_stale(struct jit *j, struct jit_block *b)
{
    struct jit_block **link = hash_slot(j, b->lin);
    struct emit e = {.at = b->code, .end = b->code + 5};

    while (*link != b)
        link = &(*link)->hash_next;
    *link = b->hash_next;
    b->stale = true;
    emit_jmp_to(&e, b->gone);
    j->stats.dropped++;
}

/* Makes the blocks stale that have any of these bytes. Returns whether there was one. */
static bool written(struct jit *j, uint64_t gfn, unsigned offset, unsigned len)
{
    struct jit_page *page = page_find(j, gfn);
    struct jit_block **link;
    bool any = false;

    if (!page)
        return false;
    for (link = &page->blocks; *link;) {
        struct jit_block *b = *link;
        if (b->start < offset + len && offset < b->end) {
            make_stale(j, b);
            *link = b->page_next;
            any = true;
        } else {
            link = &b->page_next;
        }
    }
    if (!page->blocks)
        gmem_clear_code(j->gm, gfn, GMEM_CODE_TRANSLATED);
    return any;
}

static void lock(struct jit *j)
{
    while (atomic_flag_test_and_set_explicit(&j->lock, memory_order_acquire))
        ;
}

static void unlock(struct jit *j)
{
    atomic_flag_clear_explicit(&j->lock, memory_order_release);
}

/* Keeps a write of another thread for jit_take_written. */
static void note_written(struct jit *j, uint64_t gfn, unsigned offset, unsigned len)
{
    lock(j);
    if (j->written_count == array_size(j->written))
        j->written_lost = true;
    else
        j->written[j->written_count++] = (struct jit_written){gfn, (uint16_t)offset, (uint16_t)len};
    unlock(j);
    for (unsigned i = 0; i < j->vm->cpu_count; i++)
        x86_attention_set(j->vm->cpus[i], X86_ATTN_CODE);
}

static void code_written(void *opaque, uint64_t gfn, unsigned offset, unsigned len)
{
    struct jit *j = opaque;
    bool ours = false;

    if (len == 0 || offset + len > GMEM_PAGE_SIZE ||
        !(gmem_page_flags(j->gm, gfn) & GMEM_CODE_TRANSLATED))
        return;
    for (unsigned i = 0; i < j->vm->cpu_count; i++)
        ours |= x86_on_this_thread(j->vm->cpus[i]);
    if (!ours)
        note_written(j, gfn, offset, len);
    else if (written(j, gfn, offset, len))
        for (unsigned i = 0; i < j->vm->cpu_count; i++)
            j->vm->cpus[i]->jit.leave = 1;
}

void jit_take_written(struct jit *j)
{
    struct jit_written list[array_size(j->written)];
    unsigned n;
    bool lost;

    lock(j);
    n = j->written_count;
    memcpy(list, j->written, n * sizeof(list[0]));
    lost = j->written_lost;
    j->written_count = 0;
    j->written_lost = false;
    unlock(j);
    if (lost)
        jit_drop_all(j);
    else
        for (unsigned i = 0; i < n; i++)
            written(j, list[i].gfn, list[i].offset, list[i].len);
}

void jit_drop_all(struct jit *j)
{
    for (unsigned n = 0; n < array_size(j->pages); n++)
        for (struct jit_page *p = j->pages[n]; p; p = p->next)
            gmem_clear_code(j->gm, p->gfn, GMEM_CODE_TRANSLATED);
    memset(j->hash, 0, sizeof(j->hash));
    memset(j->pages, 0, sizeof(j->pages));
    for (unsigned i = 0; i < j->vm->cpu_count; i++)
        memset(j->vm->cpus[i]->jit.jump, 0, sizeof(j->vm->cpus[i]->jit.jump));
    j->code_used = j->code_start;
    j->data_used = 0;
    j->stats.flushes++;
}

void jit_make_room(struct jit *j)
{
    size_t data =
        sizeof(struct jit_block) + sizeof(struct jit_page) +
        (2 * sizeof(struct jit_site) + 2 * sizeof(struct jit_link) + 64) * JIT_BLOCK_INSNS + 256;

    if (j->arena.size - j->code_used < JIT_BLOCK_CODE || JIT_DATA_BYTES - j->data_used < data)
        jit_drop_all(j);
}

void jit_listen(struct jit *j)
{
    j->listener = (struct gmem_listener){.code_written = code_written, .opaque = j};
    gmem_listen(j->gm, &j->listener);
}

void jit_unlisten(struct jit *j)
{
    gmem_unlisten(j->gm, &j->listener);
}
