/* SPDX-License-Identifier: Apache-2.0 */
/* The port through which a guest kernel says that it panicked (QEMU's docs/specs/pvpanic). */
#ifndef DEVICE_PVPANIC_H
#define DEVICE_PVPANIC_H

#include "bus/space.h"
#include "device/device.h"

enum { PVPANIC_PANICKED = 1, PVPANIC_CRASH_LOADED = 2 };

struct pvpanic;

/* At port @base (0x505). @event gets PVPANIC_* bits as written. NULL with @err set. */
struct pvpanic *pvpanic_new(struct ports *ports, uint16_t base,
                            void (*event)(void *opaque, unsigned events), void *opaque,
                            struct error *err);
struct device *pvpanic_device(struct pvpanic *p);

#endif
