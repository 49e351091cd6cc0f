/* SPDX-License-Identifier: Apache-2.0 */
/* Screens of running virtual machines, for commands: picture, text, keys and pointer. */
#ifndef INSTANCE_SCREEN_H
#define INSTANCE_SCREEN_H

#include "instance/instance.h"

struct display_text;
struct instance_screen;

/* Connects to the screen of @ref. -ENOTSUP: it has none. *ret is new. */
int instance_screen_open(struct instances *home, const char *ref, struct instance_screen **ret,
                         struct error *err) error_must_check;
void instance_screen_close(struct instance_screen *s); /* NULL is fine */
/* For poll: readable only when the connection ended, between the calls below. */
int instance_screen_fd(const struct instance_screen *s);

struct instance_screen_rect {
    unsigned x, y, width, height;
};
enum { INSTANCE_SCREEN_RECTS = 32 };

/* The picture after an update. Pixels are 0x00RRGGBB, line after line; they stay mapped. */
struct instance_picture {
    const uint32_t *pixels;
    unsigned width, height;
    bool resized; /* since the update before; all of it is new */
    struct instance_screen_rect changed[INSTANCE_SCREEN_RECTS];
    unsigned change_count;
};
int instance_screen_update(struct instance_screen *s, struct instance_picture *ret,
                           struct error *err) error_must_check;
/* Appends the text of a text mode; -ENODATA in a graphics mode. */
int instance_screen_text(struct instance_screen *s, struct str *out,
                         struct error *err) error_must_check;
/* The screen as a terminal shows it. */
struct instance_screen_cells {
    bool text;              /* a text mode: it is in *ret_text */
    unsigned width, height; /* of the picture otherwise, in pixels */
    unsigned tone_hz;       /* of the PC's speaker; 0: silent */
    uint32_t sounds;        /* that it has begun so far; wraps around */
};
int instance_screen_cells(struct instance_screen *s, struct instance_screen_cells *ret,
                          struct display_text *ret_text, struct error *err) error_must_check;
/*
 * A key (io/input.h) goes down or up. @ret_taken (NULL: nobody asks) says whether the guest's
 * keyboard had room for it.
 */
int instance_screen_key(struct instance_screen *s, unsigned key, bool down, bool *ret_taken,
                        struct error *err) error_must_check;
/* The pointer is at @x, @y (0 to 32767 of the screen) with these buttons (io/input.h). */
int instance_screen_pointer(struct instance_screen *s, unsigned x, unsigned y, int wheel,
                            unsigned buttons, struct error *err) error_must_check;

/* Types @text on a US keyboard, at the guest's pace. -EILSEQ: a character it does not have. */
int instance_screen_type(struct instance_screen *s, const char *text,
                         struct error *err) error_must_check;
/* Presses keys together, such as "ctrl-alt-delete", and lets them go. -EINVAL: no such key. */
int instance_screen_press(struct instance_screen *s, const char *keys,
                          struct error *err) error_must_check;

#endif
