/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events go to the driver as differences between what it was told and how things are: when it has
 * no buffers the state just goes on changing, and no event is ever queued here.
 */
#include "device/virtio/virtio_input.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { QUEUE_EVENTS, QUEUE_STATUS, QUEUES, QUEUE_SIZE = 64 };

/* Configuration (5.8.4): what the driver selects shows in the data. */
enum { CONFIG_SELECT = 0, CONFIG_SUBSEL = 1, CONFIG_SIZE = 2, CONFIG_DATA = 8, CONFIG_END = 136 };
_Static_assert((int)CONFIG_END <= (int)VIRTIO_CONFIG_MAX, "the configuration has room");
enum {
    SELECT_NAME = 0x01,
    SELECT_SERIAL = 0x02,
    SELECT_IDS = 0x03,
    SELECT_PROPERTIES = 0x10,
    SELECT_EVENTS = 0x11,
    SELECT_ABSOLUTE = 0x12
};

/* Event types and codes of Linux (include/uapi/linux/input-event-codes.h). */
enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3 };
enum { ABS_X = 0, ABS_Y = 1, REL_WHEEL = 8, BTN_LEFT = 0x110, BUTTONS = 5, BUS_VIRTUAL = 6 };
enum { EVENT_SIZE = 8, EVENTS_MAX = BUTTONS + 4 };
enum { WHEEL_MAX = 1 << 10 };

struct virtio_input {
    struct virtio_device vd;
    struct input input;
    uint16_t x, y, told_x, told_y;
    uint8_t buttons, told_buttons;
    uint16_t wheel; /* two's complement, not told yet */
    struct virtq_chain chain;
};

/* ---- configuration ---- */

static unsigned data_of(unsigned select, unsigned subsel, uint8_t *data)
{
    static const char name[] = "Isola tablet";

    switch (select) {
    case SELECT_NAME:
        memcpy(data, name, sizeof(name) - 1);
        return sizeof(name) - 1;
    case SELECT_IDS: /* bus, vendor, product, version */
        store_le16(data, BUS_VIRTUAL);
        store_le16(data + 4, 1);
        store_le16(data + 6, 1);
        return 8;
    case SELECT_EVENTS: /* a bitmap of codes */
        if (subsel == EV_KEY) {
            data[BTN_LEFT / 8] = (1 << BUTTONS) - 1;
            return BTN_LEFT / 8 + 1;
        }
        if (subsel == EV_REL) {
            data[REL_WHEEL / 8] = 1 << REL_WHEEL % 8;
            return REL_WHEEL / 8 + 1;
        }
        if (subsel == EV_ABS) {
            data[0] = 1 << ABS_X | 1 << ABS_Y;
            return 1;
        }
        return 0;
    case SELECT_ABSOLUTE: /* least, most, fuzz, flat, resolution */
        if (subsel > ABS_Y)
            return 0;
        store_le32(data + 4, INPUT_PLACE_MAX);
        return 20;
    default:
        return 0;
    }
}

static void show_config(struct virtio_device *vd)
{
    uint8_t *c = vd->config;

    memset(c + CONFIG_SIZE, 0, CONFIG_END - CONFIG_SIZE);
    c[CONFIG_SIZE] = (uint8_t)data_of(c[CONFIG_SELECT], c[CONFIG_SUBSEL], c + CONFIG_DATA);
}

static void config_written(struct virtio_device *vd, unsigned offset, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++)
        if (offset + i <= CONFIG_SUBSEL)
            vd->config[offset + i] = (uint8_t)(value >> 8 * i);
    show_config(vd);
}

/* ---- events ---- */

struct event {
    uint16_t type, code;
    uint32_t value;
};

/* What the driver has not been told, closed by a synchronisation; 0: nothing. */
static unsigned differences(const struct virtio_input *in, struct event *events)
{
    unsigned n = 0;

    if (in->x != in->told_x)
        events[n++] = (struct event){EV_ABS, ABS_X, in->x};
    if (in->y != in->told_y)
        events[n++] = (struct event){EV_ABS, ABS_Y, in->y};
    for (unsigned b = 0; b < BUTTONS; b++)
        if ((in->buttons ^ in->told_buttons) >> b & 1)
            events[n++] = (struct event){EV_KEY, (uint16_t)(BTN_LEFT + b), in->buttons >> b & 1};
    if (in->wheel)
        events[n++] = (struct event){EV_REL, REL_WHEEL, (uint32_t)(int16_t)in->wheel};
    if (n)
        events[n++] = (struct event){EV_SYN, 0, 0};
    return n;
}

static int send_event(struct virtio_input *in, const struct event *e)
{
    struct virtqueue *vq = &in->vd.queue[QUEUE_EVENTS];
    uint8_t bytes[EVENT_SIZE];
    int r = virtq_pop(vq, &in->chain);

    if (r <= 0)
        return r < 0 ? r : -EPROTO;
    store_le16(bytes, e->type);
    store_le16(bytes + 2, e->code);
    store_le32(bytes + 4, e->value);
    if (in->chain.in_len < EVENT_SIZE)
        return -EPROTO;
    r = virtq_write(vq, &in->chain, 0, bytes, EVENT_SIZE);
    return r < 0 ? r : virtq_push(vq, in->chain.head, EVENT_SIZE);
}

static void tell(struct virtio_input *in)
{
    struct virtqueue *vq = &in->vd.queue[QUEUE_EVENTS];
    struct event events[EVENTS_MAX];
    unsigned n = differences(in, events);
    int room;

    if (!n || !virtio_running(&in->vd) || !vq->enabled)
        return;
    room = virtq_pending(vq);
    if (room >= 0 && (unsigned)room < n && virtq_want_kicks(vq) > 0)
        room = virtq_pending(vq);
    if (room >= 0 && (unsigned)room < n)
        return; /* the driver kicks when it has made some */
    for (unsigned i = 0; i < n && room >= 0; i++)
        room = send_event(in, &events[i]);
    if (room < 0) {
        virtio_fail(&in->vd, QUEUE_EVENTS, room);
        return;
    }
    in->told_x = in->x;
    in->told_y = in->y;
    in->told_buttons = in->buttons;
    in->wheel = 0;
    virtio_publish(&in->vd, QUEUE_EVENTS);
}

static void pointer(struct input *input, const struct input_pointer *p)
{
    struct virtio_input *in = container_of(input, struct virtio_input, input);
    int wheel = (int16_t)in->wheel + p->wheel;

    in->x = min_of(p->x, (uint16_t)INPUT_PLACE_MAX);
    in->y = min_of(p->y, (uint16_t)INPUT_PLACE_MAX);
    in->buttons = p->buttons & ((1 << BUTTONS) - 1);
    in->wheel = (uint16_t)min_of(max_of(wheel, -WHEEL_MAX), WHEEL_MAX);
    tell(in);
}

/* LEDs and the like: nothing that a tablet has. */
static int64_t take_status(struct virtio_device *vd, const struct virtq_chain *c)
{
    return 0;
}

static void notified(struct virtio_device *vd, unsigned queue)
{
    struct virtio_input *in = container_of(vd, struct virtio_input, vd);

    if (queue == QUEUE_STATUS)
        virtio_serve(vd, queue, &in->chain, take_status);
    else
        tell(in);
}

static void started(struct virtio_device *vd)
{
    container_of(vd, struct virtio_input, vd)->input.ready = true;
}

static void stop(struct virtio_device *vd)
{
    container_of(vd, struct virtio_input, vd)->input.ready = false;
}

/* ---- state ---- */

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_input),
    VIRTQ_STATE(struct virtio_input, 0),
    VIRTQ_STATE(struct virtio_input, 1),
    {.name = "select",
     .kind = STATE_UINT,
     .count = 2,
     .offset = offsetof(struct virtio_input, vd.config),
     .size = 1},
    STATE_FIELD(struct virtio_input, x, 0),
    STATE_FIELD(struct virtio_input, y, 0),
    STATE_FIELD(struct virtio_input, told_x, 0),
    STATE_FIELD(struct virtio_input, told_y, 0),
    STATE_FIELD(struct virtio_input, buttons, 0),
    STATE_FIELD(struct virtio_input, told_buttons, 0),
    STATE_FIELD(struct virtio_input, wheel, 0),
};

static void after(void *dev)
{
    struct virtio_input *in = dev;

    virtio_after(dev);
    show_config(&in->vd);
    in->input.ready = (in->vd.status & VIRTIO_DRIVER_OK) != 0;
}

static const struct state_table state = {.name = "virtio-input",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = after};

static const struct virtio_class class = {
    .name = "virtio-input",
    .type = 18,
    .pci_device = 0x1052, /* no transitional one is defined */
    .pci_class = 0x098000,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_size = CONFIG_END,
    .started = started,
    .notified = notified,
    .config_written = config_written,
    .stop = stop,
};

static void input_free(struct device *dev)
{
    free(container_of(dev, struct virtio_input, vd.dev));
}

struct virtio_input *virtio_input_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                      struct error *err)
{
    static const struct input_ops ops = {.pointer = pointer};
    struct virtio_input *in = mem_new(struct virtio_input);

    if (!in) {
        error_set(err, -ENOMEM, "add virtio-input: out of memory");
        return NULL;
    }
    in->input = (struct input){.ops = &ops, .absolute = true};
    in->vd.dev.state = &state;
    in->vd.dev.free = input_free;
    snprintf(in->vd.dev.name, sizeof(in->vd.dev.name), "virtio-input@%u", slot);
    if (virtio_init(&in->vd, &class, bus, slot, space, 0, err) < 0) {
        input_free(&in->vd.dev);
        return NULL;
    }
    return in;
}

struct device *virtio_input_device(struct virtio_input *in)
{
    return &in->vd.dev;
}

struct pci_function *virtio_input_function(struct virtio_input *in)
{
    return in->vd.pci;
}

struct input *virtio_input_input(struct virtio_input *in)
{
    return &in->input;
}
