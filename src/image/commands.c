/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of isola-image. */
#include "image/commands.h"

const struct program_command program_commands[] = {
    /* clang-format off: one line each */
    {"_commit", command_commit, 0, 1},
    {"_export", command_export, 0, 0},
    {"_extract", command_extract, 0, 0},
    {"_drive", command_drive, 1, 1},
    {"_sweep", command_sweep, 0, 0},
    {"_unpack", command_unpack, 0, 0},
    {"image bootstrap", command_bootstrap, 1, 1},
    {"import", command_import, 1, 2},
    {"load", command_load, 0, 0},
    {"login", command_login, 0, 1},
    {"logout", command_logout, 0, 1},
    {"pull", command_pull, 1, -1},
    {"push", command_push, 1, 2},
    {"save", command_save, 1, -1},
    {"search", command_search, 1, 1},
    {0},
    /* clang-format on */
};
