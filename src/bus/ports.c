/* SPDX-License-Identifier: Apache-2.0 */
/* I/O ports: one byte per port names its range, so that an access is one lookup. */
#include <errno.h>

#include "base/mem.h"
#include "base/trace.h"
#include "bus/space.h"

enum { PORTS = 65536, PORT_RANGES = 255 };

struct port_range {
    const char *name;
    uint16_t base;
    unsigned count;
    const struct port_ops *ops;
    void *dev;
    uint64_t order;
};

struct ports {
    struct trace *trace;
    uint8_t owner[PORTS]; /* index into ranges + 1, 0 = nobody */
    struct port_range *ranges[PORT_RANGES];
    uint64_t next_order;
};

struct ports *ports_new(struct error *err)
{
    struct ports *p = mem_new(struct ports);

    if (!p)
        error_set(err, -ENOMEM, "create port space: out of memory");
    return p;
}

void ports_free(struct ports *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < PORT_RANGES; i++)
        free(p->ranges[i]);
    free(p);
}

struct port_range *ports_map(struct ports *p, const char *name, uint16_t base, unsigned count,
                             const struct port_ops *ops, void *dev, struct error *err)
{
    unsigned slot = 0;
    struct port_range *r;

    if (!count || base + count > PORTS) {
        error_set(err, -EINVAL, "map ports of %s: empty or past 0xffff", name);
        return NULL;
    }
    while (slot < PORT_RANGES && p->ranges[slot])
        slot++;
    r = slot < PORT_RANGES ? mem_new(struct port_range) : NULL;
    if (!r) {
        error_set(err, -ENOMEM, "map ports of %s: too many ranges or out of memory", name);
        return NULL;
    }
    *r = (struct port_range){.name = name,
                             .base = base,
                             .count = count,
                             .ops = ops,
                             .dev = dev,
                             .order = p->next_order++};
    p->ranges[slot] = r;
    memset(p->owner + base, (int)slot + 1, count);
    return r;
}

void ports_set_trace(struct ports *p, struct trace *trace)
{
    p->trace = trace;
}

void ports_unmap(struct ports *p, struct port_range *range)
{
    uint64_t claimed_by;

    if (!range)
        return;
    for (unsigned i = 0; i < PORT_RANGES; i++)
        if (p->ranges[i] == range)
            p->ranges[i] = NULL;
    /* What was hidden shows again: the latest of the remaining ranges at each port. */
    for (unsigned port = range->base; port < range->base + range->count; port++) {
        p->owner[port] = 0;
        claimed_by = 0;
        for (unsigned i = 0; i < PORT_RANGES; i++) {
            const struct port_range *o = p->ranges[i];
            if (o && port - o->base < o->count && o->order + 1 > claimed_by) {
                claimed_by = o->order + 1;
                p->owner[port] = (uint8_t)(i + 1);
            }
        }
    }
    free(range);
}

/* Whether the range answers an access of @size at @port in one piece. */
static bool takes_whole(const struct port_range *r, uint16_t port, unsigned size)
{
    return r && (unsigned)(port - r->base) + size <= r->count && !(r->ops->bytes && size > 1);
}

static const struct port_range *owner_of(const struct ports *p, uint16_t port)
{
    return p->owner[port] ? p->ranges[p->owner[port] - 1] : NULL;
}

uint32_t ports_read(struct ports *p, uint16_t port, unsigned size)
{
    const struct port_range *r = owner_of(p, port);
    uint32_t value = 0;

    if (takes_whole(r, port, size)) {
        value = r->ops->read ? r->ops->read(r->dev, (uint16_t)(port - r->base), size) : UINT32_MAX;
        if (unlikely(p->trace != NULL))
            trace_emit(p->trace, TRACE_DEVICES, TRACE_PORT_READ, port,
                       size == 4 ? value : value & ((1u << size * 8) - 1), size, r->name);
        return size == 4 ? value : value & ((1u << size * 8) - 1);
    }
    if (size == 1 || !r)
        return size == 4 ? UINT32_MAX : (1u << size * 8) - 1;
    for (unsigned i = 0; i < size; i++)
        value |= ports_read(p, (uint16_t)(port + i), 1) << i * 8;
    return value;
}

void ports_write(struct ports *p, uint16_t port, unsigned size, uint32_t value)
{
    const struct port_range *r = owner_of(p, port);

    if (takes_whole(r, port, size)) {
        if (unlikely(p->trace != NULL))
            trace_emit(p->trace, TRACE_DEVICES, TRACE_PORT_WRITE, port, value, size, r->name);
        if (r->ops->write)
            r->ops->write(r->dev, (uint16_t)(port - r->base), size, value);
    } else if (r && size > 1) {
        for (unsigned i = 0; i < size; i++)
            ports_write(p, (uint16_t)(port + i), 1, value >> i * 8 & 0xff);
    }
}
