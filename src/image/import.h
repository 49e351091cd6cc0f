/* SPDX-License-Identifier: Apache-2.0 */
/* An archive of a root file system becomes an image. */
#ifndef IMAGE_IMPORT_H
#define IMAGE_IMPORT_H

#include "image/layer_pack.h"

struct image_import {
    layer_read_fn *read; /* gives the archive */
    void *opaque;
    enum encode_kind kind;
    const char *const *changes; /* as image_change takes them; NULL after the last; NULL: none */
    const char *name;           /* NULL: none */
    const char *platform;       /* os/arch[/variant]; NULL: the host's */
    const char *comment;        /* NULL: none */
    const char *created_by;     /* for the history */
};

int image_import(struct image_store *store, const struct image_import *import,
                 struct digest *ret_id, struct error *err) error_must_check;

#endif
