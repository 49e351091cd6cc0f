/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/text_view.h"

#include "base/mem.h"

enum { NO_ATTRIBUTE = 0x10000 };

void text_view_begin(struct text_view *v, struct str *out)
{
    v->stale = true;
    v->notice = false;
    v->cursor_x = v->cursor_y = -1;
    /* Another screen, no wrapping at its edge, no cursor. */
    str_add(out, "\33[?1049h\33[?7l\33[?25l");
}

void text_view_end(struct str *out)
{
    str_add(out, "\33[0m\33[?7h\33[?25h\33[?1049l");
}

void text_view_resize(struct text_view *v, unsigned columns, unsigned rows)
{
    v->columns = max_of(columns, 1u);
    v->rows = max_of(rows, 1u);
    v->stale = true;
    v->notice = false;
}

static void clear(struct text_view *v, struct str *out)
{
    str_add(out, "\33[?25l\33[0;37;40m\33[2J");
    v->cursor_x = v->cursor_y = -1;
}

/* Colours of the PC are blue, green, red from bit 0 on; those of terminals red, green, blue. */
static unsigned color(unsigned pc)
{
    return (pc & 1) << 2 | (pc & 2) | (pc >> 2 & 1);
}

static void add_attribute(unsigned attribute, bool blink, struct str *out)
{
    unsigned front = attribute & 15, back = attribute >> 4 & 15;
    bool blinks = blink && back & 8;

    back &= blink ? 7 : 15;
    str_addf(out, "\33[0;%s%u;%um", blinks ? "5;" : "", (front & 8 ? 90 : 30) + color(front),
             (back & 8 ? 100 : 40) + color(back));
}

static void draw_cells(struct text_view *v, const struct display_text *text, bool all,
                       struct str *out)
{
    unsigned wide = min_of(text->columns, v->columns), high = min_of(text->rows - v->top, v->rows);
    unsigned attribute = NO_ATTRIBUTE;

    for (unsigned y = 0; y < high; y++) {
        const uint16_t *row = text->cells + (size_t)(y + v->top) * text->columns;
        uint16_t *shown = v->cells + (size_t)(y + v->top) * text->columns;
        unsigned at = wide; /* the terminal's cursor is here in this row; wide: elsewhere */
        for (unsigned x = 0; x < wide; x++) {
            if (!all && shown[x] == row[x])
                continue;
            if (at != x)
                str_addf(out, "\33[%u;%uH", y + 1, x + 1);
            if (row[x] >> 8 != attribute) {
                attribute = row[x] >> 8;
                add_attribute(attribute, text->blink, out);
            }
            display_add_utf8(out, display_cp437((uint8_t)row[x]));
            at = x + 1;
        }
    }
    memcpy(v->cells, text->cells, (size_t)text->rows * text->columns * sizeof *v->cells);
}

static void draw_cursor(struct text_view *v, const struct display_text *text, bool moved,
                        struct str *out)
{
    int x = text->cursor_x, y = text->cursor_y < 0 ? -1 : text->cursor_y - (int)v->top;

    if (x < 0 || y < 0 || x >= (int)v->columns || y >= (int)v->rows)
        x = y = -1;
    if (x < 0 && v->cursor_x >= 0)
        str_add(out, "\33[?25l");
    else if (x >= 0 && (moved || x != v->cursor_x || y != v->cursor_y))
        str_addf(out, "\33[%d;%dH%s", y + 1, x + 1, v->cursor_x < 0 ? "\33[?25h" : "");
    v->cursor_x = x;
    v->cursor_y = y;
}

/* The first row to show: that of last time, unless the cursor has left what it shows. */
static unsigned first_row(const struct text_view *v, const struct display_text *text)
{
    unsigned most = text->rows > v->rows ? text->rows - v->rows : 0, top = min_of(v->top, most);
    unsigned cursor = text->cursor_y < 0 ? top : (unsigned)text->cursor_y;

    if (cursor < top)
        return cursor;
    return cursor >= top + v->rows ? min_of(cursor - v->rows + 1, most) : top;
}

void text_view_draw(struct text_view *v, const struct display_text *text, struct str *out)
{
    bool all = v->stale || v->notice || text->columns != v->wide || text->rows != v->high;
    size_t before = out->len;
    unsigned top;

    if (!text->columns || !text->rows || text->columns > DISPLAY_TEXT_COLUMNS ||
        text->rows > DISPLAY_TEXT_ROWS)
        return;
    top = first_row(v, text);
    if (all)
        clear(v, out);
    all |= top != v->top;
    v->top = top;
    v->wide = text->columns;
    v->high = text->rows;
    v->stale = v->notice = false;
    draw_cells(v, text, all, out);
    draw_cursor(v, text, out->len != before, out);
}

void text_view_notice(struct text_view *v, const char *const *lines, unsigned count,
                      struct str *out)
{
    if (v->notice && !v->stale)
        return;
    clear(v, out);
    for (unsigned i = 0; i < count && i < v->rows; i++)
        str_addf(out, "\33[%u;1H%.*s", i + 1, (int)v->columns, lines[i]);
    v->stale = false;
    v->notice = true;
    v->top = 0;
}
