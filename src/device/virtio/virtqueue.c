/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout (virtio 1.2, section 2.7):
 *   descriptor table  size x { le64 addr, le32 len, le16 flags, le16 next }
 *   available ring    le16 flags, le16 idx, le16 ring[size], le16 used_event
 *   used ring         le16 flags, le16 idx, size x { le32 id, le32 len }, le16 avail_event
 *
 * Ring fields are naturally aligned (virtq_enable insists on it), so none crosses a page and each
 * can be loaded and stored atomically: other processors may run while we look.
 */
#include "device/virtio/virtqueue.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/mem.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1 };
enum { DESC_SIZE = 16 };

struct descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
_Static_assert(sizeof(struct descriptor) == DESC_SIZE, "virtq descriptor layout");

/* The host address of an aligned ring field, NULL when it is not in RAM. */
static const uint8_t *field_to_read(const struct virtqueue *vq, uint64_t gpa)
{
    struct space_hit hit;

    space_resolve(vq->space, gpa, &hit);
    if (hit.kind != SPACE_RAM)
        return NULL;
    return gmem_read_page(space_ram(vq->space), hit.gfn) + (gpa & (GMEM_PAGE_SIZE - 1));
}

static uint8_t *field_to_write(const struct virtqueue *vq, uint64_t gpa, unsigned size)
{
    struct space_hit hit;
    unsigned in_page = gpa & (GMEM_PAGE_SIZE - 1);

    space_resolve(vq->space, gpa, &hit);
    if (hit.kind != SPACE_RAM)
        return NULL;
    gmem_code_write(space_ram(vq->space), hit.gfn, in_page, size);
    return gmem_write_page(space_ram(vq->space), hit.gfn) + in_page;
}

static int load16(const struct virtqueue *vq, uint64_t gpa, uint16_t *ret)
{
    const uint8_t *at = field_to_read(vq, gpa);

    if (!at)
        return -EFAULT;
    *ret = __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
    return 0;
}

static int store16(const struct virtqueue *vq, uint64_t gpa, uint16_t value)
{
    uint8_t *at = field_to_write(vq, gpa, 2);

    if (!at)
        return -EFAULT;
    __atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELEASE);
    return 0;
}

static int store32(const struct virtqueue *vq, uint64_t gpa, uint32_t value)
{
    uint8_t *at = field_to_write(vq, gpa, 4);

    if (!at)
        return -EFAULT;
    __atomic_store_n((uint32_t *)(void *)at, value, __ATOMIC_RELAXED);
    return 0;
}

static uint64_t avail_ring(const struct virtqueue *vq, uint16_t index)
{
    return vq->driver + 4 + 2u * (index & (vq->size - 1u));
}

static uint64_t used_ring(const struct virtqueue *vq, uint16_t index)
{
    return vq->device + 4 + 8u * (index & (vq->size - 1u));
}

/* Where the driver says which used index it wants to be interrupted for, and we which kick. */
static uint64_t used_event(const struct virtqueue *vq)
{
    return vq->driver + 4 + 2u * vq->size;
}

static uint64_t avail_event(const struct virtqueue *vq)
{
    return vq->device + 4 + 8u * vq->size;
}

int virtq_enable(struct virtqueue *vq)
{
    if (!vq->size || vq->size > vq->size_max || (vq->size & (vq->size - 1)) ||
        vq->desc % DESC_SIZE || vq->driver % 2 || vq->device % 4 || vq->desc > UINT64_MAX - 65536 ||
        vq->driver > UINT64_MAX - 65536 || vq->device > UINT64_MAX - 65536)
        return -EINVAL;
    vq->avail_next = vq->used_next = vq->used_published = 0;
    vq->enabled = 1;
    return 0;
}

int virtq_pending(const struct virtqueue *vq)
{
    uint16_t idx, pending;

    if (!vq->enabled)
        return 0;
    if (load16(vq, vq->driver + 2, &idx) < 0)
        return -EFAULT;
    pending = (uint16_t)(idx - vq->avail_next);
    return pending > vq->size ? -EPROTO : pending;
}

static int load_desc(const struct virtqueue *vq, uint64_t table, uint16_t index,
                     struct descriptor *ret)
{
    return space_read(vq->space, table + (uint64_t)index * DESC_SIZE, ret, DESC_SIZE);
}

static int add_segment(struct virtq_chain *c, const struct descriptor *d)
{
    unsigned n = (unsigned)c->out_count + c->in_count;

    if (n == VIRTQ_CHAIN_MAX)
        return -EPROTO;
    c->segment[n] = (struct virtq_segment){.gpa = d->addr, .len = d->len};
    if (d->flags & DESC_WRITE) {
        c->in_count++;
        c->in_len += d->len;
    } else {
        if (c->in_count)
            return -EPROTO; /* 2.7.4.2: readable ones come first */
        c->out_count++;
        c->out_len += d->len;
    }
    return 0;
}

/*
 * Follows a chain of descriptors in the table of @count at @table from @index. Each step adds a
 * segment, so that a circle ends at VIRTQ_CHAIN_MAX.
 */
static int walk(const struct virtqueue *vq, uint64_t table, unsigned count, uint16_t index,
                bool nested, struct virtq_chain *c)
{
    struct descriptor d;
    int r;

    do {
        if (index >= count)
            return -EPROTO;
        if (load_desc(vq, table, index, &d) < 0)
            return -EFAULT;
        if (d.flags & DESC_INDIRECT) {
            /* 2.7.5.3.1: only when negotiated, not nested, not chained on. */
            if (!vq->indirect || nested || (d.flags & DESC_NEXT) || !d.len || d.len % DESC_SIZE ||
                d.len / DESC_SIZE > 0x10000)
                return -EPROTO;
            return walk(vq, d.addr, d.len / DESC_SIZE, 0, true, c);
        }
        r = add_segment(c, &d);
        if (r < 0)
            return r;
        index = d.next;
    } while (d.flags & DESC_NEXT);
    return 0;
}

int virtq_pop(struct virtqueue *vq, struct virtq_chain *ret)
{
    int r = virtq_pending(vq);

    if (r <= 0)
        return r;
    if (load16(vq, avail_ring(vq, vq->avail_next), &ret->head) < 0)
        return -EFAULT;
    ret->out_count = ret->in_count = 0;
    ret->out_len = ret->in_len = 0;
    r = walk(vq, vq->desc, vq->size, ret->head, false, ret);
    if (r < 0)
        return r;
    vq->avail_next++;
    return 1;
}

void virtq_unpop(struct virtqueue *vq, unsigned n)
{
    vq->avail_next = (uint16_t)(vq->avail_next - n);
}

int virtq_push(struct virtqueue *vq, uint16_t head, uint32_t written)
{
    uint64_t at = used_ring(vq, vq->used_next);

    if (store32(vq, at, head) < 0 || store32(vq, at + 4, written) < 0)
        return -EFAULT;
    vq->used_next++;
    return 0;
}

int virtq_publish(struct virtqueue *vq)
{
    uint16_t old = vq->used_published, event, flags;

    if (old == vq->used_next)
        return 0;
    if (store16(vq, vq->device + 2, vq->used_next) < 0)
        return -EFAULT;
    vq->used_published = vq->used_next;
    /* The driver writes its wish and then looks at idx; we the other way round. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!vq->event_idx) {
        if (load16(vq, vq->driver, &flags) < 0)
            return -EFAULT;
        return !(flags & AVAIL_NO_INTERRUPT);
    }
    if (load16(vq, used_event(vq), &event) < 0)
        return -EFAULT;
    /* 2.7.10: was the entry after @event among those just published? */
    return (uint16_t)(vq->used_next - event - 1) < (uint16_t)(vq->used_next - old);
}

int virtq_want_kicks(struct virtqueue *vq)
{
    int r;

    if (!vq->enabled)
        return 0;
    if (vq->event_idx && store16(vq, avail_event(vq), vq->avail_next) < 0)
        return -EFAULT;
    atomic_thread_fence(memory_order_seq_cst);
    r = virtq_pending(vq);
    return r > 0 ? 1 : r;
}

/* A place in a chain. */
struct cursor {
    const struct virtq_segment *segment, *end;
    uint64_t offset; /* in *segment */
};

/* -EFAULT when [offset, offset + len) is not in the chain. */
static int seek(const struct virtq_chain *c, bool in, uint64_t offset, uint64_t len,
                struct cursor *ret)
{
    uint64_t total = in ? c->in_len : c->out_len;

    if (offset > total || len > total - offset)
        return -EFAULT;
    ret->segment = c->segment + (in ? c->out_count : 0);
    ret->end = ret->segment + (in ? c->in_count : c->out_count);
    while (ret->segment < ret->end && offset >= ret->segment->len) {
        offset -= ret->segment->len;
        ret->segment++;
    }
    ret->offset = offset;
    return 0;
}

/* The next piece of at most @len bytes; its length, 0 when the chain ended. */
static size_t advance(struct cursor *at, size_t len, uint64_t *ret_gpa)
{
    size_t n;

    while (at->segment < at->end && at->offset == at->segment->len) {
        at->segment++;
        at->offset = 0;
    }
    if (at->segment == at->end)
        return 0;
    n = (size_t)min_of((uint64_t)len, at->segment->len - at->offset);
    *ret_gpa = at->segment->gpa + at->offset;
    at->offset += n;
    return n;
}

int virtq_read(const struct virtqueue *vq, const struct virtq_chain *c, uint64_t offset, void *to,
               size_t len)
{
    struct cursor at;
    uint8_t *out = to;

    if (seek(c, false, offset, len, &at) < 0)
        return -EFAULT;
    while (len) {
        uint64_t gpa;
        size_t n = advance(&at, len, &gpa);
        if (!n || space_read(vq->space, gpa, out, n) < 0)
            return -EFAULT;
        out += n;
        len -= n;
    }
    return 0;
}

int virtq_write(const struct virtqueue *vq, const struct virtq_chain *c, uint64_t offset,
                const void *from, size_t len)
{
    struct cursor at;
    const uint8_t *bytes = from;

    if (seek(c, true, offset, len, &at) < 0)
        return -EFAULT;
    while (len) {
        uint64_t gpa;
        size_t n = advance(&at, len, &gpa);
        if (!n || space_write(vq->space, gpa, bytes, n) < 0)
            return -EFAULT;
        bytes += n;
        len -= n;
    }
    return 0;
}

int virtq_spans(const struct virtqueue *vq, const struct virtq_chain *c, bool in, uint64_t offset,
                size_t len, struct space_span *spans, int max, size_t *ret_len)
{
    struct cursor at;
    size_t done = 0;
    int count = 0;

    if (seek(c, in, offset, len, &at) < 0)
        return -EFAULT;
    while (done < len) {
        struct space_span span;
        uint64_t gpa;
        size_t n = advance(&at, len - done, &gpa), in_page;
        if (!n)
            return -EFAULT;
        /* One page at a time: pages that follow each other in the guest need not do so here. */
        in_page = GMEM_PAGE_SIZE - (size_t)(gpa & (GMEM_PAGE_SIZE - 1));
        if (n > in_page) {
            at.offset -= n - in_page;
            n = in_page;
        }
        if (space_spans(vq->space, gpa, n, in, &span, 1) < 0)
            return -EFAULT;
        if (count && spans[count - 1].data + spans[count - 1].len == span.data)
            spans[count - 1].len += n;
        else if (count == max)
            break;
        else
            spans[count++] = span;
        done += n;
    }
    *ret_len = done;
    return count;
}

int virtq_sector_spans(const struct virtqueue *vq, const struct virtq_chain *c, bool in,
                       uint64_t offset, size_t len, struct space_span *spans, int max,
                       size_t *ret_len)
{
    int n = virtq_spans(vq, c, in, offset, len, spans, max, ret_len);

    if (n < 0)
        return n;
    for (size_t extra = *ret_len % 512; extra;) {
        size_t cut = min_of(extra, spans[n - 1].len);
        spans[n - 1].len -= cut;
        *ret_len -= cut;
        extra -= cut;
        if (!spans[n - 1].len)
            n--;
    }
    return *ret_len ? n : -EINVAL;
}
