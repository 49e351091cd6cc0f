/* SPDX-License-Identifier: Apache-2.0 */
#include "device/acpi_pcihp.h"

#include <errno.h>

#include "base/mem.h"

struct acpi_pcihp {
    struct device dev;
    struct ports *ports;
    struct port_range *range;
    struct acpi_pcihp_ops ops;
    uint32_t removable;
    uint32_t up, down; /* state */
};

static uint32_t hp_read(void *dev, uint16_t offset, unsigned size)
{
    struct acpi_pcihp *hp = dev;
    uint32_t value;

    if (size != 4)
        return 0;
    switch (offset) {
    case ACPI_PCIHP_UP: /* told once */
        value = hp->up;
        hp->up = 0;
        return value;
    case ACPI_PCIHP_DOWN:
        return hp->down;
    case ACPI_PCIHP_REMOVABLE:
        return hp->removable;
    default:
        return 0;
    }
}

static void hp_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct acpi_pcihp *hp = dev;

    if (offset != ACPI_PCIHP_EJECT || size != 4)
        return;
    for (unsigned slot = 0; slot < 32; slot++) {
        if (!(value & hp->removable & 1u << slot))
            continue;
        hp->down &= ~(1u << slot);
        hp->removable &= ~(1u << slot);
        hp->ops.eject(hp->ops.opaque, slot);
    }
}

static const struct port_ops hp_ops = {.read = hp_read, .write = hp_write};

static const struct state_field fields[] = {
    STATE_FIELD(struct acpi_pcihp, up, 0),
    STATE_FIELD(struct acpi_pcihp, down, 0),
};
static const struct state_table state = {
    .name = "acpi-pcihp", .version = 1, .fields = fields, .field_count = array_size(fields)};

static void hp_free(struct device *dev)
{
    struct acpi_pcihp *hp = container_of(dev, struct acpi_pcihp, dev);

    ports_unmap(hp->ports, hp->range);
    free(hp);
}

struct acpi_pcihp *acpi_pcihp_new(struct ports *ports, const struct acpi_pcihp_ops *ops,
                                  struct error *err)
{
    struct acpi_pcihp *hp = mem_new(struct acpi_pcihp);

    if (!hp) {
        error_set(err, -ENOMEM, "create acpi-pcihp: out of memory");
        return NULL;
    }
    hp->dev = (struct device){.state = &state, .name = "acpi-pcihp", .free = hp_free};
    hp->ports = ports;
    hp->ops = *ops;
    hp->range = ports_map(ports, "acpi-pcihp", ACPI_PCIHP_BASE, ACPI_PCIHP_PORTS, &hp_ops, hp, err);
    if (!hp->range) {
        hp_free(&hp->dev);
        return NULL;
    }
    return hp;
}

struct device *acpi_pcihp_device(struct acpi_pcihp *hp)
{
    return &hp->dev;
}

void acpi_pcihp_removable(struct acpi_pcihp *hp, unsigned slot, bool yes)
{
    uint32_t bit = 1u << (slot & 31);
    hp->removable = yes ? hp->removable | bit : hp->removable & ~bit;
}

void acpi_pcihp_added(struct acpi_pcihp *hp, unsigned slot)
{
    hp->up |= 1u << (slot & 31);
    hp->ops.event(hp->ops.opaque);
}

void acpi_pcihp_remove(struct acpi_pcihp *hp, unsigned slot)
{
    hp->down |= 1u << (slot & 31);
    hp->ops.event(hp->ops.opaque);
}
