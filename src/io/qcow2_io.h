/* SPDX-License-Identifier: Apache-2.0 */
/* Private to qcow2*.c: the operations of a qcow2 image. */
#ifndef IO_QCOW2_IO_H
#define IO_QCOW2_IO_H

#include "io/qcow2_internal.h"

/* The operations of struct disk_ops. */
int qcow2_attempt(struct disk *d, const struct block_request *r);
int qcow2_run(struct disk *d, const struct block_request *r);
void qcow2_settle(struct disk *d);
uint64_t qcow2_zeroes(struct disk *d, uint64_t offset, uint64_t len);

int qcow2_read(struct qcow2 *q, const struct block_request *r);
int qcow2_write(struct qcow2 *q, const struct block_request *r);
/* Commits when too much waits for it. Under change. */
int qcow2_relieve(struct qcow2 *q);

/* qcow2_change.c */
/*
 * Writes what of @r from @at on lies in the clusters there that may not be written in place: they
 * get new ones. Under change. How many bytes: @ret_done.
 */
int qcow2_write_new(struct qcow2 *q, const struct block_request *r, uint64_t at,
                    uint64_t *ret_done);
int qcow2_discard(struct qcow2 *q, uint64_t offset, uint64_t len);
int qcow2_zero(struct qcow2 *q, uint64_t offset, uint64_t len, bool unmap);

#endif
