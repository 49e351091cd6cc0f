/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of isola-image. */
#include "image/commands.h"

const struct program_command program_commands[] = {
    {"_sweep", command_sweep, 0, 0},
    {"import", command_import, 1, 2},
    {0},
};
