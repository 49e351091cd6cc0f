/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to files of a container from outside: openat2 inside a root directory. Symbolic
 * links, ".." and absolute paths stay below the root; magic links of /proc are not followed.
 */
#ifndef INSTANCE_ROOT_PATH_H
#define INSTANCE_ROOT_PATH_H

#include <sys/types.h>

/* As openat(@root, @path, @flags | O_CLOEXEC, @mode), confined to @root. A negative errno. */
int root_open(int root, const char *path, int flags, mode_t mode);
/*
 * The directory @path, made with its parents (@mode) where it is missing: a descriptor (O_PATH is
 * not set), or a negative errno.
 */
int root_make_dirs(int root, const char *path, mode_t mode);

#endif
