/* SPDX-License-Identifier: Apache-2.0 */
#include "io/display.h"

#include <string.h>

bool display_frame_begin(struct display_frame *frame, unsigned width, unsigned height)
{
    frame->damage_count = 0;
    frame->resized = width != frame->width || height != frame->height;
    if (!frame->resized)
        return false;
    frame->width = width;
    frame->height = height;
    memset(frame->pixels, 0, (size_t)width * height * sizeof(*frame->pixels));
    frame->damage[0] = (struct display_rect){0, 0, (uint16_t)width, (uint16_t)height};
    frame->damage_count = 1;
    return true;
}

/* Adds columns [from, to) of line @y; a band takes lines that are near to it and much like it. */
static void add_damage(struct display_frame *frame, unsigned y, unsigned from, unsigned to)
{
    struct display_rect *last =
        frame->damage_count ? &frame->damage[frame->damage_count - 1] : NULL;
    unsigned bottom = last ? last->y + last->height : 0;

    if (last && y < bottom)
        return; /* a new size: all is damaged */
    if (!last || (y > bottom + 8 && frame->damage_count < DISPLAY_RECTS)) {
        frame->damage[frame->damage_count++] =
            (struct display_rect){(uint16_t)from, (uint16_t)y, (uint16_t)(to - from), 1};
        return;
    }
    if (last->x + last->width > (int)to)
        to = last->x + last->width;
    if (last->x < from)
        from = last->x;
    last->x = (uint16_t)from;
    last->width = (uint16_t)(to - from);
    last->height = (uint16_t)(y + 1 - last->y);
}

void display_frame_line(struct display_frame *frame, unsigned y, const uint32_t *pixels)
{
    uint32_t *line = frame->pixels + (size_t)y * frame->width;
    unsigned from = 0, to = frame->width;

    if (y >= frame->height || memcmp(line, pixels, frame->width * sizeof(*line)) == 0)
        return;
    while (line[from] == pixels[from])
        from++;
    while (line[to - 1] == pixels[to - 1])
        to--;
    memcpy(line + from, pixels + from, (to - from) * sizeof(*line));
    add_damage(frame, y, from, to);
}

uint16_t display_cp437(uint8_t code)
{
    static const uint16_t low[32] = {
        ' ',    0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
        0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
        0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
    static const uint16_t high[128] = {
        0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8,
        0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2,
        0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1,
        0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd,
        0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562,
        0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534,
        0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560,
        0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
        0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393,
        0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6,
        0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0,
        0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0};

    if (code < 32)
        return low[code];
    if (code == 127)
        return 0x2302;
    return code < 128 ? code : high[code - 128];
}

void display_add_utf8(struct str *out, uint16_t c)
{
    if (c < 0x80) {
        str_add_char(out, (char)c);
    } else if (c < 0x800) {
        str_add_char(out, (char)(0xc0 | c >> 6));
        str_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        str_add_char(out, (char)(0xe0 | c >> 12));
        str_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        str_add_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

void display_text_utf8(const struct display_text *text, struct str *out)
{
    for (unsigned y = 0; y < text->rows; y++) {
        const uint16_t *row = text->cells + y * text->columns;
        unsigned end = text->columns;
        while (end && ((row[end - 1] & 0xff) == ' ' || !(row[end - 1] & 0xff)))
            end--;
        for (unsigned x = 0; x < end; x++)
            display_add_utf8(out, display_cp437((uint8_t)row[x]));
        str_add_char(out, '\n');
    }
}
