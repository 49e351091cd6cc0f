/* SPDX-License-Identifier: Apache-2.0 */
#include "network/private_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "network/link.h"
#include "network/netlink.h"
#include "network/private_rules.h"

enum {
    INDEX_BASE = 0x10000000, /* of devices, beyond what the kernel counts up to */
    PEER_INDEX = 1000,       /* beyond the devices that a new namespace may have */
    ATTEMPTS = 1024,
    DEFAULT_PREFIX = 7, /* routes as wide as that are default routes in parts */
    DYING_ATTEMPTS = 3,
    ID_DIGITS = 8
};

/* Private addresses (RFC 1918) that few others choose. */
static const struct pool {
    uint32_t base;
    unsigned prefix;
} pools[] = {{0x0ad50000, 16}, {0xac1b0000, 16}, {0xc0a8d500, 24}};

struct private_net {
    struct private_net_facts facts;
    struct private_rules rules;
    int route;
    int *held; /* bound sockets: nobody else gets the ports */
    size_t held_count;
    bool linked;
};

void private_net_text(uint32_t address, char out[PRIVATE_NET_TEXT])
{
    snprintf(out, PRIVATE_NET_TEXT, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255);
}

const struct private_net_facts *private_net_facts(const struct private_net *n)
{
    return &n->facts;
}

/* ---- addresses ---- */

static uint32_t pool_size(const struct pool *p)
{
    return 1u << (32 - p->prefix);
}

static bool pool_has(const struct pool *p, uint32_t address)
{
    uint32_t part = address - p->base;

    return part >= 2 && part < pool_size(p) - 1;
}

static const struct pool *pool_of(uint32_t address)
{
    for (size_t i = 0; i < array_size(pools); i++)
        if (pool_has(&pools[i], address))
            return &pools[i];
    return NULL;
}

/* The @attempt-th address for @id: not network, gateway or broadcast. */
static uint32_t address_for(const struct pool *p, const char *id, unsigned attempt)
{
    char digits[ID_DIGITS + 1];
    uint32_t seed;

    snprintf(digits, sizeof digits, "%s", id);
    seed = (uint32_t)strtoul(digits, NULL, 16);
    return p->base + 2 + (uint32_t)(((uint64_t)seed + attempt) % (pool_size(p) - 3));
}

void private_net_guess(const char *id, uint32_t wanted, uint32_t *ret_address,
                       uint32_t *ret_gateway)
{
    const struct pool *p = wanted ? pool_of(wanted) : NULL;

    *ret_address = wanted ? wanted : address_for(&pools[0], id, 0);
    *ret_gateway = (p ? p : &pools[0])->base + 1;
}

/* ---- the pair of devices ---- */

static void name_link(struct private_net *n, const struct pool *p, uint32_t address)
{
    struct private_net_facts *f = &n->facts;

    *f = (struct private_net_facts){.address = address,
                                    .gateway = p->base + 1,
                                    .mac = {0x02, 0x15, (uint8_t)(address >> 24),
                                            (uint8_t)(address >> 16), (uint8_t)(address >> 8),
                                            (uint8_t)address}};
    snprintf(f->link, sizeof f->link, "isola-%08x", address);
}

static int link_index(const struct private_net *n)
{
    return INDEX_BASE | (int)(n->facts.address & 0xffffff);
}

static int make_link(struct private_net *n, int netns, struct error *err)
{
    struct link_veth v = {.index = link_index(n),
                          .group = PRIVATE_NET_GROUP,
                          .peer_netns = netns,
                          .peer_index = PEER_INDEX};
    int r = -EEXIST;

    memcpy(v.name, n->facts.link, sizeof v.name);
    memcpy(v.peer_mac, n->facts.mac, sizeof v.peer_mac);
    memcpy(v.mac, n->facts.mac, sizeof v.mac);
    v.mac[0] = 0x06;
    for (int i = 0; r == -EEXIST && i < DYING_ATTEMPTS; i++) {
        uint32_t group = 0;
        r = link_veth_create(n->route, &v, err);
        if (r != -EEXIST)
            break;
        /* Of a container that has ended, the kernel has only not come to it: that can be waited
         * for. */
        if (link_group(n->route, v.name, &group, NULL) == 0 && group == PRIVATE_NET_GROUP)
            break;
        if (link_delete(n->route, v.name, NULL) == -EPERM)
            break;
    }
    n->linked = r == 0;
    return r;
}

static int take_wanted(struct private_net *n, const struct private_net_options *o,
                       struct error *err)
{
    const struct pool *p = pool_of(o->address);
    char text[PRIVATE_NET_TEXT];
    int r;

    private_net_text(o->address, text);
    if (!p)
        return error_set(err, -ERANGE,
                         "the address %s is not one of the private network's: 10.213.0.2 to "
                         "10.213.255.254",
                         text);
    name_link(n, p, o->address);
    r = make_link(n, o->netns, err);
    return r == -EEXIST ? error_set(err, -EADDRINUSE, "another container has the address %s", text)
                        : r;
}

/* Whether the host has a route to @address, other than by default: 0, or -ENETUNREACH. */
static int check_route(const struct private_net *n, uint32_t address, struct error *err)
{
    unsigned prefix = 0;
    int r = link_route_prefix(n->route, address, &prefix, err);

    /* One of a single address is that of a device of ours which is about to vanish. */
    return r == 0 && prefix > DEFAULT_PREFIX && prefix < 32 ? -ENETUNREACH : r;
}

/* One of the pool @p. -ENETUNREACH: it is left alone, because the host has a route into it. */
static int take_of(struct private_net *n, const struct private_net_options *o, const struct pool *p,
                   struct error *err)
{
    int r = check_route(n, p->base, err);

    if (r == 0)
        r = -EEXIST;
    for (unsigned k = 0; r == -EEXIST && k < min_of((unsigned)ATTEMPTS, pool_size(p) - 3); k++) {
        uint32_t address = address_for(p, o->id, k);
        r = check_route(n, address, err);
        if (r == 0) {
            name_link(n, p, address);
            r = make_link(n, o->netns, err);
        }
    }
    return r;
}

static int take_any(struct private_net *n, const struct private_net_options *o, struct error *err)
{
    int r = -EEXIST;

    for (size_t i = 0; (r == -EEXIST || r == -ENETUNREACH) && i < array_size(pools); i++)
        r = take_of(n, o, &pools[i], err);
    if (r == -EEXIST)
        return error_set(err, -EADDRNOTAVAIL, "no address of the private network is free");
    if (r == -ENETUNREACH)
        return error_set(err, -ENOTSUP,
                         "the host has routes into 10.213.0.0/16, 172.27.0.0/16 and "
                         "192.168.213.0/24");
    return r;
}

/* No IPv6 behind the host's end: nothing there watches it. Kernels without IPv6 lack the file. */
static int without_ipv6(const char *link, struct error *err)
{
    char path[64 + IFNAMSIZ];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", link);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || write(fd, "1", 1) != 1)
        return error_set_errno(err, -errno, "write %s", path);
    return 0;
}

static bool is_local(const struct private_net_port *p)
{
    return p->address == 0 || p->address >> 24 == 127;
}

static int host_side(struct private_net *n, const struct private_net_options *o, struct error *err)
{
    struct link_host_end end = {
        .index = link_index(n), .gateway = n->facts.gateway, .peer = n->facts.address};
    int r = without_ipv6(n->facts.link, err);

    for (size_t i = 0; i < o->port_count; i++)
        end.local_ports = end.local_ports || is_local(&o->ports[i]);
    return r < 0 ? r : link_host_up(n->route, &end, err);
}

/* A netlink socket of another namespace: the thread goes there for as long as that takes. */
static int open_in(int netns, struct error *err)
{
    cleanup_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd;

    if (own < 0)
        return error_set_errno(err, -errno, "open /proc/self/ns/net");
    if (setns(netns, CLONE_NEWNET) < 0)
        return error_set_errno(err, -errno, "join the container's network");
    fd = netlink_open(NETLINK_ROUTE, err);
    if (setns(own, CLONE_NEWNET) < 0) {
        log_error("net", "cannot return from the container's network: %s", strerror(errno));
        abort(); /* all that follows would be done in there */
    }
    return fd;
}

static int peer_side(struct private_net *n, const struct private_net_options *o, struct error *err)
{
    cleanup_fd int fd = open_in(o->netns, err);

    return fd < 0 ? fd : link_peer_up(fd, PEER_INDEX, n->facts.address, n->facts.gateway, err);
}

/* ---- ports ---- */

/*
 * A socket that is bound and does not listen: the port is taken for others, and connections are
 * refused where no rule leads them on.
 */
static int hold(const struct private_net_port *p, struct error *err)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(p->host), .sin_addr.s_addr = htonl(p->address)};
    cleanup_fd int fd = socket(AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    char text[PRIVATE_NET_TEXT];

    private_net_text(p->address, text);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        return error_set_errno(err, -errno, "publish %s port %s:%u", p->udp ? "UDP" : "TCP", text,
                               p->host);
    return steal_fd(&fd);
}

static int hold_all(struct private_net *n, const struct private_net_options *o, struct error *err)
{
    n->held = mem_alloc(o->port_count + 1, sizeof *n->held);
    if (!n->held)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < o->port_count; i++) {
        int fd = hold(&o->ports[i], err);
        if (fd < 0)
            return fd;
        n->held[n->held_count++] = fd;
    }
    return 0;
}

/* ---- the whole ---- */

/* What a kernel says that has no veth or nftables, or that lets us have none. */
static bool means_unable(int r)
{
    static const int codes[] = {EPERM, EACCES,          EOPNOTSUPP, ENOENT, EAFNOSUPPORT,
                                EROFS, EPROTONOSUPPORT, ENOSYS,     EINVAL};

    for (size_t i = 0; i < array_size(codes); i++)
        if (r == -codes[i])
            return true;
    return false;
}

static int build(struct private_net *n, const struct private_net_options *o, struct error *err)
{
    int r;

    n->route = netlink_open(NETLINK_ROUTE, err);
    if (n->route < 0)
        return n->route;
    r = private_rules_open(&n->rules, o->id, err);
    if (r == 0)
        r = o->address ? take_wanted(n, o, err) : take_any(n, o, err);
    if (r == 0)
        r = peer_side(n, o, err);
    if (r == 0)
        r = private_rules_share(&n->rules, err);
    if (r == 0)
        r = private_rules_ports(&n->rules, o, &n->facts, err);
    return r < 0 ? r : host_side(n, o, err);
}

int private_net_open(const struct private_net_options *o, struct private_net **ret,
                     struct error *err)
{
    struct private_net *n = mem_new(struct private_net);
    int r;

    if (!n)
        return error_set(err, -ENOMEM, "out of memory");
    n->route = -1;
    n->rules = (struct private_rules){.nft = -1};
    r = hold_all(n, o, err);
    if (r == 0) {
        r = build(n, o, err);
        if (means_unable(r))
            r = error_wrap(err, -ENOTSUP, "a network by the kernel");
    }
    if (r < 0) {
        if (n->linked && link_delete(n->route, n->facts.link, NULL) == 0)
            n->linked = false;
        private_net_close(n);
        return r;
    }
    *ret = n;
    return 0;
}

/* The last one removes what is shared. */
static void release(int route, struct private_rules *rules)
{
    struct error err = {0};
    unsigned others = 0;
    int lock = private_rules_lock(&err), r = lock;

    if (r >= 0)
        r = link_count(route, PRIVATE_NET_GROUP, &others, &err);
    if (r >= 0 && !others)
        r = private_rules_unshare(rules, &err);
    if (lock >= 0)
        close(lock);
    if (r < 0)
        log_warn("net", "release the private network: %s", error_text(&err));
}

void private_net_close(struct private_net *n)
{
    struct error err = {0};

    if (!n)
        return;
    private_rules_close_ports(&n->rules);
    /* The device itself goes with the namespace, which is dying: waiting for it costs too much. */
    if (n->linked && link_set_group(n->route, n->facts.link, 0, &err) < 0 && err.code != -ENODEV)
        log_warn("net", "%s: %s", n->facts.link, error_text(&err));
    if (n->route >= 0 && n->rules.nft >= 0)
        release(n->route, &n->rules);
    private_rules_done(&n->rules);
    for (size_t i = 0; i < n->held_count; i++)
        close(n->held[i]);
    free(n->held);
    if (n->route >= 0)
        close(n->route);
    free(n);
}

void private_net_collect(const char *link)
{
    struct private_rules rules = {.nft = -1};
    struct error err = {0};
    cleanup_fd int route = netlink_open(NETLINK_ROUTE, &err);

    if (route >= 0 && link)
        link_delete(route, link, NULL); /* gone, mostly */
    if (route >= 0 && private_rules_open(&rules, "", &err) == 0 && private_rules_shared(&rules))
        release(route, &rules);
    private_rules_done(&rules);
}

/* ---- what doctor tells ---- */

int private_net_probe(struct error *err)
{
    const struct private_net_port port = {.address = 0x7f000001, .host = 1, .guest = 1};
    struct private_net_options o = {.id = "0000000000000000", .ports = &port, .netns = -1};
    struct private_net n = {.route = -1, .rules = {.nft = -1}};
    cleanup_fd int inside = -1;
    int r = 0;

    if (unshare(CLONE_NEWNET) < 0)
        return error_set_errno(err, -ENOTSUP, "make a network namespace: %s", strerror(errno));
    inside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (inside < 0 || unshare(CLONE_NEWNET) < 0)
        return error_set(err, -ENOTSUP, "make a network namespace: %s", strerror(errno));
    o.netns = inside;
    o.port_count = 1;
    r = build(&n, &o, err);
    if (r < 0)
        r = error_wrap(err, -ENOTSUP, "a network by the kernel");
    private_rules_done(&n.rules);
    if (n.route >= 0)
        close(n.route);
    return r;
}

enum { DROPPERS = 8 };

struct droppers {
    struct nft_seen_chain chains[DROPPERS];
    size_t count;
};

static void see_forward(void *opaque, const struct nft_seen_chain *c)
{
    struct droppers *d = opaque;

    if (c->drops && d->count < DROPPERS)
        d->chains[d->count++] = *c;
}

int private_net_droppers(void (*each)(void *opaque, const char *family, const char *table,
                                      const char *chain),
                         void *opaque, struct error *err)
{
    struct droppers d = {.count = 0};
    cleanup_fd int fd = netlink_open(NETLINK_NETFILTER, err);
    int r = fd < 0 ? fd : nft_list_forward(fd, see_forward, &d, err);

    for (size_t i = 0; r == 0 && i < d.count; i++) {
        const struct nft_seen_chain *c = &d.chains[i];
        const struct nft_table t = {c->family, c->table};
        bool known = false;
        r = nft_mentions(fd, &t, "isola-", &known, err);
        if (r == 0 && !known)
            each(opaque, c->family == NFPROTO_INET ? "inet" : "ip", c->table, c->name);
    }
    return r;
}
