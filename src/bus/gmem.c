/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/gmem.h"

#include <errno.h>

#include "base/mem.h"
#include "bus/gmem_host.h"

/* Host memory that frozen layers share: what was once the delta of a machine, or a file. */
struct part {
    unsigned refs;
    struct gmem_host host;
};

/*
 * A frozen layer: the complete content of a machine at one instant, in parts: those that the layer
 * before it was made of, and what had changed since. Which part holds a page is one look at @owner,
 * however many freezes there were.
 */
struct gmem_layer {
    unsigned refs;
    uint64_t pages;
    struct gmem_host owner; /* a byte for each page: 0 for zeroes, else 1 + index of its part */
    unsigned part_count;
    struct part *parts[GMEM_PARTS];
};

/* What pages that no part holds read as. */
static const uint8_t zeroes[GMEM_PAGE_SIZE];

struct gmem {
    uint64_t pages;
    struct gmem_host delta;
    uint8_t *flags;          /* GMEM_* per page */
    struct gmem_layer *base; /* NULL: absent pages are zero, which a fresh delta already is */
    struct gmem_listener *listeners;
};

/*
 * Flags change from the processors' thread (fills, code) and from the thread that holds the machine
 * lock (device writes) at once: each change is atomic, so that none is lost.
 */
static unsigned flags_get(const struct gmem *gm, uint64_t gfn)
{
    return __atomic_load_n(&gm->flags[gfn], __ATOMIC_ACQUIRE);
}

static void flags_add(struct gmem *gm, uint64_t gfn, unsigned bits)
{
    if ((flags_get(gm, gfn) & bits) != bits)
        __atomic_fetch_or(&gm->flags[gfn], (uint8_t)bits, __ATOMIC_ACQ_REL);
}

static void flags_drop(struct gmem *gm, uint64_t gfn, unsigned bits)
{
    if (flags_get(gm, gfn) & bits)
        __atomic_fetch_and(&gm->flags[gfn], (uint8_t)~bits, __ATOMIC_ACQ_REL);
}

/* The page in the part that holds it; NULL when none does (zeroes). */
static const uint8_t *layer_page(const struct gmem_layer *layer, uint64_t gfn)
{
    unsigned owner = layer->owner.data[gfn];

    return owner ? layer->parts[owner - 1]->host.data + (gfn << GMEM_PAGE_BITS) : NULL;
}

static struct gmem *gmem_alloc(uint64_t bytes, struct error *err)
{
    struct gmem *gm = mem_new(struct gmem);

    if (!gm || !bytes || bytes % GMEM_PAGE_SIZE) {
        error_set(err, gm ? -EINVAL : -ENOMEM, "create guest memory: %s",
                  gm ? "the size is not a multiple of 4 KiB" : "out of memory");
        free(gm);
        return NULL;
    }
    gm->delta.fd = -1;
    gm->pages = bytes >> GMEM_PAGE_BITS;
    gm->flags = mem_alloc(gm->pages, 1);
    if (!gm->flags)
        error_set(err, -ENOMEM, "create guest memory: out of memory");
    if (!gm->flags || gmem_host_new(&gm->delta, bytes, err) < 0) {
        gmem_free(gm);
        return NULL;
    }
    return gm;
}

struct gmem *gmem_new(uint64_t bytes, struct error *err)
{
    return gmem_alloc(bytes, err);
}

struct gmem *gmem_new_on(struct gmem_layer *layer, struct error *err)
{
    struct gmem *gm = gmem_alloc(layer->pages << GMEM_PAGE_BITS, err);

    if (gm) {
        gm->base = layer;
        __atomic_add_fetch(&layer->refs, 1, __ATOMIC_RELAXED);
    }
    return gm;
}

static void part_unref(struct part *p)
{
    if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        gmem_host_done(&p->host);
        free(p);
    }
}

void gmem_layer_unref(struct gmem_layer *layer)
{
    if (!layer || __atomic_sub_fetch(&layer->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (unsigned i = 0; i < layer->part_count; i++)
        part_unref(layer->parts[i]);
    gmem_host_done(&layer->owner);
    free(layer);
}

void gmem_free(struct gmem *gm)
{
    if (!gm)
        return;
    gmem_host_done(&gm->delta);
    gmem_layer_unref(gm->base);
    free(gm->flags);
    free(gm);
}

uint64_t gmem_pages(const struct gmem *gm)
{
    return gm->pages;
}

void gmem_listen(struct gmem *gm, struct gmem_listener *l)
{
    l->next = gm->listeners;
    gm->listeners = l;
}

void gmem_unlisten(struct gmem *gm, struct gmem_listener *l)
{
    for (struct gmem_listener **link = &gm->listeners; *link; link = &(*link)->next) {
        if (*link == l) {
            *link = l->next;
            return;
        }
    }
}

static void page_changed(struct gmem *gm, uint64_t gfn)
{
    for (struct gmem_listener *l = gm->listeners; l; l = l->next)
        if (l->page_changed)
            l->page_changed(l->opaque, gfn);
}

static void all_changed(struct gmem *gm)
{
    for (struct gmem_listener *l = gm->listeners; l; l = l->next)
        if (l->all_changed)
            l->all_changed(l->opaque);
}

unsigned gmem_page_flags(const struct gmem *gm, uint64_t gfn)
{
    return gfn < gm->pages ? flags_get(gm, gfn) : 0;
}

const uint8_t *gmem_read_page(const struct gmem *gm, uint64_t gfn)
{
    const uint8_t *below;

    if (gfn >= gm->pages)
        return NULL;
    if (gm->base && !(flags_get(gm, gfn) & GMEM_DELTA)) {
        below = layer_page(gm->base, gfn);
        return below ? below : zeroes; /* a look into the delta would take a page of it */
    }
    return gm->delta.data + (gfn << GMEM_PAGE_BITS);
}

uint8_t *gmem_write_page(struct gmem *gm, uint64_t gfn)
{
    uint8_t *page;

    if (gfn >= gm->pages)
        return NULL;
    page = gm->delta.data + (gfn << GMEM_PAGE_BITS);
    if (unlikely(!(flags_get(gm, gfn) & GMEM_DELTA))) {
        const uint8_t *below = gm->base ? layer_page(gm->base, gfn) : NULL;
        flags_add(gm, gfn, GMEM_DELTA);
        if (below)
            memcpy(page, below, GMEM_PAGE_SIZE);
        if (gm->base)
            page_changed(gm, gfn); /* read pointers still show the base */
    }
    flags_add(gm, gfn, GMEM_DIRTY);
    return page;
}

void gmem_set_code(struct gmem *gm, uint64_t gfn, unsigned bit)
{
    unsigned before;

    if (gfn >= gm->pages)
        return;
    before = flags_get(gm, gfn);
    if (before & bit)
        return;
    flags_add(gm, gfn, bit);
    if (!(before & GMEM_CODE))
        page_changed(gm, gfn);
}

void gmem_clear_code(struct gmem *gm, uint64_t gfn, unsigned bit)
{
    if (gfn < gm->pages)
        flags_drop(gm, gfn, bit);
}

void gmem_code_write(struct gmem *gm, uint64_t gfn, unsigned offset, unsigned len)
{
    if (gfn < gm->pages && (flags_get(gm, gfn) & GMEM_CODE))
        for (struct gmem_listener *l = gm->listeners; l; l = l->next)
            if (l->code_written)
                l->code_written(l->opaque, gfn, offset, len);
}

static bool in_range(const struct gmem *gm, uint64_t offset, size_t len)
{
    uint64_t bytes = gm->pages << GMEM_PAGE_BITS;
    return offset <= bytes && len <= bytes - offset;
}

int gmem_read(const struct gmem *gm, uint64_t offset, void *to, size_t len)
{
    uint8_t *out = to;

    if (!in_range(gm, offset, len))
        return -EFAULT;
    while (len) {
        size_t in_page = offset & (GMEM_PAGE_SIZE - 1);
        size_t n = min_of(len, GMEM_PAGE_SIZE - in_page);
        memcpy(out, gmem_read_page(gm, offset >> GMEM_PAGE_BITS) + in_page, n);
        out += n;
        offset += n;
        len -= n;
    }
    return 0;
}

int gmem_write(struct gmem *gm, uint64_t offset, const void *from, size_t len)
{
    const uint8_t *in = from;

    if (!in_range(gm, offset, len))
        return -EFAULT;
    while (len) {
        uint64_t gfn = offset >> GMEM_PAGE_BITS;
        size_t in_page = offset & (GMEM_PAGE_SIZE - 1);
        size_t n = min_of(len, GMEM_PAGE_SIZE - in_page);
        gmem_code_write(gm, gfn, (unsigned)in_page, (unsigned)n);
        memcpy(gmem_write_page(gm, gfn) + in_page, in, n);
        in += n;
        offset += n;
        len -= n;
    }
    return 0;
}

int gmem_discard(struct gmem *gm, uint64_t first, uint64_t count)
{
    uint64_t end = first + count, dropped = 0;

    if (first > gm->pages || count > gm->pages - first)
        return -EFAULT;
    for (uint64_t gfn = first; gfn < end;) {
        uint64_t run = gfn;
        /* Only what is there: the guest may report memory that it never touched. */
        while (run < end && flags_get(gm, run) & GMEM_DELTA) {
            gmem_code_write(gm, run, 0, GMEM_PAGE_SIZE);
            flags_add(gm, run, GMEM_DIRTY);
            flags_drop(gm, run, GMEM_DELTA);
            run++;
        }
        if (run == gfn) {
            gfn++;
            continue;
        }
        gmem_host_discard(&gm->delta, gfn << GMEM_PAGE_BITS, (run - gfn) << GMEM_PAGE_BITS);
        dropped += run - gfn;
        gfn = run;
    }
    if (dropped)
        all_changed(gm);
    return 0;
}

int gmem_clear(struct gmem *gm, struct error *err)
{
    int r = gmem_host_clear(&gm->delta, err);

    if (r < 0)
        return r;
    for (uint64_t gfn = 0; gfn < gm->pages; gfn++)
        if (flags_get(gm, gfn) & GMEM_CODE)
            gmem_code_write(gm, gfn, 0, GMEM_PAGE_SIZE);
    memset(gm->flags, 0, gm->pages);
    gmem_layer_unref(gm->base);
    gm->base = NULL;
    all_changed(gm);
    return 0;
}

/* Moves the DIRTY bits of the pages to @bitmap; the first @max of those found also to @list. */
static uint64_t take_dirty(struct gmem *gm, uint64_t first, uint64_t count, uint64_t *bitmap,
                           uint64_t *list, uint64_t max)
{
    uint64_t found = 0;

    if (bitmap)
        memset(bitmap, 0, (count + 63) / 64 * 8);
    for (uint64_t i = 0; i < count && first + i < gm->pages; i++) {
        if (!(flags_get(gm, first + i) & GMEM_DIRTY))
            continue;
        flags_drop(gm, first + i, GMEM_DIRTY);
        if (bitmap)
            bitmap[i / 64] |= 1ull << (i % 64);
        if (found < max)
            list[found] = first + i;
        found++;
    }
    return found;
}

uint64_t gmem_dirty_take(struct gmem *gm, uint64_t *bitmap)
{
    uint64_t found = take_dirty(gm, 0, gm->pages, bitmap, NULL, 0);

    if (found)
        all_changed(gm);
    return found;
}

uint64_t gmem_dirty_take_range(struct gmem *gm, uint64_t first, uint64_t count, uint64_t *bitmap)
{
    /* A few pages are told one by one, so that listeners keep what they hold of others. */
    uint64_t few[16], found = take_dirty(gm, first, count, bitmap, few, array_size(few));

    if (found > array_size(few))
        all_changed(gm);
    else
        for (uint64_t i = 0; i < found; i++)
            page_changed(gm, few[i]);
    return found;
}

/* ---- layers ---- */

/* A layer without parts. */
static struct gmem_layer *layer_new(uint64_t pages, struct error *err)
{
    struct gmem_layer *layer = mem_new(struct gmem_layer);

    if (!layer) {
        error_set(err, -ENOMEM, "freeze guest memory: out of memory");
        return NULL;
    }
    *layer = (struct gmem_layer){.refs = 1, .pages = pages, .owner.fd = -1};
    if (gmem_host_new(&layer->owner, (pages + GMEM_PAGE_SIZE - 1) & ~(GMEM_PAGE_SIZE - 1ull), err) <
        0) {
        free(layer);
        return NULL;
    }
    return layer;
}

/* Adds a part that holds what @host (taken) has. */
static int add_part(struct gmem_layer *layer, struct gmem_host *host, struct error *err)
{
    struct part *p = mem_new(struct part);

    if (!p)
        return error_set(err, -ENOMEM, "freeze guest memory: out of memory");
    *p = (struct part){.refs = 1, .host = *host};
    *host = (struct gmem_host){.fd = -1};
    layer->parts[layer->part_count++] = p;
    return 0;
}

/* Takes the parts of @from that hold pages of @layer, whose owners are @from's. */
static void take_parts(struct gmem_layer *layer, const struct gmem_layer *from)
{
    bool used[GMEM_PARTS + 1] = {false};
    uint8_t number[GMEM_PARTS + 1] = {0};

    for (uint64_t gfn = 0; gfn < layer->pages; gfn++)
        used[layer->owner.data[gfn]] = true;
    for (unsigned i = 0; i < from->part_count; i++) {
        if (!used[i + 1])
            continue;
        __atomic_add_fetch(&from->parts[i]->refs, 1, __ATOMIC_RELAXED);
        layer->parts[layer->part_count++] = from->parts[i];
        number[i + 1] = (uint8_t)layer->part_count;
    }
    for (uint64_t gfn = 0; gfn < layer->pages; gfn++)
        layer->owner.data[gfn] = number[layer->owner.data[gfn]];
}

/* Copies what all parts of the base but the largest hold into the delta: few parts go on. */
static void gather(struct gmem *gm)
{
    uint64_t held[GMEM_PARTS + 1] = {0};
    unsigned largest = 1;

    for (uint64_t gfn = 0; gfn < gm->pages; gfn++)
        held[gm->base->owner.data[gfn]]++;
    for (unsigned i = 1; i <= gm->base->part_count; i++)
        if (held[i] > held[largest])
            largest = i;
    for (uint64_t gfn = 0; gfn < gm->pages; gfn++) {
        unsigned owner = gm->base->owner.data[gfn];
        if (!owner || owner == largest || (flags_get(gm, gfn) & GMEM_DELTA))
            continue;
        memcpy(gm->delta.data + (gfn << GMEM_PAGE_BITS), layer_page(gm->base, gfn), GMEM_PAGE_SIZE);
        flags_add(gm, gfn, GMEM_DELTA);
    }
}

/* Says in @layer who holds each page: the delta as the part to come, or the base. */
static void settle_owners(const struct gmem *gm, struct gmem_layer *layer)
{
    for (uint64_t gfn = 0; gfn < gm->pages; gfn++)
        if (!(flags_get(gm, gfn) & GMEM_DELTA) && gm->base)
            layer->owner.data[gfn] = gm->base->owner.data[gfn];
    if (gm->base)
        take_parts(layer, gm->base);
    for (uint64_t gfn = 0; gfn < gm->pages; gfn++)
        if (flags_get(gm, gfn) & GMEM_DELTA)
            layer->owner.data[gfn] = (uint8_t)(layer->part_count + 1);
}

struct gmem_layer *gmem_freeze(struct gmem *gm, struct error *err)
{
    struct gmem_host fresh = {.fd = -1};
    struct gmem_layer *layer;

    if (gm->base && !gmem_delta_pages(gm)) { /* nothing was written since it was frozen */
        __atomic_add_fetch(&gm->base->refs, 1, __ATOMIC_RELAXED);
        return gm->base;
    }
    layer = layer_new(gm->pages, err);
    if (!layer)
        return NULL;
    if (gm->base && gm->base->part_count == GMEM_PARTS)
        gather(gm);
    settle_owners(gm, layer);
    if (gmem_host_seal(&layer->owner, err) < 0 || gmem_host_new(&fresh, gm->delta.bytes, err) < 0 ||
        gmem_host_seal(&gm->delta, err) < 0 || add_part(layer, &gm->delta, err) < 0) {
        gmem_host_done(&fresh);
        gmem_layer_unref(layer);
        all_changed(gm); /* of what was gathered, readers may show the base */
        return NULL;
    }
    for (uint64_t gfn = 0; gfn < gm->pages; gfn++)
        flags_drop(gm, gfn, GMEM_DELTA);
    gmem_layer_unref(gm->base);
    layer->refs++; /* the caller's and this machine's */
    gm->base = layer;
    gm->delta = fresh;
    all_changed(gm);
    return layer;
}

struct gmem_layer *gmem_layer_map(int fd, uint64_t bytes, const uint8_t *present, struct error *err)
{
    struct gmem_layer *layer = layer_new(bytes >> GMEM_PAGE_BITS, err);
    struct gmem_host host = {.fd = -1};

    if (!layer)
        return NULL;
    memcpy(layer->owner.data, present, layer->pages);
    if (gmem_host_seal(&layer->owner, err) < 0 || gmem_host_map(&host, fd, bytes, err) < 0 ||
        add_part(layer, &host, err) < 0) {
        gmem_host_done(&host);
        gmem_layer_unref(layer);
        return NULL;
    }
    return layer;
}

unsigned gmem_layer_fds(const struct gmem_layer *layer, int fds[GMEM_LAYER_FDS])
{
    unsigned n = 0;

    fds[n++] = layer->owner.fd;
    for (unsigned i = 0; i < layer->part_count; i++)
        fds[n++] = layer->parts[i]->host.fd;
    return n;
}

static int check_owners(const struct gmem_layer *layer, struct error *err)
{
    for (uint64_t gfn = 0; gfn < layer->pages; gfn++)
        if (layer->owner.data[gfn] > layer->part_count)
            return error_set(err, -EINVAL, "take over guest memory: it is damaged");
    return 0;
}

struct gmem_layer *gmem_layer_from_fds(const int *fds, unsigned count, uint64_t bytes,
                                       struct error *err)
{
    struct gmem_layer *layer = mem_new(struct gmem_layer);
    uint64_t pages = bytes >> GMEM_PAGE_BITS;
    int r = 0;

    if (!layer || count < 1 || count > GMEM_LAYER_FDS) {
        error_set(err, layer ? -EINVAL : -ENOMEM, "take over guest memory: %s",
                  layer ? "no layer has so many parts" : "out of memory");
        free(layer);
        return NULL;
    }
    *layer = (struct gmem_layer){.refs = 1, .pages = pages, .owner.fd = -1};
    r = gmem_host_map(&layer->owner, fds[0],
                      (pages + GMEM_PAGE_SIZE - 1) & ~(GMEM_PAGE_SIZE - 1ull), err);
    for (unsigned i = 1; r == 0 && i < count; i++) {
        struct gmem_host host = {.fd = -1};
        r = gmem_host_map(&host, fds[i], bytes, err);
        if (r == 0 && (r = add_part(layer, &host, err)) < 0)
            gmem_host_done(&host);
    }
    if (r == 0)
        r = check_owners(layer, err);
    if (r < 0) {
        gmem_layer_unref(layer);
        return NULL;
    }
    return layer;
}

uint64_t gmem_layer_pages(const struct gmem_layer *layer)
{
    return layer->pages;
}

const uint8_t *gmem_layer_page(const struct gmem_layer *layer, uint64_t gfn)
{
    return gfn < layer->pages ? layer_page(layer, gfn) : NULL;
}

uint64_t gmem_delta_pages(const struct gmem *gm)
{
    uint64_t count = 0;

    for (uint64_t gfn = 0; gfn < gm->pages; gfn++)
        count += (flags_get(gm, gfn) & GMEM_DELTA) != 0;
    return count;
}
