/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text mode's screen drawn on a terminal: the control sequences (ECMA-48, as xterm and Linux's
 * console have them) that change what the terminal shows into what the screen shows. Characters go
 * out as UTF-8, the 16 colours as the terminal's own.
 */
#ifndef INSTANCE_TEXT_VIEW_H
#define INSTANCE_TEXT_VIEW_H

#include "base/str.h"
#include "io/display.h"

struct text_view {
    unsigned columns, rows; /* of the terminal, at least 1; set by text_view_resize */
    bool stale;             /* what the terminal shows is not known */
    bool notice;            /* it shows a notice */
    unsigned wide, high;    /* of the screen that it shows */
    unsigned top;           /* the screen's first row that it shows */
    int cursor_x, cursor_y; /* on the terminal, -1: hidden */
    uint16_t cells[DISPLAY_TEXT_COLUMNS * DISPLAY_TEXT_ROWS]; /* as struct display_text */
};

/* Takes the terminal over: another screen, black; and gives it back as it was. */
void text_view_begin(struct text_view *v, struct str *out);
void text_view_end(struct str *out);
/* The terminal has this size now; all will be drawn anew. */
void text_view_resize(struct text_view *v, unsigned columns, unsigned rows);
/*
 * Appends to @out what makes the terminal show @text; nothing when it does. Of a screen larger than
 * the terminal it shows the left part, and the rows around the cursor.
 */
void text_view_draw(struct text_view *v, const struct display_text *text, struct str *out);
/* The same for lines of ASCII instead of a screen; they are drawn when there is no notice yet. */
void text_view_notice(struct text_view *v, const char *const *lines, unsigned count,
                      struct str *out);

#endif
