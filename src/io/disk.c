/* SPDX-License-Identifier: Apache-2.0 */
#include "io/disk.h"

#include <errno.h>

#include "base/mem.h"

int disk_close(struct disk *d)
{
    return d ? d->ops->close(d) : 0;
}

static int simple(struct disk *d, enum block_op op, uint64_t offset, void *bytes, uint64_t len,
                  bool unmap)
{
    struct block_span span = {.data = bytes, .len = (size_t)len};
    const struct block_request r = {.op = op,
                                    .unmap = unmap,
                                    .offset = offset,
                                    .len = len,
                                    .spans = &span,
                                    .span_count = bytes ? 1 : 0};
    return disk_run(d, &r);
}

int disk_read(struct disk *d, uint64_t offset, void *bytes, size_t len)
{
    return simple(d, BLOCK_READ, offset, bytes, len, false);
}

int disk_write(struct disk *d, uint64_t offset, const void *bytes, size_t len)
{
    return simple(d, BLOCK_WRITE, offset, (void *)(uintptr_t)bytes, len, false);
}

int disk_flush(struct disk *d)
{
    return simple(d, BLOCK_FLUSH, 0, NULL, 0, false);
}

int disk_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    return simple(d, BLOCK_DISCARD, offset, NULL, len, false);
}

int disk_write_zeroes(struct disk *d, uint64_t offset, uint64_t len, bool unmap)
{
    return simple(d, BLOCK_WRITE_ZEROES, offset, NULL, len, unmap);
}

uint64_t disk_zeroes(struct disk *d, uint64_t offset, uint64_t len)
{
    return d->ops->zeroes ? d->ops->zeroes(d, offset, len) : 0;
}

void disk_slice(const struct block_request *r, uint64_t skip, uint64_t len, uint64_t offset,
                struct block_span spans[DISK_SPANS], struct block_request *ret)
{
    uint64_t taken = 0;
    unsigned count = 0;

    for (unsigned i = 0; i < r->span_count && taken < len && count < DISK_SPANS; i++) {
        size_t pass = (size_t)min_of(skip, (uint64_t)r->spans[i].len),
               take = (size_t)min_of(len - taken, (uint64_t)(r->spans[i].len - pass));
        skip -= pass;
        if (!take)
            continue;
        spans[count++] = (struct block_span){.data = r->spans[i].data + pass, .len = take};
        taken += take;
    }
    *ret = (struct block_request){.op = r->op,
                                  .unmap = r->unmap,
                                  .offset = offset,
                                  .len = taken,
                                  .spans = spans,
                                  .span_count = count};
}

void disk_clear_spans(const struct block_request *r)
{
    for (unsigned i = 0; i < r->span_count; i++)
        memset(r->spans[i].data, 0, r->spans[i].len);
}

int disk_read_padded(struct disk *d, const struct block_request *r, bool attempt)
{
    uint64_t there = r->offset < d->size ? d->size - r->offset : 0;
    struct block_span spans[DISK_SPANS];
    struct block_request part;

    if (r->len <= there)
        return attempt ? disk_attempt(d, r) : disk_run(d, r);
    for (uint64_t at = 0; at < r->len; at += part.len) {
        int result = 0;
        disk_slice(r, at, at < there ? there - at : r->len - at, r->offset + at, spans, &part);
        if (at >= there)
            disk_clear_spans(&part);
        else
            result = attempt ? disk_attempt(d, &part) : disk_run(d, &part);
        if (result)
            return result;
    }
    return 0;
}
