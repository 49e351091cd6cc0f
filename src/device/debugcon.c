/* SPDX-License-Identifier: Apache-2.0 */
#include "device/debugcon.h"

#include <errno.h>

#include "base/mem.h"

enum { DEBUGCON_READS = 0xe9 }; /* firmware looks for this to find the port */

struct debugcon {
    struct device dev;
    struct ports *ports;
    struct port_range *range;
    struct chardev *ch;
    struct chardev_client client;
};

static uint32_t debugcon_read(void *dev, uint16_t offset, unsigned size)
{
    return DEBUGCON_READS;
}

static void debugcon_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    const struct debugcon *d = dev;
    uint8_t byte = (uint8_t)value;

    d->ch->ops->write(d->ch, &byte, 1);
}

static const struct port_ops debugcon_ops = {
    .read = debugcon_read, .write = debugcon_write, .bytes = true};
static const struct state_table debugcon_state = {.name = "debugcon", .version = 1};

/* There is no way in. */
static size_t no_room(void *opaque)
{
    return 0;
}

static void no_input(void *opaque, const uint8_t *bytes, size_t n)
{
    (void)bytes;
}

static void debugcon_free(struct device *dev)
{
    struct debugcon *d = container_of(dev, struct debugcon, dev);

    ports_unmap(d->ports, d->range);
    free(d);
}

struct debugcon *debugcon_new(struct ports *ports, uint16_t base, struct chardev *ch,
                              struct error *err)
{
    struct debugcon *d = mem_new(struct debugcon);

    if (!d) {
        error_set(err, -ENOMEM, "create debugcon: out of memory");
        return NULL;
    }
    d->dev = (struct device){.state = &debugcon_state, .name = "debugcon", .free = debugcon_free};
    d->ports = ports;
    d->ch = ch;
    d->client = (struct chardev_client){.room = no_room, .input = no_input, .opaque = d};
    d->range = ports_map(ports, "debugcon", base, 1, &debugcon_ops, d, err);
    if (!d->range) {
        debugcon_free(&d->dev);
        return NULL;
    }
    ch->ops->attach(ch, &d->client);
    return d;
}

struct device *debugcon_device(struct debugcon *d)
{
    return &d->dev;
}
