/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a machine at one instant, as bytes.
 *
 * A snapshot is three things that belong to the same instant: the state (here), the memory
 * (gmem_freeze, which costs next to nothing) and the drives. Whoever keeps it pauses the machine,
 * calls machine_save_state, freezes the memory, takes the drives, and lets the machine go on;
 * memory is written away from the frozen layer meanwhile.
 *
 * docs/snapshots.md describes the bytes.
 */
#ifndef MACHINE_SNAPSHOT_H
#define MACHINE_SNAPSHOT_H

#include "bus/gmem.h"
#include "machine/machine.h"

/*
 * Waits until no device has work in flight (the machine is paused, or stepped by the caller, and
 * the machine lock is held), and appends the state of processors, devices and clock to @out. 0 or a
 * negative errno.
 */
int machine_save_state(struct machine *m, struct str *out, struct error *err);

/*
 * What the bytes say of the machine they need, without loading them: -EINVAL with the reason when
 * they are not a state that this Isola knows. Strings end in the struct.
 */
struct machine_saved {
    char board[16], cpu[32];
    unsigned cpus;
    uint64_t memory;   /* bytes */
    uint64_t guest_ns; /* the guest's clock */
};
int machine_saved_read(const uint8_t *bytes, size_t len, struct machine_saved *ret,
                       struct error *err);

/* The machine's memory, borrowed; for gmem_freeze while it is paused. */
struct gmem *machine_memory(struct machine *m);

/*
 * A number that two machines in the same state share, of processors, devices and memory alike; for
 * tests and for recordings. Paused or stepped, as machine_save_state.
 */
uint64_t machine_hash(struct machine *m);

#endif
