/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "io/qcow2_io.h"
#include "io/qcow2_packed.h"

static void free_image(struct qcow2 *q)
{
    qcow2_tables_free(q);
    qcow2_packed_close(q);
    disk_close(q->file);
    disk_close(q->backing);
    free(q->name);
    free(q->l1);
    free(q->l1_dirty);
    free(q->l2);
    free(q->refs);
    free(q->meta);
    free(q->refs_dirty);
    free(q->rt);
    free(q->rt_dirty);
    free(q->freed);
    pthread_mutex_destroy(&q->change);
    pthread_mutex_destroy(&q->map);
    pthread_mutex_destroy(&q->unpack);
    pthread_rwlock_destroy(&q->io);
    free(q);
}

static int qcow2_close(struct disk *d)
{
    struct qcow2 *q = qcow2_of(d);
    bool write = q->refs && !d->readonly;
    int r = 0;

    if (write) {
        pthread_mutex_lock(&q->change);
        r = qcow2_commit(q, true);
        if (r == 0) /* the counts that fell by that */
            r = qcow2_commit(q, false);
        pthread_mutex_unlock(&q->change);
        if (r < 0)
            log_warn("block", "%s: not all that was written could be kept: %s", q->name,
                     strerrordesc_np(-r));
        else if (qcow2_is_damaged(q))
            r = -EIO;
    }
    free_image(q);
    return r;
}

static const struct disk_ops qcow2_ops = {
    .attempt = qcow2_attempt,
    .run = qcow2_run,
    .settle = qcow2_settle,
    .zeroes = qcow2_zeroes,
    .close = qcow2_close,
};

static struct qcow2 *alloc_image(const char *name)
{
    struct qcow2 *q = mem_new(struct qcow2);
    pthread_rwlockattr_t attr;

    if (!q)
        return NULL;
    pthread_mutex_init(&q->change, NULL);
    pthread_mutex_init(&q->map, NULL);
    pthread_mutex_init(&q->unpack, NULL);
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&q->io, &attr);
    pthread_rwlockattr_destroy(&attr);
    q->name = strdup(name);
    if (!q->name) {
        free_image(q);
        return NULL;
    }
    return q;
}

static int load_l1(struct qcow2 *q, struct error *err)
{
    uint32_t n = q->header.l1_size;
    int r;

    q->l1 = mem_alloc(max_of(n, 1u), sizeof *q->l1);
    q->l1_dirty = mem_alloc(n / 4096 + 1, sizeof *q->l1_dirty);
    q->l2 = mem_alloc(max_of(n, 1u), sizeof *q->l2);
    if (!q->l1 || !q->l1_dirty || !q->l2)
        return error_set(err, -ENOMEM, "out of memory");
    r = disk_read(q->file, q->header.l1_offset, q->l1, n * 8ull);
    if (r < 0)
        return error_set_errno(err, r, "read the L1 table");
    for (uint32_t i = 0; i < n; i++) {
        q->l1[i] = __builtin_bswap64(q->l1[i]);
        if (q->l1[i] & L1_RESERVED || (q->l1[i] & ENTRY_OFFSET) & (q->cluster_size - 1))
            return error_set(err, -EINVAL, "entry %u of its L1 table makes no sense", i);
    }
    return 0;
}

/* Programs that do not know a feature of these must take its bit away when they write. */
static int clear_autoclear(struct qcow2 *q, struct error *err)
{
    uint8_t zero[8] = {0};
    int r;

    if (!q->header.autoclear)
        return 0;
    r = disk_write(q->file, QH_AUTOCLEAR, zero, sizeof zero);
    return r < 0 ? error_set_errno(err, r, "write the header") : 0;
}

static int open_for_writing(struct qcow2 *q, const struct qcow2_options *o, struct error *err)
{
    const struct qcow2_info *i = &q->header.info;
    int r;

    if (i->refcount_bits != 16)
        return error_set(err, -ENOTSUP,
                         "images with reference counts of %u bits can only be read; say ro, or "
                         "convert it",
                         i->refcount_bits);
    if (i->corrupt && !o->check)
        return error_set(err, -EUCLEAN,
                         "it is marked as damaged; isola disk check --repair all may repair it");
    q->lenient = o->check || i->dirty;
    r = qcow2_refs_load(q, err);
    if (r == 0 && i->dirty && !o->readonly && !o->check) {
        log_info("block", "%s: its last writer was cut off; counting references", q->name);
        r = qcow2_rebuild(q, err);
        q->lenient = false;
    }
    return r == 0 && !o->readonly && !o->check ? clear_autoclear(q, err) : r;
}

static int open_image(struct qcow2 *q, const struct qcow2_options *o, struct error *err)
{
    int r = qcow2_header_read(q->file, &q->header, err);

    if (r < 0)
        return r;
    q->cluster_bits = q->header.info.cluster_bits;
    q->cluster_size = 1ull << q->cluster_bits;
    q->l2_bits = q->cluster_bits - 3;
    q->tables_max = max_of((unsigned)(CACHE_BYTES >> q->cluster_bits), (unsigned)CACHE_TABLES_MIN);
    q->discard = o->discard;
    q->disk = (struct disk){.ops = &qcow2_ops,
                            .format = "qcow2",
                            .size = (q->header.info.size + 511) & ~511ull,
                            .physical_block = 4096,
                            .readonly = o->readonly,
                            .can_discard = !o->readonly && o->discard};
    if (!q->disk.size)
        return error_set(err, -EINVAL, "the disk in it is empty");
    r = load_l1(q, err);
    if (r == 0 && (!o->readonly || o->check))
        r = open_for_writing(q, o, err);
    if (r == 0)
        qcow2_packed_open(q);
    return r;
}

struct disk *qcow2_open(struct disk *file, struct disk *backing, const char *name,
                        const struct qcow2_options *options, struct error *err)
{
    struct qcow2 *q = alloc_image(name);
    struct error local = {0};

    if (!err)
        err = &local;
    if (!q) {
        error_set(err, -ENOMEM, "out of memory");
        disk_close(file);
        disk_close(backing);
        return NULL;
    }
    q->file = file;
    q->backing = backing;
    if (open_image(q, options, err) < 0) {
        free_image(q);
        return NULL;
    }
    return &q->disk;
}
