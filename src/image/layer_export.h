/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive of what a writable branch of an overlay changed: image-spec 1.1, layer.md,
 * "Changesets". Names are sorted, owners are numbers, nothing else of this computer is in it; with
 * SOURCE_DATE_EPOCH no time is later than that. The same branch gives the same bytes.
 */
#ifndef IMAGE_LAYER_EXPORT_H
#define IMAGE_LAYER_EXPORT_H

#include "image/encode.h"
#include "image/tar_write.h"
#include "image/writer.h"

/*
 * Writes the archive of the directory @upper (borrowed) to @sink. What overlayfs marks as removed
 * or opaque becomes whiteouts. Sockets are left out. -ENOTSUP: a directory that overlayfs has
 * redirected. Ids are as this process sees them: see idmap_run.
 */
int layer_export(int upper, tar_sink_fn *sink, void *opaque, struct error *err) error_must_check;

/* The archive of @name in the directory @dir alone, under that name. */
int layer_export_entry(int dir, const char *name, tar_sink_fn *sink, void *opaque,
                       struct error *err) error_must_check;

/* The layer of @upper on top of @parents (lowest first), in the store. */
int layer_from_upper(struct image_store *store, int upper, enum encode_kind kind,
                     const struct layer *parents, size_t parent_count, struct layer *ret,
                     struct error *err) error_must_check;

#endif
