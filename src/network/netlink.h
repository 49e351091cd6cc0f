/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the kernel's netlink families (RFC 3549; linux/netlink.h): a writer of messages and
 * attributes, and sockets that send a batch of them in one system call. Whatever cannot be written
 * (memory, lengths) marks the writer, so that only the sender has to look.
 */
#ifndef NETWORK_NETLINK_H
#define NETWORK_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { NETLINK_WHATS = 16 };

/* Begins as zeros; ends with netlink_done. */
struct netlink_writer {
    uint8_t *data;
    size_t len, room;
    size_t message; /* where the last message begins */
    uint32_t count; /* of messages */
    uint32_t last;  /* whose answer is the last one, 0: the last message's */
    bool failed;
    const char *what[NETLINK_WHATS]; /* of the first messages, for errors; NULL: as a whole */
};

void netlink_done(struct netlink_writer *w);
/*
 * Begins a message of @type with NLM_F_REQUEST and @flags; @header (of the family, @len bytes)
 * follows. @what, borrowed, says what an error of it means ("create the device"), NULL: nothing.
 */
void netlink_message(struct netlink_writer *w, uint16_t type, uint16_t flags, const void *header,
                     size_t len, const char *what);
/* Adds flags to the message that was begun last. */
void netlink_flag(struct netlink_writer *w, uint16_t flags);

/* Attributes of the last message. be: big-endian, as nftables wants its numbers. */
void netlink_put(struct netlink_writer *w, uint16_t type, const void *data, size_t len);
void netlink_put_u32(struct netlink_writer *w, uint16_t type, uint32_t value);
void netlink_put_be32(struct netlink_writer *w, uint16_t type, uint32_t value);
void netlink_put_text(struct netlink_writer *w, uint16_t type, const char *text);
/* An attribute that holds attributes, up to the netlink_unnest of what nest returned. */
size_t netlink_nest(struct netlink_writer *w, uint16_t type);
void netlink_unnest(struct netlink_writer *w, size_t nest);
/* Bytes that are no attribute: a family's header within an attribute. Padded to four. */
void netlink_raw(struct netlink_writer *w, const void *data, size_t len);

/* A socket of @protocol (NETLINK_ROUTE and so on), or a negative errno with @err. */
int netlink_open(int protocol, struct error *err);
/*
 * Sends all messages at once, the last one with NLM_F_ACK, and reads the kernel's answers.
 * The first error among them, with its message's what. Messages after a failed one of NETLINK_ROUTE
 * are still executed.
 */
int netlink_send(int fd, struct netlink_writer *w, struct error *err) error_must_check;
/*
 * Sends one request and hands the messages of the answer to @each (NULL: nobody), until it returns
 * false. 0, or the kernel's error.
 */
int netlink_ask(int fd, struct netlink_writer *w,
                bool (*each)(void *opaque, const struct nlmsghdr *m), void *opaque,
                struct error *err) error_must_check;

/*
 * Attribute @type of a message's attributes at @data; NULL when it is not there or shorter than
 * @min. *ret_len may be NULL.
 */
const void *netlink_find(const void *data, size_t len, uint16_t type, size_t min, size_t *ret_len);
/* The attributes behind the family's header of @header bytes; *ret_len is 0 when there are none. */
const void *netlink_attributes(const struct nlmsghdr *m, size_t header, size_t *ret_len);

#endif
