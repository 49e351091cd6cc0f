/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forks: new instances that go on from what a running one is at this instant (docs/snapshots.md).
 *
 * The supervisor of the first freezes its memory, saves processors and devices, copies the drives
 * that its guest may write, and goes on; the command passes the descriptors of state and memory to
 * a new supervisor for each fork. Nothing is written but the drives: what the memory holds is
 * shared between all of them until one writes to it, and lives as long as one of them does.
 */
#ifndef INSTANCE_FORK_H
#define INSTANCE_FORK_H

#include "instance/instance.h"

enum { FORK_MAX = 1000 };

struct instance_fork {
    unsigned count; /* 1 to FORK_MAX */
    /* The names: "%" is where a number goes, from 1 on, those taken left out. NULL: NAME-%. */
    const char *pattern;
};

/*
 * Makes and starts the forks of @ref, with identities, drives and ports of the host of their own.
 * @made is called with each that runs. On failure those before it stay.
 */
int instance_fork(struct instances *home, const char *ref, const struct instance_fork *how,
                  void (*made)(void *opaque, const struct instance *fork), void *opaque,
                  struct error *err) error_must_check;

#endif
