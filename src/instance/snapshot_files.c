/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/snapshot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/json.h"

enum { FORMAT = 1, RUN_PAGES = 256, STATE_MAX = 256 << 20, SUMMARY_MAX = 4096 };

/* ---- checksums: against accidents, not against forgers, who could rewrite them ---- */

static uint64_t hash_of(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t hash = 0xcbf29ce484222325ull ^ n, word;

    for (; n >= 8; n -= 8, at += 8) {
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    for (; n; n--, at++)
        hash = (hash ^ *at) * 0x100000001b3ull;
    return hash ^ hash >> 32;
}

static uint32_t page_sum(const uint8_t *page)
{
    uint32_t sum = (uint32_t)hash_of(page, GMEM_PAGE_SIZE);
    return sum ? sum : 1;
}

static bool is_zero(const uint8_t *page)
{
    return !page[0] && memcmp(page, page + 1, GMEM_PAGE_SIZE - 1) == 0;
}

/* ---- writing ---- */

static int create(int dir, const char *name, struct error *err)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? error_set_errno(err, -errno, "create %s of a snapshot", name) : fd;
}

static int write_at(int fd, const void *bytes, size_t n, off_t at, const char *name,
                    struct error *err)
{
    const char *from = bytes;

    while (n) {
        ssize_t wrote = pwrite(fd, from, n, at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return error_set_errno(err, wrote < 0 ? -errno : -EIO, "write %s of a snapshot", name);
        from += wrote;
        at += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

static int finish(int fd, const char *name, struct error *err)
{
    return fdatasync(fd) < 0 ? error_set_errno(err, -errno, "write %s of a snapshot", name) : 0;
}

static int write_file(int dir, const char *name, const void *bytes, size_t n, struct error *err)
{
    cleanup_fd int fd = create(dir, name, err);
    int r = fd < 0 ? fd : write_at(fd, bytes, n, 0, name, err);

    return r < 0 ? r : finish(fd, name, err);
}

/* Writes pages that lie one after the other in the host's memory as well with one call. */
static int write_memory(int fd, const struct gmem_layer *memory, uint32_t *sums, uint64_t *ret_used,
                        struct error *err)
{
    uint64_t count = gmem_layer_pages(memory), first = 0, run = 0;
    const uint8_t *start = NULL;

    for (uint64_t gfn = 0; gfn <= count; gfn++) {
        const uint8_t *page = gfn < count ? gmem_layer_page(memory, gfn) : NULL;
        bool used = page && !is_zero(page);
        if (run && (!used || page != start + run * GMEM_PAGE_SIZE || run == RUN_PAGES)) {
            int r = write_at(fd, start, run * GMEM_PAGE_SIZE, (off_t)(first * GMEM_PAGE_SIZE),
                             "memory", err);
            if (r < 0)
                return r;
            run = 0;
        }
        if (!used)
            continue;
        if (!run) {
            start = page;
            first = gfn;
        }
        run++;
        sums[gfn] = page_sum(page);
        ++*ret_used;
    }
    return 0;
}

static int write_summary(int dir, const struct snapshot_summary *s, struct error *err)
{
    cleanup_free char *text = str_format(
        "{\"format\":%d,\"state_bytes\":%" PRIu64 ",\"memory_bytes\":%" PRIu64 ",\"pages\":%" PRIu64
        ",\"state_hash\":\"%016" PRIx64 "\",\"pages_hash\":\"%016" PRIx64 "\"}\n",
        FORMAT, s->state_bytes, s->memory_bytes, s->pages, s->state_hash, s->pages_hash);

    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    return write_file(dir, "summary", text, strlen(text), err);
}

int snapshot_files_write(int dir, const struct str *state, const struct gmem_layer *memory,
                         struct snapshot_summary *ret, struct error *err)
{
    uint64_t count = gmem_layer_pages(memory);
    cleanup_free uint32_t *sums = mem_alloc(count, sizeof *sums);
    cleanup_fd int fd = create(dir, "memory", err);
    int r = fd < 0 ? fd : 0;

    *ret = (struct snapshot_summary){.state_bytes = state->len,
                                     .memory_bytes = count * GMEM_PAGE_SIZE,
                                     .state_hash = hash_of(state->data, state->len)};
    if (r == 0 && !sums)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && ftruncate(fd, (off_t)ret->memory_bytes) < 0)
        r = error_set_errno(err, -errno, "size memory of a snapshot");
    if (r == 0)
        r = write_memory(fd, memory, sums, &ret->pages, err);
    if (r == 0)
        r = finish(fd, "memory", err);
    if (r == 0)
        r = write_file(dir, "pages", sums, count * sizeof *sums, err);
    if (r == 0)
        r = write_file(dir, "state", state->data, state->len, err);
    if (r < 0)
        return r;
    ret->pages_hash = hash_of(sums, count * sizeof *sums);
    return write_summary(dir, ret, err);
}

/* ---- reading ---- */

/* Opens @name, which must be a plain file of @size bytes. */
static int open_sized(int dir, const char *name, uint64_t size, struct error *err)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = error_set_errno(err, -errno, "open %s of a snapshot", name);
        if (fd >= 0)
            close(fd);
        return r;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
        close(fd);
        return error_set(err, -EINVAL,
                         "%s of a snapshot has %lld bytes, not %llu: it is damaged; take another",
                         name, (long long)st.st_size, (unsigned long long)size);
    }
    return fd;
}

static int map_sized(int dir, const char *name, uint64_t size, void **ret, struct error *err)
{
    cleanup_fd int fd = open_sized(dir, name, size, err);

    if (fd < 0)
        return fd;
    *ret = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    return *ret == MAP_FAILED ? error_set_errno(err, -errno, "map %s of a snapshot", name) : 0;
}

static bool get_u64(json_t *o, const char *key, uint64_t *ret)
{
    json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static bool get_hash(json_t *o, const char *key, uint64_t *ret)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text && strlen(text) == 16 && sscanf(text, "%16" SCNx64, ret) == 1;
}

int snapshot_files_summary(int dir, struct snapshot_summary *ret, struct error *err)
{
    cleanup_fd int fd = openat(dir, "summary", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char text[SUMMARY_MAX];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    json_t *o;
    uint64_t format;
    int r = 0;

    if (n < 0)
        return error_set_errno(err, -errno, "read summary of a snapshot");
    o = json_parse(text, (size_t)n, err);
    if (!o)
        return error_wrap(err, -EINVAL, "summary of a snapshot");
    if (!get_u64(o, "format", &format))
        r = error_set(err, -EINVAL, "summary of a snapshot: it is none");
    else if (format != FORMAT)
        r = error_set(err, -EINVAL, "the snapshot has format %llu, this Isola knows %d",
                      (unsigned long long)format, FORMAT);
    else if (!get_u64(o, "state_bytes", &ret->state_bytes) ||
             !get_u64(o, "memory_bytes", &ret->memory_bytes) || !get_u64(o, "pages", &ret->pages) ||
             !get_hash(o, "state_hash", &ret->state_hash) ||
             !get_hash(o, "pages_hash", &ret->pages_hash) || !ret->state_bytes ||
             ret->state_bytes > STATE_MAX || !ret->memory_bytes ||
             ret->memory_bytes % GMEM_PAGE_SIZE || ret->memory_bytes > 1ull << 41)
        r = error_set(err, -EINVAL, "summary of a snapshot: a number is missing or out of range");
    json_decref(o);
    return r;
}

static int check_memory(const struct gmem_layer *memory, const uint32_t *sums, struct error *err)
{
    for (uint64_t gfn = 0; gfn < gmem_layer_pages(memory); gfn++)
        if (sums[gfn] && page_sum(gmem_layer_page(memory, gfn)) != sums[gfn])
            return error_set(err, -EINVAL,
                             "memory of a snapshot is damaged at byte %llu; take another",
                             (unsigned long long)(gfn * GMEM_PAGE_SIZE));
    return 0;
}

static int open_memory(int dir, const struct snapshot_summary *s, bool verify,
                       struct snapshot_files *f, struct error *err)
{
    uint64_t count = s->memory_bytes / GMEM_PAGE_SIZE, size = count * sizeof(uint32_t);
    cleanup_fd int fd = open_sized(dir, "memory", s->memory_bytes, err);
    cleanup_free uint8_t *present = NULL;
    void *sums;
    int r = fd < 0 ? fd : map_sized(dir, "pages", size, &sums, err);

    if (r < 0)
        return r;
    if (hash_of(sums, size) != s->pages_hash)
        r = error_set(err, -EINVAL, "pages of a snapshot is damaged; take another");
    else if (!(present = mem_alloc(count, 1)))
        r = error_set(err, -ENOMEM, "out of memory");
    for (uint64_t gfn = 0; r == 0 && gfn < count; gfn++)
        present[gfn] = ((const uint32_t *)sums)[gfn] != 0;
    if (r == 0) {
        f->memory = gmem_layer_map(fd, s->memory_bytes, present, err);
        r = f->memory ? 0 : -EINVAL;
    }
    if (r == 0 && verify)
        r = check_memory(f->memory, sums, err);
    munmap(sums, size);
    return r;
}

int snapshot_files_open(int dir, bool verify, struct snapshot_files *ret, struct error *err)
{
    struct snapshot_summary s = {0};
    void *state = NULL;
    int r = snapshot_files_summary(dir, &s, err);

    *ret = (struct snapshot_files){0};
    if (r == 0)
        r = map_sized(dir, "state", s.state_bytes, &state, err);
    if (r < 0)
        return r;
    ret->state = state;
    ret->state_len = s.state_bytes;
    if (hash_of(state, ret->state_len) != s.state_hash)
        r = error_set(err, -EINVAL, "state of a snapshot is damaged; take another");
    else
        r = open_memory(dir, &s, verify, ret, err);
    if (r < 0)
        snapshot_files_done(ret);
    return r;
}

void snapshot_files_done(struct snapshot_files *f)
{
    if (f->state)
        munmap(f->state, f->state_len);
    if (f->memory)
        gmem_layer_unref(f->memory);
    *f = (struct snapshot_files){0};
}
