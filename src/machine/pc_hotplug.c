/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio drives and network adapters that come and go while the machine runs. A new one gets the
 * last free slot, and the guest is told by ACPI. One that shall go stays until the guest has let go
 * of it.
 */
#include <errno.h>

#include "base/mem.h"
#include "device/acpi_pcihp.h"
#include "device/pci.h"
#include "device/piix4_pm.h"
#include "device/virtio/virtio_blk.h"
#include "device/virtio/virtio_net.h"
#include "machine/acpi_hotplug.h"
#include "machine/pc.h"

static void remove_device(struct machine *m, struct device *dev)
{
    for (struct device **link = &m->devices; *link; link = &(*link)->next) {
        if (*link == dev) {
            *link = dev->next;
            return;
        }
    }
}

/* Frees what stands in a slot; it still speaks to its function meanwhile. */
static void take_out(struct machine *m, struct device *dev, struct pci_function *f)
{
    remove_device(m, dev);
    dev->free(dev);
    pci_remove(f);
}

static void drive_ejected(struct machine *m, struct pc_drive *d)
{
    struct block *block = d->block;

    take_out(m, virtio_blk_device(d->blk), virtio_blk_function(d->blk));
    *d = (struct pc_drive){0};
    if (m->config.unplugged)
        m->config.unplugged(m->config.unplug_opaque, block);
}

static void nic_ejected(struct machine *m, struct pc_nic *n)
{
    struct machine_config *c = &m->config;
    struct netdev *netdev = n->netdev;

    take_out(m, virtio_net_device(n->net), virtio_net_function(n->net));
    *n = (struct pc_nic){0};
    for (unsigned i = 0; i < c->nic_count; i++)
        if (c->nics[i].netdev == netdev)
            c->nics[i--] = c->nics[--c->nic_count];
    if (c->nic_unplugged)
        c->nic_unplugged(c->unplug_opaque, netdev);
}

/* The guest has let go of @slot. */
static void ejected(void *opaque, unsigned slot)
{
    struct pc *pc = opaque;

    for (unsigned i = 0; i < MACHINE_DRIVES; i++)
        if (pc->drives[i].blk && pc->drives[i].slot == slot)
            drive_ejected(pc->machine, &pc->drives[i]);
    for (unsigned i = 0; i < MACHINE_NICS; i++)
        if (pc->nics[i].net && pc->nics[i].slot == slot)
            nic_ejected(pc->machine, &pc->nics[i]);
}

static void event(void *opaque)
{
    struct pc *pc = opaque;
    piix4_pm_gpe(pc->pm, ACPI_HOTPLUG_GPE);
}

int pc_create_hotplug(struct pc *pc, struct error *err)
{
    struct acpi_pcihp_ops ops = {.event = event, .eject = ejected, .opaque = pc};

    pc->hotplug = acpi_pcihp_new(pc->machine->ports, &ops, err);
    if (!pc->hotplug)
        return -ENOMEM;
    machine_add_device(pc->machine, acpi_pcihp_device(pc->hotplug));
    for (unsigned i = 0; i < MACHINE_DRIVES; i++)
        if (pc->drives[i].blk)
            acpi_pcihp_removable(pc->hotplug, pc->drives[i].slot, true);
    for (unsigned i = 0; i < MACHINE_NICS; i++)
        if (pc->nics[i].net)
            acpi_pcihp_removable(pc->hotplug, pc->nics[i].slot, true);
    return 0;
}

/* The last free slot; 0: none. */
static unsigned free_slot(const struct pc *pc)
{
    unsigned slot = ACPI_HOTPLUG_LAST;

    while (slot >= ACPI_HOTPLUG_FIRST && pci_at(pc->pci, slot, 0))
        slot--;
    return slot >= ACPI_HOTPLUG_FIRST ? slot : 0;
}

/* What was made in @slot is there from now on, and the guest is told. */
static void put_in(struct pc *pc, struct device *dev, unsigned slot)
{
    device_reset(dev);
    machine_add_device(pc->machine, dev);
    acpi_pcihp_removable(pc->hotplug, slot, true);
    acpi_pcihp_added(pc->hotplug, slot);
}

int pc_plug_drive(struct machine *m, struct block *block, struct error *err)
{
    struct pc *pc = m->pc;
    struct pc_drive *d = NULL;
    unsigned slot = free_slot(pc);

    for (unsigned i = MACHINE_DRIVES; i-- > 0;)
        if (!pc->drives[i].block)
            d = &pc->drives[i];
    if (!d)
        return error_set(err, -ENOSPC, "the machine has %d drives, more do not fit",
                         MACHINE_DRIVES);
    if (!slot)
        return error_set(err, -ENOSPC, "the machine has no free slot");
    d->blk = virtio_blk_new(pc->pci, slot, m->space, block, err);
    if (!d->blk)
        return -ENOMEM;
    d->block = block;
    d->slot = slot;
    put_in(pc, virtio_blk_device(d->blk), slot);
    return 0;
}

int pc_plug_nic(struct machine *m, const struct machine_nic *nic, struct error *err)
{
    struct pc *pc = m->pc;
    struct pc_nic *n = NULL;
    unsigned slot = free_slot(pc);

    if (nic->model != MACHINE_NIC_VIRTIO)
        return error_set(err, -ENOTSUP, "only virtio adapters can be put into a running machine");
    for (unsigned i = MACHINE_NICS; i-- > 0;)
        if (!pc->nics[i].net)
            n = &pc->nics[i];
    if (!n || m->config.nic_count == MACHINE_NICS)
        return error_set(err, -ENOSPC, "the machine has %d network adapters, more do not fit",
                         MACHINE_NICS);
    if (!slot)
        return error_set(err, -ENOSPC, "the machine has no free slot");
    n->net = virtio_net_new(pc->pci, slot, m->space, nic->netdev, nic->mac, err);
    if (!n->net)
        return -ENOMEM;
    n->netdev = nic->netdev;
    n->slot = slot;
    m->config.nics[m->config.nic_count++] = *nic;
    put_in(pc, virtio_net_device(n->net), slot);
    return 0;
}

int pc_unplug_nic(struct machine *m, const struct netdev *netdev, struct error *err)
{
    struct pc *pc = m->pc;

    for (unsigned i = 0; i < MACHINE_NICS; i++) {
        if (!pc->nics[i].net || pc->nics[i].netdev != netdev)
            continue;
        acpi_pcihp_remove(pc->hotplug, pc->nics[i].slot);
        return 0;
    }
    return error_set(err, -ENOTSUP, "only virtio adapters can be taken out of a running machine");
}

int pc_unplug_drive(struct machine *m, const struct block *block, struct error *err)
{
    struct pc *pc = m->pc;

    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        if (pc->drives[i].block != block || !pc->drives[i].blk)
            continue;
        acpi_pcihp_remove(pc->hotplug, pc->drives[i].slot);
        return 0;
    }
    return error_set(err, -ENOTSUP, "only virtio drives can be taken out of a running machine");
}
