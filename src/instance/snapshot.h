/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: what a machine was at one instant, kept in DATA/snapshots/NAME (docs/snapshots.md), so
 * that new machines can go on from there, any number of times.
 */
#ifndef INSTANCE_SNAPSHOT_H
#define INSTANCE_SNAPSHOT_H

#include "instance/instance.h"

struct snapshot {
    char *name;
    int64_t created; /* Unix ns */
    char *instance_name;
    char instance[INSTANCE_ID_LEN + 1];
    struct spec *spec;
    uint64_t memory, disk; /* bytes: of the machine, and what the snapshot takes on the disk */
};

void snapshot_done(struct snapshot *s);
void snapshot_list_free(struct snapshot *list, size_t count);

/*
 * Keeps what the running instance @ref is now as @name (NULL: its name and the time). Returns when
 * all is on the disk; the instance stood still only while processors and drives were taken.
 * *ret_name (new) is what it is called. -EEXIST: there is one of this name.
 */
int snapshot_create(struct instances *home, const char *ref, const char *name, char **ret_name,
                    struct error *err) error_must_check;

/* -ENOENT: there is none of this name. */
int snapshot_find(struct instances *home, const char *name, struct snapshot *ret,
                  struct error *err) error_must_check;
/* All that can be read, newest first; *ret is a new array. */
int snapshot_list(struct instances *home, struct snapshot **ret, size_t *ret_count,
                  struct error *err) error_must_check;
/* -EBUSY: an instance that came from it exists. */
int snapshot_remove(struct instances *home, const char *name, struct error *err) error_must_check;

/*
 * Makes an instance called @name (NULL: one is generated) that goes on from the snapshot when it is
 * started. Its drives are overlays of its own, its network is new; the host's ports are as they
 * were, or free ones with @new_ports.
 */
int snapshot_restore(struct instances *home, const char *snapshot, const char *name, bool new_ports,
                     struct instance **ret, struct error *err) error_must_check;

/* Leaves nothing of the host's that the first machine may have: free ports, no VNC server,
 * no gdb. */
void snapshot_free_ports(struct spec *spec);

#endif
