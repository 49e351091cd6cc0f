/* SPDX-License-Identifier: Apache-2.0 */
#include "io/block.h"

#include <errno.h>

int block_check(const struct block *b, const struct block_request *r)
{
    uint64_t covered = 0;

    if (r->op != BLOCK_READ && r->op != BLOCK_FLUSH && b->readonly)
        return -EROFS;
    if (r->op == BLOCK_FLUSH)
        return 0;
    if ((r->offset | r->len) % 512 || r->offset > b->size || r->len > b->size - r->offset)
        return -EINVAL;
    if (r->op == BLOCK_READ || r->op == BLOCK_WRITE) {
        for (unsigned i = 0; i < r->span_count; i++)
            covered += r->spans[i].len;
        if (covered != r->len)
            return -EINVAL;
    }
    return 0;
}
