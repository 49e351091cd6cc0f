/* SPDX-License-Identifier: Apache-2.0 */
#include "io/block_file.h"

#include "io/block_disk.h"
#include "io/disk_file.h"

struct block *block_file_open(struct loop *loop, const char *path,
                              const struct block_file_options *options, struct error *err)
{
    const struct disk_file_options o = {.readonly = options->readonly,
                                        .no_discard = options->no_discard,
                                        .no_lock = options->no_lock,
                                        .no_flush = options->no_flush};
    const struct block_disk_options d = {.serial = options->serial};
    struct error local = {0};
    struct disk *disk;
    struct block *b;

    if (!err)
        err = &local;
    disk = disk_file_open(path, &o, err);
    b = disk ? block_disk_new(loop, disk, path, &d, err) : NULL;
    if (!b)
        error_wrap(err, err->code, "open drive %s", path);
    return b;
}
