/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tracing: what a machine does, told as it happens. Whoever has something to tell keeps a pointer
 * to a struct trace, NULL while nobody listens, and looks at it where it is off the fast paths
 * anyway; that is all tracing costs when it is off. The pointers are set and cleared while the
 * processors stand still.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

enum trace_area {
    TRACE_EXITS,
    TRACE_INTERRUPTS,
    TRACE_RINGS,
    TRACE_EXCEPTIONS,
    TRACE_PAGING,
    TRACE_DEVICES,
    TRACE_DRIVES,
    TRACE_FRAMES,
    TRACE_AREAS
};

enum trace_what {
    TRACE_EXIT,      /* a: enum x86_exit, b: instructions since it was entered */
    TRACE_INTERRUPT, /* a: vector, b: 1 for NMI */
    TRACE_RING,      /* a: ring left, b: ring entered */
    TRACE_EXCEPTION, /* a: vector, b: error code (size: it has one), c: CR2 of a page fault */
    TRACE_SOFT,      /* a: vector of INT n and its kin */
    TRACE_CR3,       /* a: its value */
    TRACE_WALK,      /* a: linear address, b: physical, size: bit 0 write, bit 1 fetch */
    TRACE_INVLPG,    /* a: linear address */
    TRACE_FLUSH,     /* all translations */
    TRACE_PORT_READ, /* a: port, b: value, size in bytes */
    TRACE_PORT_WRITE,
    TRACE_MMIO_READ, /* a: physical address, b: value, size in bytes */
    TRACE_MMIO_WRITE,
    TRACE_REQUEST,  /* of a drive. a: offset, b: length, size: enum block_op */
    TRACE_SENT,     /* a frame. a: length, b: its first 8 bytes, c: the next 8 */
    TRACE_RECEIVED, /* the same */
};

enum { TRACE_NAME = 20 };
struct trace_event {
    uint8_t area, what, size;
    const char *name; /* of a device, during the call only; NULL: none */
    uint64_t a, b, c;
};

struct trace {
    uint32_t areas; /* a bit each */
    /* Any thread, with or without the machine lock. */
    void (*emit)(struct trace *t, const struct trace_event *e);
};

static inline bool trace_wants(const struct trace *t, enum trace_area area)
{
    return t && (t->areas >> area & 1);
}

static inline void trace_emit(struct trace *t, enum trace_area area, enum trace_what what,
                              uint64_t a, uint64_t b, unsigned size, const char *name)
{
    const struct trace_event e = {.area = (uint8_t)area,
                                  .what = (uint8_t)what,
                                  .size = (uint8_t)size,
                                  .name = name,
                                  .a = a,
                                  .b = b};
    t->emit(t, &e);
}

#endif
