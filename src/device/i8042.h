/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyboard controller 8042 (IBM PC/AT Technical Reference, 1-42 ff.), ports 0x60 and 0x64: self
 * test, interface tests, command byte, output port with A20 and reset. No keyboard and no mouse is
 * attached: bytes sent to them time out, as on a PC without them.
 */
#ifndef DEVICE_I8042_H
#define DEVICE_I8042_H

#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

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
struct device *i8042_device(struct i8042 *kbc);

#endif
