/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of isola-image's commands. Each returns the exit status. */
#ifndef IMAGE_COMMANDS_H
#define IMAGE_COMMANDS_H

#include "image/program.h"

/* Deletes what isola itself had no right to delete. */
int command_sweep(struct program *p);

#endif
