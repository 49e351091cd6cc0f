/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture of graphics modes. Lines are made one by one in a line buffer and compared with what
 * the frame holds (io/display.h), so that a line that was written with the same content is no
 * change. A linear mode makes only the lines whose pages were written; the VGA's own modes, of at
 * most 256 KiB, all lines when anything was.
 *
 * A page is looked at in the update that finds it written and in the next one: a processor may
 * still write through the pointer it held while the log was taken, and lets it go soon after.
 */
#include "base/mem.h"
#include "device/vga_internal.h"

enum { LINE_MAX = DISPLAY_MAX_WIDTH + 32 };

/* ---- colours ---- */

void vga_palette(const struct vga *v, uint32_t colors[256])
{
    bool wide = v->dispi[DISPI_ENABLE] & DISPI_DAC_8BIT;

    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *entry = v->dac + 3 * (i & v->dac_mask);
        uint32_t color = 0;
        for (unsigned c = 0; c < 3; c++) {
            unsigned level = wide ? entry[c] : (entry[c] & 0x3f) << 2 | (entry[c] >> 4 & 3);
            color = color << 8 | level;
        }
        colors[i] = color;
    }
}

uint8_t vga_attribute_color(const struct vga *v, unsigned index)
{
    unsigned color = v->ar[index & v->ar[AR_PLANES] & 15] & 0x3f;

    if (v->ar[AR_MODE] & AR_MODE_BANK)
        color = (color & 0x0f) | (v->ar[AR_COLOR] & 0x03) << 4;
    return (uint8_t)(color | (v->ar[AR_COLOR] & 0x0c) << 4);
}

/* ---- the VGA's own graphics modes ---- */

void vga_scan(const struct vga *v, struct vga_scan *ret)
{
    unsigned dots = v->gc[GC_MISC] & GC_MISC_GRAPHICS          ? 8
                    : v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8DOT ? 8
                                                               : 9;
    unsigned half = v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF ? 2 : 1;
    unsigned preset = v->cr[CR_ROW_PRESET];

    *ret = (struct vga_scan){
        .width = min_of((v->cr[CR_H_END] + 1u) * dots * half, (unsigned)DISPLAY_MAX_WIDTH),
        .height = vga_v_end(v),
        .line_bytes = v->cr[CR_OFFSET] * 8u,
        .start = (uint64_t)(v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_HIGH + 1]) * 4 +
                 (preset >> 5 & 3) * 4,
        .row_lines = (v->cr[CR_MAX_SCAN] & 0x1f) + 1u,
        .repeat = v->cr[CR_MAX_SCAN] & 0x80 ? 2 : 1,
        .first_line = preset & 0x1f,
        .split = (v->cr[CR_LINE_COMPARE] | (v->cr[CR_OVERFLOW] & 0x10u) << 4 |
                  (v->cr[CR_MAX_SCAN] & 0x40u) << 3) +
                 1,
        .pan = v->ar[AR_PAN] & 15,
    };
}

/* What is shown of the words of a line: eight pixels of four bits in @out for each. */
static void planar_words(const struct vga *v, const uint8_t *words, unsigned count,
                         const uint32_t colors[16], uint32_t *out)
{
    bool pairs = v->gc[GC_MODE] & GC_MODE_CGA4;

    for (unsigned i = 0; i < count; i++, words += 4, out += 8) {
        if (pairs) { /* two bits a pixel: first from planes 0 and 2, then from 1 and 3 */
            for (unsigned x = 0; x < 8; x++) {
                unsigned shift = 6 - 2 * (x & 3), odd = x >> 2;
                out[x] = colors[(words[odd] >> shift & 3) | (words[odd + 2] >> shift & 3) << 2];
            }
            continue;
        }
        for (unsigned x = 0; x < 8; x++) {
            unsigned shift = 7 - x;
            out[x] = colors[(words[0] >> shift & 1) | (words[1] >> shift & 1) << 1 |
                            (words[2] >> shift & 1) << 2 | (words[3] >> shift & 1) << 3];
        }
    }
}

void vga_double_pixels(uint32_t *line, unsigned count)
{
    for (unsigned i = count; i-- > 0;)
        line[2 * i] = line[2 * i + 1] = line[i];
}

/* The byte of video memory at which line @line of row @row starts. */
static uint64_t line_start(const struct vga *v, const struct vga_scan *s, uint64_t start,
                           unsigned row, unsigned line)
{
    uint64_t at = start + (uint64_t)row * s->line_bytes;
    unsigned bit = 14 + !!(v->cr[CR_MODE] & CR_MODE_BYTE);

    if (!(v->cr[CR_MODE] & CR_MODE_NO_CGA))
        at = (at & ~(1ull << bit)) | (uint64_t)(line & 1) << bit;
    if (!(v->cr[CR_MODE] & CR_MODE_NO_HERCULES))
        at = (at & ~(2ull << bit)) | (uint64_t)(line >> 1 & 1) << (bit + 1);
    return at;
}

static void make_line(const struct vga *v, const struct vga_scan *s, uint64_t at, unsigned pan,
                      const uint32_t palette[256], const uint32_t colors[16], uint32_t *line)
{
    uint8_t bytes[LINE_MAX / 2];
    bool wide = v->gc[GC_MODE] & GC_MODE_256, half = v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF;
    unsigned words = s->width / 8 + 2;

    if (wide) { /* a byte a pixel of two dots */
        vga_read(v, at, bytes, words * 4);
        for (unsigned i = 0; i < words * 4; i++)
            line[i] = palette[bytes[i]];
        vga_double_pixels(line, words * 4);
    } else if (half) {
        words = s->width / 16 + 2;
        vga_read(v, at, bytes, words * 4);
        planar_words(v, bytes, words, colors, line);
        vga_double_pixels(line, words * 8);
        pan *= 2;
    } else {
        vga_read(v, at, bytes, words * 4);
        planar_words(v, bytes, words, colors, line);
    }
    if (pan)
        memmove(line, line + pan, s->width * sizeof(*line));
}

static void draw_planar(const struct vga *v, struct display_frame *frame)
{
    uint32_t palette[256], colors[16], line[LINE_MAX * 2];
    struct vga_scan s;
    unsigned row = 0, in_row, repeat = 0, pan;
    uint64_t start, shown = UINT64_MAX;
    bool remake = true;

    vga_scan(v, &s);
    vga_palette(v, palette);
    for (unsigned i = 0; i < 16; i++)
        colors[i] = palette[vga_attribute_color(v, i)];
    start = s.start;
    in_row = s.first_line % s.row_lines;
    pan = s.pan & 7;
    if (v->gc[GC_MODE] & GC_MODE_256 && !(v->ar[AR_MODE] & 0x40))
        pan = s.pan & 7 & ~1u;
    for (unsigned y = 0; y < frame->height; y++) {
        uint64_t at;
        if (y == s.split) {
            start = 0;
            row = in_row = repeat = 0;
            pan = v->ar[AR_MODE] & AR_MODE_PAN_SPLIT ? 0 : pan;
            remake = true;
        }
        at = line_start(v, &s, start, row, in_row);
        if (remake || at != shown)
            make_line(v, &s, at, pan, palette, colors, line);
        shown = at;
        remake = false;
        display_frame_line(frame, y, line);
        if (++repeat < s.repeat)
            continue;
        repeat = 0;
        if (++in_row == s.row_lines) {
            in_row = 0;
            row++;
        }
    }
}

/* ---- linear modes ---- */

/* A colour of 5 bits as one of 8. */
static uint32_t wide5(uint32_t color)
{
    return (color & 31) << 3 | (color >> 2 & 7);
}

static void convert(const uint8_t *from, unsigned bits, unsigned count, const uint32_t colors[256],
                    uint32_t *to)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t p;
        switch (bits) {
        case 8:
            to[i] = colors[from[i]];
            break;
        case 15:
            p = load_le16(from + 2 * i);
            to[i] = wide5(p >> 10) << 16 | wide5(p >> 5) << 8 | wide5(p);
            break;
        case 16:
            p = load_le16(from + 2 * i);
            to[i] = wide5(p >> 11) << 16 | (p >> 5 & 63) << 10 | (p >> 9 & 3) << 8 | wide5(p);
            break;
        case 24:
            to[i] = (uint32_t)from[3 * i + 2] << 16 | (uint32_t)from[3 * i + 1] << 8 | from[3 * i];
            break;
        default:
            to[i] = load_le32(from + 4 * i) & 0xffffff;
            break;
        }
    }
}

static bool any_fresh(const uint64_t pages[VGA_PAGES / 64], uint64_t at, uint64_t len)
{
    uint64_t last = min_of((at + len - 1) >> GMEM_PAGE_BITS, (uint64_t)VGA_PAGES - 1);

    for (uint64_t page = at >> GMEM_PAGE_BITS; page <= last; page++)
        if (pages[page / 64] >> page % 64 & 1)
            return true;
    return false;
}

static void draw_linear(const struct vga *v, struct display_frame *frame, bool all,
                        const uint64_t pages[VGA_PAGES / 64])
{
    uint8_t bytes[DISPLAY_MAX_WIDTH * 4];
    uint32_t line[DISPLAY_MAX_WIDTH], colors[256];
    unsigned step = vga_dispi_line(v), bits = v->dispi[DISPI_BPP];
    unsigned pixel = (bits + 7) / 8, len = frame->width * pixel;
    uint64_t at = (uint64_t)v->dispi[DISPI_Y_OFFSET] * step + v->dispi[DISPI_X_OFFSET] * pixel;

    vga_palette(v, colors);
    for (unsigned y = 0; y < frame->height; y++, at += step) {
        if (!all && !any_fresh(pages, at, len))
            continue;
        vga_read(v, at, bytes, len);
        convert(bytes, bits, frame->width, colors, line);
        display_frame_line(frame, y, line);
    }
}

/* Sixteen colours in a DISPI mode: the planes, in the interface's own geometry. */
static void draw_linear4(const struct vga *v, struct display_frame *frame)
{
    uint8_t bytes[DISPLAY_MAX_WIDTH / 2];
    uint32_t line[DISPLAY_MAX_WIDTH], palette[256], colors[16];
    unsigned step = vga_dispi_line(v);
    uint64_t at = (uint64_t)v->dispi[DISPI_Y_OFFSET] * step + v->dispi[DISPI_X_OFFSET] / 8 * 4;

    vga_palette(v, palette);
    for (unsigned i = 0; i < 16; i++)
        colors[i] = palette[vga_attribute_color(v, i)];
    for (unsigned y = 0; y < frame->height; y++, at += step) {
        vga_read(v, at, bytes, frame->width / 2);
        planar_words(v, bytes, frame->width / 8, colors, line);
        display_frame_line(frame, y, line);
    }
}

/* ---- updates ---- */

static void draw_blank(struct display_frame *frame)
{
    static const uint32_t black[DISPLAY_MAX_WIDTH];

    for (unsigned y = 0; y < frame->height; y++)
        display_frame_line(frame, y, black);
}

static unsigned blink_phase(const struct vga *v)
{
    uint64_t frames = gclock_now(v->clock) / (1000000000 / 70); /* of a text mode's 70 a second */
    return (frames & 16 ? VGA_BLINK_CURSOR : 0) | (frames & 32 ? VGA_BLINK_TEXT : 0);
}

/* The pages written since the update before the last one; true when there are any. */
static bool take_pages(struct vga *v, uint64_t pages[VGA_PAGES / 64])
{
    uint64_t now[VGA_PAGES / 64], any = 0;

    gmem_dirty_take_range(v->ram, v->first_gfn, VGA_PAGES, now);
    for (unsigned i = 0; i < VGA_PAGES / 64; i++) {
        pages[i] = now[i] | v->fresh[i];
        any |= pages[i];
        v->fresh[i] = now[i];
    }
    return any;
}

void vga_update(struct display *d, struct display_frame *frame)
{
    struct vga *v = container_of(d, struct vga, display);
    uint64_t pages[VGA_PAGES / 64];
    bool dirty = take_pages(v, pages), all = v->touched, text;
    unsigned blink = blink_phase(v);
    struct vga_scan s;

    v->touched = false;
    vga_scan(v, &s);
    if (vga_dispi_on(v)) {
        all |= display_frame_begin(frame, v->dispi[DISPI_XRES], v->dispi[DISPI_YRES]);
        if (v->dispi[DISPI_BPP] != 4)
            draw_linear(v, frame, all, pages);
        else if (all || dirty)
            draw_linear4(v, frame);
        return;
    }
    text = !(v->gc[GC_MISC] & GC_MISC_GRAPHICS);
    all |= display_frame_begin(frame, s.width, s.height);
    if (!all && !dirty && (!text || blink == v->blink))
        return;
    v->blink = blink;
    if (!(v->ar_index & AR_INDEX_SHOW) || (v->seq[SEQ_CLOCKING] & SEQ_CLOCKING_OFF))
        draw_blank(frame);
    else if (text)
        vga_draw_text(v, frame, blink);
    else
        draw_planar(v, frame);
}
