/* SPDX-License-Identifier: Apache-2.0 */
/* Layers from archives that come by a stream instead of a registry. */
#ifndef IMAGE_LAYER_PACK_H
#define IMAGE_LAYER_PACK_H

#include "image/encode.h"
#include "image/writer.h"

/*
 * A layer that is packed and unpacked at once from an archive that its maker writes: begin, any
 * number of writes, then finish or abort.
 */
struct layer_pack;
int layer_pack_begin(struct image_store *store, enum encode_kind kind, struct layer_pack **ret,
                     struct error *err) error_must_check;
/* A tar_sink_fn; opaque is the struct layer_pack. */
int layer_pack_write(void *opaque, const void *bytes, size_t n, struct error *err);
/* As layer_finish. Frees @pack in every case. */
int layer_pack_finish(struct layer_pack *pack, const struct layer *parents, size_t parent_count,
                      const char *diff_id, struct layer *ret, struct error *err) error_must_check;
/* NULL is fine. */
void layer_pack_abort(struct layer_pack *pack);

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
