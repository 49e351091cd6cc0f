/* SPDX-License-Identifier: Apache-2.0 */
#include "nic_rig.h"

#include <assert.h>
#include <string.h>

#include "device/e1000.h"
#include "device/rtl8139.h"

static void make(struct nic_rig *n, enum nic_model model)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};

    if (model == NIC_RTL8139) {
        struct rtl8139 *r =
            rtl8139_new(n->bus, NIC_SLOT, n->rig.space, n->rig.clock, &n->net.netdev, mac, NULL);
        assert(r);
        n->device = rtl8139_device(r);
        n->function = rtl8139_function(r);
    } else {
        struct e1000 *e =
            e1000_new(n->bus, NIC_SLOT, n->rig.space, n->rig.clock, &n->net.netdev, mac, NULL);
        assert(e);
        n->device = e1000_device(e);
        n->function = e1000_function(e);
    }
}

void nic_rig_set_up(struct nic_rig *n, enum nic_model model)
{
    struct irq_line line;
    struct msi_sink msi;

    memset(n, 0, sizeof(*n));
    rig_set_up(&n->rig);
    rig_net_init(&n->net);
    line = rig_line(&n->rig, 0);
    msi = rig_msi(&n->rig);
    n->bus = pci_bus_new(n->rig.space, n->rig.ports, &line, &msi, NULL);
    assert(n->bus);
    make(n, model);
    for (unsigned bar = 0; bar < 2; bar++)
        if (pci_config(n->function)[0x10 + 4 * bar] & 1)
            pci_place_bar(n->function, bar, NIC_IO, NULL);
        else
            pci_place_bar(n->function, bar, (uint32_t)NIC_MMIO, NULL);
    ports_write(n->rig.ports, 0xcf8, 4, 0x80000000u | NIC_SLOT << 11 | 4);
    ports_write(n->rig.ports, 0xcfc, 2, 7);
}

void nic_rig_tear_down(struct nic_rig *n)
{
    n->device->free(n->device);
    pci_bus_free(n->bus);
    rig_tear_down(&n->rig);
}
