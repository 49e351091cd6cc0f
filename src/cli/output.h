/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of objects as table, JSON array, template or ids. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>

#include "cli/table.h"
#include "cli/verbs.h"

struct output_column {
    const char *heading;                    /* NULL after the last column */
    const char *field;                      /* member of the row */
    enum table_color (*color)(json_t *row); /* NULL: plain */
};

struct output {
    const char *format; /* NULL or "table": columns; "json"; "table TEMPLATE"; a template */
    bool quiet;         /* only ids, unless @format says otherwise */
    bool no_trunc;      /* whole ids in tables and templates; JSON has whole ids always */
    const struct output_column *columns;
};

/* Reads --format, --json, and --quiet and --no-trunc where the command has them. */
void output_from_args(struct output *o, const struct args *args);

/* Whether @o asks for one JSON document. */
bool output_is_json(const struct output *o);

/*
 * Renders @rows, an array of objects (borrowed; ids may be shortened in place). 0 or -EINVAL for a
 * bad format.
 */
int output_render(const struct output *o, json_t *rows, bool color, struct str *out,
                  struct error *err) error_must_check;

/* Renders and prints @rows, which it takes. Returns the exit status. */
int output_print(struct cli *cli, const struct output *o, json_t *rows);

/* One object as indented JSON or by a template, followed by a newline. Takes @object. */
int output_print_object(struct cli *cli, const char *format, json_t *object);

#endif
