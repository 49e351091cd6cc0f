/* SPDX-License-Identifier: Apache-2.0 */
#include "io/disk_file.h"

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
#include "base/own.h"
#include "io/disk_probe.h"

enum { IOV_AT_ONCE = 64, ZEROES = 64 << 10 };

struct disk_file {
    struct disk disk;
    int fd;
    char *path;          /* for messages */
    uint64_t file_bytes; /* when opened; between this and the size there are zeroes */
    bool growing, guarded, no_flush;
    bool flush_failed; /* atomic: an fdatasync failed, so nothing is sure any more */
    bool no_zero_range, no_punch, no_nowait, told; /* atomic: found out on the way */
};

static struct disk_file *file_of(const struct disk *d)
{
    return container_of((struct disk *)(uintptr_t)d, struct disk_file, disk);
}

static bool get_flag(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static void set_flag(bool *flag)
{
    __atomic_store_n(flag, true, __ATOMIC_RELAXED);
}

/* Says once for each drive why requests of the guest fail: it sees no more than an I/O error. */
static int failed(struct disk_file *d, int code, const char *what)
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

static int device_limits(struct disk_file *d, struct error *err)
{
    unsigned physical = 512;

    if (ioctl(d->fd, BLKGETSIZE64, &d->file_bytes) < 0)
        return error_set_errno(err, -errno, "read the size of the device");
    (void)ioctl(d->fd, BLKPBSZGET, &physical);
    d->disk.physical_block = physical;
    return 0;
}

/* Opens what is no directory, fifo or the like. */
static int open_path(struct disk_file *d, const struct disk_file_options *o, struct error *err)
{
    int flags =
        (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | o->open_flags;
    struct stat st;

    if (!o->open_flags) {
        if (stat(d->path, &st) < 0)
            return error_set_errno(err, -errno, "look at it");
        if (S_ISDIR(st.st_mode))
            return error_set(err, -EISDIR, "it is a directory");
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
            return error_set(err, -EINVAL, "it is neither a file nor a block device");
        if (S_ISBLK(st.st_mode) && !o->readonly)
            flags |= O_EXCL; /* refused while the host has it mounted */
    }
    d->fd = open(d->path, flags, 0600);
    if (d->fd < 0 && errno == EBUSY)
        return error_set(err, -EBUSY, "in use: the host has it mounted or open");
    if (d->fd < 0)
        return error_set_errno(err, -errno, "open for %s",
                               o->readonly ? "reading" : "reading and writing");
    return 0;
}

static int open_file(struct disk_file *d, const struct disk_file_options *o, struct error *err)
{
    struct stat st;
    int r = open_path(d, o, err);

    if (r == 0 && fstat(d->fd, &st) < 0)
        r = error_set_errno(err, -errno, "look at it");
    if (r == 0 && !o->no_lock)
        r = lock_file(d->fd, o->readonly, err);
    if (r < 0)
        return r;
    d->disk.physical_block = 4096;
    d->file_bytes = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode))
        r = device_limits(d, err);
    if (r < 0)
        return r;
    if (!d->file_bytes && !o->growing)
        return error_set(err, -EINVAL, "it is empty");
    d->disk.size = o->growing ? d->file_bytes : (d->file_bytes + 511) & ~511ull;
    d->disk.readonly = o->readonly;
    d->disk.can_discard = !o->readonly && !o->no_discard;
    d->growing = o->growing;
    d->guarded = o->guarded;
    d->no_flush = o->no_flush;
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
static int read_at_end(struct disk_file *d, const struct block_request *r, size_t done)
{
    if (!d->growing && r->offset + done < d->file_bytes)
        return failed(d, -EIO, "the file became shorter while in use");
    zero_rest(r, done); /* the last, partial sector */
    return 0;
}

static int transfer(struct disk_file *d, const struct block_request *r)
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

static int file_attempt(struct disk *disk, const struct block_request *r)
{
    struct disk_file *d = file_of(disk);
    struct iovec iov[IOV_AT_ONCE];
    ssize_t n;

    if (r->op != BLOCK_READ || get_flag(&d->no_nowait) || r->span_count > IOV_AT_ONCE)
        return BLOCK_WOULD_WAIT;
    n = preadv2(d->fd, iov, gather(r, 0, iov), (off_t)r->offset, RWF_NOWAIT);
    if (n == (ssize_t)r->len)
        return 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        set_flag(&d->no_nowait); /* this file system cannot say */
    return BLOCK_WOULD_WAIT;
}

static int flush(struct disk_file *d)
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
static int allocate(struct disk_file *d, bool *unable, int mode, uint64_t at, uint64_t len)
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

static int write_zeroes(struct disk_file *d, const struct block_request *r)
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

/* Whether a write would make a raw drive whose format was guessed look like another format. */
static bool disguises(struct disk_file *d, const struct block_request *r)
{
    uint8_t head[DISK_PROBE_HEAD] = {0};
    size_t have = 0;

    if (!d->guarded || r->op != BLOCK_WRITE || r->offset >= sizeof head)
        return false;
    if (r->offset && pread(d->fd, head, (size_t)r->offset, 0) < 0)
        return true;
    have = (size_t)r->offset;
    for (unsigned i = 0; i < r->span_count && have < sizeof head; i++) {
        size_t n = min_of(r->spans[i].len, sizeof head - have);
        memcpy(head + have, r->spans[i].data, n);
        have += n;
    }
    if (have < sizeof head && pread(d->fd, head + have, sizeof head - have, (off_t)have) < 0)
        return true;
    return disk_probe_head(head, sizeof head) != NULL;
}

static int file_run(struct disk *disk, const struct block_request *r)
{
    struct disk_file *d = file_of(disk);
    int result;

    switch (r->op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
        if (disguises(d, r))
            return failed(d, -EIO,
                          "refusing to write the header of another disk format into a drive whose "
                          "format was guessed; say format=raw if the guest may");
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

/* Holes are zeroes. */
static uint64_t file_zeroes(struct disk *disk, uint64_t offset, uint64_t len)
{
    struct disk_file *d = file_of(disk);
    off_t data = lseek(d->fd, (off_t)offset, SEEK_DATA);

    if (data < 0)
        return errno == ENXIO ? len : 0;
    return min_of((uint64_t)data - offset, len) & ~511ull;
}

static int file_close(struct disk *disk)
{
    struct disk_file *d = file_of(disk);

    close_fd(&d->fd);
    free(d->path);
    free(d);
    return 0;
}

static const struct disk_ops file_ops = {
    .attempt = file_attempt,
    .run = file_run,
    .zeroes = file_zeroes,
    .close = file_close,
};

int disk_file_fd(const struct disk *d)
{
    return d->ops == &file_ops ? file_of(d)->fd : -1;
}

struct disk *disk_file_open(const char *path, const struct disk_file_options *options,
                            struct error *err)
{
    struct disk_file *d = mem_new(struct disk_file);

    if (!d) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    d->disk.ops = &file_ops;
    d->disk.format = "raw";
    d->fd = -1;
    d->path = strdup(path);
    if (!d->path)
        error_set(err, -ENOMEM, "out of memory");
    if (!d->path || open_file(d, options, err) < 0) {
        file_close(&d->disk);
        return NULL;
    }
    return &d->disk;
}
