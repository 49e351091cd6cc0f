/* SPDX-License-Identifier: Apache-2.0 */
/* The variables of --env and --env-file. */
#ifndef CLI_ENVIRONMENT_H
#define CLI_ENVIRONMENT_H

#include "base/error.h"
#include "cli/parse.h"

struct environment {
    char **items; /* NAME=VALUE, NULL after the last; NULL when there is none */
    size_t count;
};

/*
 * What --env-file and --env of @args say, files first. NAME without a value takes this process's,
 * and is left out when it has none. Release with environment_done in every case.
 */
int environment_from_args(const struct args *args, struct environment *ret,
                          struct error *err) error_must_check;
void environment_done(struct environment *env);

#endif
