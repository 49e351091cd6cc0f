/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private network of containers that root starts, made by the kernel: veth and nftables.
 *
 * Each container has a pair of devices: eth0 inside, isola-XXXXXXXX (its address in hexadecimal)
 * on the host. There is no bridge; every packet of a container goes to the host, which routes it:
 *
 *   10.213.0.0/16   or, where the host has a route into that, the next pool (private_net.c)
 *   the pool's .1   the gateway: address of the host's end of every pair
 *   ADDRESS/32      a container; its route leads to its device, and only ADDRESS may come from it
 *
 * So a container can neither answer for another one's address nor listen to it.
 *
 * The device is the lease: its name and its number are made from the address, the kernel lets only
 * one such device be, and it vanishes with the container's network namespace. Nothing else is
 * written down. Devices of living containers are in group PRIVATE_NET_GROUP; one whose container
 * has ended leaves it, and its address can be taken again.
 *
 * Two kinds of tables, in the network namespace of the caller:
 *
 *   table ip isola      for all: what comes from the group must come from the address behind its
 *                       device; what leaves elsewhere is masqueraded; what enters the group from
 *                       outside must belong to a connection or to a published port. Made by the
 *                       first container, removed by the last one.
 *   chain router in it  only when net.ipv4.ip_forward was off: Isola switched it on, so packets
 *                       between other devices are dropped as before, and it is switched off again
 *                       when the table goes. (Who flushes the table makes it forget that.)
 *   table ip isola-ID   the ports of one container. Owned by a socket of its supervisor: others
 *                       cannot change it, "flush ruleset" passes it over, and the kernel removes it
 *                       when the supervisor ends in whatever way.
 *   table netdev isola-ID   keeps what comes from that container away from 127.0.0.0/8, because
 *                       ports published there make the kernel route such addresses (route_localnet)
 *
 * A verdict "drop" of any other table holds: the host's firewall is never passed by. Changes of
 * `table ip isola` happen under the lock of /run/isola-network.lock.
 */
#ifndef NETWORK_PRIVATE_NET_H
#define NETWORK_PRIVATE_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PRIVATE_NET_GROUP 0x1501a

/* IPv4 addresses are numbers in host order. */
struct private_net_port {
    uint32_t address; /* of the host, 0: all */
    uint16_t host, guest;
    bool udp;
};

struct private_net_options {
    const char *id;   /* of the instance; hexadecimal; the first 12 digits name its tables */
    uint32_t address; /* wanted, 0: chosen (the same for the same id, where it is free) */
    const struct private_net_port *ports;
    size_t port_count;
    int netns; /* the container's, borrowed: it has nothing but an unconfigured loopback */
};

struct private_net;

/* What there is to know. */
struct private_net_facts {
    uint32_t address, gateway;
    uint8_t mac[6];
    char link[IFNAMSIZ]; /* the host's end */
};

/* The address that private_net_open would choose first, and its gateway. */
void private_net_guess(const char *id, uint32_t wanted, uint32_t *ret_address,
                       uint32_t *ret_gateway);

/*
 * Plugs a network namespace. New; needs CAP_NET_ADMIN and CAP_SYS_ADMIN. On failure nothing is
 * left. -ENOTSUP: this host's kernel cannot do it, or does not let us; @err says what was missing.
 * -EADDRINUSE: a port, which is named, or the wanted address. -ERANGE: it is not in a pool.
 */
int private_net_open(const struct private_net_options *o, struct private_net **ret,
                     struct error *err) error_must_check;
/* Needs CAP_NET_ADMIN; without it what is left goes as after a death. NULL is fine. */
void private_net_close(struct private_net *n);
const struct private_net_facts *private_net_facts(const struct private_net *n);

/*
 * After a supervisor's death: removes its device @link (NULL: not known), and the table of all
 * when no other container uses it.
 */
void private_net_collect(const char *link);

/*
 * Tries in a network namespace of its own whether the kernel has all of it. Called in a process
 * that may lose its network namespace. 0, or -ENOTSUP.
 */
int private_net_probe(struct error *err) error_must_check;

/*
 * Calls @each for each forward chain of others whose policy is to drop, in tables without a rule
 * that speaks of our devices (isola-*): there nobody has let containers through.
 */
int private_net_droppers(void (*each)(void *opaque, const char *family, const char *table,
                                      const char *chain),
                         void *opaque, struct error *err);

/* "10.213.0.5" */
enum { PRIVATE_NET_TEXT = 16 };
void private_net_text(uint32_t address, char out[PRIVATE_NET_TEXT]);

#endif
