/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sectors: 0 to 15 nothing, 16 the primary volume descriptor, 17 the end of the descriptors, 18 and
 * 19 the path tables (little-endian and big-endian), 20 the root directory, then the files. Numbers
 * are in both orders of bytes where the standard wants that (7.2.3, 7.3.3).
 */
#include "io/iso_image.h"

#include <errno.h>

#include "base/mem.h"

enum { PRIMARY = 16, TERMINATOR = 17, PATHS_LE = 18, PATHS_BE = 19, ROOT = 20, FIRST_FILE = 21 };
enum { RECORD = 33, NAME_MAX_LEN = 30, LABEL_MAX = 32, ROOT_PATH_LEN = 10 };
enum { FLAG_DIRECTORY = 2 };

static void both16(uint8_t *at, uint16_t v)
{
    store_le16(at, v);
    store_le16(at + 2, __builtin_bswap16(v));
}

static void both32(uint8_t *at, uint32_t v)
{
    store_le32(at, v);
    store_le32(at + 4, __builtin_bswap32(v));
}

/* A directory record (9.1); the number of bytes it takes. */
static size_t put_record(uint8_t *at, const char *name, size_t name_len, uint32_t sector,
                         uint32_t len, uint8_t flags)
{
    size_t size = RECORD + name_len + !(name_len & 1);

    at[0] = (uint8_t)size;
    both32(at + 2, sector);
    both32(at + 10, len);
    at[18] = 126; /* 1 January 2026: years since 1900, month, day; 0:00 */
    at[19] = at[20] = 1;
    at[25] = flags;
    both16(at + 28, 1); /* the only volume of the set */
    at[32] = (uint8_t)name_len;
    memcpy(at + RECORD, name, name_len);
    return size;
}

static void put_text(uint8_t *at, size_t room, const char *text)
{
    size_t n = min_of(strlen(text), room);

    memcpy(at, text, n);
    memset(at + n, ' ', room - n);
}

/* 8.4; texts that are not given are blanks. */
static void put_primary(uint8_t *at, const char *label, uint32_t sectors)
{
    static const char never[] = "0000000000000000"; /* and a zero byte: no date (8.4.26.1) */
    static const uint16_t dates[] = {813, 830, 847, 864};

    at[0] = 1;
    memcpy(at + 1, "CD001\1", 6);
    put_text(at + 8, 32, "");
    put_text(at + 40, LABEL_MAX, label);
    both32(at + 80, sectors);
    both16(at + 120, 1);
    both16(at + 124, 1);
    both16(at + 128, ISO_SECTOR);
    both32(at + 132, ROOT_PATH_LEN);
    store_le32(at + 140, PATHS_LE);
    store_le32(at + 148, __builtin_bswap32(PATHS_BE));
    put_record(at + 156, "", 1, ROOT, ISO_SECTOR, FLAG_DIRECTORY);
    put_text(at + 190, 623, "");
    for (size_t i = 0; i < array_size(dates); i++)
        memcpy(at + dates[i], never, sizeof never);
    at[881] = 1;
}

/* The root alone (9.4). */
static void put_paths(uint8_t *le, uint8_t *be)
{
    le[0] = be[0] = 1;
    store_le32(le + 2, ROOT);
    store_le32(be + 2, __builtin_bswap32(ROOT));
    store_le16(le + 6, 1);
    store_le16(be + 6, __builtin_bswap16(1));
}

static uint32_t sectors_of(size_t len)
{
    return (uint32_t)((len + ISO_SECTOR - 1) / ISO_SECTOR);
}

static int check(const char *label, const struct iso_file *files, size_t count, struct error *err)
{
    if (strlen(label) > LABEL_MAX || count > ISO_FILES_MAX)
        return error_set(err, -EINVAL, "a label or a number of files is too large");
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(files[i].name);
        if (!n || n > NAME_MAX_LEN || files[i].len > 1u << 30)
            return error_set(err, -EINVAL, "file %.40s has a name or size that is not possible",
                             files[i].name);
    }
    return 0;
}

int iso_image_make(const char *label, const struct iso_file *files, size_t count, uint8_t **ret,
                   size_t *ret_len, struct error *err)
{
    uint32_t sector = FIRST_FILE, sectors = FIRST_FILE;
    uint8_t *image, *record;
    int r = check(label, files, count, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        sectors += sectors_of(files[i].len);
    image = mem_alloc(sectors, ISO_SECTOR);
    if (!image)
        return error_set(err, -ENOMEM, "out of memory");
    put_primary(image + PRIMARY * ISO_SECTOR, label, sectors);
    memcpy(image + TERMINATOR * ISO_SECTOR, "\377CD001\1", 7);
    put_paths(image + PATHS_LE * ISO_SECTOR, image + PATHS_BE * ISO_SECTOR);
    record = image + ROOT * ISO_SECTOR;
    record += put_record(record, "\0", 1, ROOT, ISO_SECTOR, FLAG_DIRECTORY);
    record += put_record(record, "\1", 1, ROOT, ISO_SECTOR, FLAG_DIRECTORY);
    for (size_t i = 0; i < count; i++) {
        const struct iso_file *f = &files[i];
        record += put_record(record, f->name, strlen(f->name), sector, (uint32_t)f->len, 0);
        if (f->len)
            memcpy(image + (size_t)sector * ISO_SECTOR, f->bytes, f->len);
        sector += sectors_of(f->len);
    }
    *ret = image;
    *ret_len = (size_t)sectors * ISO_SECTOR;
    return 0;
}
