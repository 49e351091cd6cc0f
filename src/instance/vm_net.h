/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTANCE_VM_NET_H
#define INSTANCE_VM_NET_H

#include "instance/engine.h"
#include "io/netdev.h"

/* Opens the network that @env->spec asks for; *ret is NULL for "none". */
int vm_net_open(const struct engine_env *env, struct netdev **ret, struct error *err);

#endif
