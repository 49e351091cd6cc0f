/* SPDX-License-Identifier: Apache-2.0 */
/* New images with the content of a disk. */
#ifndef IO_DISK_CLONE_H
#define IO_DISK_CLONE_H

#include "base/error.h"
#include "io/disk.h"

/*
 * Makes the image @to, which must not exist, with what @from (borrowed) holds now. @to_format is
 * "raw" or "qcow2". What reads as zeroes takes no space. Removes @to when it fails. 0 or a negative
 * errno.
 */
int disk_clone_new(struct disk *from, const char *to, const char *to_format,
                   struct error *err) error_must_check;

/* Makes the qcow2 image @path, which must not exist, an overlay of the qcow2 image @below. */
int disk_overlay_new(const char *below, const char *path, struct error *err) error_must_check;

/* A new empty file for an image. NULL with @err set. */
struct disk *disk_new_file(const char *path, struct error *err);

#endif
