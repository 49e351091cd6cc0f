/* SPDX-License-Identifier: Apache-2.0 */
/* What recording and replay share with the rest of this room. */
#ifndef MACHINE_RECORD_INTERNAL_H
#define MACHINE_RECORD_INTERNAL_H

#include "machine/record.h"
#include "machine/record_format.h"
#include "machine/timeline.h"

struct machine;
struct recorder;

/* ---- record.c ---- */

/* Begins to record @m (config.record): its seams and its clock, before its parts are made. */
int recorder_new(struct machine *m, struct error *err);
/* Writes the end, when it was not written; does nothing for a machine that is not recorded. */
void recorder_end(struct machine *m);
void recorder_free(struct machine *m);
/*
 * One slice, and what lies before it. Returns how many nanoseconds of the host's clock the caller
 * may sleep until the next, 0: none, UINT64_MAX: until something wakes it.
 */
uint64_t recorder_turn(struct machine *m);
/* The machine goes on after a pause, in which no guest time has passed. */
void recorder_resumed(struct machine *m);
/* What a user does between slices. Nothing for a machine that is not recorded. */
void recorder_note(struct machine *m, const struct record_event *ev);

/* ---- record_parts.c: payloads that both write and read ---- */

/* The machine's parts, as they are needed to make it again. */
void record_put_parts(struct str *out, const struct machine_config *c);
/* The places of backends in a configuration that came from a recording. */
struct record_parts {
    struct machine_config config;
    char board[32], accel[32], cpu[32];
    struct block drives[TIMELINE_DRIVES];
    struct netdev nics[MACHINE_NICS];
    struct chardev port;
    uint8_t *flash; /* owned */
};
int record_get_parts(const struct record_chunk *chunk, struct record_parts *ret, struct error *err);

/* A checkpoint without its pages, which follow. */
struct record_state {
    bool whole;    /* pages that it does not have are zero, else as in the checkpoint before */
    uint64_t next; /* timeline.next */
    uint64_t hash;
    const uint8_t *state; /* machine_save_state */
    size_t state_len;
};
/* A page: its number * 2, and 1 for zeroes; the pages that are not lie one after the other behind
 * all numbers. */
struct record_pages {
    const uint8_t *numbers, *contents;
    uint64_t count;
};
int record_get_state(const struct record_chunk *chunk, struct record_state *ret,
                     struct record_pages *ret_pages, struct error *err);
/* Page @i of them; *at (0 at first) goes through the contents. NULL content: zeroes. */
uint64_t record_page(const struct record_pages *p, uint64_t i, uint64_t *at,
                     const uint8_t **ret_content);

struct record_last {
    enum machine_end end;
    int value;
    uint64_t hash;   /* timeline.hash */
    uint64_t memory; /* machine_hash */
    const uint8_t *text;
    size_t text_len;
};
void record_put_last(struct str *out, const struct record_last *last);
int record_get_last(const struct record_chunk *chunk, struct record_last *ret, struct error *err);

#endif
