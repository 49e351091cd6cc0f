/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio block device (virtio 1.2, 5.2): one queue, many requests in flight. */
#ifndef DEVICE_VIRTIO_VIRTIO_BLK_H
#define DEVICE_VIRTIO_VIRTIO_BLK_H

#include "device/virtio/virtio.h"
#include "io/block.h"

struct virtio_blk;

/*
 * Adds a drive at @slot of @bus. Borrows @space and @block, which must outlive the device. NULL
 * with @err set on failure. Freed by its struct device.
 */
struct virtio_blk *virtio_blk_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                  struct block *block, struct error *err);
struct device *virtio_blk_device(struct virtio_blk *blk);
/* For placing the BARs. */
struct pci_function *virtio_blk_function(struct virtio_blk *blk);

/* Bytes moved and requests done since the machine was made. */
struct virtio_blk_stats {
    uint64_t read_bytes, written_bytes, requests;
};
void virtio_blk_stats(const struct virtio_blk *blk, struct virtio_blk_stats *ret);

#endif
