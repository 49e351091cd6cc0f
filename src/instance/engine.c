/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/engine.h"

#include <errno.h>
#include <string.h>

const struct engine_ops *engine_find(const struct engine_ops *const *engines, enum spec_wall wall,
                                     struct error *err)
{
    const char *name = spec_wall_name(wall);

    for (const struct engine_ops *const *e = engines ? engines : engines_built_in; *e; e++)
        if (strcmp((*e)->wall, name) == 0)
            return *e;
    error_set(err, -ENOTSUP, "wall %s is not supported yet: its engine is missing", name);
    return NULL;
}

int engine_unsupported(const struct engine_ops *ops, const char *what, struct error *err)
{
    const char *instead = ops->instead ? ops->instead(what) : NULL;

    return error_set(err, -ENOTSUP, "%s is not supported by wall %s%s%s", what, ops->wall,
                     instead ? ": " : "", instead ? instead : "");
}

void engine_collect(const struct engine_ops *const *engines, const struct engine_place *place,
                    bool remove)
{
    const struct engine_ops *ops = engine_find(engines, place->spec->wall, NULL);

    if (ops && ops->collect)
        ops->collect(place, remove);
}
