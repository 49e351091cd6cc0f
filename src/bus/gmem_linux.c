/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/gmem_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int gmem_host_new(struct gmem_host *h, uint64_t bytes, struct error *err)
{
    void *data;
    int fd = memfd_create("isola-guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return error_set_errno(err, -errno, "create guest memory of %llu MiB",
                               (unsigned long long)(bytes >> 20));
    if (ftruncate(fd, (off_t)bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        int r = -errno;
        close(fd);
        return error_set_errno(err, r, "size guest memory to %llu MiB",
                               (unsigned long long)(bytes >> 20));
    }
    data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (data == MAP_FAILED) {
        int r = -errno;
        close(fd);
        return error_set_errno(err, r, "map guest memory of %llu MiB",
                               (unsigned long long)(bytes >> 20));
    }
    *h = (struct gmem_host){.data = data, .bytes = bytes, .fd = fd};
    return 0;
}

int gmem_host_map(struct gmem_host *h, int fd, uint64_t bytes, struct error *err)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct stat st;
    void *data;

    if (own < 0 || fstat(own, &st) < 0) {
        int r = error_set_errno(err, -errno, "open saved guest memory");
        if (own >= 0)
            close(own);
        return r;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size < bytes) {
        close(own);
        return error_set(err, -EINVAL, "map saved guest memory: it has %lld bytes, not %llu",
                         (long long)st.st_size, (unsigned long long)bytes);
    }
    data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, own, 0);
    if (data == MAP_FAILED) {
        int r = -errno;
        close(own);
        return error_set_errno(err, r, "map %llu MiB of saved guest memory",
                               (unsigned long long)(bytes >> 20));
    }
    *h = (struct gmem_host){.data = data, .bytes = bytes, .fd = own};
    return 0;
}

void gmem_host_done(struct gmem_host *h)
{
    if (h->data)
        munmap(h->data, h->bytes);
    if (h->fd >= 0)
        close(h->fd);
    *h = (struct gmem_host){.fd = -1};
}

int gmem_host_seal(struct gmem_host *h, struct error *err)
{
    /* A write seal needs that no shared mapping could become writable: ours becomes, in place, a
     * private one for reading, which shows the same pages. */
    if (mmap(h->data, h->bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, h->fd, 0) ==
            MAP_FAILED ||
        fcntl(h->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return error_set_errno(err, -errno, "seal guest memory");
    return 0;
}

int gmem_host_discard(struct gmem_host *h, uint64_t offset, uint64_t len)
{
    return fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) <
                   0
               ? -errno
               : 0;
}

int gmem_host_clear(struct gmem_host *h, struct error *err)
{
    if (fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)h->bytes) < 0)
        return error_set_errno(err, -errno, "clear guest memory");
    return 0;
}
