/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine under a debugger: held at instruction boundaries, let go in whole or in part.
 *
 * Being held is apart from being paused by its user: guest code runs while it is neither. Guest
 * time stands still meanwhile. All calls with the machine lock held.
 */
#ifndef MACHINE_DEBUG_H
#define MACHINE_DEBUG_H

#include "machine/machine.h"

struct x86_vm;

/* Whether a debugger may come: -EBUSY, there is one; -ENOTSUP, the machine is recorded. */
int machine_debug_check(const struct machine *m, struct error *err) error_must_check;
/* One debugger at a time; fails as machine_debug_check. @stopped is called once for each
 * machine_debug_go that ends by an event of processor @cpu (its debug_stop says what), on the
 * loop's thread with the lock held. */
int machine_debug_attach(struct machine *m, void (*stopped)(void *opaque, unsigned cpu),
                         void *opaque, struct error *err) error_must_check;
/* Takes its points away and lets the machine go on. Nothing without a debugger. */
void machine_debug_detach(struct machine *m);
/* Stops all processors and waits for that. */
void machine_debug_hold(struct machine *m);
/*
 * Lets the processors of bit mask @run go, those of @step (part of @run) for one instruction; when
 * one of them has done it, or meets a breakpoint, all stop. -EINVAL for no processor at all.
 */
int machine_debug_go(struct machine *m, uint64_t run, uint64_t step,
                     struct error *err) error_must_check;
bool machine_debug_held(const struct machine *m);
/* A reset at once, held. */
int machine_debug_reset(struct machine *m, struct error *err) error_must_check;
/* The processors, for looking at and changing them while the machine is held. */
struct x86_vm *machine_processors(struct machine *m);
unsigned machine_current_cpu(const struct machine *m);

/*
 * Guest-physical memory without side effects: RAM and ROM only, and RAM only for writing. -EFAULT:
 * some of it is elsewhere (nothing is done).
 */
int machine_peek(struct machine *m, uint64_t gpa, void *to, size_t len);
int machine_poke(struct machine *m, uint64_t gpa, const void *from, size_t len);
/* The same by linear address of processor @cpu: as far as it goes; bytes done, or -EFAULT. */
int64_t machine_peek_linear(struct machine *m, unsigned cpu, uint64_t lin, void *to, size_t len);
int64_t machine_poke_linear(struct machine *m, unsigned cpu, uint64_t lin, const void *from,
                            size_t len);

#endif
