/* SPDX-License-Identifier: Apache-2.0 */
#include "network/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { FIRST_ROOM = 4096, MESSAGES_MAX = 4 << 20, ANSWER = 32 << 10, USUAL_SEND = 100 << 10 };

/* ---- writing ---- */

void netlink_done(struct netlink_writer *w)
{
    free(w->data);
    *w = (struct netlink_writer){0};
}

/* @len more bytes, zeros; NULL: the writer has failed. Keeps the last message's length right. */
static uint8_t *grow(struct netlink_writer *w, size_t len)
{
    size_t padded = NLMSG_ALIGN(len), room = w->room ? w->room : FIRST_ROOM;
    struct nlmsghdr head;
    uint8_t *at;

    if (w->failed || len > MESSAGES_MAX || w->len + padded > MESSAGES_MAX) {
        w->failed = true;
        return NULL;
    }
    while (room < w->len + padded)
        room *= 2;
    if (room != w->room) {
        at = realloc(w->data, room);
        if (!at) {
            w->failed = true;
            return NULL;
        }
        w->data = at;
        w->room = room;
    }
    at = w->data + w->len;
    memset(at, 0, padded);
    w->len += padded;
    if (w->count) {
        memcpy(&head, w->data + w->message, sizeof head);
        head.nlmsg_len = (uint32_t)(w->len - w->message);
        memcpy(w->data + w->message, &head, sizeof head);
    }
    return at;
}

void netlink_message(struct netlink_writer *w, uint16_t type, uint16_t flags, const void *header,
                     size_t len, const char *what)
{
    struct nlmsghdr head = {.nlmsg_len = sizeof head,
                            .nlmsg_type = type,
                            .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                            .nlmsg_seq = w->count + 1};
    size_t at = w->len;
    uint8_t *to;

    w->message = at;
    to = grow(w, sizeof head);
    if (!to)
        return;
    memcpy(to, &head, sizeof head);
    if (w->count < NETLINK_WHATS)
        w->what[w->count] = what;
    w->count++;
    netlink_raw(w, header, len);
}

void netlink_flag(struct netlink_writer *w, uint16_t flags)
{
    struct nlmsghdr head;

    if (w->failed || !w->count)
        return;
    memcpy(&head, w->data + w->message, sizeof head);
    head.nlmsg_flags |= flags;
    memcpy(w->data + w->message, &head, sizeof head);
}

void netlink_raw(struct netlink_writer *w, const void *data, size_t len)
{
    uint8_t *to = len ? grow(w, len) : NULL;

    if (to)
        memcpy(to, data, len);
}

void netlink_put(struct netlink_writer *w, uint16_t type, const void *data, size_t len)
{
    struct nlattr head = {.nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type};
    uint8_t *to;

    if (len > UINT16_MAX - NLA_HDRLEN) {
        w->failed = true;
        return;
    }
    to = grow(w, NLA_HDRLEN + len);
    if (!to)
        return;
    memcpy(to, &head, sizeof head);
    if (len)
        memcpy(to + NLA_HDRLEN, data, len);
}

void netlink_put_u32(struct netlink_writer *w, uint16_t type, uint32_t value)
{
    netlink_put(w, type, &value, sizeof value);
}

void netlink_put_be32(struct netlink_writer *w, uint16_t type, uint32_t value)
{
    netlink_put_u32(w, type, htonl(value));
}

void netlink_put_text(struct netlink_writer *w, uint16_t type, const char *text)
{
    netlink_put(w, type, text, strlen(text) + 1);
}

size_t netlink_nest(struct netlink_writer *w, uint16_t type)
{
    size_t at = w->len;

    netlink_put(w, type | NLA_F_NESTED, NULL, 0);
    return at;
}

void netlink_unnest(struct netlink_writer *w, size_t nest)
{
    uint16_t len;

    if (w->failed || w->len - nest > UINT16_MAX) {
        w->failed = true;
        return;
    }
    len = (uint16_t)(w->len - nest);
    memcpy(w->data + nest + offsetof(struct nlattr, nla_len), &len, sizeof len);
}

/* ---- sockets ---- */

int netlink_open(int protocol, struct error *err)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    return fd < 0 ? error_set_errno(err, -errno, "open a netlink socket") : fd;
}

static int transmit(int fd, struct netlink_writer *w, struct error *err)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int room = (int)w->len * 2;
    ssize_t n;

    if (w->failed)
        return error_set(err, -ENOMEM, "out of memory");
    if (w->len > USUAL_SEND && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        return error_set_errno(err, -errno, "make room for %zu bytes of netlink messages", w->len);
    n = sendto(fd, w->data, w->len, 0, (const struct sockaddr *)&kernel, sizeof kernel);
    return n < 0 ? error_set_errno(err, -errno, "send to the kernel's netlink") : 0;
}

/* The error that @m tells, with the text of its request. */
static int judge(const struct netlink_writer *w, const struct nlmsghdr *m, struct error *err)
{
    struct nlmsgerr e;
    const char *what;

    if (m->nlmsg_len < NLMSG_HDRLEN + sizeof e)
        return error_set(err, -EBADMSG, "the kernel's netlink gave a short answer");
    memcpy(&e, (const uint8_t *)m + NLMSG_HDRLEN, sizeof e);
    if (e.error >= 0)
        return 0;
    what = m->nlmsg_seq - 1 < NETLINK_WHATS ? w->what[m->nlmsg_seq - 1] : NULL;
    if (!what)
        what = w->what[0] ? w->what[0] : "the kernel's netlink";
    return error_set_errno(err, e.error, "%s", what);
}

struct answer {
    const struct netlink_writer *w;
    bool (*each)(void *opaque, const struct nlmsghdr *m);
    void *opaque;
    struct error *err;
    int result;
};

/* True: this was the last one. */
static bool take(struct answer *a, const struct nlmsghdr *m)
{
    int r;

    if (m->nlmsg_seq < 1 || m->nlmsg_seq > a->w->count)
        return false; /* of an earlier batch */
    if (m->nlmsg_type == NLMSG_DONE)
        return true;
    if (m->nlmsg_type != NLMSG_ERROR) {
        if (a->each && !a->each(a->opaque, m))
            a->each = NULL;
        return false;
    }
    r = judge(a->w, m, a->result ? NULL : a->err);
    if (!a->result)
        a->result = r;
    return m->nlmsg_seq == a->w->last;
}

/*
 * The kernel works in sendto, so its answers are waiting; a refused batch may end with an answer to
 * its beginning, and then nothing follows.
 */
static int receive(int fd, struct answer *a)
{
    _Alignas(struct nlmsghdr) uint8_t buf[ANSWER];

    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        size_t left, at = 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && a->result)
            return a->result;
        if (n < 0)
            return error_set_errno(a->err, -errno, "read the kernel's netlink answer");
        left = (size_t)n;
        while (left - at >= NLMSG_HDRLEN) {
            const struct nlmsghdr *m = (const void *)(buf + at);
            if (m->nlmsg_len < NLMSG_HDRLEN || m->nlmsg_len > left - at)
                return error_set(a->err, -EBADMSG, "the kernel's netlink answer is torn");
            if (take(a, m))
                return a->result;
            at += min_of((size_t)NLMSG_ALIGN(m->nlmsg_len), left - at);
        }
    }
}

int netlink_ask(int fd, struct netlink_writer *w,
                bool (*each)(void *opaque, const struct nlmsghdr *m), void *opaque,
                struct error *err)
{
    struct answer a = {.w = w, .each = each, .opaque = opaque, .err = err};
    int r;

    if (!w->last) {
        netlink_flag(w, NLM_F_ACK);
        w->last = w->count;
    }
    r = transmit(fd, w, err);
    return r < 0 ? r : receive(fd, &a);
}

int netlink_send(int fd, struct netlink_writer *w, struct error *err)
{
    return netlink_ask(fd, w, NULL, NULL, err);
}

const void *netlink_find(const void *data, size_t len, uint16_t type, size_t min, size_t *ret_len)
{
    const uint8_t *p = data;

    while (len >= NLA_HDRLEN) {
        struct nlattr head;
        memcpy(&head, p, sizeof head);
        if (head.nla_len < NLA_HDRLEN || head.nla_len > len)
            return NULL;
        if ((head.nla_type & NLA_TYPE_MASK) == type) {
            if (head.nla_len < NLA_HDRLEN + min)
                return NULL;
            if (ret_len)
                *ret_len = (size_t)head.nla_len - NLA_HDRLEN;
            return p + NLA_HDRLEN;
        }
        p += min_of((size_t)NLA_ALIGN(head.nla_len), len);
        len -= min_of((size_t)NLA_ALIGN(head.nla_len), len);
    }
    return NULL;
}

const void *netlink_attributes(const struct nlmsghdr *m, size_t header, size_t *ret_len)
{
    size_t begin = NLMSG_HDRLEN + NLMSG_ALIGN(header);

    *ret_len = m->nlmsg_len > begin ? m->nlmsg_len - begin : 0;
    return (const uint8_t *)m + begin;
}
