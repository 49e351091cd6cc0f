/* SPDX-License-Identifier: Apache-2.0 */
/* The picture of text modes, and their text. */
#include <errno.h>

#include "base/mem.h"
#include "device/vga_internal.h"

enum { FONT_PLANE = 2, GLYPH = 32, CELLS_MAX = 256 };

/* The byte of plane 2 where the font of map @select (3 bits) starts: 8 KiB steps, odd ones last. */
static unsigned font_start(unsigned select)
{
    return (select & 3) << 14 | (select & 4) << 11;
}

static uint8_t glyph_line(const struct vga *v, unsigned font, unsigned code, unsigned line)
{
    uint8_t bits;

    vga_read(v, ((uint64_t)font + code * GLYPH + line) * 4 + FONT_PLANE, &bits, 1);
    return bits;
}

struct text_mode {
    struct vga_scan scan;
    unsigned dots; /* of a cell's width */
    unsigned columns;
    unsigned fonts[2];
    unsigned cursor;                 /* the word of its cell */
    unsigned cursor_from, cursor_to; /* its lines, none when from > to */
    uint32_t colors[16];
};

static void text_mode(const struct vga *v, struct text_mode *t)
{
    unsigned select = v->seq[SEQ_FONT];
    uint32_t palette[256];

    vga_scan(v, &t->scan);
    t->dots = v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8DOT ? 8 : 9;
    t->columns = min_of(v->cr[CR_H_END] + 1u, t->scan.width / t->dots);
    t->fonts[0] = font_start((select & 3) | (select >> 2 & 4));
    t->fonts[1] = font_start((select >> 2 & 3) | (select >> 3 & 4));
    if (!(v->seq[SEQ_MEMORY] & SEQ_MEMORY_EXTENDED))
        t->fonts[0] = t->fonts[1] = 0;
    t->cursor = (unsigned)v->cr[CR_CURSOR_HIGH] << 8 | v->cr[CR_CURSOR_HIGH + 1];
    t->cursor_from = v->cr[CR_CURSOR_START] & 0x1f;
    t->cursor_to = v->cr[CR_CURSOR_END] & 0x1f;
    if (v->cr[CR_CURSOR_START] & 0x20)
        t->cursor_from = GLYPH;
    vga_palette(v, palette);
    for (unsigned i = 0; i < 16; i++)
        t->colors[i] = palette[vga_attribute_color(v, i)];
}

/* The dots of one line of a cell, the first one in bit 8. */
static unsigned cell_dots(const struct vga *v, const struct text_mode *t, const uint8_t *cell,
                          unsigned line)
{
    unsigned code = cell[0], attribute = cell[1];
    unsigned dots = glyph_line(v, t->fonts[attribute >> 3 & 1], code, line) << 1;

    if (v->ar[AR_MODE] & AR_MODE_LINE_GRAPHICS && code >= 0xc0 && code <= 0xdf)
        dots |= dots >> 1 & 1;
    if (v->ar[AR_MODE] & AR_MODE_MONO && (attribute & 7) == 1 &&
        line == (v->cr[CR_UNDERLINE] & 0x1f))
        dots = 0x1ff;
    return dots;
}

/* Line @line of the row of cells that starts at byte @at. */
static void make_line(const struct vga *v, const struct text_mode *t, uint64_t at, unsigned line,
                      unsigned blink, uint32_t *out)
{
    uint8_t cells[CELLS_MAX * 4];

    vga_read(v, at, cells, t->columns * 4);
    for (unsigned x = 0; x < t->columns; x++) {
        const uint8_t *cell = cells + 4 * x;
        unsigned attribute = cell[1], dots = cell_dots(v, t, cell, line);
        unsigned front = attribute & 15, back = attribute >> 4;
        if (t->fonts[0] != t->fonts[1])
            front &= 7; /* the bit selects the font */
        if (v->ar[AR_MODE] & AR_MODE_BLINK) {
            back &= 7;
            if (attribute & 0x80 && blink & VGA_BLINK_TEXT)
                dots = 0;
        }
        if (at / 4 + x == t->cursor && line >= t->cursor_from && line <= t->cursor_to &&
            !(blink & VGA_BLINK_CURSOR))
            dots = 0x1ff;
        for (unsigned i = 0; i < t->dots; i++)
            *out++ = t->colors[dots >> (8 - i) & 1 ? front : back];
    }
}

void vga_draw_text(const struct vga *v, struct display_frame *frame, unsigned blink)
{
    uint32_t line[CELLS_MAX * 9 * 2];
    struct text_mode t;
    unsigned in_row, repeat = 0;
    uint64_t at;

    text_mode(v, &t);
    at = t.scan.start;
    in_row = t.scan.first_line % t.scan.row_lines;
    for (unsigned y = 0; y < frame->height; y++) {
        if (y == t.scan.split) {
            at = 0;
            in_row = repeat = 0;
        }
        if (repeat == 0) {
            make_line(v, &t, at, in_row, blink, line);
            if (v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF)
                vga_double_pixels(line, t.columns * t.dots);
        }
        display_frame_line(frame, y, line);
        if (++repeat < t.scan.repeat)
            continue;
        repeat = 0;
        if (++in_row == t.scan.row_lines) {
            in_row = 0;
            at += t.scan.line_bytes;
        }
    }
}

int vga_text(struct display *d, struct display_text *ret)
{
    struct vga *v = container_of(d, struct vga, display);
    struct text_mode t;
    unsigned place;

    if (vga_dispi_on(v) || v->gc[GC_MISC] & GC_MISC_GRAPHICS)
        return -ENOTSUP;
    text_mode(v, &t);
    *ret = (struct display_text){.cursor_x = -1, .cursor_y = -1};
    ret->columns = t.columns;
    ret->rows =
        min_of(t.scan.height / (t.scan.row_lines * t.scan.repeat), (unsigned)DISPLAY_TEXT_ROWS);
    for (unsigned y = 0; y < ret->rows; y++) {
        uint8_t cells[CELLS_MAX * 4];
        vga_read(v, t.scan.start + (uint64_t)y * t.scan.line_bytes, cells, ret->columns * 4);
        for (unsigned x = 0; x < ret->columns; x++)
            ret->cells[y * ret->columns + x] = load_le16(cells + 4 * x);
    }
    place = t.cursor - (unsigned)(t.scan.start / 4);
    if (t.cursor_from <= t.cursor_to && v->cr[CR_OFFSET] &&
        place / (v->cr[CR_OFFSET] * 2u) < ret->rows &&
        place % (v->cr[CR_OFFSET] * 2u) < ret->columns) {
        ret->cursor_y = (int)(place / (v->cr[CR_OFFSET] * 2u));
        ret->cursor_x = (int)(place % (v->cr[CR_OFFSET] * 2u));
    }
    return 0;
}
