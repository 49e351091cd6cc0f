/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a recording: chunks, and the events in them. docs/replay.md describes them.
 *
 * Numbers in events are LEB128 ("var"), signed ones zigzag; numbers elsewhere little-endian.
 */
#ifndef MACHINE_RECORD_FORMAT_H
#define MACHINE_RECORD_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "io/input.h"

enum { RECORD_VERSION = 1, RECORD_MAGIC_BYTES = 12, RECORD_CHUNK_HEAD = 48 };

enum record_chunk_kind {
    RECORD_HEAD = 1,          /* what the machine is made of; the first */
    RECORD_LOG = 2,           /* events */
    RECORD_CHECKPOINT_AT = 3, /* the whole state, memory as what has changed */
    RECORD_END = 4,           /* why the machine ended; the last */
};

struct record_chunk {
    uint32_t kind;
    uint64_t count, time; /* instructions and guest ns where it begins */
    uint64_t sum;         /* over the chunk before it and all of this one */
    const uint8_t *bytes;
    size_t len;
};

/* Appends the first bytes of a recording, before its first chunk. */
void record_put_magic(struct str *out);
/* Begins a chunk at the end of @out, and ends it when its payload has been appended. *@sum is that
 * of the chunk before (0 at first), and becomes this one's. */
size_t record_chunk_begin(struct str *out);
void record_chunk_end(struct str *out, size_t begin, enum record_chunk_kind kind, uint64_t count,
                      uint64_t time, uint64_t *sum);
/* Whether @bytes begin as a recording of this version: 0, or -EINVAL with the reason. */
int record_check_magic(const uint8_t *bytes, size_t len, struct error *err);
/*
 * The chunk at *@at, which moves behind it. 0 when there is none any more, 1: *ret. -EPIPE when
 * it is not all there (whoever wrote it was killed), -EINVAL when its head is damaged. Its payload
 * is not looked at: see record_chunk_check.
 */
int record_chunk_next(const uint8_t *bytes, size_t len, size_t *at, struct record_chunk *ret,
                      struct error *err);
/* Whether all of a chunk is as it was written, behind a chunk with sum @before. */
bool record_chunk_check(const struct record_chunk *c, uint64_t before);

/* A running hash over 8 bytes. */
static inline uint64_t record_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}
uint64_t record_mix_bytes(uint64_t hash, const void *bytes, size_t n);

/* ---- payloads ---- */

struct record_reader {
    const uint8_t *at, *end;
    bool bad; /* something did not fit; what was read since is 0 */
};

void record_put_var(struct str *out, uint64_t n);
void record_put_signed(struct str *out, int64_t n);
/* A var length, then the bytes. */
void record_put_blob(struct str *out, const void *bytes, size_t n);
uint64_t record_get_u8(struct record_reader *r);
uint64_t record_get_u16(struct record_reader *r);
uint64_t record_get_u64(struct record_reader *r);
uint64_t record_get_var(struct record_reader *r);
int64_t record_get_signed(struct record_reader *r);
const uint8_t *record_get_bytes(struct record_reader *r, size_t n);
const uint8_t *record_get_blob(struct record_reader *r, size_t *ret_len);

/* ---- events ---- */

enum record_event_kind {
    RECORD_STEP = 1, /* a slice begins */
    RECORD_DRIVE,    /* a drive has answered; in a slice */
    RECORD_RANDOM,   /* random bytes; in a slice, or at a reset */
    RECORD_FRAME,    /* a frame for a network adapter */
    RECORD_OFFER,    /* the same, which had no room for it */
    RECORD_LINK,     /* its cable */
    RECORD_INPUT,    /* bytes for a port */
    RECORD_RESIZE,   /* its terminal's size */
    RECORD_EOF,      /* no more input for it */
    RECORD_KEY,
    RECORD_POINTER,
    RECORD_POWER, /* the power button */
    RECORD_BALLOON,
    RECORD_RESET, /* the machine was reset: a whole checkpoint follows */
    RECORD_WALL,  /* the real-time clock was set forward: the machine had been paused */
    RECORD_EVENTS
};

struct record_event {
    enum record_event_kind kind;
    unsigned number; /* DRIVE, FRAME, OFFER, LINK, INPUT, RESIZE, EOF: which; KEY: its number */
    unsigned op;     /* DRIVE: enum block_op */
    int result;      /* DRIVE */
    bool on;         /* LINK: up; KEY: down */
    uint64_t value;  /* STEP: ns since the last; DRIVE, OFFER: length; BALLOON: bytes; WALL: ns */
    uint64_t check;  /* STEP: 16 bits of the running hash; DRIVE: 32 bits of data written */
    unsigned columns, rows;
    struct input_pointer pointer;
    const uint8_t *bytes; /* DRIVE that was read, RANDOM, FRAME, INPUT; borrowed */
    size_t len;
};

void record_put_event(struct str *out, const struct record_event *ev);
/* The event at the reader, which moves behind it. 1; 0 at the end; -EINVAL. */
int record_get_event(struct record_reader *r, struct record_event *ret);
/* What an event is called: "network frame". */
const char *record_event_name(enum record_event_kind kind);

#endif
