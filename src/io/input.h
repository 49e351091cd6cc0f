/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input seam: keys and pointers that somebody moves, for devices that tell the guest. All calls
 * are made with the machine lock held.
 *
 * Keys have the numbers of Linux (include/uapi/linux/input-event-codes.h, KEY_*): 1 to 83 and 86 to
 * 88 are the PC keyboard's scan codes of set 1, the others are below.
 */
#ifndef IO_INPUT_H
#define IO_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INPUT_KEY_ESC = 1,
    INPUT_KEY_BACKSPACE = 14,
    INPUT_KEY_TAB = 15,
    INPUT_KEY_ENTER = 28,
    INPUT_KEY_LEFTCTRL = 29,
    INPUT_KEY_LEFTSHIFT = 42,
    INPUT_KEY_RIGHTSHIFT = 54,
    INPUT_KEY_LEFTALT = 56,
    INPUT_KEY_SPACE = 57,
    INPUT_KEY_KPENTER = 96,
    INPUT_KEY_RIGHTCTRL = 97,
    INPUT_KEY_KPSLASH = 98,
    INPUT_KEY_SYSRQ = 99,
    INPUT_KEY_RIGHTALT = 100,
    INPUT_KEY_HOME = 102,
    INPUT_KEY_UP = 103,
    INPUT_KEY_PAGEUP = 104,
    INPUT_KEY_LEFT = 105,
    INPUT_KEY_RIGHT = 106,
    INPUT_KEY_END = 107,
    INPUT_KEY_DOWN = 108,
    INPUT_KEY_PAGEDOWN = 109,
    INPUT_KEY_INSERT = 110,
    INPUT_KEY_DELETE = 111,
    INPUT_KEY_PAUSE = 119,
    INPUT_KEY_LEFTMETA = 125,
    INPUT_KEY_RIGHTMETA = 126,
    INPUT_KEY_MENU = 127,
    INPUT_KEYS = 128 /* all are below */
};

enum {
    INPUT_LEFT = 1 << 0,
    INPUT_RIGHT = 1 << 1,
    INPUT_MIDDLE = 1 << 2,
    INPUT_SIDE = 1 << 3,
    INPUT_EXTRA = 1 << 4
};
enum { INPUT_PLACE_MAX = 32767 };

/* What a pointer does in one step. */
struct input_pointer {
    int dx, dy;      /* relative: to the right and down */
    uint16_t x, y;   /* absolute: 0 to INPUT_PLACE_MAX from the left and the top */
    int wheel;       /* notches, away from the user is positive */
    uint8_t buttons; /* those held down after the step */
};

struct input;
struct input_ops {
    /* A key goes down or up; false when the guest has not taken the keys before: try later. NULL:
     * no keys. */
    bool (*key)(struct input *in, unsigned key, bool down);
    /* The pointer moves; of what the guest does not take in time only the sum is kept. NULL: none.
     */
    void (*pointer)(struct input *in, const struct input_pointer *p);
};

/* The device's end. */
struct input {
    const struct input_ops *ops;
    bool absolute; /* takes x and y, not dx and dy */
    bool ready;    /* a driver listens */
};

/*
 * The key that makes @character on a US keyboard, and whether with shift; false when there is none.
 * Only what can be typed: printable ASCII, tab, newline, backspace and escape.
 */
bool input_key_of_char(char character, unsigned *ret_key, bool *ret_shift);
/*
 * The key named as in "ctrl-alt-delete" ("a", "f1", "enter", "page-up" ...): its number, 0 when
 * there is none.
 */
unsigned input_key_of_name(const char *name, size_t len);

#endif
