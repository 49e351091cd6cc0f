/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a qcow2 image's map: writes to new clusters, discards, zeroes. All under change. */
#include <errno.h>

#include "io/qcow2_io.h"

/* A run of clusters that get a new place. */
struct change {
    struct l2_table *table;
    uint32_t slot;   /* of the first */
    uint64_t first;  /* offset in the disk of the first */
    uint64_t count;  /* of clusters */
    uint64_t host;   /* their new place */
    bool fresh;      /* which has only zeroes */
    bool kept_place; /* it is the old one, which the map said to be zeroes */
};

static uint32_t slot_of(const struct qcow2 *q, uint64_t offset)
{
    return (uint32_t)(offset >> q->cluster_bits & ((1u << q->l2_bits) - 1));
}

static uint32_t index_of(const struct qcow2 *q, uint64_t offset)
{
    return (uint32_t)(offset >> q->cluster_bits >> q->l2_bits);
}

static int look(struct qcow2 *q, uint64_t offset, uint64_t len, struct extent *ret)
{
    int r;

    pthread_mutex_lock(&q->map);
    r = qcow2_lookup(q, offset, len, false, ret);
    pthread_mutex_unlock(&q->map);
    return r;
}

/* Zeroes that have a place of their own: it can be used again at once. */
static bool has_own_place(const struct qcow2 *q, uint64_t entry)
{
    uint64_t cluster = (entry & ENTRY_OFFSET) >> q->cluster_bits;

    return !(entry & ENTRY_PACKED) && entry & ENTRY_ZERO && entry & ENTRY_COPIED && cluster &&
           cluster < q->refs_count && q->refs[cluster] == 1 &&
           !(q->meta[cluster / 8] >> cluster % 8 & 1);
}

/* Clusters from @offset on, at most up to @end, that may not be written in place. */
static int plan(struct qcow2 *q, uint64_t offset, uint64_t end, struct change *c)
{
    uint64_t want = 1, entry;
    struct extent e;
    int64_t got;
    int r;

    c->first = offset & ~(q->cluster_size - 1);
    c->slot = slot_of(q, offset);
    r = qcow2_table_for_change(q, index_of(q, offset), &c->table);
    if (r < 0)
        return r;
    entry = qcow2_get_entry(c->table, c->slot);
    if (has_own_place(q, entry)) {
        c->host = entry & ENTRY_OFFSET;
        c->count = 1;
        c->kept_place = true;
        return 0;
    }
    while (c->first + want * q->cluster_size < end && c->slot + want < 1u << q->l2_bits) {
        r = look(q, c->first + want * q->cluster_size, 1, &e);
        if (r < 0 || (e.kind == EXTENT_DATA && e.writable) || has_own_place(q, e.entry))
            break;
        want++;
    }
    got = qcow2_allocate(q, want, &c->host, &c->fresh);
    c->count = got > 0 ? (uint64_t)got : 0;
    return got < 0 ? (int)got : 0;
}

/* Whether the disk has zeroes at [@offset, +@len), by the map alone. */
static bool is_zero(struct qcow2 *q, uint64_t offset, uint64_t len)
{
    while (len) {
        uint64_t n = offset < q->disk.size ? qcow2_zeroes(&q->disk, offset, len) : len;
        if (!n)
            return false;
        offset += n;
        len -= n;
    }
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
    return !n || (!bytes[0] && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/* Takes [@offset, +@len), part of a cluster, over to its new place at @host. */
static int take_over(struct qcow2 *q, const struct change *c, uint64_t offset, uint64_t len,
                     uint64_t host)
{
    uint64_t there = offset < q->disk.size ? min_of(len, q->disk.size - offset) : 0;
    bool zero = is_zero(q, offset, len);
    struct block_span span;
    uint8_t *bytes;
    int r = 0;

    if (!len || (zero && c->fresh))
        return 0;
    bytes = mem_alloc(1, len);
    if (!bytes)
        return -ENOMEM;
    if (!zero && there) {
        span = (struct block_span){.data = bytes, .len = there};
        r = qcow2_read(
            q,
            &(struct block_request){
                .op = BLOCK_READ, .offset = offset, .len = there, .spans = &span, .span_count = 1});
    }
    if (r == 0 && !(c->fresh && all_zero(bytes, len)))
        r = disk_write(q->file, host, bytes, len);
    free(bytes);
    return r;
}

static int write_data(struct qcow2 *q, const struct block_request *r, uint64_t at, uint64_t len,
                      uint64_t host)
{
    struct block_span spans[DISK_SPANS];
    struct block_request part;

    for (uint64_t done = 0; done < len; done += part.len) {
        int result;
        disk_slice(r, at + done, len - done, host + done, spans, &part);
        result = disk_run(q->file, &part);
        if (result < 0)
            return result;
    }
    return 0;
}

/* The map names the new place; the old one loses a reference. */
static int rename_clusters(struct qcow2 *q, const struct change *c)
{
    int r = 0;

    for (uint64_t i = 0; i < c->count; i++) {
        uint32_t slot = c->slot + (uint32_t)i;
        uint64_t old = qcow2_get_entry(c->table, slot);
        int released;
        qcow2_set_entry(q, c->table, slot, (c->host + i * q->cluster_size) | ENTRY_COPIED);
        released = c->kept_place ? 0 : qcow2_release(q, old);
        r = r < 0 ? r : released;
    }
    return r;
}

int qcow2_write_new(struct qcow2 *q, const struct block_request *r, uint64_t at, uint64_t *ret_done)
{
    uint64_t offset = r->offset + at, len, head, end;
    struct change c = {0};
    int result = plan(q, offset, r->offset + r->len, &c);

    if (result < 0)
        return result;
    end = c.first + c.count * q->cluster_size;
    head = offset - c.first;
    len = min_of(r->len - at, end - offset);
    result = take_over(q, &c, c.first, head, c.host);
    if (result == 0)
        result = write_data(q, r, at, len, c.host + head);
    if (result == 0)
        result = take_over(q, &c, offset + len, end - offset - len, c.host + head + len);
    if (result < 0) {
        if (!c.kept_place)
            qcow2_unallocate(q, c.host, c.count);
        return result;
    }
    q->unflushed = true;
    *ret_done = len;
    return rename_clusters(q, &c);
}

/* What an entry becomes that is to read as zeroes; itself if that cannot be said. */
static uint64_t zero_entry(const struct qcow2 *q, uint64_t entry, bool keep_place)
{
    if (keep_place && q->header.info.version >= 3 && !(entry & ENTRY_PACKED) &&
        entry & ENTRY_OFFSET)
        return entry | ENTRY_ZERO;
    if (!q->backing)
        return 0;
    return q->header.info.version >= 3 ? ENTRY_ZERO : entry;
}

/*
 * Makes whole clusters of one L2 table read as zeroes; @offset and @end are multiples of clusters.
 * @ret_done: up to where; less than @end when the format cannot say it (version 2 over a backing
 * file).
 */
static int zero_clusters(struct qcow2 *q, uint64_t offset, uint64_t end, bool keep_place,
                         uint64_t *ret_done)
{
    uint32_t index = index_of(q, offset);
    struct l2_table *t;
    int r;

    end = min_of(end, ((uint64_t)index + 1) << q->l2_bits << q->cluster_bits);
    *ret_done = end;
    if (!(q->l1[index] & ENTRY_OFFSET) && !q->backing)
        return 0;
    *ret_done = offset;
    if (q->backing && q->header.info.version < 3)
        return 0;
    r = qcow2_table_for_change(q, index, &t);
    for (; r == 0 && offset < end; offset += q->cluster_size) {
        uint32_t slot = slot_of(q, offset);
        uint64_t old = qcow2_get_entry(t, slot), now = zero_entry(q, old, keep_place);
        if (now == old)
            continue;
        qcow2_set_entry(q, t, slot, now);
        if (!(now & ENTRY_OFFSET))
            r = qcow2_release(q, old);
    }
    if (r == 0)
        *ret_done = end;
    return r;
}

/* Whole clusters of [@offset, @end). @ret_done: where it had to stop. */
static int zero_whole(struct qcow2 *q, uint64_t offset, uint64_t end, bool keep_place,
                      uint64_t *ret_done)
{
    int r = 0;

    *ret_done = offset;
    pthread_mutex_lock(&q->change);
    while (r == 0 && offset < end) {
        r = zero_clusters(q, offset, end, keep_place, ret_done);
        q->held = NULL;
        if (r == 0)
            r = qcow2_relieve(q);
        if (*ret_done == offset)
            break;
        offset = *ret_done;
    }
    pthread_mutex_unlock(&q->change);
    return r;
}

/* Where whole clusters begin and end in [@offset, +@len); the disk's end counts as one. */
static void whole_clusters(const struct qcow2 *q, uint64_t offset, uint64_t len,
                           uint64_t *ret_begin, uint64_t *ret_end)
{
    uint64_t mask = q->cluster_size - 1, end = offset + len;

    *ret_begin = (offset + mask) & ~mask;
    *ret_end = end == q->disk.size ? (end + mask) & ~mask : end & ~mask;
    if (*ret_end < *ret_begin)
        *ret_end = *ret_begin;
}

int qcow2_discard(struct qcow2 *q, uint64_t offset, uint64_t len)
{
    uint64_t begin, end, done;

    whole_clusters(q, offset, len, &begin, &end);
    return begin < end ? zero_whole(q, begin, end, false, &done) : 0;
}

/* Zeroes of any place and length, written unless they are there. */
static int write_zero_bytes(struct qcow2 *q, uint64_t offset, uint64_t end)
{
    static const uint8_t zeroes[64 << 10];

    while (offset < end) {
        size_t n = (size_t)min_of(end - offset, (uint64_t)sizeof zeroes);
        struct block_span span = {.data = (uint8_t *)(uintptr_t)zeroes, .len = n};
        int r = is_zero(q, offset, n) ? 0
                                      : qcow2_write(q, &(struct block_request){.op = BLOCK_WRITE,
                                                                               .offset = offset,
                                                                               .len = n,
                                                                               .spans = &span,
                                                                               .span_count = 1});
        if (r < 0)
            return r;
        offset += n;
    }
    return 0;
}

int qcow2_zero(struct qcow2 *q, uint64_t offset, uint64_t len, bool unmap)
{
    uint64_t begin, end, done, last = offset + len;
    int r;

    whole_clusters(q, offset, len, &begin, &end);
    if (begin >= end)
        return write_zero_bytes(q, offset, last);
    r = write_zero_bytes(q, offset, begin);
    if (r == 0)
        r = zero_whole(q, begin, end, !unmap, &done);
    if (r == 0 && done < last)
        r = write_zero_bytes(q, done, last);
    return r;
}
