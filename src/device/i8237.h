/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's pair of DMA controllers (Intel 8237A, 231466-005): channels 0-3 move bytes (ports
 * 0x00-0x0F), 5-7 words (0xC0-0xDF), page registers at 0x80-0x8F.
 */
#ifndef DEVICE_I8237_H
#define DEVICE_I8237_H

#include "bus/space.h"
#include "device/device.h"

struct i8237;

struct i8237 *i8237_new(struct ports *ports, struct space *space, struct error *err);
struct device *i8237_device(struct i8237 *dma);

/* Bytes that @channel would still move; 0: it is masked, or not set up for a transfer. */
uint32_t i8237_left(const struct i8237 *dma, unsigned channel);
/*
 * The device at @channel moves @n bytes (at most i8237_left): to memory (@in), or from there; a
 * channel set up for the other direction or for verifying moves nothing but counts. -EFAULT: there
 * is no memory.
 */
int i8237_move(struct i8237 *dma, unsigned channel, uint8_t *bytes, uint32_t n, bool in);

#endif
