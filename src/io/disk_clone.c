/* SPDX-License-Identifier: Apache-2.0 */
#include "io/disk_clone.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/disk_file.h"
#include "io/disk_image.h"
#include "io/qcow2.h"

enum { PIECE = 1 << 20, GRAIN = 4096 };

struct disk *disk_new_file(const char *path, struct error *err)
{
    const struct disk_file_options o = {.growing = true, .open_flags = O_CREAT | O_EXCL};
    struct disk *file = disk_file_open(path, &o, err);

    if (!file && err->code == -EEXIST)
        error_set(err, -EEXIST, "%s exists; remove it first or name another file", path);
    else if (!file)
        error_wrap(err, err->code, "%s", path);
    return file;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
    return !bytes[0] && memcmp(bytes, bytes + 1, n - 1) == 0;
}

/* Writes what of @bytes is not zero, in runs of grains. */
static int write_used(struct disk *to, uint64_t offset, const uint8_t *bytes, size_t n)
{
    size_t begin = 0;
    int r = 0;

    for (size_t at = 0; r == 0 && at <= n; at += GRAIN) {
        size_t len = at < n ? min_of((size_t)GRAIN, n - at) : 0;
        if (len && !all_zero(bytes + at, len))
            continue;
        if (at > begin)
            r = disk_write(to, offset + begin, bytes + begin, min_of(at, n) - begin);
        begin = at + GRAIN;
    }
    if (r == 0 && begin < n) /* the last grain is a part of one */
        r = disk_write(to, offset + begin, bytes + begin, n - begin);
    return r;
}

static int copy_all(struct disk *from, struct disk *to, struct error *err)
{
    uint8_t *bytes = mem_alloc(1, PIECE);
    int r = bytes ? 0 : error_set(err, -ENOMEM, "out of memory");

    for (uint64_t at = 0; r == 0 && at < from->size;) {
        uint64_t skip = disk_zeroes(from, at, from->size - at), n;
        if (skip) {
            at += skip;
            continue;
        }
        n = min_of(from->size - at, (uint64_t)PIECE - at % PIECE);
        r = disk_read(from, at, bytes, n);
        if (r < 0)
            error_set_errno(err, r, "read the disk");
        else if ((r = write_used(to, at, bytes, n)) < 0)
            error_set_errno(err, r, "write the new image");
        at += n;
    }
    if (r == 0 && (r = disk_flush(to)) < 0)
        error_set_errno(err, r, "write the new image");
    free(bytes);
    return r;
}

/* Makes @file an empty image of @size; @ret_disk takes the disk's bytes. Takes @file. */
static int make_empty(struct disk *file, const char *path, const char *format, uint64_t size,
                      struct disk **ret_disk, struct error *err)
{
    const struct qcow2_create c = {.size = size};
    const struct qcow2_options o = {0};
    int r;

    if (strcmp(format, "raw") == 0) {
        *ret_disk = file;
        if (ftruncate(disk_file_fd(file), (off_t)size) == 0)
            return 0;
        r = error_set_errno(err, -errno, "set its size");
        disk_close(file);
        return r;
    }
    r = qcow2_create(file, &c, err);
    if (r < 0) {
        disk_close(file);
        return r;
    }
    *ret_disk = qcow2_open(file, NULL, path, &o, err);
    return *ret_disk ? 0 : err->code;
}

int disk_clone_new(struct disk *from, const char *to, const char *to_format, struct error *err)
{
    struct disk *file = disk_new_file(to, err), *disk = NULL;
    int r, closed;

    if (!file)
        return err->code;
    r = make_empty(file, to, to_format, from->size, &disk, err);
    if (r == 0) {
        r = copy_all(from, disk, err);
        closed = disk_close(disk);
        if (r == 0 && closed < 0)
            r = error_set_errno(err, closed, "write the new image");
    }
    if (r < 0)
        unlink(to);
    return r;
}

int disk_overlay_new(const char *below, const char *path, struct error *err)
{
    struct disk *base = disk_image_file(below, err), *file;
    struct qcow2_info info;
    int r = base ? qcow2_info(base, &info, err) : err->code, closed;

    disk_close(base);
    if (r < 0)
        return error_wrap(err, r, "%s", below);
    const struct qcow2_create c = {.size = info.size, .backing = below, .backing_format = "qcow2"};
    file = disk_new_file(path, err);
    if (!file)
        return err->code;
    r = qcow2_create(file, &c, err);
    closed = disk_close(file);
    if (r == 0 && closed < 0)
        r = error_set_errno(err, closed, "write %s", path);
    if (r < 0)
        unlink(path);
    return r;
}
