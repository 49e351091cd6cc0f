/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_write.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { BLOCK = 512, END_BLOCKS = 2 };
#define OCTAL7  07777777ull
#define OCTAL11 077777777777ull

struct tar_writer {
    tar_sink_fn *sink;
    void *opaque;
    uint64_t left; /* bytes of content that must follow */
    size_t pad;
};

struct tar_writer *tar_writer_new(tar_sink_fn *sink, void *opaque)
{
    struct tar_writer *w = mem_new(struct tar_writer);

    if (w) {
        w->sink = sink;
        w->opaque = opaque;
    }
    return w;
}

void tar_writer_free(struct tar_writer *w)
{
    free(w);
}

static int zeros(struct tar_writer *w, size_t n, struct error *err)
{
    static const char zero[BLOCK];
    int r = 0;

    for (; n && r == 0; n -= min_of(n, (size_t)BLOCK))
        r = w->sink(w->opaque, zero, min_of(n, (size_t)BLOCK), err);
    return r;
}

/* "LENGTH KEY=VALUE\n"; LENGTH counts its own digits. */
static void pax_add(struct str *pax, const char *key, const void *value, size_t n)
{
    size_t body = strlen(key) + n + 3, total = body + 1;
    char digits[24];

    while (body + (size_t)snprintf(digits, sizeof digits, "%zu", total) != total)
        total = body + strlen(digits);
    str_addf(pax, "%zu %s=", total, key);
    str_add_n(pax, value, n);
    str_add_char(pax, '\n');
}

static void pax_text(struct str *pax, const char *key, const char *value)
{
    pax_add(pax, key, value, strlen(value));
}

static void pax_number(struct str *pax, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    pax_text(pax, key, text);
}

static void pax_time(struct str *pax, int64_t seconds, uint32_t ns)
{
    char text[48];
    bool negative = seconds < 0;
    uint64_t whole = negative ? (uint64_t) - (seconds + (ns > 0)) : (uint64_t)seconds;

    if (negative && ns)
        ns = 1000000000 - ns;
    snprintf(text, sizeof text, "%s%llu.%09u", negative ? "-" : "", (unsigned long long)whole, ns);
    /* As short as it can be. */
    for (size_t n = strlen(text); n && text[n - 1] == '0'; n--)
        text[n - 1] = 0;
    if (text[strlen(text) - 1] == '.')
        text[strlen(text) - 1] = 0;
    pax_text(pax, "mtime", text);
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static int pax_xattrs(struct str *pax, const struct tar_entry *e)
{
    struct tar_xattr *sorted;

    if (!e->xattr_count)
        return 0;
    sorted = mem_alloc(e->xattr_count, sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    memcpy(sorted, e->xattrs, e->xattr_count * sizeof *sorted);
    qsort(sorted, e->xattr_count, sizeof *sorted, compare_xattrs);
    for (size_t i = 0; i < e->xattr_count; i++) {
        char key[300];
        snprintf(key, sizeof key, "SCHILY.xattr.%s", sorted[i].name);
        pax_add(pax, key, sorted[i].value, sorted[i].size);
    }
    free(sorted);
    return 0;
}

/* Splits a name between the fields prefix and name; false when it does not fit. */
static bool split_name(const char *path, char header[BLOCK])
{
    size_t n = strlen(path);

    if (n <= 100) {
        memcpy(header, path, n);
        return true;
    }
    for (size_t at = n - 101 < n ? n - 101 : 0; at < n && at <= 155; at++) {
        if (path[at] != '/' || at == 0 || n - at - 1 == 0)
            continue;
        memcpy(header + 345, path, at);
        memcpy(header, path + at + 1, n - at - 1);
        return true;
    }
    return false;
}

static void octal(char *field, size_t n, uint64_t value)
{
    snprintf(field, n, "%0*llo", (int)n - 1, (unsigned long long)value);
}

static void finish_header(char header[BLOCK])
{
    unsigned sum = 0;

    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    header[155] = ' ';
}

static int write_pax(struct tar_writer *w, const struct str *pax, struct error *err)
{
    char header[BLOCK] = "PaxHeader";
    int r;

    if (pax->failed)
        return error_set(err, -ENOMEM, "out of memory");
    octal(header + 100, 8, 0644);
    octal(header + 108, 8, 0);
    octal(header + 116, 8, 0);
    octal(header + 124, 12, pax->len);
    octal(header + 136, 12, 0);
    header[156] = 'x';
    finish_header(header);
    r = w->sink(w->opaque, header, BLOCK, err);
    if (r == 0)
        r = w->sink(w->opaque, pax->data, pax->len, err);
    return r < 0 ? r : zeros(w, -pax->len % BLOCK, err);
}

/* Fields that may be too large for their place; what does not fit goes to @pax. */
static void fill_numbers(char header[BLOCK], const struct tar_entry *e, uint64_t size,
                         struct str *pax)
{
    octal(header + 100, 8, e->mode & 07777);
    octal(header + 108, 8, e->uid <= OCTAL7 ? e->uid : 0);
    octal(header + 116, 8, e->gid <= OCTAL7 ? e->gid : 0);
    octal(header + 124, 12, size <= OCTAL11 ? size : 0);
    octal(header + 136, 12,
          e->mtime >= 0 && (uint64_t)e->mtime <= OCTAL11 ? (uint64_t)e->mtime : 0);
    octal(header + 329, 8, e->major <= OCTAL7 ? e->major : 0);
    octal(header + 337, 8, e->minor <= OCTAL7 ? e->minor : 0);
    if (e->uid > OCTAL7)
        pax_number(pax, "uid", e->uid);
    if (e->gid > OCTAL7)
        pax_number(pax, "gid", e->gid);
    if (size > OCTAL11)
        pax_number(pax, "size", size);
    if (e->mtime < 0 || (uint64_t)e->mtime > OCTAL11 || e->mtime_ns)
        pax_time(pax, e->mtime, e->mtime_ns);
}

/*
 * A sparse file: its map, which goes before the data and fills whole blocks, and what tells readers
 * of it. *ret_data: bytes of data.
 */
static void add_sparse(const struct tar_entry *e, struct str *pax, struct str *map,
                       uint64_t *ret_data)
{
    *ret_data = 0;
    str_addf(map, "%zu\n", e->extent_count);
    for (size_t i = 0; i < e->extent_count; i++) {
        str_addf(map, "%llu\n%llu\n", (unsigned long long)e->extents[i].offset,
                 (unsigned long long)e->extents[i].size);
        *ret_data += e->extents[i].size;
    }
    while (map->len % BLOCK && !map->failed)
        str_add_n(map, "", 1);
    pax_text(pax, "GNU.sparse.major", "1");
    pax_text(pax, "GNU.sparse.minor", "0");
    pax_text(pax, "GNU.sparse.name", e->path);
    pax_number(pax, "GNU.sparse.realsize", e->size);
}

int tar_write_entry(struct tar_writer *w, const struct tar_entry *e, struct error *err)
{
    static const char types[] = {
        [TAR_FILE] = '0',  [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
        [TAR_BLOCK] = '4', [TAR_DIR] = '5',      [TAR_FIFO] = '6'};
    char header[BLOCK] = {0};
    struct str pax = {0}, map = {0};
    uint64_t size = e->type == TAR_FILE ? e->size : 0, data = size;
    int r;

    if (w->left)
        return error_set(err, -EINVAL, "the content of the last entry is not complete");
    if ((e->type == TAR_CHAR || e->type == TAR_BLOCK) && (e->major > OCTAL7 || e->minor > OCTAL7))
        return error_set(err, -EOVERFLOW, "%s: the device number is too large", e->path);
    if (!split_name(e->path, header)) {
        pax_text(&pax, "path", e->path);
        memcpy(header, e->path, 100);
    }
    if (strlen(e->link) > 100)
        pax_text(&pax, "linkpath", e->link);
    memcpy(header + 157, e->link, min_of(strlen(e->link), (size_t)100));
    if (e->type == TAR_FILE && e->sparse) {
        add_sparse(e, &pax, &map, &data);
        size = data + map.len;
    }
    fill_numbers(header, e, size, &pax);
    header[156] = types[e->type];
    r = pax_xattrs(&pax, e);
    if (r == 0 && map.failed)
        r = -ENOMEM;
    if (r < 0)
        error_set(err, r, "out of memory");
    if (r == 0 && (pax.len || pax.failed))
        r = write_pax(w, &pax, err);
    str_done(&pax);
    finish_header(header);
    if (r == 0)
        r = w->sink(w->opaque, header, BLOCK, err);
    if (r == 0 && map.len)
        r = w->sink(w->opaque, map.data, map.len, err);
    str_done(&map);
    if (r < 0)
        return r;
    w->left = data;
    w->pad = (size_t)(-data % BLOCK);
    return 0;
}

int tar_write_data(struct tar_writer *w, const void *bytes, size_t n, struct error *err)
{
    int r;

    if (n > w->left)
        return error_set(err, -EINVAL, "the content is longer than its header says");
    r = n ? w->sink(w->opaque, bytes, n, err) : 0;
    w->left -= n;
    if (r == 0 && n && w->left == 0)
        r = zeros(w, w->pad, err);
    return r;
}

int tar_write_end(struct tar_writer *w, struct error *err)
{
    if (w->left)
        return error_set(err, -EINVAL, "the content of the last entry is not complete");
    return zeros(w, (size_t)END_BLOCKS * BLOCK, err);
}
