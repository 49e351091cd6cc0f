/* SPDX-License-Identifier: Apache-2.0 */
/* Page walks and physical accesses, shared by access.c, tlb.c and paging.c (vol. 3, chapter 4). */
#ifndef CPU_X86_MMU_H
#define CPU_X86_MMU_H

#include "cpu/x86/access.h"

enum {
    X86_WALK_WRITE = 1 << 0,
    X86_WALK_USER = 1 << 1, /* a user-mode access */
    X86_WALK_FETCH = 1 << 2,
    X86_WALK_IMPLICIT = 1 << 3, /* subject to SMAP: implicit, or explicit with AC clear */
    X86_WALK_DEBUG = 1 << 4,    /* no permission check, no fault, no accessed or dirty bits */
};

struct x86_xlat {
    uint64_t gpa;
    bool writable; /* a write of the same class needs no further walk: allowed, D already set */
    uint8_t level; /* 0 = 4 KiB, 1 = 2 or 4 MiB, 2 = 1 GiB */
};

/* The tag of an empty entry at @slot of a TLB: see tlb_drop. */
static inline uint64_t x86_tlb_none(unsigned slot)
{
    return (uint64_t)slot << GMEM_PAGE_BITS;
}

/* The tag of @lin in the address space in force. */
static inline uint64_t x86_tlb_tag(const struct x86_cpu *c, uint64_t lin)
{
    return (lin & ~(uint64_t)(GMEM_PAGE_SIZE - 1)) ^ c->tlb_key;
}

/* Translates @lin. Nonzero after #PF was raised (with X86_WALK_DEBUG: just nonzero). */
int x86_walk(struct x86_cpu *c, uint64_t lin, unsigned flags, struct x86_xlat *ret);

/* A walk told to a person: what it met, without faults, permissions or traces. */
struct x86_walk_path {
    unsigned steps; /* entries read; of PAE's page-directory pointers none is */
    struct {
        uint64_t gpa, entry;
    } step[4];
    bool mapped;          /* gpa, level and rights say where to */
    bool user, write, nx; /* of all levels together */
    uint8_t level;        /* as in struct x86_xlat */
    uint64_t gpa;
};
void x86_walk_show(struct x86_cpu *c, uint64_t lin, struct x86_walk_path *ret);

/* Loads and checks the PAE page-directory pointers at @cr3; false when a reserved bit is set. */
bool x86_load_pdptes(struct x86_cpu *c, uint64_t cr3);

static inline unsigned x86_walk_class(enum x86_access_class cls)
{
    return cls == X86_CLASS_USER ? X86_WALK_USER : cls == X86_CLASS_SYSTEM ? X86_WALK_IMPLICIT : 0;
}

/* The class of explicit data accesses at privilege level @cpl. */
static inline enum x86_access_class x86_class_at(const struct x86_cpu *c, unsigned cpl)
{
    if (cpl == 3)
        return X86_CLASS_USER;
    return (c->cr4 & X86_CR4_SMAP) && (c->rflags & X86_AC) ? X86_CLASS_SYSTEM_USER
                                                           : X86_CLASS_SYSTEM;
}

/*
 * The page of guest memory at @gpa for an access, or UINT64_MAX when it goes elsewhere. *ret_rom:
 * the page is ROM to the guest (read and executed as RAM, never returned for a write).
 */
uint64_t x86_ram_gfn(struct x86_cpu *c, uint64_t gpa, bool write, bool *ret_rom);

/* What one linear page resolves to for one access. */
struct x86_place {
    uint8_t *host; /* the addressed byte; NULL: neither RAM nor ROM, or ROM that is written */
    uint64_t gpa;  /* of the addressed byte */
    uint64_t gfn;  /* RAM page, UINT64_MAX otherwise */
    bool code;     /* writes must be told (gmem_code_write) */
};

/*
 * Translates for an access of class @cls that stays inside the page, and enters the page in the TLB
 * where that is allowed. Nonzero after a fault was raised.
 */
int x86_place(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, bool write,
              struct x86_place *ret);

/* Whether an armed data breakpoint lies in the page of @lin: such pages stay out of the TLB. */
bool x86_debug_page(const struct x86_cpu *c, uint64_t lin);
/* Notes the data breakpoints that [lin, lin + size) meets in c->debug_hits. */
void x86_debug_data(struct x86_cpu *c, uint64_t lin, unsigned size, bool write);

static inline bool x86_canonical(uint64_t lin)
{
    return (uint64_t)((int64_t)(lin << 16) >> 16) == lin;
}

#endif
