/* SPDX-License-Identifier: Apache-2.0 */
/* What the register windows (virtio_pci.c) ask of the device core (virtio.c). */
#ifndef DEVICE_VIRTIO_VIRTIO_INTERNAL_H
#define DEVICE_VIRTIO_VIRTIO_INTERNAL_H

#include "device/virtio/virtio.h"

/* Stops the device and puts it in its reset state. @dev is the struct device of a virtio_device. */
void virtio_reset(struct device *dev);
/* The driver writes the status register; 0 resets. */
void virtio_set_status(struct virtio_device *vd, uint8_t status);
/* The driver writes 32 of its feature bits. */
void virtio_set_features(struct virtio_device *vd, unsigned word, uint32_t bits);
/* The driver kicks @queue (any value). */
void virtio_kick(struct virtio_device *vd, unsigned queue);
/* Kicks all queues: work may have been left while the device could not run. */
void virtio_kick_all(struct virtio_device *vd);
/* Starts the queue with the addresses that are set. */
void virtio_start_queue(struct virtio_device *vd, struct virtqueue *vq);
/* Reads and clears the interrupt status. */
uint8_t virtio_take_isr(struct virtio_device *vd);
/* Device configuration; bytes that do not exist read as 0 and ignore writes. */
uint32_t virtio_config_read(const struct virtio_device *vd, uint64_t offset, unsigned size);
void virtio_config_write(struct virtio_device *vd, uint64_t offset, unsigned size, uint32_t value);
/* A vector that exists, or VIRTQ_NO_VECTOR. */
uint16_t virtio_vector(const struct virtio_device *vd, uint64_t value);

/* Declares the PCI function, its BARs and capabilities. */
int virtio_pci_add(struct virtio_device *vd, struct pci_bus *bus, unsigned slot, struct error *err);

#endif
