/* SPDX-License-Identifier: Apache-2.0 */
#include "device/pvpanic.h"

#include <errno.h>

#include "base/mem.h"

enum { EVENTS = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED };

struct pvpanic {
    struct device dev;
    struct ports *ports;
    struct port_range *range;
    void (*event)(void *opaque, unsigned events);
    void *opaque;
};

/* Reads as the events that are understood. */
static uint32_t pvpanic_read(void *dev, uint16_t offset, unsigned size)
{
    return EVENTS;
}

static void pvpanic_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    const struct pvpanic *p = dev;

    if (value & EVENTS)
        p->event(p->opaque, value & EVENTS);
}

static const struct port_ops pvpanic_ops = {
    .read = pvpanic_read, .write = pvpanic_write, .bytes = true};
static const struct state_table pvpanic_state = {.name = "pvpanic", .version = 1};

static void pvpanic_free(struct device *dev)
{
    struct pvpanic *p = container_of(dev, struct pvpanic, dev);

    ports_unmap(p->ports, p->range);
    free(p);
}

struct pvpanic *pvpanic_new(struct ports *ports, uint16_t base,
                            void (*event)(void *opaque, unsigned events), void *opaque,
                            struct error *err)
{
    struct pvpanic *p = mem_new(struct pvpanic);

    if (!p) {
        error_set(err, -ENOMEM, "create pvpanic: out of memory");
        return NULL;
    }
    p->dev = (struct device){.state = &pvpanic_state, .name = "pvpanic", .free = pvpanic_free};
    p->ports = ports;
    p->event = event;
    p->opaque = opaque;
    p->range = ports_map(ports, "pvpanic", base, 1, &pvpanic_ops, p, err);
    if (!p->range) {
        pvpanic_free(&p->dev);
        return NULL;
    }
    return p;
}

struct device *pvpanic_device(struct pvpanic *p)
{
    return &p->dev;
}
