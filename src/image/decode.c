/* SPDX-License-Identifier: Apache-2.0 */
#include "image/decode.h"

#include <errno.h>
#include <isa-l.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"

struct decoder {
    enum decode_kind kind;
    bool inside; /* a member or frame has begun and not ended */
    bool any;    /* one has ended */
    ZSTD_DStream *zstd;
    struct inflate_state *gzip;
};

int decode_detect(const uint8_t *p, size_t n, enum decode_kind *ret, struct error *err)
{
    if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
        *ret = DECODE_GZIP;
    else if (n >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
        *ret = DECODE_ZSTD;
    else if (n >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
        *ret = DECODE_ZSTD; /* a skippable frame comes first, as in zstd:chunked */
    else if (n >= 6 && memcmp(p,
                              "\xfd"
                              "7zXZ",
                              6) == 0)
        return error_set(err, -ENOTSUP,
                         "it is compressed by xz; unpack it first: xz -dc FILE | ...");
    else if (n >= 3 && memcmp(p, "BZh", 3) == 0)
        return error_set(err, -ENOTSUP,
                         "it is compressed by bzip2; unpack it first: bzip2 -dc FILE | ...");
    else
        *ret = DECODE_PLAIN;
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
    if ((kind == DECODE_ZSTD && !d->zstd) || (kind == DECODE_GZIP && !d->gzip)) {
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

int decoder_run(struct decoder *d, const uint8_t **in, size_t *in_n, uint8_t *out, size_t out_n,
                size_t *ret_n, struct error *err)
{
    size_t n;

    *ret_n = 0;
    if (d->kind == DECODE_GZIP)
        return run_gzip(d, in, in_n, out, out_n, ret_n, err);
    if (d->kind == DECODE_ZSTD)
        return run_zstd(d, in, in_n, out, out_n, ret_n, err);
    n = min_of(*in_n, out_n);
    memcpy(out, *in, n);
    *in += n;
    *in_n -= n;
    *ret_n = n;
    return 0;
}
