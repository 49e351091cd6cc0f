/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio drives that come and go while the machine runs. A new one gets the last free slot, and the
 * guest is told by ACPI. One that shall go stays until the guest has let go of it.
 */
#include <errno.h>

#include "base/mem.h"
#include "device/acpi_pcihp.h"
#include "device/pci.h"
#include "device/piix4_pm.h"
#include "device/virtio/virtio_blk.h"
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

/* The guest has let go of @slot. */
static void ejected(void *opaque, unsigned slot)
{
    struct pc *pc = opaque;
    struct machine *m = pc->machine;

    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        struct pc_drive *d = &pc->drives[i];
        struct pci_function *f;
        struct block *block = d->block;
        if (!d->blk || d->slot != slot)
            continue;
        f = virtio_blk_function(d->blk);
        remove_device(m, virtio_blk_device(d->blk));
        virtio_blk_device(d->blk)->free(
            virtio_blk_device(d->blk)); /* still speaks to its function */
        pci_remove(f);
        *d = (struct pc_drive){0};
        if (m->config.unplugged)
            m->config.unplugged(m->config.unplug_opaque, block);
    }
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
    return 0;
}

int pc_plug_drive(struct machine *m, struct block *block, struct error *err)
{
    struct pc *pc = m->pc;
    struct pc_drive *d = NULL;

    for (unsigned i = MACHINE_DRIVES; i-- > 0;)
        if (!pc->drives[i].block)
            d = &pc->drives[i];
    if (!d)
        return error_set(err, -ENOSPC, "the machine has %d drives, more do not fit",
                         MACHINE_DRIVES);
    for (unsigned slot = ACPI_HOTPLUG_LAST; slot >= ACPI_HOTPLUG_FIRST; slot--) {
        if (pci_at(pc->pci, slot, 0))
            continue;
        d->blk = virtio_blk_new(pc->pci, slot, m->space, block, err);
        if (!d->blk)
            return -ENOMEM;
        d->block = block;
        d->slot = slot;
        device_reset(virtio_blk_device(d->blk));
        machine_add_device(m, virtio_blk_device(d->blk));
        acpi_pcihp_removable(pc->hotplug, slot, true);
        acpi_pcihp_added(pc->hotplug, slot);
        return 0;
    }
    return error_set(err, -ENOSPC, "the machine has no free slot");
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
