/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/gmem_host.h"

#include <errno.h>

#include "base/mem.h"

int gmem_host_new(struct gmem_host *h, uint64_t bytes, struct error *err)
{
    void *data = bytes > SIZE_MAX ? NULL : mem_alloc(1, (size_t)bytes);

    if (!data)
        return error_set(err, -ENOMEM, "create guest memory of %llu MiB: out of memory",
                         (unsigned long long)(bytes >> 20));
    *h = (struct gmem_host){.data = data, .bytes = bytes, .fd = -1};
    return 0;
}

void gmem_host_done(struct gmem_host *h)
{
    free(h->data);
    *h = (struct gmem_host){.fd = -1};
}

int gmem_host_seal(struct gmem_host *h, struct error *err)
{
    (void)h;
    (void)err;
    return 0; /* one program alone in its memory: nobody else could write */
}

int gmem_host_discard(struct gmem_host *h, uint64_t offset, uint64_t len)
{
    memset(h->data + offset, 0, (size_t)len);
    return 0;
}

int gmem_host_clear(struct gmem_host *h, struct error *err)
{
    (void)err;
    memset(h->data, 0, (size_t)h->bytes);
    return 0;
}

int gmem_host_map(struct gmem_host *h, int fd, uint64_t bytes, struct error *err)
{
    (void)h;
    (void)fd;
    (void)bytes;
    return error_set(err, -ENOTSUP, "map saved guest memory: this host has no files to map");
}
