/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block seam: what a disk device talks to.
 *
 * A block device takes requests and completes them later, never inside submit. Both happen with the
 * machine lock held. The device (IDE, virtio-blk, ...) owns the request until done is called.
 * Implementations: raw files (block_file.h), memory (tests, WebAssembly), later qcow2 and volumes.
 */
#ifndef IO_BLOCK_H
#define IO_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES };
enum { BLOCK_OPS = BLOCK_WRITE_ZEROES + 1 };

struct block_span {
    uint8_t *data;
    size_t len;
};

struct block_request {
    enum block_op op;
    bool unmap;               /* WRITE_ZEROES: the space may be given back */
    uint64_t offset, len;     /* bytes, multiples of 512; 0, 0 for FLUSH */
    struct block_span *spans; /* READ, WRITE: cover len; stay valid until done */
    unsigned span_count;
    /* Called once, with the machine lock held: 0 or a negative errno (-EIO, -ENOSPC, -EROFS,
     * -EINVAL). */
    void (*done)(struct block_request *r, int result);
    void *opaque;  /* the submitter's */
    void *backend; /* the implementation's while in flight */
    struct block_request *next;
};

enum { BLOCK_WOULD_WAIT = 1 };

struct block;
struct block_ops {
    /*
     * Does @r at once if that takes no waiting (the data is in memory): returns its result (done is
     * not called), or BLOCK_WOULD_WAIT with nothing done. May be NULL: it would always wait.
     */
    int (*attempt)(struct block *b, const struct block_request *r);
    void (*submit)(struct block *b, struct block_request *r);
    /* Waits until all requests in flight are done (their done has run). */
    void (*drain)(struct block *b);
    void (*close)(struct block *b); /* drains and frees */
};

struct block {
    const struct block_ops *ops;
    uint64_t size;           /* bytes, a multiple of 512 */
    uint32_t physical_block; /* bytes, for alignment hints */
    bool readonly;
    bool can_discard;
    /* As asked for by the device, by operation. */
    uint64_t requests[BLOCK_OPS], bytes[BLOCK_OPS];
    struct trace *trace; /* who wants to know of requests (base/trace.h); NULL: nobody */
    char serial[21];     /* NUL-terminated, empty when unset */
};

/* As the operation; see struct block_ops. */
static inline void block_note(struct block *b, const struct block_request *r)
{
    b->requests[r->op]++;
    b->bytes[r->op] += r->len;
    if (b->trace)
        trace_emit(b->trace, TRACE_DRIVES, TRACE_REQUEST, r->offset, r->len, r->op, b->serial);
}

static inline int block_attempt(struct block *b, const struct block_request *r)
{
    int result = b->ops->attempt ? b->ops->attempt(b, r) : BLOCK_WOULD_WAIT;

    if (result != BLOCK_WOULD_WAIT)
        block_note(b, r);
    return result;
}

static inline void block_submit(struct block *b, struct block_request *r)
{
    block_note(b, r);
    b->ops->submit(b, r);
}

static inline void block_drain(struct block *b)
{
    b->ops->drain(b);
}

/* Closes and frees; NULL is fine. */
static inline void block_close(struct block *b)
{
    if (b)
        b->ops->close(b);
}

/* Whether @r lies inside the drive and may be done there: 0, -EINVAL or -EROFS. */
int block_check(const struct block *b, const struct block_request *r);

#endif
