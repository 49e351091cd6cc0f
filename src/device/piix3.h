/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ISA bridge of the PIIX3 (Intel 290550-002): PIRQ routing (0x60-0x63), the reset control
 * register (port 0xCF9), and the system control port A (0x92: A20, fast reset). The edge/level
 * registers 0x4D0-0x4D1 belong to i8259.
 */
#ifndef DEVICE_PIIX3_H
#define DEVICE_PIIX3_H

#include "bus/irq.h"
#include "device/device.h"
#include "device/pci.h"

struct piix3;

struct piix3_ops {
    void (*reset)(void *opaque);       /* the guest asks for a system reset */
    void (*a20)(void *opaque, int on); /* port 0x92; may be NULL */
    void *opaque;
};

/*
 * Adds the bridge as @slot.0. @isa: a wire whose input is replaced by the ISA interrupt number that
 * a PIRQ is routed to (it goes to the 8259 and to the I/O APIC alike). NULL with @err set.
 */
struct piix3 *piix3_new(struct pci_bus *bus, unsigned slot, struct ports *ports,
                        const struct irq_line *isa, const struct piix3_ops *ops, struct error *err);
struct device *piix3_device(struct piix3 *bridge);

/* The PCI bus' INTx wire (inputs slot * 4 + pin), for pci_bus_new's @intx; PIRQ = (slot + pin - 1)
 * % 4 as in the interrupt table of the board. */
void piix3_intx(void *bridge, unsigned input, int level);
/* Routes PIRQ @pirq (0..3) to ISA interrupt @irq (0..15, or 0x80: nowhere), as firmware would. */
void piix3_route(struct piix3 *bridge, unsigned pirq, uint8_t irq);

#endif
