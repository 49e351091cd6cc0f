/* SPDX-License-Identifier: Apache-2.0 */
/* A character device over descriptors of the host: terminals, pipes, sockets, files. */
#ifndef IO_CHARDEV_FD_H
#define IO_CHARDEV_FD_H

#include "base/error.h"
#include "base/loop.h"
#include "io/chardev.h"

struct chardev_fd_options {
    int in, out; /* borrowed; may be the same one, or -1: no input, output is dropped */
    /* Input ended or the other side hung up. May be NULL. */
    void (*ended)(void *opaque);
    void *opaque;
};

/*
 * Reads from and writes to the descriptors as they are ready, on @loop and under its lock. They are
 * used through duplicates; their own blocking mode is not changed for other processes where that
 * can be avoided. Output is gathered for a moment, so that a device which writes byte by byte does
 * not cost a system call for each. Expects SIGPIPE to be ignored. NULL with @err set on failure.
 */
struct chardev *chardev_fd_new(struct loop *loop, const struct chardev_fd_options *options,
                               struct error *err);
/* The terminal behind @ch (made by chardev_fd_new) has this size now. */
void chardev_fd_resize(struct chardev *ch, unsigned columns, unsigned rows);

#endif
