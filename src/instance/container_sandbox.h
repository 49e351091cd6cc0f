/* SPDX-License-Identifier: Apache-2.0 */
/* The system call filters of a container's supervisor; see sandbox.h for where there are none. */
#ifndef INSTANCE_CONTAINER_SANDBOX_H
#define INSTANCE_CONTAINER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * For a supervisor that starts nothing more: only what it takes to serve, count, freeze and end a
 * container and to clean up after it. No new process, program or namespace. Needs no_new_privs.
 */
int container_sandbox_closed(struct error *err) error_must_check;

/*
 * For one that starts the container again or runs checks in it. What it starts inherits the filter,
 * so that this refuses what neither it nor a program with @capabilities under the default filter
 * may do: to load modules, to boot another kernel, to trace the host ... Does nothing without the
 * right to filter what may gain privileges (an unprivileged user's supervisor).
 */
int container_sandbox_open(uint64_t capabilities, struct error *err) error_must_check;

/* Whether the latter refuses the system call @number. */
bool container_sandbox_refuses(unsigned number, uint64_t capabilities);

#endif
