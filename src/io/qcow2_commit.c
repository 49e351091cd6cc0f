/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of a qcow2 image from memory to the file, in the order that qcow2_internal.h explains. */
#include <errno.h>

#include "io/qcow2_internal.h"

enum { REF_SECTORS = 16 }; /* sectors of 256 counts written at once */

static int write_refs(struct qcow2 *q)
{
    uint64_t sectors = q->refs_count / 256, per_block = q->cluster_size / 512;
    uint8_t bytes[REF_SECTORS * 512];

    for (uint64_t s = 0; s < sectors;) {
        uint64_t n = 0, block = s / per_block;
        int r;
        if (!q->refs_dirty[s / 64]) {
            s = (s / 64 + 1) * 64;
            continue;
        }
        while (n < REF_SECTORS && s + n < sectors && (s + n) / per_block == block &&
               get_bit(q->refs_dirty, s + n)) {
            for (unsigned i = 0; i < 256; i++)
                store_le16(bytes + n * 512 + 2ull * i,
                           __builtin_bswap16(q->refs[(s + n) * 256 + i]));
            n++;
        }
        if (!n) {
            s++;
            continue;
        }
        r = disk_write(q->file, q->rt[block] + s % per_block * 512, bytes, n * 512);
        if (r < 0)
            return r;
        for (uint64_t i = 0; i < n; i++)
            q->refs_dirty[(s + i) / 64] &= ~(1ull << (s + i) % 64);
        s += n;
    }
    q->refs_are_dirty = false;
    return 0;
}

/* Writes the 512-byte sectors of a table of 64-bit entries that @dirty names. */
static int write_entries(struct qcow2 *q, uint64_t offset, const uint64_t *entries, uint64_t count,
                         uint64_t *dirty)
{
    for (uint64_t s = 0; s * 64 < count; s++) {
        uint64_t n = min_of(count - s * 64, (uint64_t)64);
        uint8_t bytes[512];
        int r;
        if (!get_bit(dirty, s))
            continue;
        for (uint64_t i = 0; i < n; i++)
            store_be64(bytes + i * 8, entries[s * 64 + i]);
        r = disk_write(q->file, offset + s * 512, bytes, n * 8);
        if (r < 0)
            return r;
        dirty[s / 64] &= ~(1ull << s % 64);
    }
    return 0;
}

/* The table is at a new place: its entries there first, then the header names it. */
static int write_moved_table(struct qcow2 *q)
{
    uint8_t place[12];
    int r;

    memset(q->rt_dirty, 0xff, (q->rt_entries + 4095) / 4096 * 8ull);
    r = write_entries(q, q->header.rt_offset, q->rt, q->rt_entries, q->rt_dirty);
    if (r == 0)
        r = disk_flush(q->file);
    store_be64(place, q->header.rt_offset);
    store_be32(place + 8, q->header.rt_clusters);
    if (r == 0)
        r = disk_write(q->file, QH_RT_OFFSET, place, sizeof place);
    if (r == 0)
        q->rt_moved = false;
    return r;
}

static int write_table(struct qcow2 *q, struct l2_table *t)
{
    size_t unit = max_of(q->cluster_size / 512, (uint64_t)512), units = q->cluster_size / unit;
    uint64_t at = q->l1[t->index] & ENTRY_OFFSET;

    for (size_t u = 0; u < units;) {
        size_t n = 0;
        int r;
        while (u + n < units && get_bit(t->dirty, u + n))
            n++;
        if (n) {
            r = disk_write(q->file, at + u * unit, t->bytes + u * unit, n * unit);
            if (r < 0)
                return r;
        }
        u += n + 1;
    }
    memset(t->dirty, 0, sizeof t->dirty);
    return 0;
}

/* The tables that no L1 entry in the file names (@linked false), or those it names. */
static int write_tables(struct qcow2 *q, bool linked)
{
    int r = 0;

    for (struct l2_table *t = q->first_dirty; r == 0 && t; t = t->next_dirty)
        if (t->linked == linked)
            r = write_table(q, t);
    return r;
}

static void tables_are_clean(struct qcow2 *q)
{
    for (struct l2_table *t = q->first_dirty, *next; t; t = next) {
        next = t->next_dirty;
        t->linked = true;
        t->is_dirty = false;
    }
    q->first_dirty = NULL;
    q->dirty_tables = 0;
}

/* All that new entries of the map need: steps 1 and 2. */
static int write_ground(struct qcow2 *q)
{
    bool wrote = q->refs_are_dirty || q->rt_is_dirty || q->dirty_tables || q->unflushed;
    int r = q->refs_are_dirty ? write_refs(q) : 0;

    if (r == 0 && q->dirty_tables)
        r = write_tables(q, false);
    if (r == 0 && wrote)
        r = disk_flush(q->file);
    if (r < 0 || !q->rt_is_dirty)
        return r;
    r = q->rt_moved ? write_moved_table(q)
                    : write_entries(q, q->header.rt_offset, q->rt, q->rt_entries, q->rt_dirty);
    if (r == 0)
        r = disk_flush(q->file);
    if (r == 0)
        q->rt_is_dirty = false;
    return r;
}

/* What the map names: step 3. */
static int write_map(struct qcow2 *q)
{
    int r = q->dirty_tables ? write_tables(q, true) : 0;

    if (r == 0 && q->l1_is_dirty)
        r = write_entries(q, q->header.l1_offset, q->l1, q->header.l1_size, q->l1_dirty);
    if (r < 0)
        return r;
    q->l1_is_dirty = false;
    pthread_mutex_lock(&q->map);
    tables_are_clean(q);
    pthread_mutex_unlock(&q->map);
    return 0;
}

int qcow2_commit(struct qcow2 *q, bool durable)
{
    bool tables = q->dirty_tables || q->l1_is_dirty;
    int r = 0;

    if (qcow2_is_damaged(q) || !q->refs)
        return disk_flush(q->file);
    if (tables || q->refs_are_dirty || q->rt_is_dirty)
        r = write_ground(q);
    if (r == 0 && tables)
        r = write_map(q);
    if (r == 0 && (durable || q->freed_count))
        r = disk_flush(q->file);
    if (r < 0)
        return r;
    q->unflushed = false;
    if (q->freed_count)
        qcow2_apply_releases(q);
    return 0;
}
