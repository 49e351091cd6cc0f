/* SPDX-License-Identifier: Apache-2.0 */
/* A drive over a disk: what must wait is done by threads of the drive's own. */
#ifndef IO_BLOCK_DISK_H
#define IO_BLOCK_DISK_H

#include "base/loop.h"
#include "io/disk.h"

/*
 * A drive over @disk, which it takes (also when it fails). Requests that must wait run on threads
 * and complete on @loop, under its lock. @name is for messages, @serial has at most 20 characters
 * or is NULL. NULL with @err set on failure.
 */
struct block *block_disk_new(struct loop *loop, struct disk *disk, const char *name,
                             const char *serial, struct error *err);

#endif
