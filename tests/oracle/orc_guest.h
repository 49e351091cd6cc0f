/* SPDX-License-Identifier: Apache-2.0 */
/* Runs single instructions on an Isola processor at ring 3, set up as Linux sets up the host's. */
#ifndef TESTS_ORACLE_GUEST_H
#define TESTS_ORACLE_GUEST_H

#include "base/error.h"
#include "cpu/x86/cpu.h"
#include "orc_state.h"

struct orc_guest;

/* A machine of one processor, in long mode. NULL with @err set on failure. */
struct orc_guest *orc_guest_new(struct error *err);
/* From now on the translator runs the guest. 0 or a negative errno with @err set. */
int orc_guest_translate(struct orc_guest *g, struct error *err);
void orc_guest_free(struct orc_guest *g);
struct x86_cpu *orc_guest_cpu(struct orc_guest *g);

/* Writes into the code pages (offset from ORC_CODE). */
void orc_guest_code(struct orc_guest *g, uint32_t offset, const uint8_t *bytes, unsigned len);
/* What the host has at ORC_STUB: readable here too, not executable. */
void orc_guest_stub(struct orc_guest *g, const uint8_t *page);
/* Sets the limit of the last GDT descriptor to the host's. */
void orc_guest_cpu_node(struct orc_guest *g, uint32_t limit);
/* The data pages, ORC_DATA_BYTES, for as long as the machine lives; NULL should they be apart. */
uint8_t *orc_guest_data(struct orc_guest *g);

/*
 * Runs from @in until the stub or an exception, and saves the state to @out as the host side does.
 * Exceptions are delivered through the guest's IDT to ring 0, whose handlers halt.
 */
void orc_guest_run(struct orc_guest *g, const struct orc_state *in, struct orc_state *out);

/* Runs the one instruction at @in->rip: the linear address where the processor goes on. */
uint64_t orc_guest_landing(struct orc_guest *g, const struct orc_state *in);

#endif
