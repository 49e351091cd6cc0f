/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system call filter of a supervisor. What it allows is generated (tools/gen-syscalls) from
 * "syscalls:" comments beside the code that needs each call; the rest fails with EPERM. Refused in
 * any case are new programs, namespaces, other processes' memory, and sockets that are neither unix
 * nor internet.
 */
#ifndef INSTANCE_SANDBOX_H
#define INSTANCE_SANDBOX_H

#include "base/error.h"

/*
 * Confines all threads of this process, for good. Needs no_new_privs. Does nothing on hosts other
 * than x86-64, under kernels without filters (said in the log), in sanitizer builds (their run-time
 * makes calls of its own), and with ISOLA_SECCOMP=off in the environment, which is for finding a
 * call that is missing here.
 */
int sandbox_enter(struct error *err) error_must_check;

#endif
