/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs docker-credential-NAME that keep secrets in a system's keyring. Protocol: the verb get,
 * store or erase as argument, the server or a JSON object on standard input, a JSON object or an
 * error in words on standard output.
 */
#ifndef IMAGE_HELPER_H
#define IMAGE_HELPER_H

#include "base/error.h"
#include "base/str.h"

/*
 * Runs docker-credential-@name @verb (found by PATH) with @input. @output is what it wrote, of at
 * most 64 KiB. -ENOENT: it says that it knows nothing of this server; -EINVAL: a bad @name;
 * -ETIMEDOUT after two minutes, in which somebody may be asked; other errors: it cannot be run, or
 * failed.
 */
int helper_run(const char *name, const char *verb, const char *input, struct str *output,
               struct error *err) error_must_check;

#endif
