/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices of board pc, one slot each. */
#include <errno.h>

#include "machine/pc.h"

int pc_create_virtio(struct pc *pc, struct error *err)
{
    const struct machine_config *c = &pc->machine->config;

    if (c->drive_count || c->nic_count || c->console)
        return error_set(err, -ENOTSUP, "drives, network adapters and consoles are not wired up");
    return 0;
}
