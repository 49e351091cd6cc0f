/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HPET (IA-PC HPET 1.0a): a 64-bit counter of 100 MHz and three comparators with periodic mode,
 * FSB (MSI) delivery and legacy replacement. The 8254 and the RTC are wired through it, because
 * legacy replacement takes their interrupts away.
 */
#ifndef DEVICE_HPET_H
#define DEVICE_HPET_H

#include "bus/clock.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

struct hpet;

/*
 * Registers at @base (0xFED00000). @gsi: a wire whose input is replaced by the I/O APIC pin number
 * (routes 2, 8 and 16-23 are offered); @irq0 and @irq8: where the 8254's and the RTC's interrupts
 * go on to. All are copied. NULL with @err set.
 */
struct hpet *hpet_new(struct space *space, uint64_t base, struct gclock *clock,
                      const struct irq_line *gsi, const struct irq_line *irq0,
                      const struct irq_line *irq8, const struct msi_sink *msi, struct error *err);
struct device *hpet_device(struct hpet *hpet);

/* What the outputs of the 8254 (irq0) and the RTC (irq8) are connected to. */
struct irq_line hpet_irq0_input(struct hpet *hpet);
struct irq_line hpet_irq8_input(struct hpet *hpet);

#endif
