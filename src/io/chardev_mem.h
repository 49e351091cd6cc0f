/* SPDX-License-Identifier: Apache-2.0 */
/* A character device in memory: keeps what is written and gives what it is told to; for tests. */
#ifndef IO_CHARDEV_MEM_H
#define IO_CHARDEV_MEM_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "io/chardev.h"

/* NULL with @err set on failure. Closed by its ops. */
struct chardev *chardev_mem_new(struct error *err);
/* What was written so far. Borrowed. */
const struct str *chardev_mem_output(const struct chardev *ch);
/* Takes at most @n bytes more from now on (UINT64_MAX: all), and says so to the device. */
void chardev_mem_limit(struct chardev *ch, uint64_t n);
/* Types @bytes; delivered as the device has room. */
void chardev_mem_type(struct chardev *ch, const char *bytes, size_t n);
/* Nothing more will be typed. */
void chardev_mem_end(struct chardev *ch);
/* Bytes that were typed and not delivered yet. */
size_t chardev_mem_pending(const struct chardev *ch);
/* The terminal has this size now. */
void chardev_mem_resize(struct chardev *ch, unsigned columns, unsigned rows);

#endif
