/* SPDX-License-Identifier: Apache-2.0 */
/* ADD's archives: files of the context that are unpacked instead of copied. */
#ifndef BUILD_ARCHIVE_H
#define BUILD_ARCHIVE_H

#include <stdbool.h>

#include "base/error.h"

/* Whether @fd holds a tar archive, plain or compressed by gzip or zstd. Moves its offset. */
bool archive_recognised(int fd);

/*
 * Unpacks @fd into the directory @dir, in a child that has nothing but the two, few capabilities
 * and few system calls. Device nodes are left out.
 */
int archive_unpack(int fd, int dir, struct error *err) error_must_check;

#endif
