/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes over a connection after the request "screen" (docs/control-protocol.md): frames of the
 * control protocol with these types. Numbers are little-endian. Pixels do not pass: both ends map
 * the memory that comes with MAP.
 */
#ifndef INSTANCE_SCREEN_WIRE_H
#define INSTANCE_SCREEN_WIRE_H

enum {
    /* From the client. Each but POINTER, and KEY without a wish for an answer, is answered. */
    SCREEN_MAP = 0x10,     /* empty */
    SCREEN_UPDATE = 0x11,  /* empty */
    SCREEN_KEY = 0x12,     /* u16 key, u8 down, u8 answer wanted */
    SCREEN_POINTER = 0x13, /* u16 x, u16 y, i16 wheel, u8 buttons, u8 zero */
    SCREEN_TEXT = 0x14,    /* empty */
    SCREEN_CELLS = 0x15,   /* empty */
    /* To the client. */
    SCREEN_MAP_IS = 0x90,    /* u32 bytes; with a descriptor (SCM_RIGHTS) */
    SCREEN_FRAME = 0x91,     /* u16 width, u16 height, u16 resized, u16 count, rectangles */
    SCREEN_KEY_DONE = 0x92,  /* u8 taken */
    SCREEN_TEXT_IS = 0x94,   /* UTF-8; the last one is empty */
    SCREEN_REFUSED = 0x95,   /* i32 negative errno, text */
    SCREEN_CELLS_ARE = 0x96, /* SCREEN_CELLS_SIZE bytes, see below */
    SCREEN_CELLS_MORE = 0x97 /* u16 cells, row after row, as many frames as it takes */
};
enum { SCREEN_KEY_SIZE = 4, SCREEN_POINTER_SIZE = 8, SCREEN_FRAME_SIZE = 8, SCREEN_RECT_SIZE = 8 };
/*
 * CELLS_ARE: u16 columns, u16 rows (0, 0: a picture, no text), i16 cursor's column and row (-1:
 * none), u16 width and height of the picture (0, 0 with text), u16 flags, u16 tone of the speaker
 * in Hz (0: silent), u32 sounds begun so far.
 */
enum { SCREEN_CELLS_SIZE = 20, SCREEN_CELLS_BLINK = 1 };

#endif
