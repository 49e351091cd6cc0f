/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio 1.2 device over PCI, modern and transitional: status, feature negotiation, queues,
 * configuration and interrupts, common to all kinds. A kind (virtio_blk.c ...) embeds struct
 * virtio_device first, describes itself in a struct virtio_class and handles its queues.
 *
 * The board places the BARs: BAR 0 legacy I/O (VIRTIO_IO_SIZE ports), BAR 1 MSI-X, BAR 4 the modern
 * registers (64-bit, VIRTIO_MMIO_SIZE bytes).
 */
#ifndef DEVICE_VIRTIO_VIRTIO_H
#define DEVICE_VIRTIO_VIRTIO_H

#include "base/log.h"
#include "device/device.h"
#include "device/pci.h"
#include "device/virtio/virtqueue.h"

enum { VIRTIO_BAR_IO = 0, VIRTIO_BAR_MSIX = 1, VIRTIO_BAR_MMIO = 4 };
enum { VIRTIO_IO_SIZE = 128, VIRTIO_MMIO_SIZE = 0x4000 };
enum { VIRTIO_QUEUES = 6, VIRTIO_CONFIG_MAX = 136 };

/* Device status (2.1). */
enum {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128
};

/* Feature bits common to all kinds (6). */
enum {
    VIRTIO_F_NOTIFY_ON_EMPTY = 24,
    VIRTIO_F_ANY_LAYOUT = 27,
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
};
#define VIRTIO_BIT(n) (1ull << (n))

struct virtio_device;

struct virtio_class {
    const char *name;     /* "virtio-blk" */
    uint16_t type;        /* virtio device type (5) */
    uint16_t pci_device;  /* transitional PCI device id (4.1.2.1), or from 0x1040 on a modern one */
    uint32_t pci_class;   /* 24 bits */
    unsigned queues;      /* at most VIRTIO_QUEUES */
    uint16_t queue_size;  /* the largest, of each queue */
    unsigned config_size; /* bytes of vd->config that exist */
    /* The driver is ready (DRIVER_OK): features are final, queues are set up. May be NULL. */
    void (*started)(struct virtio_device *vd);
    /* The driver kicked @queue, or it may hold work that was not looked at. */
    void (*notified)(struct virtio_device *vd, unsigned queue);
    /* The driver wrote config[offset..]; @value is not stored yet. NULL: read-only. */
    void (*config_written)(struct virtio_device *vd, unsigned offset, unsigned size,
                           uint32_t value);
    /* Stop: finish or forget all chains that are held; called before state is reset. May be NULL.
     */
    void (*stop)(struct virtio_device *vd);
};

struct virtio_device {
    struct device dev;
    const struct virtio_class *class;
    struct space *space;
    struct pci_function *pci;
    unsigned window_cap; /* offset of the PCI configuration access capability */
    uint64_t offered;    /* features */
    /* State, in the table of the kind (VIRTIO_STATE). */
    uint64_t features;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t queue_select, config_vector;
    uint8_t status, isr, generation;
    struct virtqueue queue[VIRTIO_QUEUES];
    /* What the driver reads as device configuration (5.x.4); kept up to date by the kind. */
    uint8_t config[VIRTIO_CONFIG_MAX];
};

/* The common fields for the state table of @type, which holds a struct virtio_device vd. */
#define VIRTIO_STATE_FIELD(type, field, reset_value)                                               \
    {                                                                                              \
        .name = #field, .kind = STATE_UINT, .count = 1, .offset = offsetof(type, vd.field),        \
        .size = sizeof(((type *)0)->vd.field), .reset = (reset_value)                              \
    }
#define VIRTIO_STATE(type)                                                                         \
    VIRTIO_STATE_FIELD(type, features, 0), VIRTIO_STATE_FIELD(type, device_feature_select, 0),     \
        VIRTIO_STATE_FIELD(type, driver_feature_select, 0),                                        \
        VIRTIO_STATE_FIELD(type, queue_select, 0),                                                 \
        VIRTIO_STATE_FIELD(type, config_vector, VIRTQ_NO_VECTOR),                                  \
        VIRTIO_STATE_FIELD(type, status, 0), VIRTIO_STATE_FIELD(type, isr, 0),                     \
        VIRTIO_STATE_FIELD(type, generation, 0)

/*
 * Adds the device to @bus with the features of its kind @features (ring and transport features are
 * added here). vd->dev.state, .free and .name are the kind's to set before. 0 or a negative errno.
 */
int virtio_init(struct virtio_device *vd, const struct virtio_class *class, struct pci_bus *bus,
                unsigned slot, struct space *space, uint64_t features, struct error *err);

/* The `after` hook for state tables: recomputes what is derived from state. @dev is the kind. */
void virtio_after(void *dev);

static inline bool virtio_has(const struct virtio_device *vd, unsigned feature)
{
    return (vd->features & VIRTIO_BIT(feature)) != 0;
}

/* Whether queues may be served: DRIVER_OK, not broken, and the function may master the bus. */
bool virtio_running(const struct virtio_device *vd);

/* Publishes queue @n and interrupts the driver if it wants that. */
void virtio_publish(struct virtio_device *vd, unsigned n);
/*
 * Serves queue @n for a device that finishes each chain at once: pops into @chain (work space of
 * the device) and calls @handle, which returns the bytes it has written to the chain, a negative
 * errno when the driver broke the rules, or VIRTIO_LATER: the chain stays in the ring and serving
 * ends; the device comes back when it can go on.
 */
#define VIRTIO_LATER INT64_MIN
void virtio_serve(struct virtio_device *vd, unsigned n, struct virtq_chain *chain,
                  int64_t (*handle)(struct virtio_device *vd, const struct virtq_chain *chain));
/* Tells the driver that the configuration changed. */
void virtio_config_changed(struct virtio_device *vd);
/* The driver broke the rules in queue @n (negative errno @code): DEVICE_NEEDS_RESET. */
void virtio_fail(struct virtio_device *vd, unsigned n, int code);

#endif
