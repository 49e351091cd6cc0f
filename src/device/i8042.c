/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and bits as in the AT Technical Reference (1-48 ff.); the second port's as on a PS/2.
 * A byte sent to a device that is not there gives a time-out answer (0xFE, "resend", with the
 * time-out bit), at once.
 *
 * A device's byte stays in the device's queue until the guest has read it from the output buffer:
 * an answer of the controller that takes its place meanwhile does not lose it.
 */
#include "device/i8042.h"

#include <errno.h>

#include "base/mem.h"
#include "device/ps2_scan.h"

enum {
    STATUS_OUTPUT_FULL = 1 << 0,
    STATUS_SYSTEM = 1 << 2,
    STATUS_COMMAND = 1 << 3,
    STATUS_UNLOCKED = 1 << 4,
    STATUS_AUX = 1 << 5,
    STATUS_TIMEOUT = 1 << 6
};
enum {
    MODE_IRQ1 = 1 << 0,
    MODE_IRQ12 = 1 << 1,
    MODE_SYSTEM = 1 << 2,
    MODE_NO_KEYBOARD = 1 << 4,
    MODE_NO_AUX = 1 << 5,
    MODE_TRANSLATE = 1 << 6,
};
enum { OUT_NOT_RESET = 1 << 0, OUT_A20 = 1 << 1, OUT_AUX_FULL = 1 << 5, OUT_FULL = 1 << 4 };
enum { SELF_TEST_OK = 0x55, INTERFACE_OK = 0x00, RESEND = 0xfe };
enum { BREAK2 = 0xf0, BREAK1 = 0x80 };
enum { RAM_SIZE = 32 };

/* Whose byte stands in the output buffer. */
enum { FROM_CONTROLLER, FROM_KEYBOARD, FROM_AUX };

struct i8042 {
    struct device dev;
    struct ports *ports;
    struct port_range *data_port, *command_port;
    struct irq_line irq1, irq12;
    struct i8042_ops ops;
    uint8_t ram[RAM_SIZE]; /* byte 0 is the command byte (mode) */
    uint8_t status, output, output_port;
    uint8_t command;                     /* waits for its data byte, 0 when none does */
    uint8_t from, broken;                /* FROM_*; set 2's break prefix went by */
    struct ps2_device *keyboard, *mouse; /* NULL: not attached */
};

static void update_irq(struct i8042 *k)
{
    bool full = k->status & STATUS_OUTPUT_FULL, aux = k->status & STATUS_AUX;

    irq_set(&k->irq1, full && !aux && k->ram[0] & MODE_IRQ1);
    irq_set(&k->irq12, full && aux && k->ram[0] & MODE_IRQ12);
}

static void answer(struct i8042 *k, uint8_t byte, uint8_t flags)
{
    k->output = byte;
    k->from = FROM_CONTROLLER;
    k->status =
        (uint8_t)((k->status & ~(STATUS_AUX | STATUS_TIMEOUT)) | STATUS_OUTPUT_FULL | flags);
    update_irq(k);
}

/* The keyboard's next byte as the guest gets it: codes of set 1, when they are translated. */
static bool keyboard_byte(struct i8042 *k, uint8_t *ret)
{
    uint8_t byte;

    while (ps2_peek(k->keyboard, &byte)) {
        *ret = byte;
        if (!(k->ram[0] & MODE_TRANSLATE))
            return true;
        if (byte == BREAK2) {
            k->broken = BREAK1;
            ps2_pop(k->keyboard);
            continue;
        }
        *ret = ps2_set1_of_set2[byte] | (byte < BREAK1 + 5 ? k->broken : 0);
        return true;
    }
    return false;
}

/* Fetches the next byte of a device when there is room for it. */
static void fetch(struct i8042 *k)
{
    uint8_t byte;

    if (k->status & STATUS_OUTPUT_FULL)
        return;
    if (k->keyboard && !(k->ram[0] & MODE_NO_KEYBOARD) && keyboard_byte(k, &byte)) {
        answer(k, byte, 0);
        k->from = FROM_KEYBOARD;
    } else if (k->mouse && !(k->ram[0] & MODE_NO_AUX) && ps2_peek(k->mouse, &byte)) {
        answer(k, byte, STATUS_AUX);
        k->from = FROM_AUX;
    }
}

static void device_ready(void *opaque)
{
    fetch(opaque);
}

static void set_output_port(struct i8042 *k, uint8_t value)
{
    k->output_port = value;
    if (k->ops.a20)
        k->ops.a20(k->ops.opaque, (value & OUT_A20) != 0);
    if (!(value & OUT_NOT_RESET))
        k->ops.reset(k->ops.opaque);
}

static uint8_t output_port_now(const struct i8042 *k)
{
    uint8_t full = 0;

    if (k->status & STATUS_OUTPUT_FULL)
        full = k->status & STATUS_AUX ? OUT_AUX_FULL : OUT_FULL;
    return (uint8_t)((k->output_port & ~(OUT_AUX_FULL | OUT_FULL)) | full);
}

static void write_mode(struct i8042 *k, uint8_t value)
{
    k->ram[0] = value;
    k->status = (uint8_t)((k->status & ~STATUS_SYSTEM) | (value & MODE_SYSTEM ? STATUS_SYSTEM : 0));
    update_irq(k);
    fetch(k);
}

static void command_write(void *dev, uint16_t offset, unsigned size, uint32_t value32)
{
    struct i8042 *k = dev;
    uint8_t value = (uint8_t)value32;

    k->status |= STATUS_COMMAND;
    k->command = 0;
    switch (value) {
    case 0x20 ... 0x3f: /* read controller RAM */
        answer(k, k->ram[value & 31], 0);
        break;
    case 0x60 ... 0x7f: /* write controller RAM */
    case 0xd1:          /* write output port */
    case 0xd2:          /* write keyboard output buffer */
    case 0xd3:          /* write auxiliary output buffer */
    case 0xd4:          /* write to the auxiliary device */
        k->command = value;
        break;
    case 0xa7:
    case 0xa8:
        write_mode(k,
                   (uint8_t)(value == 0xa7 ? k->ram[0] | MODE_NO_AUX : k->ram[0] & ~MODE_NO_AUX));
        break;
    case 0xa9: /* interface tests: the wires are fine */
    case 0xab:
        answer(k, INTERFACE_OK, 0);
        break;
    case 0xaa: /* self test */
        write_mode(k, MODE_SYSTEM | MODE_NO_KEYBOARD | MODE_NO_AUX);
        answer(k, SELF_TEST_OK, 0);
        break;
    case 0xad:
    case 0xae:
        write_mode(k, (uint8_t)(value == 0xad ? k->ram[0] | MODE_NO_KEYBOARD
                                              : k->ram[0] & ~MODE_NO_KEYBOARD));
        break;
    case 0xc0: /* input port: keyboard not locked, no manufacturing jumper */
        answer(k, 0xa0, 0);
        break;
    case 0xd0:
        answer(k, output_port_now(k), 0);
        break;
    case 0xdd: /* A20 off and on, of later controllers */
        set_output_port(k, k->output_port & (uint8_t)~OUT_A20);
        break;
    case 0xdf:
        set_output_port(k, k->output_port | OUT_A20);
        break;
    case 0xf0 ... 0xff: /* pulse the output lines whose bit is 0; bit 0 is reset */
        if (!(value & 1))
            k->ops.reset(k->ops.opaque);
        break;
    default:
        break;
    }
}

/* A command may empty a device's queue: what the output buffer shows of it is its own from here. */
static void send_to(struct i8042 *k, struct ps2_device *d, unsigned from, uint8_t byte)
{
    if (k->from == from) {
        k->from = FROM_CONTROLLER;
        ps2_pop(d);
    }
    d->receive(d, byte);
}

static void data_write(void *dev, uint16_t offset, unsigned size, uint32_t value32)
{
    struct i8042 *k = dev;
    uint8_t value = (uint8_t)value32, command = k->command;

    k->command = 0;
    k->status &= (uint8_t)~STATUS_COMMAND;
    switch (command) {
    case 0: /* to the keyboard, whose clock that starts */
        if (k->keyboard) {
            write_mode(k, k->ram[0] & (uint8_t)~MODE_NO_KEYBOARD);
            k->broken = 0;
            send_to(k, k->keyboard, FROM_KEYBOARD, value);
        } else {
            answer(k, RESEND, STATUS_TIMEOUT);
        }
        break;
    case 0x60:
        write_mode(k, value);
        break;
    case 0xd1:
        set_output_port(k, value);
        break;
    case 0xd2:
        answer(k, value, 0);
        break;
    case 0xd3:
        answer(k, value, STATUS_AUX);
        break;
    case 0xd4:
        if (k->mouse) {
            write_mode(k, k->ram[0] & (uint8_t)~MODE_NO_AUX);
            send_to(k, k->mouse, FROM_AUX, value);
        } else {
            answer(k, RESEND, STATUS_AUX | STATUS_TIMEOUT);
        }
        break;
    default:
        k->ram[command & 31] = value;
        break;
    }
}

static uint32_t data_read(void *dev, uint16_t offset, unsigned size)
{
    struct i8042 *k = dev;
    uint8_t value = k->output, from = k->from;

    if (!(k->status & STATUS_OUTPUT_FULL))
        return value;
    k->status &= (uint8_t) ~(STATUS_OUTPUT_FULL | STATUS_AUX | STATUS_TIMEOUT);
    update_irq(k);
    k->from = FROM_CONTROLLER;
    if (from == FROM_KEYBOARD) {
        k->broken = 0;
        ps2_pop(k->keyboard);
    } else if (from == FROM_AUX) {
        ps2_pop(k->mouse);
    }
    fetch(k);
    return value;
}

static uint32_t status_read(void *dev, uint16_t offset, unsigned size)
{
    return ((const struct i8042 *)dev)->status;
}

static const struct port_ops data_ops = {.read = data_read, .write = data_write, .bytes = true};
static const struct port_ops command_ops = {
    .read = status_read, .write = command_write, .bytes = true};

/* ---- state ---- */

static const struct state_field i8042_fields[] = {
    STATE_BLOB(struct i8042, ram),
    STATE_FIELD(struct i8042, status, STATUS_UNLOCKED),
    STATE_FIELD(struct i8042, output, 0),
    STATE_FIELD(struct i8042, output_port, OUT_NOT_RESET | OUT_A20 | 0xcc),
    STATE_FIELD(struct i8042, command, 0),
    STATE_FIELD(struct i8042, from, FROM_CONTROLLER),
    STATE_FIELD(struct i8042, broken, 0),
};

static void after(void *dev)
{
    struct i8042 *k = dev;

    if (k->from > FROM_AUX || (k->from == FROM_KEYBOARD && !k->keyboard) ||
        (k->from == FROM_AUX && !k->mouse))
        k->from = FROM_CONTROLLER;
    k->broken &= BREAK1;
    if (k->ops.a20)
        k->ops.a20(k->ops.opaque, (k->output_port & OUT_A20) != 0);
    update_irq(k);
}

static const struct state_table i8042_state = {.name = "i8042",
                                               .version = 2,
                                               .fields = i8042_fields,
                                               .field_count = array_size(i8042_fields),
                                               .after = after};

static void i8042_reset(struct device *dev)
{
    struct i8042 *k = container_of(dev, struct i8042, dev);

    state_reset(&i8042_state, k);
    k->ram[0] = MODE_NO_KEYBOARD | MODE_NO_AUX;
}

static void i8042_free(struct device *dev)
{
    struct i8042 *k = container_of(dev, struct i8042, dev);

    ports_unmap(k->ports, k->data_port);
    ports_unmap(k->ports, k->command_port);
    free(k);
}

struct i8042 *i8042_new(struct ports *ports, const struct irq_line *irq1,
                        const struct irq_line *irq12, const struct i8042_ops *ops,
                        struct error *err)
{
    struct i8042 *k = mem_new(struct i8042);

    if (!k) {
        error_set(err, -ENOMEM, "create i8042: out of memory");
        return NULL;
    }
    k->dev = (struct device){
        .state = &i8042_state, .name = "i8042", .reset = i8042_reset, .free = i8042_free};
    k->ports = ports;
    k->irq1 = *irq1;
    k->irq12 = *irq12;
    k->ops = *ops;
    k->data_port = ports_map(ports, "i8042", 0x60, 1, &data_ops, k, err);
    if (k->data_port)
        k->command_port = ports_map(ports, "i8042", 0x64, 1, &command_ops, k, err);
    if (!k->command_port) {
        i8042_free(&k->dev);
        return NULL;
    }
    i8042_reset(&k->dev);
    return k;
}

void i8042_attach(struct i8042 *k, struct ps2_device *keyboard, struct ps2_device *mouse)
{
    k->keyboard = keyboard;
    k->mouse = mouse;
    if (keyboard) {
        keyboard->ready = device_ready;
        keyboard->opaque = k;
    }
    if (mouse) {
        mouse->ready = device_ready;
        mouse->opaque = k;
    }
}

struct device *i8042_device(struct i8042 *kbc)
{
    return &kbc->dev;
}
