/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash points: places where a kill is most interesting. With ISOLA_CRASH_AT=n in the environment
 * the n-th point that a process passes ends it with SIGKILL, so that tests can try every one of
 * them; ISOLA_CRASH_IN=supervisor or command limits this to one kind of process, and the file
 * ISOLA_CRASH_MARK is created by a process that ends so. Otherwise a point costs a load and a
 * branch.
 */
#ifndef INSTANCE_CRASH_H
#define INSTANCE_CRASH_H

#include <stdbool.h>

/* Reads the environment; call once at the start of a process. */
void crash_arm(bool supervisor);

void crash_point(void);

#endif
