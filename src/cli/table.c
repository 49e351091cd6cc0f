/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { GAP = 3 };

void table_done(struct table *t)
{
    for (size_t r = 0; r < t->count; r++) {
        for (size_t c = 0; c < TABLE_COLUMNS; c++)
            free(t->rows[r][c].text);
    }
    free(t->rows);
    *t = (struct table){0};
}

void table_row(struct table *t)
{
    void *rows = reallocarray(t->rows, t->count + 1, sizeof(*t->rows));

    t->columns = 0;
    if (!rows) {
        t->failed = true;
        return;
    }
    t->rows = rows;
    memset(t->rows[t->count++], 0, sizeof(*t->rows));
}

void table_cell(struct table *t, enum table_color color, const char *text)
{
    struct str clean = {0};

    if (t->failed || !t->count || t->columns == TABLE_COLUMNS)
        return;
    table_add_clean(&clean, text);
    t->rows[t->count - 1][t->columns++] = (struct table_cell){str_steal(&clean), color};
}

/*
 * The length of the UTF-8 sequence at @p, 1 for anything malformed; *ret_wide for the East Asian
 * and emoji blocks that take two columns, *ret_control for what must not reach a terminal.
 */
static size_t decode(const char *p, bool *ret_wide, bool *ret_control)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t n = u[0] < 0x80 ? 1 : (u[0] & 0xe0) == 0xc0 ? 2 : (u[0] & 0xf0) == 0xe0 ? 3 : 4;
    unsigned code = n == 1 ? u[0] : u[0] & (0x7fu >> n);

    *ret_wide = *ret_control = false;
    if (u[0] >= 0x80 && (u[0] < 0xc2 || u[0] > 0xf4)) {
        *ret_control = true;
        return 1;
    }
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            *ret_control = true;
            return 1;
        }
        code = code << 6 | (u[i] & 0x3f);
    }
    *ret_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    *ret_wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) ||
                (code >= 0x20000 && code <= 0x3fffd);
    return n;
}

void table_add_clean(struct str *out, const char *text)
{
    bool wide, control;

    for (size_t n; *text; text += n) {
        n = decode(text, &wide, &control);
        if (control)
            str_add_char(out, '?');
        else
            str_add_n(out, text, n);
    }
}

size_t table_width(const char *text)
{
    size_t width = 0;
    bool wide, control;

    for (; *text; width += wide ? 2 : 1)
        text += decode(text, &wide, &control);
    return width;
}

static const char *const color_codes[] = {
    [TABLE_PLAIN] = "",       [TABLE_GREEN] = "\x1b[32m", [TABLE_YELLOW] = "\x1b[33m",
    [TABLE_RED] = "\x1b[31m", [TABLE_DIM] = "\x1b[2m",
};

void table_render(const struct table *t, bool color, struct str *out)
{
    size_t widths[TABLE_COLUMNS] = {0}, columns = 0;

    for (size_t r = 0; r < t->count; r++) {
        for (size_t c = 0; c < TABLE_COLUMNS; c++) {
            const char *text = t->rows[r][c].text;
            if (!text)
                continue;
            widths[c] = max_of(widths[c], table_width(text));
            columns = max_of(columns, c + 1);
        }
    }
    for (size_t r = 0; r < t->count; r++) {
        size_t owed = 0; /* blanks are written before the next text, so that no line ends in one */
        for (size_t c = 0; c < columns; c++) {
            const struct table_cell *cell = &t->rows[r][c];
            const char *text = cell->text ? cell->text : "";
            bool paint = color && cell->color != TABLE_PLAIN && *text;

            if (*text) {
                for (; owed; owed--)
                    str_add_char(out, ' ');
            }
            if (paint)
                str_add(out, color_codes[cell->color]);
            str_add(out, text);
            if (paint)
                str_add(out, "\x1b[0m");
            owed += widths[c] - table_width(text) + GAP;
        }
        str_add_char(out, '\n');
    }
}
