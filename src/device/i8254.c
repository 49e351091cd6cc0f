/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A counter is not stepped: what it would show follows from the guest time at which it began to
 * count (start, in clocks of 1.193182 MHz), the count it began with (initial) and its mode. Since a
 * new count may wait for the end of the present cycle (modes 2 and 3) and a gate may stop the
 * counting, each counter is settled first: brought to the present clock with all reloads done.
 *
 * Modes 2 and 3 with period N: after k clocks the cycle began at start + N * (k / N).
 */
#include "device/i8254.h"

#include <errno.h>

#include "base/mem.h"

enum { PIT_HZ = 1193182, COUNTERS = 3, SPEAKER = 2, AUDIBLE_HZ = 20000 };
#define NS_PER_S 1000000000ull

/* Control word (data sheet, figure 7). */
enum { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };
enum { MODE_TERMINAL, MODE_ONE_SHOT, MODE_RATE, MODE_SQUARE, MODE_SOFT_STROBE, MODE_HARD_STROBE };
enum { STATUS_OUT = 1 << 7, STATUS_NULL_COUNT = 1 << 6 };

/* Port 0x61. */
enum {
    B_GATE2 = 1 << 0,
    B_SPEAKER = 1 << 1,
    B_NMI_MASKS = 3 << 2,
    B_REFRESH = 1 << 4,
    B_OUT2 = 1 << 5,
    SOUND = B_GATE2 | B_SPEAKER
};

/* Interrupts closer together than this are not told one by one: they only burn the host. */
enum { MIN_PERIOD_CLOCKS = 12 };

struct counter {
    uint8_t mode, access, bcd; /* as programmed */
    uint8_t gate;
    uint8_t loaded;   /* a count was written since the control word */
    uint8_t armed;    /* counting began (modes 1 and 5: was triggered) */
    uint8_t waiting;  /* next is used from the next cycle or trigger on */
    uint8_t stopped;  /* the gate holds the counting at frozen */
    uint8_t low_next; /* RW_BOTH: the low byte is in written, the high one comes */
    uint8_t written;
    uint8_t read_high;  /* RW_BOTH without latch: the high byte is read next */
    uint8_t latch_left; /* bytes of the latch not yet read */
    uint8_t status_latched, status;
    uint16_t latch;
    uint32_t initial, next; /* counts, never 0 */
    uint64_t start;         /* the clock at which initial stands in the counter */
    uint64_t frozen;        /* clocks counted when the gate stopped it */
    uint64_t takeover;      /* the clock from which a waiting count is used (modes 2 and 3) */
};

struct i8254 {
    struct device dev;
    struct ports *ports;
    struct gclock *clock;
    struct irq_line irq0;
    struct port_range *pit_range, *port61_range;
    struct gtimer timer;
    struct counter counter[COUNTERS];
    uint8_t port61;
    uint32_t sounds; /* of the speaker; for those who look on, no state of the chip's */
};

/* Clocks begin at a number that leaves room for a cycle begun before the machine. */
#define CLOCK_BASE (1ull << 20)
#define CLOCK_MAX  (1ull << 60)

static uint64_t clocks_now(const struct i8254 *pit)
{
    return CLOCK_BASE + gclock_muldiv(gclock_now(pit->clock), PIT_HZ, NS_PER_S);
}

/* The first guest time at which clocks_now gives @clocks. */
static uint64_t clocks_to_ns(uint64_t clocks)
{
    clocks = clocks > CLOCK_BASE ? clocks - CLOCK_BASE : 0;
    return (uint64_t)(((unsigned __int128)clocks * NS_PER_S + PIT_HZ - 1) / PIT_HZ);
}

static uint64_t elapsed(const struct counter *c, uint64_t now)
{
    if (c->stopped)
        return c->frozen;
    return now > c->start ? now - c->start : 0;
}

static uint32_t first_half(uint32_t count)
{
    return (count + 1) / 2;
}

static bool is_periodic(const struct counter *c)
{
    return c->mode == MODE_RATE || c->mode == MODE_SQUARE;
}

/* Brings the start of a periodic counter to its present cycle, taking over a waiting count. */
static void settle(struct counter *c, uint64_t now)
{
    if (!is_periodic(c) || !c->armed || c->stopped)
        return;
    if (c->waiting && now >= c->takeover) {
        bool half = c->takeover - c->start < c->initial;
        c->start = half ? c->takeover - first_half(c->next) : c->takeover;
        c->initial = c->next;
        c->waiting = 0;
    }
    if (now > c->start)
        c->start += (now - c->start) / c->initial * c->initial;
}

static bool output(const struct counter *c, uint64_t now)
{
    uint64_t e = elapsed(c, now);

    if (!c->armed)
        return c->mode != MODE_TERMINAL;
    switch (c->mode) {
    case MODE_TERMINAL:
    case MODE_ONE_SHOT:
        return now >= c->start && e >= c->initial;
    case MODE_RATE:
        return !c->gate || e % c->initial != c->initial - 1;
    case MODE_SQUARE:
        return !c->gate || e % c->initial < first_half(c->initial);
    default: /* strobes are low for the one clock in which the count is 0 */
        return e != c->initial;
    }
}

static uint16_t count_value(const struct counter *c, uint64_t now)
{
    uint32_t span = c->bcd ? 10000 : 65536, value;
    uint64_t e = c->armed ? elapsed(c, now) : 0;

    if (c->mode == MODE_RATE) {
        value = c->initial - (uint32_t)(e % c->initial);
    } else if (c->mode == MODE_SQUARE) {
        uint32_t in_half = (uint32_t)(e % c->initial);
        if (in_half >= first_half(c->initial))
            in_half -= first_half(c->initial);
        value = (c->initial & ~1u) - 2 * in_half;
    } else {
        value = c->initial + span - (uint32_t)(e % span);
    }
    value %= span;
    if (c->bcd)
        value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
    return (uint16_t)value;
}

/* ---- counting ---- */

static void set_gate(struct counter *c, uint64_t now, bool gate)
{
    if (gate == c->gate)
        return;
    settle(c, now);
    c->gate = gate;
    if (!gate && c->mode != MODE_ONE_SHOT && c->mode != MODE_HARD_STROBE) {
        c->frozen = elapsed(c, now);
        c->stopped = c->armed;
    } else if (gate && (c->mode == MODE_TERMINAL || c->mode == MODE_SOFT_STROBE)) {
        c->start = c->stopped ? now - c->frozen : c->start;
        c->stopped = 0;
    } else if (gate && c->loaded) { /* a trigger: loads the counter on the next clock */
        if (c->waiting)
            c->initial = c->next;
        c->waiting = 0;
        c->start = now + 1;
        c->stopped = 0;
        c->armed = 1;
    }
}

/* A whole count was written. */
static void load(struct counter *c, uint64_t now, uint16_t raw)
{
    uint32_t count = raw;

    if (c->bcd)
        count =
            (raw & 15u) + (raw >> 4 & 15u) * 10 + (raw >> 8 & 15u) * 100 + (raw >> 12 & 15u) * 1000;
    if (!count)
        count = c->bcd ? 10000 : 65536;
    c->next = count;
    c->waiting = 1;
    c->loaded = 1;
    if (c->mode == MODE_ONE_SHOT || c->mode == MODE_HARD_STROBE)
        return; /* until triggered */
    if (is_periodic(c) && c->armed) {
        bool half = c->mode == MODE_SQUARE && elapsed(c, now) < first_half(c->initial);
        c->takeover = c->start + (half ? first_half(c->initial) : c->initial);
        return;
    }
    c->initial = count;
    c->waiting = 0;
    c->armed = 1;
    c->start = now + 1;
    c->stopped = !c->gate;
    c->frozen = 0;
}

/* The next clock at which counter 0 must be looked at, 0 when there is none. */
static uint64_t next_edge(const struct counter *c, uint64_t now)
{
    uint64_t edge;

    if (!c->armed || c->stopped)
        return 0;
    switch (c->mode) {
    case MODE_RATE: /* the strobe of one clock is told at its end, as a pulse */
        edge = c->start + c->initial;
        return edge < now + MIN_PERIOD_CLOCKS ? now + MIN_PERIOD_CLOCKS : edge;
    case MODE_SQUARE:
        edge = c->start + first_half(c->initial);
        if (now >= edge)
            edge = c->start + c->initial;
        return edge < now + MIN_PERIOD_CLOCKS ? now + MIN_PERIOD_CLOCKS : edge;
    case MODE_SOFT_STROBE:
    case MODE_HARD_STROBE:
        edge = c->start + c->initial + 1;
        break;
    default:
        edge = c->start + c->initial;
        break;
    }
    return edge > now ? edge : 0;
}

static void update_irq0(struct i8254 *pit)
{
    struct counter *c = &pit->counter[0];
    uint64_t now = clocks_now(pit), edge;

    settle(c, now);
    irq_set(&pit->irq0, output(c, now));
    edge = next_edge(c, now);
    if (edge)
        gtimer_set(&pit->timer, clocks_to_ns(edge));
    else
        gtimer_clear(&pit->timer);
}

static void edge_due(void *opaque)
{
    struct i8254 *pit = opaque;
    const struct counter *c = &pit->counter[0];

    if (c->mode == MODE_RATE || c->mode == MODE_SOFT_STROBE)
        irq_set(&pit->irq0, 0); /* the strobe that has just passed */
    update_irq0(pit);
}

/* An edge that is due but was not told yet must not be lost to what changes now. */
static void tell_late_edge(struct i8254 *pit)
{
    if (pit->timer.armed && pit->timer.deadline <= gclock_now(pit->clock))
        edge_due(pit);
}

/* ---- registers ---- */

static void latch_count(struct counter *c, uint64_t now)
{
    if (c->latch_left)
        return; /* the first latch holds until it is read */
    c->latch = count_value(c, now);
    c->latch_left = c->access == RW_BOTH ? 2 : 1;
}

static void latch_status(struct counter *c, uint64_t now)
{
    bool null_count = !c->loaded || c->waiting || (c->armed && !c->stopped && now < c->start);

    if (c->status_latched)
        return;
    c->status_latched = 1;
    c->status = (uint8_t)((output(c, now) ? STATUS_OUT : 0) | (null_count ? STATUS_NULL_COUNT : 0) |
                          c->access << 4 | c->mode << 1 | c->bcd);
}

static void read_back(struct i8254 *pit, uint64_t now, uint8_t value)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        if (!(value >> (i + 1) & 1))
            continue;
        settle(&pit->counter[i], now);
        if (!(value & 0x20))
            latch_count(&pit->counter[i], now);
        if (!(value & 0x10))
            latch_status(&pit->counter[i], now);
    }
}

static void control_write(struct i8254 *pit, uint64_t now, uint8_t value)
{
    unsigned index = value >> 6, access = value >> 4 & 3, mode = value >> 1 & 7;
    struct counter *c = &pit->counter[index % COUNTERS];

    if (index == COUNTERS) {
        read_back(pit, now, value);
        return;
    }
    settle(c, now);
    if (access == RW_LATCH) {
        latch_count(c, now);
        return;
    }
    *c = (struct counter){.mode = (uint8_t)(mode > 5 ? mode & 3 : mode),
                          .access = (uint8_t)access,
                          .bcd = value & 1,
                          .gate = c->gate,
                          .initial = c->initial,
                          .next = c->next};
}

static void counter_write(struct counter *c, uint64_t now, uint8_t value)
{
    settle(c, now);
    if (c->access == RW_LSB) {
        load(c, now, value);
    } else if (c->access == RW_MSB) {
        load(c, now, (uint16_t)(value << 8));
    } else if (c->low_next) {
        c->low_next = 0;
        load(c, now, (uint16_t)(c->written | value << 8));
    } else {
        c->written = value;
        c->low_next = 1;
        if (c->mode == MODE_TERMINAL)
            c->armed = 0; /* the first byte stops the counting; OUT falls */
    }
}

static uint8_t counter_read(struct counter *c, uint64_t now)
{
    uint16_t value;
    bool high;

    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->latch_left) {
        high = c->access == RW_MSB || (c->access == RW_BOTH && c->latch_left == 1);
        c->latch_left--;
        value = c->latch;
    } else {
        settle(c, now);
        value = count_value(c, now);
        high = c->access == RW_MSB || (c->access == RW_BOTH && c->read_high);
        c->read_high = c->access == RW_BOTH && !c->read_high;
    }
    return (uint8_t)(high ? value >> 8 : value);
}

static uint32_t pit_read(void *dev, uint16_t offset, unsigned size)
{
    struct i8254 *pit = dev;

    return offset < COUNTERS ? counter_read(&pit->counter[offset], clocks_now(pit)) : 0xff;
}

static void pit_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8254 *pit = dev;

    tell_late_edge(pit);
    if (offset == COUNTERS)
        control_write(pit, clocks_now(pit), (uint8_t)value);
    else
        counter_write(&pit->counter[offset & 3], clocks_now(pit), (uint8_t)value);
    update_irq0(pit);
}

static uint32_t port61_read(void *dev, uint16_t offset, unsigned size)
{
    struct i8254 *pit = dev;
    struct counter *c = &pit->counter[SPEAKER];
    uint64_t now = clocks_now(pit);
    uint32_t value = pit->port61;

    settle(c, now);
    /* Counter 1 requests a refresh every 15 microseconds: 18 clocks. */
    return value | (now / 18 & 1 ? B_REFRESH : 0) | (output(c, now) ? B_OUT2 : 0);
}

static void port61_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8254 *pit = dev;

    if ((value & SOUND) == SOUND && (pit->port61 & SOUND) != SOUND)
        pit->sounds++;
    pit->port61 = value & (B_GATE2 | B_SPEAKER | B_NMI_MASKS);
    set_gate(&pit->counter[SPEAKER], clocks_now(pit), value & B_GATE2);
}

unsigned i8254_speaker(struct i8254 *pit, uint32_t *ret_sounds)
{
    struct counter *c = &pit->counter[SPEAKER];

    *ret_sounds = pit->sounds;
    settle(c, clocks_now(pit));
    /* What swings too fast to be heard is a guest's way to keep it silent, or to play samples. */
    if ((pit->port61 & SOUND) != SOUND || !c->armed || c->mode != MODE_SQUARE ||
        c->initial < PIT_HZ / AUDIBLE_HZ)
        return 0;
    return (PIT_HZ + c->initial / 2) / c->initial;
}

static const struct port_ops pit_ops = {.read = pit_read, .write = pit_write, .bytes = true};
static const struct port_ops port61_ops = {.read = port61_read, .write = port61_write};

/* ---- state ---- */

#define COUNTER_FIELD(i, field, value) STATE_FIELD(struct i8254, counter[i].field, value)
#define COUNTER_FIELDS(i, open)                                                                    \
    COUNTER_FIELD(i, mode, 3), COUNTER_FIELD(i, access, 3), COUNTER_FIELD(i, bcd, 0),              \
        COUNTER_FIELD(i, gate, open), COUNTER_FIELD(i, loaded, 0), COUNTER_FIELD(i, armed, 0),     \
        COUNTER_FIELD(i, waiting, 0), COUNTER_FIELD(i, stopped, 0), COUNTER_FIELD(i, low_next, 0), \
        COUNTER_FIELD(i, written, 0), COUNTER_FIELD(i, read_high, 0),                              \
        COUNTER_FIELD(i, latch_left, 0), COUNTER_FIELD(i, status_latched, 0),                      \
        COUNTER_FIELD(i, status, 0), COUNTER_FIELD(i, latch, 0), COUNTER_FIELD(i, initial, 65536), \
        COUNTER_FIELD(i, next, 65536), COUNTER_FIELD(i, start, 0), COUNTER_FIELD(i, frozen, 0),    \
        COUNTER_FIELD(i, takeover, 0)

/* Gates 0 and 1 are wired high; that of counter 2 is a bit of port 0x61. */
static const struct state_field i8254_fields[] = {
    COUNTER_FIELDS(0, 1), COUNTER_FIELDS(1, 1), COUNTER_FIELDS(2, 0),
    STATE_FIELD(struct i8254, port61, 0), STATE_GTIMER(struct i8254, timer)};

/* What was loaded may come from a file: restore the invariants that the arithmetic needs. */
static void after(void *dev)
{
    struct i8254 *pit = dev;

    for (unsigned i = 0; i < COUNTERS; i++) {
        struct counter *c = &pit->counter[i];
        c->mode = c->mode > MODE_HARD_STROBE ? c->mode & 3 : c->mode;
        c->access = c->access & 3 ? c->access & 3 : RW_BOTH;
        c->bcd &= 1;
        c->initial = !c->initial || c->initial > 65536 ? 65536 : c->initial;
        c->next = !c->next || c->next > 65536 ? 65536 : c->next;
        c->start = min_of(c->start, CLOCK_MAX);
        c->takeover = min_of(c->takeover, CLOCK_MAX);
        if (c->waiting) /* else it is what was, and stays as it is */
            c->takeover = max_of(c->takeover, c->start);
        c->frozen = min_of(c->frozen, CLOCK_MAX);
    }
    tell_late_edge(pit);
    update_irq0(pit);
}

static const struct state_table i8254_state = {.name = "i8254",
                                               .version = 1,
                                               .fields = i8254_fields,
                                               .field_count = array_size(i8254_fields),
                                               .after = after};

static void i8254_free(struct device *dev)
{
    struct i8254 *pit = container_of(dev, struct i8254, dev);

    gtimer_clear(&pit->timer);
    ports_unmap(pit->ports, pit->pit_range);
    ports_unmap(pit->ports, pit->port61_range);
    free(pit);
}

struct i8254 *i8254_new(struct ports *ports, struct gclock *clock, const struct irq_line *irq0,
                        struct error *err)
{
    struct i8254 *pit = mem_new(struct i8254);

    if (!pit) {
        error_set(err, -ENOMEM, "create i8254: out of memory");
        return NULL;
    }
    pit->dev = (struct device){.state = &i8254_state, .name = "i8254", .free = i8254_free};
    pit->ports = ports;
    pit->clock = clock;
    pit->irq0 = *irq0;
    gtimer_init(&pit->timer, clock, edge_due, pit);
    pit->pit_range = ports_map(ports, "i8254", 0x40, 4, &pit_ops, pit, err);
    if (pit->pit_range)
        pit->port61_range = ports_map(ports, "port61", 0x61, 1, &port61_ops, pit, err);
    if (!pit->port61_range) {
        i8254_free(&pit->dev);
        return NULL;
    }
    state_reset(&i8254_state, pit);
    return pit;
}

struct device *i8254_device(struct i8254 *pit)
{
    return &pit->dev;
}
