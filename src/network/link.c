/* SPDX-License-Identifier: Apache-2.0 */
#include "network/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>

#include "network/netlink.h"

static void link_message(struct netlink_writer *w, uint16_t type, uint16_t flags, int index,
                         bool up, const char *what)
{
    const struct ifinfomsg m = {.ifi_family = AF_UNSPEC,
                                .ifi_index = index,
                                .ifi_flags = up ? IFF_UP : 0,
                                .ifi_change = up ? IFF_UP : 0};

    netlink_message(w, type, flags, &m, sizeof m, what);
}

static int send_and_free(int fd, struct netlink_writer *w, struct error *err)
{
    int r = netlink_send(fd, w, err);

    netlink_done(w);
    return r;
}

int link_veth_create(int fd, const struct link_veth *v, struct error *err)
{
    const struct ifinfomsg peer = {.ifi_family = AF_UNSPEC, .ifi_index = v->peer_index};
    struct netlink_writer w = {0};
    size_t info, data, other;
    int r;

    link_message(&w, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, v->index, false,
                 "create a pair of network devices (veth)");
    netlink_put_text(&w, IFLA_IFNAME, v->name);
    netlink_put(&w, IFLA_ADDRESS, v->mac, sizeof v->mac);
    netlink_put_u32(&w, IFLA_GROUP, v->group);
    info = netlink_nest(&w, IFLA_LINKINFO);
    netlink_put(&w, IFLA_INFO_KIND, "veth", 4);
    data = netlink_nest(&w, IFLA_INFO_DATA);
    other = netlink_nest(&w, VETH_INFO_PEER);
    netlink_raw(&w, &peer, sizeof peer);
    netlink_put_text(&w, IFLA_IFNAME, "eth0");
    netlink_put(&w, IFLA_ADDRESS, v->peer_mac, sizeof v->peer_mac);
    netlink_put_u32(&w, IFLA_NET_NS_FD, (uint32_t)v->peer_netns);
    netlink_unnest(&w, other);
    netlink_unnest(&w, data);
    netlink_unnest(&w, info);
    r = send_and_free(fd, &w, err);
    return r == -EBUSY ? -EEXIST : r;
}

/* @address/32 of device @index. */
static void add_address(struct netlink_writer *w, int index, uint32_t address)
{
    const struct ifaddrmsg m = {.ifa_family = AF_INET,
                                .ifa_prefixlen = 32,
                                .ifa_scope = RT_SCOPE_UNIVERSE,
                                .ifa_index = (unsigned)index};

    netlink_message(w, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m, "set its address");
    netlink_put_be32(w, IFA_LOCAL, address);
    netlink_put_be32(w, IFA_ADDRESS, address);
}

/* Replaces the route by way of a device that is about to vanish. */
static void add_peer_route(struct netlink_writer *w, const struct link_host_end *e)
{
    const struct rtmsg m = {.rtm_family = AF_INET,
                            .rtm_dst_len = 32,
                            .rtm_table = RT_TABLE_MAIN,
                            .rtm_protocol = RTPROT_STATIC,
                            .rtm_scope = RT_SCOPE_LINK,
                            .rtm_type = RTN_UNICAST};

    netlink_message(w, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof m,
                    "set the route to the container");
    netlink_put_be32(w, RTA_DST, e->peer);
    netlink_put_be32(w, RTA_PREFSRC, e->gateway);
    netlink_put_u32(w, RTA_OIF, (uint32_t)e->index);
}

int link_host_up(int fd, const struct link_host_end *e, struct error *err)
{
    struct netlink_writer w = {0};
    size_t spec, family, conf;

    link_message(&w, RTM_SETLINK, 0, e->index, true, "set the host's end up");
    spec = netlink_nest(&w, IFLA_AF_SPEC);
    family = netlink_nest(&w, AF_INET);
    conf = netlink_nest(&w, IFLA_INET_CONF);
    netlink_put_u32(&w, IPV4_DEVCONF_FORWARDING, 1);
    netlink_put_u32(&w, IPV4_DEVCONF_RP_FILTER, 1);
    netlink_put_u32(&w, IPV4_DEVCONF_SEND_REDIRECTS, 0);
    netlink_put_u32(&w, IPV4_DEVCONF_ROUTE_LOCALNET, e->local_ports);
    netlink_unnest(&w, conf);
    netlink_unnest(&w, family);
    netlink_unnest(&w, spec);
    add_address(&w, e->index, e->gateway);
    add_peer_route(&w, e);
    return send_and_free(fd, &w, err);
}

static void add_default_route(struct netlink_writer *w, int index, uint32_t gateway)
{
    const struct rtmsg m = {.rtm_family = AF_INET,
                            .rtm_table = RT_TABLE_MAIN,
                            .rtm_protocol = RTPROT_STATIC,
                            .rtm_scope = RT_SCOPE_UNIVERSE,
                            .rtm_type = RTN_UNICAST,
                            .rtm_flags = RTNH_F_ONLINK};

    netlink_message(w, RTM_NEWROUTE, NLM_F_CREATE, &m, sizeof m, "set the default route");
    netlink_put_be32(w, RTA_GATEWAY, gateway);
    netlink_put_u32(w, RTA_OIF, (uint32_t)index);
}

int link_peer_up(int fd, int index, uint32_t address, uint32_t gateway, struct error *err)
{
    struct netlink_writer w = {0};

    link_message(&w, RTM_SETLINK, 0, index, true, "set eth0 up");
    add_address(&w, index, address);
    add_default_route(&w, index, gateway);
    return send_and_free(fd, &w, err);
}

struct found {
    uint32_t group;
    unsigned count;
    bool one;
};

static bool see_link(void *opaque, const struct nlmsghdr *m)
{
    struct found *f = opaque;
    const void *attributes, *at;
    uint32_t group;
    size_t len;

    attributes = netlink_attributes(m, sizeof(struct ifinfomsg), &len);
    at = netlink_find(attributes, len, IFLA_GROUP, sizeof group, NULL);
    if (m->nlmsg_type != RTM_NEWLINK || !at)
        return true;
    memcpy(&group, at, sizeof group);
    if (f->one)
        f->group = group;
    else if (group == f->group)
        f->count++;
    return true;
}

int link_group(int fd, const char *name, uint32_t *ret, struct error *err)
{
    struct netlink_writer w = {0};
    struct found f = {.one = true};
    int r;

    link_message(&w, RTM_GETLINK, 0, 0, false, "find a network device");
    netlink_put_text(&w, IFLA_IFNAME, name);
    r = netlink_ask(fd, &w, see_link, &f, err);
    netlink_done(&w);
    if (r == 0)
        *ret = f.group;
    return r;
}

int link_set_group(int fd, const char *name, uint32_t group, struct error *err)
{
    struct netlink_writer w = {0};

    link_message(&w, RTM_SETLINK, 0, 0, false, "set a device's group");
    netlink_put_text(&w, IFLA_IFNAME, name);
    netlink_put_u32(&w, IFLA_GROUP, group);
    return send_and_free(fd, &w, err);
}

int link_delete(int fd, const char *name, struct error *err)
{
    struct netlink_writer w = {0};

    link_message(&w, RTM_DELLINK, 0, 0, false, "delete a network device");
    netlink_put_text(&w, IFLA_IFNAME, name);
    return send_and_free(fd, &w, err);
}

int link_count(int fd, uint32_t group, unsigned *ret, struct error *err)
{
    struct netlink_writer w = {0};
    struct found f = {.group = group};
    int r;

    link_message(&w, RTM_GETLINK, NLM_F_DUMP, 0, false, "list network devices");
    netlink_put_u32(&w, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    r = netlink_ask(fd, &w, see_link, &f, err);
    netlink_done(&w);
    if (r == 0)
        *ret = f.count;
    return r;
}

static bool see_route(void *opaque, const struct nlmsghdr *m)
{
    struct rtmsg route;

    if (m->nlmsg_type == RTM_NEWROUTE && m->nlmsg_len >= NLMSG_HDRLEN + sizeof route) {
        memcpy(&route, (const uint8_t *)m + NLMSG_HDRLEN, sizeof route);
        *(unsigned *)opaque = route.rtm_dst_len;
    }
    return true;
}

int link_route_prefix(int fd, uint32_t address, unsigned *ret, struct error *err)
{
    const struct rtmsg m = {.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_flags = RTM_F_FIB_MATCH};
    struct netlink_writer w = {0};
    unsigned prefix = 0;
    int r;

    netlink_message(&w, RTM_GETROUTE, 0, &m, sizeof m, "look up a route");
    netlink_put_be32(&w, RTA_DST, address);
    r = netlink_ask(fd, &w, see_route, &prefix, err);
    netlink_done(&w);
    if (r == -ENETUNREACH || r == -EHOSTUNREACH)
        r = 0; /* no route is as good as the default one */
    if (r == 0)
        *ret = prefix;
    return r;
}
