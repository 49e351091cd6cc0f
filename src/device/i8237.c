/* SPDX-License-Identifier: Apache-2.0 */
#include "device/i8237.h"

#include <errno.h>

#include "base/mem.h"

enum { CHANNELS = 8, CHIPS = 2, PER_CHIP = 4 };
/* Registers from 8 on, by their number. */
enum { R_COMMAND = 8, R_REQUEST, R_MASK, R_MODE, R_CLEAR_FLIP, R_RESET, R_CLEAR_MASK, R_ALL_MASKS };
enum { COMMAND_OFF = 1 << 2 };
enum { MODE_AUTO = 1 << 4, MODE_DOWN = 1 << 5 };
enum { TO_MEMORY = 1, FROM_MEMORY = 2, CASCADE = 3 };

struct chip {
    uint8_t command, mask, status, flip;
};

struct channel {
    uint16_t base, base_count, address, count;
    uint8_t mode;
    uint8_t page;
};

struct i8237 {
    struct device dev;
    struct ports *ports;
    struct space *space;
    struct port_range *low, *high, *pages;
    struct chip chip[CHIPS];
    struct channel channel[CHANNELS];
    uint8_t page_rest[16]; /* page registers that belong to no channel: plain memory */
};

/* The channel whose page register is at 0x80 + @offset, -1: none. */
static int page_channel(unsigned offset)
{
    static const int8_t channels[16] = {-1, 2, 3, 1, -1, -1, -1, 0, -1, 6, 7, 5, -1, -1, -1, -1};
    return channels[offset & 15];
}

/* ---- registers ---- */

static uint8_t chip_read(struct i8237 *dma, unsigned n, unsigned reg)
{
    struct chip *c = &dma->chip[n];
    uint8_t value;

    if (reg < 8) {
        const struct channel *ch = &dma->channel[n * PER_CHIP + reg / 2];
        uint16_t word = reg & 1 ? ch->count : ch->address;
        value = (uint8_t)(c->flip ? word >> 8 : word);
        c->flip ^= 1;
        return value;
    }
    if (reg == R_COMMAND) { /* status; reading forgets who reached the end */
        value = c->status;
        c->status &= 0xf0;
        return value;
    }
    return reg == R_ALL_MASKS ? c->mask | 0xf0 : 0;
}

static void put_half(uint16_t *word, bool high, uint8_t value)
{
    *word = high ? (uint16_t)((*word & 0xff) | value << 8) : (uint16_t)((*word & 0xff00) | value);
}

static void reset_chip(struct chip *c)
{
    *c = (struct chip){.mask = 15};
}

static void chip_write(struct i8237 *dma, unsigned n, unsigned reg, uint8_t value)
{
    struct chip *c = &dma->chip[n];
    struct channel *ch;

    switch (reg) {
    case R_COMMAND:
        c->command = value;
        return;
    case R_MASK:
        c->mask = (uint8_t)((c->mask & ~(1 << (value & 3))) | (value >> 2 & 1) << (value & 3));
        return;
    case R_MODE:
        dma->channel[n * PER_CHIP + (value & 3)].mode = value;
        return;
    case R_CLEAR_FLIP:
        c->flip = 0;
        return;
    case R_RESET:
        reset_chip(c);
        return;
    case R_CLEAR_MASK:
        c->mask = 0;
        return;
    case R_ALL_MASKS:
        c->mask = value & 15;
        return;
    case R_REQUEST: /* memory to memory and software requests: no PC has used them */
        return;
    default:
        break;
    }
    ch = &dma->channel[n * PER_CHIP + reg / 2];
    put_half(reg & 1 ? &ch->count : &ch->address, c->flip, value);
    put_half(reg & 1 ? &ch->base_count : &ch->base, c->flip, value);
    c->flip ^= 1;
}

static uint32_t low_read(void *dev, uint16_t offset, unsigned size)
{
    return chip_read(dev, 0, offset);
}

static void low_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    chip_write(dev, 0, offset, (uint8_t)value);
}

static uint32_t high_read(void *dev, uint16_t offset, unsigned size)
{
    return chip_read(dev, 1, offset / 2);
}

static void high_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    chip_write(dev, 1, offset / 2, (uint8_t)value);
}

static uint32_t page_read(void *dev, uint16_t offset, unsigned size)
{
    const struct i8237 *dma = dev;
    int n = page_channel(offset);
    return n < 0 ? dma->page_rest[offset] : dma->channel[n].page;
}

static void page_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8237 *dma = dev;
    int n = page_channel(offset);

    if (n < 0)
        dma->page_rest[offset] = (uint8_t)value;
    else
        dma->channel[n].page = (uint8_t)value;
}

static const struct port_ops low_ops = {.read = low_read, .write = low_write, .bytes = true};
static const struct port_ops high_ops = {.read = high_read, .write = high_write, .bytes = true};
static const struct port_ops page_ops = {.read = page_read, .write = page_write, .bytes = true};

/* ---- transfers ---- */

uint32_t i8237_left(const struct i8237 *dma, unsigned n)
{
    const struct chip *c = &dma->chip[n / PER_CHIP % CHIPS];
    const struct channel *ch = &dma->channel[n % CHANNELS];

    if (c->command & COMMAND_OFF || c->mask >> n % PER_CHIP & 1 || ch->mode >> 6 == CASCADE)
        return 0;
    return (ch->count + 1u) * (n < PER_CHIP ? 1 : 2);
}

/* Where the channel stands; word channels count words and have 128 KiB pages. */
static uint64_t address_of(const struct i8237 *dma, unsigned n)
{
    const struct channel *ch = &dma->channel[n];

    if (n < PER_CHIP)
        return (uint64_t)ch->page << 16 | ch->address;
    return (uint64_t)(ch->page & 0xfe) << 16 | (uint64_t)ch->address << 1;
}

static void advance(struct i8237 *dma, unsigned n)
{
    struct chip *c = &dma->chip[n / PER_CHIP];
    struct channel *ch = &dma->channel[n];

    ch->address = (uint16_t)(ch->mode & MODE_DOWN ? ch->address - 1 : ch->address + 1);
    if (ch->count--)
        return;
    c->status |= (uint8_t)(1 << n % PER_CHIP);
    if (ch->mode & MODE_AUTO) {
        ch->address = ch->base;
        ch->count = ch->base_count;
    } else {
        c->mask |= (uint8_t)(1 << n % PER_CHIP);
    }
}

int i8237_move(struct i8237 *dma, unsigned n, uint8_t *bytes, uint32_t len, bool in)
{
    unsigned unit, kind;

    n %= CHANNELS;
    unit = n < PER_CHIP ? 1 : 2;
    kind = dma->channel[n].mode >> 2 & 3;
    len = min_of(len, i8237_left(dma, n));
    for (uint32_t at = 0; at + unit <= len; at += unit) {
        int r = 0;
        if (in && kind == TO_MEMORY)
            r = space_write(dma->space, address_of(dma, n), bytes + at, unit);
        else if (!in && kind == FROM_MEMORY)
            r = space_read(dma->space, address_of(dma, n), bytes + at, unit);
        if (r < 0)
            return -EFAULT;
        advance(dma, n);
    }
    return 0;
}

/* ---- state ---- */

#define CHIP(i)                                                                                    \
    STATE_FIELD(struct i8237, chip[i].command, 0), STATE_FIELD(struct i8237, chip[i].mask, 15),    \
        STATE_FIELD(struct i8237, chip[i].status, 0), STATE_FIELD(struct i8237, chip[i].flip, 0)
#define CHANNEL(i)                                                                                 \
    STATE_FIELD(struct i8237, channel[i].base, 0),                                                 \
        STATE_FIELD(struct i8237, channel[i].base_count, 0),                                       \
        STATE_FIELD(struct i8237, channel[i].address, 0),                                          \
        STATE_FIELD(struct i8237, channel[i].count, 0),                                            \
        STATE_FIELD(struct i8237, channel[i].mode, 0),                                             \
        STATE_FIELD(struct i8237, channel[i].page, 0)

static const struct state_field i8237_fields[] = {CHIP(0),
                                                  CHIP(1),
                                                  CHANNEL(0),
                                                  CHANNEL(1),
                                                  CHANNEL(2),
                                                  CHANNEL(3),
                                                  CHANNEL(4),
                                                  CHANNEL(5),
                                                  CHANNEL(6),
                                                  CHANNEL(7),
                                                  STATE_BLOB(struct i8237, page_rest)};

static const struct state_table i8237_state = {
    .name = "i8237", .version = 1, .fields = i8237_fields, .field_count = array_size(i8237_fields)};

static void i8237_free(struct device *dev)
{
    struct i8237 *dma = container_of(dev, struct i8237, dev);

    ports_unmap(dma->ports, dma->low);
    ports_unmap(dma->ports, dma->high);
    ports_unmap(dma->ports, dma->pages);
    free(dma);
}

struct i8237 *i8237_new(struct ports *ports, struct space *space, struct error *err)
{
    struct i8237 *dma = mem_new(struct i8237);

    if (!dma) {
        error_set(err, -ENOMEM, "create i8237: out of memory");
        return NULL;
    }
    dma->dev = (struct device){.state = &i8237_state, .name = "i8237", .free = i8237_free};
    dma->ports = ports;
    dma->space = space;
    dma->low = ports_map(ports, "i8237", 0x00, 16, &low_ops, dma, err);
    if (dma->low)
        dma->high = ports_map(ports, "i8237", 0xc0, 32, &high_ops, dma, err);
    if (dma->high)
        dma->pages = ports_map(ports, "i8237-pages", 0x80, 16, &page_ops, dma, err);
    if (!dma->pages) {
        i8237_free(&dma->dev);
        return NULL;
    }
    state_reset(&i8237_state, dma);
    return dma;
}

struct device *i8237_device(struct i8237 *dma)
{
    return &dma->dev;
}
