/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console logs: DIR/console.log, then console.log.1 (newer) ... One JSON object per line:
 *
 *   {"time":"2026-01-31T12:00:00.000000000Z","stream":"stdout","log":"text\n"}
 *
 * A line of output is one object; "log" ends in \n unless the line was cut (LOG_LINE_MAX, or it was
 * incomplete when flushed). Output that is not UTF-8 is kept exactly as "log64" (base64) instead.
 * When a line can not be written (full disk) it is dropped and counted; the count is written as a
 * line of stream "isola" as soon as writing works again. The guest never waits for its log.
 */
#ifndef INSTANCE_LOG_FILE_H
#define INSTANCE_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { LOG_LINE_MAX = 4096 };
enum log_stream {
    LOG_STREAM_STDOUT,
    LOG_STREAM_STDERR,
    LOG_STREAM_DEBUG,
    LOG_STREAM_ISOLA,
    LOG_STREAMS
};

struct log_file;

/* Opens the log in directory @dir for appending. NULL with @err set. */
struct log_file *log_file_open(const char *dir, uint64_t max_size, unsigned max_files,
                               struct error *err);
/* Flushes and frees. NULL is fine. */
void log_file_close(struct log_file *log);
/* Complete lines are written at once; the rest waits for its end or for log_file_flush. */
void log_file_add(struct log_file *log, enum log_stream stream, const uint8_t *bytes, size_t n);
/* Whether an incomplete line waits. */
bool log_file_pending(const struct log_file *log);
void log_file_flush(struct log_file *log);

/* Reads one line (without its end) back. @text (zeroed by the caller) gets the raw bytes. */
int log_line_parse(const char *line, size_t len, int64_t *ret_time, enum log_stream *ret_stream,
                   struct str *text);
/* "stdout", ... */
const char *log_stream_name(enum log_stream stream);

#endif
