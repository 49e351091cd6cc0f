/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private network of a container: a tap in its network namespace, and behind it a process of
 * its own that does NAT in user space (io/net_slirp.h). The process holds nothing but the tap and
 * its sockets, has no capabilities, is not root and is confined to the system calls of sandbox.h,
 * because it reads what the container sends. It ends with its supervisor.
 */
#ifndef INSTANCE_CONTAINER_NET_H
#define INSTANCE_CONTAINER_NET_H

#include <sys/types.h>

#include "base/error.h"
#include "instance/spec.h"

/* What every container sees. */
#define CONTAINER_NET_ADDRESS "10.0.2.15"
#define CONTAINER_NET_GATEWAY "10.0.2.2"
#define CONTAINER_NET_DNS     "10.0.2.3"

struct container_net;

/*
 * Plugs the network namespace @netns_fd (with @user_namespace the user namespace that owns it is
 * joined for that). New; ports are bound when it returns. -EADDRINUSE names the port.
 */
int container_net_start(const struct spec *spec, const char *id, int netns_fd, bool user_namespace,
                        struct container_net **ret, struct error *err);
void container_net_stop(struct container_net *net); /* NULL is fine */
/* Bytes through all devices but loopback in the network namespace of @pid. */
void container_net_traffic(pid_t pid, uint64_t *ret_rx, uint64_t *ret_tx);

#endif
