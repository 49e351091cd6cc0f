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

/* ---- mode 3 ---- */

enum { ROM_GLYPH = 16, ROM_FONT = 256 * ROM_GLYPH };

/* The BIOS's font of 16 lines, found by its first two characters: nothing, and a white face. */
static const uint8_t *rom_font(const struct vga *v)
{
    static const uint8_t face[ROM_GLYPH] = {0,    0,    0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd,
                                            0x99, 0x81, 0x81, 0x7e, 0,    0,    0,    0};
    static const uint8_t nothing[ROM_GLYPH];

    for (size_t at = 0; v->rom && at + ROM_FONT <= v->rom_len; at++)
        if (memcmp(v->rom + at, nothing, ROM_GLYPH) == 0 &&
            memcmp(v->rom + at + ROM_GLYPH, face, ROM_GLYPH) == 0)
            return v->rom + at;
    return NULL;
}

/* Spaces in planes 0 and 1, the font in plane 2. */
static void fill_text(struct vga *v)
{
    const uint8_t *font = rom_font(v);
    uint8_t words[CELLS_MAX][4];

    for (unsigned first = 0; first < 0x8000 / 2; first += CELLS_MAX) {
        for (unsigned i = 0; i < CELLS_MAX; i++) {
            unsigned code = (first + i) / GLYPH, line = (first + i) % GLYPH;
            uint8_t dots =
                font && code < 256 && line < ROM_GLYPH ? font[code * ROM_GLYPH + line] : 0;
            memcpy(words[i], (const uint8_t[]){' ', 0x07, dots, 0}, 4);
        }
        gmem_write(v->ram, (v->first_gfn << GMEM_PAGE_BITS) + (uint64_t)first * 4, words,
                   sizeof words);
    }
}

void vga_set_text(struct vga *v)
{
    /* As the IBM VGA's BIOS sets them for mode 3+ (VGA XGA Hardware Technical Reference). */
    static const uint8_t seq[] = {0x03, 0x00, 0x03, 0x00, 0x02};
    static const uint8_t cr[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
    static const uint8_t gc[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
    static const uint8_t ar[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};

    vga_dispi_write(v, DISPI_ENABLE, 0);
    v->misc = 0x67;
    memcpy(v->seq, seq, sizeof seq);
    memcpy(v->cr, cr, sizeof cr);
    memcpy(v->gc, gc, sizeof gc);
    memcpy(v->ar, ar, sizeof ar);
    v->ar_index = AR_INDEX_SHOW;
    v->dac_mask = 0xff;
    for (unsigned i = 0; i < 64; i++) { /* bits: red, green, blue of a third, then of two */
        for (unsigned c = 0; c < 3; c++)
            v->dac[3 * i + c] = (uint8_t)((i >> (2 - c) & 1) * 0x2a + (i >> (5 - c) & 1) * 0x15);
    }
    fill_text(v);
    v->touched = true;
}

int vga_text(struct display *d, struct display_text *ret)
{
    struct vga *v = container_of(d, struct vga, display);
    struct text_mode t;
    unsigned place;

    if (vga_dispi_on(v) || v->gc[GC_MISC] & GC_MISC_GRAPHICS)
        return -ENOTSUP;
    text_mode(v, &t);
    /* Not by an initializer: that would clear 64 KiB that only in part are used. */
    ret->cursor_x = ret->cursor_y = -1;
    ret->blink = v->ar[AR_MODE] & AR_MODE_BLINK;
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
