/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/decode.h"

enum { STEP = 256 << 10 };

struct layer_pack {
    struct blob_writer *blob;
    struct layer_job *job;
    struct encoder *encoder;
};

static int sink(void *opaque, const void *bytes, size_t n, struct error *err)
{
    struct layer_pack *p = opaque;
    int r = blob_append(p->blob, bytes, n, err);

    if (r == 0)
        layer_more(p->job, blob_offset(p->blob), false);
    return r;
}

void layer_pack_abort(struct layer_pack *p)
{
    if (!p)
        return;
    layer_abort(p->job);
    blob_abort(p->blob);
    encoder_free(p->encoder);
    free(p);
}

int layer_pack_begin(struct image_store *store, enum encode_kind kind, struct layer_pack **ret,
                     struct error *err)
{
    struct layer_pack *p = mem_new(struct layer_pack);
    uint64_t offset;
    int r = p ? blob_begin(store, NULL, false, &p->blob, &offset, err)
              : error_set(err, -ENOMEM, "out of memory");

    if (r == 0)
        r = layer_begin(store, NULL, p->blob, NULL, &p->job, err);
    if (r == 0) {
        p->encoder = encoder_new(kind, sink, p);
        r = p->encoder ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (r < 0) {
        layer_pack_abort(p);
        return r;
    }
    *ret = p;
    return 0;
}

int layer_pack_write(void *opaque, const void *bytes, size_t n, struct error *err)
{
    struct layer_pack *p = opaque;

    return encoder_write(p->encoder, bytes, n, false, err);
}

int layer_pack_finish(struct layer_pack *p, const struct layer *parents, size_t parent_count,
                      const char *diff_id, struct layer *ret, struct error *err)
{
    struct digest digest;
    int r = encoder_write(p->encoder, NULL, 0, true, err);

    if (r == 0) {
        layer_more(p->job, blob_offset(p->blob), true);
        r = layer_wait(p->job, err);
    }
    if (r == 0) {
        r = blob_commit(p->blob, &digest, err);
        p->blob = NULL;
    }
    if (r == 0) {
        layer_blob_is(p->job, &digest);
        r = layer_finish(p->job, parents, parent_count, diff_id, ret, err);
        p->job = NULL;
    }
    layer_pack_abort(p);
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

int layer_from_stream(struct image_store *store, layer_read_fn *read, void *opaque,
                      enum encode_kind kind, const struct layer *parents, size_t parent_count,
                      const char *diff_id, struct layer *ret, struct error *err)
{
    cleanup_free uint8_t *buf = malloc(STEP);
    ssize_t n =
        buf ? read_full(read, opaque, buf, STEP, err) : error_set(err, -ENOMEM, "out of memory");
    enum decode_kind have;
    struct layer_pack *p;
    int r;

    if (n < 0)
        return (int)n;
    r = decode_detect(buf, (size_t)n, &have, err);
    if (r == 0)
        r = layer_pack_begin(store, have == DECODE_PLAIN ? kind : ENCODE_PLAIN, &p, err);
    if (r < 0)
        return r;
    /* When the child has failed, layer_pack_finish says why. */
    while (r == 0 && n > 0 && !layer_failed(p->job)) {
        r = layer_pack_write(p, buf, (size_t)n, err);
        if (r == 0)
            n = read_full(read, opaque, buf, STEP, err);
        if (n < 0)
            r = (int)n;
    }
    if (r < 0) {
        layer_pack_abort(p);
        return r;
    }
    return layer_pack_finish(p, parents, parent_count, diff_id, ret, err);
}
