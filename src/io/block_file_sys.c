/* SPDX-License-Identifier: Apache-2.0 */
#include "io/block_file_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { IOV_AT_ONCE = 64, ZEROES = 64 << 10 };

static bool get_flag(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static void set_flag(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
}

/* Says once for each drive why requests of the guest fail: it sees no more than an I/O error. */
static int failed(struct block_file_data *d, int code, const char *what)
{
    if (!__atomic_exchange_n(&d->told, true, __ATOMIC_RELAXED))
        log_warn("block", "%s: %s", d->path, what);
    return code;
}

static int lock_file(int fd, bool readonly, struct error *err)
{
    struct flock lock = {.l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return error_set(err, -EBUSY, "in use: %s",
                         readonly ? "it is open for writing elsewhere" : "it is open elsewhere");
    if (errno == EINVAL || errno == ENOLCK || errno == EOPNOTSUPP) {
        log_info("block", "the file system keeps no locks");
        return 0;
    }
    return error_set_errno(err, -errno, "lock");
}

static int device_limits(struct block_file_data *d, struct block *ret, struct error *err)
{
    unsigned physical = 512;

    if (ioctl(d->fd, BLKGETSIZE64, &d->file_bytes) < 0)
        return error_set_errno(err, -errno, "read the size of the device");
    (void)ioctl(d->fd, BLKPBSZGET, &physical);
    ret->physical_block = physical;
    return 0;
}

int block_file_open_data(struct block_file_data *d, const struct block_file_options *options,
                         struct block *ret, struct error *err)
{
    int flags = (options->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, r;
    struct stat st;

    if (stat(d->path, &st) < 0)
        return error_set_errno(err, -errno, "look at it");
    if (S_ISDIR(st.st_mode))
        return error_set(err, -EISDIR, "it is a directory");
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(err, -EINVAL, "it is neither a file nor a block device");
    if (S_ISBLK(st.st_mode) && !options->readonly)
        flags |= O_EXCL; /* refused while the host has it mounted */
    d->fd = open(d->path, flags);
    if (d->fd < 0 && errno == EBUSY)
        return error_set(err, -EBUSY, "in use: the host has it mounted or open");
    if (d->fd < 0)
        return error_set_errno(err, -errno, "open for %s",
                               options->readonly ? "reading" : "reading and writing");
    if (fstat(d->fd, &st) < 0)
        return error_set_errno(err, -errno, "look at it");
    if (!options->no_lock) {
        r = lock_file(d->fd, options->readonly, err);
        if (r < 0)
            return r;
    }
    ret->physical_block = 4096;
    d->file_bytes = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode)) {
        r = device_limits(d, ret, err);
        if (r < 0)
            return r;
    }
    if (!d->file_bytes)
        return error_set(err, -EINVAL, "it is empty");
    d->size = (d->file_bytes + 511) & ~511ull;
    ret->size = d->size;
    ret->readonly = options->readonly;
    d->no_flush = options->no_flush;
    ret->can_discard = !options->readonly && !options->no_discard;
    return 0;
}

/* The iovec of what is left of a request after @done bytes; the number of entries. */
static int gather(const struct block_request *r, size_t done, struct iovec *iov)
{
    int count = 0;

    for (unsigned i = 0; i < r->span_count && count < IOV_AT_ONCE; i++) {
        size_t skip = min_of(done, r->spans[i].len);
        done -= skip;
        if (r->spans[i].len > skip)
            iov[count++] = (struct iovec){.iov_base = r->spans[i].data + skip,
                                          .iov_len = r->spans[i].len - skip};
    }
    return count;
}

/* Zeroes what is left of a read after @done bytes. */
static void zero_rest(const struct block_request *r, size_t done)
{
    for (unsigned i = 0; i < r->span_count; i++) {
        size_t skip = min_of(done, r->spans[i].len);
        done -= skip;
        memset(r->spans[i].data + skip, 0, r->spans[i].len - skip);
    }
}

/* A read met the end of the file @done bytes in. */
static int read_at_end(struct block_file_data *d, const struct block_request *r, size_t done)
{
    if (r->offset + done < d->file_bytes)
        return failed(d, -EIO, "the file became shorter while in use");
    zero_rest(r, done); /* the last, partial sector */
    return 0;
}

static int transfer(struct block_file_data *d, const struct block_request *r)
{
    size_t done = 0;

    while (done < r->len) {
        struct iovec iov[IOV_AT_ONCE];
        int count = gather(r, done, iov);
        off_t at = (off_t)(r->offset + done);
        ssize_t n =
            r->op == BLOCK_READ ? preadv(d->fd, iov, count, at) : pwritev(d->fd, iov, count, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int code = -errno;
            return failed(d, code == -ENOSPC || code == -EDQUOT ? -ENOSPC : -EIO,
                          code == -ENOSPC   ? "no space left on the host"
                          : code == -EDQUOT ? "disk quota exceeded"
                                            : strerrordesc_np(-code));
        }
        if (n == 0)
            return r->op == BLOCK_READ ? read_at_end(d, r, done)
                                       : failed(d, -EIO, "the drive takes no more");
        done += (size_t)n;
    }
    return 0;
}

int block_file_read_cached(struct block_file_data *d, const struct block_request *r)
{
    struct iovec iov[IOV_AT_ONCE];
    ssize_t n;

    if (get_flag(&d->no_nowait) || r->span_count > IOV_AT_ONCE)
        return BLOCK_WOULD_WAIT;
    n = preadv2(d->fd, iov, gather(r, 0, iov), (off_t)r->offset, RWF_NOWAIT);
    if (n == (ssize_t)r->len)
        return 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        set_flag(&d->no_nowait); /* this file system cannot say */
    return BLOCK_WOULD_WAIT;
}

static int flush(struct block_file_data *d)
{
    if (d->no_flush)
        return 0;
    /*
     * After a failed fdatasync the host may have dropped what it could not write and would call the
     * next one a success.
     */
    if (get_flag(&d->flush_failed))
        return -EIO;
    while (fdatasync(d->fd) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EROFS || errno == EINVAL)
            return 0; /* nothing that could be flushed */
        set_flag(&d->flush_failed);
        return failed(d, -EIO, "writes could not be made durable");
    }
    return 0;
}

/* fallocate that remembers in @unable when the file system does not do this. */
static int allocate(struct block_file_data *d, bool *unable, int mode, uint64_t at, uint64_t len)
{
    if (get_flag(unable))
        return -EOPNOTSUPP;
    while (fallocate(d->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV) {
            set_flag(unable);
            return -EOPNOTSUPP;
        }
        return failed(d, errno == ENOSPC ? -ENOSPC : -EIO, strerrordesc_np(errno));
    }
    return 0;
}

static int write_zeroes(struct block_file_data *d, const struct block_request *r)
{
    static const uint8_t zeroes[ZEROES];
    int result = -EOPNOTSUPP;

    if (r->unmap)
        result = allocate(d, &d->no_punch, FALLOC_FL_PUNCH_HOLE, r->offset, r->len);
    if (result == -EOPNOTSUPP)
        result = allocate(d, &d->no_zero_range, FALLOC_FL_ZERO_RANGE, r->offset, r->len);
    if (result != -EOPNOTSUPP)
        return result;
    for (uint64_t done = 0; done < r->len;) {
        struct block_span span = {.data = (uint8_t *)(uintptr_t)zeroes,
                                  .len = (size_t)min_of(r->len - done, (uint64_t)ZEROES)};
        struct block_request part = {.op = BLOCK_WRITE,
                                     .offset = r->offset + done,
                                     .len = span.len,
                                     .spans = &span,
                                     .span_count = 1};
        result = transfer(d, &part);
        if (result < 0)
            return result;
        done += span.len;
    }
    return 0;
}

int block_file_do(struct block_file_data *d, const struct block_request *r)
{
    int result;

    switch (r->op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        return transfer(d, r);
    case BLOCK_FLUSH:
        return flush(d);
    case BLOCK_DISCARD:
        if (!r->len)
            return 0;
        result = allocate(d, &d->no_punch, FALLOC_FL_PUNCH_HOLE, r->offset, r->len);
        return result == -EOPNOTSUPP ? 0 : result; /* advice only */
    case BLOCK_WRITE_ZEROES:
        return r->len ? write_zeroes(d, r) : 0;
    }
    return -EINVAL;
}
