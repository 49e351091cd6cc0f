/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "io/qcow2_internal.h"

/* Header, extensions and the backing file's name are in the first cluster. */
enum { HEAD_MAX = 64 << 10, EXTENSIONS_MAX = 1000 };

static int refuse_features(const uint8_t *head, struct error *err)
{
    static const char *const names[] = {
        [2] = "an external data file", [4] = "extended L2 entries (subclusters)"};
    uint64_t features = load_be64(head + QH_INCOMPATIBLE),
             known = INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_COMPRESSION;
    unsigned bit;

    if (!(features & ~known))
        return 0;
    bit = (unsigned)__builtin_ctzll(features & ~known);
    if (bit < array_size(names) && names[bit])
        return error_set(err, -ENOTSUP,
                         "the image has %s, which is not supported; convert it with qemu-img",
                         names[bit]);
    return error_set(err, -ENOTSUP,
                     "the image needs feature %u, which is not known here; convert it with "
                     "qemu-img",
                     bit);
}

static int read_v3(const uint8_t *head, struct qcow2_header *h, struct error *err)
{
    uint64_t features = load_be64(head + QH_INCOMPATIBLE);
    uint32_t order = load_be32(head + QH_REFCOUNT_ORDER),
             length = load_be32(head + QH_HEADER_LENGTH);
    int r = refuse_features(head, err);

    if (r < 0)
        return r;
    if (order > 6)
        return error_set(err, -EINVAL, "reference counts of 2^%u bits make no sense", order);
    if (length < QH_V3_SIZE || length % 8 || length > 4096)
        return error_set(err, -EINVAL, "a header of %u bytes makes no sense", length);
    if (features & INCOMPATIBLE_COMPRESSION && length > QH_COMPRESSION && head[QH_COMPRESSION])
        return error_set(err, -ENOTSUP,
                         "the image is compressed by %s, only zlib is supported; convert it with "
                         "qemu-img convert -c -o compression_type=zlib",
                         head[QH_COMPRESSION] == 1 ? "zstd" : "an unknown method");
    h->info.refcount_bits = 1u << order;
    h->info.dirty = features & INCOMPATIBLE_DIRTY;
    h->info.corrupt = features & INCOMPATIBLE_CORRUPT;
    h->info.lazy_refcounts = load_be64(head + QH_COMPATIBLE) & COMPATIBLE_LAZY;
    h->autoclear = load_be64(head + QH_AUTOCLEAR);
    return 0;
}

/* Walks the extensions in @head[@at, @end). */
static int read_extensions(const uint8_t *head, uint32_t at, uint32_t end, struct qcow2_header *h,
                           struct error *err)
{
    for (unsigned n = 0; n < EXTENSIONS_MAX && at + 8 <= end; n++) {
        uint32_t type = load_be32(head + at), len = load_be32(head + at + 4);
        at += 8;
        if (!type)
            return 0;
        if (len > end - at)
            return error_set(err, -EINVAL, "a header extension ends outside of the header");
        if (type == EXTENSION_BACKING_FORMAT) {
            if (len >= sizeof h->info.backing_format)
                return error_set(err, -EINVAL, "the backing file's format has a name of %u bytes",
                                 len);
            memcpy(h->info.backing_format, head + at, len);
            h->info.backing_format[len] = 0;
        } else if (type == EXTENSION_BITMAPS) {
            h->info.bitmaps = h->autoclear & AUTOCLEAR_BITMAPS;
        }
        len = (len + 7) & ~7u;
        at = len > end - at ? end : at + len;
    }
    return 0;
}

static int read_backing(const uint8_t *head, uint32_t have, struct qcow2_header *h,
                        struct error *err)
{
    uint64_t offset = load_be64(head + QH_BACKING_OFFSET);
    uint32_t len = load_be32(head + QH_BACKING_SIZE);

    if (!offset)
        return 0;
    if (len > QCOW2_NAME_MAX || offset > have || len > have - offset)
        return error_set(err, -EINVAL, "the backing file's name is outside of the header");
    memcpy(h->info.backing, head + offset, len);
    h->info.backing[len] = 0;
    if (strlen(h->info.backing) != len)
        return error_set(err, -EINVAL, "the backing file's name has a zero byte");
    return 0;
}

static bool table_fits(const struct qcow2_header *h, uint64_t offset, uint64_t bytes)
{
    return !(offset & ((1ull << h->info.cluster_bits) - 1)) && offset <= 1ull << 56 &&
           bytes <= 1ull << 56;
}

static int check_tables(const struct qcow2_header *h, struct error *err)
{
    unsigned bits = h->info.cluster_bits;
    uint64_t per_l2 = 1ull << (bits + bits - 3),
             l1_needed = h->info.size / per_l2 + !!(h->info.size % per_l2);

    if ((uint64_t)h->l1_size * 8 > L1_BYTES_MAX)
        return error_set(err, -EFBIG, "its L1 table has %u entries, more than %u", h->l1_size,
                         L1_BYTES_MAX / 8);
    if (h->l1_size < l1_needed)
        return error_set(err, -EINVAL, "its L1 table is too small for its size");
    if (!table_fits(h, h->l1_offset, (uint64_t)h->l1_size * 8) || (h->l1_size && !h->l1_offset))
        return error_set(err, -EINVAL, "its L1 table is at no valid offset");
    if (((uint64_t)h->rt_clusters << bits) > RT_BYTES_MAX || !h->rt_clusters)
        return error_set(err, -EINVAL, "its reference count table has an impossible size");
    if (!table_fits(h, h->rt_offset, (uint64_t)h->rt_clusters << bits) || !h->rt_offset)
        return error_set(err, -EINVAL, "its reference count table is at no valid offset");
    if (h->snapshots > SNAPSHOTS_MAX)
        return error_set(err, -EFBIG, "it has %u snapshots", h->snapshots);
    if (h->snapshots && !table_fits(h, h->snapshots_offset, 0))
        return error_set(err, -EINVAL, "its snapshots are at no valid offset");
    return 0;
}

static int read_fields(const uint8_t *head, struct qcow2_header *h, struct error *err)
{
    uint32_t crypt = load_be32(head + QH_CRYPT);

    if (memcmp(head, "QFI\xfb", 4) != 0)
        return error_set(err, -EINVAL, "it is no qcow2 image");
    h->info.version = load_be32(head + 4);
    if (h->info.version != 2 && h->info.version != 3)
        return error_set(err, -ENOTSUP, "version %u of qcow2 is not supported; 2 and 3 are",
                         h->info.version);
    if (crypt)
        return error_set(err, -ENOTSUP,
                         "the image is encrypted (%s), which is not supported; decrypt it with "
                         "qemu-img convert",
                         crypt == 1   ? "AES"
                         : crypt == 2 ? "LUKS"
                                      : "unknown method");
    h->info.cluster_bits = load_be32(head + QH_CLUSTER_BITS);
    if (h->info.cluster_bits < CLUSTER_BITS_MIN || h->info.cluster_bits > CLUSTER_BITS_MAX)
        return error_set(err, -EINVAL, "clusters of 2^%u bytes; 2^9 to 2^21 are possible",
                         h->info.cluster_bits);
    h->info.size = load_be64(head + QH_SIZE);
    if (h->info.size > 1ull << 56)
        return error_set(err, -EFBIG, "its size makes no sense");
    h->info.refcount_bits = 16;
    h->l1_size = load_be32(head + QH_L1_SIZE);
    h->l1_offset = load_be64(head + QH_L1_OFFSET);
    h->rt_offset = load_be64(head + QH_RT_OFFSET);
    h->rt_clusters = load_be32(head + QH_RT_CLUSTERS);
    h->snapshots = h->info.snapshots = load_be32(head + QH_SNAPSHOTS);
    h->snapshots_offset = load_be64(head + QH_SNAPSHOTS_OFFSET);
    return h->info.version == 3 ? read_v3(head, h, err) : 0;
}

int qcow2_header_read(struct disk *file, struct qcow2_header *ret, struct error *err)
{
    uint8_t *head = mem_alloc(HEAD_MAX, 1);
    struct qcow2_header h = {0};
    uint64_t backing;
    uint32_t have, extensions;
    int r;

    if (!head)
        return error_set(err, -ENOMEM, "out of memory");
    r = disk_read(file, 0, head, HEAD_MAX); /* zeroes past its end */
    if (r < 0)
        r = error_set_errno(err, r, "read the header");
    else
        r = read_fields(head, &h, err);
    if (r == 0)
        r = check_tables(&h, err);
    if (r == 0) {
        backing = load_be64(head + QH_BACKING_OFFSET);
        have = (uint32_t)min_of(1ull << h.info.cluster_bits, (uint64_t)HEAD_MAX);
        extensions = backing && backing < have ? (uint32_t)backing : have;
        r = read_extensions(head,
                            h.info.version == 3 ? load_be32(head + QH_HEADER_LENGTH) : QH_V2_SIZE,
                            extensions, &h, err);
        if (r == 0)
            r = read_backing(head, have, &h, err);
    }
    if (r == 0)
        *ret = h;
    free(head);
    return r;
}

int qcow2_info(struct disk *file, struct qcow2_info *ret, struct error *err)
{
    struct qcow2_header h;
    int r = qcow2_header_read(file, &h, err);

    if (r == 0)
        *ret = h.info;
    return r;
}
