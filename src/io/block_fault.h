/* SPDX-License-Identifier: Apache-2.0 */
/* A drive that fails when it is told to, over another drive; for tests of error paths. */
#ifndef IO_BLOCK_FAULT_H
#define IO_BLOCK_FAULT_H

#include "base/error.h"
#include "io/block.h"

/* Which requests fail. */
struct block_fault_plan {
    unsigned ops;   /* bit (1 << enum block_op) for each operation that counts */
    unsigned nth;   /* the first of these that fails, 1 = the next; 0: none */
    unsigned count; /* how many fail from there; 0: all */
    int code;       /* what they fail with: a negative errno */
};

/* A drive over @below (borrowed). NULL with @err set on failure. */
struct block *block_fault_new(struct block *below, struct error *err);
/* Sets the plan and starts counting again. */
void block_fault_set(struct block *b, const struct block_fault_plan *plan);
/* Requests counted since the plan was set. */
unsigned block_fault_seen(const struct block *b);

#endif
