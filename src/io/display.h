/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The display seam: a picture that a device draws when it is asked to, for whoever shows it (VNC,
 * screenshots, a terminal). The device keeps no copy; whoever shows it owns one frame and brings it
 * up to date at its own pace, so that drawing costs a guest nothing while nobody looks. All calls
 * are made with the machine lock held.
 */
#ifndef IO_DISPLAY_H
#define IO_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* The largest picture: a display device offers no mode above it. */
enum { DISPLAY_MAX_WIDTH = 2560, DISPLAY_MAX_HEIGHT = 1600, DISPLAY_RECTS = 32 };
#define DISPLAY_MAX_PIXELS ((size_t)DISPLAY_MAX_WIDTH * DISPLAY_MAX_HEIGHT)

struct display_rect {
    uint16_t x, y, width, height;
};

/* A picture of 32-bit pixels 0x00RRGGBB, line after line without gaps. */
struct display_frame {
    uint32_t *pixels; /* room for DISPLAY_MAX_PIXELS; the owner's */
    unsigned width, height;
    /* What the last update changed: disjoint bands from top to bottom. */
    struct display_rect damage[DISPLAY_RECTS];
    unsigned damage_count;
    bool resized; /* by the last update */
};

/* The content of a text mode. */
enum { DISPLAY_TEXT_COLUMNS = 256, DISPLAY_TEXT_ROWS = 128 };
struct display_text {
    unsigned columns, rows;
    int cursor_x, cursor_y; /* -1, -1: none */
    bool blink;             /* attribute bit 15 blinks; else it makes the background bright */
    /* Code (CP437 in the usual fonts) in bits 0-7, attribute in bits 8-15; row after row. */
    uint16_t cells[DISPLAY_TEXT_COLUMNS * DISPLAY_TEXT_ROWS];
};

struct display;
struct display_ops {
    /* Brings @frame up to date and says what changed. */
    void (*update)(struct display *d, struct display_frame *frame);
    /* The text on the screen; -ENOTSUP in a graphics mode. */
    int (*text)(struct display *d, struct display_text *ret);
};

struct display {
    const struct display_ops *ops;
};

/*
 * For devices: starts an update to a picture of this size (within the limits above); true when the
 * size is new, in which case all of the frame is damaged already and black.
 */
bool display_frame_begin(struct display_frame *frame, unsigned width, unsigned height);
/* For devices: gives line @y (frame->width pixels); lines are given from top to bottom. */
void display_frame_line(struct display_frame *frame, unsigned y, const uint32_t *pixels);

/* Appends the rows of @text as UTF-8 lines without the spaces that end them. */
void display_text_utf8(const struct display_text *text, struct str *out);
/* Appends one character as UTF-8. */
void display_add_utf8(struct str *out, uint16_t c);
/* The Unicode character of a CP437 code as the PC's fonts draw it. */
uint16_t display_cp437(uint8_t code);

#endif
