/* SPDX-License-Identifier: Apache-2.0 */
#include "network/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Where the fields are in an IPv4 header (RFC 791) and in those of TCP and UDP. */
enum { IP_SOURCE = 12, IP_DESTINATION = 16, PORT_DESTINATION = 2, LOOPBACK_OCTET = 127 };
enum { REGISTER = NFT_REG_1, REGISTER_PORT = NFT_REG_2 };

/* ---- batches and objects ---- */

static void batch_mark(struct netlink_writer *w, uint16_t type, const char *what)
{
    const struct nfgenmsg m = {.res_id = htons(NFNL_SUBSYS_NFTABLES)};

    netlink_message(w, type, 0, &m, sizeof m, what);
}

void nft_begin(struct netlink_writer *w, const char *what)
{
    batch_mark(w, NFNL_MSG_BATCH_BEGIN, what);
}

/* Not every kernel answers the end of a batch: its last object is asked for the answer. */
void nft_end(struct netlink_writer *w)
{
    netlink_flag(w, NLM_F_ACK);
    w->last = w->count;
    batch_mark(w, NFNL_MSG_BATCH_END, NULL);
}

static void object(struct netlink_writer *w, uint8_t family, int type, uint16_t flags)
{
    const struct nfgenmsg m = {.nfgen_family = family};

    netlink_message(w, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &m, sizeof m, NULL);
}

int nft_commit(int fd, struct netlink_writer *w, struct error *err)
{
    int r = netlink_send(fd, w, err);

    netlink_done(w);
    return r;
}

void nft_add_table(struct netlink_writer *w, const struct nft_table *t, bool owned)
{
    object(w, t->family, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    netlink_put_text(w, NFTA_TABLE_NAME, t->name);
    if (owned)
        netlink_put_be32(w, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
}

void nft_delete_table(struct netlink_writer *w, const struct nft_table *t)
{
    object(w, t->family, NFT_MSG_DELTABLE, 0);
    netlink_put_text(w, NFTA_TABLE_NAME, t->name);
}

int nft_find_table(int fd, const struct nft_table *t, struct error *err)
{
    struct netlink_writer w = {0};
    int r;

    object(&w, t->family, NFT_MSG_GETTABLE, 0);
    netlink_put_text(&w, NFTA_TABLE_NAME, t->name);
    r = netlink_ask(fd, &w, NULL, NULL, err);
    netlink_done(&w);
    return r;
}

int nft_find_chain(int fd, const struct nft_table *t, const char *name, struct error *err)
{
    struct netlink_writer w = {0};
    int r;

    object(&w, t->family, NFT_MSG_GETCHAIN, 0);
    netlink_put_text(&w, NFTA_CHAIN_TABLE, t->name);
    netlink_put_text(&w, NFTA_CHAIN_NAME, name);
    r = netlink_ask(fd, &w, NULL, NULL, err);
    netlink_done(&w);
    return r;
}

void nft_add_chain(struct netlink_writer *w, const struct nft_table *t, const struct nft_chain *c)
{
    size_t hook;

    object(w, t->family, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netlink_put_text(w, NFTA_CHAIN_TABLE, t->name);
    netlink_put_text(w, NFTA_CHAIN_NAME, c->name);
    hook = netlink_nest(w, NFTA_CHAIN_HOOK);
    netlink_put_be32(w, NFTA_HOOK_HOOKNUM, c->hook);
    netlink_put_be32(w, NFTA_HOOK_PRIORITY, (uint32_t)c->priority);
    if (c->device)
        netlink_put_text(w, NFTA_HOOK_DEV, c->device);
    netlink_unnest(w, hook);
    netlink_put_be32(w, NFTA_CHAIN_POLICY, NF_ACCEPT);
    netlink_put_text(w, NFTA_CHAIN_TYPE, c->type);
}

/* ---- what others have made ---- */

struct listing {
    void (*each)(void *opaque, const struct nft_seen_chain *c);
    void *opaque;
};

static uint32_t number(const void *data, size_t len, uint16_t type, uint32_t otherwise)
{
    const void *at = netlink_find(data, len, type, sizeof(uint32_t), NULL);
    uint32_t value;

    if (!at)
        return otherwise;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

static void text(const void *data, size_t len, uint16_t type, char out[NFT_NAME_MAX])
{
    size_t n = 0;
    const char *at = netlink_find(data, len, type, 1, &n);

    snprintf(out, NFT_NAME_MAX, "%.*s", at ? (int)n : 0, at ? at : "");
}

static bool see_chain(void *opaque, const struct nlmsghdr *m)
{
    struct listing *l = opaque;
    struct nft_seen_chain c = {0};
    struct nfgenmsg g;
    const void *all, *hook;
    size_t len, hook_len;

    if (m->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN) ||
        m->nlmsg_len < NLMSG_HDRLEN + sizeof g)
        return true;
    memcpy(&g, (const uint8_t *)m + NLMSG_HDRLEN, sizeof g);
    all = netlink_attributes(m, sizeof g, &len);
    hook = netlink_find(all, len, NFTA_CHAIN_HOOK, 0, &hook_len);
    if (!hook || number(hook, hook_len, NFTA_HOOK_HOOKNUM, UINT32_MAX) != NF_INET_FORWARD)
        return true;
    if (g.nfgen_family != NFPROTO_INET && g.nfgen_family != NFPROTO_IPV4)
        return true;
    c.family = g.nfgen_family;
    text(all, len, NFTA_CHAIN_TABLE, c.table);
    text(all, len, NFTA_CHAIN_NAME, c.name);
    c.drops = number(all, len, NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP;
    l->each(l->opaque, &c);
    return true;
}

int nft_list_forward(int fd, void (*each)(void *opaque, const struct nft_seen_chain *c),
                     void *opaque, struct error *err)
{
    struct listing l = {each, opaque};
    struct netlink_writer w = {0};
    int r;

    object(&w, NFPROTO_UNSPEC, NFT_MSG_GETCHAIN, NLM_F_DUMP);
    r = netlink_ask(fd, &w, see_chain, &l, err);
    netlink_done(&w);
    return r;
}

struct mention {
    const char *text;
    bool found;
};

static bool see_rule(void *opaque, const struct nlmsghdr *m)
{
    struct mention *x = opaque;

    x->found = memmem((const uint8_t *)m + NLMSG_HDRLEN, m->nlmsg_len - NLMSG_HDRLEN, x->text,
                      strlen(x->text)) != NULL;
    return !x->found;
}

int nft_mentions(int fd, const struct nft_table *t, const char *text, bool *ret, struct error *err)
{
    struct mention x = {.text = text};
    struct netlink_writer w = {0};
    int r;

    object(&w, t->family, NFT_MSG_GETRULE, NLM_F_DUMP);
    netlink_put_text(&w, NFTA_RULE_TABLE, t->name);
    r = netlink_ask(fd, &w, see_rule, &x, err);
    netlink_done(&w);
    if (r == 0)
        *ret = x.found;
    return r;
}

/* ---- rules ---- */

struct nft_rule nft_rule_begin(struct netlink_writer *w, const struct nft_table *t,
                               const char *chain)
{
    object(w, t->family, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netlink_put_text(w, NFTA_RULE_TABLE, t->name);
    netlink_put_text(w, NFTA_RULE_CHAIN, chain);
    return (struct nft_rule){netlink_nest(w, NFTA_RULE_EXPRESSIONS)};
}

void nft_rule_end(struct netlink_writer *w, struct nft_rule rule)
{
    netlink_unnest(w, rule.list);
}

struct expression {
    size_t element, data;
};

static struct expression begin(struct netlink_writer *w, const char *name)
{
    struct expression e = {.element = netlink_nest(w, NFTA_LIST_ELEM)};

    netlink_put_text(w, NFTA_EXPR_NAME, name);
    e.data = netlink_nest(w, NFTA_EXPR_DATA);
    return e;
}

static void end(struct netlink_writer *w, struct expression e)
{
    netlink_unnest(w, e.data);
    netlink_unnest(w, e.element);
}

static void put_value(struct netlink_writer *w, uint16_t type, const void *value, size_t len)
{
    size_t nest = netlink_nest(w, type);

    netlink_put(w, NFTA_DATA_VALUE, value, len);
    netlink_unnest(w, nest);
}

static void compare(struct netlink_writer *w, uint32_t op, const void *value, size_t len)
{
    struct expression e = begin(w, "cmp");

    netlink_put_be32(w, NFTA_CMP_SREG, REGISTER);
    netlink_put_be32(w, NFTA_CMP_OP, op);
    put_value(w, NFTA_CMP_DATA, value, len);
    end(w, e);
}

static void load_meta(struct netlink_writer *w, uint32_t key)
{
    struct expression e = begin(w, "meta");

    netlink_put_be32(w, NFTA_META_KEY, key);
    netlink_put_be32(w, NFTA_META_DREG, REGISTER);
    end(w, e);
}

static void load_payload(struct netlink_writer *w, uint32_t base, uint32_t offset, uint32_t len)
{
    struct expression e = begin(w, "payload");

    netlink_put_be32(w, NFTA_PAYLOAD_DREG, REGISTER);
    netlink_put_be32(w, NFTA_PAYLOAD_BASE, base);
    netlink_put_be32(w, NFTA_PAYLOAD_OFFSET, offset);
    netlink_put_be32(w, NFTA_PAYLOAD_LEN, len);
    end(w, e);
}

void nft_match_group(struct netlink_writer *w, bool out, bool is_not, uint32_t group)
{
    load_meta(w, out ? NFT_META_OIFGROUP : NFT_META_IIFGROUP);
    compare(w, is_not ? NFT_CMP_NEQ : NFT_CMP_EQ, &group, sizeof group);
}

void nft_match_protocol(struct netlink_writer *w, uint16_t ethertype)
{
    const uint16_t value = htons(ethertype);

    load_meta(w, NFT_META_PROTOCOL);
    compare(w, NFT_CMP_EQ, &value, sizeof value);
}

static void match_address(struct netlink_writer *w, uint32_t offset, uint32_t address)
{
    uint32_t value = htonl(address);

    load_payload(w, NFT_PAYLOAD_NETWORK_HEADER, offset, sizeof value);
    compare(w, NFT_CMP_EQ, &value, sizeof value);
}

void nft_match_source(struct netlink_writer *w, uint32_t address)
{
    match_address(w, IP_SOURCE, address);
}

void nft_match_destination(struct netlink_writer *w, uint32_t address)
{
    match_address(w, IP_DESTINATION, address);
}

void nft_match_loopback(struct netlink_writer *w, bool source)
{
    const uint8_t octet = LOOPBACK_OCTET;

    load_payload(w, NFT_PAYLOAD_NETWORK_HEADER, source ? IP_SOURCE : IP_DESTINATION, 1);
    compare(w, NFT_CMP_EQ, &octet, 1);
}

static void match_fib(struct netlink_writer *w, uint32_t result, uint32_t flags, uint32_t value)
{
    struct expression e = begin(w, "fib");

    netlink_put_be32(w, NFTA_FIB_DREG, REGISTER);
    netlink_put_be32(w, NFTA_FIB_RESULT, result);
    netlink_put_be32(w, NFTA_FIB_FLAGS, flags);
    end(w, e);
    compare(w, NFT_CMP_EQ, &value, sizeof value);
}

void nft_match_local(struct netlink_writer *w)
{
    match_fib(w, NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR, RTN_LOCAL);
}

void nft_match_stranger(struct netlink_writer *w)
{
    match_fib(w, NFT_FIB_RESULT_OIF, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF, 0);
}

void nft_match_port(struct netlink_writer *w, uint8_t protocol, uint16_t port)
{
    const uint16_t value = htons(port);

    load_meta(w, NFT_META_L4PROTO);
    compare(w, NFT_CMP_EQ, &protocol, sizeof protocol);
    load_payload(w, NFT_PAYLOAD_TRANSPORT_HEADER, PORT_DESTINATION, sizeof value);
    compare(w, NFT_CMP_EQ, &value, sizeof value);
}

static void match_ct_not(struct netlink_writer *w, uint32_t key, uint32_t bits)
{
    const uint32_t zero = 0;
    struct expression e = begin(w, "ct");

    netlink_put_be32(w, NFTA_CT_KEY, key);
    netlink_put_be32(w, NFTA_CT_DREG, REGISTER);
    end(w, e);
    e = begin(w, "bitwise");
    netlink_put_be32(w, NFTA_BITWISE_SREG, REGISTER);
    netlink_put_be32(w, NFTA_BITWISE_DREG, REGISTER);
    netlink_put_be32(w, NFTA_BITWISE_LEN, sizeof bits);
    put_value(w, NFTA_BITWISE_MASK, &bits, sizeof bits);
    put_value(w, NFTA_BITWISE_XOR, &zero, sizeof zero);
    end(w, e);
    compare(w, NFT_CMP_EQ, &zero, sizeof zero);
}

void nft_match_state_not(struct netlink_writer *w, uint32_t bits)
{
    match_ct_not(w, NFT_CT_STATE, bits);
}

void nft_match_status_not(struct netlink_writer *w, uint32_t bits)
{
    match_ct_not(w, NFT_CT_STATUS, bits);
}

static void load_value(struct netlink_writer *w, uint32_t reg, const void *value, size_t len)
{
    struct expression e = begin(w, "immediate");

    netlink_put_be32(w, NFTA_IMMEDIATE_DREG, reg);
    put_value(w, NFTA_IMMEDIATE_DATA, value, len);
    end(w, e);
}

void nft_dnat(struct netlink_writer *w, uint32_t address, uint16_t port)
{
    const uint32_t to = htonl(address);
    const uint16_t at = htons(port);
    struct expression e;

    load_value(w, REGISTER, &to, sizeof to);
    load_value(w, REGISTER_PORT, &at, sizeof at);
    e = begin(w, "nat");
    netlink_put_be32(w, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    netlink_put_be32(w, NFTA_NAT_FAMILY, NFPROTO_IPV4);
    netlink_put_be32(w, NFTA_NAT_REG_ADDR_MIN, REGISTER);
    netlink_put_be32(w, NFTA_NAT_REG_PROTO_MIN, REGISTER_PORT);
    end(w, e);
}

void nft_masquerade(struct netlink_writer *w)
{
    end(w, begin(w, "masq"));
}

void nft_drop(struct netlink_writer *w)
{
    struct expression e = begin(w, "immediate");
    size_t data, verdict;

    netlink_put_be32(w, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    data = netlink_nest(w, NFTA_IMMEDIATE_DATA);
    verdict = netlink_nest(w, NFTA_DATA_VERDICT);
    netlink_put_be32(w, NFTA_VERDICT_CODE, NF_DROP);
    netlink_unnest(w, verdict);
    netlink_unnest(w, data);
    end(w, e);
}
