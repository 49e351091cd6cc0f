/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collects what parts of a machine tell (base/trace.h) in a ring, for one reader. When the ring is
 * full events are dropped and counted: the machine never waits.
 */
#ifndef MACHINE_TRACE_H
#define MACHINE_TRACE_H

#include "base/str.h"
#include "machine/machine.h"

struct machine_trace;

/* What is wanted. Members that are not set (0, -1, empty) filter nothing. */
struct machine_trace_filter {
    uint32_t areas;  /* bits of enum trace_area */
    int cpu, vector; /* -1: all */
    char device[32]; /* a part of the name */
};

/*
 * Reads words such as "interrupts exceptions cpu=1 vector=0x0e device=ide": areas, or all, and
 * filters. -EINVAL.
 */
int machine_trace_parse(const char *text, struct machine_trace_filter *ret,
                        struct error *err) error_must_check;

/* Begins; with the machine lock held, as all calls. -EBUSY: somebody else traces it. */
struct machine_trace *machine_trace_new(struct machine *m, const struct machine_trace_filter *f,
                                        struct error *err);
/* Ends. NULL is fine. */
void machine_trace_free(struct machine_trace *t);
/* Appends events as lines of JSON until @out has @max bytes or none is left; false: none was. */
bool machine_trace_read(struct machine_trace *t, struct str *out, size_t max);

#endif
