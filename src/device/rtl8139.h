/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network adapter Realtek RTL8139C (data sheet of 2002-02), 100 Mbit/s, whose drivers came with
 * systems from 1998 on. The 8139C+ mode of its successor is not built: the chip says that it is a
 * plain 8139C.
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
