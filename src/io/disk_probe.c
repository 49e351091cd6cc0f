/* SPDX-License-Identifier: Apache-2.0 */
#include "io/disk_probe.h"

#include <errno.h>
#include <strings.h>

#include "base/mem.h"

static const struct mark {
    const char *format;
    unsigned offset, len;
    const char *bytes;
} marks[] = {
    {"qcow2", 0, 4, "QFI\xfb"},
    {"qed", 0, 4, "QED\0"},
    {"vmdk", 0, 4, "KDMV"},
    {"vmdk", 0, 4, "COWD"},
    {"vmdk", 0, 21, "# Disk DescriptorFile"},
    {"vdi", 64, 4, "\x7f\x10\xda\xbe"},
    {"vhdx", 0, 8, "vhdxfile"},
    {"vhd", 0, 8, "conectix"},
    {"parallels", 0, 16, "WithoutFreeSpace"},
    {"parallels", 0, 16, "WithouFreSpacExt"},
    {"luks", 0, 6, "LUKS\xba\xbe"},
};

const char *disk_probe_head(const uint8_t *head, size_t len)
{
    for (size_t i = 0; i < array_size(marks); i++) {
        const struct mark *m = &marks[i];
        if (m->offset + m->len <= len && memcmp(head + m->offset, m->bytes, m->len) == 0)
            return m->format;
    }
    return NULL;
}

static int bears(struct disk *d, uint64_t at, const char *mark, bool *ret)
{
    uint8_t sector[512];
    size_t n = strlen(mark);
    int r;

    *ret = false;
    if (at / 512 * 512 + sizeof sector > d->size)
        return 0;
    r = disk_read(d, at / 512 * 512, sector, sizeof sector);
    if (r == 0)
        *ret = memcmp(sector + at % 512, mark, n) == 0;
    return r;
}

/* An archive whose first file describes a machine (DSP0243, 6.4). */
static int is_ova(struct disk *d, bool *ret)
{
    uint8_t head[512];
    size_t n;
    int r;

    *ret = false;
    if (d->size < sizeof head)
        return 0;
    r = disk_read(d, 0, head, sizeof head);
    n = strnlen((char *)head, 100);
    if (r == 0)
        *ret = memcmp(head + 257, "ustar", 5) == 0 && n > 4 &&
               strncasecmp((char *)head + n - 4, ".ovf", 4) == 0;
    return r;
}

int disk_probe(struct disk *d, const char **ret_format)
{
    uint8_t head[DISK_PROBE_HEAD] = {0};
    const char *format;
    bool found = false;
    int r = disk_read(d, 0, head, (size_t)min_of(d->size, (uint64_t)sizeof head));

    if (r < 0)
        return r;
    format = disk_probe_head(head, sizeof head);
    if (!format) {
        r = is_ova(d, &found);
        format = found ? "ova" : NULL;
    }
    if (r == 0 && !format) {
        r = bears(d, 32769, "CD001", &found); /* ECMA-119 8.1.2 */
        format = found ? "iso" : NULL;
    }
    if (r == 0 && !format && d->size >= 512) {
        r = bears(d, d->size / 512 * 512 - 512, "conectix", &found);
        format = found ? "vhd" : NULL;
    }
    if (r == 0)
        *ret_format = format ? format : "raw";
    return r;
}

enum { TAR_BLOCK = 512, TAR_NAME = 100, TAR_SIZE = 124, TAR_SIZE_LEN = 12, TAR_TYPE = 156 };
enum { MEMBERS_MAX = 4096 };

/* The size in a header: octal digits, or binary when the first bit is set (GNU tar). */
static uint64_t member_size(const uint8_t *field)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < TAR_SIZE_LEN; i++) {
        if (field[0] & 0x80)
            size = size << 8 | (i ? field[i] : field[i] & 0x7fu);
        else if (field[i] >= '0' && field[i] <= '7')
            size = size << 3 | (field[i] - '0');
    }
    return size;
}

static const char *format_by_name(const char *name)
{
    static const char *const formats[] = {"vmdk", "vhd", "vdi"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < array_size(formats); i++)
        if (strcasecmp(dot + 1, formats[i]) == 0)
            return formats[i];
    return NULL;
}

int disk_find_member(struct disk *d, struct disk_member *ret, struct error *err)
{
    uint64_t at = 0;

    for (unsigned n = 0; n < MEMBERS_MAX && at + TAR_BLOCK <= d->size; n++) {
        uint8_t head[TAR_BLOCK];
        char name[TAR_NAME + 1] = {0};
        const char *format;
        uint64_t size;
        int r = disk_read(d, at, head, sizeof head);
        if (r < 0)
            return error_set_errno(err, r, "read the archive");
        if (memcmp(head + 257, "ustar", 5) != 0)
            break;
        memcpy(name, head, TAR_NAME);
        size = member_size(head + TAR_SIZE);
        at += TAR_BLOCK;
        if (size > d->size - at)
            return error_set(err, -EINVAL, "the archive is cut off");
        format = head[TAR_TYPE] == '0' || !head[TAR_TYPE] ? format_by_name(name) : NULL;
        if (format) {
            *ret = (struct disk_member){.offset = at, .size = size, .format = format};
            return 0;
        }
        at += (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
    return error_set(err, -EINVAL, "there is no disk image in the archive");
}
