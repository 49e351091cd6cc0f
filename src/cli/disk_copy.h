/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images made of others. */
#ifndef CLI_DISK_COPY_H
#define CLI_DISK_COPY_H

#include <stdbool.h>

#include "base/error.h"
#include "io/disk.h"

/*
 * Makes the image @to, which must not exist, of @from, whose format is @from_format (NULL: as it
 * looks). @to_format is "raw" or "qcow2". Removes @to when it fails.
 */
int disk_copy(const char *from, const char *from_format, const char *to, const char *to_format,
              struct error *err) error_must_check;

/* Whether @format ("vmdk", "ova", ...) is one that only qemu-img reads. */
bool disk_is_foreign(const char *format);

/* disk_foreign.c: as disk_copy, for the formats that qemu-img reads. */
int disk_copy_foreign(const char *from, const char *from_format, const char *to,
                      const char *to_format, struct error *err) error_must_check;

#endif
