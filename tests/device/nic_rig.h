/* SPDX-License-Identifier: Apache-2.0 */
/* One network adapter of any model on a bus of its own, for tests over all of them. */
#ifndef TESTS_DEVICE_NIC_RIG_H
#define TESTS_DEVICE_NIC_RIG_H

#include "device/pci.h"
#include "rig.h"

enum nic_model { NIC_E1000, NIC_RTL8139, NIC_MODELS };
enum { NIC_SLOT = 3, NIC_WIRE = NIC_SLOT * 4, NIC_MMIO = 0xe0000000, NIC_IO = 0xc000 };

struct nic_rig {
    struct rig rig;
    struct rig_net net;
    struct pci_bus *bus;
    struct device *device;
    struct pci_function *function;
};

/* The adapter has its registers at NIC_MMIO and NIC_IO and masters the bus. The struct must not
 * move afterwards. */
void nic_rig_set_up(struct nic_rig *n, enum nic_model model);
void nic_rig_tear_down(struct nic_rig *n);

#endif
