/* SPDX-License-Identifier: Apache-2.0 */
/* The reference counts of a qcow2 image that is open for writing, and its allocator. */
#include <errno.h>
#include <inttypes.h>

#include "io/qcow2_internal.h"

static void mark_meta(struct qcow2 *q, uint64_t cluster, bool is)
{
    uint8_t bit = (uint8_t)(1 << cluster % 8), *at;

    pthread_mutex_lock(&q->map);
    at = &q->meta[cluster / 8];
    *at = (uint8_t)(is ? *at | bit : *at & ~bit);
    pthread_mutex_unlock(&q->map);
}

void qcow2_set_ref(struct qcow2 *q, uint64_t cluster, uint16_t count)
{
    pthread_mutex_lock(&q->map);
    q->refs[cluster] = count;
    pthread_mutex_unlock(&q->map);
    set_bit(q->refs_dirty, cluster / 256);
    q->refs_are_dirty = true;
}

int qcow2_make_room(struct qcow2 *q, uint64_t count)
{
    uint64_t room = max_of(count, q->refs_room + q->refs_room / 2);
    uint16_t *refs;
    uint64_t *dirty;
    uint8_t *meta;

    if (count <= q->refs_room)
        return 0;
    if (count > HOST_CLUSTERS_MAX)
        return -ENOSPC;
    room = (room + 16383) & ~16383ull;
    refs = mem_alloc(room, sizeof *refs);
    meta = mem_alloc(room / 8, 1);
    dirty = mem_alloc(room / 256 / 64, sizeof *dirty);
    if (!refs || !meta || !dirty) {
        free(refs);
        free(meta);
        free(dirty);
        return -ENOMEM;
    }
    if (q->refs_room) {
        memcpy(refs, q->refs, q->refs_room * sizeof *refs);
        memcpy(meta, q->meta, q->refs_room / 8);
        memcpy(dirty, q->refs_dirty, q->refs_room / 256 / 8);
    }
    pthread_mutex_lock(&q->map);
    free(q->refs);
    free(q->meta);
    q->refs = refs;
    q->meta = meta;
    pthread_mutex_unlock(&q->map);
    free(q->refs_dirty);
    q->refs_dirty = dirty;
    q->refs_room = room;
    return 0;
}

int qcow2_add_refblock(struct qcow2 *q, uint64_t block)
{
    uint64_t first = block * refblock_entries(q), end = first + refblock_entries(q), place = first;
    int r = qcow2_make_room(q, end);

    if (r < 0)
        return r;
    while (place < end && q->refs[place]) /* only in an image that is being repaired */
        place++;
    if (place == end)
        return -ENOSPC;
    q->rt[block] = place << q->cluster_bits;
    set_bit(q->rt_dirty, block / 64);
    q->rt_is_dirty = true;
    pthread_mutex_lock(&q->map);
    q->refs_count = max_of(q->refs_count, end);
    pthread_mutex_unlock(&q->map);
    for (uint64_t c = first; c < end; c += 256) /* its place may have had other contents */
        set_bit(q->refs_dirty, c / 256);
    qcow2_set_ref(q, place, 1);
    mark_meta(q, place, true);
    q->fresh = max_of(q->fresh, place + 1);
    return 0;
}

/* A larger reference count table, behind the block of counts @block, which is not there yet. */
static int grow_table(struct qcow2 *q, uint64_t block)
{
    uint32_t per_cluster = (uint32_t)(q->cluster_size / 8), old_clusters = q->header.rt_clusters,
             entries = (uint32_t)max_of(q->rt_entries + q->rt_entries / 2ull, block + 1),
             clusters = (entries + per_cluster - 1) / per_cluster;
    uint64_t old = q->header.rt_offset, at = block * refblock_entries(q) + 1, *rt, *dirty;
    int r;

    entries = clusters * per_cluster;
    if ((uint64_t)clusters << q->cluster_bits > RT_BYTES_MAX || clusters >= refblock_entries(q))
        return -ENOSPC;
    rt = mem_alloc(entries, sizeof *rt);
    dirty = mem_alloc((entries + 4095) / 4096, sizeof *dirty);
    if (!rt || !dirty) {
        free(rt);
        free(dirty);
        return -ENOMEM;
    }
    memcpy(rt, q->rt, q->rt_entries * sizeof *rt);
    free(q->rt);
    free(q->rt_dirty);
    q->rt = rt;
    q->rt_dirty = dirty;
    q->rt_entries = entries;
    r = qcow2_add_refblock(q, block);
    if (r < 0)
        return r; /* more entries in memory than on disk, all zero: harmless */
    for (uint32_t i = 0; i < clusters; i++) {
        qcow2_set_ref(q, at + i, 1);
        mark_meta(q, at + i, true);
    }
    q->fresh = max_of(q->fresh, at + clusters);
    q->header.rt_offset = at << q->cluster_bits;
    q->header.rt_clusters = clusters;
    q->rt_moved = true;
    for (uint32_t i = 0; r == 0 && i < old_clusters; i++)
        r = qcow2_release_cluster(q, (old >> q->cluster_bits) + i);
    return r;
}

int qcow2_refs_reach(struct qcow2 *q, uint64_t cluster)
{
    uint64_t block = cluster / refblock_entries(q);

    if (block < q->rt_entries && q->rt[block])
        return 0;
    if (cluster >= HOST_CLUSTERS_MAX)
        return -ENOSPC;
    return block < (uint64_t)q->header.rt_clusters * (q->cluster_size / 8)
               ? qcow2_add_refblock(q, block)
               : grow_table(q, block);
}

/* The next free cluster at or after @from; past the end if there is none before. */
static uint64_t find_free(const struct qcow2 *q, uint64_t from)
{
    while (from < q->refs_count && (q->refs[from] || !q->rt[from / refblock_entries(q)]))
        from++;
    return from;
}

int64_t qcow2_allocate(struct qcow2 *q, uint64_t want, uint64_t *ret_host, bool *ret_fresh)
{
    uint64_t first = find_free(q, q->next_free), n = 1;
    bool fresh;

    if (first >= q->refs_count) {
        int r = qcow2_refs_reach(q, q->refs_count);
        if (r < 0)
            return r;
        first = find_free(q, first);
        if (first >= q->refs_count)
            return -ENOSPC;
    }
    fresh = first >= q->fresh;
    while (n < want && first + n < q->refs_count && !q->refs[first + n] &&
           q->rt[(first + n) / refblock_entries(q)] && (first + n >= q->fresh) == fresh)
        n++;
    for (uint64_t i = 0; i < n; i++)
        qcow2_set_ref(q, first + i, 1);
    q->next_free = first + n;
    q->fresh = max_of(q->fresh, first + n);
    *ret_host = first << q->cluster_bits;
    *ret_fresh = fresh;
    return (int64_t)n;
}

void qcow2_unallocate(struct qcow2 *q, uint64_t host, uint64_t count)
{
    uint64_t first = host >> q->cluster_bits;

    for (uint64_t i = 0; i < count; i++)
        qcow2_set_ref(q, first + i, 0);
    q->next_free = min_of(q->next_free, first);
}

int qcow2_release_cluster(struct qcow2 *q, uint64_t cluster)
{
    if (cluster >= q->refs_count || !q->refs[cluster])
        return qcow2_damage(q, "a cluster in use is not counted:", cluster << q->cluster_bits);
    if (q->freed_count == q->freed_room) {
        size_t room = q->freed_room ? q->freed_room * 2 : 1024;
        uint64_t *freed = realloc(q->freed, room * sizeof *freed);
        if (!freed)
            return -ENOMEM;
        q->freed = freed;
        q->freed_room = room;
    }
    q->freed[q->freed_count++] = cluster;
    return 0;
}

int qcow2_release(struct qcow2 *q, uint64_t entry)
{
    uint64_t cluster = (entry & ENTRY_OFFSET) >> q->cluster_bits, offset, len, last;
    int r = 0;

    if (entry & ENTRY_PACKED) {
        qcow2_packed_place(q, entry, &offset, &len);
        last = (offset + len - 1) >> q->cluster_bits;
        for (cluster = offset >> q->cluster_bits; r == 0 && cluster <= last; cluster++)
            r = qcow2_release_cluster(q, cluster);
        return r;
    }
    if (!cluster)
        return 0;
    if (cluster < q->refs_count && q->meta[cluster / 8] >> cluster % 8 & 1)
        return qcow2_damage(q, "data lies where tables are:", cluster << q->cluster_bits);
    return qcow2_release_cluster(q, cluster);
}

void qcow2_apply_releases(struct qcow2 *q)
{
    uint64_t run = 0, run_len = 0;

    /* Whoever found these clusters in the map has ended when we have this lock. */
    pthread_rwlock_wrlock(&q->io);
    pthread_rwlock_unlock(&q->io);
    for (size_t i = 0; i < q->freed_count; i++) {
        uint64_t c = q->freed[i];
        if (!q->refs[c]) {
            (void)qcow2_damage(q, "a cluster was given back twice:", c << q->cluster_bits);
            continue;
        }
        qcow2_set_ref(q, c, (uint16_t)(q->refs[c] - 1));
        if (q->refs[c])
            continue;
        mark_meta(q, c, false);
        q->next_free = min_of(q->next_free, c);
        if (!q->discard)
            continue;
        if (run_len && c == run + run_len) {
            run_len++;
            continue;
        }
        if (run_len) /* advice: if it fails, space is used that need not be */
            (void)disk_discard(q->file, run << q->cluster_bits, run_len << q->cluster_bits);
        run = c;
        run_len = 1;
    }
    if (run_len)
        (void)disk_discard(q->file, run << q->cluster_bits, run_len << q->cluster_bits);
    q->freed_count = 0;
}

static int load_block(struct qcow2 *q, uint64_t block, uint8_t *bytes, struct error *err)
{
    uint64_t first = block * refblock_entries(q);
    int r;

    if (q->rt[block] & (q->cluster_size - 1) || q->rt[block] >> 56)
        return error_set(err, -EINVAL, "a block of reference counts is at no valid offset");
    if (first > clusters_of(q, q->file->size))
        return error_set(err, -EINVAL, "it counts references past the end of the file");
    r = qcow2_make_room(q, first + refblock_entries(q));
    if (r < 0)
        return error_set(err, r, "the file is too large for clusters of %" PRIu64 " bytes",
                         q->cluster_size);
    r = disk_read(q->file, q->rt[block], bytes, q->cluster_size);
    if (r < 0)
        return error_set_errno(err, r, "read reference counts");
    for (uint32_t i = 0; i < refblock_entries(q); i++)
        q->refs[first + i] = __builtin_bswap16(load_le16(bytes + 2ull * i));
    q->refs_count = max_of(q->refs_count, first + refblock_entries(q));
    return 0;
}

static int load_table(struct qcow2 *q, struct error *err)
{
    uint64_t entries = (uint64_t)q->header.rt_clusters * (q->cluster_size / 8);
    uint8_t *bytes;
    int r = 0;

    q->rt = mem_alloc(entries, sizeof *q->rt);
    q->rt_dirty = mem_alloc((entries + 4095) / 4096, sizeof *q->rt_dirty);
    bytes = mem_alloc(1, q->cluster_size);
    q->rt_entries = (uint32_t)entries;
    if (!q->rt || !q->rt_dirty || !bytes)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0) {
        r = disk_read(q->file, q->header.rt_offset, q->rt, entries * 8);
        if (r < 0)
            error_set_errno(err, r, "read the reference count table");
    }
    for (uint64_t i = 0; r == 0 && i < entries; i++)
        q->rt[i] = __builtin_bswap64(q->rt[i]);
    for (uint64_t i = 0; r == 0 && i < entries; i++)
        if (q->rt[i])
            r = load_block(q, i, bytes, err);
    free(bytes);
    return r;
}

/* Tables at [@offset, @len) must be counted, so that nothing else ever gets their place. */
static int claim(struct qcow2 *q, uint64_t offset, uint64_t len, struct error *err)
{
    for (uint64_t c = offset >> q->cluster_bits; c < clusters_of(q, offset + len); c++) {
        if (c < q->refs_count)
            mark_meta(q, c, true);
        if (!q->lenient && (c >= q->refs_count || !q->refs[c]))
            return error_set(err, -EUCLEAN,
                             "its reference counts are damaged; isola disk check --repair all "
                             "repairs them");
    }
    return 0;
}

int qcow2_refs_load(struct qcow2 *q, struct error *err)
{
    const struct qcow2_header *h = &q->header;
    int r;

    if (q->file->size >> q->cluster_bits >= HOST_CLUSTERS_MAX)
        return error_set(err, -EFBIG, "the file is too large for clusters of %" PRIu64 " bytes",
                         q->cluster_size);
    r = qcow2_make_room(q, 1);
    if (r < 0)
        return error_set(err, r, "out of memory");
    r = load_table(q, err);
    q->fresh = clusters_of(q, q->file->size);
    if (r == 0)
        r = claim(q, 0, 1, err);
    if (r == 0)
        r = claim(q, h->rt_offset, (uint64_t)h->rt_clusters << q->cluster_bits, err);
    if (r == 0)
        r = claim(q, h->l1_offset, (uint64_t)h->l1_size * 8, err);
    if (r == 0 && h->snapshots)
        r = claim(q, h->snapshots_offset, 1, err);
    for (uint32_t i = 0; r == 0 && i < q->rt_entries; i++)
        if (q->rt[i])
            r = claim(q, q->rt[i], 1, err);
    for (uint32_t i = 0; r == 0 && i < h->l1_size; i++)
        if (q->l1[i] & ENTRY_OFFSET)
            r = claim(q, q->l1[i] & ENTRY_OFFSET, 1, err);
    return r;
}
