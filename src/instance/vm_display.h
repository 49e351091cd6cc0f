/* SPDX-License-Identifier: Apache-2.0 */
/* The display of a virtual machine: its BIOS, its screen connections, its VNC server. */
#ifndef INSTANCE_VM_DISPLAY_H
#define INSTANCE_VM_DISPLAY_H

#include "instance/engine.h"
#include "machine/machine.h"

struct vm_screen;

/* Zero is a machine without a display. */
struct vm_display {
    uint8_t *rom; /* VGA BIOS, NULL: none */
    struct vm_screen *screen;
};

/* Adds to @c what the spec says of a display. Reads the VGA BIOS. */
int vm_display_configure(struct vm_display *d, const struct spec *spec, struct machine_config *c,
                         struct error *err) error_must_check;
/*
 * For the finished machine: screen connections, and with --display vnc= the server, a process of
 * its own that ends with this one. A restart finds that process still there.
 */
int vm_display_start(struct vm_display *d, const struct engine_env *env, struct machine *m,
                     struct error *err) error_must_check;
/* Before the machine goes. */
void vm_display_stop(struct vm_display *d);
/* After it. */
void vm_display_done(struct vm_display *d);

#endif
