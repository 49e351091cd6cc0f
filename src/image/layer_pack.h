/* SPDX-License-Identifier: Apache-2.0 */
/* Layers from archives that come by a stream instead of a registry. */
#ifndef IMAGE_LAYER_PACK_H
#define IMAGE_LAYER_PACK_H

#include "image/encode.h"
#include "image/writer.h"

/* Reads at most @n bytes: how many, 0 at the end, or a negative errno with @err set. */
typedef ssize_t layer_read_fn(void *opaque, void *buf, size_t n, struct error *err);

/*
 * Stores what @read gives as a blob (compressed by @kind, unless it is compressed already) and
 * unpacks it on top of @parents. @diff_id as in layer_finish.
 */
int layer_from_stream(struct image_store *store, layer_read_fn *read, void *opaque,
                      enum encode_kind kind, const struct layer *parents, size_t parent_count,
                      const char *diff_id, struct layer *ret, struct error *err) error_must_check;

/* A layer_read_fn for a file descriptor; opaque is its address. */
ssize_t layer_read_fd(void *opaque, void *buf, size_t n, struct error *err);

#endif
