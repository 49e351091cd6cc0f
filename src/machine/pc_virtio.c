/* SPDX-License-Identifier: Apache-2.0 */
/* The devices in slots of board pc: network adapters, and virtio drives, console, random numbers.
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/e1000.h"
#include "device/rtl8139.h"
#include "device/virtio/virtio_balloon.h"
#include "device/virtio/virtio_blk.h"
#include "device/virtio/virtio_console.h"
#include "device/virtio/virtio_input.h"
#include "device/virtio/virtio_net.h"
#include "device/virtio/virtio_rng.h"
#include "device/virtio/virtio_scsi.h"
#include "machine/pc.h"

_Static_assert((int)MACHINE_DRIVES <= (int)VIRTIO_SCSI_TARGETS, "each disk is a target");
enum { FIRST_SLOT = 2 }; /* one more when a VGA stands there */
_Static_assert(FIRST_SLOT + MACHINE_NICS + MACHINE_DRIVES + 5 <= 32, "each has a slot of its own");

static int fill_random(void *opaque, void *bytes, size_t len)
{
    machine_random(opaque, bytes, len);
    return 0;
}

/* NULL with @err set on failure. */
static struct device *new_nic(struct pc *pc, unsigned n, unsigned slot, struct error *err)
{
    struct machine *m = pc->machine;
    const struct machine_nic *nic = &m->config.nics[n];
    struct e1000 *e;
    struct rtl8139 *r;

    switch (nic->model) {
    case MACHINE_NIC_E1000:
        e = e1000_new(pc->pci, slot, m->space, m->clock, nic->netdev, nic->mac, err);
        return e ? e1000_device(e) : NULL;
    case MACHINE_NIC_RTL8139:
        r = rtl8139_new(pc->pci, slot, m->space, m->clock, nic->netdev, nic->mac, err);
        return r ? rtl8139_device(r) : NULL;
    case MACHINE_NIC_VIRTIO:
        break;
    }
    pc->nics[n].net = virtio_net_new(pc->pci, slot, m->space, nic->netdev, nic->mac, err);
    pc->nics[n].netdev = nic->netdev;
    pc->nics[n].slot = slot;
    return pc->nics[n].net ? virtio_net_device(pc->nics[n].net) : NULL;
}

/* Adapters @from to @to. */
static int add_nics(struct pc *pc, unsigned from, unsigned to, unsigned *slot, struct error *err)
{
    for (unsigned i = from; i < min_of(to, pc->machine->config.nic_count); i++) {
        const struct machine_nic *nic = &pc->machine->config.nics[i];
        struct device *dev = new_nic(pc, i, *slot, err);
        if (!dev)
            return -ENOMEM;
        if (nic->rom)
            pci_set_bar(pci_at(pc->pci, *slot, 0), PCI_ROM,
                        &(struct pci_bar){.kind = PCI_BAR_MEM32,
                                          .size = (uint32_t)nic->rom_len,
                                          .rom = nic->rom});
        (*slot)++;
        machine_add_device(pc->machine, dev);
    }
    return 0;
}

/* The drives of bus scsi, which share one host. */
static int add_scsi(struct pc *pc, unsigned *slot, struct error *err)
{
    struct machine *m = pc->machine;
    struct block *disks[MACHINE_DRIVES];
    unsigned count = 0;

    for (unsigned i = 0; i < m->config.drive_count; i++)
        if (m->config.drive_bus[i] == MACHINE_BUS_SCSI)
            disks[count++] = m->config.drives[i];
    if (!count)
        return 0;
    pc->scsi = virtio_scsi_new(pc->pci, (*slot)++, m->space, disks, count, err);
    if (!pc->scsi)
        return -ENOMEM;
    machine_add_device(m, virtio_scsi_device(pc->scsi));
    return 0;
}

static int add_drives(struct pc *pc, unsigned *slot, struct error *err)
{
    struct machine *m = pc->machine;

    for (unsigned i = 0; i < m->config.drive_count; i++) {
        struct virtio_blk *blk;
        pc->drives[i].block = m->config.drives[i];
        if (m->config.drive_bus[i] != MACHINE_BUS_VIRTIO)
            continue;
        /* The Open Firmware path, as firmware builds it from what it finds. */
        snprintf(pc->boot_path[i], sizeof(pc->boot_path[i]), "/pci@i0cf8/scsi@%x/disk@0,0", *slot);
        blk = virtio_blk_new(pc->pci, (*slot)++, m->space, m->config.drives[i], err);
        if (!blk)
            return -ENOMEM;
        pc->drives[i].blk = blk;
        pc->drives[i].slot = *slot - 1;
        machine_add_device(m, virtio_blk_device(blk));
    }
    return 0;
}

int pc_create_virtio(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    unsigned slot = FIRST_SLOT + (pc->vga ? 1 : 0);
    struct virtio_rng *rng;
    struct virtio_input *tablet;

    if (add_nics(pc, 0, 1, &slot, err) < 0 || add_drives(pc, &slot, err) < 0 ||
        add_scsi(pc, &slot, err) < 0)
        return -ENOMEM;
    if (m->config.console || m->config.agent) {
        struct virtio_console_ports ports = {
            .console = m->config.console, .named = m->config.agent, .name = MACHINE_AGENT_PORT};
        struct virtio_console *con = virtio_console_new(pc->pci, slot++, m->space, &ports, err);
        if (!con)
            return -ENOMEM;
        machine_add_device(m, virtio_console_device(con));
    }
    rng = virtio_rng_new(pc->pci, slot++, m->space, fill_random, m, err);
    if (!rng)
        return -ENOMEM;
    machine_add_device(m, virtio_rng_device(rng));
    pc->balloon = virtio_balloon_new(pc->pci, slot++, m->space, err);
    if (!pc->balloon)
        return -ENOMEM;
    machine_add_device(m, virtio_balloon_device(pc->balloon));
    if (m->config.vga) {
        tablet = virtio_input_new(pc->pci, slot++, m->space, err);
        if (!tablet)
            return -ENOMEM;
        machine_add_device(m, virtio_input_device(tablet));
        m->tablet = virtio_input_input(tablet);
    }
    /* Last, so that one that was added does not move what a system knows by its slot. */
    return add_nics(pc, 1, MACHINE_NICS, &slot, err);
}

void pc_stats(struct machine *m, struct machine_stats *ret)
{
    for (unsigned i = 0; i < MACHINE_DRIVES; i++) {
        struct virtio_blk_stats stats;
        if (!m->pc->drives[i].blk)
            continue;
        virtio_blk_stats(m->pc->drives[i].blk, &stats);
        ret->block_read += stats.read_bytes;
        ret->block_written += stats.written_bytes;
    }
    if (m->pc->scsi) {
        uint64_t in, out;
        virtio_scsi_stats(m->pc->scsi, &in, &out);
        ret->block_read += in;
        ret->block_written += out;
    }
    pc_drives_stats(m->pc, ret);
}
