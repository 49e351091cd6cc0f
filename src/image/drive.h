/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image as a drive for machines: an ext4 file system, never written to, with the files of all
 * layers in its directory "root" (so that the root's own owner, mode and attributes are the
 * image's). STORE/drives/HEX, HEX being the image's id; it goes with the image.
 */
#ifndef IMAGE_DRIVE_H
#define IMAGE_DRIVE_H

#include "image/store.h"

/* Where the drive of the image @id is, or will be. New, NULL: out of memory. */
char *image_drive_path(const struct image_store *store, const char *id);

/*
 * Makes the drive of @image unless it is there (heavy half: executes mke2fs). Two at once share the
 * work. The same image gives the same file system.
 */
int image_drive_make(struct image_store *store, const struct image *image,
                     struct error *err) error_must_check;

#endif
