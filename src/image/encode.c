/* SPDX-License-Identifier: Apache-2.0 */
#include "image/encode.h"

#include <errno.h>
#include <isa-l.h>
#include <stdint.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"

enum { OUT_SIZE = 128 << 10, GZIP_LEVEL = 2, ZSTD_LEVEL = 3 };

struct encoder {
    enum encode_kind kind;
    encode_sink_fn *sink;
    void *opaque;
    struct isal_zstream *gzip;
    uint8_t *level_buf, *out;
    ZSTD_CStream *zstd;
};

int encode_kind_parse(const char *name, enum encode_kind *ret, struct error *err)
{
    if (!name || strcmp(name, "gzip") == 0)
        *ret = ENCODE_GZIP;
    else if (strcmp(name, "zstd") == 0)
        *ret = ENCODE_ZSTD;
    else if (strcmp(name, "none") == 0)
        *ret = ENCODE_PLAIN;
    else
        return error_set(err, -EINVAL, "\"%s\" is no compression; there are gzip, zstd and none",
                         name);
    return 0;
}

const char *encode_media_type(enum encode_kind kind)
{
    switch (kind) {
    case ENCODE_PLAIN:
        break;
    case ENCODE_GZIP:
        return "application/vnd.oci.image.layer.v1.tar+gzip";
    case ENCODE_ZSTD:
        return "application/vnd.oci.image.layer.v1.tar+zstd";
    }
    return "application/vnd.oci.image.layer.v1.tar";
}

static bool start_gzip(struct encoder *e)
{
    static struct isal_gzip_header header; /* all zero: no name, no time */

    e->gzip = mem_new(struct isal_zstream);
    e->level_buf = malloc(ISAL_DEF_LVL2_DEFAULT);
    if (!e->gzip || !e->level_buf)
        return false;
    isal_deflate_init(e->gzip);
    e->gzip->level = GZIP_LEVEL;
    e->gzip->level_buf = e->level_buf;
    e->gzip->level_buf_size = ISAL_DEF_LVL2_DEFAULT;
    e->gzip->gzip_flag = IGZIP_GZIP_NO_HDR;
    e->gzip->next_out = e->out;
    e->gzip->avail_out = OUT_SIZE;
    isal_gzip_header_init(&header);
    header.os = 255; /* unknown: the same on every host */
    return isal_write_gzip_header(e->gzip, &header) == 0;
}

struct encoder *encoder_new(enum encode_kind kind, encode_sink_fn *sink, void *opaque)
{
    struct encoder *e = mem_new(struct encoder);
    bool ok;

    if (!e)
        return NULL;
    e->kind = kind;
    e->sink = sink;
    e->opaque = opaque;
    e->out = malloc(OUT_SIZE);
    ok = e->out;
    if (ok && kind == ENCODE_GZIP)
        ok = start_gzip(e);
    if (ok && kind == ENCODE_ZSTD) {
        e->zstd = ZSTD_createCStream();
        ok = e->zstd && !ZSTD_isError(ZSTD_initCStream(e->zstd, ZSTD_LEVEL));
    }
    if (!ok) {
        encoder_free(e);
        return NULL;
    }
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    ZSTD_freeCStream(e->zstd);
    free(e->gzip);
    free(e->level_buf);
    free(e->out);
    free(e);
}

static int flush_gzip(struct encoder *e, struct error *err)
{
    size_t n = OUT_SIZE - e->gzip->avail_out;
    int r = n ? e->sink(e->opaque, e->out, n, err) : 0;

    e->gzip->next_out = e->out;
    e->gzip->avail_out = OUT_SIZE;
    return r;
}

/* IGZIP_GZIP_NO_HDR still writes the trailer. */
static int write_gzip(struct encoder *e, const uint8_t *bytes, size_t n, bool last,
                      struct error *err)
{
    do {
        uint32_t part = (uint32_t)min_of(n, (size_t)1 << 30);
        int r;
        e->gzip->next_in = (uint8_t *)(uintptr_t)bytes;
        e->gzip->avail_in = part;
        e->gzip->end_of_stream = last && part == n;
        do {
            if (isal_deflate(e->gzip) != COMP_OK)
                return error_set(err, -EIO, "gzip compression failed");
            r = e->gzip->avail_out == 0 || e->gzip->end_of_stream ? flush_gzip(e, err) : 0;
            if (r < 0)
                return r;
        } while (e->gzip->avail_in ||
                 (e->gzip->end_of_stream && e->gzip->internal_state.state != ZSTATE_END));
        bytes += part;
        n -= part;
    } while (n);
    return 0;
}

static int write_zstd(struct encoder *e, const void *bytes, size_t n, bool last, struct error *err)
{
    ZSTD_inBuffer in = {bytes, n, 0};
    size_t left;

    do {
        ZSTD_outBuffer out = {e->out, OUT_SIZE, 0};
        int r;
        left = ZSTD_compressStream2(e->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return error_set(err, -EIO, "zstd compression failed (%s)", ZSTD_getErrorName(left));
        r = out.pos ? e->sink(e->opaque, e->out, out.pos, err) : 0;
        if (r < 0)
            return r;
    } while (in.pos < in.size || (last && left));
    return 0;
}

int encoder_write(struct encoder *e, const void *bytes, size_t n, bool last, struct error *err)
{
    switch (e->kind) {
    case ENCODE_PLAIN:
        break;
    case ENCODE_GZIP:
        return write_gzip(e, bytes, n, last, err);
    case ENCODE_ZSTD:
        return write_zstd(e, bytes, n, last, err);
    }
    return n ? e->sink(e->opaque, bytes, n, err) : 0;
}
