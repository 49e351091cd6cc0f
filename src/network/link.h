/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, addresses and routes by rtnetlink (rtnetlink(7)). Every function takes a socket of
 * netlink_open(NETLINK_ROUTE), which belongs to the network namespace it was opened in. IPv4
 * addresses are numbers in host order.
 */
#ifndef NETWORK_LINK_H
#define NETWORK_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Two ends of a wire. */
struct link_veth {
    char name[IFNAMSIZ];
    int index; /* of this end, wanted */
    uint8_t mac[6], peer_mac[6];
    uint32_t group;
    int peer_netns; /* descriptor: where the other end, "eth0", is to be */
    int peer_index; /* wanted */
};

/* Makes the pair, both ends down. -EEXIST: the name or the index is taken. */
int link_veth_create(int fd, const struct link_veth *v, struct error *err) error_must_check;

/* The end of the host. */
struct link_host_end {
    int index;
    uint32_t gateway; /* address of this end */
    uint32_t peer;    /* the only address behind it */
    bool local_ports; /* what the host sends from 127.0.0.1 may go out here */
};
/* Gives it its address and the route to its peer, and sets it up. Only @peer may send from it. */
int link_host_up(int fd, const struct link_host_end *e, struct error *err) error_must_check;

/* The other end: device @index up, with @address/32, all by way of @gateway. */
int link_peer_up(int fd, int index, uint32_t address, uint32_t gateway,
                 struct error *err) error_must_check;

/* Which group device @name is in; -ENODEV. */
int link_group(int fd, const char *name, uint32_t *ret, struct error *err) error_must_check;
int link_set_group(int fd, const char *name, uint32_t group, struct error *err) error_must_check;
/* Waits for the kernel (milliseconds). */
int link_delete(int fd, const char *name, struct error *err);
/* How many devices are in @group. */
int link_count(int fd, uint32_t group, unsigned *ret, struct error *err) error_must_check;
/* Length of the prefix of the route that leads to @address: 0 is the default route or none. */
int link_route_prefix(int fd, uint32_t address, unsigned *ret, struct error *err) error_must_check;

#endif
