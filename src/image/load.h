/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from archives and directories: OCI layouts (image-spec 1.1, image-layout.md) and what
 * docker save writes, old and new.
 */
#ifndef IMAGE_LOAD_H
#define IMAGE_LOAD_H

#include "image/bundle.h"

struct image_load {
    const char *platform; /* of indexes; NULL: the host's */
    const char *name;     /* instead of the names in it, when there is one image; NULL */
    /* Told of each image: a name, or NULL when it has none. */
    void (*loaded)(void *opaque, const char *name, const char *id);
    void *opaque;
};

/* Brings all images of @bundle into @store. */
int image_load(struct image_store *store, struct bundle *bundle, const struct image_load *options,
               struct error *err) error_must_check;

#endif
