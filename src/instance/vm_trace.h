/* SPDX-License-Identifier: Apache-2.0 */
/* Who traces a virtual machine: the connection above machine/trace.h. */
#ifndef INSTANCE_VM_TRACE_H
#define INSTANCE_VM_TRACE_H

#include "base/error.h"

struct loop;
struct machine;
struct vm_trace;

/*
 * Sends what @machine does to connected socket @fd (taken; -1: only says whether it would), as
 * lines of JSON until it is closed. @wanted: machine_trace_parse's words. *slot: the one there is,
 * NULL when none is; it follows. On the loop with its lock.
 */
int vm_trace_serve(struct vm_trace **slot, struct loop *loop, struct machine *machine,
                   const char *wanted, int fd, struct error *err) error_must_check;
/* Ends it; before the machine. Outside of the lock. */
void vm_trace_end(struct vm_trace **slot);

#endif
