/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/boot_path.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/disk_copy.h"
#include "io/disk_image.h"
#include "io/disk_probe.h"

enum { SECTOR = 512, MBR_CODE = 440, SETUP_MAGIC = 0x202 };

bool boot_path_is(const char *word)
{
    return word[0] == '/' || str_starts(word, "./") || str_starts(word, "../");
}

/* A bzImage has "HdrS" behind its boot sector (Linux, Documentation/x86/boot.rst). */
static bool is_kernel(struct disk *d)
{
    uint8_t magic[4];
    return d->size > SETUP_MAGIC + sizeof(magic) &&
           disk_read(d, SETUP_MAGIC, magic, sizeof(magic)) == 0 && memcmp(magic, "HdrS", 4) == 0;
}

/* A partition table that only UEFI knows (its specification, 5.3) and no code for a BIOS. */
static bool wants_uefi(const char *path)
{
    const struct disk_image_options o = {.readonly = true, .shared = true};
    struct disk *d = disk_image_open(path, &o, NULL);
    uint8_t head[2 * SECTOR];
    bool result = d && d->size >= sizeof(head) && disk_read(d, 0, head, sizeof(head)) == 0 &&
                  memcmp(head + SECTOR, "EFI PART", 8) == 0;

    for (size_t i = 0; result && i < MBR_CODE; i++)
        result = head[i] == 0;
    disk_close(d);
    return result;
}

int boot_path_add(struct spec *spec, const char *path, bool guess_firmware, struct error *err)
{
    struct disk *file = disk_image_file(path, err);
    const char *format = NULL;
    bool kernel;
    int r = file ? disk_probe(file, &format) : err->code;

    if (file && r < 0)
        error_set_errno(err, r, "look at its first bytes");
    kernel = r == 0 && is_kernel(file);
    disk_close(file);
    if (r < 0)
        return error_wrap(err, r, "boot %s", path);
    if (kernel)
        return spec_set(spec, "kernel", path, err);
    if (strcmp(format, "iso") == 0)
        return spec_set(spec, "cdrom", path, err);
    if (disk_is_foreign(format))
        return error_set(err, -ENOTSUP,
                         "boot %s: it is a %s image; make one of Isola's: isola disk convert %s "
                         "NEW.qcow2",
                         path, format, path);
    r = spec_set(spec, "disk", path, err);
    if (r == 0 && guess_firmware && wants_uefi(path))
        r = spec_set(spec, "firmware", "uefi", err);
    return r;
}
