/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking the kernel inside a Linux bzImage on the host, where it takes a fraction of a second,
 * instead of by the kernel's own decompressor in the guest. The compression libraries are loaded on
 * use.
 */
#ifndef IO_KERNEL_FILE_H
#define IO_KERNEL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * If @image is a bzImage of boot protocol 2.08 or later whose payload is compressed with xz, gzip
 * or zstd, sets *ret_vmlinux to the unpacked payload (new, free() it) and returns 1. Returns 0 when
 * it is something else, so that the guest has to do it, and a negative errno with @err set when the
 * payload is damaged.
 */
int kernel_file_unpack(const uint8_t *image, size_t len, uint8_t **ret_vmlinux, size_t *ret_len,
                       struct error *err);

#endif
