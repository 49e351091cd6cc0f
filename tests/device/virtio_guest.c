/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"

static void intx_set(void *opaque, unsigned input, int level)
{
    struct guest *g = opaque;

    if (input == GUEST_SLOT * 4)
        g->intx = level;
}

static void msi_send_to(void *opaque, uint64_t address, uint32_t data)
{
    struct guest *g = opaque;

    assert_int_equal(address, 0xfee00000);
    g->msi_count++;
    g->msi_data = data;
}

void guest_init(struct guest *g)
{
    *g = (struct guest){0};
    g->ram = gmem_new(GUEST_RAM, NULL);
    g->space = space_new(g->ram, NULL);
    assert_non_null(space_map_ram(g->space, "ram", 0, GUEST_RAM, 0, 0, NULL));
    g->ports = ports_new(NULL);
    g->bus = pci_bus_new(g->space, g->ports, &(struct irq_line){.set = intx_set, .opaque = g},
                         &(struct msi_sink){.send = msi_send_to, .opaque = g}, NULL);
    assert_non_null(g->bus);
}

void guest_plug(struct guest *g, struct device *dev, struct pci_function *pci)
{
    g->dev = dev;
    g->pci = pci;
    pci_place_bar(pci, VIRTIO_BAR_IO, GUEST_IO, NULL); /* modern devices have none */
    assert_int_equal(pci_place_bar(pci, VIRTIO_BAR_MSIX, GUEST_MSIX, NULL), 0);
    assert_int_equal(pci_place_bar(pci, VIRTIO_BAR_MMIO, GUEST_MMIO, NULL), 0);
    guest_config_write(g, 4, 2, guest_config_read(g, 4, 2) | 4); /* bus master */
}

void guest_done(struct guest *g)
{
    if (g->dev)
        g->dev->free(g->dev);
    pci_bus_free(g->bus);
    ports_free(g->ports);
    space_free(g->space);
    gmem_free(g->ram);
}

static void config_address(struct guest *g, unsigned offset)
{
    ports_write(g->ports, 0xcf8, 4, 0x80000000u | GUEST_SLOT << 11 | (offset & 0xfc));
}

uint32_t guest_config_read(struct guest *g, unsigned offset, unsigned size)
{
    config_address(g, offset);
    return ports_read(g->ports, (uint16_t)(0xcfc + offset % 4), size);
}

void guest_config_write(struct guest *g, unsigned offset, unsigned size, uint32_t value)
{
    config_address(g, offset);
    ports_write(g->ports, (uint16_t)(0xcfc + offset % 4), size, value);
}

uint64_t guest_read(struct guest *g, unsigned page, unsigned offset, unsigned size)
{
    return space_load(g->space, GUEST_MMIO + (page << 12) + offset, size);
}

void guest_write(struct guest *g, unsigned page, unsigned offset, unsigned size, uint64_t value)
{
    space_store(g->space, GUEST_MMIO + (page << 12) + offset, size, value);
}

uint64_t guest_features(struct guest *g)
{
    uint64_t features;

    if (g->legacy)
        return ports_read(g->ports, GUEST_IO, 4);
    guest_write(g, 0, 0, 4, 0);
    features = guest_read(g, 0, 4, 4);
    guest_write(g, 0, 0, 4, 1);
    return features | guest_read(g, 0, 4, 4) << 32;
}

uint8_t guest_status(struct guest *g)
{
    return (uint8_t)(g->legacy ? ports_read(g->ports, GUEST_IO + 18, 1) : guest_read(g, 0, 20, 1));
}

uint8_t guest_isr(struct guest *g)
{
    return (uint8_t)(g->legacy ? ports_read(g->ports, GUEST_IO + 19, 1) : guest_read(g, 1, 0, 1));
}

static void set_status(struct guest *g, uint8_t status)
{
    if (g->legacy)
        ports_write(g->ports, GUEST_IO + 18, 1, status);
    else
        guest_write(g, 0, 20, 1, status);
}

static void start_legacy(struct guest *g, uint64_t features, unsigned queues)
{
    ports_write(g->ports, GUEST_IO + 4, 4, (uint32_t)features);
    for (unsigned n = 0; n < queues; n++) {
        uint16_t size;
        ports_write(g->ports, GUEST_IO + 14, 2, n);
        size = (uint16_t)ports_read(g->ports, GUEST_IO + 12, 2);
        assert_true(size > 0);
        vring_init(&g->ring[n], g->space, GUEST_RINGS + 0x10000 * n, size);
        ports_write(g->ports, GUEST_IO + 8, 4, (uint32_t)(g->ring[n].desc / 4096));
    }
    set_status(g, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK);
}

static void start_modern(struct guest *g, uint64_t features, unsigned queues, uint16_t size)
{
    features |= VIRTIO_BIT(VIRTIO_F_VERSION_1);
    for (unsigned word = 0; word < 2; word++) {
        guest_write(g, 0, 8, 4, word);
        guest_write(g, 0, 12, 4, (uint32_t)(features >> word * 32));
    }
    set_status(g, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    assert_true(guest_status(g) & VIRTIO_FEATURES_OK);
    for (unsigned n = 0; n < queues; n++) {
        vring_init(&g->ring[n], g->space, GUEST_RINGS + 0x10000 * n, size);
        guest_write(g, 0, 22, 2, n);
        guest_write(g, 0, 24, 2, size);
        guest_write(g, 0, 32, 8, g->ring[n].desc);
        guest_write(g, 0, 40, 4, (uint32_t)g->ring[n].avail); /* in halves too */
        guest_write(g, 0, 44, 4, 0);
        guest_write(g, 0, 48, 8, g->ring[n].used);
        guest_write(g, 0, 28, 2, 1);
        assert_int_equal(guest_read(g, 0, 28, 2), 1);
    }
    set_status(g, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

void guest_start(struct guest *g, bool legacy, uint64_t features, unsigned queues, uint16_t size)
{
    g->legacy = legacy;
    set_status(g, 0);
    assert_int_equal(guest_status(g), 0);
    set_status(g, VIRTIO_ACKNOWLEDGE);
    set_status(g, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    if (legacy)
        start_legacy(g, features, queues);
    else
        start_modern(g, features, queues, size);
    assert_true(guest_status(g) & VIRTIO_DRIVER_OK);
    assert_false(guest_status(g) & VIRTIO_NEEDS_RESET);
}

void guest_kick(struct guest *g, unsigned queue)
{
    if (g->legacy)
        ports_write(g->ports, GUEST_IO + 16, 2, queue);
    else
        guest_write(g, 3, queue * 4, 2, queue);
}

void guest_enable_msix(struct guest *g, unsigned vectors)
{
    unsigned cap = guest_config_read(g, 0x34, 1);

    for (unsigned n = 0; n < vectors; n++) {
        space_store(g->space, GUEST_MSIX + 16 * n, 8, 0xfee00000);
        space_store(g->space, GUEST_MSIX + 16 * n + 8, 4, 0x100 + n);
        space_store(g->space, GUEST_MSIX + 16 * n + 12, 4, 0);
    }
    while (cap && guest_config_read(g, cap, 1) != 0x11)
        cap = guest_config_read(g, cap + 1, 1);
    assert_true(cap != 0);
    guest_config_write(g, cap + 2, 2, 0x8000);
}

void guest_put(struct guest *g, uint64_t gpa, const void *bytes, size_t len)
{
    assert_int_equal(space_write(g->space, gpa, bytes, len), 0);
}

void guest_get(struct guest *g, uint64_t gpa, void *bytes, size_t len)
{
    assert_int_equal(space_read(g->space, gpa, bytes, len), 0);
}
