/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio input device (virtio 1.2, 5.8): a tablet, which says where the pointer is, so that it
 * stands in the guest where it stands on the user's screen.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_INPUT_H
#define DEVICE_VIRTIO_VIRTIO_INPUT_H

#include "device/virtio/virtio.h"
#include "io/input.h"

struct virtio_input;

/* Adds a tablet at @slot of @bus. Borrows @space. NULL with @err set. Freed by its struct device.
 */
struct virtio_input *virtio_input_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                      struct error *err);
struct device *virtio_input_device(struct virtio_input *in);
struct pci_function *virtio_input_function(struct virtio_input *in);
/* Where its movements enter; ready while the driver runs it. */
struct input *virtio_input_input(struct virtio_input *in);

#endif
