/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a device, described once.
 *
 * Each device lists its architectural state in one table of fields; reset, save, load and the
 * inspector all work from that table. Host pointers, callbacks and anything that can be derived
 * stay out of it; a device recomputes what is derived in its after_load hook.
 */
#ifndef BUS_STATE_H
#define BUS_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum state_kind {
    STATE_UINT,  /* @count unsigned integers of @size bytes (1, 2, 4, 8) */
    STATE_BYTES, /* @size bytes shown as hex (FIFOs, buffers) */
    STATE_TIMER, /* a struct gtimer: armed and deadline */
};

struct state_field {
    const char *name;
    uint8_t kind; /* enum state_kind */
    uint16_t count;
    uint32_t offset, size;
    uint64_t reset; /* value of each integer after reset */
};

struct state_table {
    const char *name; /* the chip, as shown by inspect: "i8254" */
    uint32_t version; /* raised when fields change; load refuses what it does not know */
    const struct state_field *fields;
    unsigned field_count;
    /* After load or reset: recompute what is derived and drive the outputs. May be NULL. */
    void (*after)(void *dev);
};

/* Entries for the table of @type; @field may be an array for STATE_ARRAY. */
#define STATE_FIELD(type, field, reset_value)                                                      \
    {                                                                                              \
        .name = #field, .kind = STATE_UINT, .count = 1, .offset = offsetof(type, field),           \
        .size = sizeof(((type *)0)->field), .reset = (reset_value)                                 \
    }
#define STATE_ARRAY(type, field, reset_value)                                                      \
    {                                                                                              \
        .name = #field, .kind = STATE_UINT,                                                        \
        .count = sizeof(((type *)0)->field) / sizeof(((type *)0)->field[0]),                       \
        .offset = offsetof(type, field), .size = sizeof(((type *)0)->field[0]),                    \
        .reset = (reset_value)                                                                     \
    }
#define STATE_BLOB(type, field)                                                                    \
    {                                                                                              \
        .name = #field, .kind = STATE_BYTES, .count = 1, .offset = offsetof(type, field),          \
        .size = sizeof(((type *)0)->field)                                                         \
    }
#define STATE_GTIMER(type, field)                                                                  \
    {                                                                                              \
        .name = #field, .kind = STATE_TIMER, .count = 1, .offset = offsetof(type, field),          \
        .size = sizeof(((type *)0)->field)                                                         \
    }

/* Sets every field to its reset value (bytes to 0, timers disarmed), then calls after. */
void state_reset(const struct state_table *t, void *dev);
/*
 * Appends the fields of @dev as one JSON object; a number above 2^63, which JSON readers refuse, as
 * a hexadecimal text.
 */
void state_json(const struct state_table *t, const void *dev, struct str *out);
/*
 * Appends the fields in binary: name, version and field count, then per field its name, kind, size
 * and count followed by the values, little-endian. Self-describing, so that load can say what
 * differs.
 */
void state_save(const struct state_table *t, const void *dev, struct str *out);
/*
 * Reads what state_save wrote from @bytes (length @len) and returns the number of bytes used.
 * Refuses another device, version, field or size with -EINVAL and @err set; @dev is then unchanged.
 */
int64_t state_load(const struct state_table *t, void *dev, const void *bytes, size_t len,
                   struct error *err);

#endif
