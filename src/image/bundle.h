/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images outside a store: a directory, or an archive of one (compressed or not, from a file or a
 * stream). Everything in it is hostile: names stay inside, links are followed a few times, sizes
 * are bounded.
 */
#ifndef IMAGE_BUNDLE_H
#define IMAGE_BUNDLE_H

#include "image/layer_pack.h"

struct bundle;

/*
 * Opens the directory or file @path ("-": standard input). What cannot be read twice is copied into
 * the store's directory first. NULL with @err set.
 */
struct bundle *bundle_open(struct image_store *store, const char *path, struct error *err);
void bundle_close(struct bundle *b);

/* Whether it has the file. */
bool bundle_has(const struct bundle *b, const char *name);
/* Reads a file of at most @max bytes. *ret is new and NUL-terminated. -ENOENT, -E2BIG. */
int bundle_read(const struct bundle *b, const char *name, size_t max, char **ret, size_t *ret_n,
                struct error *err) error_must_check;

/* A file of a bundle that is being read by bundle_stream. */
struct bundle_file {
    int fd;
    uint64_t offset, left;
};
/* Opens a file; close with bundle_file_close. */
int bundle_file_open(const struct bundle *b, const char *name, struct bundle_file *ret,
                     struct error *err) error_must_check;
void bundle_file_close(struct bundle_file *f);
/* A layer_read_fn; opaque is the struct bundle_file. */
ssize_t bundle_stream(void *opaque, void *buf, size_t n, struct error *err);

#endif
