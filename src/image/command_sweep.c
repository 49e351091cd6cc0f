/* SPDX-License-Identifier: Apache-2.0 */
#include "image/commands.h"
#include "image/writer_internal.h"

int command_sweep(struct program *p)
{
    struct image_store *store = program_store(p);
    int left;

    if (!store)
        return PROGRAM_FAILED;
    left = store_sweep_as_owner(store);
    if (left)
        return program_complain(p, "%d files in %s/trash could not be removed", left,
                                image_store_dir(store));
    return 0;
}
