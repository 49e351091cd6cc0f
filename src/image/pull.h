/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pull and push: images between the store and registries.
 *
 * A pull fetches manifest and configuration, then layers in parallel; each is unpacked while it
 * arrives. What is here already is not fetched, what a broken pull left is gone on with, and the
 * image gets its name when all is complete and checked.
 */
#ifndef IMAGE_PULL_H
#define IMAGE_PULL_H

#include "image/progress.h"
#include "image/registry.h"
#include "image/writer.h"

struct pull_options {
    const char *platform; /* NULL: this computer's */
    bool all_platforms;
    struct progress *progress;
    atomic_bool *cancel; /* the same as in the context's settings; set when a layer fails */
};

/*
 * Brings the image @ref into @store (held). *ret_id: its configuration's digest; with
 * @all_platforms the last one's.
 */
int image_pull(struct image_store *store, struct registry_context *context,
               const struct image_reference *ref, const struct pull_options *options,
               struct digest *ret_id, struct error *err) error_must_check;

struct push_options {
    struct progress *progress;
    atomic_bool *cancel;
};

/*
 * Sends @image as @to to its registry; the manifest last. *ret_digest: the manifest's.
 */
int image_push(struct image_store *store, struct registry_context *context,
               const struct image *image, const struct image_reference *to,
               const struct push_options *options, struct digest *ret_digest,
               struct error *err) error_must_check;

#endif
