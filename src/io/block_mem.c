/* SPDX-License-Identifier: Apache-2.0 */
#include "io/block_mem.h"

#include <errno.h>

#include "base/mem.h"

struct block_mem {
    struct block block;
    uint8_t *bytes;
    bool deferred;
    struct block_request *first, **last; /* submitted, not done */
};

static int transfer(struct block_mem *m, const struct block_request *r)
{
    uint8_t *at = m->bytes + r->offset;

    for (unsigned i = 0; i < r->span_count; i++) {
        if (r->op == BLOCK_READ)
            memcpy(r->spans[i].data, at, r->spans[i].len);
        else
            memcpy(at, r->spans[i].data, r->spans[i].len);
        at += r->spans[i].len;
    }
    return 0;
}

static int run(struct block_mem *m, const struct block_request *r)
{
    int result = block_check(&m->block, r);

    if (result < 0)
        return result;
    switch (r->op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return transfer(m, r);
    case BLOCK_DISCARD:
    case BLOCK_WRITE_ZEROES:
        memset(m->bytes + r->offset, 0, (size_t)r->len);
        return 0;
    case BLOCK_FLUSH:
        return 0;
    }
    return -EINVAL;
}

static int mem_attempt(struct block *b, const struct block_request *r)
{
    struct block_mem *m = container_of(b, struct block_mem, block);
    return m->deferred ? BLOCK_WOULD_WAIT : run(m, r);
}

static void mem_submit(struct block *b, struct block_request *r)
{
    struct block_mem *m = container_of(b, struct block_mem, block);

    r->next = NULL;
    *m->last = r;
    m->last = &r->next;
}

static void mem_drain(struct block *b)
{
    struct block_mem *m = container_of(b, struct block_mem, block);

    while (m->first) {
        struct block_request *r = m->first;
        m->first = r->next;
        if (!m->first)
            m->last = &m->first;
        r->done(r, run(m, r));
    }
}

static void mem_close(struct block *b)
{
    mem_drain(b);
    free(container_of(b, struct block_mem, block));
}

static const struct block_ops mem_ops = {
    .attempt = mem_attempt,
    .submit = mem_submit,
    .drain = mem_drain,
    .close = mem_close,
};

struct block *block_mem_new(uint8_t *bytes, uint64_t size, bool readonly, bool deferred,
                            struct error *err)
{
    struct block_mem *m;

    if (!size || size % 512) {
        error_set(err, -EINVAL, "create drive in memory: the size is not a multiple of 512");
        return NULL;
    }
    m = mem_new(struct block_mem);
    if (!m) {
        error_set(err, -ENOMEM, "create drive in memory: out of memory");
        return NULL;
    }
    m->block = (struct block){.ops = &mem_ops,
                              .size = size,
                              .physical_block = 512,
                              .readonly = readonly,
                              .can_discard = !readonly};
    m->bytes = bytes;
    m->deferred = deferred;
    m->last = &m->first;
    return &m->block;
}
