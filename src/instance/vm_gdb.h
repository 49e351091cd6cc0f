/* SPDX-License-Identifier: Apache-2.0 */
/* Debuggers of a virtual machine: the sockets below machine/gdb.h. On the loop, with its lock. */
#ifndef INSTANCE_VM_GDB_H
#define INSTANCE_VM_GDB_H

#include "instance/engine.h"

struct machine;
struct vm_gdb;

/*
 * For @machine; listens where the spec says (--gdb), if it does. With ",wait" the machine is held
 * until a debugger has let it go. NULL with @err set.
 */
struct vm_gdb *vm_gdb_new(const struct engine_env *env, struct machine *machine, struct error *err);
/*
 * A connection that was made otherwise; @fd is taken (-1: only asks). @i386: it is told of the
 * registers of an i386. -EBUSY: a debugger is there already.
 */
int vm_gdb_serve(struct vm_gdb *g, bool i386, int fd, struct error *err);
/* The machine ended with @code. */
void vm_gdb_ended(struct vm_gdb *g, int code);
void vm_gdb_free(struct vm_gdb *g); /* before the machine; NULL is fine */

#endif
