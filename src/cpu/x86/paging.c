/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page walk: no paging, 32-bit with PSE and PSE-36, PAE, 4-level (vol. 3, 4.2 to 4.5).
 *
 * Entries are read level by level; a fault leaves no trace in them. Accessed bits are set when the
 * whole walk has succeeded, the dirty bit together with them for a write.
 */
#include "cpu/x86/mmu.h"

#include "cpu/x86/exc.h"
#include "cpu/x86/model.h"

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
};
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

/* Bits of the page-fault error code (4.7). */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

struct step {
    uint64_t gpa, entry;
};

struct walk {
    uint64_t lin;
    unsigned flags;
    unsigned entry_size; /* 4 or 8 bytes */
    unsigned steps;
    struct step step[4];
    bool user, write; /* U/S and R/W of all levels so far */
    bool nx;
    unsigned level; /* of the leaf */
    uint64_t gpa;
};

uint64_t x86_ram_gfn(struct x86_cpu *c, uint64_t gpa, bool write, bool *ret_rom)
{
    struct space_hit hit;

    if (likely(gpa - c->mmu.ram_gpa < c->mmu.ram_len)) {
        *ret_rom = c->mmu.ram_rom;
        if (unlikely(write && c->mmu.ram_rom))
            return UINT64_MAX;
        return c->mmu.ram_gfn + ((gpa - c->mmu.ram_gpa) >> GMEM_PAGE_BITS);
    }
    space_resolve(c->vm->space, gpa, &hit);
    *ret_rom = hit.kind == SPACE_ROM_PAGES;
    if (hit.kind != SPACE_RAM && hit.kind != SPACE_ROM_PAGES)
        return UINT64_MAX;
    c->mmu.ram_gpa = gpa & ~(uint64_t)(GMEM_PAGE_SIZE - 1);
    c->mmu.ram_len = hit.left + (gpa & (GMEM_PAGE_SIZE - 1));
    c->mmu.ram_gfn = hit.gfn;
    c->mmu.ram_rom = *ret_rom;
    return write && *ret_rom ? UINT64_MAX : hit.gfn;
}

/* @flags: of the walk; one for a debugger touches no device and finds nothing there. */
static uint64_t entry_load(struct x86_cpu *c, unsigned flags, uint64_t gpa, unsigned size)
{
    const struct x86_host *h = &c->vm->host;
    uint64_t gfn, value;
    bool rom;

    gpa &= c->vm->a20_mask;
    gfn = x86_ram_gfn(c, gpa, false, &rom);
    if (likely(gfn != UINT64_MAX)) {
        const uint8_t *p =
            gmem_read_page(space_ram(c->vm->space), gfn) + (gpa & (GMEM_PAGE_SIZE - 1));
        return size == 8 ? load_le64(p) : load_le32(p);
    }
    if (flags & X86_WALK_DEBUG)
        return 0;
    h->lock(h->opaque);
    value = space_load(c->vm->space, gpa, size);
    h->unlock(h->opaque);
    return value;
}

/* Sets bits of an entry; other processors may be doing the same. Entries outside RAM stay. */
static void entry_or(struct x86_cpu *c, uint64_t gpa, unsigned bits)
{
    struct gmem *ram = space_ram(c->vm->space);
    unsigned in_page = gpa & (GMEM_PAGE_SIZE - 1);
    uint64_t gfn;
    bool rom;

    gpa &= c->vm->a20_mask;
    gfn = x86_ram_gfn(c, gpa, true, &rom);
    if (gfn == UINT64_MAX)
        return;
    gmem_code_write(ram, gfn, in_page, 1);
    /* A and D are bits 5 and 6 in all formats: one byte is enough. */
    __atomic_fetch_or(gmem_write_page(ram, gfn) + in_page, (uint8_t)bits, __ATOMIC_RELAXED);
}

static int fault(struct x86_cpu *c, const struct walk *w, unsigned code)
{
    if (w->flags & X86_WALK_DEBUG)
        return 1;
    if (w->flags & X86_WALK_WRITE)
        code |= PF_W;
    if (w->flags & X86_WALK_USER)
        code |= PF_U;
    if ((w->flags & X86_WALK_FETCH) &&
        ((c->cr4 & X86_CR4_SMEP) || ((c->efer & X86_EFER_NXE) && (c->cr4 & X86_CR4_PAE))))
        code |= PF_I;
    x86_raise_code(c, X86_PFV, code);
    c->fault.cr2 = w->lin;
    return 1;
}

/* Reads the entry at @gpa; nonzero when the walk ends with a fault. @reserved: bits that must be
 * 0. */
static int step(struct x86_cpu *c, struct walk *w, uint64_t gpa, uint64_t reserved, uint64_t *ret)
{
    uint64_t e = entry_load(c, w->flags, gpa, w->entry_size);

    w->step[w->steps++] = (struct step){.gpa = gpa, .entry = e};
    if (!(e & PTE_P))
        return fault(c, w, 0);
    if (!(c->efer & X86_EFER_NXE) && w->entry_size == 8)
        reserved |= PTE_NX;
    if (e & reserved)
        return fault(c, w, PF_P | PF_RSVD);
    w->user = w->user && (e & PTE_U);
    w->write = w->write && (e & PTE_W);
    w->nx = w->nx || (w->entry_size == 8 && (e & PTE_NX));
    *ret = e;
    return 0;
}

static int leaf(struct walk *w, uint64_t frame, unsigned level, uint64_t size)
{
    w->level = level;
    w->gpa = frame | (w->lin & (size - 1));
    return 0;
}

static int walk_32bit(struct x86_cpu *c, struct walk *w)
{
    uint64_t e, high;

    w->entry_size = 4;
    e = entry_load(c, w->flags, (c->cr3 & 0xfffff000u) + (w->lin >> 22 & 0x3ff) * 4, 4);
    if ((e & PTE_P) && (e & PTE_PS) && (c->cr4 & X86_CR4_PSE)) {
        /* PSE-36: bits 13..20 are address bits 32..39, those above MAXPHYADDR reserved with 21. */
        high = (c->mmu.phys_reserved >> 32 & 0xff) << 13;
        if (!x86_model_has(c->vm->model, X86_FEATURE(X86_W_1_EDX, 17)))
            high = 0x1fe000;
        if (step(c, w, (c->cr3 & 0xfffff000u) + (w->lin >> 22 & 0x3ff) * 4, high | 1 << 21, &e))
            return 1;
        return leaf(w, (e & 0xffc00000u) | (e >> 13 & 0xff) << 32, 1, 1 << 22);
    }
    if (step(c, w, (c->cr3 & 0xfffff000u) + (w->lin >> 22 & 0x3ff) * 4, 0, &e) ||
        step(c, w, (e & 0xfffff000u) + (w->lin >> 12 & 0x3ff) * 4, 0, &e))
        return 1;
    return leaf(w, e & 0xfffff000u, 0, GMEM_PAGE_SIZE);
}

/* The two lower levels, common to PAE and 4-level paging: from the page directory at @table. */
static int walk_low(struct x86_cpu *c, struct walk *w, uint64_t table, uint64_t reserved)
{
    uint64_t e = 0;

    if (step(c, w, table + (w->lin >> 21 & 0x1ff) * 8, reserved, &e))
        return 1;
    if (e & PTE_PS) {
        if (e & 0x1fe000)
            return fault(c, w, PF_P | PF_RSVD);
        return leaf(w, e & PTE_ADDR & ~0x1fffffull, 1, 1 << 21);
    }
    if (step(c, w, (e & PTE_ADDR) + (w->lin >> 12 & 0x1ff) * 8, reserved, &e))
        return 1;
    return leaf(w, e & PTE_ADDR, 0, GMEM_PAGE_SIZE);
}

static int walk_pae(struct x86_cpu *c, struct walk *w)
{
    uint64_t pdpte = c->pdpte[w->lin >> 30 & 3];

    w->entry_size = 8;
    if (!(pdpte & PTE_P))
        return fault(c, w, 0);
    /* Bits 62:52 are reserved in this mode (table 4-9 and following). */
    return walk_low(c, w, pdpte & PTE_ADDR, c->mmu.phys_reserved | 0x7ff0000000000000ull);
}

static int walk_4level(struct x86_cpu *c, struct walk *w)
{
    uint64_t reserved = c->mmu.phys_reserved, e;

    w->entry_size = 8;
    if (step(c, w, (c->cr3 & PTE_ADDR) + (w->lin >> 39 & 0x1ff) * 8, reserved | PTE_PS, &e) ||
        step(c, w, (e & PTE_ADDR) + (w->lin >> 30 & 0x1ff) * 8, reserved, &e))
        return 1;
    if (e & PTE_PS) {
        if ((e & 0x3fffe000) || !x86_model_has(c->vm->model, X86_FEATURE(X86_W_81_EDX, 26)))
            return fault(c, w, PF_P | PF_RSVD);
        return leaf(w, e & PTE_ADDR & ~0x3fffffffull, 2, 1 << 30);
    }
    return walk_low(c, w, e & PTE_ADDR, reserved);
}

/* Whether the access rights found allow the access (4.6). */
static bool allowed(const struct x86_cpu *c, const struct walk *w, unsigned flags)
{
    if (flags & X86_WALK_FETCH) {
        if (w->nx)
            return false;
        return (flags & X86_WALK_USER) ? w->user : !(w->user && (c->cr4 & X86_CR4_SMEP));
    }
    if (flags & X86_WALK_USER)
        return w->user && (!(flags & X86_WALK_WRITE) || w->write);
    if (w->user && (flags & X86_WALK_IMPLICIT) && (c->cr4 & X86_CR4_SMAP))
        return false;
    return !(flags & X86_WALK_WRITE) || w->write || !(c->cr0 & X86_CR0_WP);
}

/* Sets A on the way and D for a write. Returns whether D is set now. */
static bool mark(struct x86_cpu *c, const struct walk *w)
{
    const struct step *last = &w->step[w->steps - 1];
    uint64_t want = PTE_A | (w->flags & X86_WALK_WRITE ? PTE_D : 0);

    for (unsigned i = 0; i + 1 < w->steps; i++)
        if (!(w->step[i].entry & PTE_A))
            entry_or(c, w->step[i].gpa, PTE_A);
    if ((last->entry & want) != want)
        entry_or(c, last->gpa, (unsigned)want);
    return (last->entry | want) & PTE_D;
}

int x86_walk(struct x86_cpu *c, uint64_t lin, unsigned flags, struct x86_xlat *ret)
{
    struct walk w = {.lin = lin, .flags = flags, .user = true, .write = true};
    bool dirty;

    if (!(c->cr0 & X86_CR0_PG)) {
        *ret = (struct x86_xlat){.gpa = lin & c->vm->a20_mask, .writable = true};
        return 0;
    }
    if (c->efer & X86_EFER_LMA ? walk_4level(c, &w)
        : c->cr4 & X86_CR4_PAE ? walk_pae(c, &w)
                               : walk_32bit(c, &w))
        return 1;
    ret->gpa = w.gpa & c->vm->a20_mask;
    ret->level = (uint8_t)w.level;
    ret->writable = false;
    if (flags & X86_WALK_DEBUG)
        return 0;
    if (!allowed(c, &w, flags))
        return fault(c, &w, PF_P);
    dirty = mark(c, &w);
    ret->writable = dirty && allowed(c, &w, (flags & ~X86_WALK_FETCH) | X86_WALK_WRITE);
    return 0;
}

void x86_walk_show(struct x86_cpu *c, uint64_t lin, struct x86_walk_path *ret)
{
    struct walk w = {.lin = lin, .flags = X86_WALK_DEBUG, .user = true, .write = true, .gpa = lin};
    bool paged = c->cr0 & X86_CR0_PG;

    if (!paged)
        *ret = (struct x86_walk_path){.mapped = true};
    else
        *ret = (struct x86_walk_path){.mapped = !(c->efer & X86_EFER_LMA ? walk_4level(c, &w)
                                                  : c->cr4 & X86_CR4_PAE ? walk_pae(c, &w)
                                                                         : walk_32bit(c, &w))};
    ret->steps = w.steps;
    for (unsigned i = 0; i < w.steps; i++) {
        ret->step[i].gpa = w.step[i].gpa;
        ret->step[i].entry = w.step[i].entry;
    }
    ret->user = w.user;
    ret->write = w.write;
    ret->nx = w.nx;
    ret->level = (uint8_t)w.level;
    ret->gpa = w.gpa & c->vm->a20_mask;
}

bool x86_load_pdptes(struct x86_cpu *c, uint64_t cr3)
{
    uint64_t e[4], reserved = c->mmu.phys_reserved | 0x1e6 | 0xfff0000000000000ull;

    for (unsigned i = 0; i < 4; i++) {
        e[i] = entry_load(c, 0, (cr3 & 0xffffffe0u) + i * 8, 8);
        if ((e[i] & PTE_P) && (e[i] & reserved))
            return false;
    }
    memcpy(c->pdpte, e, sizeof(e));
    return true;
}
