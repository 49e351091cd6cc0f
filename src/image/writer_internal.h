/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of what writes to the store, shared by its files. */
#ifndef IMAGE_WRITER_INTERNAL_H
#define IMAGE_WRITER_INTERNAL_H

#include "image/store_internal.h"
#include "image/writer.h"

struct blob_writer {
    struct image_store *store;
    struct hash *hash;
    struct digest digest;      /* expected; "" */
    char temp[STORE_PATH_MAX]; /* where it grows when that is not partial/; "" */
    uint64_t offset;
    int fd;
};

/* Makes a new file of @path, whose last six characters are replaced. */
int store_temp_file(struct image_store *store, char *path, int *ret_fd,
                    struct error *err) error_must_check;

/* image_sweep with the rights on all ids of images that this user has. Returns what is left. */
int store_sweep_as_owner(struct image_store *store);

#endif
