/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/decode.h"

enum { STEP = 256 << 10 };

/* Where compressed bytes go. */
struct flow {
    struct blob_writer *blob;
    struct layer_job *job;
};

static int flow_sink(void *opaque, const void *bytes, size_t n, struct error *err)
{
    struct flow *f = opaque;
    int r = blob_append(f->blob, bytes, n, err);

    if (r == 0)
        layer_more(f->job, blob_offset(f->blob), false);
    return r;
}

ssize_t layer_read_fd(void *opaque, void *buf, size_t n, struct error *err)
{
    ssize_t got;

    do
        got = read(*(int *)opaque, buf, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? error_set_errno(err, -errno, "read the archive") : got;
}

/* Fills @buf unless the end comes before. */
static ssize_t read_full(layer_read_fn *read, void *opaque, uint8_t *buf, size_t size,
                         struct error *err)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(opaque, buf + n, size - n, err);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

static int copy(struct flow *f, layer_read_fn *read, void *opaque, enum encode_kind kind,
                struct error *err)
{
    cleanup_free uint8_t *buf = malloc(STEP);
    ssize_t n =
        buf ? read_full(read, opaque, buf, STEP, err) : error_set(err, -ENOMEM, "out of memory");
    enum decode_kind have;
    struct encoder *e;
    int r;

    if (n < 0)
        return (int)n;
    r = decode_detect(buf, (size_t)n, &have, err);
    if (r < 0)
        return r;
    e = encoder_new(have == DECODE_PLAIN ? kind : ENCODE_PLAIN, flow_sink, f);
    if (!e)
        return error_set(err, -ENOMEM, "out of memory");
    while (r == 0 && n > 0 && !layer_failed(f->job)) {
        r = encoder_write(e, buf, (size_t)n, false, err);
        if (r == 0)
            n = read_full(read, opaque, buf, STEP, err);
        if (n < 0)
            r = (int)n;
    }
    if (r == 0)
        r = encoder_write(e, NULL, 0, true, err);
    encoder_free(e);
    return r;
}

int layer_from_stream(struct image_store *store, layer_read_fn *read, void *opaque,
                      enum encode_kind kind, const struct layer *parents, size_t parent_count,
                      const char *diff_id, struct layer *ret, struct error *err)
{
    struct flow f = {0};
    struct digest digest;
    uint64_t offset;
    int r = blob_begin(store, NULL, false, &f.blob, &offset, err);

    if (r < 0)
        return r;
    r = layer_begin(store, NULL, f.blob, NULL, &f.job, err);
    if (r == 0)
        r = copy(&f, read, opaque, kind, err);
    if (r < 0) {
        layer_abort(f.job);
        blob_abort(f.blob);
        return r;
    }
    layer_more(f.job, blob_offset(f.blob), true);
    r = blob_commit(f.blob, &digest, err);
    if (r < 0) {
        layer_abort(f.job);
        return r;
    }
    layer_blob_is(f.job, &digest);
    return layer_finish(f.job, parents, parent_count, diff_id, ret, err);
}
