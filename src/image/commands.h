/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies of isola-image's commands. Each returns the exit status. */
#ifndef IMAGE_COMMANDS_H
#define IMAGE_COMMANDS_H

#include "image/program.h"

/* Deletes what isola itself had no right to delete. */
int command_sweep(struct program *p);

/* An image becomes a drive of a machine (drive.h). */
int command_drive(struct program *p);

int command_bootstrap(struct program *p);
int command_commit(struct program *p);
int command_export(struct program *p);
int command_extract(struct program *p);
int command_unpack(struct program *p);
int command_import(struct program *p);
int command_load(struct program *p);
int command_save(struct program *p);

/* Complains about a name (NULL is fine) that a new image cannot have: the exit status, or 0. */
int command_check_name(struct program *p, const char *name);

/* Talk to registries. */
int command_pull(struct program *p);
int command_push(struct program *p);
int command_login(struct program *p);
int command_logout(struct program *p);
int command_search(struct program *p);

#endif
