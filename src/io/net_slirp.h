/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-mode NAT by libslirp: a network of one guest, without any right on the host.
 *
 *   10.0.2.0/24   gateway and host 10.0.2.2, name server 10.0.2.3, the guest gets 10.0.2.15 by DHCP
 *   fec0::/64     gateway and host fec0::2, name server fec0::3, the guest chooses by RA
 *
 * A guest with several of them has network n at 10.0.(2+n).0/24 and fec0:0:0:n::/64.
 *
 * The guest reaches what the host reaches, and the host's loopback services at 10.0.2.2.
 */
#ifndef IO_NET_SLIRP_H
#define IO_NET_SLIRP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "io/netdev.h"

/* A port of the host that leads to one of the guest. */
struct net_slirp_port {
    const char *address; /* numeric IPv4 of the host; NULL or "": 127.0.0.1 */
    uint16_t host, guest;
    bool udp;
};

struct net_slirp_options {
    const struct net_slirp_port *ports; /* borrowed for the call */
    size_t port_count;
    unsigned network;     /* which of the guest's, 0 to 63 */
    unsigned mtu;         /* 0: 1500 */
    const char *hostname; /* given out by DHCP; NULL: none */
    const char *guest;    /* its address by DHCP, where ports lead; NULL: 10.0.2.15 */
    bool no_ipv6;
    bool no_host; /* 10.0.2.2 and fec0::2 do not lead to the host's loopback */
};

/*
 * Creates the network; its sockets and timers live on @loop, under its lock. NULL with @err set on
 * failure; a port that is taken is named. Closed by netdev_close.
 */
struct netdev *net_slirp_new(struct loop *loop, const struct net_slirp_options *options,
                             struct error *err);

#endif
