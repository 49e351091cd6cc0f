/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks: bytes behind calls that wait. The layers of a drive are disks: a file of the host, and a
 * format such as qcow2 over one or more of them. block_disk.h makes a drive of the top layer.
 *
 * Requests are those of block.h, done when the call returns; done, opaque, backend and next are not
 * used. Many threads may call a disk at once.
 */
#ifndef IO_DISK_H
#define IO_DISK_H

#include "base/error.h"
#include "io/block.h"

struct disk;

struct disk_ops {
    /* As in struct block_ops: BLOCK_WOULD_WAIT with nothing done if it had to wait. May be NULL. */
    int (*attempt)(struct disk *d, const struct block_request *r);
    /* Does @r; 0 or a negative errno. */
    int (*run)(struct disk *d, const struct block_request *r);
    /* Nothing happened for a while: puts into the file what is only in memory. May be NULL. */
    void (*settle)(struct disk *d);
    /* How much from @offset on surely reads as zeroes, at most @len: 0 if that is not known. NULL:
     * never known. */
    uint64_t (*zeroes)(struct disk *d, uint64_t offset, uint64_t len);
    /* Frees. Negative when what was written before could not be kept. */
    int (*close)(struct disk *d);
};

struct disk {
    const struct disk_ops *ops;
    const char *format; /* "raw", "qcow2" */
    uint64_t size;      /* bytes; fixed but for a file below a format */
    uint32_t physical_block;
    bool readonly, can_discard;
};

static inline int disk_run(struct disk *d, const struct block_request *r)
{
    return d->ops->run(d, r);
}

static inline int disk_attempt(struct disk *d, const struct block_request *r)
{
    return d->ops->attempt ? d->ops->attempt(d, r) : BLOCK_WOULD_WAIT;
}

/* Closes and frees; NULL is fine (0). A negative errno when something written was lost. */
int disk_close(struct disk *d);

/* Single operations on plain memory. 0 or a negative errno. */
int disk_read(struct disk *d, uint64_t offset, void *bytes, size_t len);
int disk_write(struct disk *d, uint64_t offset, const void *bytes, size_t len);
int disk_flush(struct disk *d);
int disk_discard(struct disk *d, uint64_t offset, uint64_t len);
int disk_write_zeroes(struct disk *d, uint64_t offset, uint64_t len, bool unmap);
/* As the operation; 0 when not known. */
uint64_t disk_zeroes(struct disk *d, uint64_t offset, uint64_t len);

enum { DISK_SPANS = 64 };

/*
 * A part of a request: @ret becomes the same operation at @offset with the memory of @r that begins
 * @skip bytes in, in at most DISK_SPANS of @spans. Its length is at most @len, less when the spans
 * do not reach.
 */
void disk_slice(const struct block_request *r, uint64_t skip, uint64_t len, uint64_t offset,
                struct block_span spans[DISK_SPANS], struct block_request *ret);

/* A read on @d that may reach past its end: there are zeroes. */
int disk_read_padded(struct disk *d, const struct block_request *r, bool attempt);

/* Zeroes the memory of @r. */
void disk_clear_spans(const struct block_request *r);

#endif
