/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for host code: one memfd mapped twice, writable and executable, so that no address is
 * both.
 */
#ifndef CPU_JIT_ARENA_H
#define CPU_JIT_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct arena {
    uint8_t *write;     /* of the writable mapping */
    const uint8_t *run; /* of the executable one */
    size_t size;
};

/* Maps @size bytes. 0 or a negative errno with @err set (a host may forbid executable memory). */
int arena_map(struct arena *a, size_t size, struct error *err);
void arena_unmap(struct arena *a);

/* The address at which the code written at @p runs. */
static inline const void *arena_run(const struct arena *a, const uint8_t *p)
{
    return a->run + (p - a->write);
}

#endif
