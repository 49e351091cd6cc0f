/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/disk_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/disk_clone.h"
#include "io/disk_image.h"
#include "io/disk_probe.h"
#include "io/qcow2.h"

bool disk_is_foreign(const char *format)
{
    static const char *const names[] = {"vmdk", "vdi", "vhd", "vhdx", "ova"};

    for (size_t i = 0; i < array_size(names); i++)
        if (strcmp(format, names[i]) == 0)
            return true;
    return false;
}

int disk_copy(const char *from, const char *from_format, const char *to, const char *to_format,
              struct error *err)
{
    struct disk_image_options o = {.format = from_format, .readonly = true};
    const char *looks = from_format;
    struct disk *disk;
    int r;

    if (!looks) {
        disk = disk_image_file(from, err);
        r = disk ? disk_probe(disk, &looks) : err->code;
        if (disk && r < 0)
            error_set_errno(err, r, "look at its first bytes");
        disk_close(disk);
        if (r < 0)
            return r;
    }
    if (disk_is_foreign(looks))
        return disk_copy_foreign(from, looks, to, to_format, err);
    disk = disk_image_open(from, &o, err);
    r = disk ? disk_clone_new(disk, to, to_format, err) : err->code;
    disk_close(disk);
    return r;
}
