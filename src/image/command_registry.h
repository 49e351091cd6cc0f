/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that talk to registries share. */
#ifndef IMAGE_COMMAND_REGISTRY_H
#define IMAGE_COMMAND_REGISTRY_H

#include "image/program.h"
#include "image/pull.h"

struct registry_run {
    struct program *program;
    struct registry_settings settings;
    struct registry_context *context;
    struct progress *progress; /* NULL: none */
    atomic_bool cancel;
};

/*
 * Reads the options --authfile, --insecure, --progress and --quiet and registries.json. @verb is
 * for the progress; NULL: there is none. Returns an exit status after printing why, 0 on success.
 */
int registry_run_begin(struct registry_run *run, struct program *p, const char *verb);
void registry_run_end(struct registry_run *run);

/* Reads a name and replaces an alias. */
int registry_run_name(struct registry_run *run, const char *text, struct image_reference *ret,
                      struct error *err) error_must_check;

#endif
