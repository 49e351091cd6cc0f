/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PS/2 devices, as they hang on the keyboard controller (i8042.h): a keyboard and a mouse (IBM PS/2
 * Hardware Interface Technical Reference, "Keyboard" and "Mouse"). Each has a buffer of bytes that
 * the controller fetches one at a time.
 */
#ifndef DEVICE_PS2_H
#define DEVICE_PS2_H

#include "bus/clock.h"
#include "device/device.h"
#include "io/input.h"

enum { PS2_BUFFER = 256 };

struct ps2_queue {
    uint8_t bytes[PS2_BUFFER];
    uint16_t at, count;
};

struct ps2_device {
    struct device dev;
    struct input input;
    struct ps2_queue queue;
    /* A byte from the host, by way of the controller. */
    void (*receive)(struct ps2_device *d, uint8_t byte);
    /* The queue became empty. May be NULL. */
    void (*drained)(struct ps2_device *d);
    /* Set by the controller: bytes wait. */
    void (*ready)(void *opaque);
    void *opaque;
};

/* Fields of the queue for the state table of @type, which holds a struct ps2_device ps2. */
#define PS2_STATE(type)                                                                            \
    {.name = "bytes",                                                                              \
     .kind = STATE_BYTES,                                                                          \
     .count = 1,                                                                                   \
     .offset = offsetof(type, ps2.queue.bytes),                                                    \
     .size = PS2_BUFFER},                                                                          \
        {.name = "at",                                                                             \
         .kind = STATE_UINT,                                                                       \
         .count = 1,                                                                               \
         .offset = offsetof(type, ps2.queue.at),                                                   \
         .size = 2},                                                                               \
    {                                                                                              \
        .name = "count", .kind = STATE_UINT, .count = 1,                                           \
        .offset = offsetof(type, ps2.queue.count), .size = 2                                       \
    }

/* The oldest byte; false when there is none. */
static inline bool ps2_peek(const struct ps2_device *d, uint8_t *ret)
{
    if (!d->queue.count)
        return false;
    *ret = d->queue.bytes[d->queue.at % PS2_BUFFER];
    return true;
}

void ps2_pop(struct ps2_device *d);
/* Adds bytes; those that have no room are lost. */
void ps2_push(struct ps2_device *d, const uint8_t *bytes, unsigned n);
void ps2_forget(struct ps2_device *d);
/* For after-hooks: a queue as it may stand in a damaged state is made a possible one. */
void ps2_check(struct ps2_device *d);

/* An enhanced keyboard of 101 keys; scan code sets 1 and 2. Its input takes keys. NULL with @err.
 */
struct ps2_device *ps2_keyboard_new(struct gclock *clock, struct error *err);
/* A mouse with wheel and five buttons (IntelliMouse Explorer), relative. NULL with @err. */
struct ps2_device *ps2_mouse_new(struct error *err);

#endif
