/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files into a root file system, as COPY and ADD bring them: from the context, from another stage,
 * from an image. Sources may change while they are read and may be hostile: they are opened without
 * following links, below their root.
 */
#ifndef BUILD_COPY_H
#define BUILD_COPY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "build/ignore.h"

struct hash;

struct copy_how {
    bool owned; /* everything belongs to @uid and @gid; else to whom it belongs */
    uid_t uid;
    gid_t gid;
    bool moded; /* files have @mode, directories too with x where r is */
    mode_t mode;
    const struct ignore *ignore;  /* of paths below the source's root; NULL */
    const struct ignore *exclude; /* --exclude; NULL */
};

/* The sources that one word of COPY means below @root: itself, or what its pattern matches. */
struct copy_sources {
    char **paths; /* clean, relative; sorted */
    size_t count;
};
int copy_find(int root, const char *pattern, const struct copy_how *how, struct copy_sources *ret,
              struct error *err) error_must_check;
void copy_sources_done(struct copy_sources *sources);

/* Adds what the copy of @path would bring, times aside. */
int copy_hash(int root, const char *path, const struct copy_how *how, struct hash *hash,
              struct error *err) error_must_check;

/* Whether @path is a directory (links are followed). */
bool copy_is_directory(int root, const char *path);

/*
 * Copies the file @path into the directory @to under @name, or with @name NULL what is in the
 * directory @path. What is there of the same kind is replaced, directories are merged.
 */
int copy_tree(int root, const char *path, int to, const char *name, const struct copy_how *how,
              struct error *err) error_must_check;

#endif
