/* SPDX-License-Identifier: Apache-2.0 */
#include "network/private_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"

#define LOCK    "/run/isola-network.lock"
#define FORWARD "/proc/sys/net/ipv4/ip_forward"

/* Bits of nft's "ct state". */
enum { STATE_ESTABLISHED = 2, STATE_RELATED = 4, ID_DIGITS = 12 };

static const struct nft_table shared = {NFPROTO_IPV4, "isola"};

int private_rules_open(struct private_rules *r, const char *id, struct error *err)
{
    r->nft = netlink_open(NETLINK_NETFILTER, err);
    snprintf(r->table, sizeof r->table, "isola-%.*s", ID_DIGITS, id);
    return r->nft < 0 ? r->nft : 0;
}

void private_rules_done(struct private_rules *r)
{
    if (r->nft >= 0)
        close(steal_fd(&r->nft));
}

int private_rules_lock(struct error *err)
{
    cleanup_fd int fd = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return error_set_errno(err, -errno, "open %s", LOCK);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "lock %s", LOCK);
    return steal_fd(&fd);
}

/* ---- forwarding ---- */

/* Whether the host forwards IPv4: 0 or 1, or a negative errno. */
static int forwards(struct error *err)
{
    cleanup_fd int fd = open(FORWARD, O_RDONLY | O_CLOEXEC);
    char c;

    if (fd < 0 || read(fd, &c, 1) != 1)
        return error_set_errno(err, -errno, "read %s", FORWARD);
    return c != '0';
}

static int set_forwards(bool on, struct error *err)
{
    cleanup_fd int fd = open(FORWARD, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, on ? "1" : "0", 1) != 1)
        return error_set_errno(err, -errno, "write %s", FORWARD);
    return 0;
}

/* ---- for all ---- */

/* rp_filter of the devices says the same, unless net.ipv4.conf.all.rp_filter is 2. */
static void add_sources_check(struct netlink_writer *w)
{
    const struct nft_chain c = {"prerouting", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW, NULL};
    struct nft_rule rule;

    nft_add_chain(w, &shared, &c);
    rule = nft_rule_begin(w, &shared, c.name);
    nft_match_group(w, false, false, PRIVATE_NET_GROUP);
    nft_match_stranger(w);
    nft_drop(w);
    nft_rule_end(w, rule);
}

static void add_shared(struct netlink_writer *w)
{
    const struct nft_chain in = {"forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER, NULL};
    const struct nft_chain out = {"postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC,
                                  NULL};
    struct nft_rule rule;

    nft_add_table(w, &shared, false);
    add_sources_check(w);
    nft_add_chain(w, &shared, &in);
    rule = nft_rule_begin(w, &shared, in.name);
    nft_match_group(w, true, false, PRIVATE_NET_GROUP);
    nft_match_group(w, false, true, PRIVATE_NET_GROUP);
    nft_match_state_not(w, STATE_ESTABLISHED | STATE_RELATED);
    nft_match_status_not(w, IPS_DST_NAT);
    nft_drop(w);
    nft_rule_end(w, rule);
    nft_add_chain(w, &shared, &out);
    rule = nft_rule_begin(w, &shared, out.name);
    nft_match_group(w, false, false, PRIVATE_NET_GROUP);
    nft_match_group(w, true, true, PRIVATE_NET_GROUP);
    nft_masquerade(w);
    nft_rule_end(w, rule);
}

static const char router_name[] = "router";

static void add_router(struct netlink_writer *w)
{
    const struct nft_chain c = {router_name, "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER, NULL};
    struct nft_rule rule;

    nft_add_chain(w, &shared, &c);
    rule = nft_rule_begin(w, &shared, c.name);
    nft_match_group(w, false, true, PRIVATE_NET_GROUP);
    nft_match_group(w, true, true, PRIVATE_NET_GROUP);
    nft_drop(w);
    nft_rule_end(w, rule);
}

bool private_rules_shared(struct private_rules *r)
{
    return nft_find_table(r->nft, &shared, NULL) == 0;
}

int private_rules_share(struct private_rules *r, struct error *err)
{
    cleanup_fd int lock = private_rules_lock(err);
    struct netlink_writer w = {0};
    bool there, router = false;
    int on, result = 0;

    if (lock < 0)
        return lock;
    on = forwards(err);
    if (on < 0)
        return on;
    there = private_rules_shared(r);
    if (!on)
        router = there && nft_find_chain(r->nft, &shared, router_name, NULL) == 0;
    nft_begin(&w, "make the table of private networks (nftables)");
    if (!there)
        add_shared(&w);
    if (!on && !router)
        add_router(&w);
    nft_end(&w);
    if (!there || (!on && !router))
        result = nft_commit(r->nft, &w, err);
    netlink_done(&w);
    /* Not before others' packets are kept from being forwarded. */
    return result < 0 || on ? result : set_forwards(true, err);
}

int private_rules_unshare(struct private_rules *r, struct error *err)
{
    struct netlink_writer w = {0};
    int result = 0;

    if (!private_rules_shared(r))
        return 0;
    if (nft_find_chain(r->nft, &shared, router_name, NULL) == 0 && forwards(NULL) == 1)
        result = set_forwards(false, err);
    nft_begin(&w, "remove the table of private networks");
    nft_delete_table(&w, &shared);
    nft_end(&w);
    if (result < 0) {
        nft_commit(r->nft, &w, NULL);
        return result;
    }
    return nft_commit(r->nft, &w, err);
}

/* ---- for one ---- */

static void add_port(struct netlink_writer *w, const struct nft_table *t, const char *chain,
                     const struct private_net_port *p, uint32_t to)
{
    struct nft_rule rule = nft_rule_begin(w, t, chain);

    nft_match_port(w, p->udp ? IPPROTO_UDP : IPPROTO_TCP, p->host);
    if (p->address)
        nft_match_destination(w, p->address);
    else
        nft_match_local(w);
    nft_dnat(w, to, p->guest);
    nft_rule_end(w, rule);
}

static void add_ports(struct netlink_writer *w, const struct nft_table *t,
                      const struct private_net_options *o, uint32_t to)
{
    const struct nft_chain from_others = {"prerouting", "nat", NF_INET_PRE_ROUTING,
                                          NF_IP_PRI_NAT_DST, NULL};
    const struct nft_chain from_host = {"output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST,
                                        NULL};

    nft_add_chain(w, t, &from_others);
    nft_add_chain(w, t, &from_host);
    for (size_t i = 0; i < o->port_count; i++) {
        add_port(w, t, from_others.name, &o->ports[i], to);
        add_port(w, t, from_host.name, &o->ports[i], to);
    }
}

/* Who reaches the container by a port and could not be answered by it: itself, and 127.0.0.0/8. */
static void add_sources(struct netlink_writer *w, const struct nft_table *t, uint32_t container)
{
    const struct nft_chain c = {"postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC,
                                NULL};
    struct nft_rule rule;

    nft_add_chain(w, t, &c);
    rule = nft_rule_begin(w, t, c.name);
    nft_match_destination(w, container);
    nft_match_source(w, container);
    nft_masquerade(w);
    nft_rule_end(w, rule);
    rule = nft_rule_begin(w, t, c.name);
    nft_match_destination(w, container);
    nft_match_loopback(w, true);
    nft_masquerade(w);
    nft_rule_end(w, rule);
}

static void add_guard(struct netlink_writer *w, const struct nft_table *t, const char *link)
{
    const struct nft_chain c = {"ingress", "filter", NF_NETDEV_INGRESS, NF_IP_PRI_FILTER, link};
    struct nft_rule rule;

    nft_add_table(w, t, true);
    nft_add_chain(w, t, &c);
    rule = nft_rule_begin(w, t, c.name);
    nft_match_protocol(w, ETH_P_IP);
    nft_match_loopback(w, false);
    nft_drop(w);
    nft_rule_end(w, rule);
}

int private_rules_ports(struct private_rules *r, const struct private_net_options *o,
                        const struct private_net_facts *f, struct error *err)
{
    const struct nft_table ports = {NFPROTO_IPV4, r->table}, guard = {NFPROTO_NETDEV, r->table};
    struct netlink_writer w = {0};
    int result;

    if (!o->port_count)
        return 0;
    nft_begin(&w, "publish ports (nftables)");
    add_guard(&w, &guard, f->link);
    nft_add_table(&w, &ports, true);
    add_ports(&w, &ports, o, f->address);
    add_sources(&w, &ports, f->address);
    nft_end(&w);
    result = nft_commit(r->nft, &w, err);
    r->ports = result == 0;
    return result;
}

/* Closing the socket does it, too, but waits for the kernel. */
void private_rules_close_ports(struct private_rules *r)
{
    const struct nft_table ports = {NFPROTO_IPV4, r->table}, guard = {NFPROTO_NETDEV, r->table};
    struct netlink_writer w = {0};
    struct error err = {0};

    if (!r->ports)
        return;
    r->ports = false;
    nft_begin(&w, "unpublish ports");
    nft_delete_table(&w, &ports);
    nft_delete_table(&w, &guard);
    nft_end(&w);
    if (nft_commit(r->nft, &w, &err) < 0)
        log_warn("net", "%s", error_text(&err));
}
