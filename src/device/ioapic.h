/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I/O APIC with 24 inputs (Intel 82093AA, 290566-001; version 0x20 with the EOI register of the
 * ICH family). Its messages leave as MSIs (SDM vol. 3, 11.11), as on the chipset's bus.
 */
#ifndef DEVICE_IOAPIC_H
#define DEVICE_IOAPIC_H

#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

enum { IOAPIC_PINS = 24 };

struct ioapic;

/*
 * Registers at @base (0xFEC00000), messages to @msi (borrowed content, copied). NULL with @err set.
 */
struct ioapic *ioapic_new(struct space *space, uint64_t base, const struct msi_sink *msi,
                          struct error *err);
struct device *ioapic_device(struct ioapic *io);

/* Input wire @pin; asserted = 1 whatever the polarity bit says (true polarity, bus/irq.h). */
struct irq_line ioapic_input(struct ioapic *io, unsigned pin);
/* A local APIC ended an interrupt of @vector: level inputs that still ask are sent again. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

/* Its pins and where they lead, as text. */
void ioapic_show(const struct ioapic *io, struct str *out);

#endif
