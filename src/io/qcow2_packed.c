/* SPDX-License-Identifier: Apache-2.0 */
#include "io/qcow2_packed.h"

#include <dlfcn.h>
#include <errno.h>
#include <zlib.h>

#include "base/log.h"

enum { ANY_WINDOW = -15 }; /* raw deflate */

void qcow2_packed_open(struct qcow2 *q)
{
    q->zlib = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
}

void qcow2_packed_close(struct qcow2 *q)
{
    if (q->zlib)
        dlclose(q->zlib);
    free(q->unpacked);
    free(q->packed);
}

static int unpack(struct qcow2 *q, size_t packed_len)
{
    __typeof__(&inflateInit2_) init;
    __typeof__(&inflate) run;
    __typeof__(&inflateEnd) end;
    z_stream s = {.next_in = q->packed,
                  .avail_in = (unsigned)packed_len,
                  .next_out = q->unpacked,
                  .avail_out = (unsigned)q->cluster_size};
    int r;

    if (!q->zlib) {
        log_warn("block", "%s: compressed clusters need the library libz.so.1", q->name);
        return -EIO;
    }
    *(void **)&init = dlsym(q->zlib, "inflateInit2_");
    *(void **)&run = dlsym(q->zlib, "inflate");
    *(void **)&end = dlsym(q->zlib, "inflateEnd");
    if (!init || !run || !end || init(&s, ANY_WINDOW, ZLIB_VERSION, (int)sizeof s) != Z_OK)
        return -EIO;
    r = run(&s, Z_FINISH);
    end(&s);
    if ((r == Z_STREAM_END || r == Z_BUF_ERROR) && !s.avail_out)
        return 0;
    log_warn("block", "%s: a compressed cluster is damaged", q->name);
    return -EIO;
}

/* Makes q->unpacked hold the cluster of @entry. Under q->unpack. */
static int fetch(struct qcow2 *q, uint64_t entry)
{
    uint64_t offset, len;
    int r;

    if (q->unpacked_entry == entry)
        return 0;
    if (!q->unpacked) /* the longest that an entry can name */
        q->packed = mem_alloc(1, 2 * q->cluster_size + 512);
    if (!q->unpacked && q->packed)
        q->unpacked = mem_alloc(1, q->cluster_size);
    if (!q->unpacked) {
        free(q->packed);
        q->packed = NULL;
        return -ENOMEM;
    }
    qcow2_packed_place(q, entry, &offset, &len);
    if (len > 2 * q->cluster_size)
        return -EIO;
    q->unpacked_entry = 0;
    r = disk_read(q->file, offset, q->packed, len);
    if (r == 0)
        r = unpack(q, len);
    if (r == 0)
        q->unpacked_entry = entry;
    return r;
}

int qcow2_packed_read(struct qcow2 *q, uint64_t entry, const struct block_request *r)
{
    uint64_t at = r->offset & (q->cluster_size - 1);
    int result;

    pthread_mutex_lock(&q->unpack);
    result = fetch(q, entry);
    for (unsigned i = 0; result == 0 && i < r->span_count; i++) {
        memcpy(r->spans[i].data, q->unpacked + at, r->spans[i].len);
        at += r->spans[i].len;
    }
    pthread_mutex_unlock(&q->unpack);
    return result;
}
