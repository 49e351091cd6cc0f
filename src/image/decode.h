/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression as bytes arrive: none, gzip (by ISA-L, several times as fast as zlib), zstd; of
 * archives that are no layers also xz and bzip2.
 */
#ifndef IMAGE_DECODE_H
#define IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum decode_kind { DECODE_PLAIN, DECODE_GZIP, DECODE_ZSTD, DECODE_XZ, DECODE_BZIP2 };

/* What the first @n bytes (6 are enough) of a stream look like. */
enum decode_kind decode_detect_any(const uint8_t *bytes, size_t n);
/* The same for what may be a layer: -ENOTSUP for bzip2 and xz. */
int decode_detect(const uint8_t *bytes, size_t n, enum decode_kind *ret,
                  struct error *err) error_must_check;

struct decoder;
struct decoder *decoder_new(enum decode_kind kind); /* NULL: out of memory */
void decoder_free(struct decoder *d);

/*
 * Takes from *in (*in_n bytes, both moved on) and writes at most @out_n bytes; *ret_n tells how
 * many. It takes nothing and writes nothing only when it wants more input. -EBADMSG: damaged.
 */
int decoder_run(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out, size_t out_n,
                size_t *ret_n, struct error *err) error_must_check;

/* Whether the input may end here. */
bool decoder_complete(const struct decoder *d);

#endif
