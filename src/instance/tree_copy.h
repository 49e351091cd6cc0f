/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying files and trees by descriptors alone: no path is looked up twice, and symbolic links are
 * copied, never followed.
 */
#ifndef INSTANCE_TREE_COPY_H
#define INSTANCE_TREE_COPY_H

#include "base/error.h"

enum {
    TREE_COPY_ARCHIVE = 1, /* owners, times and extended attributes, too */
    TREE_COPY_INTO = 2     /* a directory that is there takes the files of one that comes */
};

/*
 * Copies @from_name in directory @from as @to_name in @to. A file that is there is replaced; a
 * directory is not replaced by a file, nor the other way round (-EEXIST, -ENOTDIR, -EISDIR).
 */
int tree_copy(int from, const char *from_name, int to, const char *to_name, unsigned flags,
              struct error *err) error_must_check;
/* Copies what is in directory @from into directory @to. */
int tree_copy_contents(int from, int to, unsigned flags, struct error *err) error_must_check;

#endif
