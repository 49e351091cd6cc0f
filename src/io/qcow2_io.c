/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on a qcow2 image. */
#include <errno.h>

#include "io/qcow2_io.h"
#include "io/qcow2_packed.h"

/* One extent of a read, to which @part belongs; its host cluster stays meanwhile. */
static int read_extent(struct qcow2 *q, const struct extent *e, const struct block_request *part,
                       bool attempt)
{
    struct block_request r = *part;

    switch (e->kind) {
    case EXTENT_NONE:
        if (q->backing)
            return disk_read_padded(q->backing, part, attempt);
        break;
    case EXTENT_ZERO:
        break;
    case EXTENT_DATA:
        r.offset = e->host;
        return attempt ? disk_attempt(q->file, &r) : disk_run(q->file, &r);
    case EXTENT_PACKED:
        return attempt ? BLOCK_WOULD_WAIT : qcow2_packed_read(q, e->entry, part);
    }
    disk_clear_spans(part);
    return 0;
}

int qcow2_read(struct qcow2 *q, const struct block_request *r)
{
    struct block_span spans[DISK_SPANS];
    struct block_request part;

    for (uint64_t at = 0; at < r->len; at += part.len) {
        struct extent e;
        int result;
        pthread_rwlock_rdlock(&q->io);
        pthread_mutex_lock(&q->map);
        result = qcow2_lookup(q, r->offset + at, r->len - at, false, &e);
        pthread_mutex_unlock(&q->map);
        if (result == 0) {
            disk_slice(r, at, e.len, r->offset + at, spans, &part);
            result = read_extent(q, &e, &part, false);
        }
        pthread_rwlock_unlock(&q->io);
        if (result < 0)
            return result;
    }
    return 0;
}

int qcow2_attempt(struct disk *d, const struct block_request *r)
{
    struct qcow2 *q = qcow2_of(d);
    struct block_span spans[DISK_SPANS];
    struct block_request part;
    int result = 0;

    if (r->op != BLOCK_READ || pthread_rwlock_tryrdlock(&q->io) != 0)
        return BLOCK_WOULD_WAIT;
    for (uint64_t at = 0; result == 0 && at < r->len; at += part.len) {
        struct extent e;
        result = pthread_mutex_trylock(&q->map) == 0 ? 0 : BLOCK_WOULD_WAIT;
        if (result == 0) {
            result = qcow2_lookup(q, r->offset + at, r->len - at, true, &e);
            pthread_mutex_unlock(&q->map);
        }
        if (result == 0) {
            disk_slice(r, at, e.len, r->offset + at, spans, &part);
            result = read_extent(q, &e, &part, true);
        }
    }
    pthread_rwlock_unlock(&q->io);
    return result;
}

/* Writes what of @r from @at on lies in clusters that may be written where they are. */
static int write_in_place(struct qcow2 *q, const struct block_request *r, uint64_t at,
                          uint64_t *ret_done)
{
    struct block_span spans[DISK_SPANS];
    struct block_request part;
    struct extent e;
    int result;

    *ret_done = 0;
    pthread_rwlock_rdlock(&q->io);
    pthread_mutex_lock(&q->map);
    result = qcow2_lookup(q, r->offset + at, r->len - at, false, &e);
    pthread_mutex_unlock(&q->map);
    if (result == 0 && e.kind == EXTENT_DATA && e.writable) {
        disk_slice(r, at, e.len, e.host, spans, &part);
        result = disk_run(q->file, &part);
        *ret_done = part.len;
    }
    pthread_rwlock_unlock(&q->io);
    return result;
}

int qcow2_write(struct qcow2 *q, const struct block_request *r)
{
    for (uint64_t at = 0, done; at < r->len; at += done) {
        int result = write_in_place(q, r, at, &done);
        if (result < 0)
            return result;
        if (done)
            continue;
        pthread_mutex_lock(&q->change);
        /* What another thread allocated meanwhile is found by the next turn. */
        result = write_in_place(q, r, at, &done);
        if (result == 0 && !done)
            result = qcow2_write_new(q, r, at, &done);
        q->held = NULL;
        if (result == 0)
            result = qcow2_relieve(q);
        pthread_mutex_unlock(&q->change);
        if (result < 0)
            return result;
    }
    return 0;
}

int qcow2_relieve(struct qcow2 *q)
{
    return q->freed_count >= FREED_MAX || q->dirty_tables > q->tables_max / 2
               ? qcow2_commit(q, false)
               : 0;
}

static int flush(struct qcow2 *q)
{
    int r;

    if (!q->refs)
        return disk_flush(q->file);
    pthread_mutex_lock(&q->change);
    r = qcow2_commit(q, true);
    pthread_mutex_unlock(&q->change);
    return r;
}

int qcow2_run(struct disk *d, const struct block_request *r)
{
    struct qcow2 *q = qcow2_of(d);

    if (r->op == BLOCK_FLUSH)
        return flush(q);
    if (r->offset > d->size || r->len > d->size - r->offset)
        return -EINVAL;
    if (r->op == BLOCK_READ)
        return qcow2_read(q, r);
    if (d->readonly)
        return -EROFS;
    if (qcow2_is_damaged(q))
        return -EIO;
    switch (r->op) {
    case BLOCK_WRITE:
        return qcow2_write(q, r);
    case BLOCK_DISCARD:
        return q->discard ? qcow2_discard(q, r->offset, r->len) : 0;
    case BLOCK_WRITE_ZEROES:
        return qcow2_zero(q, r->offset, r->len, r->unmap);
    case BLOCK_READ:
    case BLOCK_FLUSH:
        break;
    }
    return -EINVAL;
}

void qcow2_settle(struct disk *d)
{
    struct qcow2 *q = qcow2_of(d);

    if (!q->refs)
        return;
    pthread_mutex_lock(&q->change);
    (void)qcow2_commit(q, false); /* a flush will say what went wrong */
    pthread_mutex_unlock(&q->change);
}

uint64_t qcow2_zeroes(struct disk *d, uint64_t offset, uint64_t len)
{
    struct qcow2 *q = qcow2_of(d);
    struct extent e;
    int r;

    if (offset >= d->size)
        return 0;
    pthread_mutex_lock(&q->map);
    r = qcow2_lookup(q, offset, min_of(len, d->size - offset), false, &e);
    pthread_mutex_unlock(&q->map);
    if (r != 0 || e.kind == EXTENT_DATA || e.kind == EXTENT_PACKED)
        return 0;
    if (e.kind == EXTENT_NONE && q->backing)
        return offset < q->backing->size
                   ? disk_zeroes(q->backing, offset, min_of(e.len, q->backing->size - offset))
                   : e.len;
    return e.len;
}
