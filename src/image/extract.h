/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a directory of a layer's archive. image-spec 1.1, layer.md.
 *
 * Every name is resolved by the kernel below the directory (openat2), parents first, and acted on
 * through the parent's descriptor. A whiteout becomes a character device 0:0, an opaque directory
 * gets user.overlay.opaque: overlayfs reads both (option userxattr). Attributes that would change
 * what overlayfs does are dropped.
 */
#ifndef IMAGE_EXTRACT_H
#define IMAGE_EXTRACT_H

#include <stdbool.h>
#include <sys/types.h>

#include "image/tar_read.h"

enum {
    EXTRACT_PATH_MAX = 4095,      /* bytes, Linux's own limit */
    EXTRACT_ENTRIES_MAX = 8 << 20 /* per layer */
};
#define EXTRACT_BYTES_MAX (1ull << 40) /* of data per layer; holes do not count */

struct extract_options {
    bool squash; /* one id is all there is: everything belongs to it */
    /*
     * No layer but any archive, into a directory that has something: ".wh." is a name like others,
     * the directory itself stays as it is, and no directory gives way to something else.
     */
    bool plain;
    /* Makes a device node in the directory @dir; 1: it cannot be made here and is left out. */
    int (*mknod)(void *opaque, int dir, const char *name, mode_t mode, dev_t device,
                 struct error *err);
    void *opaque;
};

struct extract_result {
    uint64_t entries, bytes; /* bytes of data in files */
    uint64_t devices_left, xattrs_left;
    uint64_t squashed; /* entries that belonged to another id */
    size_t implicit;   /* directories without an entry of their own: extract_inherit */
};

struct extract;
/* Extracts into @root, which is borrowed. The umask must be 0. NULL: out of memory. */
struct extract *extract_new(int root, const struct extract_options *options);
void extract_free(struct extract *x);

/* Extracts all entries that @fill gives. Errors name the entry. */
int extract_archive(struct extract *x, tar_fill_fn *fill, void *opaque,
                    struct error *err) error_must_check;
/*
 * Gives directories that had no entry of their own the owner, mode, times and attributes that they
 * have in the layers below: @lowers are their directories, the topmost first.
 */
int extract_inherit(struct extract *x, const int *lowers, size_t count,
                    struct error *err) error_must_check;
const struct extract_result *extract_result(const struct extract *x);

#endif
