/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slow paths of memory access: segment checks, misses of the TLB, accesses that cross a page,
 * device registers, alignment checks, data breakpoints, writes to pages with decoded code.
 */
#include "cpu/x86/access.h"

#include "cpu/x86/exc.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/segment.h"

/* The access that ran past the checks of its segment (vol. 3, 6.15, #SS and #GP). */
static int raise_segment(struct x86_cpu *c, unsigned seg)
{
    x86_raise_code(c, seg == X86_SS ? X86_SSV : X86_GP, 0);
    return 1;
}

/* Type check of a legacy segment (vol. 3, 5.4.1). Nothing is checked in real and v8086 mode. */
static bool type_allows(const struct x86_cpu *c, const struct x86_seg *s, bool write)
{
    if (c->mode == X86_MODE_REAL || c->mode == X86_MODE_V86)
        return true;
    if (s->null || !(s->attr & X86_SEG_P))
        return false;
    if (s->attr & 8)
        return !write && (s->attr & 2);
    return !write || (s->attr & 2);
}

static int misaligned(struct x86_cpu *c, uint64_t lin, unsigned size)
{
    if (likely(!c->align_check) || !(lin & (size - 1)) || size > 8 || (size & (size - 1)))
        return 0;
    x86_raise_code(c, X86_AC_VEC, 0);
    return 1;
}

int x86_linear(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, bool write,
               uint64_t *ret_lin)
{
    const struct x86_seg *s = &c->seg[seg];
    uint64_t lin = s->lin_base + off;

    if (c->mode == X86_MODE_64) {
        if (!x86_canonical(lin) || !x86_canonical(lin + size - 1))
            return raise_segment(c, seg);
    } else {
        if (!type_allows(c, s, write) || !x86_seg_in_limit(s, off, size))
            return raise_segment(c, seg);
        lin = (uint32_t)lin;
    }
    if (misaligned(c, lin, size))
        return 1;
    *ret_lin = lin;
    return 0;
}

static void place_read(struct x86_cpu *c, const struct x86_place *p, void *to, unsigned size)
{
    const struct x86_host *h = &c->vm->host;
    uint8_t *out = to;
    uint64_t gpa = p->gpa;

    if (likely(p->host != NULL)) {
        memcpy(to, p->host, size);
        return;
    }
    h->lock(h->opaque);
    while (size) {
        unsigned n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
        uint64_t value = space_load(c->vm->space, gpa, n);
        memcpy(out, &value, n);
        out += n;
        gpa += n;
        size -= n;
    }
    h->unlock(h->opaque);
}

static void place_write(struct x86_cpu *c, const struct x86_place *p, const void *from,
                        unsigned size)
{
    const struct x86_host *h = &c->vm->host;
    const uint8_t *in = from;
    uint64_t gpa = p->gpa;

    if (likely(p->host != NULL)) {
        if (p->code)
            gmem_code_write(space_ram(c->vm->space), p->gfn, gpa & (GMEM_PAGE_SIZE - 1), size);
        memcpy(p->host, from, size);
        return;
    }
    h->lock(h->opaque);
    while (size) {
        unsigned n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
        uint64_t value = 0;
        memcpy(&value, in, n);
        space_store(c->vm->space, gpa, n, value);
        in += n;
        gpa += n;
        size -= n;
    }
    h->unlock(h->opaque);
}

/* The linear address @n bytes further: 32-bit linear addresses wrap. */
static uint64_t lin_add(const struct x86_cpu *c, uint64_t lin, unsigned n)
{
    return c->mode == X86_MODE_64 || lin > UINT32_MAX ? lin + n : (uint32_t)(lin + n);
}

static uint8_t *hit(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, unsigned size,
                    bool write)
{
    const struct x86_tlb_entry *e = &c->tlb[cls][(lin >> GMEM_PAGE_BITS) & (X86_TLB_SIZE - 1)];
    uint64_t in_page = lin & (GMEM_PAGE_SIZE - 1);

    if (likely((write ? e->wtag : e->rtag) == ((lin - in_page) ^ c->tlb_key) &&
               in_page + size <= GMEM_PAGE_SIZE))
        return e->host + in_page;
    return NULL;
}

/*
 * One or two places for [lin, lin + size), @size at most a page. Returns the number of bytes in the
 * first, 0 after a fault.
 */
static unsigned places(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, unsigned size,
                       bool write, struct x86_place p[2])
{
    unsigned left = GMEM_PAGE_SIZE - (lin & (GMEM_PAGE_SIZE - 1));

    if (x86_place(c, cls, lin, write, &p[0]))
        return 0;
    if (size <= left)
        return size;
    /* Filling the second entry may drop the first; what was resolved stays true: a write has made
     * its page present already, a read is not followed by a copy-up of the same instruction. */
    return x86_place(c, cls, lin_add(c, lin, left), write, &p[1]) ? 0 : left;
}

static int lin_check(struct x86_cpu *c, uint64_t lin, unsigned size)
{
    if (!(c->efer & X86_EFER_LMA) || (x86_canonical(lin) && x86_canonical(lin + size - 1)))
        return 0;
    x86_raise_gp(c, 0);
    return 1;
}

int x86_lin_load(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, unsigned size,
                 void *ret)
{
    const uint8_t *h = hit(c, cls, lin, size, false);
    struct x86_place p[2];
    unsigned first;

    if (likely(h != NULL)) {
        memcpy(ret, h, size);
        return 0;
    }
    if (lin_check(c, lin, size))
        return 1;
    first = places(c, cls, lin, size, false, p);
    if (!first)
        return 1;
    if (unlikely(c->debug_data))
        x86_debug_data(c, lin, size, false);
    place_read(c, &p[0], ret, first);
    if (size > first)
        place_read(c, &p[1], (uint8_t *)ret + first, size - first);
    return 0;
}

int x86_lin_store(struct x86_cpu *c, enum x86_access_class cls, uint64_t lin, unsigned size,
                  const void *from)
{
    uint8_t *h = hit(c, cls, lin, size, true);
    struct x86_place p[2];
    unsigned first;

    if (likely(h != NULL)) {
        memcpy(h, from, size);
        return 0;
    }
    if (lin_check(c, lin, size))
        return 1;
    first = places(c, cls, lin, size, true, p);
    if (!first)
        return 1;
    if (unlikely(c->debug_data))
        x86_debug_data(c, lin, size, true);
    place_write(c, &p[0], from, first);
    if (size > first)
        place_write(c, &p[1], (const uint8_t *)from + first, size - first);
    return 0;
}

int x86_load_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, void *ret)
{
    uint64_t lin;

    return x86_linear(c, seg, off, size, false, &lin) ||
           x86_lin_load(c, c->mmu_class, lin, size, ret);
}

int x86_store_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, const void *from)
{
    uint64_t lin;

    return x86_linear(c, seg, off, size, true, &lin) ||
           x86_lin_store(c, c->mmu_class, lin, size, from);
}

int x86_load_rmw_slow(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned size, void *ret)
{
    struct x86_place p[2];
    unsigned first;
    uint64_t lin;
    const uint8_t *h;

    /* A read-modify-write needs both rights of the segment. */
    if (x86_linear(c, seg, off, size, true, &lin) || x86_linear(c, seg, off, size, false, &lin))
        return 1;
    h = hit(c, c->mmu_class, lin, size, true);
    if (likely(h != NULL)) {
        memcpy(ret, h, size);
        return 0;
    }
    first = places(c, c->mmu_class, lin, size, true, p);
    if (!first)
        return 1;
    if (unlikely(c->debug_data))
        x86_debug_data(c, lin, size, false);
    place_read(c, &p[0], ret, first);
    if (size > first)
        place_read(c, &p[1], (uint8_t *)ret + first, size - first);
    return 0;
}

static int probe(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned len, bool write)
{
    struct x86_place p[2];
    uint64_t lin;

    if (x86_linear(c, seg, off, len, write, &lin))
        return 1;
    if (hit(c, c->mmu_class, lin, len, write))
        return 0;
    return !places(c, c->mmu_class, lin, len, write, p);
}

int x86_probe_write(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned len)
{
    return probe(c, seg, off, len, true);
}

int x86_probe_read(struct x86_cpu *c, unsigned seg, uint64_t off, unsigned len)
{
    return probe(c, seg, off, len, false);
}
