/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main counter is guest time since it was enabled plus what it held then. Comparators are
 * looked at when a gtimer of theirs is due: it is armed for the next match of a comparator whose
 * interrupt is enabled, and for nothing else. Registers are those of IA-PC HPET 1.0a, 2.3.
 */
#include "device/hpet.h"

#include <errno.h>

#include "base/mem.h"

enum { TIMERS = 3, TICK_NS = 10 };
enum { REG_CAPABILITIES = 0x00, REG_CONFIG = 0x10, REG_STATUS = 0x20, REG_COUNTER = 0xf0 };
enum {
    REG_TIMER0 = 0x100,
    TIMER_STRIDE = 0x20,
    TIMER_CONFIG = 0,
    TIMER_COMPARE = 8,
    TIMER_FSB = 16
};
enum { CONFIG_ENABLE = 1 << 0, CONFIG_LEGACY = 1 << 1 };
enum {
    TN_LEVEL = 1 << 1,
    TN_ENABLE = 1 << 2,
    TN_PERIODIC = 1 << 3,
    TN_PERIODIC_CAP = 1 << 4,
    TN_64BIT_CAP = 1 << 5,
    TN_SET_VALUE = 1 << 6,
    TN_32BIT = 1 << 8,
    TN_ROUTE_SHIFT = 9,
    TN_ROUTE = 31 << TN_ROUTE_SHIFT,
    TN_FSB = 1 << 14,
    TN_FSB_CAP = 1 << 15,
    TN_WRITABLE = TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_SET_VALUE | TN_32BIT | TN_ROUTE | TN_FSB,
};
/* Inputs of the I/O APIC that a timer may be routed to. */
#define ROUTES ((uint64_t)(1u << 2 | 1u << 8 | 0xffu << 16))
/* 64-bit counter, legacy replacement, three timers, revision 1, Intel; period in femtoseconds. */
#define CAPABILITIES (0x8086a001ull | (uint64_t)(TIMERS - 1) << 8 | (TICK_NS * 1000000ull) << 32)
/* Periodic interrupts come no closer than this: more would only burn the host. */
enum { MIN_PERIOD_NS = 20000 };

struct timer {
    uint64_t config, compare, period, fsb;
};

struct hpet {
    struct device dev;
    struct space *space;
    struct space_range *range;
    struct gclock *clock;
    struct irq_line gsi, irq0, irq8;
    struct msi_sink msi;
    uint64_t config, status;
    uint64_t counter; /* while stopped: the value; while running: value at guest time 0 */
    uint8_t irq0_level, irq8_level; /* what the 8254 and the RTC drive */
    struct timer timer[TIMERS];
    struct gtimer due[TIMERS];
    struct due_arg {
        struct hpet *hpet;
        unsigned n;
    } due_arg[TIMERS];
};

static uint64_t counter_now(const struct hpet *h)
{
    return h->counter + (h->config & CONFIG_ENABLE ? gclock_now(h->clock) / TICK_NS : 0);
}

static bool is_periodic(const struct timer *t)
{
    return t->config & TN_PERIODIC && t->period;
}

/* ---- interrupts ---- */

static void set_gsi(struct hpet *h, unsigned n, int level)
{
    unsigned pin = (unsigned)(h->timer[n].config & TN_ROUTE) >> TN_ROUTE_SHIFT;

    if (h->config & CONFIG_LEGACY && n < 2)
        irq_set(n ? &h->irq8 : &h->irq0, level);
    else if (ROUTES >> pin & 1 && h->gsi.set)
        h->gsi.set(h->gsi.opaque, pin, level);
}

static void expire(struct hpet *h, unsigned n)
{
    struct timer *t = &h->timer[n];

    if (t->config & TN_FSB) {
        if (t->config & TN_ENABLE)
            msi_send(&h->msi, t->fsb >> 32, (uint32_t)t->fsb);
    } else if (t->config & TN_LEVEL) {
        h->status |= 1u << n;
        if (t->config & TN_ENABLE)
            set_gsi(h, n, 1);
    } else if (t->config & TN_ENABLE) {
        /* Stays high until the next edge: the 8259 wants to see it while it acknowledges. */
        set_gsi(h, n, 0);
        set_gsi(h, n, 1);
    }
}

/* Clears level interrupts @bits (write one to clear). */
static void clear_status(struct hpet *h, uint64_t bits)
{
    for (unsigned n = 0; n < TIMERS; n++)
        if (h->status & bits & 1u << n)
            set_gsi(h, n, 0);
    h->status &= ~bits;
}

/* ---- comparators ---- */

/* Ticks until the comparator matches: 1 .. 2^64 - 1 (0 stands for a whole turn of the counter). */
static uint64_t ticks_left(const struct hpet *h, const struct timer *t)
{
    uint64_t left = t->compare - counter_now(h);
    return t->config & TN_32BIT ? (uint32_t)left : left;
}

/* Moves a periodic comparator past the counter. */
static void advance(struct hpet *h, struct timer *t)
{
    uint64_t behind = counter_now(h) - t->compare;

    if (t->config & TN_32BIT)
        behind = (uint32_t)behind;
    if (behind >> (t->config & TN_32BIT ? 31 : 63))
        return; /* still ahead */
    t->compare += (behind / t->period + 1) * t->period;
    if (t->config & TN_32BIT)
        t->compare = (uint32_t)t->compare;
}

static void arm(struct hpet *h, unsigned n)
{
    struct timer *t = &h->timer[n];
    uint64_t now = gclock_now(h->clock), left, at;

    if (!(h->config & CONFIG_ENABLE) || !(t->config & TN_ENABLE)) {
        gtimer_clear(&h->due[n]);
        return;
    }
    if (is_periodic(t))
        advance(h, t);
    left = ticks_left(h, t);
    if (left > UINT64_MAX / TICK_NS - now / TICK_NS - 1) {
        gtimer_clear(&h->due[n]); /* centuries away */
        return;
    }
    at = (now / TICK_NS + left) * TICK_NS;
    gtimer_set(&h->due[n], is_periodic(t) ? max_of(at, now + MIN_PERIOD_NS) : at);
}

static void timer_due(void *opaque)
{
    struct due_arg *arg = opaque;
    struct hpet *h = arg->hpet;

    expire(h, arg->n);
    if (is_periodic(&h->timer[arg->n]))
        arm(h, arg->n);
    else if (h->timer[arg->n].config & TN_32BIT) /* matches again when 32 bits have gone round */
        gtimer_set(&h->due[arg->n], gclock_now(h->clock) + ((uint64_t)TICK_NS << 32));
}

static void arm_all(struct hpet *h)
{
    for (unsigned n = 0; n < TIMERS; n++)
        arm(h, n);
}

/* ---- legacy replacement (2.3.5) ---- */

static void pass_legacy(struct hpet *h)
{
    bool own = h->config & CONFIG_LEGACY;

    irq_set(&h->irq0, own ? (h->status & 1) != 0 : h->irq0_level);
    irq_set(&h->irq8, own ? (h->status & 2) != 0 : h->irq8_level);
}

static void legacy_set(void *opaque, unsigned input, int level)
{
    struct hpet *h = opaque;

    if (input)
        h->irq8_level = level != 0;
    else
        h->irq0_level = level != 0;
    if (!(h->config & CONFIG_LEGACY))
        irq_set(input ? &h->irq8 : &h->irq0, level);
}

struct irq_line hpet_irq0_input(struct hpet *hpet)
{
    return (struct irq_line){.set = legacy_set, .opaque = hpet, .input = 0};
}

struct irq_line hpet_irq8_input(struct hpet *hpet)
{
    return (struct irq_line){.set = legacy_set, .opaque = hpet, .input = 1};
}

/* ---- registers ---- */

static uint64_t read_register(const struct hpet *h, unsigned reg)
{
    const struct timer *t = &h->timer[(reg - REG_TIMER0) / TIMER_STRIDE % TIMERS];

    switch (reg) {
    case REG_CAPABILITIES:
        return CAPABILITIES;
    case REG_CONFIG:
        return h->config;
    case REG_STATUS:
        return h->status;
    case REG_COUNTER:
        return counter_now(h);
    default:
        if (reg < REG_TIMER0 || reg >= REG_TIMER0 + TIMERS * TIMER_STRIDE)
            return 0;
        break;
    }
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG:
        return t->config | TN_PERIODIC_CAP | TN_64BIT_CAP | TN_FSB_CAP | ROUTES << 32;
    case TIMER_COMPARE:
        return t->compare;
    case TIMER_FSB:
        return t->fsb;
    default:
        return 0;
    }
}

static void write_config(struct hpet *h, uint64_t value)
{
    uint64_t changed = h->config ^ value, ticks = gclock_now(h->clock) / TICK_NS;

    if (changed & CONFIG_ENABLE)
        h->counter = value & CONFIG_ENABLE ? h->counter - ticks : h->counter + ticks;
    if (changed & CONFIG_LEGACY)
        clear_status(h, UINT64_MAX);
    h->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    if (changed & CONFIG_LEGACY)
        pass_legacy(h);
    arm_all(h);
}

static void write_timer_config(struct hpet *h, unsigned n, uint64_t value)
{
    struct timer *t = &h->timer[n];

    if (h->status & 1u << n && (value ^ t->config) & (TN_LEVEL | TN_ENABLE | TN_ROUTE | TN_FSB))
        clear_status(h, 1u << n);
    else if (!(t->config & TN_LEVEL))
        set_gsi(h, n, 0);
    t->config = value & TN_WRITABLE;
    if (t->config & TN_32BIT) {
        t->compare = (uint32_t)t->compare;
        t->period = (uint32_t)t->period;
    }
    arm(h, n);
}

/* 2.3.9.2.2: in periodic mode a write sets the period, and after SET_VALUE the comparator too. */
static void write_compare(struct hpet *h, unsigned n, uint64_t value)
{
    struct timer *t = &h->timer[n];

    if (t->config & TN_32BIT)
        value = (uint32_t)value;
    if (!(t->config & TN_PERIODIC) || t->config & TN_SET_VALUE)
        t->compare = value;
    if (t->config & TN_PERIODIC)
        t->period = value;
    t->config &= ~(uint64_t)TN_SET_VALUE;
    arm(h, n);
}

static void write_register(struct hpet *h, unsigned reg, uint64_t value)
{
    unsigned n = (reg - REG_TIMER0) / TIMER_STRIDE % TIMERS;

    switch (reg) {
    case REG_CONFIG:
        write_config(h, value);
        return;
    case REG_STATUS:
        clear_status(h, value);
        return;
    case REG_COUNTER: /* only while stopped; what a running one does is undefined */
        if (!(h->config & CONFIG_ENABLE))
            h->counter = value;
        return;
    default:
        if (reg < REG_TIMER0 || reg >= REG_TIMER0 + TIMERS * TIMER_STRIDE)
            return;
        break;
    }
    switch (reg % TIMER_STRIDE) {
    case TIMER_CONFIG:
        write_timer_config(h, n, value);
        break;
    case TIMER_COMPARE:
        write_compare(h, n, value);
        break;
    case TIMER_FSB:
        h->timer[n].fsb = value;
        break;
    default:
        break;
    }
}

/* Registers are read and written as dwords or quadwords (2.3.1). */
static uint64_t hpet_read(void *dev, uint64_t offset, unsigned size)
{
    uint64_t value;

    if (size < 4 || offset % size)
        return 0;
    value = read_register(dev, (unsigned)offset & ~7u);
    return offset & 4 ? value >> 32 : value;
}

static void hpet_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct hpet *h = dev;
    unsigned reg = (unsigned)offset & ~7u;
    uint64_t old;

    if (size < 4 || offset % size)
        return;
    if (size == 4) {
        old = read_register(h, reg);
        if (reg == REG_STATUS)
            old = 0; /* ones clear */
        value = offset & 4 ? (old & UINT32_MAX) | value << 32
                           : (old & 0xffffffff00000000ull) | (value & UINT32_MAX);
    }
    write_register(h, reg, value);
}

static const struct mmio_ops hpet_mmio = {.read = hpet_read, .write = hpet_write};

/* ---- state ---- */

#define TIMER_FIELDS(i)                                                                            \
    STATE_FIELD(struct hpet, timer[i].config, 0),                                                  \
        STATE_FIELD(struct hpet, timer[i].compare, UINT64_MAX),                                    \
        STATE_FIELD(struct hpet, timer[i].period, 0), STATE_FIELD(struct hpet, timer[i].fsb, 0),   \
        STATE_GTIMER(struct hpet, due[i])

static const struct state_field hpet_fields[] = {
    STATE_FIELD(struct hpet, config, 0),
    STATE_FIELD(struct hpet, status, 0),
    STATE_FIELD(struct hpet, counter, 0),
    STATE_FIELD(struct hpet, irq0_level, 0),
    STATE_FIELD(struct hpet, irq8_level, 0),
    TIMER_FIELDS(0),
    TIMER_FIELDS(1),
    TIMER_FIELDS(2),
};

static void after(void *dev)
{
    pass_legacy(dev);
}

static const struct state_table hpet_state = {.name = "hpet",
                                              .version = 1,
                                              .fields = hpet_fields,
                                              .field_count = array_size(hpet_fields),
                                              .after = after};

/* The wires from the 8254 and the RTC are not the chip's. */
static void hpet_reset(struct device *dev)
{
    struct hpet *h = container_of(dev, struct hpet, dev);
    uint8_t irq0 = h->irq0_level, irq8 = h->irq8_level;

    clear_status(h, UINT64_MAX);
    state_reset(&hpet_state, h);
    h->irq0_level = irq0;
    h->irq8_level = irq8;
    pass_legacy(h);
}

static void hpet_free(struct device *dev)
{
    struct hpet *h = container_of(dev, struct hpet, dev);

    for (unsigned n = 0; n < TIMERS; n++)
        gtimer_clear(&h->due[n]);
    space_unmap(h->space, h->range);
    free(h);
}

struct hpet *hpet_new(struct space *space, uint64_t base, struct gclock *clock,
                      const struct irq_line *gsi, const struct irq_line *irq0,
                      const struct irq_line *irq8, const struct msi_sink *msi, struct error *err)
{
    struct hpet *h = mem_new(struct hpet);

    if (!h) {
        error_set(err, -ENOMEM, "create hpet: out of memory");
        return NULL;
    }
    h->dev = (struct device){
        .state = &hpet_state, .name = "hpet", .reset = hpet_reset, .free = hpet_free};
    h->space = space;
    h->clock = clock;
    h->gsi = *gsi;
    h->irq0 = *irq0;
    h->irq8 = *irq8;
    h->msi = *msi;
    for (unsigned n = 0; n < TIMERS; n++) {
        h->due_arg[n] = (struct due_arg){.hpet = h, .n = n};
        gtimer_init(&h->due[n], clock, timer_due, &h->due_arg[n]);
    }
    h->range = space_map_mmio(space, "hpet", base, 0x400, &hpet_mmio, h, 0, err);
    if (!h->range) {
        hpet_free(&h->dev);
        return NULL;
    }
    hpet_reset(&h->dev);
    return h;
}

struct device *hpet_device(struct hpet *hpet)
{
    return &hpet->dev;
}
