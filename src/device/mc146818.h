/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MC146818 real-time clock with 128 bytes of CMOS memory, ports 0x70-0x71 (Motorola
 * MC146818A data sheet). The time of day is a function of the host's clock plus an offset that
 * changes when the guest sets the clock; timers run only while an interrupt is enabled.
 */
#ifndef DEVICE_MC146818_H
#define DEVICE_MC146818_H

#include "bus/clock.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

struct mc146818;

/*
 * @now gives nanoseconds since 1970-01-01 00:00:00 as the RTC shall show it (usually UTC). NULL
 * with @err set.
 */
struct mc146818 *mc146818_new(struct ports *ports, struct gclock *clock,
                              const struct irq_line *irq8, int64_t (*now)(void *opaque),
                              void *opaque, struct error *err);
struct device *mc146818_device(struct mc146818 *rtc);

/* Fills the memory-size bytes (0x15-0x18, 0x30-0x31, 0x34-0x35, 0x5B-0x5D), as PC firmware expects
 * them: @below bytes of RAM under 4 GiB (starting at 0), @above bytes from 4 GiB. */
void mc146818_set_memory(struct mc146818 *rtc, uint64_t below, uint64_t above);
/* Sets CMOS byte @index (14..127); the values survive reset. */
void mc146818_set_cmos(struct mc146818 *rtc, uint8_t index, uint8_t value);

#endif
