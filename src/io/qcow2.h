/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow2 format (QEMU's docs/interop/qcow2.txt), versions 2 and 3.
 *
 * Written: clusters of 512 bytes to 2 MiB, reference counts of 16 bits, backing files, zero
 * clusters; snapshots inside the image and unknown header extensions are kept as they are. Read
 * also: clusters compressed by zlib, other widths of reference counts. Refused: encryption,
 * external data files, extended L2 entries, zstd, and incompatible features not known here.
 */
#ifndef IO_QCOW2_H
#define IO_QCOW2_H

#include "io/disk.h"

enum { QCOW2_NAME_MAX = 1023 };

/* What a header says. */
struct qcow2_info {
    unsigned version, cluster_bits, refcount_bits, snapshots;
    uint64_t size;                    /* of the disk it holds, bytes */
    char backing[QCOW2_NAME_MAX + 1]; /* empty: none */
    char backing_format[32];          /* empty: not said */
    bool dirty;                       /* reference counts may be wrong (lazy refcounts) */
    bool corrupt;                     /* another program found it damaged */
    bool lazy_refcounts, bitmaps;
};

/* Reads and checks the header of @file (borrowed). 0 or a negative errno. */
int qcow2_info(struct disk *file, struct qcow2_info *ret, struct error *err) error_must_check;

struct qcow2_options {
    bool readonly;
    bool discard; /* what the guest discards is given back to the host */
    bool check;   /* for qcow2_check alone: opened although its reference counts may be wrong */
};

/*
 * Opens the image in @file, which it takes (also when it fails) together with @backing (may be
 * NULL: unallocated clusters are zeroes). @file is a growing disk (disk_file.h). @name is for
 * messages. NULL with @err set on failure.
 *
 * What was written is in the file after a flush. At any moment, whatever became of writes not yet
 * flushed, the file is a consistent image: at worst clusters are counted that nothing uses.
 */
struct disk *qcow2_open(struct disk *file, struct disk *backing, const char *name,
                        const struct qcow2_options *options, struct error *err);

struct qcow2_create {
    uint64_t size;              /* bytes, rounded up to 512 */
    unsigned cluster_bits;      /* 9 to 21; 0: 16 */
    const char *backing;        /* NULL: none */
    const char *backing_format; /* with backing */
};

/* Makes an image in @file (borrowed, growing, empty). 0 or a negative errno. */
int qcow2_create(struct disk *file, const struct qcow2_create *c,
                 struct error *err) error_must_check;

/* What a check found. */
struct qcow2_check {
    uint64_t clusters;  /* of the file */
    uint64_t allocated; /* clusters with data of the disk, without its snapshots' */
    uint64_t packed;    /* of these, compressed */
    uint64_t leaks;     /* counted but not used: space is lost */
    uint64_t errors;    /* used but not counted, or references that make no sense */
    uint64_t repaired;
};

enum qcow2_repair { QCOW2_REPAIR_NOT, QCOW2_REPAIR_LEAKS, QCOW2_REPAIR_ALL };

/*
 * Compares the reference counts of @image (from qcow2_open with check, else unused) with what
 * is referenced and repairs them as @repair says. Bad references are never repaired. 0 when the
 * check was done, whatever it found, or a negative errno.
 */
int qcow2_check(struct disk *image, enum qcow2_repair repair, struct qcow2_check *ret,
                struct error *err) error_must_check;

#endif
