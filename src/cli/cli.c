/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands use: messages, and the store of instances. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/table.h"
#include "cli/verbs.h"
#include "instance/instance.h"

void cli_complain(const struct cli *cli, const char *format, ...)
{
    struct str line = {0};
    va_list ap;
    char *text = NULL;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = NULL;
    va_end(ap);
    table_add_clean(&line, text ? text : "memory ran out");
    fflush(stdout);
    if (cli->verb && cli->verb->name[0] != '_')
        fprintf(stderr, "isola: %s: %s\n", cli->verb->name, str_text(&line));
    else
        fprintf(stderr, "isola: %s\n", str_text(&line));
    str_done(&line);
    free(text);
}

void cli_error(const struct cli *cli, const struct error *err)
{
    cli_complain(cli, "%s", error_text(err));
}

void cli_print(const char *text)
{
    fputs(text, stdout);
}

struct instances *cli_home(struct cli *cli)
{
    struct error err = {0};

    if (!cli->home) {
        cli->home = instances_open(&(struct instances_config){0}, &err);
        if (!cli->home)
            cli_error(cli, &err);
    }
    return cli->home;
}
