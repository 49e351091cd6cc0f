/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/noun.h"

#include <errno.h>
#include <stdio.h>

int noun_ls(struct cli *cli, const struct args *args, const struct output_column *columns,
            json_t *rows)
{
    struct output o = {.columns = columns,
                       .no_trunc = true,
                       .format = args_bool(args, "json") ? "json" : args_text(args, "format")};
    json_t *row;
    size_t i;

    if (!rows)
        return EXIT_FAILED;
    if (!args_bool(args, "quiet"))
        return output_print(cli, &o, rows);
    json_array_foreach(rows, i, row)
    {
        printf("%s\n", json_string_value(json_object_get(row, "name")));
    }
    json_decref(rows);
    return 0;
}

int noun_inspect(struct cli *cli, const struct args *args,
                 json_t *(*describe)(struct cli *cli, const char *name, struct error *err))
{
    const char *format = args_bool(args, "json") ? "json" : args_text(args, "format");
    struct output o = {.format = format ? format : "json", .no_trunc = true};
    json_t *rows;
    int status = 0, printed;

    if (!cli_home(cli))
        return EXIT_FAILED;
    rows = json_array();
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        json_t *row = describe(cli, args->words[i], &err);
        if (row) {
            json_array_append_new(rows, row);
        } else {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
    }
    printed = output_print(cli, &o, rows);
    return status ? status : printed;
}

int noun_rm(struct cli *cli, const struct args *args,
            int (*remove)(struct cli *cli, const char *name, struct error *err))
{
    int status = 0;

    if (!cli_home(cli))
        return EXIT_FAILED;
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        int r = remove(cli, args->words[i], &err);
        if (r == 0) {
            printf("%s\n", args->words[i]);
        } else if (r != -ENOENT || !args_bool(args, "force")) {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
    }
    return status;
}
