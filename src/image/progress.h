/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of transfers on standard error: on a terminal a bar per item that is redrawn in place,
 * otherwise a line when an item begins and ends. Any thread may report.
 */
#ifndef IMAGE_PROGRESS_H
#define IMAGE_PROGRESS_H

#include <stdint.h>

#include "base/error.h"

enum progress_mode {
    PROGRESS_NONE,
    PROGRESS_PLAIN,
    PROGRESS_BARS,
};

enum progress_phase {
    PROGRESS_WAITING,
    PROGRESS_MOVING,    /* bytes come or go */
    PROGRESS_UNPACKING, /* all bytes are here */
    PROGRESS_DONE,
    PROGRESS_PRESENT, /* nothing was to be done */
};

struct progress;

/* "auto" (bars on a terminal that can, else plain), "plain" or "none". -EINVAL. */
int progress_parse_mode(const char *text, enum progress_mode *ret,
                        struct error *err) error_must_check;

/* @verb: "pulling" or "pushing". NULL: out of memory. */
struct progress *progress_new(enum progress_mode mode, const char *verb);
/* Draws a last time and stops. NULL is fine. */
void progress_free(struct progress *progress);

/* A new item of @total bytes called @name (12 bytes of it are shown). -1: there are no items. */
int progress_add(struct progress *progress, const char *name, uint64_t total);
/* Says where the item is. @bytes is the whole amount so far. */
void progress_set(struct progress *progress, int item, enum progress_phase phase, uint64_t bytes);
/* As progress_set for one more piece of @bytes. */
void progress_more(struct progress *progress, int item, uint64_t bytes);
/* Forgets all items, which stay on the screen. */
void progress_next(struct progress *progress);

/* A line of text above the bars. Shown even by PROGRESS_NONE, because it is a warning. */
void progress_notice(struct progress *progress, const char *line);

#endif
