/* SPDX-License-Identifier: Apache-2.0 */
#include "image/drive.h"

#include <string.h>

#include "image/store_internal.h"

char *image_drive_path(const struct image_store *store, const char *id)
{
    return str_format("%s/drives/%s", store->dir, id + strlen("sha256:"));
}
