/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The character seam: what serial ports and consoles talk to. Calls are made with the machine lock
 * held and never block.
 */
#ifndef IO_CHARDEV_H
#define IO_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

/* The device's end. */
struct chardev_client {
    /* How many bytes the device can take now. */
    size_t (*room)(void *opaque);
    /* Takes at most room() bytes. */
    void (*input)(void *opaque, const uint8_t *bytes, size_t n);
    /* Output that was refused may be written again. May be NULL. */
    void (*writable)(void *opaque);
    /* The terminal has this size now (columns x rows). May be NULL. */
    void (*resize)(void *opaque, unsigned columns, unsigned rows);
    /* No more input will come. May be NULL. */
    void (*eof)(void *opaque);
    void *opaque;
};

struct chardev;
struct chardev_ops {
    void (*attach)(struct chardev *ch, const struct chardev_client *client); /* borrowed; once */
    /* Writes; returns how many bytes were taken (0..n). */
    size_t (*write)(struct chardev *ch, const uint8_t *bytes, size_t n);
    /* room() grew: pending input may be delivered. */
    void (*ready)(struct chardev *ch);
    void (*close)(struct chardev *ch);
};

struct chardev {
    const struct chardev_ops *ops;
};

#endif
