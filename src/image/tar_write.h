/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes tar archives: ustar, with PAX headers where ustar cannot say it (long names, large ids and
 * sizes, times with fractions or before 1970, attributes, holes). The same entries give the same
 * bytes.
 */
#ifndef IMAGE_TAR_WRITE_H
#define IMAGE_TAR_WRITE_H

#include "image/tar_read.h"

/* Takes bytes of the archive. 0 or a negative errno with @err set. */
typedef int tar_sink_fn(void *opaque, const void *bytes, size_t n, struct error *err);

struct tar_writer;
struct tar_writer *tar_writer_new(tar_sink_fn *sink, void *opaque); /* NULL: out of memory */
void tar_writer_free(struct tar_writer *w);

/*
 * Writes the header of an entry. Then follow exactly entry.size bytes by tar_write_data, if it is a
 * file; of a sparse one (PAX form 1.0 of GNU tar) only those of its extents.
 */
int tar_write_entry(struct tar_writer *w, const struct tar_entry *entry,
                    struct error *err) error_must_check;
int tar_write_data(struct tar_writer *w, const void *bytes, size_t n,
                   struct error *err) error_must_check;
/* Writes the end of the archive. */
int tar_write_end(struct tar_writer *w, struct error *err) error_must_check;

#endif
