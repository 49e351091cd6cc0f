/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop over epoll: descriptors, one-shot timers, and wake-ups from other threads.
 *
 * One thread runs a loop; from others only loop_wake may be called. A loop may carry a lock (the
 * machine lock) that it holds while callbacks run and releases while it waits, so that callbacks
 * and the processors' threads never touch a device at once; who holds that lock may call
 * everything.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct loop_fd;
struct loop_timer;

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };

typedef void loop_fd_fn(void *opaque, int fd, unsigned events);
typedef void loop_fn(void *opaque);

/* A new loop, NULL with @err set on failure. */
struct loop *loop_new(struct error *err);
void loop_free(struct loop *loop);

/* Calls @lock before and @unlock after each batch of callbacks. Set before loop_run. */
void loop_set_lock(struct loop *loop, void (*lock)(void *), void (*unlock)(void *), void *opaque);

/*
 * Watches @fd (borrowed) for @events (LOOP_READ | LOOP_WRITE; LOOP_HANGUP is always reported).
 * Level-triggered. Returns a watch owned by the loop, NULL with @err set on failure.
 */
struct loop_fd *loop_add_fd(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn,
                            void *opaque, struct error *err);
/* Changes what is watched; 0 pauses the watch (hang-ups included). */
void loop_set_events(struct loop_fd *watch, unsigned events);
/* Ends a watch. Safe inside any callback; NULL is fine. The descriptor stays open. */
void loop_remove_fd(struct loop_fd *watch);

/* A disarmed one-shot timer on CLOCK_MONOTONIC, owned by the caller. NULL when memory ran out. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *opaque);
/* Arms for @deadline_ns (CLOCK_MONOTONIC); replaces an earlier deadline. */
void loop_timer_set(struct loop_timer *timer, uint64_t deadline_ns);
void loop_timer_clear(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Makes @loop call @fn once per wake-up (several wakes may fold into one). Before loop_run. */
void loop_set_wake(struct loop *loop, loop_fn *fn, void *opaque);
/* Wakes the loop. Any thread, and signal handlers. */
void loop_wake(struct loop *loop);

/* Handles events until loop_quit. Returns the value given to loop_quit or a negative errno. */
int loop_run(struct loop *loop, struct error *err);
/* Handles what is ready, waiting at most @timeout_ms (-1: no limit). 0 or a negative errno. */
int loop_step(struct loop *loop, int timeout_ms, struct error *err);
void loop_quit(struct loop *loop, int value);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t loop_now_ns(void);

#endif
