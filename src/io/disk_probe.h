/* SPDX-License-Identifier: Apache-2.0 */
/* Which format the bytes of a disk image seem to have. */
#ifndef IO_DISK_PROBE_H
#define IO_DISK_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/disk.h"

enum { DISK_PROBE_HEAD = 512 };

/*
 * The format whose mark the first @len bytes of an image bear ("qcow2", "vmdk", "vdi", "vhdx",
 * "vhd", "qed", "parallels", "luks"), NULL when they bear none.
 */
const char *disk_probe_head(const uint8_t *head, size_t len);

/*
 * As disk_probe_head, and what is known by marks elsewhere: "vhd" by its footer, "iso" (ISO 9660),
 * "ova" (an exported machine). "raw" when nothing is recognized. 0 or a negative errno from
 * reading.
 */
int disk_probe(struct disk *d, const char **ret_format);

/* A file in an archive. */
struct disk_member {
    uint64_t offset, size;
    const char *format;
};

/* The first disk image in the tar archive @d: a file named *.vmdk, *.vhd or *.vdi. 0 or negative.
 */
int disk_find_member(struct disk *d, struct disk_member *ret, struct error *err) error_must_check;

#endif
