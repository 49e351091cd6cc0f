/* SPDX-License-Identifier: Apache-2.0 */
#include "device/vmgenid.h"

#include <errno.h>

#include "base/mem.h"

enum { PAGE = 4096 };

struct vmgenid {
    struct device dev;
    struct space *space;
    struct space_range *range;
    uint8_t id[VMGENID_SIZE];
};

static uint64_t read_id(void *dev, uint64_t offset, unsigned size)
{
    const struct vmgenid *v = dev;
    uint64_t value = 0;

    for (unsigned i = 0; i < size && offset + i < VMGENID_SIZE; i++)
        value |= (uint64_t)v->id[offset + i] << 8 * i;
    return value;
}

/* The guest is to read it alone. */
static void ignore_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    (void)dev;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct mmio_ops mmio = {.read = read_id, .write = ignore_write};

static const struct state_field fields[] = {STATE_BLOB(struct vmgenid, id)};
static const struct state_table state = {
    .name = "vmgenid", .version = 1, .fields = fields, .field_count = array_size(fields)};

/* A reset changes nothing: it is no other machine after it. */
static void vmgenid_reset(struct device *dev)
{
    (void)dev;
}

static void vmgenid_free(struct device *dev)
{
    struct vmgenid *v = container_of(dev, struct vmgenid, dev);

    space_unmap(v->space, v->range);
    free(v);
}

struct vmgenid *vmgenid_new(struct space *space, uint64_t base, const uint8_t id[VMGENID_SIZE],
                            struct error *err)
{
    struct vmgenid *v = mem_new(struct vmgenid);

    if (!v) {
        error_set(err, -ENOMEM, "create vmgenid: out of memory");
        return NULL;
    }
    v->dev = (struct device){
        .state = &state, .name = "vmgenid", .reset = vmgenid_reset, .free = vmgenid_free};
    v->space = space;
    vmgenid_set(v, id);
    v->range = space_map_mmio(space, "vmgenid", base, PAGE, &mmio, v, 0, err);
    if (!v->range) {
        vmgenid_free(&v->dev);
        return NULL;
    }
    return v;
}

struct device *vmgenid_device(struct vmgenid *v)
{
    return &v->dev;
}

void vmgenid_set(struct vmgenid *v, const uint8_t id[VMGENID_SIZE])
{
    memcpy(v->id, id, VMGENID_SIZE);
}
