/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pair of 8259A interrupt controllers of a PC (Intel 231468-003), with the edge/level control
 * registers of the PIIX3 (ports 0x4D0, 0x4D1). Ports 0x20-0x21 and 0xA0-0xA1; the slave is cascaded
 * on input 2 of the master.
 */
#ifndef DEVICE_I8259_H
#define DEVICE_I8259_H

#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

struct i8259;

/* The pair; @intr is the master's INTR output. NULL with @err set. */
struct i8259 *i8259_new(struct ports *ports, const struct irq_line *intr, struct error *err);
struct device *i8259_device(struct i8259 *pic);

/* Input wire @irq (0..15; 2 is the cascade and stays unconnected). */
struct irq_line i8259_input(struct i8259 *pic, unsigned irq);
/* An interrupt acknowledge cycle: the vector. A request that went away answers as IR7 (spurious).
 */
uint8_t i8259_ack(struct i8259 *pic);
/* Sets the edge/level registers as firmware would: bit n = input n is level-triggered. */
void i8259_set_elcr(struct i8259 *pic, uint16_t level);

/* Its inputs and what they stand for, as text. */
void i8259_show(const struct i8259 *pic, struct str *out);

#endif
