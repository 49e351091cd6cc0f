/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio network device (virtio 1.2, 5.1): one pair of queues and a control queue. */
#ifndef DEVICE_VIRTIO_VIRTIO_NET_H
#define DEVICE_VIRTIO_VIRTIO_NET_H

#include "device/virtio/virtio.h"
#include "io/netdev.h"

struct virtio_net;

/*
 * Adds a network adapter with address @mac at @slot of @bus and attaches it to @netdev. Borrows
 * @space and @netdev, which must outlive the device. NULL with @err set on failure. Freed by its
 * struct device.
 */
struct virtio_net *virtio_net_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                  struct netdev *netdev, const uint8_t mac[6], struct error *err);
struct device *virtio_net_device(struct virtio_net *net);
/* For placing the BARs. */
struct pci_function *virtio_net_function(struct virtio_net *net);

#endif
