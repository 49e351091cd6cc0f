/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aligned tables: UPPERCASE headings, three blanks between columns, no borders. Cells may come from
 * guests and files: control characters are shown as "?", widths count UTF-8 characters.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum { TABLE_COLUMNS = 24 };

enum table_color { TABLE_PLAIN, TABLE_GREEN, TABLE_YELLOW, TABLE_RED, TABLE_DIM };

struct table_cell {
    char *text;
    enum table_color color;
};

/* Zero-initialise, release with table_done. */
struct table {
    struct table_cell (*rows)[TABLE_COLUMNS];
    size_t count, columns;
    bool failed; /* memory ran out: the table is incomplete */
};

void table_done(struct table *t);
/* Begins a row. */
void table_row(struct table *t);
/* Adds a cell to the current row; more than TABLE_COLUMNS are dropped. */
void table_cell(struct table *t, enum table_color color, const char *text);
/* Lays the table out, the first row being the headings. */
void table_render(const struct table *t, bool color, struct str *out);

/* Appends @text with control characters (C0, DEL, C1) replaced by "?". */
void table_add_clean(struct str *out, const char *text);
/* Columns that @text takes on a terminal. */
size_t table_width(const char *text);

#endif
