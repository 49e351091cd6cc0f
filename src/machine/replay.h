/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Living a recording again (record.h).
 *
 * A replay is a machine that hears nothing from outside but what its recording says. It stands
 * between two instructions, and can be moved to any other place of the recording, forwards and
 * backwards. A place is a count: instructions that all processors have retired since power-on
 * (machine_stats.instructions).
 *
 * Each slice and each checkpoint is compared with the recording; where the two differ for the first
 * time the replay stops with -EBADMSG and says what differs.
 */
#ifndef MACHINE_REPLAY_H
#define MACHINE_REPLAY_H

#include "base/error.h"
#include "machine/machine.h"

struct replay;

/* Where bytes that the guest writes go. */
enum replay_port {
    REPLAY_SERIAL, /* and the next three: COM1 to COM4 */
    REPLAY_CONSOLE = REPLAY_SERIAL + MACHINE_SERIALS,
    REPLAY_AGENT,
    REPLAY_DEBUG,
    REPLAY_PORTS
};

struct replay_options {
    /* What the guest writes, once: not again when the replay goes back over it. May be NULL. */
    void (*output)(void *opaque, enum replay_port port, const uint8_t *bytes, size_t n);
    void *opaque;
};

/*
 * A replay of the recording @bytes (borrowed until replay_free), at its start. NULL with @err set:
 * -EINVAL when the bytes are no recording, of another version, or damaged; -ENOMEM.
 */
struct replay *replay_new(const uint8_t *bytes, size_t len, const struct replay_options *options,
                          struct error *err);
void replay_free(struct replay *r);

/* Its machine: the same one wherever the replay goes. To be looked at; whoever changes it or runs
 * it ends in -EBADMSG. */
struct machine *replay_machine(struct replay *r);

/* Where it stands: instructions, and nanoseconds of guest time. */
uint64_t replay_count(const struct replay *r);
uint64_t replay_time(const struct replay *r);
/* The processor that runs next, or in whose slice the replay stands. */
unsigned replay_cpu(const struct replay *r);

/* What a recording holds. */
struct replay_about {
    uint64_t first, last; /* counts of its start and its end */
    uint64_t begin_ns, end_ns;
    unsigned checkpoints;
    uint64_t bytes, event_bytes, checkpoint_bytes;
    bool whole;           /* false: the recorder was killed, it ends with its last whole chunk */
    enum machine_end end; /* when whole */
    int end_value;
};
void replay_about(const struct replay *r, struct replay_about *ret);

/*
 * Goes to place @count, or to the recording's end when that is before it. Backwards, and far
 * forwards, from the checkpoint before it. A debugger steps by this (interrupts would wait for a
 * step of its own), and takes its points away meanwhile: else -EBUSY. 0; -EBADMSG: the replay
 * differs from the recording, -EINVAL: the recording is damaged; either is final.
 */
int replay_goto(struct replay *r, uint64_t count, struct error *err);
/* The same, without leaving out what lies between: at most @count more instructions, each slice and
 * checkpoint compared. Returns 1 when the end is reached, 2 when a debugger's
 * point was met (cpu/x86/debugger.h), else 0. */
int replay_run(struct replay *r, uint64_t count, struct error *err);
/* Goes to the first place whose slice begins at guest time @ns or later. */
int replay_goto_time(struct replay *r, uint64_t ns, struct error *err);

#endif
