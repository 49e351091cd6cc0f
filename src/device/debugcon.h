/* SPDX-License-Identifier: Apache-2.0 */
/* The debug console of firmware: each byte written to the port is output; it reads as 0xE9. */
#ifndef DEVICE_DEBUGCON_H
#define DEVICE_DEBUGCON_H

#include "bus/space.h"
#include "device/device.h"
#include "io/chardev.h"

struct debugcon;

/* At port @base (0x402) on @ch (borrowed). Bytes that @ch refuses are lost. NULL with @err set. */
struct debugcon *debugcon_new(struct ports *ports, uint16_t base, struct chardev *ch,
                              struct error *err);
struct device *debugcon_device(struct debugcon *d);

#endif
