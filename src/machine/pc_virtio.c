/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices of board pc, one slot each: network adapters, drives, console, random numbers.
 */
#include <errno.h>

#include "base/mem.h"
#include "device/virtio/virtio_blk.h"
#include "device/virtio/virtio_console.h"
#include "device/virtio/virtio_net.h"
#include "device/virtio/virtio_rng.h"
#include "machine/pc.h"

enum { FIRST_SLOT = 2 };
_Static_assert(FIRST_SLOT + MACHINE_NICS + MACHINE_DRIVES + 2 <= 32, "each has a slot of its own");

static int fill_random(void *opaque, void *bytes, size_t len)
{
    machine_random(opaque, bytes, len);
    return 0;
}

static int add_nics(struct pc *pc, unsigned *slot, struct error *err)
{
    struct machine *m = pc->machine;

    for (unsigned i = 0; i < m->config.nic_count; i++) {
        const struct machine_nic *nic = &m->config.nics[i];
        struct virtio_net *net =
            virtio_net_new(pc->pci, (*slot)++, m->space, nic->netdev, nic->mac, err);
        if (!net)
            return -ENOMEM;
        machine_add_device(m, virtio_net_device(net));
    }
    return 0;
}

static int add_drives(struct pc *pc, unsigned *slot, struct error *err)
{
    struct machine *m = pc->machine;

    for (unsigned i = 0; i < m->config.drive_count; i++) {
        struct virtio_blk *blk =
            virtio_blk_new(pc->pci, (*slot)++, m->space, m->config.drives[i], err);
        if (!blk)
            return -ENOMEM;
        pc->drives[i] = blk;
        machine_add_device(m, virtio_blk_device(blk));
    }
    return 0;
}

int pc_create_virtio(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    unsigned slot = FIRST_SLOT;
    struct virtio_rng *rng;

    if (add_nics(pc, &slot, err) < 0 || add_drives(pc, &slot, err) < 0)
        return -ENOMEM;
    if (m->config.console || m->config.agent) {
        struct virtio_console_ports ports = {
            .console = m->config.console, .named = m->config.agent, .name = MACHINE_AGENT_PORT};
        struct virtio_console *con = virtio_console_new(pc->pci, slot++, m->space, &ports, err);
        if (!con)
            return -ENOMEM;
        machine_add_device(m, virtio_console_device(con));
    }
    rng = virtio_rng_new(pc->pci, slot, m->space, fill_random, m, err);
    if (!rng)
        return -ENOMEM;
    machine_add_device(m, virtio_rng_device(rng));
    return 0;
}

void pc_stats(struct machine *m, struct machine_stats *ret)
{
    for (unsigned i = 0; i < m->config.drive_count; i++) {
        struct virtio_blk_stats stats;
        virtio_blk_stats(m->pc->drives[i], &stats);
        ret->block_read += stats.read_bytes;
        ret->block_written += stats.written_bytes;
    }
}
