/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio entropy device (virtio 1.2, 5.4). */
#ifndef DEVICE_VIRTIO_VIRTIO_RNG_H
#define DEVICE_VIRTIO_VIRTIO_RNG_H

#include "device/virtio/virtio.h"

struct virtio_rng;

/* Where random bytes come from: fills @bytes, at once; 0 or a negative errno. */
typedef int virtio_rng_fill(void *opaque, void *bytes, size_t len);

/*
 * Adds an entropy device at @slot of @bus that gives out what @fill(@opaque) makes. Borrows @space.
 * NULL with @err set on failure. Freed by its struct device.
 */
struct virtio_rng *virtio_rng_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                  virtio_rng_fill *fill, void *opaque, struct error *err);
struct device *virtio_rng_device(struct virtio_rng *rng);
/* For placing the BARs. */
struct pci_function *virtio_rng_function(struct virtio_rng *rng);

#endif
