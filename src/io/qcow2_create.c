/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new image: the header's cluster, the reference count table (large enough for the disk when it
 * is full), the blocks of counts for all of these, the L1 table. The header is written last.
 */
#include <errno.h>

#include "io/qcow2_internal.h"

struct layout {
    uint64_t cluster_size, size;
    unsigned bits;
    uint64_t l1_entries, l1_clusters, rt_clusters, blocks, all;
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return a / b + !!(a % b);
}

static int plan(const struct qcow2_create *c, struct layout *l, struct error *err)
{
    uint64_t full, per_block;

    l->bits = c->cluster_bits ? c->cluster_bits : 16;
    if (l->bits < CLUSTER_BITS_MIN || l->bits > CLUSTER_BITS_MAX)
        return error_set(err, -EINVAL, "clusters have 512 bytes to 2 MiB");
    l->cluster_size = 1ull << l->bits;
    if (!c->size || c->size > 1ull << 55)
        return error_set(err, -EINVAL, "the size of the disk is zero or makes no sense");
    l->size = (c->size + 511) & ~511ull;
    l->l1_entries = divide_up(l->size, l->cluster_size * (l->cluster_size / 8));
    if (l->l1_entries * 8 > L1_BYTES_MAX)
        return error_set(err, -EFBIG, "the disk is too large for clusters of this size");
    l->l1_clusters = divide_up(l->l1_entries * 8, l->cluster_size);
    per_block = l->cluster_size / 2;
    full = divide_up(l->size, l->cluster_size) + l->l1_entries + l->l1_clusters + 1;
    l->rt_clusters =
        divide_up(divide_up(full + full / per_block + 2, per_block) * 8, l->cluster_size);
    l->rt_clusters = min_of(l->rt_clusters, (uint64_t)RT_BYTES_MAX >> l->bits);
    l->blocks = 0;
    do {
        l->blocks++;
        l->all = 1 + l->rt_clusters + l->blocks + l->l1_clusters;
    } while (l->blocks * per_block < l->all);
    return 0;
}

static int write_counts(struct disk *file, const struct layout *l, uint8_t *cluster)
{
    uint64_t per_block = l->cluster_size / 2, first_block = 1 + l->rt_clusters;
    int r = 0;

    for (uint64_t b = 0; r == 0 && b < l->blocks; b++) {
        uint8_t entry[8];
        memset(cluster, 0, l->cluster_size);
        for (uint64_t i = 0; i < per_block && b * per_block + i < l->all; i++)
            cluster[i * 2 + 1] = 1;
        r = disk_write(file, (first_block + b) << l->bits, cluster, l->cluster_size);
        store_be64(entry, (first_block + b) << l->bits);
        if (r == 0)
            r = disk_write(file, l->cluster_size + b * 8, entry, sizeof entry);
    }
    memset(cluster, 0, l->cluster_size);
    /* So that the file ends behind its last cluster. */
    return r < 0 ? r : disk_write(file, (l->all - 1) << l->bits, cluster, l->cluster_size);
}

static int fill_header(const struct qcow2_create *c, const struct layout *l, uint8_t *head,
                       struct error *err)
{
    size_t at = QH_V3_SIZE + 8, name = c->backing ? strlen(c->backing) : 0,
           format = c->backing ? strlen(c->backing_format) : 0;

    if (name > QCOW2_NAME_MAX || at + 16 + ((format + 7) & ~7ull) + name > l->cluster_size)
        return error_set(err, -ENAMETOOLONG, "the backing file's name is too long");
    memset(head, 0, l->cluster_size);
    memcpy(head, "QFI\xfb", 4);
    store_be32(head + 4, 3);
    store_be32(head + QH_CLUSTER_BITS, l->bits);
    store_be64(head + QH_SIZE, l->size);
    store_be32(head + QH_L1_SIZE, (uint32_t)l->l1_entries);
    store_be64(head + QH_L1_OFFSET, (1 + l->rt_clusters + l->blocks) << l->bits);
    store_be64(head + QH_RT_OFFSET, l->cluster_size);
    store_be32(head + QH_RT_CLUSTERS, (uint32_t)l->rt_clusters);
    store_be32(head + QH_REFCOUNT_ORDER, 4);
    store_be32(head + QH_HEADER_LENGTH, (uint32_t)at);
    if (!c->backing)
        return 0;
    store_be32(head + at, EXTENSION_BACKING_FORMAT);
    store_be32(head + at + 4, (uint32_t)format);
    memcpy(head + at + 8, c->backing_format, format);
    at += 8 + ((format + 7) & ~7ull) + 8; /* and the end of the extensions */
    memcpy(head + at, c->backing, name);
    store_be64(head + QH_BACKING_OFFSET, at);
    store_be32(head + QH_BACKING_SIZE, (uint32_t)name);
    return 0;
}

int qcow2_create(struct disk *file, const struct qcow2_create *c, struct error *err)
{
    struct layout l = {0};
    uint8_t *cluster = NULL;
    int r = plan(c, &l, err);

    if (r < 0)
        return r;
    cluster = mem_alloc(1, l.cluster_size);
    if (!cluster)
        return error_set(err, -ENOMEM, "out of memory");
    r = write_counts(file, &l, cluster);
    if (r == 0)
        r = disk_flush(file);
    if (r < 0) {
        error_set_errno(err, r, "write its tables");
    } else {
        r = fill_header(c, &l, cluster, err);
        if (r == 0) {
            r = disk_write(file, 0, cluster, l.cluster_size);
            if (r == 0)
                r = disk_flush(file);
            if (r < 0)
                error_set_errno(err, r, "write its header");
        }
    }
    free(cluster);
    return r;
}
