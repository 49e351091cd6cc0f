/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges are kept in a list; after each change they are flattened into a sorted array of
 * disjoint pieces, each shown by its highest range, so that a lookup is one binary search.
 */
#include "bus/space.h"

#include <errno.h>

#include "base/mem.h"
#include "base/trace.h"

struct space_range {
    const char *name;
    enum space_kind kind;
    int priority;
    uint64_t gpa, len;
    uint64_t first_gfn;
    const uint8_t *rom;
    const struct mmio_ops *ops;
    void *dev;
    struct space_range *next;
};

struct piece {
    uint64_t gpa, len;
    const struct space_range *range;
};

struct space {
    struct gmem *ram;
    struct space_range *ranges;
    struct piece *pieces;
    size_t piece_count;
    struct trace *trace;
    void (*changed)(void *opaque);
    void *changed_opaque;
};

struct space *space_new(struct gmem *ram, struct error *err)
{
    struct space *s = mem_new(struct space);

    if (!s)
        error_set(err, -ENOMEM, "create memory space: out of memory");
    else
        s->ram = ram;
    return s;
}

void space_free(struct space *s)
{
    if (!s)
        return;
    while (s->ranges) {
        struct space_range *next = s->ranges->next;
        free(s->ranges);
        s->ranges = next;
    }
    free(s->pieces);
    free(s);
}

struct gmem *space_ram(const struct space *s)
{
    return s->ram;
}

void space_set_trace(struct space *s, struct trace *trace)
{
    s->trace = trace;
}

void space_on_change(struct space *s, void (*fn)(void *opaque), void *opaque)
{
    s->changed = fn;
    s->changed_opaque = opaque;
}

static const struct space_range *top_at(const struct space *s, uint64_t gpa)
{
    const struct space_range *top = NULL;

    for (const struct space_range *r = s->ranges; r; r = r->next)
        if (gpa - r->gpa < r->len && (!top || r->priority > top->priority))
            top = r;
    return top;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int flatten(struct space *s, struct error *err)
{
    size_t ranges = 0, edges = 0, count = 0;
    uint64_t *edge;
    struct piece *pieces;

    for (struct space_range *r = s->ranges; r; r = r->next)
        ranges++;
    edge = mem_alloc(2 * ranges, sizeof(*edge));
    pieces = mem_alloc(2 * ranges, sizeof(*pieces));
    if (!edge || !pieces) {
        free(edge);
        free(pieces);
        return error_set(err, -ENOMEM, "change memory map: out of memory");
    }
    for (struct space_range *r = s->ranges; r; r = r->next) {
        edge[edges++] = r->gpa;
        edge[edges++] = r->gpa + r->len;
    }
    qsort(edge, edges, sizeof(*edge), compare_u64);
    for (size_t i = 0; i + 1 < edges; i++) {
        const struct space_range *top;
        if (edge[i] == edge[i + 1])
            continue;
        top = top_at(s, edge[i]);
        if (!top)
            continue;
        if (count && pieces[count - 1].range == top &&
            pieces[count - 1].gpa + pieces[count - 1].len == edge[i])
            pieces[count - 1].len += edge[i + 1] - edge[i];
        else
            pieces[count++] =
                (struct piece){.gpa = edge[i], .len = edge[i + 1] - edge[i], .range = top};
    }
    free(edge);
    free(s->pieces);
    s->pieces = pieces;
    s->piece_count = count;
    if (s->changed)
        s->changed(s->changed_opaque);
    return 0;
}

static struct space_range *add_range(struct space *s, struct space_range range, struct error *err)
{
    struct space_range *r;

    if (!range.len || range.gpa + range.len < range.gpa) {
        error_set(err, -EINVAL, "map %s: empty or wrapping range", range.name);
        return NULL;
    }
    for (const struct space_range *o = s->ranges; o; o = o->next) {
        if (o->priority == range.priority && range.gpa < o->gpa + o->len &&
            o->gpa < range.gpa + range.len) {
            error_set(err, -EEXIST, "map %s at 0x%llx: overlaps %s", range.name,
                      (unsigned long long)range.gpa, o->name);
            return NULL;
        }
    }
    r = mem_new(struct space_range);
    if (!r) {
        error_set(err, -ENOMEM, "map %s: out of memory", range.name);
        return NULL;
    }
    *r = range;
    r->next = s->ranges;
    s->ranges = r;
    if (flatten(s, err) < 0) {
        s->ranges = r->next;
        free(r);
        return NULL;
    }
    return r;
}

static struct space_range *add_pages(struct space *s, struct space_range range, struct error *err)
{
    uint64_t pages = gmem_pages(s->ram), count = range.len >> GMEM_PAGE_BITS;

    if ((range.gpa | range.len) % GMEM_PAGE_SIZE || range.first_gfn > pages ||
        count > pages - range.first_gfn) {
        error_set(err, -EINVAL, "map %s: not whole pages of guest memory", range.name);
        return NULL;
    }
    return add_range(s, range, err);
}

struct space_range *space_map_ram(struct space *s, const char *name, uint64_t gpa, uint64_t len,
                                  uint64_t first_gfn, int priority, struct error *err)
{
    return add_pages(s,
                     (struct space_range){.name = name,
                                          .kind = SPACE_RAM,
                                          .priority = priority,
                                          .gpa = gpa,
                                          .len = len,
                                          .first_gfn = first_gfn},
                     err);
}

struct space_range *space_map_rom_pages(struct space *s, const char *name, uint64_t gpa,
                                        uint64_t len, uint64_t first_gfn,
                                        const struct mmio_ops *ops, void *dev, int priority,
                                        struct error *err)
{
    return add_pages(s,
                     (struct space_range){.name = name,
                                          .kind = SPACE_ROM_PAGES,
                                          .priority = priority,
                                          .gpa = gpa,
                                          .len = len,
                                          .first_gfn = first_gfn,
                                          .ops = ops,
                                          .dev = dev},
                     err);
}

struct space_range *space_map_rom(struct space *s, const char *name, uint64_t gpa, uint64_t len,
                                  const uint8_t *bytes, int priority, struct error *err)
{
    if ((gpa | len) % GMEM_PAGE_SIZE) {
        error_set(err, -EINVAL, "map %s: not whole pages", name);
        return NULL;
    }
    return add_range(s,
                     (struct space_range){.name = name,
                                          .kind = SPACE_ROM,
                                          .priority = priority,
                                          .gpa = gpa,
                                          .len = len,
                                          .rom = bytes},
                     err);
}

struct space_range *space_map_mmio(struct space *s, const char *name, uint64_t gpa, uint64_t len,
                                   const struct mmio_ops *ops, void *dev, int priority,
                                   struct error *err)
{
    return add_range(s,
                     (struct space_range){.name = name,
                                          .kind = SPACE_MMIO,
                                          .priority = priority,
                                          .gpa = gpa,
                                          .len = len,
                                          .ops = ops,
                                          .dev = dev},
                     err);
}

void space_unmap(struct space *s, struct space_range *range)
{
    for (struct space_range **link = &s->ranges; range && *link; link = &(*link)->next) {
        if (*link == range) {
            size_t kept = 0;
            *link = range->next;
            /* Without memory for a new table, at least nothing may point at the freed range. */
            if (flatten(s, NULL) < 0) {
                for (size_t i = 0; i < s->piece_count; i++)
                    if (s->pieces[i].range != range)
                        s->pieces[kept++] = s->pieces[i];
                s->piece_count = kept;
                if (s->changed)
                    s->changed(s->changed_opaque);
            }
            free(range);
            return;
        }
    }
}

void space_each(const struct space *s,
                void (*each)(void *opaque, const char *name, enum space_kind kind, uint64_t gpa,
                             uint64_t len),
                void *opaque)
{
    for (size_t i = 0; i < s->piece_count; i++)
        each(opaque, s->pieces[i].range->name, s->pieces[i].range->kind, s->pieces[i].gpa,
             s->pieces[i].len);
}

void space_resolve(const struct space *s, uint64_t gpa, struct space_hit *ret)
{
    size_t low = 0, high = s->piece_count;
    const struct space_range *r;
    uint64_t in_range;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->pieces[mid].gpa + s->pieces[mid].len <= gpa)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == s->piece_count || gpa < s->pieces[low].gpa) {
        *ret = (struct space_hit){.kind = SPACE_NONE};
        ret->left = (low == s->piece_count ? UINT64_MAX : s->pieces[low].gpa) - gpa;
        return;
    }
    r = s->pieces[low].range;
    in_range = gpa - r->gpa;
    *ret = (struct space_hit){.kind = r->kind,
                              .left = s->pieces[low].gpa + s->pieces[low].len - gpa,
                              .offset = in_range,
                              .ops = r->ops,
                              .dev = r->dev};
    if (r->kind == SPACE_RAM || r->kind == SPACE_ROM_PAGES)
        ret->gfn = r->first_gfn + (in_range >> GMEM_PAGE_BITS);
    else if (r->kind == SPACE_ROM)
        ret->rom = r->rom + in_range;
}

/* Calls gmem_discard for the whole pages of each piece of the range, or only looks. */
static int discard_pieces(struct space *s, uint64_t gpa, uint64_t len, bool look)
{
    enum { IN_PAGE = GMEM_PAGE_SIZE - 1 };

    while (len) {
        struct space_hit hit;
        uint64_t n, skip = -gpa & IN_PAGE;
        space_resolve(s, gpa, &hit);
        if (hit.kind != SPACE_RAM)
            return -EFAULT;
        n = min_of(len, hit.left);
        if (!look && n >= skip + GMEM_PAGE_SIZE)
            gmem_discard(s->ram, hit.gfn + (skip != 0), (n - skip) >> GMEM_PAGE_BITS);
        gpa += n;
        len -= n;
    }
    return 0;
}

int space_discard(struct space *s, uint64_t gpa, uint64_t len)
{
    int r = gpa + len < gpa ? -EFAULT : discard_pieces(s, gpa, len, true);

    return r < 0 ? r : discard_pieces(s, gpa, len, false);
}

/* The part of an access that lies in one piece and one page. */
static size_t portion(const struct space_hit *hit, uint64_t gpa, size_t len)
{
    uint64_t n = min_of((uint64_t)len, hit->left);
    return (size_t)min_of(n, GMEM_PAGE_SIZE - (gpa & (GMEM_PAGE_SIZE - 1)));
}

static uint64_t load_part(struct space *s, const struct space_hit *hit, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    switch (hit->kind) {
    case SPACE_RAM:
    case SPACE_ROM_PAGES:
        memcpy(&value, gmem_read_page(s->ram, hit->gfn) + (gpa & (GMEM_PAGE_SIZE - 1)), size);
        return value;
    case SPACE_ROM:
        memcpy(&value, hit->rom, size);
        return value;
    case SPACE_MMIO:
        return hit->ops->read ? hit->ops->read(hit->dev, hit->offset, size) : UINT64_MAX;
    case SPACE_NONE:
        break;
    }
    return UINT64_MAX;
}

/* Tells of an access to registers, if somebody wants to know. */
static void tell(const struct space *s, uint64_t gpa, unsigned size, uint64_t value, bool write)
{
    for (size_t i = 0; i < s->piece_count; i++) {
        const struct piece *p = &s->pieces[i];
        if (gpa - p->gpa < p->len)
            trace_emit(s->trace, TRACE_DEVICES, write ? TRACE_MMIO_WRITE : TRACE_MMIO_READ, gpa,
                       size == 8 ? value : value & ((1ull << size * 8) - 1), size, p->range->name);
    }
}

uint64_t space_load(struct space *s, uint64_t gpa, unsigned size)
{
    struct space_hit hit;
    uint64_t value = 0;

    space_resolve(s, gpa, &hit);
    if (likely(portion(&hit, gpa, size) == size)) {
        value = load_part(s, &hit, gpa, size);
        if (unlikely(s->trace != NULL) && hit.kind == SPACE_MMIO)
            tell(s, gpa, size, value, false);
        return size == 8 ? value : value & ((1ull << size * 8) - 1);
    }
    for (unsigned i = 0; i < size; i++) {
        space_resolve(s, gpa + i, &hit);
        value |= (load_part(s, &hit, gpa + i, 1) & 0xff) << i * 8;
    }
    return value;
}

static void store_part(struct space *s, const struct space_hit *hit, uint64_t gpa, unsigned size,
                       uint64_t value)
{
    unsigned in_page = gpa & (GMEM_PAGE_SIZE - 1);

    switch (hit->kind) {
    case SPACE_RAM:
        gmem_code_write(s->ram, hit->gfn, in_page, size);
        memcpy(gmem_write_page(s->ram, hit->gfn) + in_page, &value, size);
        break;
    case SPACE_MMIO:
    case SPACE_ROM_PAGES:
        if (hit->ops && hit->ops->write)
            hit->ops->write(hit->dev, hit->offset, size, value);
        break;
    case SPACE_ROM:
    case SPACE_NONE:
        break;
    }
}

void space_store(struct space *s, uint64_t gpa, unsigned size, uint64_t value)
{
    struct space_hit hit;

    space_resolve(s, gpa, &hit);
    if (likely(portion(&hit, gpa, size) == size)) {
        if (unlikely(s->trace != NULL) && hit.kind == SPACE_MMIO)
            tell(s, gpa, size, value, true);
        store_part(s, &hit, gpa, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        space_resolve(s, gpa + i, &hit);
        store_part(s, &hit, gpa + i, 1, value >> i * 8 & 0xff);
    }
}

/* Whether [gpa, gpa + len) is all RAM (or ROM too, for reads). */
static bool bulk_ok(const struct space *s, uint64_t gpa, size_t len, bool write)
{
    struct space_hit hit;

    if (gpa + len < gpa)
        return false;
    while (len) {
        uint64_t n;
        space_resolve(s, gpa, &hit);
        if (hit.kind != SPACE_RAM &&
            (write || (hit.kind != SPACE_ROM && hit.kind != SPACE_ROM_PAGES)))
            return false;
        n = min_of((uint64_t)len, hit.left);
        gpa += n;
        len -= (size_t)n;
    }
    return true;
}

int space_read(const struct space *s, uint64_t gpa, void *to, size_t len)
{
    uint8_t *out = to;

    if (!bulk_ok(s, gpa, len, false))
        return -EFAULT;
    while (len) {
        struct space_hit hit;
        size_t n;
        const uint8_t *from;
        space_resolve(s, gpa, &hit);
        n = portion(&hit, gpa, len);
        from = hit.kind == SPACE_ROM
                   ? hit.rom
                   : gmem_read_page(s->ram, hit.gfn) + (gpa & (GMEM_PAGE_SIZE - 1));
        memcpy(out, from, n);
        out += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

int space_write(struct space *s, uint64_t gpa, const void *from, size_t len)
{
    const uint8_t *in = from;

    if (!bulk_ok(s, gpa, len, true))
        return -EFAULT;
    while (len) {
        struct space_hit hit;
        size_t n;
        unsigned in_page = gpa & (GMEM_PAGE_SIZE - 1);
        space_resolve(s, gpa, &hit);
        n = portion(&hit, gpa, len);
        gmem_code_write(s->ram, hit.gfn, in_page, (unsigned)n);
        memcpy(gmem_write_page(s->ram, hit.gfn) + in_page, in, n);
        in += n;
        gpa += n;
        len -= n;
    }
    return 0;
}

int space_spans(struct space *s, uint64_t gpa, size_t len, bool write, struct space_span *spans,
                int max)
{
    int count = 0;

    if (!bulk_ok(s, gpa, len, write))
        return -EFAULT;
    while (len) {
        struct space_hit hit;
        size_t n;
        unsigned in_page = gpa & (GMEM_PAGE_SIZE - 1);
        uint8_t *data;
        space_resolve(s, gpa, &hit);
        n = portion(&hit, gpa, len);
        if (write) {
            gmem_code_write(s->ram, hit.gfn, in_page, (unsigned)n);
            data = gmem_write_page(s->ram, hit.gfn) + in_page;
        } else {
            /* Spans are uniform; those made for reading are never written through. */
            data = hit.kind == SPACE_ROM
                       ? (uint8_t *)(uintptr_t)hit.rom
                       : (uint8_t *)(uintptr_t)gmem_read_page(s->ram, hit.gfn) + in_page;
        }
        if (count && spans[count - 1].data + spans[count - 1].len == data) {
            spans[count - 1].len += n;
        } else {
            if (count == max)
                return -E2BIG;
            spans[count++] = (struct space_span){.data = data, .len = n};
        }
        gpa += n;
        len -= n;
    }
    return count;
}
