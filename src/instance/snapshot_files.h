/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a machine's snapshot in a directory of its own (docs/snapshots.md):
 *
 *   state     machine/snapshot.h
 *   memory    page n of guest memory at byte n * 4096; pages of zeroes are holes
 *   pages     for each page, u32 little-endian: 0 for zeroes, else a checksum of its bytes
 *   summary   JSON: format, sizes, checksums of state and pages; written last
 */
#ifndef INSTANCE_SNAPSHOT_FILES_H
#define INSTANCE_SNAPSHOT_FILES_H

#include "base/error.h"
#include "base/str.h"
#include "bus/gmem.h"

struct snapshot_summary {
    uint64_t state_bytes, memory_bytes; /* memory: of the machine */
    uint64_t pages;                     /* that are not zeroes */
    uint64_t state_hash, pages_hash;
};

/* Writes all four into directory @dir, durably. 0 or a negative errno. */
int snapshot_files_write(int dir, const struct str *state, const struct gmem_layer *memory,
                         struct snapshot_summary *ret, struct error *err) error_must_check;

/* Reads the summary. -EINVAL: none that this Isola knows. */
int snapshot_files_summary(int dir, struct snapshot_summary *ret,
                           struct error *err) error_must_check;

struct snapshot_files {
    uint8_t *state; /* mapped */
    size_t state_len;
    struct gmem_layer *memory;
};

/*
 * Opens them for a machine: the state is checked and mapped, the memory mapped, so that a page is
 * read from the disk when it is used. With @verify all of memory is read and checked first. Files
 * that are damaged are refused with -EINVAL and the file's name. Release with snapshot_files_done.
 */
int snapshot_files_open(int dir, bool verify, struct snapshot_files *ret,
                        struct error *err) error_must_check;
void snapshot_files_done(struct snapshot_files *f);

#endif
