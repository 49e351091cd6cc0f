/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"

enum { BLOCK = 512, TAR_SPARSE_OLD = 4, TAR_SPARSE_MORE = 21 };

/* POSIX.1-2017 pax, "ustar Header Block"; the tail is GNU's when the magic says so. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[8], uname[32], gname[32], major[8], minor[8];
    union {
        struct {
            char prefix[155], pad[12];
        } ustar;
        struct { /* GNU tar's oldgnu_header */
            char atime[12], ctime[12], offset[12], longnames[4], unused;
            char sparse[TAR_SPARSE_OLD][24], extended, realsize[12], pad[17];
        } gnu;
    };
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

/* What extended headers said about the next entry. */
struct extended {
    char *path, *link; /* NULL: not said */
    struct tar_xattr *xattrs;
    size_t xattr_count;
    bool has_size, has_uid, has_gid, has_mtime;
    uint64_t size, uid, gid;
    int64_t mtime;
    uint32_t mtime_ns;
    /* GNU.sparse.* */
    bool sparse, has_realsize, map_in_data, has_pending;
    uint64_t realsize, pending, major;
    char *sparse_name;
};

struct tar_reader {
    tar_fill_fn *fill;
    void *opaque;
    const uint8_t *chunk; /* what fill gave and nobody has taken */
    size_t chunk_n;
    uint64_t offset; /* of chunk in the archive */
    uint64_t left;   /* bytes of content */
    uint32_t pad;    /* bytes after the content */
    uint64_t data_offset;
    struct extended ext;
    struct tar_extent *extents;
    size_t extent_count, extent_cap;
    char *path, *link;
    struct tar_entry entry;
};

struct tar_reader *tar_reader_new(tar_fill_fn *fill, void *opaque)
{
    struct tar_reader *t = mem_new(struct tar_reader);

    if (t) {
        t->fill = fill;
        t->opaque = opaque;
    }
    return t;
}

static void extended_clear(struct extended *e)
{
    free(e->path);
    free(e->link);
    free(e->sparse_name);
    for (size_t i = 0; i < e->xattr_count; i++)
        free(e->xattrs[i].name);
    free(e->xattrs);
    *e = (struct extended){0};
}

static void entry_clear(struct tar_reader *t)
{
    extended_clear(&t->ext);
    free(t->path);
    free(t->link);
    t->path = t->link = NULL;
    t->extent_count = 0;
}

void tar_reader_free(struct tar_reader *t)
{
    if (!t)
        return;
    entry_clear(t);
    free(t->extents);
    free(t);
}

uint64_t tar_data_offset(const struct tar_reader *t)
{
    return t->data_offset;
}

/* Makes the chunk not empty; 1, or 0 at the end. */
static int more(struct tar_reader *t, struct error *err)
{
    int r;

    if (t->chunk_n)
        return 1;
    r = t->fill(t->opaque, &t->chunk, &t->chunk_n, err);
    return r < 0 ? r : t->chunk_n > 0;
}

static int cut_off(struct error *err)
{
    return error_set(err, -EBADMSG, "the archive is cut off");
}

static void take(struct tar_reader *t, size_t n)
{
    t->chunk += n;
    t->chunk_n -= n;
    t->offset += n;
}

/* Copies exactly @n bytes. *ret_any (may be NULL) tells whether there was one at all. */
static int read_exact(struct tar_reader *t, void *to, size_t n, bool *ret_any, struct error *err)
{
    char *p = to;
    size_t got = 0;

    while (got < n) {
        int r = more(t, err);
        size_t k;
        if (r < 0)
            return r;
        if (r == 0 && got == 0 && ret_any) {
            *ret_any = false;
            return 0;
        }
        if (r == 0)
            return cut_off(err);
        k = min_of(n - got, t->chunk_n);
        memcpy(p + got, t->chunk, k);
        take(t, k);
        got += k;
    }
    if (ret_any)
        *ret_any = true;
    return 0;
}

static int skip(struct tar_reader *t, uint64_t n, struct error *err)
{
    while (n) {
        int r = more(t, err);
        size_t k;
        if (r <= 0)
            return r < 0 ? r : cut_off(err);
        k = (size_t)min_of(n, (uint64_t)t->chunk_n);
        take(t, k);
        n -= k;
    }
    return 0;
}

/* A number field: octal digits, or GNU's base 256 with a sign, which must fit 64 bits. */
static int number(const char *field, size_t n, int64_t *ret)
{
    const unsigned char *p = (const unsigned char *)field;
    uint64_t v = 0;
    size_t i = 0;

    if (p[0] & 0x80) {
        bool negative = p[0] & 0x40;
        uint64_t fill = negative ? ~0ull : 0;
        v = (uint64_t)(p[0] & 0x3f) | (negative ? ~0x3full : 0);
        for (i = 1; i < n; i++) {
            /* What is shifted out must be nothing but sign. */
            if ((int64_t)v >> 55 != (int64_t)fill)
                return -ERANGE;
            v = v << 8 | p[i];
        }
        *ret = (int64_t)v;
        return 0;
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 60)
            return -ERANGE;
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    for (; i < n; i++) {
        if (p[i] != ' ' && p[i] != 0)
            return -EINVAL;
    }
    *ret = (int64_t)v;
    return 0;
}

static int unsigned_number(const char *field, size_t n, uint64_t *ret)
{
    int64_t v = 0;
    int r = number(field, n, &v);

    if (r == 0 && v < 0)
        r = -ERANGE;
    *ret = (uint64_t)v;
    return r;
}

/* The sum of all bytes with the checksum field as blanks; old programs added signed characters. */
static bool checksum_ok(const struct header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    int64_t want = 0, sum = 0, signed_sum = 0;

    if (number(h->checksum, sizeof h->checksum, &want) < 0)
        return false;
    for (size_t i = 0; i < BLOCK; i++) {
        bool inside = i >= offsetof(struct header, checksum) && i < offsetof(struct header, type);
        sum += inside ? ' ' : p[i];
        signed_sum += inside ? ' ' : (signed char)p[i];
    }
    return want == sum || want == signed_sum;
}

static bool all_zero(const void *bytes)
{
    static const char zero[BLOCK];

    return memcmp(bytes, zero, BLOCK) == 0;
}

static bool parse_u64(const char *text, size_t n, uint64_t *ret)
{
    uint64_t v = 0;

    if (!n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

/* "[-]SECONDS[.FRACTION]" as floor seconds and nanoseconds after them. */
static bool parse_time(const char *text, size_t n, int64_t *ret, uint32_t *ret_ns)
{
    bool negative = n && *text == '-';
    size_t whole;
    uint64_t seconds;
    uint32_t ns = 0, unit = 100000000;

    text += negative;
    n -= negative;
    for (whole = 0; whole < n && text[whole] != '.'; whole++)
        ;
    if (!parse_u64(text, whole, &seconds) || seconds > INT64_MAX - 1)
        return false;
    for (size_t i = whole + 1; i < n; i++, unit /= 10) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        ns += (uint32_t)(text[i] - '0') * unit;
    }
    *ret = (int64_t)seconds;
    *ret_ns = ns;
    if (negative) {
        *ret = -(int64_t)seconds - (ns > 0);
        *ret_ns = ns ? 1000000000 - ns : 0;
    }
    return true;
}

static int add_extent(struct tar_reader *t, uint64_t offset, uint64_t size, struct error *err)
{
    const struct tar_extent *last = t->extent_count ? &t->extents[t->extent_count - 1] : NULL;
    uint64_t end;

    if (__builtin_add_overflow(offset, size, &end) || end > INT64_MAX ||
        (last && offset < last->offset + last->size))
        return error_set(err, -EBADMSG, "the map of a sparse file is not in order");
    if (t->extent_count == TAR_EXTENTS_MAX)
        return error_set(err, -E2BIG, "a sparse file has more than %d pieces", TAR_EXTENTS_MAX);
    if (t->extent_count == t->extent_cap) {
        size_t cap = t->extent_cap ? 2 * t->extent_cap : 64;
        struct tar_extent *grown = realloc(t->extents, cap * sizeof *grown);
        if (!grown)
            return error_set(err, -ENOMEM, "out of memory");
        t->extents = grown;
        t->extent_cap = cap;
    }
    t->extents[t->extent_count++] = (struct tar_extent){offset, size};
    return 0;
}

/* GNU.sparse.map: "offset,size,offset,size". */
static int parse_map(struct tar_reader *t, const char *text, size_t n, struct error *err)
{
    uint64_t pair[2];
    int which = 0;

    t->extent_count = 0;
    for (size_t i = 0; i < n;) {
        size_t k = 0;
        int r;
        while (i + k < n && text[i + k] != ',')
            k++;
        if (!parse_u64(text + i, k, &pair[which]))
            return error_set(err, -EBADMSG, "the map of a sparse file is damaged");
        i += k + 1;
        which ^= 1;
        if (which)
            continue;
        r = add_extent(t, pair[0], pair[1], err);
        if (r < 0)
            return r;
    }
    return which ? error_set(err, -EBADMSG, "the map of a sparse file is damaged") : 0;
}

static int set_text(char **to, const char *value, size_t n, const char *what, struct error *err)
{
    if (n > TAR_PATH_MAX)
        return error_set(err, -E2BIG, "a %s of %zu bytes is too long", what, n);
    if (memchr(value, 0, n))
        return error_set(err, -EBADMSG, "a %s has a NUL in it", what);
    free(*to);
    *to = strndup(value, n);
    return *to ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int add_xattr(struct extended *e, const char *name, size_t name_n, const char *value,
                     size_t n, struct error *err)
{
    struct tar_xattr *grown;
    char *copy;

    if (e->xattr_count == TAR_XATTRS_MAX)
        return error_set(err, -E2BIG, "an entry has more than %d attributes", TAR_XATTRS_MAX);
    if (!name_n || name_n > 255 || memchr(name, 0, name_n))
        return error_set(err, -EBADMSG, "the name of an extended attribute is not valid");
    copy = malloc(name_n + n + 2);
    grown = realloc(e->xattrs, (e->xattr_count + 1) * sizeof *grown);
    if (grown)
        e->xattrs = grown;
    if (!copy || !grown) {
        free(copy);
        return error_set(err, -ENOMEM, "out of memory");
    }
    memcpy(copy, name, name_n);
    copy[name_n] = 0;
    memcpy(copy + name_n + 1, value, n);
    copy[name_n + 1 + n] = 0;
    e->xattrs[e->xattr_count++] =
        (struct tar_xattr){.name = copy, .value = copy + name_n + 1, .size = n};
    return 0;
}

static bool key_is(const char *key, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(key, name, n) == 0;
}

/* GNU.sparse.KEY. GNU tar manual, "Storing Sparse Files". */
static int sparse_record(struct tar_reader *t, const char *key, size_t key_n, const char *value,
                         size_t n, struct error *err)
{
    struct extended *e = &t->ext;
    uint64_t number_value;

    e->sparse = true;
    if (key_is(key, key_n, "name"))
        return set_text(&e->sparse_name, value, n, "name", err);
    if (key_is(key, key_n, "map"))
        return parse_map(t, value, n, err);
    if (!parse_u64(value, n, &number_value))
        return error_set(err, -EBADMSG, "a sparse file has a damaged header");
    if (key_is(key, key_n, "major")) {
        e->major = number_value;
        e->map_in_data = number_value == 1;
        if (number_value > 1)
            return error_set(err, -ENOTSUP, "sparse format %llu is not known",
                             (unsigned long long)number_value);
    } else if (key_is(key, key_n, "realsize") || key_is(key, key_n, "size")) {
        e->has_realsize = true;
        e->realsize = number_value;
    } else if (key_is(key, key_n, "offset")) {
        e->pending = number_value;
        e->has_pending = true;
    } else if (key_is(key, key_n, "numbytes")) {
        if (!e->has_pending)
            return error_set(err, -EBADMSG, "a sparse file has a damaged header");
        e->has_pending = false;
        return add_extent(t, e->pending, number_value, err);
    }
    return 0;
}

static int pax_record(struct tar_reader *t, const char *key, size_t key_n, const char *value,
                      size_t n, struct error *err)
{
    static const char xattr[] = "SCHILY.xattr.", sparse[] = "GNU.sparse.";
    struct extended *e = &t->ext;
    bool ok = true;

    if (key_is(key, key_n, "path"))
        return n ? set_text(&e->path, value, n, "name", err) : 0;
    if (key_is(key, key_n, "linkpath"))
        return n ? set_text(&e->link, value, n, "link target", err) : 0;
    if (key_n > sizeof xattr - 1 && memcmp(key, xattr, sizeof xattr - 1) == 0)
        return add_xattr(e, key + sizeof xattr - 1, key_n - (sizeof xattr - 1), value, n, err);
    if (key_n > sizeof sparse - 1 && memcmp(key, sparse, sizeof sparse - 1) == 0)
        return sparse_record(t, key + sizeof sparse - 1, key_n - (sizeof sparse - 1), value, n,
                             err);
    if (!n)
        return 0; /* an empty value takes back what an earlier header said */
    if (key_is(key, key_n, "size"))
        ok = e->has_size = parse_u64(value, n, &e->size);
    else if (key_is(key, key_n, "uid"))
        ok = e->has_uid = parse_u64(value, n, &e->uid);
    else if (key_is(key, key_n, "gid"))
        ok = e->has_gid = parse_u64(value, n, &e->gid);
    else if (key_is(key, key_n, "mtime"))
        ok = e->has_mtime = parse_time(value, n, &e->mtime, &e->mtime_ns);
    return ok ? 0 : error_set(err, -EBADMSG, "PAX field %.*s is damaged", (int)key_n, key);
}

/* "LENGTH KEY=VALUE\n" until the end; LENGTH counts itself. */
static int parse_pax(struct tar_reader *t, const char *text, size_t n, struct error *err)
{
    while (n) {
        uint64_t len;
        const char *space = memchr(text, ' ', min_of(n, (size_t)20)), *equals, *end;
        int r;
        if (*text == 0)
            return 0; /* padding of some writers */
        if (!space || !parse_u64(text, (size_t)(space - text), &len) || len > n ||
            len < (uint64_t)(space - text) + 3 || text[len - 1] != '\n')
            return error_set(err, -EBADMSG, "a PAX header is damaged");
        end = text + len - 1;
        equals = memchr(space + 1, '=', (size_t)(end - space - 1));
        if (!equals)
            return error_set(err, -EBADMSG, "a PAX header is damaged");
        r = pax_record(t, space + 1, (size_t)(equals - space - 1), equals + 1,
                       (size_t)(end - equals - 1), err);
        if (r < 0)
            return r;
        text += len;
        n -= len;
    }
    return 0;
}

static uint32_t padding(uint64_t size)
{
    return (uint32_t)(-size % BLOCK);
}

/* Reads the content of an extended header: x, L or K. */
static int read_extended(struct tar_reader *t, char type, uint64_t size, struct error *err)
{
    cleanup_free char *text = NULL;
    size_t n = (size_t)size;
    int r;

    if (size > TAR_PAX_MAX)
        return error_set(err, -E2BIG, "an extended header has %llu bytes; at most %d are taken",
                         (unsigned long long)size, TAR_PAX_MAX);
    text = malloc(n + 1);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    r = read_exact(t, text, n, NULL, err);
    if (r == 0)
        r = skip(t, padding(size), err);
    if (r < 0)
        return r;
    text[n] = 0;
    if (type == 'x')
        return parse_pax(t, text, n, err);
    return set_text(type == 'L' ? &t->ext.path : &t->ext.link, text, strnlen(text, n),
                    type == 'L' ? "name" : "link target", err);
}

/* Old GNU: four pieces in the header, then blocks with 21 each. */
static int old_sparse(struct tar_reader *t, const struct header *h, struct error *err)
{
    char block[BLOCK];
    const char(*pieces)[24] = h->gnu.sparse;
    size_t n = TAR_SPARSE_OLD;
    bool extended = h->gnu.extended;

    for (;;) {
        for (size_t i = 0; i < n && pieces[i][0]; i++) {
            uint64_t offset, size;
            int r;
            if (unsigned_number(pieces[i], 12, &offset) < 0 ||
                unsigned_number(pieces[i] + 12, 12, &size) < 0)
                return error_set(err, -EBADMSG, "the map of a sparse file is damaged");
            r = add_extent(t, offset, size, err);
            if (r < 0)
                return r;
        }
        if (!extended)
            return 0;
        if (read_exact(t, block, BLOCK, NULL, err) < 0)
            return cut_off(err);
        pieces = (const char(*)[24])block;
        n = TAR_SPARSE_MORE;
        extended = block[BLOCK - 8] != 0;
    }
}

/* A decimal number and a newline in the data, for sparse format 1.0. */
static int map_number(struct tar_reader *t, uint64_t *ret, struct error *err)
{
    char digits[24];
    size_t n = 0;

    for (;;) {
        char c;
        int r;
        if (!t->left)
            return error_set(err, -EBADMSG, "the map of a sparse file is damaged");
        r = read_exact(t, &c, 1, NULL, err);
        if (r < 0)
            return r;
        t->left--;
        if (c == '\n')
            break;
        if (n == sizeof digits)
            return error_set(err, -EBADMSG, "the map of a sparse file is damaged");
        digits[n++] = c;
    }
    return parse_u64(digits, n, ret)
               ? 0
               : error_set(err, -EBADMSG, "the map of a sparse file is damaged");
}

static int data_map(struct tar_reader *t, struct error *err)
{
    uint64_t before = t->left, count, offset, size, pad;
    int r = map_number(t, &count, err);

    if (r == 0 && count > TAR_EXTENTS_MAX)
        r = error_set(err, -E2BIG, "a sparse file has more than %d pieces", TAR_EXTENTS_MAX);
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        r = map_number(t, &offset, err);
        if (r == 0)
            r = map_number(t, &size, err);
        if (r == 0)
            r = add_extent(t, offset, size, err);
    }
    if (r < 0)
        return r;
    pad = padding(before - t->left);
    if (pad > t->left)
        return error_set(err, -EBADMSG, "the map of a sparse file is damaged");
    t->left -= pad;
    t->data_offset = t->offset + pad;
    return skip(t, pad, err);
}

/* The data must be as much as the map says, and within the file. */
static int check_sparse(struct tar_reader *t, struct error *err)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < t->extent_count; i++) {
        sum += t->extents[i].size; /* cannot overflow: pieces are in order below 2^63 */
        if (t->extents[i].offset + t->extents[i].size > t->entry.size)
            return error_set(err, -EBADMSG, "the map of a sparse file goes beyond its end");
    }
    if (sum != t->left)
        return error_set(err, -EBADMSG, "a sparse file has %llu bytes of data instead of %llu",
                         (unsigned long long)t->left, (unsigned long long)sum);
    t->entry.sparse = 1;
    t->entry.extents = t->extents;
    t->entry.extent_count = t->extent_count;
    return 0;
}

static bool is_ustar(const struct header *h)
{
    return memcmp(h->magic, "ustar\0", 6) == 0;
}

static bool is_gnu(const struct header *h)
{
    return memcmp(h->magic, "ustar  ", 8) == 0;
}

static int entry_names(struct tar_reader *t, const struct header *h, struct error *err)
{
    struct str path = {0};

    if (t->ext.sparse_name) {
        t->path = steal_ptr(&t->ext.sparse_name);
    } else if (t->ext.path) {
        t->path = steal_ptr(&t->ext.path);
    } else {
        if (is_ustar(h) && h->ustar.prefix[0]) {
            str_add_n(&path, h->ustar.prefix, strnlen(h->ustar.prefix, sizeof h->ustar.prefix));
            str_add_char(&path, '/');
        }
        str_add_n(&path, h->name, strnlen(h->name, sizeof h->name));
        t->path = str_steal(&path);
    }
    t->link =
        t->ext.link ? steal_ptr(&t->ext.link) : strndup(h->link, strnlen(h->link, sizeof h->link));
    t->entry.path = t->path;
    t->entry.link = t->link;
    return t->path && t->link ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int entry_type(struct tar_reader *t, const struct header *h, struct error *err)
{
    size_t n = strlen(t->path);

    switch (h->type) {
    case 0:
    case '0':
    case '7':
    case 'S':
        /* Before ustar a directory was a file with a slash at its end. */
        t->entry.type = h->type == 0 && n && t->path[n - 1] == '/' ? TAR_DIR : TAR_FILE;
        return 0;
    case '1':
        t->entry.type = TAR_HARDLINK;
        return 0;
    case '2':
        t->entry.type = TAR_SYMLINK;
        return 0;
    case '3':
        t->entry.type = TAR_CHAR;
        return 0;
    case '4':
        t->entry.type = TAR_BLOCK;
        return 0;
    case '5':
        t->entry.type = TAR_DIR;
        return 0;
    case '6':
        t->entry.type = TAR_FIFO;
        return 0;
    default:
        return error_set(err, -ENOTSUP, "%s has the type '%c', which is not known", t->path,
                         h->type > ' ' && h->type < 0x7f ? h->type : '?');
    }
}

static int entry_numbers(struct tar_reader *t, const struct header *h, struct error *err)
{
    struct tar_entry *e = &t->entry;
    int64_t mode = 0, mtime = 0, uid = 0, gid = 0;
    uint64_t major = 0, minor = 0;
    bool dev = e->type == TAR_CHAR || e->type == TAR_BLOCK;

    if (number(h->mode, sizeof h->mode, &mode) < 0 ||
        (!t->ext.has_mtime && number(h->mtime, sizeof h->mtime, &mtime) < 0) ||
        (!t->ext.has_uid && number(h->uid, sizeof h->uid, &uid) < 0) ||
        (!t->ext.has_gid && number(h->gid, sizeof h->gid, &gid) < 0) ||
        (dev && (unsigned_number(h->major, sizeof h->major, &major) < 0 ||
                 unsigned_number(h->minor, sizeof h->minor, &minor) < 0)))
        return error_set(err, -EBADMSG, "the header of %s has a damaged number", t->path);
    if (major > UINT32_MAX || minor > UINT32_MAX)
        return error_set(err, -EBADMSG, "the device number of %s is too large", t->path);
    e->mode = (uint32_t)mode & 07777;
    e->uid = t->ext.has_uid ? t->ext.uid : (uint64_t)uid;
    e->gid = t->ext.has_gid ? t->ext.gid : (uint64_t)gid;
    e->mtime = t->ext.has_mtime ? t->ext.mtime : mtime;
    e->mtime_ns = t->ext.has_mtime ? t->ext.mtime_ns : 0;
    e->major = (uint32_t)major;
    e->minor = (uint32_t)minor;
    e->xattrs = t->ext.xattrs;
    e->xattr_count = t->ext.xattr_count;
    return 0;
}

static int entry_content(struct tar_reader *t, const struct header *h, uint64_t size,
                         struct error *err)
{
    uint64_t real;
    int r;

    /* Links, directories and so on are only headers, whatever size they tell: some writers put the
     * size of the target there. Go's reader and GNU tar agree. */
    if (t->entry.type != TAR_FILE)
        size = 0;
    t->left = size;
    t->pad = padding(size);
    t->data_offset = t->offset;
    t->entry.size = size;
    if (h->type == 'S' && is_gnu(h)) {
        if (unsigned_number(h->gnu.realsize, sizeof h->gnu.realsize, &real) < 0 || real > INT64_MAX)
            return error_set(err, -EBADMSG, "the size of %s is damaged", t->path);
        t->entry.size = t->ext.has_realsize ? t->ext.realsize : real;
        r = old_sparse(t, h, err);
        t->data_offset = t->offset;
        return r < 0 ? r : check_sparse(t, err);
    }
    if (t->ext.sparse && t->entry.type == TAR_FILE) {
        if (!t->ext.has_realsize || t->ext.realsize > INT64_MAX)
            return error_set(err, -EBADMSG, "the size of %s is damaged", t->path);
        t->entry.size = t->ext.realsize;
        r = t->ext.map_in_data ? data_map(t, err) : 0;
        return r < 0 ? r : check_sparse(t, err);
    }
    return 0;
}

/* Turns a header that is no extended one into the entry. */
static int make_entry(struct tar_reader *t, const struct header *h, uint64_t size,
                      struct error *err)
{
    int r;

    t->entry = (struct tar_entry){0};
    r = entry_names(t, h, err);
    if (r == 0)
        r = entry_type(t, h, err);
    if (r == 0)
        r = entry_numbers(t, h, err);
    if (r < 0)
        return r;
    if (t->ext.has_size)
        size = t->ext.size;
    if (size > INT64_MAX - BLOCK)
        return error_set(err, -EBADMSG, "the size of %s is damaged", t->path);
    return entry_content(t, h, size, err);
}

int tar_next(struct tar_reader *t, const struct tar_entry **ret, struct error *err)
{
    struct header h;
    uint64_t size;
    bool any;
    int r = skip(t, t->left, err);

    if (r == 0)
        r = skip(t, t->pad, err);
    t->left = t->pad = 0;
    if (r < 0)
        return r;
    entry_clear(t);
    for (unsigned headers = 0; headers < TAR_HEADERS_MAX; headers++) {
        r = read_exact(t, &h, BLOCK, &any, err);
        if (r < 0 || !any || all_zero(&h))
            return r;
        if (!checksum_ok(&h))
            return error_set(err, -EBADMSG, "a header at offset %llu has a wrong checksum",
                             (unsigned long long)(t->offset - BLOCK));
        if (unsigned_number(h.size, sizeof h.size, &size) < 0 || size > INT64_MAX - BLOCK)
            return error_set(err, -EBADMSG, "a header at offset %llu has a damaged size",
                             (unsigned long long)(t->offset - BLOCK));
        if (h.type == 'x' || h.type == 'L' || h.type == 'K') {
            r = read_extended(t, h.type, size, err);
        } else if (h.type == 'g') {
            /* Image tools ignore global headers; what is in them is comments in practice. */
            r = skip(t, size, err);
            if (r == 0)
                r = skip(t, padding(size), err);
        } else {
            r = make_entry(t, &h, size, err);
            *ret = &t->entry;
            return r < 0 ? r : 1;
        }
        if (r < 0)
            return r;
    }
    return error_set(err, -E2BIG, "more than %d extended headers follow each other",
                     TAR_HEADERS_MAX);
}

int tar_data(struct tar_reader *t, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    int r = t->left ? more(t, err) : 0;
    size_t n;

    if (r < 0)
        return r;
    if (!t->left) {
        *ret_n = 0;
        return 0;
    }
    if (r == 0)
        return cut_off(err);
    n = (size_t)min_of(t->left, (uint64_t)t->chunk_n);
    *ret = t->chunk;
    *ret_n = n;
    take(t, n);
    t->left -= n;
    return 0;
}
