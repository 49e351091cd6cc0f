/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a snapshot of a running machine: it stands still while its state and drives are taken. */
#ifndef INSTANCE_VM_SNAPSHOT_H
#define INSTANCE_VM_SNAPSHOT_H

#include "base/loop.h"
#include "instance/engine.h"
#include "instance/snapshot_files.h"
#include "io/disk.h"
#include "machine/machine.h"

struct vm_snapshot;

struct vm_snapshot_request {
    struct machine *machine; /* locked */
    bool paused;             /* it is so already, and stays so */
    struct disk *const *disks;
    size_t disk_count; /* disk n becomes driveN.qcow2; NULL entries are left out */
    const char *dir;   /* exists, empty */
    struct loop *loop;
    /* Called once on the loop's thread when all is written; @err NULL: it is good. */
    void (*done)(void *opaque, const struct error *err);
    void *opaque;
};

/*
 * Takes state and drives now, and writes memory on a thread while the machine goes on. NULL with
 * @err set when it could not begin.
 */
struct vm_snapshot *vm_snapshot_begin(const struct vm_snapshot_request *q, struct error *err);
/*
 * Takes state and memory of the machine for forks (engine.h; done, opaque and loop are not used),
 * and its drives as above.
 */
int vm_fork_take(const struct vm_snapshot_request *q, struct engine_origin *ret, struct error *err);
/* What a fork goes on from, as if it came from files. */
int vm_fork_open(const struct engine_origin *origin, struct snapshot_files *ret, struct error *err);
/* Waits for the end (done is called) and frees. NULL is fine. */
void vm_snapshot_end(struct vm_snapshot *s);

#endif
