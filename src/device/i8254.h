/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8254 interval timer (Intel 231164-005) at ports 0x40-0x43, and the system control port 0x61
 * with the gate and output of counter 2 and the refresh toggle. Counters are computed from the
 * guest clock when they are looked at; a timer runs only for edges of counter 0 (IRQ 0).
 */
#ifndef DEVICE_I8254_H
#define DEVICE_I8254_H

#include "bus/clock.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

struct i8254;

/* @irq0 is the output of counter 0. NULL with @err set. */
struct i8254 *i8254_new(struct ports *ports, struct gclock *clock, const struct irq_line *irq0,
                        struct error *err);
struct device *i8254_device(struct i8254 *pit);
/*
 * The speaker behind counter 2 and port 0x61: the tone that it makes now in Hz (0: silent), and how
 * often a sound has begun since the timer was made (it wraps around).
 */
unsigned i8254_speaker(struct i8254 *pit, uint32_t *ret_sounds);

#endif
