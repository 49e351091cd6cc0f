/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices of board pc, one slot each. */
#include <errno.h>

#include "device/virtio/virtio_blk.h"
#include "machine/pc.h"

enum { FIRST_SLOT = 2, SLOTS = 32 };

int pc_create_virtio(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    const struct machine_config *c = &m->config;
    unsigned slot = FIRST_SLOT;

    for (unsigned i = 0; i < c->drive_count; i++) {
        struct virtio_blk *blk = virtio_blk_new(pc->pci, slot++, m->space, c->drives[i], err);
        if (!blk)
            return -ENOMEM;
        machine_add_device(m, virtio_blk_device(blk));
    }
    return 0;
}
