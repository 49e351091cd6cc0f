/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: the lives of machines that were started with --record, each a file
 * DATA/recordings/NAME (docs/replay.md).
 */
#ifndef INSTANCE_RECORDING_H
#define INSTANCE_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "instance/instance.h"

struct recording {
    char *name;
    int64_t changed; /* Unix ns: when it was written to last */
    uint64_t bytes;
};

/* Where recording @name is, or, when it has a slash, @name itself; new. NULL with @err set. */
char *recording_path(const char *data_dir, const char *name, struct error *err);

/* All, newest first; *ret is a new array. */
int recording_list(struct instances *home, struct recording **ret, size_t *ret_count,
                   struct error *err) error_must_check;
void recording_list_free(struct recording *list, size_t count);
/* -ENOENT: there is none of this name. */
int recording_remove(struct instances *home, const char *name, struct error *err) error_must_check;

/* What to replay of a recording. */
struct recording_play {
    const char *name; /* or a path with a slash */
    uint64_t to;      /* instructions since power-on, UINT64_MAX: to the end */
    uint64_t at;      /* nanoseconds of guest time, UINT64_MAX: not said */
    bool only_look;   /* fill the report, run nothing */
    /* What the guest writes to its console. */
    void (*output)(void *opaque, const uint8_t *bytes, size_t n);
    /* Called a few times a second; may be NULL. */
    void (*progress)(void *opaque, uint64_t count, uint64_t last);
    void *opaque;
};

struct recording_report {
    uint64_t bytes, event_bytes, checkpoint_bytes, checkpoints;
    uint64_t first, last, begin_ns, end_ns; /* of the recording; last, end_ns at least */
    bool whole;              /* false: whoever recorded was killed, it is good up to there */
    const char *end;         /* how the machine ended, "" when not whole */
    int end_value;           /* of a debug exit */
    uint64_t count, time_ns; /* where the replay has come to */
    bool reached_end;
};

/*
 * Replays it and compares. 0, *ret is filled; -EBADMSG: the replay differs, *ret says how far it
 * came; other negative errnos: it cannot be replayed.
 */
int recording_play(struct instances *home, const struct recording_play *play,
                   struct recording_report *ret, struct error *err) error_must_check;

#endif
