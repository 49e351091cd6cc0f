/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each chip keeps the levels of its input pins (lines) apart from the request latches (irr): an
 * edge-triggered input sets its latch when it rises and loses it when it falls before it was
 * acknowledged (data sheet, "edge triggered mode": the input must stay high until the first INTA);
 * a level-triggered one asks as long as it is high.
 *
 * Priorities are walked as an order of eight levels beginning after the lowest one (rotation).
 */
#include "device/i8259.h"

#include <errno.h>

#include "base/mem.h"

enum { ICW1_ICW4 = 1 << 0, ICW1_SINGLE = 1 << 1, ICW1_LEVEL = 1 << 3, ICW1 = 1 << 4 };
enum { ICW4_8086 = 1 << 0, ICW4_AEOI = 1 << 1, ICW4_SFNM = 1 << 4 };
enum { OCW3 = 1 << 3, OCW3_RR = 1 << 1, OCW3_RIS = 1 << 0, OCW3_POLL = 1 << 2 };
enum { OCW3_ESMM = 1 << 6, OCW3_SMM = 1 << 5 };
/* OCW2 commands, bits 7:5. */
enum {
    OCW2_ROTATE_AEOI_CLEAR,
    OCW2_EOI,
    OCW2_NOP,
    OCW2_SPECIFIC_EOI,
    OCW2_ROTATE_AEOI_SET,
    OCW2_ROTATE_EOI,
    OCW2_SET_PRIORITY,
    OCW2_ROTATE_SPECIFIC_EOI
};
enum { CASCADE = 2, SPURIOUS = 7, NO_LEVEL = 8 };

/* Inputs that PIIX3 keeps edge-triggered: 0, 1, 2 and 8, 13 (290550-002, ELCR1/2). */
enum { ELCR_MASTER = 0xf8, ELCR_SLAVE = 0xde };

struct chip {
    uint8_t lines, irr, isr, imr;
    uint8_t icw1, vector, icw4;
    uint8_t expect; /* the ICW awaited at the odd port (2..4), 0 when initialised */
    uint8_t lowest; /* the level of lowest priority */
    uint8_t read_isr, poll, special_mask, rotate_aeoi;
    uint8_t elcr;
};

struct i8259 {
    struct device dev;
    struct ports *ports;
    struct irq_line intr;
    struct port_range *ranges[3];
    struct chip chip[2];
};

static bool is_level(const struct chip *c, unsigned n)
{
    return c->icw1 & ICW1_LEVEL || c->elcr >> n & 1;
}

/* Requests as the priority resolver sees them. */
static uint8_t requests(const struct chip *c)
{
    uint8_t level = c->icw1 & ICW1_LEVEL ? 0xff : c->elcr;
    return (uint8_t)((c->irr & ~level) | (c->lines & level));
}

/* The level of highest priority among @bits, NO_LEVEL when there is none. */
static unsigned highest(const struct chip *c, uint8_t bits)
{
    for (unsigned i = 1; bits && i <= 8; i++) {
        unsigned n = (c->lowest + i) & 7;
        if (bits >> n & 1)
            return n;
    }
    return NO_LEVEL;
}

static unsigned rank(const struct chip *c, unsigned n)
{
    return n == NO_LEVEL ? 8 : (n - c->lowest - 1) & 7;
}

/* The level whose request may interrupt now, NO_LEVEL when none may. */
static unsigned deliverable(const struct chip *c, bool master)
{
    uint8_t asking = (uint8_t)(requests(c) & ~c->imr), serving = c->isr;
    unsigned n;

    if (c->expect)
        return NO_LEVEL;
    if (c->special_mask) {
        /* Levels being served that are masked do not hold back others; a level never itself. */
        asking &= (uint8_t)~c->isr;
        serving &= (uint8_t)~c->imr;
    }
    /* Special fully nested mode: further requests of a slave being served come through. */
    n = highest(c, asking);
    if (master && c->icw4 & ICW4_SFNM && n == CASCADE)
        serving &= (uint8_t) ~(1 << CASCADE);
    return rank(c, n) < rank(c, highest(c, serving)) ? n : NO_LEVEL;
}

static void set_line(struct chip *c, unsigned n, int level)
{
    uint8_t bit = (uint8_t)(1 << n);

    if (level && !(c->lines & bit))
        c->irr |= bit;
    if (!level)
        c->irr &= (uint8_t)~bit;
    c->lines = (uint8_t)(level ? c->lines | bit : c->lines & ~bit);
}

static void update(struct i8259 *pic)
{
    set_line(&pic->chip[0], CASCADE, deliverable(&pic->chip[1], false) != NO_LEVEL);
    irq_set(&pic->intr, deliverable(&pic->chip[0], true) != NO_LEVEL);
}

static void input_set(void *opaque, unsigned irq, int level)
{
    struct i8259 *pic = opaque;

    set_line(&pic->chip[irq >> 3 & 1], irq & 7, level);
    update(pic);
}

struct irq_line i8259_input(struct i8259 *pic, unsigned irq)
{
    if (irq > 15 || irq == CASCADE)
        return (struct irq_line){0};
    return (struct irq_line){.set = input_set, .opaque = pic, .input = irq};
}

static void end_of_interrupt(struct chip *c, unsigned n, bool rotate)
{
    if (n == NO_LEVEL)
        return;
    c->isr &= (uint8_t) ~(1 << n);
    if (rotate)
        c->lowest = (uint8_t)n;
}

/* The first INTA of level @n. */
static void accept(struct chip *c, unsigned n)
{
    if (!is_level(c, n))
        c->irr &= (uint8_t) ~(1 << n);
    if (!(c->icw4 & ICW4_AEOI))
        c->isr |= (uint8_t)(1 << n);
    else if (c->rotate_aeoi)
        c->lowest = (uint8_t)n;
}

/* Answers an acknowledge cycle with a level (7 when nothing asks: spurious, ISR stays). */
static unsigned take(struct chip *c, bool master)
{
    unsigned n = deliverable(c, master);

    if (n == NO_LEVEL)
        return SPURIOUS;
    accept(c, n);
    return n;
}

uint8_t i8259_ack(struct i8259 *pic)
{
    const struct chip *answering = &pic->chip[0];
    bool cascade = deliverable(&pic->chip[0], true) == CASCADE;
    unsigned n = take(&pic->chip[0], true);

    if (cascade) {
        n = take(&pic->chip[1], false);
        answering = &pic->chip[1];
    }
    update(pic);
    return (uint8_t)(answering->vector | n);
}

void i8259_set_elcr(struct i8259 *pic, uint16_t level)
{
    pic->chip[0].elcr = level & ELCR_MASTER;
    pic->chip[1].elcr = (level >> 8) & ELCR_SLAVE;
    update(pic);
}

/* ---- registers ---- */

static void command_write(struct chip *c, uint8_t value)
{
    static const bool specific[8] = {[OCW2_SPECIFIC_EOI] = true, [OCW2_ROTATE_SPECIFIC_EOI] = true};
    unsigned n = value & 7, command = value >> 5;

    if (value & ICW1) {
        /* Initialisation: edge latches cleared (inputs must rise anew), mask cleared, IR7 lowest,
         * special mask off, status read = IRR. */
        uint8_t lines = c->lines, elcr = c->elcr;
        *c = (struct chip){.lines = lines,
                           .elcr = elcr,
                           .vector = c->vector,
                           .icw1 = value,
                           .lowest = 7,
                           .expect = 2};
    } else if (value & OCW3) {
        c->poll = (value & OCW3_POLL) != 0;
        if (value & OCW3_RR)
            c->read_isr = value & OCW3_RIS;
        if (value & OCW3_ESMM)
            c->special_mask = (value & OCW3_SMM) != 0;
    } else {
        switch (command) {
        case OCW2_ROTATE_AEOI_CLEAR:
        case OCW2_ROTATE_AEOI_SET:
            c->rotate_aeoi = command == OCW2_ROTATE_AEOI_SET;
            break;
        case OCW2_SET_PRIORITY:
            c->lowest = (uint8_t)n;
            break;
        case OCW2_NOP:
            break;
        default: {
            /* In special mask mode a non-specific EOI passes by masked levels. */
            uint8_t served = (uint8_t)(c->special_mask ? c->isr & ~c->imr : c->isr);
            end_of_interrupt(c, specific[command] ? n : highest(c, served),
                             command >= OCW2_ROTATE_EOI);
            break;
        }
        }
    }
}

static void data_write(struct chip *c, uint8_t value)
{
    switch (c->expect) {
    case 2:
        c->vector = value & 0xf8;
        c->expect = c->icw1 & ICW1_SINGLE ? (c->icw1 & ICW1_ICW4 ? 4 : 0) : 3;
        break;
    case 3: /* the cascade is wired, whatever ICW3 says */
        c->expect = c->icw1 & ICW1_ICW4 ? 4 : 0;
        break;
    case 4:
        c->icw4 = value;
        c->expect = 0;
        break;
    default:
        c->imr = value;
        break;
    }
}

/* A poll read acts as an acknowledge: bit 7 = a request was there, bits 2:0 = its level. */
static uint8_t poll_read(struct chip *c, bool master)
{
    unsigned n = deliverable(c, master);

    c->poll = 0;
    if (n == NO_LEVEL)
        return SPURIOUS;
    accept(c, n);
    return (uint8_t)(0x80 | n);
}

static uint8_t chip_read(struct i8259 *pic, unsigned index, unsigned offset)
{
    struct chip *c = &pic->chip[index];

    if (c->poll) {
        uint8_t value = poll_read(c, index == 0);
        update(pic);
        return value;
    }
    if (offset & 1)
        return c->imr;
    return c->read_isr ? c->isr : requests(c);
}

static void chip_write(struct i8259 *pic, unsigned index, unsigned offset, uint8_t value)
{
    if (offset & 1)
        data_write(&pic->chip[index], value);
    else
        command_write(&pic->chip[index], value);
    update(pic);
}

static uint32_t master_read(void *dev, uint16_t offset, unsigned size)
{
    return chip_read(dev, 0, offset);
}

static void master_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    chip_write(dev, 0, offset, (uint8_t)value);
}

static uint32_t slave_read(void *dev, uint16_t offset, unsigned size)
{
    return chip_read(dev, 1, offset);
}

static void slave_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    chip_write(dev, 1, offset, (uint8_t)value);
}

static uint32_t elcr_read(void *dev, uint16_t offset, unsigned size)
{
    const struct i8259 *pic = dev;
    uint32_t both = pic->chip[0].elcr | (uint32_t)pic->chip[1].elcr << 8;
    return both >> 8 * offset;
}

static void elcr_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8259 *pic = dev;
    uint32_t both = elcr_read(dev, 0, 2);

    both = (both & ~(0xffu << 8 * offset)) | (value & 0xff) << 8 * offset;
    i8259_set_elcr(pic, (uint16_t)both);
}

static const struct port_ops master_ops = {
    .read = master_read, .write = master_write, .bytes = true};
static const struct port_ops slave_ops = {.read = slave_read, .write = slave_write, .bytes = true};
static const struct port_ops elcr_ops = {.read = elcr_read, .write = elcr_write, .bytes = true};

/* ---- state ---- */

#define CHIP_FIELDS(i)                                                                             \
    STATE_FIELD(struct i8259, chip[i].lines, 0), STATE_FIELD(struct i8259, chip[i].irr, 0),        \
        STATE_FIELD(struct i8259, chip[i].isr, 0), STATE_FIELD(struct i8259, chip[i].imr, 0),      \
        STATE_FIELD(struct i8259, chip[i].icw1, 0), STATE_FIELD(struct i8259, chip[i].vector, 0),  \
        STATE_FIELD(struct i8259, chip[i].icw4, 0), STATE_FIELD(struct i8259, chip[i].expect, 2),  \
        STATE_FIELD(struct i8259, chip[i].lowest, 7),                                              \
        STATE_FIELD(struct i8259, chip[i].read_isr, 0),                                            \
        STATE_FIELD(struct i8259, chip[i].poll, 0),                                                \
        STATE_FIELD(struct i8259, chip[i].special_mask, 0),                                        \
        STATE_FIELD(struct i8259, chip[i].rotate_aeoi, 0),                                         \
        STATE_FIELD(struct i8259, chip[i].elcr, 0)

static const struct state_field i8259_fields[] = {CHIP_FIELDS(0), CHIP_FIELDS(1)};

static void after(void *dev)
{
    struct i8259 *pic = dev;

    for (unsigned i = 0; i < 2; i++)
        pic->chip[i].lowest &= 7;
    update(pic);
}

static const struct state_table i8259_state = {.name = "i8259",
                                               .version = 1,
                                               .fields = i8259_fields,
                                               .field_count = array_size(i8259_fields),
                                               .after = after};

/* The wires are not the chips': their levels outlast a reset. */
static void i8259_reset(struct device *dev)
{
    struct i8259 *pic = container_of(dev, struct i8259, dev);
    uint8_t lines[2] = {pic->chip[0].lines, pic->chip[1].lines};

    state_reset(&i8259_state, pic);
    pic->chip[0].lines = lines[0];
    pic->chip[1].lines = lines[1];
    update(pic);
}

static void i8259_free(struct device *dev)
{
    struct i8259 *pic = container_of(dev, struct i8259, dev);

    for (unsigned i = 0; i < array_size(pic->ranges); i++)
        ports_unmap(pic->ports, pic->ranges[i]);
    free(pic);
}

struct i8259 *i8259_new(struct ports *ports, const struct irq_line *intr, struct error *err)
{
    struct i8259 *pic = mem_new(struct i8259);

    if (!pic) {
        error_set(err, -ENOMEM, "create i8259: out of memory");
        return NULL;
    }
    pic->dev = (struct device){
        .state = &i8259_state, .name = "i8259", .reset = i8259_reset, .free = i8259_free};
    pic->ports = ports;
    pic->intr = *intr;
    if (!(pic->ranges[0] = ports_map(ports, "i8259", 0x20, 2, &master_ops, pic, err)) ||
        !(pic->ranges[1] = ports_map(ports, "i8259", 0xa0, 2, &slave_ops, pic, err)) ||
        !(pic->ranges[2] = ports_map(ports, "i8259", 0x4d0, 2, &elcr_ops, pic, err))) {
        i8259_free(&pic->dev);
        return NULL;
    }
    state_reset(&i8259_state, pic);
    return pic;
}

struct device *i8259_device(struct i8259 *pic)
{
    return &pic->dev;
}

void i8259_show(const struct i8259 *pic, struct str *out)
{
    for (unsigned n = 0; n < 2; n++) {
        const struct chip *c = &pic->chip[n];
        str_addf(out,
                 "PIC %u: vectors from 0x%02x, inputs %02x, requests %02x, in service %02x, masked "
                 "%02x, level %02x\n",
                 n, c->vector, c->lines, c->irr, c->isr, c->imr, c->elcr);
    }
}
