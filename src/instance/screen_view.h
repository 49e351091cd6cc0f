/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's screen and keyboard on a terminal, as a part of a terminal session (terminal.c). */
#ifndef INSTANCE_SCREEN_VIEW_H
#define INSTANCE_SCREEN_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "instance/instance.h"

struct screen_view;

/*
 * For the screen of @ref (borrowed, as @home), on the terminal @fd, which is in raw mode while the
 * session lasts. NULL with @err set: -ENOTSUP when the instance has no screen.
 */
struct screen_view *screen_view_new(struct instances *home, const char *ref, int fd,
                                    struct error *err);
/* Gives the terminal back. NULL is fine. */
void screen_view_free(struct screen_view *v);
/* The terminal changed its size, or was somebody else's meanwhile. */
void screen_view_resize(struct screen_view *v);
/* Takes what was typed, as much as there is room for: bytes taken. */
size_t screen_view_type(struct screen_view *v, const uint8_t *bytes, size_t n);
/*
 * Brings the terminal up to date and gives the guest the keys that wait, when it is time for that:
 * the milliseconds until it is again. A machine that does not answer, as one that restarts, is
 * looked for again each time.
 */
int screen_view_turn(struct screen_view *v);

#endif
