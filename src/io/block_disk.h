/* SPDX-License-Identifier: Apache-2.0 */
/* A drive over a disk: what must wait is done by threads of the drive's own. */
#ifndef IO_BLOCK_DISK_H
#define IO_BLOCK_DISK_H

#include "base/loop.h"
#include "io/disk.h"

struct block_disk_options {
    const char *serial; /* at most 20 characters; NULL: none */
    bool write_through; /* a write has ended when it is durable */
};

/*
 * A drive over @disk, which it takes (also when it fails). Requests that must wait run on threads
 * and complete on @loop, under its lock. @name is for messages. NULL with @err set on failure.
 */
struct block *block_disk_new(struct loop *loop, struct disk *disk, const char *name,
                             const struct block_disk_options *options, struct error *err);

#endif
