/* SPDX-License-Identifier: Apache-2.0 */
/* --filter KEY=VALUE over instances. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include "cli/parse.h"

struct instance;

/* Borrows the texts of the options. */
struct filter {
    const struct args *args;
    bool stopped; /* asks for a state of its own, so that stopped instances are to be looked at */
};

/* Checks all --filter options of @args. -EINVAL with the one that is wrong. */
int filter_parse(struct filter *filter, const struct args *args,
                 struct error *err) error_must_check;

/* Values of one key are alternatives (labels must all match), different keys must all match. */
bool filter_match(const struct filter *filter, const struct instance *instance);

#endif
