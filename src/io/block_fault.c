/* SPDX-License-Identifier: Apache-2.0 */
#include "io/block_fault.h"

#include <errno.h>

#include "base/mem.h"

struct block_fault {
    struct block block;
    struct block *below;
    struct block_fault_plan plan;
    unsigned seen;
    struct block_request *failing; /* they end at the next drain */
};

static struct block_fault *fault_of(struct block *b)
{
    return container_of(b, struct block_fault, block);
}

/* Counts @r; 0, or what it fails with. */
static int verdict(struct block_fault *f, const struct block_request *r)
{
    const struct block_fault_plan *p = &f->plan;

    if (!(p->ops & 1u << r->op))
        return 0;
    f->seen++;
    if (!p->nth || f->seen < p->nth || (p->count && f->seen - p->nth >= p->count))
        return 0;
    return p->code;
}

/* Fails at once: whether a request that fails waits first is the lower drive's affair. */
static int fault_attempt(struct block *b, const struct block_request *r)
{
    struct block_fault *f = fault_of(b);
    int result;

    if (!f->below->ops->attempt)
        return BLOCK_WOULD_WAIT;
    result = verdict(f, r);
    if (result < 0)
        return result;
    result = block_attempt(f->below, r);
    if (result == BLOCK_WOULD_WAIT && (f->plan.ops & 1u << r->op))
        f->seen--; /* it comes again through submit */
    return result;
}

static void fault_submit(struct block *b, struct block_request *r)
{
    struct block_fault *f = fault_of(b);
    int result = verdict(f, r);

    if (result == 0) {
        block_submit(f->below, r);
        return;
    }
    r->backend = (void *)(intptr_t)result;
    r->next = f->failing;
    f->failing = r;
}

static void fault_drain(struct block *b)
{
    struct block_fault *f = fault_of(b);

    do {
        while (f->failing) {
            struct block_request *r = f->failing;
            f->failing = r->next;
            r->done(r, (int)(intptr_t)r->backend);
        }
        block_drain(f->below);
    } while (f->failing);
}

static void fault_close(struct block *b)
{
    fault_drain(b);
    free(fault_of(b));
}

static const struct block_ops fault_ops = {
    .attempt = fault_attempt,
    .submit = fault_submit,
    .drain = fault_drain,
    .close = fault_close,
};

struct block *block_fault_new(struct block *below, struct error *err)
{
    struct block_fault *f = mem_new(struct block_fault);

    if (!f) {
        error_set(err, -ENOMEM, "create failing drive: out of memory");
        return NULL;
    }
    f->block = *below;
    f->block.ops = &fault_ops;
    f->below = below;
    return &f->block;
}

void block_fault_set(struct block *b, const struct block_fault_plan *plan)
{
    struct block_fault *f = fault_of(b);

    f->plan = *plan;
    f->seen = 0;
}

unsigned block_fault_seen(const struct block *b)
{
    return container_of((struct block *)(uintptr_t)b, struct block_fault, block)->seen;
}
