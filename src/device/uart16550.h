/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port (National PC16550D) on a character seam. Output passes as fast as the seam
 * takes it, whatever the programmed speed; what the seam refuses waits in the transmit FIFO.
 */
#ifndef DEVICE_UART16550_H
#define DEVICE_UART16550_H

#include "bus/clock.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"
#include "io/chardev.h"

struct uart16550;

/* Ports @base..@base+7. @ch is borrowed; NULL: nothing is connected (output vanishes). NULL with
 * @err set. */
struct uart16550 *uart16550_new(struct ports *ports, uint16_t base, struct gclock *clock,
                                const struct irq_line *irq, struct chardev *ch, struct error *err);
struct device *uart16550_device(struct uart16550 *uart);

/* A break condition arrives on the line. */
void uart16550_break(struct uart16550 *uart);

#endif
