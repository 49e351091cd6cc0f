/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls behind a raw drive; private to block_file.c. All are safe on many threads. */
#ifndef IO_BLOCK_FILE_SYS_H
#define IO_BLOCK_FILE_SYS_H

#include "io/block_file.h"

struct block_file_data {
    int fd;
    const char *path;    /* for messages; borrowed */
    uint64_t size;       /* as the guest sees it */
    uint64_t file_bytes; /* when opened; between this and size there are zeroes */
    bool no_flush;
    bool flush_failed; /* atomic: an fdatasync failed, so nothing is sure any more */
    bool no_zero_range, no_punch, no_nowait, told; /* atomic: found out on the way */
};

/* Opens and locks d->path; fills in @d and the limits of @ret. */
int block_file_open_data(struct block_file_data *d, const struct block_file_options *options,
                         struct block *ret, struct error *err);
/* Does @r, waiting as long as it takes. 0 or a negative errno. */
int block_file_do(struct block_file_data *d, const struct block_request *r);
/* Does the read @r if all of it is in the page cache, else BLOCK_WOULD_WAIT. */
int block_file_read_cached(struct block_file_data *d, const struct block_request *r);

#endif
