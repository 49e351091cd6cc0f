/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every device has in common.
 *
 * A device is a struct that begins with struct device. It is made by its own xxx_new (which maps
 * its ports or registers and takes irq_line, msi_sink, gclock, block, netdev or chardev), lives
 * until xxx_free and answers reset, inspect, save and load through its state table. Devices never
 * block, never open anything, and are only called with the machine lock held. What the guest writes
 * is never trusted: a guest error is a device error (status bits, "needs reset"), logged at debug
 * level, never an assert.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "bus/state.h"

struct device {
    const struct state_table *state;
    char name[32]; /* unique in its machine: "i8254", "virtio-blk0" */
    void (*reset)(
        struct device *dev);          /* NULL: state_reset(dev->state, dev) is all there is to do */
    void (*free)(struct device *dev); /* frees dev itself */
    /* Waits for what is in flight, so that the state table says all; NULL: nothing ever is. */
    void (*settle)(struct device *dev);
    /* After settle, or after the states of all devices were loaded: looks for work again. */
    void (*go_on)(struct device *dev);
    struct device *next; /* the machine's list */
};

static inline void device_reset(struct device *dev)
{
    if (dev->reset)
        dev->reset(dev);
    else
        state_reset(dev->state, dev);
}

#endif
