/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio console (virtio 1.2, 5.3): one port that is a console, and when wanted a second one
 * that programs of the guest find by its name (VIRTIO_CONSOLE_F_MULTIPORT).
 */
#ifndef DEVICE_VIRTIO_VIRTIO_CONSOLE_H
#define DEVICE_VIRTIO_VIRTIO_CONSOLE_H

#include "device/virtio/virtio.h"
#include "io/chardev.h"

enum { VIRTIO_CONSOLE_PORTS = 2 };

struct virtio_console;

/* What the ports are connected to. Character devices are borrowed and must outlive the device. */
struct virtio_console_ports {
    struct chardev *console; /* port 0; may be NULL when there is a named one */
    struct chardev *named;   /* port 1; NULL: absent, and the feature is not offered */
    const char *name;        /* of port 1, at most 63 bytes; copied */
};

/*
 * Adds a console at @slot of @bus and attaches it to @ports. Borrows @space. NULL with @err set on
 * failure. Freed by its struct device.
 */
struct virtio_console *virtio_console_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                          const struct virtio_console_ports *ports,
                                          struct error *err);
struct device *virtio_console_device(struct virtio_console *console);
/* For placing the BARs. */
struct pci_function *virtio_console_function(struct virtio_console *console);

#endif
