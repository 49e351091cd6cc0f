/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to qcow2*.c.
 *
 * The map from the disk's clusters to the file's is L1 (in memory as a whole) and L2 tables (a
 * cache); reference counts are in memory as a whole while an image is open for writing. Data goes
 * to the file at once, changes of these tables at a commit, in this order:
 *
 *   1. reference counts that rose, and L2 tables that no L1 entry on disk names yet
 *      (a crash until here leaves clusters counted that nothing uses)
 *   2. flush; new entries of the reference count table, if any; flush
 *   3. changed L2 entries and L1 entries: all they name is now durable and counted
 *   4. flush
 *   5. reference counts of what is no longer named fall (written by the next commit), and only then
 *      these clusters may be used again.
 *
 * Every write of step 3 can be cut at any sector: each entry is right by itself.
 *
 * Locks, in this order:
 *   change  held by whoever changes the map: writes that allocate, discards, commits
 *   io      read: data of a cluster that the map named is moved; write: freed clusters are given to
 *           the allocator
 *   map     the tables in memory; held for moments, and while an L2 table is read
 */
#ifndef IO_QCOW2_INTERNAL_H
#define IO_QCOW2_INTERNAL_H

#include <pthread.h>

#include "base/mem.h"
#include "io/qcow2.h"

/* Header offsets. */
enum {
    QH_BACKING_OFFSET = 8,
    QH_BACKING_SIZE = 16,
    QH_CLUSTER_BITS = 20,
    QH_SIZE = 24,
    QH_CRYPT = 32,
    QH_L1_SIZE = 36,
    QH_L1_OFFSET = 40,
    QH_RT_OFFSET = 48,
    QH_RT_CLUSTERS = 56,
    QH_SNAPSHOTS = 60,
    QH_SNAPSHOTS_OFFSET = 64,
    QH_V2_SIZE = 72,
    QH_INCOMPATIBLE = 72,
    QH_COMPATIBLE = 80,
    QH_AUTOCLEAR = 88,
    QH_REFCOUNT_ORDER = 96,
    QH_HEADER_LENGTH = 100,
    QH_V3_SIZE = 104,
    QH_COMPRESSION = 104,
};
enum {
    INCOMPATIBLE_DIRTY = 1,
    INCOMPATIBLE_CORRUPT = 2,
    INCOMPATIBLE_DATA_FILE = 4,
    INCOMPATIBLE_COMPRESSION = 8,
    INCOMPATIBLE_EXTENDED_L2 = 16,
};
enum { COMPATIBLE_LAZY = 1, AUTOCLEAR_BITMAPS = 1 };
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_BITMAPS        0x23852875u

#define ENTRY_COPIED 0x8000000000000000ull /* referenced once: may be written in place */
#define ENTRY_PACKED 0x4000000000000000ull
#define ENTRY_ZERO   1ull
#define ENTRY_OFFSET 0x00fffffffffffe00ull
#define L1_RESERVED  0x7f000000000001ffull
#define L2_RESERVED  0x3f000000000001feull

enum {
    CLUSTER_BITS_MIN = 9,
    CLUSTER_BITS_MAX = 21,
    L1_BYTES_MAX = 32 << 20,
    RT_BYTES_MAX = 8 << 20,
    SNAPSHOTS_MAX = 65536,
    HOST_CLUSTERS_MAX = 1 << 28, /* of an image open for writing: 512 MiB of counts */
    CACHE_BYTES = 32 << 20,
    CACHE_TABLES_MIN = 16,
    FREED_MAX = 1 << 16,
};

struct qcow2_header {
    struct qcow2_info info;
    uint64_t l1_offset, rt_offset, snapshots_offset;
    uint32_t l1_size, rt_clusters, snapshots;
    uint64_t autoclear;
};

/* An L2 table in memory, in the order of bytes of the file. */
struct l2_table {
    struct l2_table *newer, *older; /* by last use; the list's ends are in struct qcow2 */
    struct l2_table *next_dirty;    /* under change */
    uint32_t index;                 /* of its L1 entry */
    bool linked;                    /* the L1 entry in the file names it */
    bool is_dirty;
    uint64_t dirty[8]; /* a bit for each unit of the table: 512 bytes, or a 512th of it */
    uint8_t bytes[];
};

struct qcow2 {
    struct disk disk;
    struct disk *file, *backing;
    char *name;
    struct qcow2_header header;
    unsigned cluster_bits, l2_bits; /* log2 of the entries of an L2 table */
    uint64_t cluster_size;
    bool discard;
    bool lenient; /* opened for a check: refs are what they are */
    bool damaged; /* atomic: something in it made no sense; it is not written any more */

    pthread_mutex_t change, map;
    pthread_rwlock_t io;

    /* Under map; changed under change and map. */
    uint64_t *l1;         /* in the host's order of bytes */
    uint64_t *l1_dirty;   /* a bit for each 64 entries */
    struct l2_table **l2; /* by L1 entry; NULL: not in memory */
    struct l2_table *newest, *oldest;
    struct l2_table *first_dirty; /* the list and its length are under change */
    unsigned tables, tables_max, dirty_tables;
    struct l2_table *held; /* in use by who has change: stays in memory */

    /* Open for writing only; under change. */
    uint16_t *refs;       /* of host clusters; changed under map, too */
    uint8_t *meta;        /* a bit for each: holds tables; as refs */
    uint64_t *refs_dirty; /* a bit for each 256 */
    uint64_t refs_count, refs_room;
    uint64_t *rt; /* the reference count table */
    uint32_t rt_entries, rt_written;
    uint64_t *rt_dirty;
    bool rt_is_dirty, rt_moved, refs_are_dirty, l1_is_dirty;
    uint64_t next_free; /* where the search begins */
    uint64_t fresh;     /* host clusters from here on were never written: they are zeroes */
    uint64_t *freed;    /* host clusters, given back by the commit */
    size_t freed_count, freed_room;
    bool unflushed; /* data was written to new clusters since the last flush */

    pthread_mutex_t unpack; /* the last cluster that was unpacked */
    uint64_t unpacked_entry;
    uint8_t *unpacked, *packed;
    void *zlib;
};

static inline struct qcow2 *qcow2_of(const struct disk *d)
{
    return container_of((struct disk *)(uintptr_t)d, struct qcow2, disk);
}

static inline uint32_t load_be32(const void *p)
{
    return __builtin_bswap32(load_le32(p));
}
static inline uint64_t load_be64(const void *p)
{
    return __builtin_bswap64(load_le64(p));
}
static inline void store_be32(void *p, uint32_t v)
{
    store_le32(p, __builtin_bswap32(v));
}
static inline void store_be64(void *p, uint64_t v)
{
    store_le64(p, __builtin_bswap64(v));
}

static inline bool get_bit(const uint64_t *bits, uint64_t n)
{
    return bits[n / 64] >> n % 64 & 1;
}
static inline void set_bit(uint64_t *bits, uint64_t n)
{
    bits[n / 64] |= 1ull << n % 64;
}

/* How many clusters @bytes take. */
static inline uint64_t clusters_of(const struct qcow2 *q, uint64_t bytes)
{
    return (bytes >> q->cluster_bits) + !!(bytes & (q->cluster_size - 1));
}

static inline uint32_t refblock_entries(const struct qcow2 *q)
{
    return (uint32_t)(q->cluster_size / 2);
}

/* qcow2_header.c */
int qcow2_header_read(struct disk *file, struct qcow2_header *ret, struct error *err);

/* qcow2_map.c */

/* What is at a place of the disk. */
enum extent_kind { EXTENT_NONE, EXTENT_ZERO, EXTENT_DATA, EXTENT_PACKED };
struct extent {
    enum extent_kind kind;
    bool writable; /* DATA: in place */
    uint64_t host; /* DATA: offset in the file of the place looked up */
    uint64_t len;  /* bytes from the place on, at most as many as asked for */
    uint64_t entry;
};
/* Says why the image is not used further. Returns -EIO. */
int qcow2_damage(struct qcow2 *q, const char *what, uint64_t value);
bool qcow2_is_damaged(const struct qcow2 *q);
/*
 * What is at @offset, with @len > 0. Under map. With @attempt BLOCK_WOULD_WAIT when a table is not
 * in memory.
 */
int qcow2_lookup(struct qcow2 *q, uint64_t offset, uint64_t len, bool attempt, struct extent *ret);
/* The host clusters that a compressed cluster's data lies in, and where. */
void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
                        uint64_t *ret_len);
/* The table of L1 entry @index for changing, made if needed. Under change. 0 or negative. */
int qcow2_table_for_change(struct qcow2 *q, uint32_t index, struct l2_table **ret);
uint64_t qcow2_get_entry(const struct l2_table *t, uint32_t slot);
/* Changes an entry. Under change. */
void qcow2_set_entry(struct qcow2 *q, struct l2_table *t, uint32_t slot, uint64_t entry);
void qcow2_tables_free(struct qcow2 *q);

/* qcow2_refs.c */
int qcow2_refs_load(struct qcow2 *q, struct error *err);
/*
 * Takes @want free clusters or fewer, at least one, that follow each other. Under change. Their
 * number or a negative errno. @ret_fresh: the file has only zeroes there.
 */
int64_t qcow2_allocate(struct qcow2 *q, uint64_t want, uint64_t *ret_host, bool *ret_fresh);
/* Gives back what was never named. Under change. */
void qcow2_unallocate(struct qcow2 *q, uint64_t host, uint64_t count);
/* What the L2 entry @entry names loses a reference at the next commit. Under change. 0 or negative.
 */
int qcow2_release(struct qcow2 *q, uint64_t entry);
int qcow2_release_cluster(struct qcow2 *q, uint64_t cluster);
/* Takes these references away and gives what has none left to the allocator. Under change. */
void qcow2_apply_releases(struct qcow2 *q);
/* Room in the arrays for @count clusters. Under change. */
int qcow2_make_room(struct qcow2 *q, uint64_t count);
/* A new block of counts, in a free cluster (the first, normally) of those it counts. Under change.
 */
int qcow2_add_refblock(struct qcow2 *q, uint64_t block);
/* Room in the arrays and the table on disk for a cluster. Under change. */
int qcow2_refs_reach(struct qcow2 *q, uint64_t cluster);
void qcow2_set_ref(struct qcow2 *q, uint64_t cluster, uint16_t count);

/* qcow2_commit.c */
/* Writes the tables. Under change. With @durable the last flush is done, too. */
int qcow2_commit(struct qcow2 *q, bool durable);

/* qcow2_check.c */
/* Makes the counts of an image right whose last writer did not keep them (lazy refcounts). */
int qcow2_rebuild(struct qcow2 *q, struct error *err);

#endif
