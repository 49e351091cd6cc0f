/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads tar archives as they stream by: v7, ustar, GNU (long names, sparse files) and PAX (all
 * fields, extended attributes as SCHILY.xattr, sparse formats 0.0, 0.1 and 1.0). POSIX.1-2017 pax,
 * "ustar Interchange Format"; GNU tar manual, "Basic Tar Format". The bytes are hostile: every
 * number and length is checked, memory is bounded by the limits below.
 */
#ifndef IMAGE_TAR_READ_H
#define IMAGE_TAR_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    TAR_PATH_MAX = 32768,      /* bytes of a name or link target */
    TAR_PAX_MAX = 1 << 20,     /* bytes of one extended header */
    TAR_XATTRS_MAX = 1024,     /* per entry */
    TAR_EXTENTS_MAX = 1 << 18, /* pieces of one sparse file */
    TAR_HEADERS_MAX = 16,      /* extended headers before one entry */
};

enum tar_type {
    TAR_FILE,
    TAR_HARDLINK,
    TAR_SYMLINK,
    TAR_CHAR,
    TAR_BLOCK,
    TAR_DIR,
    TAR_FIFO,
};

struct tar_xattr {
    char *name;
    const char *value; /* @size bytes, then NUL */
    size_t size;
};

struct tar_extent {
    uint64_t offset, size;
};

/* Lives until the next call of tar_next. */
struct tar_entry {
    enum tar_type type;
    const char *path, *link; /* as written; link "" when there is none */
    uint32_t mode;           /* permission bits, 07777 */
    uint64_t uid, gid;
    int64_t mtime; /* seconds */
    uint32_t mtime_ns;
    uint64_t size; /* of the file, holes included */
    uint32_t major, minor;
    const struct tar_xattr *xattrs;
    size_t xattr_count;
    const struct tar_extent *extents; /* where data lies in a sparse file, in order; */
    size_t extent_count;              /* what is not covered is holes */
    int sparse;                       /* extents count */
};

/*
 * Gives the next bytes of the archive: 0 and some bytes that stay valid until the next call, 0 and
 * *n = 0 at the end, or a negative errno with @err set.
 */
typedef int tar_fill_fn(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err);

struct tar_reader;
struct tar_reader *tar_reader_new(tar_fill_fn *fill, void *opaque); /* NULL: out of memory */
void tar_reader_free(struct tar_reader *t);

/*
 * Goes to the next entry, over what was not read of the last one. 1: *ret; 0: the end of the
 * archive; -EBADMSG: damaged; -E2BIG: a limit; -ENOTSUP: a type that is not known; or what fill
 * said.
 */
int tar_next(struct tar_reader *t, const struct tar_entry **ret,
             struct error *err) error_must_check;

/*
 * The next bytes of the entry's content, the data of a sparse file without its holes. 0 with *n = 0
 * at its end.
 */
int tar_data(struct tar_reader *t, const uint8_t **ret, size_t *ret_n,
             struct error *err) error_must_check;

/* Offset in the archive of the content of the current entry. */
uint64_t tar_data_offset(const struct tar_reader *t);

#endif
