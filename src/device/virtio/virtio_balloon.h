/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio memory balloon (virtio 1.2, 5.5) with free page reporting: what the guest does not use
 * goes back to the host.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_BALLOON_H
#define DEVICE_VIRTIO_VIRTIO_BALLOON_H

#include "device/virtio/virtio.h"

struct virtio_balloon;

/*
 * Adds a balloon at @slot of @bus. Borrows @space, which must outlive the device. NULL with @err
 * set on failure. Freed by its struct device.
 */
struct virtio_balloon *virtio_balloon_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                          struct error *err);
struct device *virtio_balloon_device(struct virtio_balloon *b);
struct pci_function *virtio_balloon_function(struct virtio_balloon *b); /* for placing the BARs */
/* Whether a driver runs that would do what is asked. */
bool virtio_balloon_running(const struct virtio_balloon *b);
/*
 * Asks the driver to keep @pages of 4 KiB for the host; it may take its time or give fewer.
 * virtio_balloon_pages: how many it says it has given.
 */
void virtio_balloon_set(struct virtio_balloon *b, uint32_t pages);
uint32_t virtio_balloon_pages(const struct virtio_balloon *b);

#endif
