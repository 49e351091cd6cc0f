/* SPDX-License-Identifier: Apache-2.0 */
#include "image/decode.h"

#include <bzlib.h>
#include <errno.h>
#include <isa-l.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"

struct decoder {
    enum decode_kind kind;
    bool inside; /* a member or frame has begun and not ended */
    bool any;    /* one has ended */
    ZSTD_DStream *zstd;
    struct inflate_state *gzip;
    lzma_stream xz;
    bz_stream bzip2;
};

/* What xz -9 takes is 65 MiB. */
#define XZ_MEMORY_MAX (512ull << 20)

enum decode_kind decode_detect_any(const uint8_t *p, size_t n)
{
    static const char xz[] = "\xfd"
                             "7zXZ";

    if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        return DECODE_GZIP;
    if (n >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
        return DECODE_ZSTD;
    if (n >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
        return DECODE_ZSTD; /* a skippable frame comes first, as in zstd:chunked */
    if (n >= sizeof xz && memcmp(p, xz, sizeof xz) == 0)
        return DECODE_XZ;
    if (n >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9')
        return DECODE_BZIP2;
    return DECODE_PLAIN;
}

int decode_detect(const uint8_t *p, size_t n, enum decode_kind *ret, struct error *err)
{
    enum decode_kind kind = decode_detect_any(p, n);

    if (kind == DECODE_XZ)
        return error_set(err, -ENOTSUP,
                         "it is compressed by xz; unpack it first: xz -dc FILE | ...");
    if (kind == DECODE_BZIP2)
        return error_set(err, -ENOTSUP,
                         "it is compressed by bzip2; unpack it first: bzip2 -dc FILE | ...");
    *ret = kind;
    return 0;
}

static void gzip_begin(struct decoder *d)
{
    isal_inflate_init(d->gzip);
    d->gzip->crc_flag = ISAL_GZIP;
}

struct decoder *decoder_new(enum decode_kind kind)
{
    struct decoder *d = mem_new(struct decoder);

    if (!d)
        return NULL;
    d->kind = kind;
    if (kind == DECODE_ZSTD)
        d->zstd = ZSTD_createDStream();
    if (kind == DECODE_GZIP && (d->gzip = mem_new(struct inflate_state)))
        gzip_begin(d);
    d->xz = (lzma_stream)LZMA_STREAM_INIT;
    if ((kind == DECODE_ZSTD && !d->zstd) || (kind == DECODE_GZIP && !d->gzip) ||
        (kind == DECODE_XZ && lzma_stream_decoder(&d->xz, XZ_MEMORY_MAX, 0) != LZMA_OK) ||
        (kind == DECODE_BZIP2 && BZ2_bzDecompressInit(&d->bzip2, 0, 0) != BZ_OK)) {
        decoder_free(d);
        return NULL;
    }
    return d;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    ZSTD_freeDStream(d->zstd);
    free(d->gzip);
    lzma_end(&d->xz);
    BZ2_bzDecompressEnd(&d->bzip2); /* of none: an error that says so */
    free(d);
}

bool decoder_complete(const struct decoder *d)
{
    return d->kind == DECODE_PLAIN || (d->any && !d->inside);
}

static int run_gzip(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out, size_t out_n,
                    size_t *ret_n, struct error *err)
{
    struct inflate_state *g = d->gzip;
    int r;

    if (!d->inside && d->any) {
        /* Between members; gzip(1) takes zeros as padding of tapes. */
        while (*in_n && **in == 0) {
            ++*in;
            --*in_n;
        }
        if (!*in_n)
            return 0;
        gzip_begin(d);
    }
    d->inside = true;
    g->next_in = (uint8_t *)(uintptr_t)*in;
    g->avail_in = (uint32_t)min_of(*in_n, (size_t)1 << 30);
    g->next_out = out;
    g->avail_out = (uint32_t)min_of(out_n, (size_t)1 << 30);
    r = isal_inflate(g);
    *in_n -= (size_t)(g->next_in - *in);
    *in = g->next_in;
    *ret_n = (size_t)(g->next_out - out);
    if (r < 0 || r == ISAL_NAME_OVERFLOW || r == ISAL_COMMENT_OVERFLOW ||
        r == ISAL_EXTRA_OVERFLOW || r == ISAL_NEED_DICT)
        return error_set(err, -EBADMSG, "the gzip data is damaged (%s)",
                         r == ISAL_INCORRECT_CHECKSUM ? "checksum" : "contents");
    if (g->block_state == ISAL_BLOCK_FINISH) {
        d->inside = false;
        d->any = true;
    }
    return 0;
}

static int run_zstd(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out, size_t out_n,
                    size_t *ret_n, struct error *err)
{
    ZSTD_inBuffer input = {*in, *in_n, 0};
    ZSTD_outBuffer output = {out, out_n, 0};
    size_t r = ZSTD_decompressStream(d->zstd, &output, &input);

    if (ZSTD_isError(r))
        return error_set(err, -EBADMSG, "the zstd data is damaged (%s)", ZSTD_getErrorName(r));
    if (input.pos || output.pos) {
        d->inside = r != 0;
        d->any = d->any || r == 0;
    }
    *in += input.pos;
    *in_n -= input.pos;
    *ret_n = output.pos;
    return 0;
}

static int run_xz(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out, size_t out_n,
                  size_t *ret_n, struct error *err)
{
    lzma_ret r;

    if (d->any && !d->inside) {
        while (*in_n && **in == 0) { /* padding between streams */
            ++*in;
            --*in_n;
        }
        if (!*in_n)
            return 0;
        if (lzma_stream_decoder(&d->xz, XZ_MEMORY_MAX, 0) != LZMA_OK)
            return error_set(err, -ENOMEM, "out of memory");
    }
    d->inside = true;
    d->xz.next_in = *in;
    d->xz.avail_in = *in_n;
    d->xz.next_out = out;
    d->xz.avail_out = out_n;
    r = lzma_code(&d->xz, LZMA_RUN);
    *in_n = d->xz.avail_in;
    *in = d->xz.next_in;
    *ret_n = out_n - d->xz.avail_out;
    if (r == LZMA_BUF_ERROR) /* wants more */
        r = LZMA_OK;
    if (r != LZMA_OK && r != LZMA_STREAM_END)
        return error_set(err, -EBADMSG, "the xz data is damaged or wants too much memory (%d)",
                         (int)r);
    if (r == LZMA_STREAM_END) {
        d->inside = false;
        d->any = true;
    }
    return 0;
}

static int run_bzip2(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out,
                     size_t out_n, size_t *ret_n, struct error *err)
{
    int r;

    if (!*in_n && !d->inside)
        return 0;
    if (d->any && !d->inside) { /* another stream follows */
        BZ2_bzDecompressEnd(&d->bzip2);
        d->bzip2 = (bz_stream){0};
        if (BZ2_bzDecompressInit(&d->bzip2, 0, 0) != BZ_OK)
            return error_set(err, -ENOMEM, "out of memory");
    }
    d->inside = true;
    d->bzip2.next_in = (char *)(uintptr_t)*in;
    d->bzip2.avail_in = (unsigned)min_of(*in_n, (size_t)1 << 30);
    d->bzip2.next_out = (char *)out;
    d->bzip2.avail_out = (unsigned)min_of(out_n, (size_t)1 << 30);
    r = BZ2_bzDecompress(&d->bzip2);
    *in_n -= (size_t)((const uint8_t *)d->bzip2.next_in - *in);
    *in = (const uint8_t *)d->bzip2.next_in;
    *ret_n = (size_t)((uint8_t *)d->bzip2.next_out - out);
    if (r != BZ_OK && r != BZ_STREAM_END)
        return error_set(err, -EBADMSG, "the bzip2 data is damaged (%d)", r);
    if (r == BZ_STREAM_END) {
        d->inside = false;
        d->any = true;
    }
    return 0;
}

int decoder_run(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out, size_t out_n,
                size_t *ret_n, struct error *err)
{
    size_t n;

    *ret_n = 0;
    if (d->kind == DECODE_GZIP)
        return run_gzip(d, in, in_n, out, out_n, ret_n, err);
    if (d->kind == DECODE_ZSTD)
        return run_zstd(d, in, in_n, out, out_n, ret_n, err);
    if (d->kind == DECODE_XZ)
        return run_xz(d, in, in_n, out, out_n, ret_n, err);
    if (d->kind == DECODE_BZIP2)
        return run_bzip2(d, in, in_n, out, out_n, ret_n, err);
    n = min_of(*in_n, out_n);
    memcpy(out, *in, n);
    *in += n;
    *in_n -= n;
    *ret_n = n;
    return 0;
}
