/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images by path: their format, and the chain of files below them. */
#ifndef IO_DISK_IMAGE_H
#define IO_DISK_IMAGE_H

#include "io/disk.h"

enum { DISK_CHAIN_MAX = 32 };

struct disk_image_options {
    /*
     * "raw", "qcow2", or NULL to look at the file. A file that bears no mark is then taken as raw,
     * and writes that would give it one are refused: a guest must not choose what the next start
     * takes its drive for.
     */
    const char *format;
    bool readonly;
    bool discard;  /* what is discarded is given back to the host */
    bool no_flush; /* flushes do nothing: fast, and the host's crash loses writes */
    bool check;    /* as in struct qcow2_options */
    bool alone;    /* qcow2 without the files below it, for looking at its tables */
    bool shared;   /* take no lock: for looking while it is in use */
};

/*
 * Opens the image @path with all files that it is an overlay of, these for reading only. NULL with
 * @err set on failure: -ENOTSUP for formats that must be converted first.
 */
struct disk *disk_image_open(const char *path, const struct disk_image_options *options,
                             struct error *err);

/*
 * An overlay over @below (which it takes, also on failure) that takes all writes and goes when it
 * is closed, also when the process dies. Its file has no name; it is made in directory @dir.
 */
struct disk *disk_image_temporary(struct disk *below, const char *dir, struct error *err);

/*
 * The path of the backing file @name that image @path names, relative to where @path is. New; NULL
 * with @err set when it is none of a file or memory ran out.
 */
char *disk_image_backing_path(const char *path, const char *name, struct error *err);

/* Opens the file of @path for looking: for reading, unlocked, growing. NULL with @err set. */
struct disk *disk_image_file(const char *path, struct error *err);

#endif
