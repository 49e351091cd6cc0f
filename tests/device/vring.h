/* SPDX-License-Identifier: Apache-2.0 */
/* The driver side of a split virtqueue, as a guest would build it, for tests. */
#ifndef TESTS_DEVICE_VRING_H
#define TESTS_DEVICE_VRING_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/space.h"

enum { VRING_NEXT = 1, VRING_WRITE = 2, VRING_INDIRECT = 4 };

struct vring {
    struct space *space;
    uint64_t desc, avail, used;
    uint16_t size;
    uint16_t next_desc, avail_idx, used_seen;
};

struct vring_buffer {
    uint64_t gpa;
    uint32_t len;
    bool write;
};

/* A ring with its parts from @base on, laid out as legacy devices need it. */
void vring_init(struct vring *v, struct space *space, uint64_t base, uint16_t size);
/* Bytes that the ring takes. */
uint64_t vring_bytes(uint16_t size);
void vring_set_desc(struct vring *v, uint16_t index, uint64_t gpa, uint32_t len, uint16_t flags,
                    uint16_t next);
/* Makes descriptor @head available. */
void vring_offer(struct vring *v, uint16_t head);
/* Builds a chain of @count buffers in the next descriptors and offers it; returns its head. */
uint16_t vring_add(struct vring *v, const struct vring_buffer *buffers, unsigned count);
/* The same through an indirect table at @table. */
uint16_t vring_add_indirect(struct vring *v, uint64_t table, const struct vring_buffer *buffers,
                            unsigned count);
/* The next used entry; false when there is none. */
bool vring_used(struct vring *v, uint32_t *ret_id, uint32_t *ret_len);
/* Interrupt wishes. */
void vring_set_used_event(struct vring *v, uint16_t index);
void vring_set_flags(struct vring *v, uint16_t flags);
uint16_t vring_avail_event(const struct vring *v);

#endif
