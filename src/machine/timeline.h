/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deterministic way to run a machine, shared by recording and replay.
 *
 * A slice is TIMELINE_SLICE instructions of one processor, or fewer when it halts. Guest time
 * stands still in it, but for a little at each look at a clock, so that loops that wait for time to
 * pass end. An interrupt that the running processor causes for itself waits for the slice's end:
 * where in a block of translated or decoded code it would be noticed is the engine's affair, so
 * that a slice run in two pieces would not be the same. Between slices, with the machine lock held
 * all the while, anything may happen that is written down.
 *
 * The machine's backends lie behind seams: struct timeline has a drive, network or character device
 * in front of each of the caller's (in a replay: of none), and asks its ops.
 */
#ifndef MACHINE_TIMELINE_H
#define MACHINE_TIMELINE_H

#include "io/block.h"
#include "io/chardev.h"
#include "io/netdev.h"
#include "machine/machine.h"
#include "machine/replay.h"

enum { TIMELINE_SLICE = 20000, TIMELINE_LOOK_NS = 50 };
enum { TIMELINE_DISC = MACHINE_DRIVES, TIMELINE_DISKETTE, TIMELINE_DRIVES };
enum { TIMELINE_FRAMES = 256, TIMELINE_INPUT = 4096 };

struct timeline;

struct timeline_drive {
    struct block block;
    struct timeline *line;
    struct block *below; /* NULL in a replay */
    unsigned number;
    struct block_request *waiting;
};

struct timeline_frame {
    uint8_t *bytes;
    size_t len;
};

struct timeline_nic {
    struct netdev netdev;
    struct timeline *line;
    struct netdev *below;
    unsigned number;
    const struct netdev_client *client; /* the adapter */
    struct netdev_client own;
    struct timeline_frame frames[TIMELINE_FRAMES]; /* came from below, not given yet: a ring */
    unsigned first, count;
    bool refused; /* below heard that there is no room */
    bool try;     /* the adapter may have room for the first */
    int link;     /* -1: no news */
};

struct timeline_port {
    struct chardev ch;
    struct timeline *line;
    struct chardev *below;
    unsigned number; /* enum replay_port */
    const struct chardev_client *client;
    struct chardev_client own;
    uint8_t input[TIMELINE_INPUT];
    size_t input_len;
    bool full; /* below heard that there is no room */
    bool try;  /* the device may have room */
    bool eof, resized;
    unsigned columns, rows;
    struct str backlog; /* written and not taken below */
};

/* What recording and replay do differently. */
struct timeline_ops {
    /* In a slice: the drive's answer, its data included. */
    int (*drive)(struct timeline *line, struct timeline_drive *d, struct block_request *r);
    void (*random)(struct timeline *line, void *bytes, size_t n);
    /* The guest has written to a port that has nothing below it. NULL: never. */
    void (*output)(struct timeline *line, unsigned port, const uint8_t *bytes, size_t n);
};

struct timeline {
    struct machine *m;
    const struct timeline_ops *ops;
    void *opaque;     /* the ops' */
    bool alone;       /* a replay: there are no backends, their places say only what they are */
    uint64_t time;    /* guest ns: the source of the machine's clock */
    uint64_t hash;    /* over what the slices have done */
    unsigned next;    /* the processor whose turn is next */
    unsigned running; /* whose slice it is */
    bool in_slice;
    bool broken;   /* a replay has gone wrong: do not go on with the slice */
    bool met;      /* a debugger's point ended the last run, not the slice */
    uint64_t left; /* instructions of a slice that was run in part */
    unsigned held; /* attention that waits for its end */
    struct timeline_drive drives[TIMELINE_DRIVES];
    struct timeline_nic nics[MACHINE_NICS];
    struct timeline_port ports[REPLAY_PORTS];
    void (*unplugged)(void *opaque, struct block *drive); /* the caller's */
    void (*nic_unplugged)(void *opaque, struct netdev *netdev);
    void *unplug_opaque;
};

/* Puts the seams into @m's configuration, before its devices are made. NULL without memory. */
struct timeline *timeline_new(struct machine *m, const struct timeline_ops *ops, void *opaque,
                              bool alone);
void timeline_free(struct timeline *line);

/* Something for the next slice lies in front of a device that may have room for it. */
bool timeline_has_input(const struct timeline *line);
/* A port's output waits for its reader: more than it is well to keep. */
bool timeline_is_stalled(const struct timeline *line);
/* Whether a processor has something to do. */
bool timeline_has_work(const struct timeline *line);

/* Begins a slice @ns of guest time after the last one: timers, and whose turn it is. False when no
 * processor has work. */
bool timeline_begin(struct timeline *line, uint64_t ns);
/* Runs at most @budget instructions of the slice. False when it has ended. */
bool timeline_run(struct timeline *line, uint64_t budget);

/* The source of guest time (gclock_new). */
uint64_t timeline_time(void *line);

/* timeline_seams.c: sets up the seams. */
void timeline_make_seams(struct timeline *line);
/* Drops what waits in front of devices. */
void timeline_clear_seams(struct timeline *line);
/* Requests that were submitted are answered. */
void timeline_answer_drives(struct timeline *line);

#endif
