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
/* The partition table of a boot sector (UEFI 2.10, 5.2): types that only UEFI looks for. */
enum {
    MBR_TABLE = 446,
    MBR_ENTRY = 16,
    MBR_ENTRIES = 4,
    MBR_TYPE = 4,
    TYPE_GPT = 0xee,
    TYPE_EFI = 0xef
};

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

/* A partition for UEFI, or a table of its own, and no code for a BIOS. */
static bool wants_uefi(const char *path)
{
    const struct disk_image_options o = {.readonly = true, .shared = true};
    struct disk *d = disk_image_open(path, &o, NULL);
    uint8_t head[SECTOR];
    bool read = d && d->size >= sizeof(head) && disk_read(d, 0, head, sizeof(head)) == 0,
         efi = false;

    for (size_t i = 0; read && i < MBR_ENTRIES; i++) {
        uint8_t type = head[MBR_TABLE + i * MBR_ENTRY + MBR_TYPE];
        efi |= type == TYPE_GPT || type == TYPE_EFI;
    }
    for (size_t i = 0; efi && i < MBR_CODE; i++)
        efi = head[i] == 0;
    disk_close(d);
    return efi;
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
