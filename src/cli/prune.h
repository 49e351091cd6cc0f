/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what nobody uses: the parts of "isola system prune". */
#ifndef CLI_PRUNE_H
#define CLI_PRUNE_H

#include <stdbool.h>

#include "base/error.h"

struct args;
struct cli;
struct filter;
struct image_prune_what;

/*
 * Asks on the terminal whether to remove what @format says; not with --force. -EPERM when the
 * answer is no, or nobody can be asked.
 */
int prune_confirm(const struct args *args, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4))) error_must_check;

/*
 * Each prints what it removed. 0 or a negative errno; @err stays empty when what is wrong was said
 * already. prune_instances: those that match --filter of @args (as @filter), or all.
 */
int prune_instances(struct cli *cli, const struct args *args, const struct filter *filter,
                    struct error *err) error_must_check;
int prune_images(struct cli *cli, const struct image_prune_what *what,
                 struct error *err) error_must_check;
/* @named: those with names as well. */
int prune_volumes(struct cli *cli, bool named, struct error *err) error_must_check;

#endif
