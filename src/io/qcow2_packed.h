/* SPDX-License-Identifier: Apache-2.0 */
/* Private to qcow2*.c: compressed clusters. */
#ifndef IO_QCOW2_PACKED_H
#define IO_QCOW2_PACKED_H

#include "io/qcow2_internal.h"

/* Loads zlib, which an image may need at any time. Without it compressed clusters are errors. */
void qcow2_packed_open(struct qcow2 *q);
void qcow2_packed_close(struct qcow2 *q);
/* Reads @r, which lies in the cluster that the L2 entry @entry names. */
int qcow2_packed_read(struct qcow2 *q, uint64_t entry, const struct block_request *r);

#endif
