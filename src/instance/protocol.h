/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control protocol of a supervisor (docs/control-protocol.md): JSON lines, and after an
 * upgrade frames. This module only parses and formats; it owns no descriptor.
 */
#ifndef INSTANCE_PROTOCOL_H
#define INSTANCE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    PROTOCOL_VERSION = 1,
    PROTOCOL_LINE_MAX = 16 << 10, /* of a request, its newline included */
    PROTOCOL_REPLY_MAX = 4 << 20,
    PROTOCOL_FRAME_HEADER = 4,
    PROTOCOL_FRAME_MAX = 8 << 10 /* of a frame's payload */
};

enum protocol_verb {
    PROTOCOL_STATE,
    PROTOCOL_INSPECT,
    PROTOCOL_STATS,
    PROTOCOL_PAUSE,
    PROTOCOL_RESUME,
    PROTOCOL_STOP,
    PROTOCOL_KILL,
    PROTOCOL_START,
    PROTOCOL_ATTACH,
    PROTOCOL_WAIT,
    PROTOCOL_UPDATE,
    PROTOCOL_EXEC,
    PROTOCOL_SCREEN,
    PROTOCOL_SNAPSHOT,
    PROTOCOL_FORK,
    PROTOCOL_DEBUG,
    PROTOCOL_SHOW,
    PROTOCOL_VERBS
};

struct protocol_request {
    enum protocol_verb verb;
    int64_t id;  /* echoed in the reply; -1: none */
    int timeout; /* stop: seconds; -1: as the spec says */
    int signal;  /* kill: Linux's number */
    bool stream; /* start: upgrade to a stream */
    bool input, replay, wait;
    unsigned columns, rows;
    char key[64];     /* debug: what for */
    char value[4096]; /* snapshot, fork: the directory; debug, show: what is wanted */
    /* exec: texts that each end in a zero byte: words, then variables, then directory and user. */
    char texts[PROTOCOL_LINE_MAX];
    unsigned word_count, env_count;
    const char *workdir, *user; /* in texts, NULL: not said */
    bool tty, detach;
};

/* Parses one line (without newline). -EINVAL with @err; *ret->id is set whenever it was readable.
 */
int protocol_parse(const char *line, size_t len, struct protocol_request *ret,
                   struct error *err) error_must_check;
const char *protocol_verb_name(enum protocol_verb verb);

/* Frames: u8 type, u8 zero, u16 length (little-endian), payload. */
enum protocol_frame {
    PROTOCOL_FRAME_INPUT = 1,  /* client: bytes for the console */
    PROTOCOL_FRAME_RESIZE = 2, /* client: u16 columns, u16 rows */
    PROTOCOL_FRAME_DETACH = 3, /* client: empty; the supervisor closes the connection */
    PROTOCOL_FRAME_END = 4,    /* client: empty; its input has ended */
    PROTOCOL_FRAME_OUTPUT = 0x81,
    PROTOCOL_FRAME_NOTICE = 0x82, /* a line of text for the user */
    PROTOCOL_FRAME_EXIT = 0x83,   /* i32 exit code, then the reason; the last frame */
    PROTOCOL_FRAME_ERRORS = 0x84  /* as OUTPUT, of standard error */
};

struct protocol_reader {
    uint8_t buf[PROTOCOL_LINE_MAX];
    size_t at, len; /* unread bytes are buf[at..len) */
};

/* Where to receive: at most *ret_room bytes; then call protocol_received. */
uint8_t *protocol_space(struct protocol_reader *r, size_t *ret_room);
void protocol_received(struct protocol_reader *r, size_t n);
/* The next line, without newline: 1, 0 (incomplete) or -EMSGSIZE. Valid until protocol_space. */
int protocol_next_line(struct protocol_reader *r, const char **ret_line, size_t *ret_len);
/* The next frame: 1, 0 (incomplete) or -EPROTO. Valid until protocol_space. */
int protocol_next_frame(struct protocol_reader *r, uint8_t *ret_type, const uint8_t **ret_data,
                        size_t *ret_len);
/* Puts the frame just returned, of @payload bytes, back. */
void protocol_unread_frame(struct protocol_reader *r, size_t payload);

/* Writes a frame header to @at. */
void protocol_frame_header(uint8_t at[PROTOCOL_FRAME_HEADER], enum protocol_frame type, size_t len);

#endif
