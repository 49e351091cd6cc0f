/* SPDX-License-Identifier: Apache-2.0 */
/* isola-image, the program beside isola that does what is slow to load (image/program.h). */
#ifndef CLI_IMAGE_PROGRAM_H
#define CLI_IMAGE_PROGRAM_H

#include "base/error.h"
#include "cli/parse.h"

/*
 * Becomes isola-image with the command @verb, its options (defaults included) and words. Returns
 * only on failure, with the exit status.
 */
int image_program_become(struct cli *cli, struct args *args);

/*
 * Runs isola-image with @argv, of which [0] is the command, and NULL after the last; waits. Returns
 * its exit status, 128 + N after signal N, or a negative errno with @err set.
 */
int image_program_run(const char *const *argv, struct error *err) error_must_check;

#endif
