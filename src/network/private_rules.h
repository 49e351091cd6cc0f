/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of private networks (private_net.h says what they are) and of forwarding. */
#ifndef NETWORK_PRIVATE_RULES_H
#define NETWORK_PRIVATE_RULES_H

#include "network/nft.h"
#include "network/private_net.h"

struct private_rules {
    int nft; /* socket; owns the table of ports; -1: none */
    char table[NFT_NAME_MAX];
    bool ports;
};

/* Opens the socket; @id is that of the instance. */
int private_rules_open(struct private_rules *r, const char *id, struct error *err);
/* Closes it: the kernel removes the table of ports if it is still there. */
void private_rules_done(struct private_rules *r);

/* Descriptor of the lock; closing it unlocks. Or a negative errno. */
int private_rules_lock(struct error *err);
/*
 * Makes the table of all unless it is there, and has the host forward packets. The caller's device
 * is in the group by now, so that nobody who looks for the last one removes it.
 */
int private_rules_share(struct private_rules *r, struct error *err);
/* Whether the table of all is there. */
bool private_rules_shared(struct private_rules *r);
/* Removes it, and has the host stop forwarding if we began it. The caller holds the lock. */
int private_rules_unshare(struct private_rules *r, struct error *err);

/* The table of ports, when there are some. */
int private_rules_ports(struct private_rules *r, const struct private_net_options *o,
                        const struct private_net_facts *f, struct error *err);
void private_rules_close_ports(struct private_rules *r);

#endif
