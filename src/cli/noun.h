/* SPDX-License-Identifier: Apache-2.0 */
/* What ls, inspect and rm do alike for volumes, snapshots and recordings: things with a name. */
#ifndef CLI_NOUN_H
#define CLI_NOUN_H

#include <jansson.h>

#include "cli/output.h"

/*
 * Prints @rows (takes them; NULL: an error that was said) as --format, --json or --quiet (their
 * members "name") asks. Returns the exit status.
 */
int noun_ls(struct cli *cli, const struct args *args, const struct output_column *columns,
            json_t *rows);

/* Prints what @describe makes of each of the words: a new object, NULL with its error set. */
int noun_inspect(struct cli *cli, const struct args *args,
                 json_t *(*describe)(struct cli *cli, const char *name, struct error *err));

/*
 * Lets @remove each of the words and prints those that are gone. With --force one that is not
 * there (-ENOENT) is no error.
 */
int noun_rm(struct cli *cli, const struct args *args,
            int (*remove)(struct cli *cli, const char *name, struct error *err));

#endif
