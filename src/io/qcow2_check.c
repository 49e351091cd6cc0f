/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what is referenced: the header, all tables, the active map, and the maps of snapshots
 * inside the image. Work is bounded by the size of the file, whatever the tables say.
 */
#include <errno.h>
#include <inttypes.h>

#include "io/qcow2_internal.h"

enum { SNAPSHOT_FIXED = 40, SNAPSHOT_EXTRA_MAX = 1024 };

struct count {
    struct qcow2 *q;
    uint16_t *used; /* references of each host cluster, at most 65535 */
    uint64_t clusters;
    uint64_t tables_left; /* how many more L2 tables are looked at */
    uint8_t *table;
    struct qcow2_check found;
};

static int refer(struct count *c, uint64_t offset, uint64_t len)
{
    unsigned bits = c->q->cluster_bits;

    for (uint64_t i = offset >> bits; i < clusters_of(c->q, offset + len); i++) {
        if (i >= c->clusters) {
            c->found.errors++;
            return -ERANGE;
        }
        if (c->used[i] < UINT16_MAX)
            c->used[i]++;
    }
    return 0;
}

static void count_entry(struct count *c, uint64_t entry, bool active)
{
    struct qcow2 *q = c->q;
    uint64_t offset = entry & ENTRY_OFFSET, len = q->cluster_size;

    if (entry & ENTRY_PACKED) {
        qcow2_packed_place(q, entry, &offset, &len);
    } else if (entry & (L2_RESERVED & ~ENTRY_ZERO) || offset & (q->cluster_size - 1)) {
        c->found.errors++;
        return;
    }
    if (!offset || refer(c, offset, len) < 0 || !active)
        return;
    c->found.allocated++;
    if (entry & ENTRY_PACKED)
        c->found.packed++;
}

static int read_table(struct count *c, uint64_t offset, struct error *err)
{
    int r;

    if (!c->tables_left--)
        return error_set(err, -EFBIG, "its maps have more tables than the file has room for");
    r = disk_read(c->q->file, offset, c->table, c->q->cluster_size);
    return r < 0 ? error_set_errno(err, r, "read an L2 table") : 0;
}

static int count_l1(struct count *c, const uint64_t *l1, uint32_t size, bool active,
                    struct error *err)
{
    struct qcow2 *q = c->q;

    for (uint32_t i = 0; i < size; i++) {
        uint64_t offset = l1[i] & ENTRY_OFFSET;
        int r;
        if (!offset)
            continue;
        if (offset & (q->cluster_size - 1)) {
            c->found.errors++;
            continue;
        }
        if (refer(c, offset, q->cluster_size) < 0)
            continue;
        r = read_table(c, offset, err);
        if (r < 0)
            return r;
        for (uint32_t slot = 0; slot < 1u << q->l2_bits; slot++)
            count_entry(c, load_be64(c->table + 8ull * slot), active);
    }
    return 0;
}

static int count_snapshot_l1(struct count *c, uint64_t offset, uint32_t size, struct error *err)
{
    uint64_t *l1;
    int r;

    if (!size)
        return 0;
    if ((uint64_t)size * 8 > L1_BYTES_MAX || offset & (c->q->cluster_size - 1) ||
        refer(c, offset, size * 8ull) < 0) {
        c->found.errors++;
        return 0;
    }
    l1 = mem_alloc(size, sizeof *l1);
    if (!l1)
        return error_set(err, -ENOMEM, "out of memory");
    r = disk_read(c->q->file, offset, l1, size * 8ull);
    if (r < 0)
        error_set_errno(err, r, "read a snapshot's L1 table");
    for (uint32_t i = 0; i < size; i++)
        l1[i] = __builtin_bswap64(l1[i]);
    if (r == 0)
        r = count_l1(c, l1, size, false, err);
    free(l1);
    return r;
}

static int count_snapshots(struct count *c, struct error *err)
{
    uint64_t begin = c->q->header.snapshots_offset, at = begin;

    for (uint32_t i = 0; i < c->q->header.snapshots; i++) {
        uint8_t fixed[SNAPSHOT_FIXED];
        uint32_t extra;
        int r = disk_read(c->q->file, at, fixed, sizeof fixed);
        if (r < 0)
            return error_set_errno(err, r, "read the table of snapshots");
        extra = load_be32(fixed + 36);
        if (extra > SNAPSHOT_EXTRA_MAX)
            return error_set(err, -EINVAL, "its table of snapshots makes no sense");
        r = count_snapshot_l1(c, load_be64(fixed), load_be32(fixed + 8), err);
        if (r < 0)
            return r;
        at += sizeof fixed + extra + __builtin_bswap16(load_le16(fixed + 12)) +
              __builtin_bswap16(load_le16(fixed + 14));
        at = (at + 7) & ~7ull;
    }
    if (at > begin)
        (void)refer(c, begin, at - begin); /* counted as an error if it fails */
    return 0;
}

static int count_all(struct count *c, struct error *err)
{
    struct qcow2 *q = c->q;
    const struct qcow2_header *h = &q->header;
    int r;

    (void)refer(c, 0, 1);
    (void)refer(c, h->rt_offset, (uint64_t)h->rt_clusters << q->cluster_bits);
    (void)refer(c, h->l1_offset, h->l1_size * 8ull);
    for (uint32_t i = 0; i < q->rt_entries; i++)
        if (q->rt[i])
            (void)refer(c, q->rt[i], q->cluster_size);
    r = count_l1(c, q->l1, h->l1_size, true, err);
    return r < 0 ? r : count_snapshots(c, err);
}

/* Compares, and takes the right counts over if they are to be repaired. */
static int settle_counts(struct count *c, enum qcow2_repair repair, struct error *err)
{
    struct qcow2 *q = c->q;
    int r = 0;

    if (repair == QCOW2_REPAIR_ALL && qcow2_make_room(q, c->clusters) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    for (uint64_t i = 0; i < c->clusters; i++) {
        uint16_t counted = i < q->refs_count ? q->refs[i] : 0;
        bool leak = counted > c->used[i];
        if (counted == c->used[i])
            continue;
        c->found.leaks += leak;
        c->found.errors += !leak;
        if (repair == QCOW2_REPAIR_ALL || (leak && repair == QCOW2_REPAIR_LEAKS)) {
            qcow2_set_ref(q, i, c->used[i]);
            c->found.repaired++;
        }
    }
    if (repair != QCOW2_REPAIR_ALL)
        return 0;
    for (uint64_t i = 0; r == 0 && i < c->clusters; i++) {
        uint64_t block = i / refblock_entries(q);
        if (!c->used[i] || (block < q->rt_entries && q->rt[block]))
            continue;
        r = block < q->rt_entries ? qcow2_add_refblock(q, block) : -ENOSPC;
    }
    return r < 0 ? error_set_errno(err, r, "make room for reference counts") : 0;
}

/* The flag of an entry that names @offset as it should be. */
static uint64_t right_flag(const struct count *c, uint64_t entry, uint64_t offset)
{
    uint64_t cluster = offset >> c->q->cluster_bits;

    if (!offset || cluster >= c->clusters || entry & ENTRY_PACKED)
        return entry;
    return c->used[cluster] == 1 ? entry | ENTRY_COPIED : entry & ~ENTRY_COPIED;
}

static int fix_entry(struct count *c, enum qcow2_repair repair, uint64_t at, uint64_t is,
                     uint64_t right, struct error *err)
{
    uint8_t bytes[8];
    int r;

    if (is == right)
        return 0;
    c->found.errors++;
    if (repair != QCOW2_REPAIR_ALL)
        return 0;
    store_be64(bytes, right);
    r = disk_write(c->q->file, at, bytes, sizeof bytes);
    if (r == 0)
        c->found.repaired++;
    return r < 0 ? error_set_errno(err, r, "write a table") : 0;
}

/* The flags of the active map that say what may be written in place. */
static int settle_flags(struct count *c, enum qcow2_repair repair, struct error *err)
{
    struct qcow2 *q = c->q;
    int r = 0;

    c->tables_left = 2ull * q->header.l1_size;
    for (uint32_t i = 0; r == 0 && i < q->header.l1_size; i++) {
        uint64_t at = q->l1[i] & ENTRY_OFFSET, right = right_flag(c, q->l1[i], at);
        if (!at || at & (q->cluster_size - 1) || at >> q->cluster_bits >= c->clusters)
            continue;
        r = fix_entry(c, repair, q->header.l1_offset + 8ull * i, q->l1[i], right, err);
        if (repair == QCOW2_REPAIR_ALL)
            q->l1[i] = right;
        if (r == 0)
            r = read_table(c, at, err);
        for (uint32_t slot = 0; r == 0 && slot < 1u << q->l2_bits; slot++) {
            uint64_t entry = load_be64(c->table + 8ull * slot);
            r = fix_entry(c, repair, at + 8ull * slot, entry,
                          right_flag(c, entry, entry & ENTRY_OFFSET), err);
        }
    }
    return r;
}

/* The image is whole again. */
static int clear_marks(struct qcow2 *q, struct error *err)
{
    uint8_t bytes[8];
    int r = 0;

    if (q->header.info.version < 3 || !(q->header.info.dirty || q->header.info.corrupt))
        return 0;
    r = disk_flush(q->file);
    if (r == 0)
        r = disk_read(q->file, QH_INCOMPATIBLE, bytes, sizeof bytes);
    if (r == 0) {
        store_be64(bytes,
                   load_be64(bytes) & ~(uint64_t)(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT));
        r = disk_write(q->file, QH_INCOMPATIBLE, bytes, sizeof bytes);
    }
    if (r == 0)
        r = disk_flush(q->file);
    if (r == 0)
        q->header.info.dirty = q->header.info.corrupt = false;
    return r < 0 ? error_set_errno(err, r, "write the header") : 0;
}

static int do_check(struct count *c, enum qcow2_repair repair, struct error *err)
{
    struct qcow2 *q = c->q;
    uint64_t bad;
    int r = count_all(c, err);

    if (r < 0)
        return r;
    bad = c->found.errors;
    r = settle_counts(c, repair, err);
    if (r == 0 && repair != QCOW2_REPAIR_NOT) {
        r = qcow2_commit(q, true);
        if (r < 0)
            error_set_errno(err, r, "write reference counts");
    }
    if (r == 0)
        r = settle_flags(c, repair, err);
    if (r == 0 && repair == QCOW2_REPAIR_ALL && !bad)
        r = clear_marks(q, err);
    return r;
}

int qcow2_check(struct disk *image, enum qcow2_repair repair, struct qcow2_check *ret,
                struct error *err)
{
    struct qcow2 *q = qcow2_of(image);
    uint64_t in_file = clusters_of(q, q->file->size);
    struct count c = {.q = q, .clusters = max_of(in_file, q->refs_count)};
    int r;

    if (!q->refs)
        return error_set(err, -ENOTSUP,
                         "reference counts of %u bits cannot be checked here; use qemu-img check",
                         q->header.info.refcount_bits);
    if (q->header.info.bitmaps)
        return error_set(err, -ENOTSUP,
                         "the image has dirty bitmaps, which are not understood; use qemu-img "
                         "check");
    c.found.clusters = in_file;
    c.tables_left = 64 * in_file + 4096;
    c.used = mem_alloc(c.clusters + 1, sizeof *c.used);
    c.table = mem_alloc(1, q->cluster_size);
    pthread_mutex_lock(&q->change);
    r = c.used && c.table ? do_check(&c, repair, err) : error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_unlock(&q->change);
    free(c.used);
    free(c.table);
    if (r == 0)
        *ret = c.found;
    return r;
}

int qcow2_rebuild(struct qcow2 *q, struct error *err)
{
    struct qcow2_check found;
    int r;

    if (q->header.info.bitmaps)
        q->header.info.bitmaps = false; /* writing makes them void anyway */
    r = qcow2_check(&q->disk, QCOW2_REPAIR_ALL, &found, err);
    if (r == 0 && q->header.info.dirty)
        r = error_set(err, -EUCLEAN, "its maps are damaged; isola disk check tells more");
    return r < 0 ? error_wrap(err, r, "count references") : 0;
}
