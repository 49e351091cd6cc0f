/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/template.h"

enum { SHORT_ID = 12 };

static const struct option *own_option(const struct args *args, const char *name)
{
    return option_find(args->verb, name, strlen(name));
}

void output_from_args(struct output *o, const struct args *args)
{
    o->format = args_bool(args, "json") ? "json" : args_text(args, "format");
    o->quiet = own_option(args, "quiet") && args_bool(args, "quiet");
    o->no_trunc = own_option(args, "no-trunc") && args_bool(args, "no-trunc");
}

bool output_is_json(const struct output *o)
{
    return o->format && strcmp(o->format, "json") == 0;
}

/* "CreatedAt" and "created_at" become "CREATED AT", "ID" stays. */
static void add_heading(void *opaque, const char *name, size_t n)
{
    struct str *out = opaque;

    if (out->len)
        str_add_char(out, ' ');
    for (size_t i = 0; i < n; i++) {
        if (i && isupper((unsigned char)name[i]) && islower((unsigned char)name[i - 1]))
            str_add_char(out, ' ');
        str_add_char(out, name[i] == '_' ? ' ' : (char)toupper((unsigned char)name[i]));
    }
}

/* Splits "{{.ID}}\t{{.Name}}" at tabs, real or written \t. Takes nothing; *ret_n parts, new. */
static size_t split_columns(const char *template, char *parts[TABLE_COLUMNS])
{
    size_t n = 0;

    for (;;) {
        const char *p = template;
        while (*p && *p != '\t' && !(p[0] == '\\' && p[1] == 't'))
            p++;
        parts[n++] = strndup(template, (size_t)(p - template));
        if (!*p || n == TABLE_COLUMNS)
            return n;
        template = p + (*p == '\\' ? 2 : 1);
    }
}

static int render_template_table(const char *template, json_t *rows, bool color, struct str *out,
                                 struct error *err)
{
    char *parts[TABLE_COLUMNS];
    size_t n = split_columns(template, parts), i;
    struct table t = {0};
    json_t *row;
    int r = 0;

    table_row(&t);
    for (size_t c = 0; c < n; c++) {
        struct str heading = {0};
        template_fields(parts[c] ? parts[c] : "", add_heading, &heading);
        table_cell(&t, TABLE_PLAIN, str_text(&heading));
        str_done(&heading);
    }
    json_array_foreach(rows, i, row)
    {
        table_row(&t);
        for (size_t c = 0; c < n && r == 0; c++) {
            struct str cell = {0};
            r = template_render(parts[c] ? parts[c] : "", row, &cell, err);
            table_cell(&t, TABLE_PLAIN, str_text(&cell));
            str_done(&cell);
        }
    }
    if (r == 0)
        table_render(&t, color, out);
    table_done(&t);
    for (size_t c = 0; c < n; c++)
        free(parts[c]);
    return r;
}

static void add_plain(struct str *out, json_t *value)
{
    if (json_is_string(value))
        str_add(out, json_string_value(value));
    else if (json_is_integer(value))
        str_addf(out, "%lld", (long long)json_integer_value(value));
}

static void render_columns(const struct output_column *columns, json_t *rows, bool color,
                           struct str *out)
{
    struct table t = {0};
    json_t *row;
    size_t i;

    table_row(&t);
    for (const struct output_column *c = columns; c->heading; c++)
        table_cell(&t, TABLE_PLAIN, c->heading);
    json_array_foreach(rows, i, row)
    {
        table_row(&t);
        for (const struct output_column *c = columns; c->heading; c++) {
            struct str cell = {0};
            add_plain(&cell, json_object_get(row, c->field));
            table_cell(&t, c->color ? c->color(row) : TABLE_PLAIN, str_text(&cell));
            str_done(&cell);
        }
    }
    table_render(&t, color, out);
    table_done(&t);
}

static int render_json(json_t *value, struct str *out, struct error *err)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);

    if (!text)
        return error_set_errno(err, -ENOMEM, "write JSON");
    str_add(out, text);
    str_add_char(out, '\n');
    free(text);
    return 0;
}

/* "yaml" is a format Isola lacks and no template that prints "yaml". */
static int check_format(const char *format, struct error *err)
{
    const char *p = format;

    while (islower((unsigned char)*p))
        p++;
    if (*p)
        return 0;
    return error_set(err, -EINVAL,
                     "option --format: \"%s\" is none of table, json or a template such as "
                     "'{{.Name}}'",
                     format);
}

static void shorten_ids(json_t *rows)
{
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "id"));
        if (id && strlen(id) > SHORT_ID)
            json_object_set_new(row, "id", json_stringn(id, SHORT_ID));
    }
}

int output_render(const struct output *o, json_t *rows, bool color, struct str *out,
                  struct error *err)
{
    bool table = !o->format || strcmp(o->format, "table") == 0;
    json_t *row;
    size_t i;
    int r;

    if (output_is_json(o))
        return render_json(rows, out, err);
    if (!table) {
        r = check_format(o->format, err);
        if (r < 0)
            return r;
    }
    if (!o->no_trunc)
        shorten_ids(rows);
    if (table && !o->quiet) {
        render_columns(o->columns, rows, color, out);
        return 0;
    }
    if (!table && strncmp(o->format, "table ", 6) == 0)
        return render_template_table(o->format + 6, rows, color, out, err);
    json_array_foreach(rows, i, row)
    {
        r = template_render(table ? "{{.id}}" : o->format, row, out, err);
        if (r < 0)
            return r;
        str_add_char(out, '\n');
    }
    return 0;
}

int output_print(struct cli *cli, const struct output *o, json_t *rows)
{
    struct str out = {0};
    struct error err = {0};
    int r = output_render(o, rows, cli->color, &out, &err);

    if (r == 0 && out.failed)
        r = error_set_errno(&err, -ENOMEM, "print the list");
    if (r == 0)
        cli_print(str_text(&out));
    else
        cli_error(cli, &err);
    str_done(&out);
    json_decref(rows);
    return r == 0 ? 0 : EXIT_FAILED;
}

int output_print_object(struct cli *cli, const char *format, json_t *object)
{
    struct str out = {0};
    struct error err = {0};
    int r;

    if (!format || strcmp(format, "json") == 0) {
        r = render_json(object, &out, &err);
    } else {
        r = check_format(format, &err);
        if (r == 0)
            r = template_render(format, object, &out, &err);
        str_add_char(&out, '\n');
    }
    if (r == 0)
        cli_print(str_text(&out));
    else
        cli_error(cli, &err);
    str_done(&out);
    json_decref(object);
    return r == 0 ? 0 : EXIT_FAILED;
}
