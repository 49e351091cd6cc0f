/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports: [[ADDRESS:][HOST]:]GUEST[/tcp|udp], HOST and GUEST also as ranges A-B. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/spec_internal.h"

struct range {
    unsigned first, last;
};

/* "80" or "80-90". Modifies @text. */
static int parse_range(char *text, struct range *ret, struct error *err)
{
    char *dash = strchr(text, '-');
    uint64_t a = 0, b;

    if (dash)
        *dash++ = 0;
    if (str_parse_u64(text, &a) < 0 || a < 1 || a > 65535)
        return error_set(err, -EINVAL, "\"%.20s\" is not a port (1 to 65535)", text);
    b = a;
    if (dash && (str_parse_u64(dash, &b) < 0 || b < a || b > 65535))
        return error_set(err, -EINVAL, "\"%.20s\" is not the end of a range of ports", dash);
    *ret = (struct range){(unsigned)a, (unsigned)b};
    return 0;
}

static int add_one(struct spec *s, const struct spec_port *p, struct error *err)
{
    if (s->port_count == SPEC_PORTS)
        return error_set(err, -ENOSPC, "more than %d ports", SPEC_PORTS);
    for (size_t i = 0; p->host && i < s->port_count; i++)
        if (s->ports[i].host == p->host && s->ports[i].udp == p->udp &&
            strcmp(s->ports[i].address, p->address) == 0)
            return error_set(err, -EINVAL, "port %s:%u is published twice", p->address, p->host);
    s->ports[s->port_count++] = *p;
    return 0;
}

/* "1.2.3.4" or "[::1]". */
static int parse_address(char *text, struct spec_port *p, struct error *err)
{
    size_t n = strlen(text);
    uint8_t any[16];
    bool v6 = n > 2 && text[0] == '[' && text[n - 1] == ']';

    if (v6) {
        text[n - 1] = 0;
        text++;
    }
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, any) != 1)
        return error_set(err, -EINVAL, "\"%.60s\" is not an %s address", text,
                         v6 ? "IPv6" : "IPv4");
    snprintf(p->address, sizeof p->address, "%s", text);
    return 0;
}

static int add_ranges(struct spec *s, struct spec_port *p, char *host, char *guest,
                      struct error *err)
{
    struct range from = {0}, to;
    int r = parse_range(guest, &to, err);

    /* 0: any free one, as without. */
    if (r == 0 && host && *host && strcmp(host, "0") != 0)
        r = parse_range(host, &from, err);
    if (r < 0)
        return r;
    if (from.first && from.last - from.first != to.last - to.first)
        return error_set(err, -EINVAL, "%u-%u and %u-%u are ranges of different lengths",
                         from.first, from.last, to.first, to.last);
    for (unsigned i = 0; r == 0 && i <= to.last - to.first; i++) {
        p->guest = (uint16_t)(to.first + i);
        p->host = (uint16_t)(from.first ? from.first + i : 0);
        r = add_one(s, p, err);
    }
    return r;
}

int spec_add_port(struct spec *s, const char *text, struct error *err)
{
    struct spec_port p = {.address = "127.0.0.1"};
    cleanup_free char *copy = strdup(text);
    char *slash, *guest, *host = NULL, *colon;
    int r;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    slash = strchr(copy, '/');
    if (slash) {
        *slash++ = 0;
        if (strcmp(slash, "tcp") != 0 && strcmp(slash, "udp") != 0)
            return error_set(err, -EINVAL, "\"%.20s\" is neither tcp nor udp", slash);
        p.udp = *slash == 'u';
    }
    guest = copy;
    colon = strrchr(copy, ':');
    if (colon) {
        *colon = 0;
        guest = colon + 1;
        host = copy;
        colon = strrchr(copy, ':');
        if (colon) {
            *colon = 0;
            host = colon + 1;
            r = parse_address(copy, &p, err);
            if (r < 0)
                return r;
        }
    }
    r = add_ranges(s, &p, host, guest, err);
    return r < 0 ? error_wrap(err, r, "\"%.60s\" is not like [[ADDRESS:]HOST:]GUEST[/udp]", text)
                 : 0;
}

/* A port of @p's address that is free now. Negative errno. */
static int free_port(const struct spec_port *p)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    bool six = strchr(p->address, ':') != NULL;
    cleanup_fd int fd =
        socket(six ? AF_INET6 : AF_INET, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    struct sockaddr *a = six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = six ? sizeof v6 : sizeof v4;

    inet_pton(six ? AF_INET6 : AF_INET, p->address,
              six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr);
    if (fd < 0 || bind(fd, a, len) < 0 || getsockname(fd, a, &len) < 0)
        return -errno;
    return ntohs(six ? v6.sin6_port : v4.sin_port);
}

int spec_choose_ports(struct spec *s, struct error *err)
{
    for (size_t i = 0; i < s->port_count; i++) {
        int port;
        if (s->ports[i].host)
            continue;
        port = free_port(&s->ports[i]);
        if (port < 0)
            return error_set_errno(err, port, "find a free port of %s", s->ports[i].address);
        s->ports[i].host = (uint16_t)port;
    }
    return 0;
}
