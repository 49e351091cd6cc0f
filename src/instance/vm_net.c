/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_net.h"

#include <errno.h>

int vm_net_open(const struct engine_env *env, struct netdev **ret, struct error *err)
{
    if (env->spec->net == SPEC_NET_NONE) {
        *ret = NULL;
        return 0;
    }
    return error_set(err, -ENOTSUP, "network %s is not part of this version yet; use --net none",
                     spec_net_name(env->spec->net));
}
