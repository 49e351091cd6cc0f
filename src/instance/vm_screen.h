/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's end of screen connections: a machine's picture, keys and pointer. */
#ifndef INSTANCE_VM_SCREEN_H
#define INSTANCE_VM_SCREEN_H

#include "base/error.h"

struct loop;
struct machine;
struct vm_screen;

/* For @machine (borrowed), which has a display. NULL with @err set. */
struct vm_screen *vm_screen_new(struct loop *loop, struct machine *machine, struct error *err);
void vm_screen_free(struct vm_screen *s);
/* Serves a connected socket (taken). */
int vm_screen_serve(struct vm_screen *s, int fd, struct error *err) error_must_check;

#endif
