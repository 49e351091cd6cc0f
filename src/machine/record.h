/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recording a machine's life, so that it can be lived again to the bit (replay.h).
 *
 * A recorded machine runs in slices of a fixed number of instructions, one processor after the
 * other. Nothing from outside happens within a slice: time is read before it, frames, keys and
 * bytes typed are given to devices before it, drives answer at once. What came from outside is
 * written down with its place between the slices; all else follows from it.
 *
 * docs/replay.md describes the bytes.
 */
#ifndef MACHINE_RECORD_H
#define MACHINE_RECORD_H

#include "base/str.h"

/* Where a recording goes, and how it is made. */
struct record_sink {
    /*
     * Appends @bytes, whose text it takes (and frees by str_done), to the recording. Called with
     * the machine lock held; it may wait. 0 or a negative errno, which ends the machine.
     */
    int (*write)(void *opaque, struct str *bytes);
    void *opaque;
    /* Instructions from one checkpoint to the next; 0: RECORD_CHECKPOINT. */
    uint64_t checkpoint;
};

/* About half a second of a busy processor on the interpreter. */
enum { RECORD_CHECKPOINT = 50000000 };

#endif
