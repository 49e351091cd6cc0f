/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isola-image and isola-build, the programs beside isola that do what is slow to load
 * (image/program.h).
 */
#ifndef CLI_IMAGE_PROGRAM_H
#define CLI_IMAGE_PROGRAM_H

#include "base/error.h"
#include "cli/parse.h"

/*
 * The helper @name: beside this binary, as in a build directory or a copied tree, else where it is
 * installed. @built: where it is below a build directory (NULL: the same name). New; NULL with
 * @err.
 */
char *program_find(const char *name, const char *built, struct error *err);
/* Runs @path with @argv after it and waits: as image_program_run. */
int program_run(const char *path, const char *const *argv, struct error *err) error_must_check;

/*
 * Becomes isola-image with the command @verb, its options (defaults included) and words. Returns
 * only on failure, with the exit status.
 */
int image_program_become(struct cli *cli, struct args *args);
/* The same with isola-build. */
int build_program_become(struct cli *cli, struct args *args);

/*
 * Runs isola-image with @argv, of which [0] is the command, and NULL after the last; waits. Returns
 * its exit status, 128 + N after signal N, or a negative errno with @err set.
 */
int image_program_run(const char *const *argv, struct error *err) error_must_check;

#endif
