/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the store, shared by its files.
 *
 * index.json: {"version": 1, "images": [{"id", "manifest", "platform", "names": [], "digests": [],
 * "chains": [chain ids, lowest first], "blobs": [digests of the layers as they came], "size":
 * bytes, "added": Unix seconds}, ...]}, the youngest last. Platform is os/arch[/variant]. A name
 * belongs to at most one image of each platform.
 *
 * Lock order: use.lock, then lock.
 */
#ifndef IMAGE_STORE_INTERNAL_H
#define IMAGE_STORE_INTERNAL_H

#include <jansson.h>

#include "image/store.h"

enum { STORE_INDEX_MAX = 64 << 20, STORE_DIGEST_HEX = 64 };

struct image_store {
    char *dir; /* absolute */
    int fd;    /* of it */
    int use;   /* use.lock while held, otherwise -1 */
};

/* "blobs/sha256/HEX" and so on, relative to the store; @digest is "sha256:HEX". */
enum { STORE_PATH_MAX = 128 };
void store_blob_path(const char *digest, char path[STORE_PATH_MAX]);
void store_layer_path(const char *chain, const char *leaf, char path[STORE_PATH_MAX]);

/* Whether @digest is "sha256:" and 64 lower-case digits. */
bool store_digest_ok(const char *digest);

/* Takes STORE/@name by flock with @operation. -EWOULDBLOCK with LOCK_NB. */
int store_lock(struct image_store *store, const char *name, int operation, int *ret_fd,
               struct error *err) error_must_check;

/* The index as a new reference, empty when there is none. NULL with @err set. */
json_t *store_index_load(struct image_store *store, struct error *err);
/* Replaces it; "lock" is held. Durable on return. */
int store_index_save(struct image_store *store, const json_t *index,
                     struct error *err) error_must_check;

/* Text member of an index entry, "" when damaged. */
const char *store_entry_text(const json_t *entry, const char *key);
/* Whether the array member @key has @text. */
bool store_entry_has(const json_t *entry, const char *key, const char *text);
/* Takes @text out of the array member @key. */
bool store_entry_drop(json_t *entry, const char *key, const char *text);
/* The entry that @ref means, borrowed from @index. Errors as image_find. */
int store_entry_find(const json_t *index, const char *ref, const char *platform, json_t **ret,
                     struct error *err) error_must_check;
/* Gives @entry the name, and takes it from others of its platform. */
void store_entry_name(json_t *index, json_t *entry, const char *key, const char *name);

enum store_also { STORE_PARTIAL = 1, STORE_BUILD_CACHE = 2 };
/*
 * Removes blobs, layers and staging directories that neither @index nor the cache of builds knows;
 * use.lock is held exclusively. With STORE_PARTIAL in @also broken transfers too, with
 * STORE_BUILD_CACHE that cache. Adds what it freed to *bytes.
 */
int store_collect(struct image_store *store, const json_t *index, unsigned also, uint64_t *bytes,
                  struct error *err) error_must_check;
/* Moves @path of the store to the trash. */
int store_discard(struct image_store *store, const char *path, struct error *err) error_must_check;
/* Removes a tree. Returns the number of entries that could not be removed. */
int store_remove_tree(int dir, const char *name);

#endif
