/* SPDX-License-Identifier: Apache-2.0 */
/* How a command starts a supervisor: by a fork, or by "PROGRAM supervise ID" with a socket. */
#ifndef INSTANCE_SUPERVISOR_H
#define INSTANCE_SUPERVISOR_H

#include "instance/instance.h"

/* The socket on which the starter speaks the control protocol, in the new process. */
enum { SUPERVISOR_STARTER_FD = 3 };

struct engine_origin;

/*
 * Starts a process that supervises @i; *ret_fd is our end of its first connection, new. The caller
 * has one thread. With @origin (borrowed, may be NULL) it begins as a fork from there. -EAGAIN: no
 * process was to be had.
 */
int supervisor_spawn(struct instances *home, const struct instance *i,
                     const struct engine_origin *origin, int *ret_fd,
                     struct error *err) error_must_check;

#endif
