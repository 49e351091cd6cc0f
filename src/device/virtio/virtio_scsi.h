/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio SCSI host (virtio 1.2, 5.6): disks as targets 0, 1 ... with logical unit 0 each, one
 * request queue.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_SCSI_H
#define DEVICE_VIRTIO_VIRTIO_SCSI_H

#include "device/virtio/virtio.h"
#include "io/block.h"

struct virtio_scsi;

enum { VIRTIO_SCSI_TARGETS = 16 };

/*
 * Adds a host with @count disks at @slot of @bus. Borrows @space and the disks, which must outlive
 * the device. NULL with @err set on failure. Freed by its struct device.
 */
struct virtio_scsi *virtio_scsi_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                    struct block *const *disks, unsigned count, struct error *err);
struct device *virtio_scsi_device(struct virtio_scsi *s);
struct pci_function *virtio_scsi_function(struct virtio_scsi *s); /* for placing the BARs */
/* Bytes read from and written to all its disks since the machine was made. */
void virtio_scsi_stats(const struct virtio_scsi *s, uint64_t *ret_read, uint64_t *ret_written);

#endif
