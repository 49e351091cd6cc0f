/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC timer (SDM vol. 3, 11.5.4). The bus clock is 1 GHz, so counts are nanoseconds
 * times the divider; the current count follows from the guest time at which the initial count was
 * loaded.
 */
#include "device/lapic_internal.h"

_Static_assert(LAPIC_BUS_HZ == 1000000000, "counts are taken for nanoseconds");

/* Periodic interrupts come no closer than this: a guest that asks for more would only burn the
 * host. */
enum { MIN_PERIOD_NS = 20000 };

/* Bits 3, 1, 0 of the divide configuration: 2, 4 ... 128, 1. */
static unsigned divider(const struct lapic *l)
{
    unsigned code = (l->divide & 3) | (l->divide >> 1 & 4);
    return code == 7 ? 1 : 2u << code;
}

static bool is_deadline(uint32_t lvt)
{
    return (lvt & LAPIC_TIMER_MODE) == LAPIC_TIMER_DEADLINE;
}

static bool is_periodic(const struct lapic *l)
{
    return (l->lvt[LAPIC_LVT_TIMER] & LAPIC_TIMER_MODE) == LAPIC_TIMER_PERIODIC;
}

static uint64_t elapsed_ns(const struct lapic *l, uint64_t now)
{
    return now > l->start ? now - l->start : 0;
}

uint32_t lapic_timer_count(const struct lapic *l)
{
    uint64_t ticks = elapsed_ns(l, gclock_now(l->apics->clock)) / divider(l);

    if (is_deadline(l->lvt[LAPIC_LVT_TIMER]) || !l->initial)
        return 0;
    if (is_periodic(l))
        return l->initial - (uint32_t)(ticks % l->initial);
    return ticks < l->initial ? l->initial - (uint32_t)ticks : 0;
}

static void rearm_deadline(struct lapic *l)
{
    uint64_t tsc, left;

    if (!l->deadline) {
        gtimer_clear(&l->timer);
        return;
    }
    tsc = l->apics->ops.tsc(l->apics->ops.opaque, l->cpu);
    left = l->deadline > tsc ? min_of(l->deadline - tsc, (uint64_t)1 << 62) : 0;
    /* Rounded up, so that the TSC has surely passed the deadline when the timer runs. */
    gtimer_set(&l->timer, gclock_now(l->apics->clock) +
                              gclock_muldiv(left, 1000000, l->apics->tsc_khz) + (left != 0));
}

void lapic_timer_rearm(struct lapic *l)
{
    uint64_t now = gclock_now(l->apics->clock), period = (uint64_t)l->initial * divider(l), cycles;

    if (is_deadline(l->lvt[LAPIC_LVT_TIMER])) {
        rearm_deadline(l);
        return;
    }
    if (!period || (!is_periodic(l) && elapsed_ns(l, now) >= period)) {
        gtimer_clear(&l->timer);
        return;
    }
    cycles = elapsed_ns(l, now) / period + 1;
    if (is_periodic(l))
        gtimer_set(&l->timer, max_of(l->start + cycles * period, now + MIN_PERIOD_NS));
    else
        gtimer_set(&l->timer, l->start + period);
}

static void fire(struct lapic *l)
{
    uint32_t lvt = l->lvt[LAPIC_LVT_TIMER];

    if (!(lvt & LAPIC_LVT_MASKED))
        lapic_accept(l, (uint8_t)lvt, false);
}

static void timer_due(void *opaque)
{
    struct lapic *l = opaque;

    if (is_deadline(l->lvt[LAPIC_LVT_TIMER])) {
        if (l->apics->ops.tsc(l->apics->ops.opaque, l->cpu) < l->deadline) {
            rearm_deadline(l); /* the two clocks disagree a little */
            return;
        }
        l->deadline = 0;
        fire(l);
        return;
    }
    fire(l);
    if (is_periodic(l))
        lapic_timer_rearm(l);
}

void lapic_timer_set_up(struct lapic *l)
{
    gtimer_init(&l->timer, l->apics->clock, timer_due, l);
}

void lapic_timer_set_initial(struct lapic *l, uint32_t initial)
{
    if (is_deadline(l->lvt[LAPIC_LVT_TIMER]))
        return;
    l->initial = initial;
    l->start = gclock_now(l->apics->clock);
    lapic_timer_rearm(l);
}

void lapic_timer_set_divide(struct lapic *l, uint32_t divide)
{
    uint32_t left;

    /* An expiry that is due but was not told yet must not be lost to the new divider. */
    if (l->timer.armed && l->timer.deadline <= gclock_now(l->apics->clock)) {
        gtimer_clear(&l->timer);
        timer_due(l);
    }
    left = lapic_timer_count(l);
    l->divide = divide & 0xb;
    if (left) { /* counting goes on from where it stands */
        uint64_t done = (uint64_t)(l->initial - left) * divider(l);
        uint64_t now = gclock_now(l->apics->clock);
        l->start = now > done ? now - done : 0;
    }
    if (!is_deadline(l->lvt[LAPIC_LVT_TIMER]))
        lapic_timer_rearm(l);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
    if (!is_deadline(l->lvt[LAPIC_LVT_TIMER]))
        return;
    l->deadline = tsc;
    if (tsc && tsc <= l->apics->ops.tsc(l->apics->ops.opaque, l->cpu)) {
        l->deadline = 0;
        fire(l);
    }
    rearm_deadline(l);
}

void lapic_timer_lvt_changed(struct lapic *l, uint32_t before)
{
    uint32_t changed = before ^ l->lvt[LAPIC_LVT_TIMER];

    if (!(changed & LAPIC_TIMER_MODE))
        return;
    if (is_deadline(before) || is_deadline(l->lvt[LAPIC_LVT_TIMER])) {
        l->deadline = 0; /* a change to or from TSC-deadline disarms (11.5.4.1) */
        l->initial = 0;
    }
    lapic_timer_rearm(l);
}
