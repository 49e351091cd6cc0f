/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory as instructions see it: segmentation, paging, protection.
 *
 * Every accessor returns 0, or nonzero after a fault was recorded in c->fault (#GP, #SS, #PF, #AC).
 * The fast path is inline here: flat segment and TLB hit. Everything else is in access.c (limit
 * checks, page walk, MMIO, page-crossing, alignment checks, data breakpoints, writes to pages with
 * cached code).
 *
 * x86_load / x86_store take (segment, offset); x86_lin_* take a linear address and an access class,
 * for descriptor tables, stacks of inner rings and TSSes (X86_CLASS_SYSTEM). Multi-byte accesses
 * that fault leave memory unchanged, also when they cross a page. x86_rmw_*: the operand must be
 * writable even if the value does not change; check with x86_probe_write or use x86_load_rmw, which
 * faults as a write would, then x86_store.
 */
#ifndef CPU_X86_ACCESS_H
#define CPU_X86_ACCESS_H

#include "cpu/x86/cpu.h"

/* Slow paths. @size 1, 2, 4, 8, 16, 32. @ret / @from hold @size bytes. */
int x86_load_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, void *ret);
int x86_store_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, const void *from);
/* Load for read-modify-write: faults as a write. */
int x86_load_rmw_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, void *ret);

/* By linear address, in an access class, without segmentation. Page-crossing allowed. */
int x86_lin_load(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, unsigned size,
                 void *ret);
int x86_lin_store(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, unsigned size,
                  const void *from);
/* Raises what a write of [seg:off, len) would raise, without writing. */
int x86_probe_write(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned len);
/* As x86_probe_write for a read. */
int x86_probe_read(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned len);

/*
 * Segmentation only: linear address of [seg:off, size) after limit, type and canonical checks. #GP
 * or #SS.
 */
int x86_linear(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, bool write,
               uint64_t *ret_lin);

/*
 * Host pointer for a run of bytes of one page for string instructions: [lin, lin + *len) inside one
 * page, plain RAM, directly accessible; *len is cut to the page end. NULL when it must go the slow
 * way (no fault is recorded).
 */
uint8_t *x86_direct(struct x86_cpu *c, uint64_t lin, bool write, size_t *len);

/* Page walk for debuggers: no fault, no A/D update. 0 and the physical address, or -EFAULT. */
int x86_translate_debug(struct x86_cpu *c, uint64_t lin, uint64_t *ret_gpa);

/*
 * Names the calling thread as the one that runs @c (each x86_run begins with it): changes of the
 * memory map or of page flags made by that thread take effect at once, those of other threads at
 * the next instruction boundary (X86_ATTN_FLUSH).
 */
void x86_enter_thread(struct x86_cpu *c);
/* Whether the calling thread is that one. */
bool x86_on_this_thread(const struct x86_cpu *c);

/* TLB maintenance. */
void x86_tlb_flush_all(struct x86_cpu *c);
void x86_tlb_flush_page(struct x86_cpu *c,
                        uint64_t lin);           /* INVLPG: all classes and address-space tags */
void x86_tlb_flush_nonglobal(struct x86_cpu *c); /* MOV CR3 without PCIDs */
void x86_tlb_flush_pcid(struct x86_cpu *c, unsigned pcid);
/* Derives mode, mmu_class, flat_* and asid after CR0/CR3/CR4/EFER/CPL/RFLAGS.AC/VM/segment changes.
 */
void x86_mode_update(struct x86_cpu *c);
void x86_seg_update(struct x86_cpu *c, unsigned seg);

static inline uint8_t *x86_tlb_hit(struct x86_cpu *c, uint64_t lin, unsigned size, bool write)
{
    const struct x86_tlb_entry *e =
        &c->tlb[c->mmu_class][(lin >> GMEM_PAGE_BITS) & (X86_TLB_SIZE - 1)];
    uint64_t page_off = lin & (GMEM_PAGE_SIZE - 1);
    uint64_t want = (lin - page_off) ^ c->tlb_key;
    if (likely((write ? e->wtag : e->rtag) == want && page_off + size <= GMEM_PAGE_SIZE))
        return e->host + page_off;
    return NULL;
}

/* The entry for @lin after a page walk. Nonzero after a fault. */
int x86_fetch_page_slow(struct x86_cpu *c, uint64_t lin, struct x86_itlb_entry **ret);

/*
 * Instruction fetch: physical place of code at linear @lin for the current CPL. Raises #PF / #GP;
 * the limit of CS is the caller's to check. On success *ret_page is the host address of the page's
 * first byte, *ret_gpa its guest-physical address and *ret_gfn its gmem page or UINT64_MAX for ROM
 * (no write tracking).
 */
static inline int x86_fetch_page(struct x86_cpu *c, uint64_t lin, const uint8_t **ret_page,
                                 uint64_t *ret_gpa, uint64_t *ret_gfn)
{
    struct x86_itlb_entry *e = &c->itlb[c->cpl == 3][(lin >> GMEM_PAGE_BITS) & (X86_ITLB_SIZE - 1)];

    if (unlikely(e->tag != ((lin & ~(uint64_t)(GMEM_PAGE_SIZE - 1)) | c->asid)) &&
        x86_fetch_page_slow(c, lin, &e))
        return 1;
    *ret_page = e->page;
    *ret_gpa = e->gpa;
    *ret_gfn = e->gfn;
    return 0;
}

#define X86_ACCESSORS(bits, type)                                                                  \
    static inline int x86_load##bits(struct x86_cpu *c, unsigned seg, uint64_t off, type *ret)     \
    {                                                                                              \
        const struct x86_seg *s = &c->seg[seg];                                                    \
        if (likely(s->flat_r)) {                                                                   \
            const uint8_t *p = x86_tlb_hit(c, s->lin_base + off, sizeof(type), false);             \
            if (likely(p != NULL)) {                                                               \
                memcpy(ret, p, sizeof(type));                                                      \
                return 0;                                                                          \
            }                                                                                      \
        }                                                                                          \
        return x86_load_slow(c, seg, off, sizeof(type), ret);                                      \
    }                                                                                              \
    static inline int x86_store##bits(struct x86_cpu *c, unsigned seg, uint64_t off, type value)   \
    {                                                                                              \
        const struct x86_seg *s = &c->seg[seg];                                                    \
        if (likely(s->flat_w)) {                                                                   \
            uint8_t *p = x86_tlb_hit(c, s->lin_base + off, sizeof(type), true);                    \
            if (likely(p != NULL)) {                                                               \
                memcpy(p, &value, sizeof(type));                                                   \
                return 0;                                                                          \
            }                                                                                      \
        }                                                                                          \
        return x86_store_slow(c, seg, off, sizeof(type), &value);                                  \
    }                                                                                              \
    static inline int x86_load_rmw##bits(struct x86_cpu *c, unsigned seg, uint64_t off, type *ret) \
    {                                                                                              \
        const struct x86_seg *s = &c->seg[seg];                                                    \
        if (likely(s->flat_w && s->flat_r)) {                                                      \
            const uint8_t *p = x86_tlb_hit(c, s->lin_base + off, sizeof(type), true);              \
            if (likely(p != NULL)) {                                                               \
                memcpy(ret, p, sizeof(type));                                                      \
                return 0;                                                                          \
            }                                                                                      \
        }                                                                                          \
        return x86_load_rmw_slow(c, seg, off, sizeof(type), ret);                                  \
    }
X86_ACCESSORS(8, uint8_t)
X86_ACCESSORS(16, uint16_t)
X86_ACCESSORS(32, uint32_t)
X86_ACCESSORS(64, uint64_t)
X86_ACCESSORS(128, union x86_xmm)
X86_ACCESSORS(256, union x86_ymm)

#endif
