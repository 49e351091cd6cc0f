/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nftables objects as netlink messages (linux/netfilter/nf_tables.h), for a writer between
 * nft_begin and nft_end: one batch, which the kernel carries out as a whole or not at all.
 *
 * A rule is a row of expressions: each one loads something into the register or looks at what is
 * there, and one that does not match ends the rule. The comments say what nft(8) calls it. IPv4
 * addresses and ports are numbers in host order.
 */
#ifndef NETWORK_NFT_H
#define NETWORK_NFT_H

#include <netinet/in.h> /* before the kernel's, which then leave out what it has */
#include <stdbool.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "network/netlink.h"

enum { NFT_NAME_MAX = 64 };

/* Sends what @w holds and empties it. */
int nft_commit(int fd, struct netlink_writer *w, struct error *err);
void nft_begin(struct netlink_writer *w, const char *what);
void nft_end(struct netlink_writer *w);

/* Tables are of family @family: NFPROTO_IPV4, NFPROTO_NETDEV and so on. */
struct nft_table {
    uint8_t family;
    const char *name;
};
/* @owned: the table goes when the socket is closed, and nobody else can change it. */
void nft_add_table(struct netlink_writer *w, const struct nft_table *t, bool owned);
void nft_delete_table(struct netlink_writer *w, const struct nft_table *t);
/* 0, or -ENOENT. */
int nft_find_table(int fd, const struct nft_table *t, struct error *err) error_must_check;
int nft_find_chain(int fd, const struct nft_table *t, const char *name,
                   struct error *err) error_must_check;

/* "type TYPE hook HOOK priority PRIORITY; policy accept" */
struct nft_chain {
    const char *name;
    const char *type; /* "filter", "nat" */
    unsigned hook;    /* NF_INET_FORWARD and so on */
    int32_t priority;
    const char *device; /* hook NF_NETDEV_INGRESS: whose packets; else NULL */
};
void nft_add_chain(struct netlink_writer *w, const struct nft_table *t, const struct nft_chain *c);

/* Chains that see forwarded packets. */
struct nft_seen_chain {
    uint8_t family;
    char table[NFT_NAME_MAX], name[NFT_NAME_MAX];
    bool drops; /* policy drop */
};
/* Calls @each for each base chain of hook forward, whoever made it. */
int nft_list_forward(int fd, void (*each)(void *opaque, const struct nft_seen_chain *c),
                     void *opaque, struct error *err) error_must_check;

/* Whether a rule of @t has the bytes of @text in it, the name of a device, say. */
int nft_mentions(int fd, const struct nft_table *t, const char *text, bool *ret,
                 struct error *err) error_must_check;

/* The expressions of a rule follow, then nft_rule_end. */
struct nft_rule {
    size_t list;
};
struct nft_rule nft_rule_begin(struct netlink_writer *w, const struct nft_table *t,
                               const char *chain);
void nft_rule_end(struct netlink_writer *w, struct nft_rule rule);

/* "meta iifgroup @group", or with @not "!="; out: oifgroup. */
void nft_match_group(struct netlink_writer *w, bool out, bool is_not, uint32_t group);
/* "meta protocol ip" (ETH_P_IP) */
void nft_match_protocol(struct netlink_writer *w, uint16_t ethertype);
/* "ip saddr A" and "ip daddr A"; only for packets known to be IPv4. */
void nft_match_source(struct netlink_writer *w, uint32_t address);
void nft_match_destination(struct netlink_writer *w, uint32_t address);
/* "ip saddr 127.0.0.0/8" and "ip daddr 127.0.0.0/8" */
void nft_match_loopback(struct netlink_writer *w, bool source);
/* "fib daddr type local" */
void nft_match_local(struct netlink_writer *w);
/* "fib saddr . iif oif 0": answers to the source would not go where the packet came from. */
void nft_match_stranger(struct netlink_writer *w);
/* "tcp dport P" (IPPROTO_TCP), "udp dport P" (IPPROTO_UDP) */
void nft_match_port(struct netlink_writer *w, uint8_t protocol, uint16_t port);
/* None of the bits: "ct state != established,related", "ct status != dnat" */
void nft_match_state_not(struct netlink_writer *w, uint32_t bits);
void nft_match_status_not(struct netlink_writer *w, uint32_t bits);
/* "dnat ip to A:P" */
void nft_dnat(struct netlink_writer *w, uint32_t address, uint16_t port);
/* "masquerade" */
void nft_masquerade(struct netlink_writer *w);
/* "drop" */
void nft_drop(struct netlink_writer *w);

#endif
