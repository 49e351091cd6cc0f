/* SPDX-License-Identifier: Apache-2.0 */
#include "image/idmap.h"
#include "image/writer_internal.h"

static int sweep(void *opaque)
{
    int left = image_sweep(opaque);

    return left > 254 ? 254 : left;
}

int store_sweep_as_owner(struct image_store *store)
{
    int left = image_sweep(store);

    /* What belongs to other ids of this user is removed by their root. */
    return left ? idmap_run(sweep, store, NULL) : 0;
}
