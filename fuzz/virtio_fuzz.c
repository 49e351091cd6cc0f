/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile driver: the input is a program of register accesses, ring contents and events of the
 * host side for one virtio device. Whatever it does, the device must end in bounded time and touch
 * nothing but guest memory.
 *
 * The first byte chooses the device; then each step is an opcode byte followed by its operands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "device/virtio/virtio_balloon.h"
#include "device/virtio/virtio_blk.h"
#include "device/virtio/virtio_console.h"
#include "device/virtio/virtio_net.h"
#include "device/virtio/virtio_rng.h"
#include "device/virtio/virtio_scsi.h"
#include "io/block_mem.h"
#include "io/chardev_mem.h"

enum { RAM = 256 << 10, DISK = 64 << 10, SLOT = 1, STEPS = 400 };
enum { IO = 0xc000, MSIX = 0xfe000000, MMIO = 0xfe010000 };
enum { BLK, BLK_DEFERRED, NET, CONSOLE, RNG, PORTS, BALLOON, SCSI, KINDS };
enum {
    OP_MMIO_WRITE,
    OP_MMIO_READ,
    OP_PORT_WRITE,
    OP_PORT_READ,
    OP_CONFIG_WRITE,
    OP_CONFIG_READ,
    OP_MEMORY,
    OP_START_MODERN,
    OP_START_LEGACY,
    OP_CHAIN,
    OP_KICK,
    OP_HOST,
    OP_RESET,
    OP_MOVE,
    OPS
};

struct input {
    const uint8_t *at;
    size_t left;
};

struct world {
    unsigned kind;
    struct gmem *ram;
    struct space *space;
    struct ports *ports;
    struct pci_bus *bus;
    struct device *dev;
    struct pci_function *pci;
    struct block *block;
    struct chardev *chardev, *agent;
    struct netdev netdev;
    const struct netdev_client *client;
    uint8_t disk[DISK], frame[4096];
};

static uint32_t take(struct input *in, unsigned size)
{
    uint32_t value = 0;
    size_t n = min_of((size_t)size, in->left);

    memcpy(&value, in->at, n);
    in->at += n;
    in->left -= n;
    return value;
}

static void net_attach(struct netdev *n, const struct netdev_client *client)
{
    container_of(n, struct world, netdev)->client = client;
}

/* Echoes what is sent, as a backend that answers from inside send. */
static void net_send(struct netdev *n, const struct netdev_span *spans, unsigned count)
{
    struct world *w = container_of(n, struct world, netdev);
    size_t len = min_of(spans[0].len, sizeof(w->frame));

    memcpy(w->frame, spans[0].data, len);
    if (w->client->can_receive(w->client->opaque, len))
        w->client->receive(w->client->opaque, w->frame, len);
}

static void net_ready(struct netdev *n)
{
}

static const struct netdev_ops net_ops = {
    .attach = net_attach, .send = net_send, .ready = net_ready};

static int random_fill(void *opaque, void *bytes, size_t len)
{
    memset(bytes, 0x55, len);
    return 0;
}

static void make(struct world *w)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct virtio_blk *blk;
    struct virtio_net *net;
    struct virtio_console *con;
    struct virtio_console_ports ports;
    struct virtio_rng *rng;
    struct virtio_balloon *balloon;
    struct virtio_scsi *scsi;

    switch (w->kind) {
    case BLK:
    case BLK_DEFERRED:
        w->block = block_mem_new(w->disk, DISK, false, w->kind == BLK_DEFERRED, NULL);
        blk = virtio_blk_new(w->bus, SLOT, w->space, w->block, NULL);
        w->dev = virtio_blk_device(blk);
        w->pci = virtio_blk_function(blk);
        break;
    case NET:
        w->netdev = (struct netdev){.ops = &net_ops, .tx_super = true, .rx_verified = true};
        net = virtio_net_new(w->bus, SLOT, w->space, &w->netdev, mac, NULL);
        w->dev = virtio_net_device(net);
        w->pci = virtio_net_function(net);
        break;
    case CONSOLE:
    case PORTS:
        w->chardev = chardev_mem_new(NULL);
        if (w->kind == PORTS)
            w->agent = chardev_mem_new(NULL);
        ports =
            (struct virtio_console_ports){.console = w->chardev, .named = w->agent, .name = "port"};
        con = virtio_console_new(w->bus, SLOT, w->space, &ports, NULL);
        w->dev = virtio_console_device(con);
        w->pci = virtio_console_function(con);
        break;
    case SCSI:
        w->block = block_mem_new(w->disk, DISK, false, true, NULL);
        scsi = virtio_scsi_new(w->bus, SLOT, w->space, &w->block, 1, NULL);
        w->dev = virtio_scsi_device(scsi);
        w->pci = virtio_scsi_function(scsi);
        break;
    case BALLOON:
        balloon = virtio_balloon_new(w->bus, SLOT, w->space, NULL);
        w->dev = virtio_balloon_device(balloon);
        w->pci = virtio_balloon_function(balloon);
        break;
    default:
        rng = virtio_rng_new(w->bus, SLOT, w->space, random_fill, NULL, NULL);
        w->dev = virtio_rng_device(rng);
        w->pci = virtio_rng_function(rng);
        break;
    }
}

static void place(struct world *w)
{
    pci_place_bar(w->pci, VIRTIO_BAR_IO, IO, NULL);
    pci_place_bar(w->pci, VIRTIO_BAR_MSIX, MSIX, NULL);
    pci_place_bar(w->pci, VIRTIO_BAR_MMIO, MMIO, NULL);
}

static void config(struct world *w, unsigned offset, unsigned size, bool write, uint32_t value)
{
    offset &= ~(size - 1) & 0xff;
    ports_write(w->ports, 0xcf8, 4, 0x80000000u | SLOT << 11 | (offset & 0xfc));
    if (write)
        ports_write(w->ports, (uint16_t)(0xcfc + offset % 4), size, value);
    else
        ports_read(w->ports, (uint16_t)(0xcfc + offset % 4), size);
}

static void mmio(struct world *w, unsigned at, unsigned size, uint64_t value)
{
    space_store(w->space, MMIO + at, size, value);
}

/* Where queue @n lies once it is started: rings in the first quarter, buffers behind. */
static uint64_t ring_of(unsigned n)
{
    return 0x4000u * n;
}

static void start_modern(struct world *w, uint64_t features, unsigned size)
{
    mmio(w, 20, 1, 0);
    for (unsigned word = 0; word < 2; word++) {
        mmio(w, 0, 4, word);
        mmio(w, 8, 4, word);
        mmio(w, 12, 4, space_load(w->space, MMIO + 4, 4) & (word ? 1 : features));
    }
    mmio(w, 20, 1, 11);
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++) {
        mmio(w, 22, 2, n);
        mmio(w, 24, 2, size);
        mmio(w, 32, 8, ring_of(n));
        mmio(w, 40, 8, ring_of(n) + 16 * size);
        mmio(w, 48, 8, ring_of(n) + 0x2000);
        mmio(w, 28, 2, 1);
        space_store(w->space, ring_of(n) + 16 * size, 4, 0);
        space_store(w->space, ring_of(n) + 0x2000, 4, 0);
    }
    mmio(w, 20, 1, 15);
}

static void start_legacy(struct world *w, uint32_t features)
{
    ports_write(w->ports, IO + 18, 1, 0);
    ports_write(w->ports, IO + 4, 4, features & ports_read(w->ports, IO, 4));
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++) {
        ports_write(w->ports, IO + 14, 2, n);
        ports_write(w->ports, IO + 8, 4, (uint32_t)(ring_of(n) / 4096 + 1));
    }
    ports_write(w->ports, IO + 18, 1, 7);
}

/* Writes a chain of descriptors and makes it available, mostly as a sane driver would. */
static void chain(struct world *w, struct input *in)
{
    unsigned n = take(in, 1) % VIRTIO_QUEUES, count = take(in, 1) % 8 + 1;
    unsigned size = 1u << take(in, 1) % 9, head = take(in, 1) % size;
    uint64_t ring = ring_of(n), avail = ring + 16 * size;
    uint16_t idx = (uint16_t)space_load(w->space, avail + 2, 2);

    for (unsigned i = 0; i < count; i++) {
        uint64_t at = ring + 16 * ((head + i) % size);
        uint32_t where = take(in, 2), len = take(in, 2), flags = take(in, 1);
        space_store(w->space, at, 8, 0x10000 + (uint64_t)where * 4);
        space_store(w->space, at + 8, 4, len);
        space_store(w->space, at + 12, 2, (flags & 6) | (i + 1 < count));
        space_store(w->space, at + 14, 2, (head + i + 1) % size);
        if (flags & 0x10) /* a request header where the buffer is */
            space_store(w->space, 0x10000 + (uint64_t)where * 4, 8, take(in, 1));
        if (flags & 0x20)
            space_store(w->space, 0x10008 + (uint64_t)where * 4, 8, take(in, 1));
    }
    space_store(w->space, avail + 4 + 2 * (idx % size), 2, head);
    space_store(w->space, avail + 2, 2, idx + 1u);
    mmio(w, 0x3000 + 4 * n, 2, n);
}

static void host_event(struct world *w, struct input *in)
{
    unsigned what = take(in, 1);
    size_t len = min_of((size_t)take(in, 2) % sizeof(w->frame), sizeof(w->frame));

    if (w->block)
        block_drain(w->block);
    if (w->chardev && what & 1)
        chardev_mem_resize(w->chardev, what, what);
    else if (w->chardev && what & 2)
        chardev_mem_limit(w->chardev, len);
    else if (w->chardev)
        chardev_mem_type(w->chardev, (const char *)w->frame, len);
    if (w->agent && what & 4)
        chardev_mem_limit(w->agent, len);
    else if (w->agent)
        chardev_mem_type(w->agent, (const char *)w->frame, len);
    if (w->client && what & 1)
        w->client->link(w->client->opaque, what & 2);
    else if (w->client && w->client->can_receive(w->client->opaque, len))
        w->client->receive(w->client->opaque, w->frame, len);
}

/* The state moves to a device that was just reset, as in a snapshot. */
static void move(struct world *w)
{
    struct str s = {0};

    if (w->block)
        block_drain(w->block);
    state_save(w->dev->state, w->dev, &s);
    state_reset(w->dev->state, w->dev);
    if (state_load(w->dev->state, w->dev, s.data, s.len, NULL) != (int64_t)s.len)
        abort();
    str_done(&s);
}

static void step(struct world *w, struct input *in)
{
    unsigned op = take(in, 1) % OPS, size = 1u << take(in, 1) % 4, at;

    switch (op) {
    case OP_MMIO_WRITE:
        at = take(in, 2) % (VIRTIO_MMIO_SIZE - 8);
        mmio(w, at, size, take(in, 4));
        break;
    case OP_MMIO_READ:
        (void)space_load(w->space, MMIO + take(in, 2) % (VIRTIO_MMIO_SIZE - 8), size);
        break;
    case OP_PORT_WRITE:
        at = take(in, 1) % VIRTIO_IO_SIZE;
        ports_write(w->ports, (uint16_t)(IO + at), min_of(size, 4u), take(in, 4));
        break;
    case OP_PORT_READ:
        ports_read(w->ports, (uint16_t)(IO + take(in, 1) % VIRTIO_IO_SIZE), min_of(size, 4u));
        break;
    case OP_CONFIG_WRITE:
        at = take(in, 1);
        config(w, at, min_of(size, 4u), true, take(in, 4));
        break;
    case OP_CONFIG_READ:
        config(w, take(in, 1), min_of(size, 4u), false, 0);
        break;
    case OP_MEMORY: {
        uint64_t gpa = take(in, 4) % RAM;
        size_t n = min_of((size_t)take(in, 1) % 64, in->left);
        (void)space_write(w->space, gpa, in->at, n);
        in->at += n;
        in->left -= n;
        break;
    }
    case OP_START_MODERN:
        place(w);
        config(w, 4, 2, true, 7);
        start_modern(w, take(in, 4), 1u << take(in, 1) % 9);
        break;
    case OP_START_LEGACY:
        place(w);
        config(w, 4, 2, true, 7);
        start_legacy(w, take(in, 4));
        break;
    case OP_CHAIN:
        chain(w, in);
        break;
    case OP_KICK:
        mmio(w, 0x3000 + take(in, 1) % 8 * 4, 2, 0);
        ports_write(w->ports, IO + 16, 2, take(in, 1));
        break;
    case OP_HOST:
        host_event(w, in);
        break;
    case OP_RESET:
        device_reset(w->dev);
        break;
    case OP_MOVE:
        move(w);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct world *w = mem_new(struct world);

    w->kind = take(&in, 1) % KINDS;
    w->ram = gmem_new(RAM, NULL);
    w->space = space_new(w->ram, NULL);
    space_map_ram(w->space, "ram", 0, RAM, 0, 0, NULL);
    w->ports = ports_new(NULL);
    w->bus = pci_bus_new(w->space, w->ports, &(struct irq_line){0}, &(struct msi_sink){0}, NULL);
    make(w);
    place(w);
    config(w, 4, 2, true, 7);
    for (unsigned n = 0; n < STEPS && in.left; n++)
        step(w, &in);
    w->dev->free(w->dev);
    if (w->block)
        block_close(w->block);
    if (w->chardev)
        w->chardev->ops->close(w->chardev);
    if (w->agent)
        w->agent->ops->close(w->agent);
    pci_bus_free(w->bus);
    ports_free(w->ports);
    space_free(w->space);
    gmem_free(w->ram);
    free(w);
    return 0;
}
