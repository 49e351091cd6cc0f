/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system call filter of the VNC server, which parses what strangers send. It may speak to the
 * clients it has and to the supervisor (unix sockets), look records up, and no more: other calls
 * fail, and those that only an attacker makes (programs, processes, other processes' memory,
 * sockets of other families, mounts, modules) end it.
 */
#ifndef INSTANCE_VNC_SANDBOX_H
#define INSTANCE_VNC_SANDBOX_H

#include "base/error.h"

/* For good; needs no_new_privs. As sandbox_enter it does nothing where filters cannot be. */
int vnc_sandbox_enter(struct error *err) error_must_check;

#endif
