/* SPDX-License-Identifier: Apache-2.0 */
/* Instances as rows of lists. */
#ifndef CLI_ROW_H
#define CLI_ROW_H

#include <jansson.h>

#include "base/str.h"
#include "cli/table.h"

struct instance;

/* The row of "isola ps" for @instance as of @now (Unix ns). New. */
json_t *row_instance(const struct instance *instance, int64_t now);

/* "Up 2 hours", "Exited (0) 3 days ago". */
void row_status(const struct instance *instance, int64_t now, struct str *out);

/* The colour of a row by its "state" and "exit_code". */
enum table_color row_color(json_t *row);

/* What the instance was made from: the file name of its kernel, or its image. Borrowed. */
const char *row_image(const struct instance *instance);

#endif
