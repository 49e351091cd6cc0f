/* SPDX-License-Identifier: Apache-2.0 */
/* "isola run --vm ./debian.qcow2": what the file of a path is, and how a machine boots from it. */
#ifndef CLI_BOOT_PATH_H
#define CLI_BOOT_PATH_H

#include <stdbool.h>

#include "instance/spec.h"

/* Whether @word is a path and no name of an image: it begins with "/", "./" or "../". */
bool boot_path_is(const char *word);

/*
 * Adds the file @path to @spec as what it is: a disc, a kernel, or a disk; with @guess_firmware
 * also UEFI firmware for a disk that has a boot sector for nothing else. -ENOTSUP for formats that
 * must be converted first.
 */
int boot_path_add(struct spec *spec, const char *path, bool guess_firmware,
                  struct error *err) error_must_check;

#endif
