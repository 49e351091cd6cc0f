/* SPDX-License-Identifier: Apache-2.0 */
/* Compression of layers: none, gzip (ISA-L), zstd. The same bytes give the same result. */
#ifndef IMAGE_ENCODE_H
#define IMAGE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum encode_kind { ENCODE_PLAIN, ENCODE_GZIP, ENCODE_ZSTD };

/* "gzip", "zstd" or "none"; NULL: gzip. -EINVAL. */
int encode_kind_parse(const char *name, enum encode_kind *ret, struct error *err) error_must_check;
/* The media type of a layer that is compressed so. */
const char *encode_media_type(enum encode_kind kind);

/* Takes compressed bytes. 0 or a negative errno with @err set. */
typedef int encode_sink_fn(void *opaque, const void *bytes, size_t n, struct error *err);

struct encoder;
struct encoder *encoder_new(enum encode_kind kind, encode_sink_fn *sink, void *opaque);
void encoder_free(struct encoder *e);
/* @last: nothing follows; may come with no bytes. */
int encoder_write(struct encoder *e, const void *bytes, size_t n, bool last,
                  struct error *err) error_must_check;

#endif
