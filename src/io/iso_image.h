/* SPDX-License-Identifier: Apache-2.0 */
/* Small ISO 9660 file systems (ECMA-119), for handing a few files to a guest. */
#ifndef IO_ISO_IMAGE_H
#define IO_ISO_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct iso_file {
    const char *name; /* in the root directory, at most 30 characters */
    const void *bytes;
    size_t len;
};

enum { ISO_FILES_MAX = 16, ISO_SECTOR = 2048 };

/*
 * Makes a file system called @label (at most 32 characters) of @count files, in the order of their
 * names. Linux shows names in lower case. @ret is new and has @ret_len bytes, a multiple of
 * ISO_SECTOR. 0, -EINVAL or -ENOMEM.
 */
int iso_image_make(const char *label, const struct iso_file *files, size_t count, uint8_t **ret,
                   size_t *ret_len, struct error *err) error_must_check;

#endif
