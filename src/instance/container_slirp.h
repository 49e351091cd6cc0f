/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private network of a container, made without any right on the host: a tap in its network
 * namespace, and behind it a process of its own that does NAT in user space (io/net_slirp.h). The
 * process holds nothing but the tap and its sockets, has no capabilities, is not root and is
 * confined to the system calls of sandbox.h, because it reads what the container sends. It ends
 * with its supervisor.
 */
#ifndef INSTANCE_CONTAINER_SLIRP_H
#define INSTANCE_CONTAINER_SLIRP_H

#include <stdbool.h>

#include "base/error.h"
#include "instance/spec.h"

/* What every container of this kind, and every virtual machine, sees. */
#define CONTAINER_SLIRP_ADDRESS "10.0.2.15"
#define CONTAINER_SLIRP_GATEWAY "10.0.2.2"
#define CONTAINER_SLIRP_DNS     "10.0.2.3"

struct container_slirp;

/*
 * Plugs the network namespace @netns_fd (with @user_namespace the user namespace that owns it is
 * joined for that). New; ports are bound when it returns. -EADDRINUSE names the port.
 */
int container_slirp_start(const struct spec *spec, const char *id, int netns_fd,
                          bool user_namespace, struct container_slirp **ret, struct error *err);
void container_slirp_stop(struct container_slirp *net); /* NULL is fine */

#endif
