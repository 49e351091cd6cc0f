/* SPDX-License-Identifier: Apache-2.0 */
#include "device/virtio/virtio.h"

#include <errno.h>

#include "base/mem.h"
#include "device/virtio/virtio_internal.h"

enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

static void virtio_go_on(struct device *dev)
{
    virtio_kick_all(container_of(dev, struct virtio_device, dev));
}

int virtio_init(struct virtio_device *vd, const struct virtio_class *class, struct pci_bus *bus,
                unsigned slot, struct space *space, uint64_t features, struct error *err)
{
    int r;

    vd->class = class;
    vd->space = space;
    vd->offered = features | VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT) |
                  VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
    for (unsigned n = 0; n < class->queues; n++) {
        vd->queue[n].space = space;
        vd->queue[n].size_max = class->queue_size;
    }
    vd->dev.reset = virtio_reset;
    vd->dev.go_on = virtio_go_on;
    r = virtio_pci_add(vd, bus, slot, err);
    if (r < 0)
        return error_wrap(err, r, "add %s", vd->dev.name);
    virtio_reset(&vd->dev);
    return 0;
}

void virtio_reset(struct device *dev)
{
    struct virtio_device *vd = container_of(dev, struct virtio_device, dev);

    if (vd->class->stop)
        vd->class->stop(vd);
    state_reset(dev->state, dev);
    for (unsigned n = 0; n < vd->class->queues; n++)
        vd->queue[n].size = vd->queue[n].size_max;
}

/* Message interrupts leave no trace in the pin. */
static void update_pin(struct virtio_device *vd)
{
    pci_set_intx(vd->pci, vd->isr != 0 && !pci_msix_enabled(vd->pci));
}

static void negotiated(struct virtio_device *vd)
{
    for (unsigned n = 0; n < vd->class->queues; n++) {
        vd->queue[n].event_idx = virtio_has(vd, VIRTIO_F_EVENT_IDX);
        vd->queue[n].indirect = virtio_has(vd, VIRTIO_F_INDIRECT_DESC);
    }
}

void virtio_after(void *dev)
{
    struct virtio_device *vd = dev;

    vd->features &= vd->offered;
    for (unsigned n = 0; n < vd->class->queues; n++) {
        struct virtqueue *vq = &vd->queue[n];
        if (!vq->size || vq->size > vq->size_max || (vq->size & (vq->size - 1)))
            vq->enabled = 0; /* never from our own save */
        vq->vector = virtio_vector(vd, vq->vector);
    }
    vd->config_vector = virtio_vector(vd, vd->config_vector);
    negotiated(vd);
    update_pin(vd);
}

uint16_t virtio_vector(const struct virtio_device *vd, uint64_t value)
{
    return value <= vd->class->queues ? (uint16_t)value : (uint16_t)VIRTQ_NO_VECTOR;
}

bool virtio_running(const struct virtio_device *vd)
{
    return (vd->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK &&
           pci_bus_master(vd->pci);
}

static void interrupt(struct virtio_device *vd, uint8_t cause, uint16_t vector)
{
    if (pci_msix_enabled(vd->pci)) {
        if (vector != VIRTQ_NO_VECTOR)
            pci_msix_notify(vd->pci, vector);
        return;
    }
    vd->isr |= cause;
    update_pin(vd);
}

uint8_t virtio_take_isr(struct virtio_device *vd)
{
    uint8_t isr = vd->isr;

    vd->isr = 0;
    update_pin(vd);
    return isr;
}

void virtio_publish(struct virtio_device *vd, unsigned n)
{
    int r = virtq_publish(&vd->queue[n]);

    if (r < 0)
        virtio_fail(vd, n, r);
    else if (r)
        interrupt(vd, ISR_QUEUE, vd->queue[n].vector);
}

/* Chains served in one go: a guest may add more from other processors while we work. */
enum { SERVE_BUDGET = 16 * VIRTQ_SIZE_MAX };

void virtio_serve(struct virtio_device *vd, unsigned n, struct virtq_chain *chain,
                  int64_t (*handle)(struct virtio_device *vd, const struct virtq_chain *chain))
{
    struct virtqueue *vq = &vd->queue[n];
    int r = 1;

    for (unsigned budget = SERVE_BUDGET; budget && r > 0; budget--) {
        r = virtq_pop(vq, chain);
        if (r > 0) {
            int64_t written = handle(vd, chain);
            if (written == VIRTIO_LATER) {
                virtq_unpop(vq, 1);
                break;
            }
            r = written < 0 ? (int)written : virtq_push(vq, chain->head, (uint32_t)written);
            r = r < 0 ? r : 1;
        } else if (r == 0) {
            r = virtq_want_kicks(vq);
        }
    }
    if (r < 0)
        virtio_fail(vd, n, r);
    else
        virtio_publish(vd, n);
}

void virtio_config_changed(struct virtio_device *vd)
{
    vd->generation++;
    if (vd->status & VIRTIO_DRIVER_OK)
        interrupt(vd, ISR_CONFIG, vd->config_vector);
}

void virtio_fail(struct virtio_device *vd, unsigned n, int code)
{
    if (vd->status & VIRTIO_NEEDS_RESET)
        return;
    log_debug("virtio", "%s: the driver broke queue %u (%s): needs reset", vd->dev.name, n,
              code == -EFAULT ? "an address outside memory" : "not a valid ring");
    vd->status |= VIRTIO_NEEDS_RESET;
    if (vd->status & VIRTIO_DRIVER_OK)
        interrupt(vd, ISR_CONFIG, vd->config_vector);
}

void virtio_kick(struct virtio_device *vd, unsigned queue)
{
    if (queue < vd->class->queues && vd->queue[queue].enabled && virtio_running(vd))
        vd->class->notified(vd, queue);
}

void virtio_kick_all(struct virtio_device *vd)
{
    for (unsigned n = 0; n < vd->class->queues; n++)
        virtio_kick(vd, n);
}

void virtio_set_features(struct virtio_device *vd, unsigned word, uint32_t bits)
{
    if (word > 1 || (vd->status & (VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK)))
        return;
    vd->features &= ~(0xffffffffull << word * 32);
    vd->features |= (uint64_t)bits << word * 32;
}

void virtio_set_status(struct virtio_device *vd, uint8_t status)
{
    uint8_t old = vd->status;

    if (!status) {
        virtio_reset(&vd->dev);
        return;
    }
    /* 2.1.1: bits are not cleared but by a reset; "needs reset" is ours. */
    status = (uint8_t)(old | (status & ~VIRTIO_NEEDS_RESET));
    if ((status & ~old & VIRTIO_FEATURES_OK) &&
        ((vd->features & ~vd->offered) || !virtio_has(vd, VIRTIO_F_VERSION_1)))
        status &= (uint8_t)~VIRTIO_FEATURES_OK;
    if (status & ~old & VIRTIO_DRIVER_OK) {
        if (!(status & VIRTIO_FEATURES_OK)) /* a legacy driver */
            vd->features &= vd->offered & 0xffffffffu;
        negotiated(vd);
    }
    vd->status = status;
    if (status & ~old & VIRTIO_DRIVER_OK) {
        if (vd->class->started)
            vd->class->started(vd);
        virtio_kick_all(vd);
    }
}

void virtio_start_queue(struct virtio_device *vd, struct virtqueue *vq)
{
    if (virtq_enable(vq) < 0)
        virtio_fail(vd, (unsigned)(vq - vd->queue), -EPROTO);
}

uint32_t virtio_config_read(const struct virtio_device *vd, uint64_t offset, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size && i < 4; i++)
        if (offset + i < vd->class->config_size)
            value |= (uint32_t)vd->config[offset + i] << i * 8;
    return value;
}

void virtio_config_write(struct virtio_device *vd, uint64_t offset, unsigned size, uint32_t value)
{
    if (vd->class->config_written && offset < vd->class->config_size &&
        size <= vd->class->config_size - offset)
        vd->class->config_written(vd, (unsigned)offset, size, value);
}
