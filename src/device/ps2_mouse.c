/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections are those of the IBM PS/2 Hardware Interface Technical Reference, "Mouse"; the wheel and
 * the two buttons beside it come with packets of four bytes after Microsoft's sequences of sample
 * rates. Movement that the guest does not fetch in time is added up; a change of buttons is a
 * packet of its own while the buffer has room.
 */
#include <errno.h>

#include "base/mem.h"
#include "device/ps2.h"

enum { ACK = 0xfa, RESEND = 0xfe, TEST_PASSED = 0xaa };
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_BUTTONS = 4 };
enum { FEW = 4, ROOM = 64 }; /* waiting bytes up to which movement, and buttons, are told */
enum { SCALE_2_1 = 1 };
/* Movement that is kept: more is beyond any screen. */
enum { PENDING_MAX = 1 << 16 };

struct mouse {
    struct ps2_device ps2;
    uint8_t id, enabled, remote, wrap, scaling, resolution, rate;
    uint8_t rates[2]; /* the two before the last one */
    uint8_t command;  /* waits for its argument, 0 when none does */
    uint8_t buttons, told;
    uint32_t dx, dy, wheel; /* two's complement, not told yet */
    uint8_t last_sent;
};

static struct mouse *mouse_of(struct ps2_device *d)
{
    return container_of(d, struct mouse, ps2);
}

static void send(struct mouse *m, uint8_t byte)
{
    m->last_sent = byte;
    ps2_push(&m->ps2, &byte, 1);
}

/* ---- movement ---- */

static int clamp(int value, int limit)
{
    return value < -limit ? -limit : value > limit ? limit : value;
}

static int take(uint32_t *pending, int limit)
{
    int part = clamp((int)*pending, limit);

    *pending -= (uint32_t)part;
    return part;
}

/* Scaling 2:1 ("Set Scaling 2:1"), of stream mode only. */
static int scaled(const struct mouse *m, int n)
{
    static const int table[] = {0, 1, 1, 3, 6, 9};
    int size = n < 0 ? -n : n;

    if (m->scaling != SCALE_2_1 || m->remote)
        return n;
    size = size < 6 ? table[size] : 2 * size;
    return clamp(n < 0 ? -size : size, 255);
}

static void send_packet(struct mouse *m)
{
    /* Up is positive on the wire, and the wheel towards the user. */
    int dx = scaled(m, take(&m->dx, 127)), dy = -scaled(m, take(&m->dy, 127)), wheel = 0;
    uint8_t packet[4];

    packet[0] = (uint8_t)((m->buttons & 7) | 8 | (dx < 0) << 4 | (dy < 0) << 5);
    packet[1] = (uint8_t)dx;
    packet[2] = (uint8_t)dy;
    if (m->id == ID_PLAIN)
        m->wheel = 0;
    else
        wheel = -take(&m->wheel, 7);
    packet[3] =
        m->id == ID_BUTTONS ? (uint8_t)((wheel & 15) | (m->buttons & 0x18) << 1) : (uint8_t)wheel;
    m->told = m->buttons;
    m->last_sent = packet[0];
    ps2_push(&m->ps2, packet, m->id == ID_PLAIN ? 3 : 4);
}

static bool something_to_tell(const struct mouse *m)
{
    uint8_t known = m->id == ID_BUTTONS ? 0x1f : 7;

    return m->dx || m->dy || (m->wheel && m->id != ID_PLAIN) ||
           ((m->buttons ^ m->told) & known) != 0;
}

static bool streams(const struct mouse *m)
{
    return m->enabled && !m->remote && !m->wrap && !m->command;
}

static void mouse_drained(struct ps2_device *d)
{
    struct mouse *m = mouse_of(d);

    if (streams(m) && something_to_tell(m))
        send_packet(m);
}

static void mouse_pointer(struct input *in, const struct input_pointer *p)
{
    struct mouse *m = container_of(in, struct mouse, ps2.input);
    bool clicked;

    m->dx = (uint32_t)clamp((int)m->dx + clamp(p->dx, PENDING_MAX), PENDING_MAX);
    m->dy = (uint32_t)clamp((int)m->dy + clamp(p->dy, PENDING_MAX), PENDING_MAX);
    m->wheel = (uint32_t)clamp((int)m->wheel + clamp(p->wheel, PENDING_MAX), PENDING_MAX);
    clicked = m->buttons != (p->buttons & 0x1f);
    m->buttons = p->buttons & 0x1f;
    if (streams(m) && something_to_tell(m) && m->ps2.queue.count <= (clicked ? ROOM : FEW))
        send_packet(m);
}

/* ---- commands ("Commands") ---- */

static void set_defaults(struct mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling = m->remote = m->wrap = m->enabled = 0;
    m->dx = m->dy = m->wheel = 0;
    ps2_forget(&m->ps2);
}

/* Sample rates 200, 100, 80 ask for the wheel, 200, 200, 80 then for the buttons. */
static void set_rate(struct mouse *m, uint8_t rate)
{
    if (rate == 80 && m->rates[0] == 200 && m->rates[1] == 100)
        m->id = ID_WHEEL;
    else if (rate == 80 && m->rates[0] == 200 && m->rates[1] == 200 && m->id != ID_PLAIN)
        m->id = ID_BUTTONS;
    m->rates[0] = m->rates[1];
    m->rates[1] = rate;
    m->rate = rate;
}

static void send_status(struct mouse *m)
{
    uint8_t b = m->buttons;

    send(m, (uint8_t)((b >> 1 & 1) | (b & 4) >> 1 | (b & 1) << 2 | m->scaling << 4 |
                      m->enabled << 5 | m->remote << 6));
    send(m, m->resolution);
    send(m, m->rate);
}

static void mouse_command(struct mouse *m, uint8_t byte)
{
    if (byte == 0xff) {
        set_defaults(m);
        m->id = ID_PLAIN;
        send(m, ACK);
        send(m, TEST_PASSED);
        send(m, m->id);
        return;
    }
    if ((byte < 0xe6 || byte > 0xf6) && byte != 0xfe) {
        send(m, RESEND);
        return;
    }
    if (byte == 0xfe) { /* resend */
        ps2_push(&m->ps2, &m->last_sent, 1);
        return;
    }
    if (byte == 0xf5 || byte == 0xf6)
        ps2_forget(&m->ps2);
    if (byte == 0xf6)
        set_defaults(m);
    send(m, ACK);
    switch (byte) {
    case 0xe6:
    case 0xe7:
        m->scaling = byte & 1;
        break;
    case 0xe8: /* set resolution */
    case 0xf3: /* set sample rate */
        m->command = byte;
        break;
    case 0xe9:
        send_status(m);
        break;
    case 0xea:
    case 0xf0:
        m->remote = byte == 0xf0;
        break;
    case 0xeb: /* read data */
        send_packet(m);
        break;
    case 0xec:
    case 0xee:
        m->wrap = byte == 0xee;
        break;
    case 0xf2:
        send(m, m->id);
        break;
    case 0xf4:
    case 0xf5:
        m->enabled = byte == 0xf4;
        m->told = m->buttons;
        m->dx = m->dy = m->wheel = 0;
        break;
    default:
        break;
    }
}

static void mouse_receive(struct ps2_device *d, uint8_t byte)
{
    struct mouse *m = mouse_of(d);
    uint8_t command = m->command;

    m->command = 0;
    if (command) {
        if (command == 0xf3)
            set_rate(m, byte);
        else
            m->resolution = byte & 3;
        send(m, ACK);
    } else if (m->wrap && byte != 0xec && byte != 0xff) {
        send(m, byte); /* echo mode */
    } else {
        mouse_command(m, byte);
    }
}

/* ---- state ---- */

static const struct state_field fields[] = {
    PS2_STATE(struct mouse),
    STATE_FIELD(struct mouse, id, ID_PLAIN),
    STATE_FIELD(struct mouse, enabled, 0),
    STATE_FIELD(struct mouse, remote, 0),
    STATE_FIELD(struct mouse, wrap, 0),
    STATE_FIELD(struct mouse, scaling, 0),
    STATE_FIELD(struct mouse, resolution, 2),
    STATE_FIELD(struct mouse, rate, 100),
    STATE_ARRAY(struct mouse, rates, 0),
    STATE_FIELD(struct mouse, command, 0),
    STATE_FIELD(struct mouse, buttons, 0),
    STATE_FIELD(struct mouse, told, 0),
    STATE_FIELD(struct mouse, dx, 0),
    STATE_FIELD(struct mouse, dy, 0),
    STATE_FIELD(struct mouse, wheel, 0),
    STATE_FIELD(struct mouse, last_sent, 0),
};

static void after(void *dev)
{
    struct mouse *m = dev;

    ps2_check(&m->ps2);
    m->dx = (uint32_t)clamp((int)m->dx, PENDING_MAX);
    m->dy = (uint32_t)clamp((int)m->dy, PENDING_MAX);
    m->wheel = (uint32_t)clamp((int)m->wheel, PENDING_MAX);
    m->enabled &= 1;
    m->remote &= 1;
    m->scaling &= 1;
}

static const struct state_table state = {.name = "ps2-mouse",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = after};

static void mouse_free(struct device *dev)
{
    free(container_of(dev, struct mouse, ps2.dev));
}

struct ps2_device *ps2_mouse_new(struct error *err)
{
    static const struct input_ops ops = {.pointer = mouse_pointer};
    struct mouse *m = mem_new(struct mouse);

    if (!m) {
        error_set(err, -ENOMEM, "create PS/2 mouse: out of memory");
        return NULL;
    }
    m->ps2 = (struct ps2_device){.dev = {.state = &state, .name = "ps2-mouse", .free = mouse_free},
                                 .input = {.ops = &ops, .ready = true},
                                 .receive = mouse_receive,
                                 .drained = mouse_drained};
    state_reset(&state, m);
    return &m->ps2;
}
