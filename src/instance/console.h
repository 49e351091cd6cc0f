/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console of an instance: a character device whose output goes to the log, to a ring of recent
 * output that attached clients read at their own pace, and whose input comes from all of them.
 *
 * A reader is a position in the ring. One that falls behind by more than the ring loses the oldest
 * output and is told how much. A reader that the console waits for keeps the ring from being
 * overwritten: the device's writes are then refused until it reads on, or until it has not moved
 * for CONSOLE_STALL_NS. Calls are made under the lock of the loop; writes may come from any thread.
 */
#ifndef INSTANCE_CONSOLE_H
#define INSTANCE_CONSOLE_H

#include <stdbool.h>

#include "instance/log_file.h"
#include "io/chardev.h"

enum { CONSOLE_RING = 256 << 10, CONSOLE_INPUT = 16 << 10 };
/* What comes out: the console itself, and what programs without a terminal say about errors. */
enum console_channel { CONSOLE_OUTPUT, CONSOLE_ERRORS, CONSOLE_CHANNELS };
#define CONSOLE_STALL_NS (10ull * 1000000000)

struct loop;
struct console;
struct console_reader;

/* @log (borrowed, NULL: none) gets all output. NULL with @err set. */
struct console *console_new(struct loop *loop, struct log_file *log, struct error *err);
void console_free(struct console *c);
/*
 * The devices' ends: console, standard error (output only), and the debug port that is only logged.
 * Borrowed from @c.
 */
struct chardev *console_chardev(struct console *c);
struct chardev *console_errors(struct console *c);
struct chardev *console_debug(struct console *c);
/* Forgets the device (its machine is gone); a new one may attach. */
void console_detach_device(struct console *c);

/* @more is called when there is output to read or input has room again. NULL: out of memory. */
struct console_reader *console_reader_new(struct console *c, bool replay, bool wait,
                                          void (*more)(void *opaque), void *opaque);
void console_reader_free(struct console_reader *r);
/* Copies up to @size bytes and moves on; *ret_skipped: bytes lost before them. 0: nothing new. */
size_t console_read(struct console_reader *r, enum console_channel channel, uint8_t *buf,
                    size_t size, uint64_t *ret_skipped);
bool console_readable(const struct console_reader *r);

/* Queues input for the device; returns how many bytes were taken. */
size_t console_input(struct console *c, const uint8_t *bytes, size_t n);
size_t console_input_room(const struct console *c);
/* After what was queued the device is told that no more input comes, when it wants to know. */
void console_input_end(struct console *c);
void console_resize(struct console *c, unsigned columns, unsigned rows);
/* The size as last set, zeros when it never was. */
void console_size(const struct console *c, unsigned *ret_columns, unsigned *ret_rows);

#endif
