/* SPDX-License-Identifier: Apache-2.0 */
/* The map of a qcow2 image: L1 and L2 tables, and the cache of the latter. */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "io/qcow2_internal.h"

int qcow2_damage(struct qcow2 *q, const char *what, uint64_t value)
{
    if (!__atomic_exchange_n(&q->damaged, true, __ATOMIC_RELAXED))
        log_warn("block",
                 "%s: the image is damaged: %s 0x%" PRIx64 "; it is not written any more; isola "
                 "disk check tells more",
                 q->name, what, value);
    return -EIO;
}

bool qcow2_is_damaged(const struct qcow2 *q)
{
    return __atomic_load_n(&q->damaged, __ATOMIC_RELAXED);
}

uint64_t qcow2_get_entry(const struct l2_table *t, uint32_t slot)
{
    return load_be64(t->bytes + (size_t)slot * 8);
}

static void detach(struct qcow2 *q, struct l2_table *t)
{
    *(t->newer ? &t->newer->older : &q->newest) = t->older;
    *(t->older ? &t->older->newer : &q->oldest) = t->newer;
}

static void make_newest(struct qcow2 *q, struct l2_table *t)
{
    t->newer = NULL;
    t->older = q->newest;
    *(q->newest ? &q->newest->newer : &q->oldest) = t;
    q->newest = t;
}

/* Forgets tables that were not used for long. Dirty ones stay until a commit has written them. */
static void evict(struct qcow2 *q)
{
    struct l2_table *t = q->oldest;

    while (t && q->tables >= q->tables_max) {
        struct l2_table *next = t->newer;
        if (!t->is_dirty && t->linked && t != q->held) {
            detach(q, t);
            q->l2[t->index] = NULL;
            q->tables--;
            free(t);
        }
        t = next;
    }
}

void qcow2_tables_free(struct qcow2 *q)
{
    while (q->newest) {
        struct l2_table *t = q->newest;
        detach(q, t);
        free(t);
    }
}

/* A table without contents in the cache. Under map. NULL: out of memory. */
static struct l2_table *add_table(struct qcow2 *q, uint32_t index)
{
    struct l2_table *t;

    evict(q);
    t = mem_alloc(1, sizeof *t + q->cluster_size);
    if (!t)
        return NULL;
    t->index = index;
    make_newest(q, t);
    q->l2[index] = t;
    q->tables++;
    return t;
}

static void drop_table(struct qcow2 *q, struct l2_table *t)
{
    detach(q, t);
    q->l2[t->index] = NULL;
    q->tables--;
    free(t);
}

/* The table of an L1 entry that names one. Under map. */
static int get_table(struct qcow2 *q, uint32_t index, bool attempt, struct l2_table **ret)
{
    uint64_t entry = q->l1[index], offset = entry & ENTRY_OFFSET;
    struct l2_table *t = q->l2[index];
    int r;

    if (t) {
        if (t != q->newest) {
            detach(q, t);
            make_newest(q, t);
        }
        *ret = t;
        return 0;
    }
    if (attempt)
        return BLOCK_WOULD_WAIT;
    if (entry & L1_RESERVED || offset & (q->cluster_size - 1))
        return qcow2_damage(q, "an L1 entry is", entry);
    t = add_table(q, index);
    if (!t)
        return -ENOMEM;
    t->linked = true;
    r = disk_read(q->file, offset, t->bytes, q->cluster_size);
    if (r < 0) {
        drop_table(q, t);
        return r;
    }
    *ret = t;
    return 0;
}

/* Whether the data cluster of @entry may be written where it is. */
static bool is_writable(const struct qcow2 *q, uint64_t entry)
{
    uint64_t cluster = (entry & ENTRY_OFFSET) >> q->cluster_bits;

    return q->refs && entry & ENTRY_COPIED && cluster < q->refs_count && q->refs[cluster] == 1 &&
           !(q->meta[cluster / 8] >> cluster % 8 & 1);
}

static int classify(struct qcow2 *q, uint64_t entry, struct extent *ret)
{
    *ret = (struct extent){.entry = entry, .kind = EXTENT_DATA};
    if (entry & ENTRY_PACKED) {
        ret->kind = EXTENT_PACKED;
        return 0;
    }
    if (entry & (q->header.info.version >= 3 ? L2_RESERVED : L2_RESERVED | ENTRY_ZERO) ||
        (entry & ENTRY_OFFSET) & (q->cluster_size - 1))
        return qcow2_damage(q, "an L2 entry is", entry);
    ret->host = entry & ENTRY_OFFSET;
    if (entry & ENTRY_ZERO)
        ret->kind = EXTENT_ZERO;
    else if (!ret->host)
        ret->kind = EXTENT_NONE;
    else
        ret->writable = is_writable(q, entry);
    return 0;
}

/* Whether @b goes on where @a ends, @distance bytes later. */
static bool continues(const struct extent *a, const struct extent *b, uint64_t distance)
{
    return a->kind == b->kind && a->kind != EXTENT_PACKED && a->writable == b->writable &&
           (a->kind != EXTENT_DATA || b->host == a->host + distance);
}

int qcow2_lookup(struct qcow2 *q, uint64_t offset, uint64_t len, bool attempt, struct extent *ret)
{
    uint64_t cluster = offset >> q->cluster_bits, inside = offset & (q->cluster_size - 1);
    uint32_t index = (uint32_t)(cluster >> q->l2_bits),
             slot = (uint32_t)(cluster & ((1u << q->l2_bits) - 1)), end = 1u << q->l2_bits;
    struct extent e, next;
    struct l2_table *t;
    uint64_t found;
    int r;

    if (!(q->l1[index] & ENTRY_OFFSET)) {
        uint64_t rest = ((uint64_t)(end - slot) << q->cluster_bits) - inside;
        *ret = (struct extent){.kind = EXTENT_NONE, .len = min_of(len, rest)};
        return 0;
    }
    r = get_table(q, index, attempt, &t);
    if (r != 0)
        return r;
    r = classify(q, qcow2_get_entry(t, slot), &e);
    if (r < 0)
        return r;
    found = q->cluster_size - inside;
    while (found < len && ++slot < end) {
        if (classify(q, qcow2_get_entry(t, slot), &next) < 0 ||
            !continues(&e, &next, found + inside))
            break;
        found += q->cluster_size;
    }
    e.len = min_of(found, len);
    e.host += inside;
    *ret = e;
    return 0;
}

void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
                        uint64_t *ret_len)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    uint64_t offset = entry & ((1ull << shift) - 1) & ((1ull << 56) - 1),
             sectors = (entry & ~(ENTRY_COPIED | ENTRY_PACKED)) >> shift;

    *ret_offset = offset;
    *ret_len = (sectors + 1) * 512 - (offset & 511);
}

static void make_dirty(struct qcow2 *q, struct l2_table *t)
{
    if (t->is_dirty)
        return;
    t->is_dirty = true;
    t->next_dirty = q->first_dirty;
    q->first_dirty = t;
    q->dirty_tables++;
}

void qcow2_set_entry(struct qcow2 *q, struct l2_table *t, uint32_t slot, uint64_t entry)
{
    size_t unit = max_of(q->cluster_size / 512, (uint64_t)512);

    pthread_mutex_lock(&q->map);
    store_be64(t->bytes + (size_t)slot * 8, entry);
    make_dirty(q, t);
    pthread_mutex_unlock(&q->map);
    set_bit(t->dirty, (size_t)slot * 8 / unit);
}

/* Entries copied from a shared table are written in place only if nothing else names them. */
static void strip_copied(struct qcow2 *q, struct l2_table *t)
{
    for (uint32_t slot = 0; slot < 1u << q->l2_bits; slot++) {
        uint64_t entry = qcow2_get_entry(t, slot);
        if (entry & ENTRY_COPIED && !is_writable(q, entry))
            store_be64(t->bytes + (size_t)slot * 8, entry & ~ENTRY_COPIED);
    }
}

/* A table at a new place: empty, or with what the shared one at this L1 entry has. */
static int new_table(struct qcow2 *q, uint32_t index, uint64_t old, struct l2_table **ret)
{
    struct l2_table *t = NULL;
    uint64_t host;
    bool fresh;
    int64_t got;
    int r = 0;

    got = qcow2_allocate(q, 1, &host, &fresh);
    if (got < 0)
        return (int)got;
    pthread_mutex_lock(&q->map);
    if (old)
        r = get_table(q, index, false, &t);
    else if (!(t = add_table(q, index)))
        r = -ENOMEM;
    if (r == 0) {
        if (old)
            strip_copied(q, t);
        t->linked = false;
        memset(t->dirty, 0xff, sizeof t->dirty);
        make_dirty(q, t);
        q->l1[index] = host | ENTRY_COPIED;
        q->meta[(host >> q->cluster_bits) / 8] |= (uint8_t)(1 << (host >> q->cluster_bits) % 8);
    }
    pthread_mutex_unlock(&q->map);
    if (r < 0) {
        qcow2_unallocate(q, host, 1);
        return r;
    }
    set_bit(q->l1_dirty, index / 64);
    q->l1_is_dirty = true;
    *ret = t;
    return old ? qcow2_release_cluster(q, old >> q->cluster_bits) : 0;
}

int qcow2_table_for_change(struct qcow2 *q, uint32_t index, struct l2_table **ret)
{
    uint64_t entry = q->l1[index], offset = entry & ENTRY_OFFSET;
    struct l2_table *t;
    int r;

    if (offset && entry & ENTRY_COPIED && q->refs[offset >> q->cluster_bits] == 1) {
        pthread_mutex_lock(&q->map);
        r = get_table(q, index, false, &t);
        if (r == 0)
            q->held = t;
        pthread_mutex_unlock(&q->map);
    } else {
        r = new_table(q, index, offset, &t);
        if (r == 0)
            q->held = t; /* it is dirty: nobody drops it meanwhile */
    }
    if (r == 0)
        *ret = t;
    return r;
}
