/* SPDX-License-Identifier: Apache-2.0 */
#include "device/virtio/virtio_rng.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { QUEUE_SIZE = 64 };
/* What one request gets at most: it may ask for gigabytes, and may be given less (5.4.6.1). */
enum { ANSWER_MAX = 4096 };

struct virtio_rng {
    struct virtio_device vd;
    virtio_rng_fill *fill;
    void *opaque;
    struct virtq_chain chain; /* work space */
};

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_rng),
    VIRTQ_STATE(struct virtio_rng, 0),
};
static const struct state_table state = {.name = "virtio-rng",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = virtio_after};

static int64_t answer(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_rng *rng = container_of(vd, struct virtio_rng, vd);
    uint8_t bytes[256];
    uint64_t want = min_of(c->in_len, (uint64_t)ANSWER_MAX), done = 0;

    if (c->out_len || !want)
        return -EPROTO; /* 5.4.6: writable buffers only */
    while (done < want) {
        size_t n = (size_t)min_of(want - done, (uint64_t)sizeof(bytes));
        if (rng->fill(rng->opaque, bytes, n) < 0) {
            log_warn("virtio", "%s: no random bytes", vd->dev.name);
            break;
        }
        if (virtq_write(&vd->queue[0], c, done, bytes, n) < 0)
            return -EFAULT;
        done += n;
    }
    return (int64_t)done;
}

static void rng_notified(struct virtio_device *vd, unsigned queue)
{
    virtio_serve(vd, 0, &container_of(vd, struct virtio_rng, vd)->chain, answer);
}

static const struct virtio_class class = {
    .name = "virtio-rng",
    .type = 4,
    .pci_device = 0x1005,
    .pci_class = 0x00ff00,
    .queues = 1,
    .queue_size = QUEUE_SIZE,
    .notified = rng_notified,
};

static void rng_free(struct device *dev)
{
    free(container_of(dev, struct virtio_rng, vd.dev));
}

struct virtio_rng *virtio_rng_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                  virtio_rng_fill *fill, void *opaque, struct error *err)
{
    struct virtio_rng *rng = mem_new(struct virtio_rng);

    if (!rng) {
        error_set(err, -ENOMEM, "add virtio-rng: out of memory");
        return NULL;
    }
    rng->fill = fill;
    rng->opaque = opaque;
    rng->vd.dev.state = &state;
    rng->vd.dev.free = rng_free;
    snprintf(rng->vd.dev.name, sizeof(rng->vd.dev.name), "virtio-rng@%u", slot);
    if (virtio_init(&rng->vd, &class, bus, slot, space, 0, err) < 0) {
        rng_free(&rng->vd.dev);
        return NULL;
    }
    return rng;
}

struct device *virtio_rng_device(struct virtio_rng *rng)
{
    return &rng->vd.dev;
}

struct pci_function *virtio_rng_function(struct virtio_rng *rng)
{
    return rng->vd.pci;
}
