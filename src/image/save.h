/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images to archives and directories. What is written is an OCI layout that docker load reads as
 * well: index.json and manifest.json name the same blobs.
 */
#ifndef IMAGE_SAVE_H
#define IMAGE_SAVE_H

#include "image/tar_write.h"
#include "image/writer.h"

/* Writes the images @refs (NULL after the last) as an archive to @sink. */
int image_save(struct image_store *store, const char *const *refs, tar_sink_fn *sink, void *opaque,
               struct error *err) error_must_check;

/* Writes them as files below the directory @dir, which is made when it is missing. */
int image_save_dir(struct image_store *store, const char *const *refs, const char *dir,
                   struct error *err) error_must_check;

#endif
