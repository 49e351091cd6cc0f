/* SPDX-License-Identifier: Apache-2.0 */
#include "vring.h"

#include "base/mem.h"

static uint64_t parts(uint16_t size, uint64_t *ret_used)
{
    uint64_t used = (16u * size + 6 + 2u * size + 4095) & ~4095ull;

    *ret_used = used;
    return used + 6 + 8u * size;
}

uint64_t vring_bytes(uint16_t size)
{
    uint64_t used;
    return (parts(size, &used) + 4095) & ~4095ull;
}

void vring_init(struct vring *v, struct space *space, uint64_t base, uint16_t size)
{
    uint64_t used;

    parts(size, &used);
    *v = (struct vring){.space = space,
                        .desc = base,
                        .avail = base + 16u * size,
                        .used = base + used,
                        .size = size};
    for (uint64_t at = base; at < base + vring_bytes(size); at += 8)
        space_store(space, at, 8, 0);
}

static void set_desc(struct vring *v, uint64_t table, uint16_t index, uint64_t gpa, uint32_t len,
                     uint16_t flags, uint16_t next)
{
    uint64_t at = table + 16u * index;

    space_store(v->space, at, 8, gpa);
    space_store(v->space, at + 8, 4, len);
    space_store(v->space, at + 12, 2, flags);
    space_store(v->space, at + 14, 2, next);
}

void vring_set_desc(struct vring *v, uint16_t index, uint64_t gpa, uint32_t len, uint16_t flags,
                    uint16_t next)
{
    set_desc(v, v->desc, index, gpa, len, flags, next);
}

void vring_offer(struct vring *v, uint16_t head)
{
    space_store(v->space, v->avail + 4 + 2u * (v->avail_idx % v->size), 2, head);
    v->avail_idx++;
    space_store(v->space, v->avail + 2, 2, v->avail_idx);
}

static void fill(struct vring *v, uint64_t table, uint16_t first, uint16_t size,
                 const struct vring_buffer *buffers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint16_t index = (uint16_t)((first + i) % size), next = (uint16_t)((first + i + 1) % size);
        uint16_t flags =
            (uint16_t)((i + 1 < count ? VRING_NEXT : 0) | (buffers[i].write ? VRING_WRITE : 0));
        set_desc(v, table, index, buffers[i].gpa, buffers[i].len, flags, next);
    }
}

uint16_t vring_add(struct vring *v, const struct vring_buffer *buffers, unsigned count)
{
    uint16_t head = v->next_desc;

    fill(v, v->desc, head, v->size, buffers, count);
    v->next_desc = (uint16_t)((v->next_desc + count) % v->size);
    vring_offer(v, head);
    return head;
}

uint16_t vring_add_indirect(struct vring *v, uint64_t table, const struct vring_buffer *buffers,
                            unsigned count)
{
    uint16_t head = v->next_desc;

    fill(v, table, 0, (uint16_t)(count + 1), buffers, count);
    vring_set_desc(v, head, table, 16 * count, VRING_INDIRECT, 0);
    v->next_desc = (uint16_t)((v->next_desc + 1) % v->size);
    vring_offer(v, head);
    return head;
}

bool vring_used(struct vring *v, uint32_t *ret_id, uint32_t *ret_len)
{
    uint64_t at = v->used + 4 + 8u * (v->used_seen % v->size);

    if ((uint16_t)space_load(v->space, v->used + 2, 2) == v->used_seen)
        return false;
    *ret_id = (uint32_t)space_load(v->space, at, 4);
    *ret_len = (uint32_t)space_load(v->space, at + 4, 4);
    v->used_seen++;
    return true;
}

void vring_set_used_event(struct vring *v, uint16_t index)
{
    space_store(v->space, v->avail + 4 + 2u * v->size, 2, index);
}

void vring_set_flags(struct vring *v, uint16_t flags)
{
    space_store(v->space, v->avail, 2, flags);
}

uint16_t vring_avail_event(const struct vring *v)
{
    return (uint16_t)space_load(v->space, v->used + 4 + 8u * v->size, 2);
}
