/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of a container whose network namespace is its own. The private network (--network
 * nat) is made by the kernel where it can be (network/private_net.h: root, veth, nftables), else
 * in user space (container_slirp.h); this is the seam between them and the engine.
 *
 *   RUN/names/ID/network.json   of the run, as inspect shows it: driver (kernel, libslirp),
 *                               ip_address, gateway, mac_address, link (the host's device),
 *                               reason (why it is not the kernel's)
 */
#ifndef INSTANCE_CONTAINER_NET_H
#define INSTANCE_CONTAINER_NET_H

#include <sys/types.h>

#include "base/error.h"
#include "instance/spec.h"

struct engine_place;

/* What the container sees. */
struct container_net_view {
    char address[16], gateway[16];
    char dns[16]; /* "": the host's name servers are reached */
};
/* What it will most likely be, before there is a network. */
void container_net_guess(const struct spec *spec, const char *id, struct container_net_view *ret);

struct container_net;

/*
 * Plugs the network namespace @netns_fd (with @user_namespace another user namespace owns it), and
 * describes it in directory @dir. New; ports are published when it returns. -EADDRINUSE names the
 * port or address. @ret_view says what came to be.
 */
int container_net_start(const struct spec *spec, const char *id, const char *dir, int netns_fd,
                        bool user_namespace, struct container_net **ret,
                        struct container_net_view *ret_view, struct error *err);
/* Has @warn tell a person what may keep packets from this network: the host's own firewall. */
void container_net_warn(const struct container_net *net,
                        void (*warn)(void *opaque, const char *line), void *opaque);
/* NULL is fine. */
void container_net_stop(struct container_net *net);
/* Whether container_net_stop has use for CAP_NET_ADMIN. */
bool container_net_needs_admin(const struct container_net *net);
/* What the supervisor of @place, which died, has left of its network. */
void container_net_collect(const struct engine_place *place);
/* Bytes through all devices but loopback in the network namespace of @pid. */
void container_net_traffic(pid_t pid, uint64_t *ret_rx, uint64_t *ret_tx);

#endif
