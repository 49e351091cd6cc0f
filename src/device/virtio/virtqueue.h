/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device side of a split virtqueue (virtio 1.2, section 2.7): descriptor table, available ring,
 * used ring, indirect descriptors and event indexes.
 *
 * Nothing in the rings is trusted: chains are bounded by VIRTQ_CHAIN_MAX, indexes by the queue
 * size, and every address goes through the memory space. A ring that breaks the rules makes a call
 * return a negative errno; the device then needs a reset (virtio_fail).
 *
 * The order of a device's work: virtq_pop until it returns 0; virtq_push for each chain that is
 * done, in any order; virtq_publish after a batch, which tells whether the driver wants an
 * interrupt. A device that stops popping asks for kicks again by virtq_want_kicks.
 */
#ifndef DEVICE_VIRTIO_VIRTQUEUE_H
#define DEVICE_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/space.h"
#include "bus/state.h"

enum { VIRTQ_SIZE_MAX = 256, VIRTQ_CHAIN_MAX = 256, VIRTQ_NO_VECTOR = 0xffff };

struct virtqueue {
    /* State, in the table of the device (VIRTQ_STATE). */
    uint64_t desc, driver, device; /* guest addresses of the three parts */
    uint16_t size;                 /* a power of two while enabled */
    uint16_t vector;               /* MSI-X vector or VIRTQ_NO_VECTOR */
    uint8_t enabled;
    uint16_t avail_next;     /* chains popped so far, modulo 2^16 */
    uint16_t used_next;      /* chains pushed so far */
    uint16_t used_published; /* of those, the ones that the driver can see */
    /* Set up by the transport. */
    struct space *space;
    uint16_t size_max;
    bool event_idx, indirect; /* as negotiated */
};

/* Fields of queue @n for the state table of a device @type that holds a struct virtio_device vd. */
#define VIRTQ_STATE_FIELD(type, n, field, reset_value)                                             \
    {                                                                                              \
        .name = "queue" #n "." #field, .kind = STATE_UINT, .count = 1,                             \
        .offset = offsetof(type, vd.queue[n].field),                                               \
        .size = sizeof(((type *)0)->vd.queue[n].field), .reset = (reset_value)                     \
    }
#define VIRTQ_STATE(type, n)                                                                       \
    VIRTQ_STATE_FIELD(type, n, desc, 0), VIRTQ_STATE_FIELD(type, n, driver, 0),                    \
        VIRTQ_STATE_FIELD(type, n, device, 0), VIRTQ_STATE_FIELD(type, n, size, 0),                \
        VIRTQ_STATE_FIELD(type, n, vector, VIRTQ_NO_VECTOR),                                       \
        VIRTQ_STATE_FIELD(type, n, enabled, 0), VIRTQ_STATE_FIELD(type, n, avail_next, 0),         \
        VIRTQ_STATE_FIELD(type, n, used_next, 0), VIRTQ_STATE_FIELD(type, n, used_published, 0)

/* A piece of guest memory that the driver lends. */
struct virtq_segment {
    uint64_t gpa;
    uint32_t len;
};

/* A descriptor chain: segments to read from (out) followed by segments to write to (in). */
struct virtq_chain {
    uint16_t head;
    uint16_t out_count, in_count;
    uint64_t out_len, in_len; /* bytes */
    struct virtq_segment segment[VIRTQ_CHAIN_MAX];
};

/*
 * Checks size and addresses and starts the queue from its beginning. -EINVAL when the driver set
 * something that cannot work.
 */
int virtq_enable(struct virtqueue *vq);

/* Chains that the driver has made available and that are not popped; negative on a broken ring. */
int virtq_pending(const struct virtqueue *vq);

/*
 * Takes the next chain. 1: got one; 0: there is none; -EPROTO or -EFAULT: the driver broke the
 * rules.
 */
int virtq_pop(struct virtqueue *vq, struct virtq_chain *ret);
/* Undoes the last @n pops (their chains were not pushed). */
void virtq_unpop(struct virtqueue *vq, unsigned n);

/* Hands chain @head back with @written bytes filled in. -EFAULT when the ring is not RAM. */
int virtq_push(struct virtqueue *vq, uint16_t head, uint32_t written);
/* Shows what was pushed to the driver. 1: it wants an interrupt; 0: not; negative: broken ring. */
int virtq_publish(struct virtqueue *vq);

/*
 * Asks the driver to kick when it adds the next chain. Returns 1 when there are chains already (no
 * kick will come for those), 0 when there are none, negative on a broken ring.
 */
int virtq_want_kicks(struct virtqueue *vq);

/*
 * Copies @len bytes at byte @offset of the readable part out of / of the writable part into guest
 * memory. -EFAULT when the chain is shorter or is not RAM.
 */
int virtq_read(const struct virtqueue *vq, const struct virtq_chain *c, uint64_t offset, void *to,
               size_t len);
int virtq_write(const struct virtqueue *vq, const struct virtq_chain *c, uint64_t offset,
                const void *from, size_t len);

/*
 * Host spans of up to @len bytes at @offset of the readable (@in false) or writable (@in true)
 * part. Returns the number of spans (at most @max) and in *ret_len the bytes they cover, which is
 * less than @len when @max spans were not enough. -EFAULT as above.
 */
int virtq_spans(const struct virtqueue *vq, const struct virtq_chain *c, bool in, uint64_t offset,
                size_t len, struct space_span *spans, int max, size_t *ret_len);
/*
 * The same for drives: *ret_len is a whole number of sectors of 512 bytes, what is beyond is left
 * to the next part. -EINVAL when one sector is in more than @max pieces.
 */
int virtq_sector_spans(const struct virtqueue *vq, const struct virtq_chain *c, bool in,
                       uint64_t offset, size_t len, struct space_span *spans, int max,
                       size_t *ret_len);

#endif
