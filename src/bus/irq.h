/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupt wires and messages between devices, controllers and processors. */
#ifndef BUS_IRQ_H
#define BUS_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* The sending end of a wire. Zero is an unconnected wire. Level 1 = asserted (true polarity). */
struct irq_line {
    void (*set)(void *opaque, unsigned input, int level);
    void *opaque;
    unsigned input;
};

static inline void irq_set(const struct irq_line *line, int level)
{
    if (line->set)
        line->set(line->opaque, line->input, level);
}

/* Where message-signalled interrupts go (Intel SDM vol. 3, 11.11). Zero swallows them. */
struct msi_sink {
    void (*send)(void *opaque, uint64_t address, uint32_t data);
    void *opaque;
};

static inline void msi_send(const struct msi_sink *sink, uint64_t address, uint32_t data)
{
    if (sink->send)
        sink->send(sink->opaque, address, data);
}

#endif
