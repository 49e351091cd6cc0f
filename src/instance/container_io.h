/* SPDX-License-Identifier: Apache-2.0 */
/* The standard streams of a process in a container, between its pipes or pty and a console. */
#ifndef INSTANCE_CONTAINER_IO_H
#define INSTANCE_CONTAINER_IO_H

#include <stdbool.h>

#include "base/error.h"
#include "io/chardev.h"

struct loop;
struct container_io;

/*
 * Makes what the process gets: with @tty nothing yet (the pty comes with container_io_console),
 * else pipes. @input: its standard input is connected. NULL with @err set.
 */
struct container_io *container_io_new(struct loop *loop, struct chardev *console,
                                      struct chardev *errors, bool tty, bool input,
                                      struct error *err);
void container_io_free(struct container_io *io); /* NULL is fine */
/* The process's ends, -1 where there is none: for its standard input, output and error. */
void container_io_ends(const struct container_io *io, int ret_stdio[3]);
/* Closes the process's ends here: it has them now. */
void container_io_started(struct container_io *io);
/* The pty's master (taken). */
int container_io_console(struct container_io *io, int master, struct error *err);
/*
 * Begins to pass on. @drained is called once no more output will come: all ends are closed, or the
 * pty hung up. Never inside this call.
 */
int container_io_run(struct container_io *io, void (*drained)(void *opaque), void *opaque,
                     struct error *err);
/* The process has ended: whatever is still to be read is read now; true when nothing may follow. */
bool container_io_flush(struct container_io *io);

#endif
