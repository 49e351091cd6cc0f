/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software TLBs and what keeps them true: flushes by the guest, the listener on guest memory,
 * and changes of the memory map.
 *
 * An entry may only be made or dropped by the thread that runs the processor. Changes made by other
 * threads ask for X86_ATTN_FLUSH, which drops everything at the next instruction boundary.
 */
#include "cpu/x86/mmu.h"

#include <errno.h>

#include "base/trace.h"
#include "cpu/x86/exc.h"
#include "cpu/x86/system.h"
#include "cpu/x86/tlb.h"

/* Its address identifies the thread; the value is never used. */
static _Thread_local char this_thread;

static const uint8_t open_bus[GMEM_PAGE_SIZE] = {[0 ... GMEM_PAGE_SIZE - 1] = 0xff};

void x86_enter_thread(struct x86_cpu *c)
{
    c->thread = &this_thread;
}

static void tlb_drop(struct x86_tlb_entry *e, unsigned slot)
{
    e->rtag = e->wtag = x86_tlb_none(slot);
}

bool x86_on_this_thread(const struct x86_cpu *c)
{
    return c->thread == &this_thread;
}

static struct x86_tlb_entry *tlb_slot(struct x86_cpu *c, unsigned cls, uint64_t lin)
{
    return &c->tlb[cls][(lin >> GMEM_PAGE_BITS) & (X86_TLB_SIZE - 1)];
}

static struct x86_itlb_entry *itlb_slot(struct x86_cpu *c, bool user, uint64_t lin)
{
    return &c->itlb[user][(lin >> GMEM_PAGE_BITS) & (X86_ITLB_SIZE - 1)];
}

void x86_tlb_update_asid(struct x86_cpu *c)
{
    unsigned pcid = (c->cr4 & X86_CR4_PCIDE) ? c->cr3 & (X86_PCIDS - 1) : 0;
    uint16_t *tag = &c->mmu.tag_of_pcid[pcid];

    if (unlikely(!*tag)) {
        if (c->mmu.next_tag == X86_TAG_END)
            x86_tlb_flush_all(c); /* numbers restart; gives this PCID one, too */
        if (!*tag)
            *tag = c->mmu.next_tag++;
    }
    c->asid = *tag;
    c->tlb_key = c->asid << GMEM_PAGE_BITS;
}

static unsigned fetched_hash(uint64_t lin)
{
    uint64_t page = lin >> GMEM_PAGE_BITS;
    return (unsigned)((page ^ page >> 12 ^ page >> 24) & 4095);
}

/* What was learnt of the place of code is void. */
static void refetch(struct x86_cpu *c)
{
    memset(c->mmu.fetched, 0, sizeof(c->mmu.fetched));
    c->mmu.fetch_moves = false;
    c->fetch_gen++;
}

void x86_tlb_flush_all(struct x86_cpu *c)
{
    for (unsigned cls = 0; cls < X86_CLASSES; cls++)
        for (unsigned slot = 0; slot < X86_TLB_SIZE; slot++) {
            tlb_drop(&c->tlb[cls][slot], slot);
            c->tlb[cls][slot].gfn = UINT64_MAX;
        }
    memset(c->itlb, 0xff, sizeof(c->itlb));
    memset(&c->mmu.tag_of_pcid, 0, sizeof(c->mmu.tag_of_pcid));
    memset(c->mmu.large, 0, sizeof(c->mmu.large));
    c->mmu.huge_seen = false;
    c->mmu.ram_len = 0;
    c->mmu.next_tag = 1;
    refetch(c);
    x86_tlb_update_asid(c);
    c->counts.flushes++;
    if (unlikely(c->vm->trace != NULL))
        x86_note_paging(c, TRACE_FLUSH, 0, 0, 0);
}

void x86_tlb_flush_pcid(struct x86_cpu *c, unsigned pcid)
{
    c->mmu.tag_of_pcid[pcid & (X86_PCIDS - 1)] = 0;
    x86_tlb_update_asid(c);
}

void x86_tlb_flush_nonglobal(struct x86_cpu *c)
{
    x86_tlb_flush_pcid(c, (c->cr4 & X86_CR4_PCIDE) ? c->cr3 & (X86_PCIDS - 1) : 0);
}

/* Regions of 2 MiB: a 4 MiB page is noted as two. */
static unsigned large_hash(uint64_t lin)
{
    uint64_t region = lin >> 21;
    return (unsigned)((region ^ region >> 9 ^ region >> 18) & 511);
}

static void note_large(struct x86_cpu *c, uint64_t lin, unsigned level)
{
    unsigned a = large_hash(lin), b = large_hash(lin ^ 1 << 21);

    if (level == 2)
        c->mmu.huge_seen = true;
    c->mmu.large[a / 64] |= 1ull << a % 64;
    if (!(c->efer & X86_EFER_LMA))
        c->mmu.large[b / 64] |= 1ull << b % 64;
}

/* Whether @tag at @slot, of any address space, is of the aligned region of 1 << @bits around @lin.
 */
static bool tag_in(uint64_t tag, unsigned slot, uint64_t lin, unsigned bits)
{
    uint64_t known = (uint64_t)(X86_TLB_SIZE - 1) << GMEM_PAGE_BITS;

    return ((((tag & ~known) | (uint64_t)slot << GMEM_PAGE_BITS) ^ lin) >> bits) == 0;
}

static void drop_page(struct x86_cpu *c, uint64_t page)
{
    unsigned slot = (page >> GMEM_PAGE_BITS) & (X86_TLB_SIZE - 1);

    for (unsigned cls = 0; cls < X86_CLASSES; cls++) {
        struct x86_tlb_entry *e = tlb_slot(c, cls, page);
        if (tag_in(e->rtag, slot, page, GMEM_PAGE_BITS) ||
            tag_in(e->wtag, slot, page, GMEM_PAGE_BITS))
            tlb_drop(e, slot);
    }
    for (unsigned user = 0; user < 2; user++) {
        struct x86_itlb_entry *e = itlb_slot(c, user, page);
        if (((e->tag ^ page) >> GMEM_PAGE_BITS) == 0)
            e->tag = UINT64_MAX;
    }
}

/* Drops all pages of the aligned region of 1 << @bits bytes around @lin. */
static void drop_region(struct x86_cpu *c, uint64_t lin, unsigned bits)
{
    for (unsigned cls = 0; cls < X86_CLASSES; cls++)
        for (unsigned i = 0; i < X86_TLB_SIZE; i++) {
            struct x86_tlb_entry *e = &c->tlb[cls][i];
            if (tag_in(e->rtag, i, lin, bits) || tag_in(e->wtag, i, lin, bits))
                tlb_drop(e, i);
        }
    for (unsigned i = 0; i < 2 * X86_ITLB_SIZE; i++) {
        struct x86_itlb_entry *e = &c->itlb[i / X86_ITLB_SIZE][i % X86_ITLB_SIZE];
        if (((e->tag ^ lin) >> bits) == 0)
            e->tag = UINT64_MAX;
    }
}

void x86_tlb_flush_page(struct x86_cpu *c, uint64_t lin)
{
    unsigned hash = large_hash(lin), fetched = fetched_hash(lin);
    bool large = c->mmu.large[hash / 64] >> hash % 64 & 1;

    c->counts.page_flushes++;
    if (unlikely(c->vm->trace != NULL))
        x86_note_paging(c, TRACE_INVLPG, lin, 0, 0);
    if (c->mmu.huge_seen)
        drop_region(c, lin, 30);
    else if (large)
        drop_region(c, lin, c->efer & X86_EFER_LMA ? 21 : 22);
    else
        drop_page(c, lin & ~(uint64_t)(GMEM_PAGE_SIZE - 1));
    /* Most pages a guest drops hold data: leave what is known about code alone then. */
    if (c->mmu.huge_seen || large || (c->mmu.fetched[fetched / 64] >> fetched % 64 & 1))
        refetch(c);
}

int x86_place(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, bool write,
              struct x86_place *ret)
{
    struct x86_xlat x;
    struct space_hit hit;
    struct gmem *ram = space_ram(c->vm->space);
    uint64_t in_page = lin & (GMEM_PAGE_SIZE - 1);
    struct x86_tlb_entry *e = tlb_slot(c, cls, lin);
    uint64_t tag;
    unsigned flags;
    bool rom;

    if (x86_walk(c, lin, x86_walk_class(cls) | (write ? X86_WALK_WRITE : 0), &x))
        return 1;
    c->counts.tlb_misses++;
    if (unlikely(c->vm->trace != NULL))
        x86_note_paging(c, TRACE_WALK, lin, x.gpa, write);
    *ret = (struct x86_place){.gpa = x.gpa, .gfn = x86_ram_gfn(c, x.gpa, write, &rom)};
    if (ret->gfn != UINT64_MAX) {
        /* gmem_write_page may drop entries (copy-up): before this one is filled. */
        ret->host = write ? gmem_write_page(ram, ret->gfn)
                          : (uint8_t *)(uintptr_t)gmem_read_page(ram, ret->gfn);
        flags = gmem_page_flags(ram, ret->gfn);
        ret->code = flags & GMEM_CODE;
    } else {
        space_resolve(c->vm->space, x.gpa, &hit);
        if (hit.kind != SPACE_ROM || write)
            return 0;
        ret->host = (uint8_t *)(uintptr_t)hit.rom - in_page; /* never written: no wtag */
        flags = 0;
    }
    if (!(c->debug_data && x86_debug_page(c, lin))) {
        tag = x86_tlb_tag(c, lin);
        e->host = ret->host;
        e->gfn = ret->gfn;
        e->rtag = tag;
        e->wtag =
            x.writable && !rom &&
                    (flags & (GMEM_DELTA | GMEM_DIRTY | GMEM_CODE)) == (GMEM_DELTA | GMEM_DIRTY)
                ? tag
                : x86_tlb_none((lin >> GMEM_PAGE_BITS) & (X86_TLB_SIZE - 1));
        if (unlikely(x.level))
            note_large(c, lin, x.level);
    }
    ret->host += in_page;
    return 0;
}

uint8_t *x86_direct(struct x86_cpu *c, uint64_t lin, bool write, size_t *len)
{
    struct x86_pending saved;
    struct x86_place place;
    uint8_t *p = x86_tlb_hit(c, lin, 1, write);
    size_t left = GMEM_PAGE_SIZE - (lin & (GMEM_PAGE_SIZE - 1));

    if (!p) {
        if (c->mode == X86_MODE_64 && !x86_canonical(lin))
            return NULL;
        saved = c->fault;
        if (x86_place(c, c->mmu_class, lin, write, &place)) {
            c->fault = saved;
            return NULL;
        }
        p = x86_tlb_hit(c, lin, 1, write);
        if (!p)
            return NULL;
    }
    *len = min_of(*len, left);
    return p;
}

int x86_fetch_page_slow(struct x86_cpu *c, uint64_t lin, struct x86_itlb_entry **ret)
{
    bool user = c->cpl == 3;
    unsigned hash = fetched_hash(lin);
    struct x86_itlb_entry *e = itlb_slot(c, user, lin);
    uint64_t in_page = lin & (GMEM_PAGE_SIZE - 1);
    struct x86_xlat x;
    struct space_hit hit;
    bool rom;

    if (c->mode == X86_MODE_64 && !x86_canonical(lin)) {
        x86_raise_gp(c, 0);
        return 1;
    }
    if (x86_walk(c, lin, X86_WALK_FETCH | (user ? X86_WALK_USER : 0), &x))
        return 1;
    c->counts.fetch_misses++;
    if (unlikely(c->vm->trace != NULL))
        x86_note_paging(c, TRACE_WALK, lin, x.gpa, 2);
    e->gfn = x86_ram_gfn(c, x.gpa, false, &rom);
    e->gpa = x.gpa - in_page;
    if (e->gfn != UINT64_MAX) {
        struct gmem *ram = space_ram(c->vm->space);
        e->page = gmem_read_page(ram, e->gfn);
        if (!(gmem_page_flags(ram, e->gfn) & GMEM_DELTA))
            c->mmu.fetch_moves = true;
    } else {
        /* Device registers are not executable memory here: they read as an empty bus. */
        space_resolve(c->vm->space, e->gpa, &hit);
        e->page = hit.kind == SPACE_ROM ? hit.rom : open_bus;
    }
    e->tag = (lin - in_page) | c->asid;
    c->mmu.fetched[hash / 64] |= 1ull << hash % 64;
    if (x.level)
        note_large(c, lin, x.level);
    *ret = e;
    return 0;
}

int x86_translate_debug(struct x86_cpu *c, uint64_t lin, uint64_t *ret_gpa)
{
    struct x86_xlat x;

    if (x86_walk(c, lin, X86_WALK_DEBUG, &x))
        return -EFAULT;
    *ret_gpa = x.gpa;
    return 0;
}

static void drop_gfn(struct x86_cpu *c, uint64_t gfn)
{
    const uint8_t *page = gmem_read_page(space_ram(c->vm->space), gfn);
    bool moved = false;

    for (unsigned cls = 0; cls < X86_CLASSES; cls++)
        for (unsigned i = 0; i < X86_TLB_SIZE; i++)
            if (c->tlb[cls][i].gfn == gfn)
                tlb_drop(&c->tlb[cls][i], i);
    /* Code is only read: it matters when the page moved, not when it became CODE or clean. */
    for (unsigned i = 0; i < 2 * X86_ITLB_SIZE; i++) {
        struct x86_itlb_entry *e = &c->itlb[i / X86_ITLB_SIZE][i % X86_ITLB_SIZE];
        if (e->gfn == gfn && e->page != page) {
            e->tag = UINT64_MAX;
            moved = true;
        }
    }
    if (moved || c->mmu.fetch_moves)
        refetch(c);
}

static void page_changed(void *opaque, uint64_t gfn)
{
    struct x86_vm *vm = opaque;

    for (unsigned i = 0; i < vm->cpu_count; i++) {
        if (vm->cpus[i]->thread == &this_thread)
            drop_gfn(vm->cpus[i], gfn);
        else
            x86_attention_set(vm->cpus[i], X86_ATTN_FLUSH);
    }
}

static void all_changed(void *opaque)
{
    struct x86_vm *vm = opaque;

    for (unsigned i = 0; i < vm->cpu_count; i++) {
        if (vm->cpus[i]->thread == &this_thread)
            x86_tlb_flush_all(vm->cpus[i]);
        else
            x86_attention_set(vm->cpus[i], X86_ATTN_FLUSH);
    }
}

void x86_set_a20(struct x86_vm *vm, bool on)
{
    uint64_t mask = on ? UINT64_MAX : ~(1ull << 20);

    if (mask == vm->a20_mask)
        return;
    vm->a20_mask = mask;
    all_changed(vm);
}

void x86_tlb_attach(struct x86_vm *vm)
{
    vm->listener = (struct gmem_listener){
        .page_changed = page_changed, .all_changed = all_changed, .opaque = vm};
    gmem_listen(space_ram(vm->space), &vm->listener);
    space_on_change(vm->space, all_changed, vm);
}

void x86_tlb_detach(struct x86_vm *vm)
{
    gmem_unlisten(space_ram(vm->space), &vm->listener);
    space_on_change(vm->space, NULL, NULL);
}
