/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container's start makes in its writable branch only to mount on it (/etc/hosts where the
 * image has none) is no change that a user made. The container's init marks it with an attribute
 * (init_path.c), and who walks a branch leaves it out while it is as empty as it was made.
 */
#ifndef IMAGE_MOUNT_MARK_H
#define IMAGE_MOUNT_MARK_H

#include <stdbool.h>

struct stat;

/* No more than a name: init, which has no C library, includes this. */
#define MOUNT_MARK "user.isola.mount"

/*
 * Whether @name in the directory @dir of a branch, of which @st is what lstat says, is such a file,
 * or such a directory with nothing else below. What cannot be read is not.
 */
bool mount_mark_hides(int dir, const char *name, const struct stat *st);

#endif
