/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What brings images into a store: blobs, then layers unpacked from blobs, then an image that names
 * them. The heavy half, for isola-image. Callers hold the store (image_store_hold).
 *
 * A transfer appends to a blob; meanwhile a sandboxed child unpacks the same file as it grows. Only
 * when blob and layer have been checked do they get their names.
 */
#ifndef IMAGE_WRITER_H
#define IMAGE_WRITER_H

#include <sys/types.h>

#include "image/store.h"

/* "sha256:" and 64 digits. */
enum { DIGEST_TEXT = 72 };
struct digest {
    char text[DIGEST_TEXT];
};

/* A SHA-256 that goes on. */
struct hash;
struct hash *hash_new(void); /* NULL: out of memory */
void hash_add(struct hash *hash, const void *bytes, size_t n);
/* The digest of what was added; the hash may go on. */
void hash_get(struct hash *hash, struct digest *ret);
void hash_free(struct hash *hash);
void hash_bytes(const void *bytes, size_t n, struct digest *ret);

/* Blobs. */

/* Whether the store has it; *ret_size may be NULL. */
bool blob_exists(struct image_store *store, const char *digest, uint64_t *ret_size);
/* Opens it for reading. -ENOENT. */
int blob_open(struct image_store *store, const char *digest, int *ret_fd, uint64_t *ret_size,
              struct error *err) error_must_check;
/* Adds a small one, such as a manifest; *ret its digest (NULL: not wanted). */
int blob_put(struct image_store *store, const void *bytes, size_t n, struct digest *ret,
             struct error *err) error_must_check;

struct blob_writer;
/*
 * Begins or resumes a blob. @digest NULL: not known before; nothing is resumed then. @wait: wait
 * for another process that is bringing the same one in, otherwise -EBUSY. -EEXIST: the store has
 * it. *ret_offset: the bytes that are there from an earlier try.
 */
int blob_begin(struct image_store *store, const char *digest, bool wait, struct blob_writer **ret,
               uint64_t *ret_offset, struct error *err) error_must_check;
int blob_append(struct blob_writer *w, const void *bytes, size_t n,
                struct error *err) error_must_check;
/* Forgets what was there: the sender begins anew. */
int blob_restart(struct blob_writer *w, struct error *err) error_must_check;
uint64_t blob_offset(const struct blob_writer *w);
/*
 * Checks the digest and publishes the blob; *ret (may be NULL) its digest. -EBADMSG: not what was
 * expected; the bytes are thrown away. Frees @w in every case.
 */
int blob_commit(struct blob_writer *w, struct digest *ret, struct error *err) error_must_check;
/* Frees @w and keeps the bytes of a blob with known digest for the next try. NULL is fine. */
void blob_abort(struct blob_writer *w);

/* Layers. */

struct layer {
    struct digest blob;    /* as transferred */
    struct digest diff_id; /* uncompressed */
    struct digest chain;   /* the layer on top of its parents */
    char media_type[128];
    uint64_t blob_size;
    uint64_t size; /* bytes of its files */
};

/* The chain id of a layer with @diff_id on @parent (NULL: none). image-spec, "Layer ChainID". */
void layer_chain(const char *parent, const char *diff_id, struct digest *ret);
/* Whether the store has it unpacked; *ret_size (may be NULL): bytes of its files. */
bool layer_exists(struct image_store *store, const char *chain, uint64_t *ret_size);
/* What the store knows of it. Its blob may have another compression than the one of a manifest. */
int layer_read(struct image_store *store, const char *chain, struct layer *ret,
               struct error *err) error_must_check;
/*
 * Claims the making of a layer, so that others who want the same wait for it instead of making it,
 * too. Closing *ret_fd gives the claim back. Claim the layers of an image lowest first. -EEXIST:
 * the store has it; -EBUSY: claimed by another, with @wait false.
 */
int layer_claim(struct image_store *store, const char *chain, bool wait, int *ret_fd,
                struct error *err) error_must_check;

struct layer_job;
/*
 * Begins to unpack a layer in a child. The compressed bytes are those of @w from its beginning, as
 * they arrive, or of the blob @digest when @w is NULL. How they are compressed the bytes tell;
 * @media_type is what a manifest says of them (NULL: made from what they are). The job goes on by
 * itself; several may run at once. It dies with the thread that calls this.
 */
int layer_begin(struct image_store *store, const char *digest, struct blob_writer *w,
                const char *media_type, struct layer_job **ret, struct error *err) error_must_check;
/* Says that more bytes (or, with @end, all) are in the blob. Any thread; never blocks. */
void layer_more(struct layer_job *job, uint64_t available, bool end);
/* Bytes of the blob that were unpacked so far, for progress. */
uint64_t layer_progress(const struct layer_job *job);
/* True as soon as the job cannot succeed any more; layer_finish says why. */
bool layer_failed(struct layer_job *job);
/* Waits until all announced bytes are unpacked. 0, or why that failed; the job stays. */
int layer_wait(struct layer_job *job, struct error *err) error_must_check;
/* Tells the digest of a blob that was not known when the job began. */
void layer_blob_is(struct layer_job *job, const struct digest *digest);
/*
 * Waits for the end, fixes what depends on the parents (lowest first), checks the diff id against
 * @diff_id (NULL: whatever it is) and publishes the layer. All bytes must have been announced and
 * the blob be committed. -EBADMSG: another diff id. Frees @job in every case.
 */
int layer_finish(struct layer_job *job, const struct layer *parents, size_t parent_count,
                 const char *diff_id, struct layer *ret, struct error *err) error_must_check;
/* Kills the child and removes what it made. NULL is fine. */
void layer_abort(struct layer_job *job);

/* Images. */

struct image_new {
    const char *manifest; /* its bytes; NULL: one is made of @config and @layers */
    size_t manifest_len;
    const char *config; /* its bytes */
    size_t config_len;
    const struct layer *layers; /* lowest first */
    size_t layer_count;
    const char *const *names; /* whole references with tag or digest; NULL after the last */
};
/*
 * The layers of an image, lowest first, for a new image on top of it. *ret is new and has room for
 * @spare more at its end.
 */
int image_layers(struct image_store *store, const struct image *image, size_t spare,
                 struct layer **ret, size_t *ret_count, struct error *err) error_must_check;

/*
 * Makes the image known: syncs the store, then writes the index. *ret_id (may be NULL): the
 * digest of the configuration.
 */
int image_commit(struct image_store *store, const struct image_new *image, struct digest *ret_id,
                 struct error *err) error_must_check;

#endif
