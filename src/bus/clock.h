/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest clock and its timers.
 *
 * Guest time is nanoseconds since the machine was made; it stands still while the machine is
 * paused. Its source is a function (the host's monotonic clock, a simulated clock in tests, an
 * instruction count when recording). Timers run with the machine lock held, from whoever calls
 * gclock_run.
 */
#ifndef BUS_CLOCK_H
#define BUS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct gclock;
typedef void gtimer_fn(void *opaque);

/* A timer embedded in its device. Set up with gtimer_init, then owned by its clock while armed. */
struct gtimer {
    struct gclock *clock;
    gtimer_fn *fn;
    void *opaque;
    uint64_t deadline; /* guest ns, meaningful while armed; part of the device's state */
    bool armed;
    struct gtimer *next, **link; /* the clock's list, sorted by deadline */
};

/* A clock at 0 that reads @source(@opaque), any monotonic count of nanoseconds. NULL without
 * memory. */
struct gclock *gclock_new(uint64_t (*source)(void *opaque), void *opaque);
void gclock_free(struct gclock *clock);

/* Guest nanoseconds now. */
uint64_t gclock_now(const struct gclock *clock);
/* Stops and continues guest time. */
void gclock_pause(struct gclock *clock);
void gclock_resume(struct gclock *clock);
/* Sets guest time (snapshot load); timers keep their deadlines. */
void gclock_set(struct gclock *clock, uint64_t now);

/* Called when the earliest deadline changes; for whoever sleeps until then. */
void gclock_on_rearm(struct gclock *clock, void (*fn)(void *opaque), void *opaque);
/* The earliest deadline in guest ns, UINT64_MAX when no timer is armed. */
uint64_t gclock_next(const struct gclock *clock);
/* Runs the timers that are due, a bounded number per call. */
void gclock_run(struct gclock *clock);

void gtimer_init(struct gtimer *timer, struct gclock *clock, gtimer_fn *fn, void *opaque);
/* Arms for guest time @deadline (a past one is due at once); replaces an earlier deadline. */
void gtimer_set(struct gtimer *timer, uint64_t deadline);
void gtimer_clear(struct gtimer *timer);

/* a * b / c without overflow of the product, for converting between clocks. @c is not 0. */
static inline uint64_t gclock_muldiv(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((unsigned __int128)a * b / c);
}

#endif
