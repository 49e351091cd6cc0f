/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio console (virtio 1.2, 5.3) with one port. */
#ifndef DEVICE_VIRTIO_VIRTIO_CONSOLE_H
#define DEVICE_VIRTIO_VIRTIO_CONSOLE_H

#include "device/virtio/virtio.h"
#include "io/chardev.h"

struct virtio_console;

/*
 * Adds a console at @slot of @bus and attaches it to @chardev. Borrows @space and @chardev, which
 * must outlive the device. NULL with @err set on failure. Freed by its struct device.
 */
struct virtio_console *virtio_console_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                          struct chardev *chardev, struct error *err);
struct device *virtio_console_device(struct virtio_console *console);
/* For placing the BARs. */
struct pci_function *virtio_console_function(struct virtio_console *console);

#endif
