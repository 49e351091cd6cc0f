/* SPDX-License-Identifier: Apache-2.0 */
#include "device/isa_debug_exit.h"

#include <errno.h>

#include "base/mem.h"

struct isa_debug_exit {
    struct device dev;
    struct ports *ports;
    struct port_range *range;
    void (*exited)(void *opaque, int status);
    void *opaque;
};

static uint32_t exit_read(void *dev, uint16_t offset, unsigned size)
{
    return 0;
}

static void exit_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    const struct isa_debug_exit *d = dev;
    d->exited(d->opaque, (int)(value << 1 & 0x7fffffff) | 1);
}

static const struct port_ops exit_ops = {.read = exit_read, .write = exit_write};
static const struct state_table exit_state = {.name = "isa-debug-exit", .version = 1};

static void exit_free(struct device *dev)
{
    struct isa_debug_exit *d = container_of(dev, struct isa_debug_exit, dev);

    ports_unmap(d->ports, d->range);
    free(d);
}

struct isa_debug_exit *isa_debug_exit_new(struct ports *ports, uint16_t base,
                                          void (*exited)(void *opaque, int status), void *opaque,
                                          struct error *err)
{
    struct isa_debug_exit *d = mem_new(struct isa_debug_exit);

    if (!d) {
        error_set(err, -ENOMEM, "create isa-debug-exit: out of memory");
        return NULL;
    }
    d->dev = (struct device){.state = &exit_state, .name = "isa-debug-exit", .free = exit_free};
    d->ports = ports;
    d->exited = exited;
    d->opaque = opaque;
    d->range = ports_map(ports, "isa-debug-exit", base, 4, &exit_ops, d, err);
    if (!d->range) {
        exit_free(&d->dev);
        return NULL;
    }
    return d;
}

struct device *isa_debug_exit_device(struct isa_debug_exit *d)
{
    return &d->dev;
}
