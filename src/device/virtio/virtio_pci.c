/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two register windows of a transitional device (virtio 1.2, 4.1): the legacy header in I/O
 * ports (4.1.4.10) and the modern structures in memory, one page each:
 *
 *   0x0000 common configuration (4.1.4.3)     0x2000 device configuration
 *   0x1000 ISR status                         0x3000 notifications, 4 bytes a queue
 */
#include <errno.h>

#include "base/mem.h"
#include "device/virtio/virtio_internal.h"

enum { PAGE_COMMON = 0, PAGE_ISR = 1, PAGE_DEVICE = 2, PAGE_NOTIFY = 3 };
enum { NOTIFY_MULTIPLIER = 4 };
enum { LEGACY_ALIGN = 4096 };

/* Common configuration (4.1.4.3), offsets. */
enum {
    COMMON_DEVICE_FEATURE_SELECT = 0,
    COMMON_DEVICE_FEATURE = 4,
    COMMON_DRIVER_FEATURE_SELECT = 8,
    COMMON_DRIVER_FEATURE = 12,
    COMMON_CONFIG_VECTOR = 16,
    COMMON_NUM_QUEUES = 18,
    COMMON_STATUS = 20,
    COMMON_GENERATION = 21,
    COMMON_QUEUE_SELECT = 22,
    COMMON_QUEUE_SIZE = 24,
    COMMON_QUEUE_VECTOR = 26,
    COMMON_QUEUE_ENABLE = 28,
    COMMON_QUEUE_NOTIFY_OFF = 30,
    COMMON_QUEUE_DESC = 32,
    COMMON_QUEUE_DRIVER = 40,
    COMMON_QUEUE_DEVICE = 48,
};

/* The selected queue, NULL when there is none of that number. */
static struct virtqueue *selected(struct virtio_device *vd)
{
    return vd->queue_select < vd->class->queues ? &vd->queue[vd->queue_select] : NULL;
}

/* Half @offset % 8 / 4, or all, of a 64-bit register. */
static uint64_t read_half(uint64_t reg, uint64_t offset, unsigned size)
{
    return size == 8 ? reg : (uint32_t)(reg >> (offset & 4) * 8);
}

static void write_half(uint64_t *reg, uint64_t offset, unsigned size, uint64_t value)
{
    unsigned shift = (offset & 4) * 8;

    if (size == 8)
        *reg = value;
    else if (size == 4)
        *reg = (*reg & ~(0xffffffffull << shift)) | (value & 0xffffffffu) << shift;
}

static uint64_t read_queue(struct virtio_device *vd, uint64_t offset, unsigned size)
{
    const struct virtqueue *vq = selected(vd);

    if (!vq)
        return 0;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        return vq->size;
    case COMMON_QUEUE_VECTOR:
        return vq->vector;
    case COMMON_QUEUE_ENABLE:
        return vq->enabled;
    case COMMON_QUEUE_NOTIFY_OFF:
        return vd->queue_select;
    case COMMON_QUEUE_DESC:
    case COMMON_QUEUE_DESC + 4:
        return read_half(vq->desc, offset, size);
    case COMMON_QUEUE_DRIVER:
    case COMMON_QUEUE_DRIVER + 4:
        return read_half(vq->driver, offset, size);
    case COMMON_QUEUE_DEVICE:
    case COMMON_QUEUE_DEVICE + 4:
        return read_half(vq->device, offset, size);
    default:
        return 0;
    }
}

static uint64_t read_common(struct virtio_device *vd, uint64_t offset, unsigned size)
{
    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        return vd->device_feature_select;
    case COMMON_DEVICE_FEATURE:
        return vd->device_feature_select > 1
                   ? 0
                   : (uint32_t)(vd->offered >> vd->device_feature_select * 32);
    case COMMON_DRIVER_FEATURE_SELECT:
        return vd->driver_feature_select;
    case COMMON_DRIVER_FEATURE:
        return vd->driver_feature_select > 1
                   ? 0
                   : (uint32_t)(vd->features >> vd->driver_feature_select * 32);
    case COMMON_CONFIG_VECTOR:
        return vd->config_vector;
    case COMMON_NUM_QUEUES:
        return vd->class->queues;
    case COMMON_STATUS:
        return vd->status;
    case COMMON_GENERATION:
        return vd->generation;
    case COMMON_QUEUE_SELECT:
        return vd->queue_select;
    default:
        return read_queue(vd, offset, size);
    }
}

static void write_queue(struct virtio_device *vd, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtqueue *vq = selected(vd);

    if (!vq)
        return;
    if (offset == COMMON_QUEUE_VECTOR) {
        vq->vector = virtio_vector(vd, value);
        return;
    }
    if (vq->enabled) /* 4.1.4.3.2: set up before it is enabled */
        return;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        vq->size = (uint16_t)value;
        break;
    case COMMON_QUEUE_ENABLE:
        if (value == 1)
            virtio_start_queue(vd, vq);
        break;
    case COMMON_QUEUE_DESC:
    case COMMON_QUEUE_DESC + 4:
        write_half(&vq->desc, offset, size, value);
        break;
    case COMMON_QUEUE_DRIVER:
    case COMMON_QUEUE_DRIVER + 4:
        write_half(&vq->driver, offset, size, value);
        break;
    case COMMON_QUEUE_DEVICE:
    case COMMON_QUEUE_DEVICE + 4:
        write_half(&vq->device, offset, size, value);
        break;
    default:
        break;
    }
}

static void write_common(struct virtio_device *vd, uint64_t offset, unsigned size, uint64_t value)
{
    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        vd->device_feature_select = (uint32_t)value;
        break;
    case COMMON_DRIVER_FEATURE_SELECT:
        vd->driver_feature_select = (uint32_t)value;
        break;
    case COMMON_DRIVER_FEATURE:
        virtio_set_features(vd, vd->driver_feature_select, (uint32_t)value);
        break;
    case COMMON_CONFIG_VECTOR:
        vd->config_vector = virtio_vector(vd, value);
        break;
    case COMMON_STATUS:
        virtio_set_status(vd, (uint8_t)value);
        break;
    case COMMON_QUEUE_SELECT:
        vd->queue_select = (uint16_t)value;
        break;
    default:
        write_queue(vd, offset, size, value);
        break;
    }
}

static uint64_t modern_read(void *dev, uint64_t offset, unsigned size)
{
    struct virtio_device *vd = dev;
    uint64_t in_page = offset & 0xfff, value;

    switch (offset >> 12) {
    case PAGE_COMMON:
        return read_common(vd, in_page, size);
    case PAGE_ISR:
        return in_page == 0 ? virtio_take_isr(vd) : 0;
    case PAGE_DEVICE:
        value = virtio_config_read(vd, in_page, size);
        if (size == 8)
            value |= (uint64_t)virtio_config_read(vd, in_page + 4, 4) << 32;
        return value;
    default:
        return 0;
    }
}

static void modern_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_device *vd = dev;
    uint64_t in_page = offset & 0xfff;

    switch (offset >> 12) {
    case PAGE_COMMON:
        write_common(vd, in_page, size, value);
        break;
    case PAGE_DEVICE:
        if (size <= 4)
            virtio_config_write(vd, in_page, size, (uint32_t)value);
        break;
    case PAGE_NOTIFY:
        virtio_kick(vd, (unsigned)(in_page / NOTIFY_MULTIPLIER));
        break;
    default:
        break;
    }
}

static const struct mmio_ops modern_ops = {.read = modern_read, .write = modern_write};

/* The legacy header (4.1.4.10), offsets. */
enum {
    LEGACY_DEVICE_FEATURES = 0,
    LEGACY_DRIVER_FEATURES = 4,
    LEGACY_QUEUE_PFN = 8,
    LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14,
    LEGACY_QUEUE_NOTIFY = 16,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20, /* while MSI-X is enabled; else the device configuration */
    LEGACY_QUEUE_VECTOR = 22,
};

/* Where device configuration starts, which moves by two registers while MSI-X is enabled. */
static unsigned legacy_config(const struct virtio_device *vd)
{
    return pci_msix_enabled(vd->pci) ? 24 : 20;
}

static uint32_t legacy_read(void *dev, uint16_t offset, unsigned size)
{
    struct virtio_device *vd = dev;
    const struct virtqueue *vq = selected(vd);

    if (offset >= legacy_config(vd))
        return virtio_config_read(vd, offset - legacy_config(vd), size);
    switch (offset) {
    case LEGACY_DEVICE_FEATURES:
        return (uint32_t)vd->offered;
    case LEGACY_DRIVER_FEATURES:
        return (uint32_t)vd->features;
    case LEGACY_QUEUE_PFN:
        return vq && vq->enabled ? (uint32_t)(vq->desc / LEGACY_ALIGN) : 0;
    case LEGACY_QUEUE_SIZE:
        return vq ? vq->size_max : 0;
    case LEGACY_QUEUE_SELECT:
        return vd->queue_select;
    case LEGACY_STATUS:
        return vd->status;
    case LEGACY_ISR:
        return virtio_take_isr(vd);
    case LEGACY_CONFIG_VECTOR:
        return vd->config_vector;
    case LEGACY_QUEUE_VECTOR:
        return vq ? vq->vector : VIRTQ_NO_VECTOR;
    default:
        return 0;
    }
}

/* The three parts follow each other from a page on (2.7.2); page 0 stops the queue. */
static void legacy_set_pfn(struct virtio_device *vd, struct virtqueue *vq, uint32_t pfn)
{
    vq->enabled = 0;
    vq->size = vq->size_max;
    vq->desc = (uint64_t)pfn * LEGACY_ALIGN;
    vq->driver = vq->desc + 16u * vq->size;
    vq->device = vq->driver + 4 + 2u * vq->size + 2;
    vq->device = (vq->device + LEGACY_ALIGN - 1) & ~(uint64_t)(LEGACY_ALIGN - 1);
    if (pfn)
        virtio_start_queue(vd, vq);
}

static void legacy_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct virtio_device *vd = dev;
    struct virtqueue *vq = selected(vd);

    if (offset >= legacy_config(vd)) {
        virtio_config_write(vd, offset - legacy_config(vd), size, value);
        return;
    }
    switch (offset) {
    case LEGACY_DRIVER_FEATURES:
        virtio_set_features(vd, 0, value);
        break;
    case LEGACY_QUEUE_PFN:
        if (vq) {
            if (!value && vq->enabled && vd->class->stop)
                vd->class->stop(vd); /* nothing may be held when the ring goes away */
            legacy_set_pfn(vd, vq, value);
        }
        break;
    case LEGACY_QUEUE_SELECT:
        vd->queue_select = (uint16_t)value;
        break;
    case LEGACY_QUEUE_NOTIFY:
        virtio_kick(vd, (uint16_t)value);
        break;
    case LEGACY_STATUS:
        virtio_set_status(vd, (uint8_t)value);
        break;
    case LEGACY_CONFIG_VECTOR:
        vd->config_vector = virtio_vector(vd, value & 0xffff);
        break;
    case LEGACY_QUEUE_VECTOR:
        if (vq)
            vq->vector = virtio_vector(vd, value & 0xffff);
        break;
    default:
        break;
    }
}

static const struct port_ops legacy_ops = {.read = legacy_read, .write = legacy_write};

static void command_changed(void *dev, uint16_t command)
{
    virtio_kick_all(dev); /* queues wait while the function may not master the bus */
}

enum { CAP_VENDOR = 9 };
enum { CFG_COMMON = 1, CFG_NOTIFY = 2, CFG_ISR = 3, CFG_DEVICE = 4, CFG_PCI = 5 };
/* A vendor capability (4.1.4), offsets. */
enum { CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_DATA = 16, CAP_SIZE = 20 };

/*
 * The window in configuration space through which BAR 4 is reached without mapping it (4.1.4.9).
 * True when an access of @size at configuration register @offset is to its data and what it is set
 * to makes sense.
 */
static bool window_hit(struct virtio_device *vd, unsigned offset, unsigned size, uint32_t *ret_at)
{
    const uint8_t *cap = pci_config(vd->pci) + vd->window_cap;
    uint32_t at = load_le32(cap + CAP_OFFSET), length = load_le32(cap + CAP_LENGTH);

    if (!vd->window_cap || offset != vd->window_cap + CAP_DATA || size != length ||
        cap[CAP_BAR] != VIRTIO_BAR_MMIO || at % length || at > VIRTIO_MMIO_SIZE - length)
        return false;
    *ret_at = at;
    return true;
}

static void config_reading(void *dev, unsigned offset, unsigned size)
{
    struct virtio_device *vd = dev;
    uint32_t at;

    if (window_hit(vd, offset, size, &at))
        store_le32(pci_config(vd->pci) + offset, (uint32_t)modern_read(vd, at, size));
}

static void config_written(void *dev, unsigned offset, unsigned size)
{
    struct virtio_device *vd = dev;
    uint32_t at, value;

    if (window_hit(vd, offset, size, &at)) {
        value = load_le32(pci_config(vd->pci) + offset);
        modern_write(vd, at, size, size == 4 ? value : value & ((1u << size * 8) - 1));
    }
}

static const struct pci_function_ops function_ops = {
    .command_changed = command_changed,
    .config_reading = config_reading,
    .config_written = config_written,
};

/* Adds a capability that says in which page of BAR 4 a structure lies. Its offset, 0: no room. */
static unsigned add_cap(struct virtio_device *vd, uint8_t type, unsigned page, uint32_t length)
{
    uint8_t cap[CAP_SIZE] = {CAP_VENDOR, 0, CAP_SIZE, type, VIRTIO_BAR_MMIO}, wmask[CAP_SIZE] = {0};

    store_le32(cap + CAP_OFFSET, page << 12);
    store_le32(cap + CAP_LENGTH, length);
    if (type == CFG_NOTIFY) {
        store_le32(cap + CAP_DATA, NOTIFY_MULTIPLIER);
    } else if (type == CFG_PCI) {
        memset(wmask + CAP_OFFSET, 0xff, CAP_SIZE - CAP_OFFSET);
        wmask[CAP_BAR] = 0xff;
    } else {
        cap[2] = CAP_DATA;
    }
    return pci_add_capability(vd->pci, CAP_VENDOR, cap, wmask, cap[2]);
}

/* PCI ids of devices without a legacy interface (4.1.2.1). */
enum { FIRST_MODERN = 0x1040 };

int virtio_pci_add(struct virtio_device *vd, struct pci_bus *bus, unsigned slot, struct error *err)
{
    const struct virtio_class *class = vd->class;
    const struct pci_ident ident = {.vendor = 0x1af4,
                                    .device = class->pci_device,
                                    .subsystem_vendor = 0x1af4,
                                    .subsystem = class->type, /* how legacy drivers know it */
                                    .class_code = class->pci_class,
                                    .revision = class->pci_device >= FIRST_MODERN,
                                    .intx = true};
    int r;

    vd->pci = pci_add(bus, slot, 0, &ident, &function_ops, vd, err);
    if (!vd->pci)
        return err && err->code ? err->code : -EINVAL;
    if (class->pci_device < FIRST_MODERN)
        pci_set_bar(
            vd->pci, VIRTIO_BAR_IO,
            &(struct pci_bar){
                .kind = PCI_BAR_IO, .size = VIRTIO_IO_SIZE, .ports = &legacy_ops, .dev = vd});
    pci_set_bar(
        vd->pci, VIRTIO_BAR_MMIO,
        &(struct pci_bar){
            .kind = PCI_BAR_MEM64, .size = VIRTIO_MMIO_SIZE, .mmio = &modern_ops, .dev = vd});
    r = pci_add_msix(vd->pci, VIRTIO_BAR_MSIX, class->queues + 1, err);
    if (r < 0)
        return r;
    vd->window_cap = add_cap(vd, CFG_PCI, 0, 0);
    if (!vd->window_cap || !add_cap(vd, CFG_COMMON, PAGE_COMMON, 0x40) ||
        !add_cap(vd, CFG_ISR, PAGE_ISR, 4) ||
        !add_cap(vd, CFG_NOTIFY, PAGE_NOTIFY, class->queues * NOTIFY_MULTIPLIER) ||
        (class->config_size && !add_cap(vd, CFG_DEVICE, PAGE_DEVICE, class->config_size)))
        return error_set(err, -ENOSPC, "no room for PCI capabilities");
    return 0;
}
