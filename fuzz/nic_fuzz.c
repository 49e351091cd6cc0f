/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver, a hostile network and a hostile snapshot on one network adapter: the input is a
 * program of register accesses, descriptors, frames, passing time and states that were tampered
 * with. The first byte chooses the model. Whatever it does ends in bounded time and touches no
 * memory but the guest's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "nic_rig.h"

enum { STEPS = 300 };
enum {
    OP_STORE,
    OP_LOAD,
    OP_OUT,
    OP_IN,
    OP_CONFIG,
    OP_MEMORY,
    OP_DESCRIPTOR,
    OP_FRAME,
    OP_PASS,
    OP_LINK,
    OP_RESET,
    OP_TAMPER,
    OPS
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct input *in, unsigned n)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n && in->left; i++, in->left--)
        value |= (uint64_t)*in->at++ << 8 * i;
    return value;
}

static void tamper(struct nic_rig *n, struct input *in)
{
    struct str saved = {0};
    unsigned changes = (unsigned)take(in, 1) % 16;

    state_save(n->device->state, n->device, &saved);
    for (unsigned i = 0; saved.len && i < changes; i++) {
        size_t at = (size_t)take(in, 2) % saved.len;
        saved.data[at] = (char)take(in, 1);
    }
    if (saved.len)
        state_load(n->device->state, n->device, saved.data, saved.len, NULL);
    str_done(&saved);
}

/* A frame whose first bytes the input says, offered or forced. */
static void frame(struct nic_rig *n, struct input *in)
{
    static uint8_t bytes[NETDEV_FRAME_MAX];
    size_t len = (size_t)take(in, 2) % sizeof(bytes), said = (size_t)take(in, 1);

    for (size_t i = 0; i < said; i++)
        bytes[i] = (uint8_t)take(in, 1);
    if (said & 1)
        n->net.client->receive(n->net.client->opaque, bytes, len);
    else
        rig_net_deliver(&n->net, bytes, len);
    memset(bytes, 0, said);
}

static void step(struct nic_rig *n, struct input *in)
{
    unsigned op = (unsigned)take(in, 1), size = 1u << op / OPS % 4;
    uint64_t at;

    switch (op % OPS) {
    case OP_STORE:
        at = take(in, 2) & 0x7fff & ~(uint64_t)(size - 1);
        space_store(n->rig.space, (uint32_t)NIC_MMIO + at, size, take(in, size));
        break;
    case OP_LOAD:
        at = take(in, 2) & 0x7fff & ~(uint64_t)(size - 1);
        space_load(n->rig.space, (uint32_t)NIC_MMIO + at, size);
        break;
    case OP_OUT:
        at = take(in, 1);
        ports_write(n->rig.ports, (uint16_t)(NIC_IO + at), min_of(size, 4u),
                    (uint32_t)take(in, min_of(size, 4u)));
        break;
    case OP_IN:
        ports_read(n->rig.ports, (uint16_t)(NIC_IO + take(in, 1)), min_of(size, 4u));
        break;
    case OP_CONFIG:
        ports_write(n->rig.ports, 0xcf8, 4,
                    0x80000000u | NIC_SLOT << 11 | (uint32_t)take(in, 1) << 2);
        ports_write(n->rig.ports, 0xcfc, 4, (uint32_t)take(in, 4));
        break;
    case OP_MEMORY:
        at = take(in, 3);
        space_store(n->rig.space, at & 0xfffff, 8, take(in, 8));
        break;
    case OP_DESCRIPTOR:
        at = (take(in, 1) & 0x7f) * 16;
        space_store(n->rig.space, at, 8, take(in, 3));
        space_store(n->rig.space, at + 8, 8, take(in, 8));
        break;
    case OP_FRAME:
        frame(n, in);
        break;
    case OP_PASS:
        n->rig.ns += take(in, 2) * 64;
        gclock_run(n->rig.clock);
        break;
    case OP_LINK:
        n->net.client->link(n->net.client->opaque, take(in, 1) & 1);
        break;
    case OP_RESET:
        device_reset(n->device);
        break;
    default:
        tamper(n, in);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t echo[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static struct nic_rig n;
    struct input in = {.at = data, .left = size};
    unsigned first = (unsigned)take(&in, 1);

    nic_rig_set_up(&n, first % NIC_MODELS);
    n.net.netdev.tx_super = first & 0x40;
    if (first & 0x80) {
        n.net.echo = echo;
        n.net.echo_len = sizeof(echo);
    }
    for (unsigned i = 0; i < STEPS && in.left; i++)
        step(&n, &in);
    nic_rig_tear_down(&n);
    return 0;
}
