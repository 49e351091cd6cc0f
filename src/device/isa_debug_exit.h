/* SPDX-License-Identifier: Apache-2.0 */
/* A port through which a guest ends its machine with an exit status: (value << 1) | 1. */
#ifndef DEVICE_ISA_DEBUG_EXIT_H
#define DEVICE_ISA_DEBUG_EXIT_H

#include "bus/space.h"
#include "device/device.h"

struct isa_debug_exit;

/* At port @base (0xF4), four ports wide. @exited gets the status. NULL with @err set. */
struct isa_debug_exit *isa_debug_exit_new(struct ports *ports, uint16_t base,
                                          void (*exited)(void *opaque, int status), void *opaque,
                                          struct error *err);
struct device *isa_debug_exit_device(struct isa_debug_exit *d);

#endif
