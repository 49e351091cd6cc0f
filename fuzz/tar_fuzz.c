/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar reader on any bytes, given in pieces: it must end, stay within its limits, and give each
 * entry data that agrees with its header. What it reads is written again, and must read the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/tar_read.h"
#include "image/tar_write.h"

struct input {
    const uint8_t *bytes;
    size_t n, step;
};

static int fill(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    struct input *in = opaque;

    (void)err;
    *ret = in->bytes;
    *ret_n = min_of(in->n, in->step);
    in->bytes += *ret_n;
    in->n -= *ret_n;
    return 0;
}

static int sink(void *opaque, const void *bytes, size_t n, struct error *err)
{
    (void)err;
    str_add_n(opaque, bytes, n);
    return 0;
}

static void check_entry(const struct tar_entry *e)
{
    uint64_t end = 0;

    assert(e->path && e->link && e->mode <= 07777 && e->mtime_ns < 1000000000);
    for (size_t i = 0; i < e->extent_count; i++) {
        assert(e->extents[i].offset >= end);
        end = e->extents[i].offset + e->extents[i].size;
        assert(end <= e->size);
    }
}

static void same_again(const struct tar_entry *e)
{
    struct str out = {0};
    struct tar_writer *w = tar_writer_new(sink, &out);
    struct tar_entry header = *e;
    const struct tar_entry *again;

    header.sparse = 0;
    header.extent_count = 0;
    header.size = 0;
    if (w && *e->path && *e->path != '/' && tar_write_entry(w, &header, NULL) == 0 &&
        tar_write_end(w, NULL) == 0 && !out.failed) {
        struct input in = {(const uint8_t *)out.data, out.len, out.len};
        struct tar_reader *t = tar_reader_new(fill, &in);
        struct error err = {0};
        int r = tar_next(t, &again, &err);
        assert(r == 1 && again->type == e->type && strcmp(again->path, e->path) == 0);
        assert(strcmp(again->link, e->link) == 0 && again->mode == e->mode);
        assert(again->mtime == e->mtime && again->mtime_ns == e->mtime_ns);
        if ((int64_t)e->uid >= 0 && (int64_t)e->gid >= 0)
            assert(again->uid == e->uid && again->gid == e->gid);
        assert(again->xattr_count == e->xattr_count);
        tar_reader_free(t);
    }
    tar_writer_free(w);
    str_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size, 1 + size % 777};
    struct tar_reader *t = tar_reader_new(fill, &in);
    const struct tar_entry *e;

    while (t && tar_next(t, &e, NULL) > 0) {
        const uint8_t *p;
        size_t n;
        uint64_t got = 0;
        int r;
        check_entry(e);
        same_again(e);
        while ((r = tar_data(t, &p, &n, NULL)) == 0 && n)
            got += n;
        if (r == 0 && !e->sparse)
            assert(got == e->size);
    }
    tar_reader_free(t);
    return 0;
}
