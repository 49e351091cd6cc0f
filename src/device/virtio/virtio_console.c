/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that the host side does not take stays in the ring: the driver waits, nothing is lost. How
 * much of the first chain has been written is state (out_done).
 */
#include "device/virtio/virtio_console.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { CONSOLE_F_SIZE = 0, CONSOLE_F_EMERG_WRITE = 2 };
enum { QUEUE_IN = 0, QUEUE_OUT = 1, QUEUES = 2, QUEUE_SIZE = 64 };
/* Device configuration (5.3.4), offsets. */
enum { CONFIG_COLS = 0, CONFIG_ROWS = 2, CONFIG_EMERG_WRITE = 8, CONFIG_SIZE = 12 };
enum { SPANS = 16 };
/* Input offered to the driver at once, whatever the size of its buffers. */
enum { ROOM_MAX = 64 << 10 };

struct virtio_console {
    struct virtio_device vd;
    struct chardev *chardev;
    struct chardev_client client;
    uint32_t out_done;          /* state */
    struct virtq_chain in, out; /* work space */
};

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_console),
    STATE_FIELD(struct virtio_console, out_done, 0),
    VIRTQ_STATE(struct virtio_console, 0),
    VIRTQ_STATE(struct virtio_console, 1),
};
static const struct state_table state = {.name = "virtio-console",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = virtio_after};

/* Writes what is left of the chain. */
static int64_t output(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_console *con = container_of(vd, struct virtio_console, vd);

    while (con->out_done < c->out_len) {
        struct space_span spans[SPANS];
        size_t covered;
        int n = virtq_spans(&vd->queue[QUEUE_OUT], c, false, con->out_done,
                            (size_t)min_of(c->out_len - con->out_done, (uint64_t)ROOM_MAX), spans,
                            SPANS, &covered);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            size_t taken = con->chardev->ops->write(con->chardev, spans[i].data, spans[i].len);
            con->out_done += (uint32_t)taken;
            if (taken < spans[i].len)
                return VIRTIO_LATER;
        }
    }
    con->out_done = 0;
    return 0;
}

static void console_notified(struct virtio_device *vd, unsigned queue)
{
    struct virtio_console *con = container_of(vd, struct virtio_console, vd);

    if (queue == QUEUE_OUT)
        virtio_serve(vd, QUEUE_OUT, &con->out, output);
    else
        con->chardev->ops->ready(con->chardev);
}

static void writable(void *opaque)
{
    struct virtio_console *con = opaque;

    if (virtio_running(&con->vd) && con->vd.queue[QUEUE_OUT].enabled)
        virtio_serve(&con->vd, QUEUE_OUT, &con->out, output);
}

/* What fits in the driver's first buffer; input fills one buffer after the other. */
static size_t room(void *opaque)
{
    struct virtio_console *con = opaque;
    struct virtqueue *vq = &con->vd.queue[QUEUE_IN];
    int r;

    if (!virtio_running(&con->vd) || !vq->enabled)
        return 0;
    r = virtq_pop(vq, &con->in);
    if (r == 0 && virtq_want_kicks(vq) > 0)
        r = virtq_pop(vq, &con->in);
    if (r < 0)
        virtio_fail(&con->vd, QUEUE_IN, r);
    if (r <= 0)
        return 0;
    virtq_unpop(vq, 1);
    return (size_t)min_of(con->in.in_len, (uint64_t)ROOM_MAX);
}

static void input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct virtio_console *con = opaque;
    struct virtqueue *vq = &con->vd.queue[QUEUE_IN];
    int r = 1;

    while (n && r > 0) {
        size_t part;
        r = virtq_pop(vq, &con->in);
        if (r <= 0)
            break;
        part = (size_t)min_of((uint64_t)n, con->in.in_len);
        r = virtq_write(vq, &con->in, 0, bytes, part);
        if (r == 0)
            r = virtq_push(vq, con->in.head, (uint32_t)part);
        bytes += part;
        n -= part;
        r = r < 0 ? r : 1;
    }
    if (r < 0)
        virtio_fail(&con->vd, QUEUE_IN, r);
    else
        virtio_publish(&con->vd, QUEUE_IN);
}

static void resize(void *opaque, unsigned columns, unsigned rows)
{
    struct virtio_console *con = opaque;

    store_le16(con->vd.config + CONFIG_COLS, (uint16_t)min_of(columns, 0xffffu));
    store_le16(con->vd.config + CONFIG_ROWS, (uint16_t)min_of(rows, 0xffffu));
    virtio_config_changed(&con->vd);
}

/* One character from a guest whose queues do not work yet, or no longer (5.3.4). */
static void console_config_written(struct virtio_device *vd, unsigned offset, unsigned size,
                                   uint32_t value)
{
    struct virtio_console *con = container_of(vd, struct virtio_console, vd);
    uint8_t c = (uint8_t)value;

    if (offset == CONFIG_EMERG_WRITE)
        (void)con->chardev->ops->write(con->chardev, &c, 1);
}

static const struct virtio_class class = {
    .name = "virtio-console",
    .type = 3,
    .pci_device = 0x1003,
    .pci_class = 0x078000,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .notified = console_notified,
    .config_written = console_config_written,
};

static void console_free(struct device *dev)
{
    free(container_of(dev, struct virtio_console, vd.dev));
}

struct virtio_console *virtio_console_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                          struct chardev *chardev, struct error *err)
{
    struct virtio_console *con = mem_new(struct virtio_console);

    if (!con) {
        error_set(err, -ENOMEM, "add virtio-console: out of memory");
        return NULL;
    }
    con->chardev = chardev;
    con->vd.dev.state = &state;
    con->vd.dev.free = console_free;
    snprintf(con->vd.dev.name, sizeof(con->vd.dev.name), "virtio-console@%u", slot);
    store_le16(con->vd.config + CONFIG_COLS, 80);
    store_le16(con->vd.config + CONFIG_ROWS, 25);
    if (virtio_init(&con->vd, &class, bus, slot, space,
                    VIRTIO_BIT(CONSOLE_F_SIZE) | VIRTIO_BIT(CONSOLE_F_EMERG_WRITE), err) < 0) {
        console_free(&con->vd.dev);
        return NULL;
    }
    con->client = (struct chardev_client){
        .room = room, .input = input, .writable = writable, .resize = resize, .opaque = con};
    chardev->ops->attach(chardev, &con->client);
    return con;
}

struct device *virtio_console_device(struct virtio_console *console)
{
    return &console->vd.dev;
}

struct pci_function *virtio_console_function(struct virtio_console *console)
{
    return console->vd.pci;
}
