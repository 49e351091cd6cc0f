/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gdb stub: the Remote Serial Protocol (gdb's manual, appendix E) over a machine, whatever
 * carries the bytes. Threads are processors, numbered from 1. docs/debugging.md says what it can.
 */
#ifndef MACHINE_GDB_H
#define MACHINE_GDB_H

#include "machine/machine.h"

struct gdb;

/*
 * A debugger has connected: the machine is held until it says otherwise. It is told of the
 * registers of x86-64, or of i386 without @wide. @send takes bytes for it (all of them, at once).
 * With the machine lock held, as all calls here. -EBUSY: there is another one. NULL with @err set.
 */
struct gdb *gdb_new(struct machine *m, bool wide,
                    void (*send)(void *opaque, const void *bytes, size_t n), void *opaque,
                    struct error *err);
/* The connection ended: breakpoints go, the machine goes on. NULL is fine. */
void gdb_free(struct gdb *g);
/* Bytes from it. */
void gdb_input(struct gdb *g, const void *bytes, size_t n);
/* Whether it has said good-bye: the connection is to be closed. */
bool gdb_closing(const struct gdb *g);
/* The machine has ended with exit code @code. */
void gdb_machine_ended(struct gdb *g, int code);

#endif
