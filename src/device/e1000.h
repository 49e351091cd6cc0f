/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network adapter Intel 82540EM (PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual, 317453), whose drivers are part of most systems since 2002.
 */
#ifndef DEVICE_E1000_H
#define DEVICE_E1000_H

#include "bus/clock.h"
#include "device/pci.h"
#include "io/netdev.h"

struct e1000;

/*
 * Adds an adapter with address @mac at @slot of @bus and attaches it to @netdev. Borrows @space,
 * @clock and @netdev, which must outlive the device. NULL with @err set on failure. Freed by its
 * struct device.
 */
struct e1000 *e1000_new(struct pci_bus *bus, unsigned slot, struct space *space,
                        struct gclock *clock, struct netdev *netdev, const uint8_t mac[6],
                        struct error *err);
struct device *e1000_device(struct e1000 *e);
struct pci_function *e1000_function(struct e1000 *e); /* for placing the BARs */

#endif
