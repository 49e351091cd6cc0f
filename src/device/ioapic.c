/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A level-triggered input sends its message when it asks and Remote IRR is clear; the EOI of its
 * vector clears Remote IRR and the input is looked at again. An edge-triggered one sends when it
 * rises; an edge that comes while the pin is masked is lost (82093AA, 3.2.4, "Interrupt Mask").
 */
#include "device/ioapic.h"

#include <errno.h>

#include "base/mem.h"

enum { REGSEL = 0x00, WINDOW = 0x10, EOI = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_REDIRECTION = 0x10 };
enum { VERSION = 0x20 | (IOAPIC_PINS - 1) << 16 };
/* Redirection entry (3.2.4). */
enum {
    ENTRY_LOGICAL = 1 << 11,
    ENTRY_STATUS = 1 << 12,
    ENTRY_REMOTE_IRR = 1 << 14,
    ENTRY_LEVEL = 1 << 15,
    ENTRY_MASKED = 1 << 16,
};
enum { MODE_FIXED, MODE_LOWEST };

struct ioapic {
    struct device dev;
    struct space *space;
    struct space_range *range;
    struct msi_sink msi;
    uint8_t select, id;
    uint32_t lines; /* input levels */
    uint64_t entry[IOAPIC_PINS];
};

static void send(struct ioapic *io, unsigned pin)
{
    uint64_t e = io->entry[pin];
    uint64_t address = 0xfee00000u | (e >> 56) << 12 | (e & ENTRY_LOGICAL ? 1u << 2 : 0);
    uint32_t data = (uint32_t)(e & 0x7ff) | 1u << 14 | (uint32_t)(e & ENTRY_LEVEL);

    msi_send(&io->msi, address, data);
}

/* Level triggering means something for these modes only; others act on edges. */
static bool is_level(uint64_t entry)
{
    unsigned mode = entry >> 8 & 7;
    return entry & ENTRY_LEVEL && (mode == MODE_FIXED || mode == MODE_LOWEST);
}

static void service_level(struct ioapic *io, unsigned pin)
{
    uint64_t e = io->entry[pin];

    if (!is_level(e) || e & (ENTRY_MASKED | ENTRY_REMOTE_IRR) || !(io->lines >> pin & 1))
        return;
    io->entry[pin] |= ENTRY_REMOTE_IRR;
    send(io, pin);
}

static void input_set(void *opaque, unsigned pin, int level)
{
    struct ioapic *io = opaque;
    uint32_t bit = 1u << pin;
    bool rises = level && !(io->lines & bit);

    io->lines = level ? io->lines | bit : io->lines & ~bit;
    if (!rises || io->entry[pin] & ENTRY_MASKED)
        return;
    if (is_level(io->entry[pin]))
        service_level(io, pin);
    else
        send(io, pin);
}

struct irq_line ioapic_input(struct ioapic *io, unsigned pin)
{
    if (pin >= IOAPIC_PINS)
        return (struct irq_line){0};
    return (struct irq_line){.set = input_set, .opaque = io, .input = pin};
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t e = io->entry[pin];
        if (!(e & ENTRY_REMOTE_IRR) || (e & 0xff) != vector)
            continue;
        io->entry[pin] = e & ~(uint64_t)ENTRY_REMOTE_IRR;
        service_level(io, pin);
    }
}

/* ---- registers ---- */

static uint32_t read_register(const struct ioapic *io)
{
    unsigned n = io->select - REG_REDIRECTION;

    switch (io->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return (uint32_t)io->id << 24;
    case REG_VERSION:
        return VERSION;
    default:
        if (n >= 2 * IOAPIC_PINS)
            return 0;
        return (uint32_t)(io->entry[n / 2] >> (n & 1 ? 32 : 0));
    }
}

static void write_register(struct ioapic *io, uint32_t value)
{
    unsigned n = io->select - REG_REDIRECTION;
    uint64_t *e, kept = ENTRY_REMOTE_IRR;

    if (io->select == REG_ID)
        io->id = value >> 24 & 15;
    if (io->select < REG_REDIRECTION || n >= 2 * IOAPIC_PINS)
        return;
    e = &io->entry[n / 2];
    if (n & 1) {
        *e = (*e & UINT32_MAX) | (uint64_t)(value & 0xff000000u) << 32;
        return;
    }
    /* Remote IRR is read-only, but an edge-triggered input has none. */
    if (!(value & ENTRY_LEVEL))
        kept = 0;
    *e = (*e & 0xffffffff00000000ull) | (*e & kept) |
         (value & 0x1ffffu & ~(uint32_t)(ENTRY_STATUS | ENTRY_REMOTE_IRR));
    service_level(io, n / 2);
}

static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned size)
{
    const struct ioapic *io = dev;

    if (offset == REGSEL)
        return io->select;
    return offset == WINDOW ? read_register(io) : 0;
}

static void ioapic_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *io = dev;

    if (offset == REGSEL)
        io->select = (uint8_t)value;
    else if (offset == WINDOW && size == 4)
        write_register(io, (uint32_t)value);
    else if (offset == EOI)
        ioapic_eoi(io, (uint8_t)value);
}

static const struct mmio_ops ioapic_mmio = {.read = ioapic_read, .write = ioapic_write};

/* ---- state ---- */

static const struct state_field ioapic_fields[] = {
    STATE_FIELD(struct ioapic, select, 0),
    STATE_FIELD(struct ioapic, id, 0),
    STATE_FIELD(struct ioapic, lines, 0),
    STATE_ARRAY(struct ioapic, entry, ENTRY_MASKED),
};
static const struct state_table ioapic_state = {.name = "ioapic",
                                                .version = 1,
                                                .fields = ioapic_fields,
                                                .field_count = array_size(ioapic_fields)};

/* The wires are not the chip's: their levels outlast a reset. */
static void ioapic_reset(struct device *dev)
{
    struct ioapic *io = container_of(dev, struct ioapic, dev);
    uint32_t lines = io->lines;

    state_reset(&ioapic_state, io);
    io->lines = lines;
}

static void ioapic_free(struct device *dev)
{
    struct ioapic *io = container_of(dev, struct ioapic, dev);

    space_unmap(io->space, io->range);
    free(io);
}

struct ioapic *ioapic_new(struct space *space, uint64_t base, const struct msi_sink *msi,
                          struct error *err)
{
    struct ioapic *io = mem_new(struct ioapic);

    if (!io) {
        error_set(err, -ENOMEM, "create ioapic: out of memory");
        return NULL;
    }
    io->dev = (struct device){
        .state = &ioapic_state, .name = "ioapic", .reset = ioapic_reset, .free = ioapic_free};
    io->space = space;
    io->msi = *msi;
    io->range = space_map_mmio(space, "ioapic", base, 0x1000, &ioapic_mmio, io, 0, err);
    if (!io->range) {
        ioapic_free(&io->dev);
        return NULL;
    }
    state_reset(&ioapic_state, io);
    return io;
}

struct device *ioapic_device(struct ioapic *io)
{
    return &io->dev;
}

void ioapic_show(const struct ioapic *io, struct str *out)
{
    static const char *const modes[] = {"fixed", "lowest", "SMI", "-",
                                        "NMI",   "INIT",   "-",   "ExtINT"};

    str_add(out, "I/O APIC:\n");
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t e = io->entry[pin];
        if (e & ENTRY_MASKED && !(io->lines >> pin & 1))
            continue;
        str_addf(out, "  pin %2u %s vector 0x%02x %s to %s %u, %s%s%s\n", pin,
                 io->lines >> pin & 1 ? "high" : "low ", (unsigned)(e & 0xff), modes[e >> 8 & 7],
                 e & ENTRY_LOGICAL ? "logical" : "APIC", (unsigned)(e >> 56),
                 e & ENTRY_LEVEL ? "level" : "edge", e & ENTRY_MASKED ? ", masked" : "",
                 e & ENTRY_REMOTE_IRR ? ", in service" : "");
    }
}
