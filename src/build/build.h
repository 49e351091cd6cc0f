/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds an image as a Containerfile says. Every step that changes files becomes a layer: RUN by a
 * container, COPY and ADD by this process, on an overlay of the layers before. A step whose key is
 * in the cache is not done again; the key is made of all that decides its result: the layers below,
 * the words, the variables, and the files that are copied (times aside).
 *
 *   DATA/build/cache/HEX   "sha256:CHAIN" of the layer that a step made, or "none"; then its time
 *   DATA/build/mounts/HEX  directories of --mount=type=cache
 *   DATA/build/work/       branches of steps under way
 *   DATA/build/lock        flock, shared: a build is running; exclusive: work/ may be cleaned
 */
#ifndef BUILD_BUILD_H
#define BUILD_BUILD_H

#include "build/containerfile.h"
#include "image/writer.h"

struct build_options {
    const char *context;           /* a directory */
    const char *file;              /* NULL: Containerfile or Dockerfile in it; "-": stdin */
    const char *target;            /* a stage; NULL: the last */
    const char *platform;          /* NULL: the host's */
    const char *const *tags;       /* names; NULL after the last in all of these */
    const char *const *build_args; /* NAME=value, or NAME: from the environment */
    const char *const *labels;     /* NAME=value */
    const char *const *secrets;    /* id=NAME,src=FILE or id=NAME,env=NAME */
    bool no_cache, pull;
    const char *network; /* of RUN: "none", "host"; NULL or "default": private */
    int output;          /* where the steps and their programs write */
    /* Brings the image @name here if it is missing, with @always asks in any case. */
    int (*fetch)(void *opaque, const char *name, const char *platform, bool always,
                 struct error *err);
    void *opaque;
};

/* Builds it into @store (held). *ret_id: the image. */
int build_image(struct image_store *store, const struct build_options *options,
                struct digest *ret_id, struct error *err) error_must_check;

#endif
