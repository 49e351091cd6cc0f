/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that the host side does not take stays in the ring: the driver waits, nothing is lost. How
 * much of the first chain has been written is state (out_done).
 *
 * With VIRTIO_CONSOLE_F_MULTIPORT a pair of control queues tells the driver which ports there are
 * (5.3.6.2). What it is still to be told is a set of bits for each port, sent in the order of the
 * bits as the driver offers buffers, so that nothing needs a queue of messages. The size of the
 * terminal stays in the configuration: drivers disagree on the order of the fields of the RESIZE
 * message, and programs that want a size have ways of their own to learn it.
 */
#include "device/virtio/virtio_console.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { CONSOLE_F_SIZE = 0, CONSOLE_F_MULTIPORT = 1, CONSOLE_F_EMERG_WRITE = 2 };
enum { QUEUE_IN = 0, QUEUE_OUT = 1, QUEUE_CONTROL_IN = 2, QUEUE_CONTROL_OUT = 3, QUEUE_SIZE = 64 };
enum { QUEUES_SINGLE = 2, QUEUES_MULTI = 6 };
/* Device configuration (5.3.4), offsets. */
enum { CONFIG_COLS = 0, CONFIG_ROWS = 2, CONFIG_PORTS = 4, CONFIG_EMERG_WRITE = 8 };
enum { CONFIG_SIZE = 12 };
enum { SPANS = 16 };
/* Input offered to the driver at once, whatever the size of its buffers. */
enum { ROOM_MAX = 64 << 10 };

/* Control messages (5.3.6.2): le32 port, le16 event, le16 value, and the name after PORT_NAME. */
enum {
    EVENT_DEVICE_READY = 0,
    EVENT_DEVICE_ADD = 1,
    EVENT_PORT_READY = 3,
    EVENT_CONSOLE_PORT = 4,
    EVENT_PORT_OPEN = 6,
    EVENT_PORT_NAME = 7,
};
enum { CONTROL_SIZE = 8, NAME_MAX_LEN = 64 };
/* Bits of port.pending, in the order in which they are sent. */
static const uint16_t pending_events[] = {EVENT_DEVICE_ADD, EVENT_CONSOLE_PORT, EVENT_PORT_NAME,
                                          EVENT_PORT_OPEN};
enum { PENDING_ADD = 1, PENDING_CONSOLE = 2, PENDING_NAME = 4, PENDING_OPEN = 8 };

struct port {
    struct virtio_console *con;
    struct chardev *chardev; /* NULL: there is no such port */
    struct chardev_client client;
    unsigned in, out; /* queues */
    char name[NAME_MAX_LEN];
    uint32_t out_done;   /* state */
    uint8_t pending;     /* state */
    uint8_t driver_open; /* state; matters for ports with a name */
};

struct virtio_console {
    struct virtio_device vd;
    struct port port[VIRTIO_CONSOLE_PORTS];
    struct virtq_chain in, out; /* work space */
};

#define PORT_STATE(n)                                                                              \
    STATE_FIELD(struct virtio_console, port[n].pending, 0),                                        \
        STATE_FIELD(struct virtio_console, port[n].driver_open, 0)

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_console),
    STATE_FIELD(struct virtio_console, port[0].out_done, 0),
    VIRTQ_STATE(struct virtio_console, 0),
    VIRTQ_STATE(struct virtio_console, 1),
};
static const struct state_table state = {.name = "virtio-console",
                                         .version = 2,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = virtio_after};

static const struct state_field multi_fields[] = {
    VIRTIO_STATE(struct virtio_console),
    STATE_FIELD(struct virtio_console, port[0].out_done, 0),
    STATE_FIELD(struct virtio_console, port[1].out_done, 0),
    PORT_STATE(0),
    PORT_STATE(1),
    VIRTQ_STATE(struct virtio_console, 0),
    VIRTQ_STATE(struct virtio_console, 1),
    VIRTQ_STATE(struct virtio_console, 2),
    VIRTQ_STATE(struct virtio_console, 3),
    VIRTQ_STATE(struct virtio_console, 4),
    VIRTQ_STATE(struct virtio_console, 5),
};
static const struct state_table multi_state = {.name = "virtio-console-multiport",
                                               .version = 1,
                                               .fields = multi_fields,
                                               .field_count = array_size(multi_fields),
                                               .after = virtio_after};

/* Whether the driver may use @queue of the port. */
static bool usable(const struct port *p, unsigned queue)
{
    const struct virtio_device *vd = &p->con->vd;

    return virtio_running(vd) && vd->queue[queue].enabled &&
           (p == p->con->port || virtio_has(vd, CONSOLE_F_MULTIPORT));
}

/* Writes what is left of the chain. */
static int64_t output(struct port *p, const struct virtq_chain *c)
{
    while (p->out_done < c->out_len) {
        struct space_span spans[SPANS];
        size_t covered;
        int n = virtq_spans(&p->con->vd.queue[p->out], c, false, p->out_done,
                            (size_t)min_of(c->out_len - p->out_done, (uint64_t)ROOM_MAX), spans,
                            SPANS, &covered);
        if (n < 0)
            return n;
        for (int i = 0; i < n; i++) {
            size_t taken = p->chardev->ops->write(p->chardev, spans[i].data, spans[i].len);
            p->out_done += (uint32_t)taken;
            if (taken < spans[i].len)
                return VIRTIO_LATER;
        }
    }
    p->out_done = 0;
    return 0;
}

static int64_t output_first(struct virtio_device *vd, const struct virtq_chain *c)
{
    return output(&container_of(vd, struct virtio_console, vd)->port[0], c);
}

static int64_t output_second(struct virtio_device *vd, const struct virtq_chain *c)
{
    return output(&container_of(vd, struct virtio_console, vd)->port[1], c);
}

static void serve_output(struct port *p)
{
    if (p->chardev && usable(p, p->out))
        virtio_serve(&p->con->vd, p->out, &p->con->out,
                     p == p->con->port ? output_first : output_second);
}

/* ---- control queues ---- */

/* Sends one message to the driver: 1, 0 when there is no buffer, or a negative errno. */
static int send_control(struct virtio_console *con, unsigned number, uint16_t event)
{
    struct virtqueue *vq = &con->vd.queue[QUEUE_CONTROL_IN];
    uint8_t message[CONTROL_SIZE + NAME_MAX_LEN];
    size_t len = CONTROL_SIZE;
    int r = virtq_pop(vq, &con->in);

    if (r == 0 && virtq_want_kicks(vq) > 0)
        r = virtq_pop(vq, &con->in);
    if (r <= 0)
        return r;
    store_le32(message, number);
    store_le16(message + 4, event);
    store_le16(message + 6, 1);
    if (event == EVENT_PORT_NAME) {
        size_t n = strlen(con->port[number].name);
        memcpy(message + CONTROL_SIZE, con->port[number].name, n);
        len += n;
    }
    /* A name that the driver has no room for is cut. */
    len = (size_t)min_of((uint64_t)len, con->in.in_len);
    r = virtq_write(vq, &con->in, 0, message, len);
    if (r == 0)
        r = virtq_push(vq, con->in.head, (uint32_t)len);
    return r < 0 ? r : 1;
}

/* Sends what the driver has not been told yet and has buffers for. */
static void tell(struct virtio_console *con)
{
    bool sent = false;
    int r = 1;

    if (!virtio_running(&con->vd) || !con->vd.queue[QUEUE_CONTROL_IN].enabled)
        return;
    for (unsigned n = 0; n < VIRTIO_CONSOLE_PORTS; n++)
        for (unsigned bit = 0; bit < array_size(pending_events) && r > 0; bit++) {
            if (!(con->port[n].pending & 1u << bit))
                continue;
            r = send_control(con, n, pending_events[bit]);
            if (r > 0) {
                con->port[n].pending &= (uint8_t) ~(1u << bit);
                sent = true;
            }
        }
    if (r < 0)
        virtio_fail(&con->vd, QUEUE_CONTROL_IN, r);
    else if (sent)
        virtio_publish(&con->vd, QUEUE_CONTROL_IN);
}

static void told(struct virtio_console *con, uint32_t number, uint16_t event, uint16_t value)
{
    struct port *p;

    if (event == EVENT_DEVICE_READY && value)
        for (unsigned n = 0; n < VIRTIO_CONSOLE_PORTS; n++)
            if (con->port[n].chardev)
                con->port[n].pending |= PENDING_ADD;
    if (number >= VIRTIO_CONSOLE_PORTS || !con->port[number].chardev)
        return;
    p = &con->port[number];
    if (event == EVENT_PORT_READY && value)
        p->pending |= p->name[0] ? PENDING_NAME | PENDING_OPEN : PENDING_CONSOLE;
    if (event == EVENT_PORT_OPEN) {
        p->driver_open = value != 0;
        p->chardev->ops->ready(p->chardev);
    }
}

static int64_t control(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_console *con = container_of(vd, struct virtio_console, vd);
    uint8_t message[CONTROL_SIZE];
    int r;

    if (c->out_len < sizeof message)
        return -EPROTO;
    r = virtq_read(&vd->queue[QUEUE_CONTROL_OUT], c, 0, message, sizeof message);
    if (r < 0)
        return r;
    told(con, load_le32(message), load_le16(message + 4), load_le16(message + 6));
    return 0;
}

static void console_notified(struct virtio_device *vd, unsigned queue)
{
    struct virtio_console *con = container_of(vd, struct virtio_console, vd);

    for (unsigned n = 0; n < VIRTIO_CONSOLE_PORTS; n++) {
        struct port *p = &con->port[n];
        if (p->chardev && p->out == queue)
            serve_output(p);
        else if (p->chardev && p->in == queue)
            p->chardev->ops->ready(p->chardev);
    }
    if (!virtio_has(vd, CONSOLE_F_MULTIPORT))
        return;
    if (queue == QUEUE_CONTROL_OUT)
        virtio_serve(vd, QUEUE_CONTROL_OUT, &con->out, control);
    if (queue == QUEUE_CONTROL_OUT || queue == QUEUE_CONTROL_IN)
        tell(con);
}

/* ---- what the character devices call ---- */

static void writable(void *opaque)
{
    serve_output(opaque);
}

/* What fits in the driver's first buffer; input fills one buffer after the other. */
static size_t room(void *opaque)
{
    struct port *p = opaque;
    struct virtio_console *con = p->con;
    struct virtqueue *vq = &con->vd.queue[p->in];
    int r;

    /* A driver throws away what comes for a port that nobody has opened. */
    if (!usable(p, p->in) || (p->name[0] && !p->driver_open))
        return 0;
    r = virtq_pop(vq, &con->in);
    if (r == 0 && virtq_want_kicks(vq) > 0)
        r = virtq_pop(vq, &con->in);
    if (r < 0)
        virtio_fail(&con->vd, p->in, r);
    if (r <= 0)
        return 0;
    virtq_unpop(vq, 1);
    return (size_t)min_of(con->in.in_len, (uint64_t)ROOM_MAX);
}

static void input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct port *p = opaque;
    struct virtio_console *con = p->con;
    struct virtqueue *vq = &con->vd.queue[p->in];
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
        virtio_fail(&con->vd, p->in, r);
    else
        virtio_publish(&con->vd, p->in);
}

static void resize(void *opaque, unsigned columns, unsigned rows)
{
    struct port *p = opaque;
    struct virtio_device *vd = &p->con->vd;

    if (p != p->con->port)
        return;
    store_le16(vd->config + CONFIG_COLS, (uint16_t)min_of(columns, 0xffffu));
    store_le16(vd->config + CONFIG_ROWS, (uint16_t)min_of(rows, 0xffffu));
    virtio_config_changed(vd);
}

/* One character from a guest whose queues do not work yet, or no longer (5.3.4). */
static void console_config_written(struct virtio_device *vd, unsigned offset, unsigned size,
                                   uint32_t value)
{
    struct virtio_console *con = container_of(vd, struct virtio_console, vd);
    struct chardev *ch = con->port[0].chardev;
    uint8_t c = (uint8_t)value;

    if (offset == CONFIG_EMERG_WRITE && ch)
        (void)ch->ops->write(ch, &c, 1);
}

#define CONSOLE_CLASS(queue_count)                                                                 \
    {                                                                                              \
        .name = "virtio-console", .type = 3, .pci_device = 0x1003, .pci_class = 0x078000,          \
        .queues = (queue_count), .queue_size = QUEUE_SIZE, .config_size = CONFIG_SIZE,             \
        .notified = console_notified, .config_written = console_config_written                     \
    }
static const struct virtio_class class = CONSOLE_CLASS(QUEUES_SINGLE);
static const struct virtio_class multi_class = CONSOLE_CLASS(QUEUES_MULTI);

static void console_free(struct device *dev)
{
    free(container_of(dev, struct virtio_console, vd.dev));
}

static void plug(struct virtio_console *con, unsigned n, struct chardev *chardev)
{
    struct port *p = &con->port[n];

    p->con = con;
    p->chardev = chardev;
    p->in = n ? QUEUE_CONTROL_IN + 2 * n : QUEUE_IN;
    p->out = p->in + 1;
    p->client = (struct chardev_client){
        .room = room, .input = input, .writable = writable, .resize = resize, .opaque = p};
}

struct virtio_console *virtio_console_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                          const struct virtio_console_ports *ports,
                                          struct error *err)
{
    struct virtio_console *con = mem_new(struct virtio_console);
    uint64_t features = VIRTIO_BIT(CONSOLE_F_SIZE) | VIRTIO_BIT(CONSOLE_F_EMERG_WRITE);

    if (!con) {
        error_set(err, -ENOMEM, "add virtio-console: out of memory");
        return NULL;
    }
    plug(con, 0, ports->console);
    plug(con, 1, ports->named);
    if (ports->named) {
        features |= VIRTIO_BIT(CONSOLE_F_MULTIPORT);
        snprintf(con->port[1].name, sizeof con->port[1].name, "%s", ports->name);
        store_le32(con->vd.config + CONFIG_PORTS, VIRTIO_CONSOLE_PORTS);
    }
    con->vd.dev.state = ports->named ? &multi_state : &state;
    con->vd.dev.free = console_free;
    snprintf(con->vd.dev.name, sizeof(con->vd.dev.name), "virtio-console@%u", slot);
    store_le16(con->vd.config + CONFIG_COLS, 80);
    store_le16(con->vd.config + CONFIG_ROWS, 25);
    if (virtio_init(&con->vd, ports->named ? &multi_class : &class, bus, slot, space, features,
                    err) < 0) {
        console_free(&con->vd.dev);
        return NULL;
    }
    for (unsigned n = 0; n < VIRTIO_CONSOLE_PORTS; n++) {
        struct chardev *ch = con->port[n].chardev;
        if (ch)
            ch->ops->attach(ch, &con->port[n].client);
    }
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
