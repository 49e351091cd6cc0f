/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of extraction, shared by its files. */
#ifndef IMAGE_EXTRACT_INTERNAL_H
#define IMAGE_EXTRACT_INTERNAL_H

#include <sys/stat.h>

#include "base/str.h"
#include "image/extract.h"

#define OVERLAY_OPAQUE "user.overlay.opaque"

/* A directory whose time is set when nothing is put into it any more. */
struct late_dir {
    char *path;
    int64_t mtime;
    uint32_t mtime_ns, mode;
    char *acl; /* a default ACL, which would apply to what is put into it; NULL */
    size_t acl_size;
};

struct extract {
    int root;
    struct extract_options options;
    struct extract_result result;
    /* The parent of the last entry: its path and descriptor, -1 when not known. */
    char *parent_path;
    int parent;
    bool parent_sgid; /* new files take its group */
    struct late_dir *late;
    size_t late_count, late_cap;
    char **implicit;
    size_t implicit_cap;
    char clean[EXTRACT_PATH_MAX + 1], link[EXTRACT_PATH_MAX + 1];
};

/*
 * Writes @path without empty parts and "." to @ret (EXTRACT_PATH_MAX + 1 bytes); "" is the root.
 * -EINVAL for "..", -ENAMETOOLONG.
 */
int extract_clean(const char *path, char *ret, struct error *err) error_must_check;

/*
 * Opens the parent directory of the clean @path (not ""), borrowed from @x, and finds the last
 * part. With @make missing directories are made.
 */
int extract_parent(struct extract *x, const char *path, bool make, int *ret_dir,
                   const char **ret_leaf, struct error *err) error_must_check;
/* Forgets the last parent: something was removed. */
void extract_forget(struct extract *x);

/* Opens below @root, never through a symbolic link. A negative errno on failure. */
int extract_open(int root, const char *path, uint64_t flags);

/* Marks a directory as hiding what is below it. */
int extract_opaque(int dir, const char *name, struct error *err) error_must_check;
bool extract_is_whiteout(const struct stat *st);

/* Whether an attribute of a strange archive may be kept. */
bool extract_xattr_allowed(const char *name);

#endif
