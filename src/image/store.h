/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of images, as its readers see it: names, configurations and directories of layers. This
 * half is linked into isola and needs no library but jansson; what brings images in is writer.h.
 *
 *   STORE/index.json          all images (index.h), replaced by rename under STORE/lock
 *   STORE/blobs/sha256/HEX    manifests, configurations and layers as they came
 *   STORE/layers/HEX/diff     an unpacked layer; HEX is the layer's chain id
 *   STORE/layers/HEX/layer.json  its diff id, size, and what could not be kept
 *   STORE/partial/HEX         blobs on their way in; a broken transfer goes on from here
 *   STORE/drives/HEX         an image as a drive of machines (drive.h)
 *   STORE/tmp/                layers on their way in
 *   STORE/trash/              what is on its way out
 *   STORE/boot                the boot at which the last writer made sure of the store
 *   STORE/lock                flock, exclusive: the index is being changed
 *   STORE/use.lock            flock, shared: somebody relies on blobs or layers that the index may
 *                             not know yet; exclusive: somebody removes what the index does not
 * know
 *
 * A blob or layer appears by rename when it is complete and its digest was checked. The index names
 * it only after syncfs, so what the index names survives a loss of power. What it does not name
 * may be torn then: the first writer after a boot removes it.
 *
 * In a layer a whiteout is a character device 0:0, and a directory that hides what is below it has
 * the attribute user.overlay.opaque=y: overlayfs with the option userxattr reads that with and
 * without root.
 */
#ifndef IMAGE_STORE_H
#define IMAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "image/config.h"

struct image_store;

/*
 * The store in @dir, made when it is not there. NULL: images/ in Isola's data directory
 * ($XDG_DATA_HOME/isola, /var/lib/isola, ~/.local/share/isola). NULL with @err set on failure.
 */
struct image_store *image_store_open(const char *dir, struct error *err);
void image_store_close(struct image_store *store);
/* Its absolute path. Borrowed. */
const char *image_store_dir(const struct image_store *store);

/*
 * Keeps everything in the store from being removed until the store is closed: take it before
 * image_find when an instance is to be made from what it finds, and before anything is brought in.
 * -EROFS, -EACCES and such.
 */
int image_store_hold(struct image_store *store, struct error *err) error_must_check;

struct image {
    char *id;       /* "sha256:..." of the configuration */
    char *digest;   /* of the manifest */
    char **names;   /* whole references with tags; NULL after the last */
    char **digests; /* whole references with digests, as pulled or pushed */
    uint64_t size;  /* bytes of the files in its layers */
    int64_t added;  /* Unix time in seconds at which it came here */
    struct image_config config;
    char **layers; /* absolute directories, topmost first, as overlayfs wants them */
    size_t layer_count;
};

/*
 * The image called @ref: a name with or without tag or digest, an id, or an unambiguous beginning
 * of one (at least 2 digits). @platform NULL: the host's is preferred, any will do. -ENOENT: not
 * here; -EEXIST: ambiguous; -ENOEXEC: here, but not for @platform.
 */
int image_find(struct image_store *store, const char *ref, const char *platform, struct image **ret,
               struct error *err) error_must_check;
/* All images, the youngest first. Release each and the array. */
int image_list(struct image_store *store, struct image ***ret, size_t *ret_count,
               struct error *err) error_must_check;
void image_free(struct image *image);
void image_list_free(struct image **images, size_t count);

/* Gives the image @ref another name; a name that another image of its platform had is moved. */
int image_tag(struct image_store *store, const char *ref, const char *name,
              struct error *err) error_must_check;

/* Answers which instance uses the image: its name (borrowed until the next call), NULL: none. */
typedef const char *image_user_fn(void *opaque, const char *image_id);

/*
 * Removes the name @ref, and with its last name the image with what no other image needs. By id all
 * names go, when they are of one repository or with @force. An image that an instance uses is
 * refused (-EBUSY); with @force it loses its names. Appends "Untagged: ..." and "Deleted: ..."
 * lines to @report. *ret_left: something could not be removed by this user alone;
 * "isola-image _sweep" can.
 */
int image_remove(struct image_store *store, const char *ref, bool force, image_user_fn *user,
                 void *opaque, struct str *report, bool *ret_left,
                 struct error *err) error_must_check;

struct image_prune_what {
    bool all;         /* images with names, too */
    bool build_cache; /* layers that only steps of builds know, too */
    int64_t before;   /* only images that came before (Unix seconds), 0: whenever */
};
/*
 * Removes images without name that nobody uses, and all blobs and layers that belong to no image
 * and to no step of a build. *ret_bytes: what that freed.
 */
int image_prune(struct image_store *store, const struct image_prune_what *what, image_user_fn *user,
                void *opaque, struct str *report, uint64_t *ret_bytes, bool *ret_left,
                struct error *err) error_must_check;

/* Deletes what lies in STORE/trash. Returns how much is left because of missing rights. */
int image_sweep(struct image_store *store);

struct image_usage {
    size_t images, layers, blobs;
    uint64_t layer_bytes, blob_bytes;
    size_t drives, cache_layers; /* of images as machines; layers that only builds know */
    uint64_t drive_bytes, cache_bytes;
    uint64_t garbage_bytes; /* in blobs and layers that belong to no image, and broken transfers */
};
/* What the store holds. */
int image_usage(struct image_store *store, struct image_usage *ret,
                struct error *err) error_must_check;

/*
 * Reads a blob of at most @max bytes. *ret is new and NUL-terminated. -ENOENT, -E2BIG, -EIO.
 * Not checked against its digest: that was done when it came in.
 */
int image_blob_read(struct image_store *store, const char *digest, size_t max, char **ret,
                    size_t *ret_len, struct error *err) error_must_check;

#endif
