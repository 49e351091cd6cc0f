/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository in a registry, by distribution-spec 1.1: authentication, retries, manifests, blobs.
 *
 * A struct registry is shared by the threads of one pull or push; each brings an HTTP client of its
 * own. Everything that comes from the other side is checked before it is believed.
 */
#ifndef IMAGE_REGISTRY_H
#define IMAGE_REGISTRY_H

#include <stdatomic.h>

#include "image/credentials.h"
#include "image/http.h"
#include "image/manifest.h"
#include "image/registries.h"

struct blob_writer;

/* What a whole run of the program shares. */
struct registry_context;

struct registry_settings {
    const char *authfile;        /* NULL: the usual ones */
    const char *user, *password; /* instead of what files say; NULL */
    bool insecure;               /* every registry may be spoken to without TLS */
    const atomic_bool *cancel;
    /* A line for the person who waits: "registry.example: 503; trying again in 2 s". NULL. */
    void (*notice)(void *opaque, const char *line);
    void *opaque;
};
/* Reads registries.json. @settings is copied, its texts are borrowed. NULL with @err set. */
struct registry_context *registry_context_new(const struct registry_settings *settings,
                                              struct error *err);
void registry_context_free(struct registry_context *context);
const struct registries *registry_context_registries(const struct registry_context *context);
/* A client for one thread. NULL with @err set. */
struct http *registry_http_new(struct registry_context *context, struct error *err);

struct registry;
/*
 * @endpoint as named in @ref, whose logins count. @actions: "pull" or "pull,push". Talks to nobody
 * yet. NULL with @err set.
 */
struct registry *registry_new(struct registry_context *context,
                              const struct registry_endpoint *endpoint,
                              const struct image_reference *ref, const char *actions,
                              struct error *err);
void registry_free(struct registry *registry);
const char *registry_authority(const struct registry *registry);

/* Checks that the registry is there and lets us in (end-1 of the specification). */
int registry_ping(struct registry *registry, struct http *http, struct error *err) error_must_check;

/*
 * Fetches a manifest by tag or digest, at most MANIFEST_MAX bytes, and checks it against its
 * digest. @content_type of MEDIA_TYPE_MAX + 1 bytes is what the registry calls it. -ENOENT: no such
 * manifest.
 */
int registry_get_manifest(struct registry *registry, struct http *http, const char *tag_or_digest,
                          struct str *ret, char *content_type, struct error *err) error_must_check;

/*
 * Fetches the blob @d into @w, resuming at what it has, going on after broken connections. @more
 * is called after each piece with the bytes that are there. The digest is for blob_commit to check.
 */
int registry_get_blob(struct registry *registry, struct http *http, const struct descriptor *d,
                      struct blob_writer *w, void (*more)(void *opaque, uint64_t available),
                      void *opaque, struct error *err) error_must_check;

/* 1: the repository has the blob, 0: it does not. */
int registry_has_blob(struct registry *registry, struct http *http, const struct descriptor *d,
                      struct error *err) error_must_check;

/*
 * Sends the @d->size bytes of @fd as the blob @d->digest. @from (NULL: none): another repository of
 * this registry that has it; *ret_mounted says whether it was taken from there.
 */
int registry_put_blob(struct registry *registry, struct http *http, const struct descriptor *d,
                      int fd, const char *from, void (*sent)(void *opaque, uint64_t bytes),
                      void *opaque, bool *ret_mounted, struct error *err) error_must_check;

/* Stores a manifest under a tag or its digest. */
int registry_put_manifest(struct registry *registry, struct http *http, const char *tag_or_digest,
                          const char *media_type, const char *text, size_t n,
                          struct error *err) error_must_check;

/*
 * The names in a list that comes in pages: the repositories of the registry ("/v2/_catalog", @key
 * "repositories") or the tags of a repository (@key "tags"). At most @max are given to @each.
 */
int registry_list(struct registry *registry, struct http *http, const char *path, const char *key,
                  size_t max, void (*each)(void *opaque, const char *name), void *opaque,
                  struct error *err) error_must_check;

#endif
