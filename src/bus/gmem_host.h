/* SPDX-License-Identifier: Apache-2.0 */
/* Host memory behind guest memory: memfds on Linux, the C heap elsewhere. Private to bus/gmem.c. */
#ifndef BUS_GMEM_HOST_H
#define BUS_GMEM_HOST_H

#include <stdint.h>

#include "base/error.h"

struct gmem_host {
    uint8_t *data;
    uint64_t bytes;
    int fd; /* -1 when there is none */
};

/* Sparse zeroed memory. 0 or a negative errno. */
int gmem_host_new(struct gmem_host *h, uint64_t bytes, struct error *err);
/* The first @bytes of a file (borrowed), which has them, for reading only. 0 or a negative errno.
 */
int gmem_host_map(struct gmem_host *h, int fd, uint64_t bytes, struct error *err);
void gmem_host_done(struct gmem_host *h);
/* Zeroes the memory and gives it back to the host. */
int gmem_host_clear(struct gmem_host *h, struct error *err);
/* The same for bytes [offset, offset + len), multiples of the page size. */
int gmem_host_discard(struct gmem_host *h, uint64_t offset, uint64_t len);
/* Makes the memory unchangeable for ever. */
int gmem_host_seal(struct gmem_host *h, struct error *err);

#endif
