/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IDE controller of the PIIX3 (Intel 290550-002, 2.4; bus mastering after the Programming
 * Interface for Bus Master IDE Controller 1.0): two channels at their ISA ports 0x1F0/0x3F6 and
 * 0x170/0x376, two drives on each, PCI 8086:7010 with the bus master registers in BAR 4.
 */
#ifndef DEVICE_ATA_IDE_H
#define DEVICE_ATA_IDE_H

#include "bus/irq.h"
#include "device/ata/ata.h"
#include "device/pci.h"

enum { IDE_CHANNELS = 2, IDE_DRIVES = 4 };

struct ide;

/*
 * Adds the controller as @slot.@fn. @drives (borrowed): master and slave of the first channel, then
 * of the second; NULL: none there. @irqs: interrupts 14 and 15. NULL with @err set.
 */
struct ide *ide_new(struct pci_bus *bus, unsigned slot, unsigned fn, struct ports *ports,
                    struct space *space, struct ata_drive *const drives[IDE_DRIVES],
                    const struct irq_line irqs[IDE_CHANNELS], struct error *err);
struct device *ide_device(struct ide *ide);
/* For placing BAR 4. */
struct pci_function *ide_function(struct ide *ide);

#endif
