/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <assert.h>

#include "base/mem.h"

static uint64_t source(void *opaque)
{
    return ((const struct rig *)opaque)->ns;
}

void rig_set_up(struct rig *rig)
{
    struct error err = {0};

    *rig = (struct rig){.ns = 12345};
    rig->gmem = gmem_new(RIG_MEMORY + RIG_VIDEO + RIG_FLASH, &err);
    assert(rig->gmem);
    rig->space = space_new(rig->gmem, &err);
    rig->ports = ports_new(&err);
    rig->clock = gclock_new(source, rig);
    assert(rig->space && rig->ports && rig->clock);
    assert(space_map_ram(rig->space, "ram", 0, RIG_MEMORY, 0, 0, &err));
}

void rig_tear_down(struct rig *rig)
{
    gclock_free(rig->clock);
    ports_free(rig->ports);
    space_free(rig->space);
    gmem_free(rig->gmem);
}

static void wire_set(void *opaque, unsigned input, int level)
{
    struct rig *rig = opaque;
    struct rig_wire *wire = &rig->wire[input % RIG_WIRES];

    assert(input < RIG_WIRES || !"a device drove an input that is not there");
    wire->rises += level && !wire->level;
    wire->level = level;
}

struct irq_line rig_line(struct rig *rig, unsigned n)
{
    return (struct irq_line){.set = wire_set, .opaque = rig, .input = n};
}

static void msi_sent(void *opaque, uint64_t address, uint32_t data)
{
    struct rig *rig = opaque;

    rig->msi_address = address;
    rig->msi_data = data;
    rig->messages++;
}

struct msi_sink rig_msi(struct rig *rig)
{
    return (struct msi_sink){.send = msi_sent, .opaque = rig};
}

void rig_pass(struct rig *rig, uint64_t ns)
{
    uint64_t end = gclock_now(rig->clock) + ns;

    while (gclock_next(rig->clock) <= end) {
        uint64_t now = gclock_now(rig->clock), next = gclock_next(rig->clock);
        rig->ns += next > now ? next - now : 0;
        gclock_run(rig->clock);
    }
    rig->ns += end - gclock_now(rig->clock);
}

static void char_attach(struct chardev *ch, const struct chardev_client *client)
{
    container_of(ch, struct rig_char, ch)->client = client;
}

static size_t char_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct rig_char *c = container_of(ch, struct rig_char, ch);
    size_t room = c->refuse_after > c->written_len ? c->refuse_after - c->written_len : 0;

    n = min_of(n, room);
    memcpy(c->written + c->written_len, bytes, n);
    c->written_len += n;
    return n;
}

static void char_ready(struct chardev *ch)
{
    container_of(ch, struct rig_char, ch)->ready_calls++;
}

static void char_close(struct chardev *ch)
{
    (void)ch;
}

void rig_char_init(struct rig_char *c)
{
    static const struct chardev_ops ops = {
        .attach = char_attach, .write = char_write, .ready = char_ready, .close = char_close};
    *c = (struct rig_char){.ch = {.ops = &ops}, .refuse_after = sizeof(c->written)};
}

static void net_attach(struct netdev *n, const struct netdev_client *client)
{
    container_of(n, struct rig_net, netdev)->client = client;
}

static void net_send(struct netdev *n, const struct netdev_span *spans, unsigned count)
{
    struct rig_net *net = container_of(n, struct rig_net, netdev);

    net->len = 0;
    for (unsigned i = 0; i < count; i++) {
        assert(spans[i].len <= sizeof(net->frame) - net->len);
        memcpy(net->frame + net->len, spans[i].data, spans[i].len);
        net->len += spans[i].len;
    }
    net->frames++;
    if (net->echo)
        net->client->receive(net->client->opaque, net->echo, net->echo_len);
}

static void net_sent(struct netdev *n)
{
    container_of(n, struct rig_net, netdev)->batches++;
}

static void net_ready(struct netdev *n)
{
    container_of(n, struct rig_net, netdev)->ready++;
}

void rig_net_init(struct rig_net *n)
{
    static const struct netdev_ops ops = {
        .attach = net_attach, .send = net_send, .sent = net_sent, .ready = net_ready};

    memset(n, 0, sizeof(*n));
    n->netdev.ops = &ops;
}

bool rig_net_deliver(struct rig_net *n, const uint8_t *frame, size_t len)
{
    if (!n->client->can_receive(n->client->opaque, len))
        return false;
    n->client->receive(n->client->opaque, frame, len);
    return true;
}
