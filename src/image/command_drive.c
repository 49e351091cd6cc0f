/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "image/commands.h"
#include "image/drive.h"

int command_drive(struct program *p)
{
    struct image_store *store = program_store(p);
    struct image *image;
    struct error err = {0};
    int r;

    if (!store)
        return PROGRAM_FAILED;
    if (image_find(store, p->words[0], program_option(p, "platform"), &image, &err) < 0)
        return program_error(p, &err);
    r = image_drive_make(store, image, &err);
    image_free(image);
    return r < 0 ? program_error(p, &err) : 0;
}
