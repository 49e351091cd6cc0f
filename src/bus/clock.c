/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/clock.h"

#include "base/mem.h"

struct gclock {
    uint64_t (*source)(void *opaque);
    void *source_opaque;
    uint64_t base; /* source count at guest time 0, modulo 2^64 */
    uint64_t held; /* guest time while paused */
    bool paused;
    struct gtimer
        *timers; /* sorted by deadline, earliest first; equal deadlines in order of arming */
    void (*rearm)(void *opaque);
    void *rearm_opaque;
};

struct gclock *gclock_new(uint64_t (*source)(void *opaque), void *opaque)
{
    struct gclock *clock = mem_new(struct gclock);

    if (clock) {
        clock->source = source;
        clock->source_opaque = opaque;
        clock->base = source(opaque);
    }
    return clock;
}

void gclock_free(struct gclock *clock)
{
    free(clock);
}

uint64_t gclock_now(const struct gclock *clock)
{
    return clock->paused ? clock->held : clock->source(clock->source_opaque) - clock->base;
}

void gclock_pause(struct gclock *clock)
{
    if (clock->paused)
        return;
    clock->held = gclock_now(clock);
    clock->paused = true;
}

static void earliest_changed(struct gclock *clock)
{
    if (clock->rearm)
        clock->rearm(clock->rearm_opaque);
}

void gclock_resume(struct gclock *clock)
{
    if (!clock->paused)
        return;
    clock->base = clock->source(clock->source_opaque) - clock->held;
    clock->paused = false;
    earliest_changed(clock);
}

void gclock_set(struct gclock *clock, uint64_t now)
{
    if (clock->paused)
        clock->held = now;
    else
        clock->base = clock->source(clock->source_opaque) - now;
    earliest_changed(clock);
}

void gclock_on_rearm(struct gclock *clock, void (*fn)(void *opaque), void *opaque)
{
    clock->rearm = fn;
    clock->rearm_opaque = opaque;
}

uint64_t gclock_next(const struct gclock *clock)
{
    return clock->timers ? clock->timers->deadline : UINT64_MAX;
}

void gclock_run(struct gclock *clock)
{
    uint64_t now = gclock_now(clock);

    if (clock->paused)
        return;
    /* A timer re-armed by its own callback for a time that has passed waits for the next call when
     * it lands behind @now's first pass: bound the pass by the timers due at its start. */
    for (unsigned due = 0, limit = 1024; due < limit; due++) {
        struct gtimer *t = clock->timers;
        if (!t || t->deadline > now)
            return;
        gtimer_clear(t);
        t->fn(t->opaque);
    }
}

void gtimer_init(struct gtimer *timer, struct gclock *clock, gtimer_fn *fn, void *opaque)
{
    *timer = (struct gtimer){.clock = clock, .fn = fn, .opaque = opaque};
}

static void unlink_timer(struct gtimer *timer)
{
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->next = NULL;
    timer->link = NULL;
    timer->armed = false;
}

void gtimer_set(struct gtimer *timer, uint64_t deadline)
{
    struct gclock *clock = timer->clock;
    uint64_t before = gclock_next(clock);
    struct gtimer **link;

    if (timer->armed)
        unlink_timer(timer);
    timer->deadline = deadline;
    for (link = &clock->timers; *link && (*link)->deadline <= deadline; link = &(*link)->next)
        ;
    timer->next = *link;
    timer->link = link;
    if (timer->next)
        timer->next->link = &timer->next;
    *link = timer;
    timer->armed = true;
    if (gclock_next(clock) != before)
        earliest_changed(clock);
}

void gtimer_clear(struct gtimer *timer)
{
    /* Whoever sleeps for this deadline wakes once for nothing: cheaper than telling it each time.
     */
    if (timer->armed)
        unlink_timer(timer);
}
