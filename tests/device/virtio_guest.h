/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with one virtio device, for tests: memory, a PCI bus, and a driver's hands. */
#ifndef TESTS_DEVICE_VIRTIO_GUEST_H
#define TESTS_DEVICE_VIRTIO_GUEST_H

#include "device/virtio/virtio.h"
#include "vring.h"

enum {
    GUEST_RAM = 8 << 20,
    GUEST_SLOT = 3,
    GUEST_IO = 0xc000,
    GUEST_MSIX = 0xfe000000,
    GUEST_MMIO = 0xfe010000,
    GUEST_RINGS = 0x100000, /* each queue has 64 KiB from here */
    GUEST_BUF = 0x200000,
};

struct guest {
    struct gmem *ram;
    struct space *space;
    struct ports *ports;
    struct pci_bus *bus;
    struct device *dev;
    struct pci_function *pci;
    struct vring ring[VIRTIO_QUEUES];
    bool legacy;
    int intx;           /* level of the pin */
    unsigned msi_count; /* messages, and the data of the last one */
    uint32_t msi_data;
};

/* Memory and bus; then make the device in GUEST_SLOT and hand it to guest_plug. */
void guest_init(struct guest *g);
void guest_plug(struct guest *g, struct device *dev, struct pci_function *pci);
/* Frees the device and everything else. */
void guest_done(struct guest *g);

uint32_t guest_config_read(struct guest *g, unsigned offset, unsigned size);
void guest_config_write(struct guest *g, unsigned offset, unsigned size, uint32_t value);
/* Registers of the modern window, by their page (0 common, 1 ISR, 2 device, 3 notify). */
uint64_t guest_read(struct guest *g, unsigned page, unsigned offset, unsigned size);
void guest_write(struct guest *g, unsigned page, unsigned offset, unsigned size, uint64_t value);

/* Offered features as the chosen kind of driver sees them. */
uint64_t guest_features(struct guest *g);
/*
 * Brings the device up as a modern or legacy driver does, with @features (VERSION_1 is added for
 * modern ones) and @queues queues of @size entries (legacy: of the size that the device has).
 */
void guest_start(struct guest *g, bool legacy, uint64_t features, unsigned queues, uint16_t size);
void guest_kick(struct guest *g, unsigned queue);
uint8_t guest_status(struct guest *g);
uint8_t guest_isr(struct guest *g);
/* Enables MSI-X; vector n sends data 0x100 + n. */
void guest_enable_msix(struct guest *g, unsigned vectors);

void guest_put(struct guest *g, uint64_t gpa, const void *bytes, size_t len);
void guest_get(struct guest *g, uint64_t gpa, void *bytes, size_t len);

#endif
