/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network adapter Realtek RTL8139C (data sheet of 2002-02), 100 Mbit/s, whose drivers came with
 * systems from 1998 on. It is a plain 8139C, PCI revision 0x10: the 8139C+ (revision 0x20), with
 * descriptors in memory and checksum offload, is another chip with other drivers (Linux: 8139cp
 * takes revisions from 0x20 on, 8139too all below). Systems that know the C+ know this one, and for
 * speed they have virtio; systems that know only this one would find no driver for a C+.
 */
#ifndef DEVICE_RTL8139_H
#define DEVICE_RTL8139_H

#include "bus/clock.h"
#include "device/pci.h"
#include "io/netdev.h"

struct rtl8139;

/*
 * Adds an adapter with address @mac at @slot of @bus and attaches it to @netdev. Borrows @space,
 * @clock and @netdev, which must outlive the device. NULL with @err set on failure. Freed by its
 * struct device.
 */
struct rtl8139 *rtl8139_new(struct pci_bus *bus, unsigned slot, struct space *space,
                            struct gclock *clock, struct netdev *netdev, const uint8_t mac[6],
                            struct error *err);
struct device *rtl8139_device(struct rtl8139 *r);
struct pci_function *rtl8139_function(struct rtl8139 *r); /* for placing the BARs */

#endif
