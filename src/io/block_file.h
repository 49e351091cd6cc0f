/* SPDX-License-Identifier: Apache-2.0 */
/* Drives in raw files and block devices of the host. */
#ifndef IO_BLOCK_FILE_H
#define IO_BLOCK_FILE_H

#include "base/error.h"
#include "base/loop.h"
#include "io/block.h"

struct block_file_options {
    bool readonly;
    bool no_discard;    /* do not offer discard even where the file could do it */
    bool no_lock;       /* do not keep others from opening the file */
    bool no_flush;      /* flushes do nothing: fast, and the host's crash loses writes */
    const char *serial; /* at most 20 characters; NULL: none */
};

/*
 * Opens @path as a drive. Requests that must wait run on threads of the drive's own and complete on
 * @loop, under its lock. The file is locked against other writers (readers share) until it is
 * closed. A file whose size is no multiple of 512 bytes reads as if zeroes followed. NULL with @err
 * set on failure.
 */
struct block *block_file_open(struct loop *loop, const char *path,
                              const struct block_file_options *options, struct error *err);

#endif
