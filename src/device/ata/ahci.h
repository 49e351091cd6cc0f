/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AHCI controller of the ICH9 (Serial ATA AHCI 1.3.1; PCI 8086:2922): six ports, 32 commands
 * each, native queuing, ATAPI; registers in BAR 5, interrupts by INTA#.
 */
#ifndef DEVICE_ATA_AHCI_H
#define DEVICE_ATA_AHCI_H

#include "device/ata/ata.h"
#include "device/pci.h"

enum { AHCI_PORTS = 6 };

struct ahci;

/* Adds the controller as @slot.0. @drives (borrowed): by port, NULL: nothing there. NULL with @err
 * set. */
struct ahci *ahci_new(struct pci_bus *bus, unsigned slot, struct space *space,
                      struct ata_drive *const drives[AHCI_PORTS], struct error *err);
struct device *ahci_device(struct ahci *ahci);
/* For placing BAR 5. */
struct pci_function *ahci_function(struct ahci *ahci);

#endif
