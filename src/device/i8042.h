/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyboard controller 8042 (IBM PC/AT Technical Reference, 1-42 ff.), ports 0x60 and 0x64: self
 * test, interface tests, command byte, output port with A20 and reset, translation of scan codes.
 * Bytes sent to a device that is not attached time out, as on a PC without it.
 */
#ifndef DEVICE_I8042_H
#define DEVICE_I8042_H

#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"
#include "device/ps2.h"

struct i8042;

struct i8042_ops {
    void (*reset)(void *opaque);       /* the reset line was pulsed */
    void (*a20)(void *opaque, int on); /* may be NULL */
    void *opaque;
};

/* @irq1 and @irq12 are the output-buffer-full interrupts. NULL with @err set. */
struct i8042 *i8042_new(struct ports *ports, const struct irq_line *irq1,
                        const struct irq_line *irq12, const struct i8042_ops *ops,
                        struct error *err);
/* Plugs a keyboard and a mouse in (borrowed; NULL: none), before the guest runs. */
void i8042_attach(struct i8042 *kbc, struct ps2_device *keyboard, struct ps2_device *mouse);
struct device *i8042_device(struct i8042 *kbc);

#endif
