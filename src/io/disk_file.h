/* SPDX-License-Identifier: Apache-2.0 */
/* Files and block devices of the host as disks. */
#ifndef IO_DISK_FILE_H
#define IO_DISK_FILE_H

#include "io/disk.h"

struct disk_file_options {
    bool readonly;
    bool no_discard; /* do not offer discard even where the file could do it */
    bool no_lock;    /* do not keep others from opening the file */
    bool no_flush;   /* flushes do nothing: fast, and the host's crash loses writes */
    bool growing;    /* below a format: any offset and length, writes past the end extend it */
    bool guarded;    /* the guest may not make it look like another format (disk_probe.h) */
    int open_flags;  /* more flags for open: O_CREAT | O_EXCL, O_TMPFILE (@path is a directory) */
};

/*
 * Opens @path. It is locked against other writers (readers share) until it is closed. Without
 * growing, it must not be empty, and a file whose size is no multiple of 512 bytes reads as if
 * zeroes followed. NULL with @err set on failure.
 */
struct disk *disk_file_open(const char *path, const struct disk_file_options *options,
                            struct error *err);

/* The descriptor of a disk that disk_file_open made, -1 for another. Borrowed. */
int disk_file_fd(const struct disk *d);

#endif
