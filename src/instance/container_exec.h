/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTANCE_CONTAINER_EXEC_H
#define INSTANCE_CONTAINER_EXEC_H

#include "instance/engine.h"

struct container;

/*
 * Runs @exec in @c, with the process's ends @stdio unless it has a terminal. What it returns is
 * the caller's. As container_exec (container.h).
 */
int container_exec_in(const struct engine_place *place, struct container *c,
                      const struct instance_exec *exec, const int stdio[3], unsigned columns,
                      unsigned rows, int *ret_pidfd, int *ret_console,
                      struct error *err) error_must_check;

/* engine_ops.exec */
int container_exec_serve(const struct engine_place *place, const struct instance_exec *exec,
                         int fd);

#endif
