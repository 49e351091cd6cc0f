/* SPDX-License-Identifier: Apache-2.0 */
/* A guest made of hand-written frames on the NAT network; servers on the host's loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/net_null.h"
#include "io/net_slirp.h"

enum { FRAMES = 256, FRAME = 2048 };
enum { ETH = 14, IP = 20, TCP = 20, UDP = 8 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 1, 2, 3};
static const uint8_t guest_ip[4] = {10, 0, 2, 15}, host_ip[4] = {10, 0, 2, 2};

struct guest {
    struct loop *loop;
    struct netdev *net;
    struct netdev_client client;
    bool deaf;
    unsigned count; /* frames received */
    size_t len[FRAMES];
    uint8_t frame[FRAMES][FRAME];
    uint8_t gateway_mac[6];
};

static bool can_receive(void *opaque, size_t len)
{
    return !((struct guest *)opaque)->deaf;
}

static void receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct guest *g = opaque;

    assert_false(g->deaf);
    assert_true(g->count < FRAMES && len <= FRAME);
    memcpy(g->frame[g->count], frame, len);
    g->len[g->count++] = len;
}

static struct guest *start(const struct net_slirp_options *options)
{
    struct guest *g = mem_new(struct guest);
    struct error err = {0};

    g->loop = loop_new(NULL);
    g->net = net_slirp_new(g->loop, options, &err);
    if (!g->net)
        print_error("%s\n", error_text(&err));
    assert_non_null(g->net);
    g->client = (struct netdev_client){.can_receive = can_receive, .receive = receive, .opaque = g};
    g->net->ops->attach(g->net, &g->client);
    return g;
}

static void stop(struct guest *g)
{
    netdev_close(g->net);
    loop_free(g->loop);
    free(g);
}

static void put16(uint8_t *at, unsigned v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) << 16 | get16(at + 2);
}

static void put32(uint8_t *at, uint32_t v)
{
    put16(at, v >> 16);
    put16(at + 2, v & 0xffff);
}

static uint32_t sum_of(const uint8_t *bytes, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static void send_frame(struct guest *g, const uint8_t *frame, size_t len)
{
    struct netdev_span spans[2] = {{frame, 20}, {frame + 20, len - 20}};

    g->net->ops->send(g->net, spans, 2);
    g->net->ops->sent(g->net);
}

/* Sends @len bytes above IP to @to, completing IP header and the checksum at @sum_at (0: none). */
static void send_ip(struct guest *g, uint8_t proto, const uint8_t *to, const uint8_t *from,
                    const uint8_t *payload, size_t len, size_t sum_at, bool pseudo)
{
    static uint8_t f[70000];
    uint8_t *ip = f + ETH;
    uint32_t sum = 0;

    memset(f, 0xff, 6);
    memcpy(f, g->gateway_mac, 6);
    memcpy(f + 6, guest_mac, 6);
    put16(f + 12, 0x0800);
    memset(ip, 0, IP);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(IP + len));
    ip[8] = 64;
    ip[9] = proto;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    put16(ip + 10, ~sum_of(ip, IP, 0) & 0xffff);
    memcpy(ip + IP, payload, len);
    if (pseudo)
        sum = sum_of(ip + 12, 8, proto + (uint32_t)len);
    if (sum_at)
        put16(ip + IP + sum_at, ~sum_of(ip + IP, len, sum) & 0xffff);
    send_frame(g, f, ETH + IP + len);
}

/* The next frame from @*at on with this IP protocol, its bytes above IP in *ret_len. */
static const uint8_t *find_ip(struct guest *g, unsigned *at, uint8_t proto, size_t *ret_len)
{
    for (; *at < g->count; ++*at) {
        const uint8_t *f = g->frame[*at], *ip = f + ETH;
        if (get16(f + 12) != 0x0800 || ip[9] != proto)
            continue;
        assert_int_equal(sum_of(ip, IP, 0), 0xffff); /* the header's checksum is right */
        *ret_len = get16(ip + 2) - IP;
        ++*at;
        return ip + IP;
    }
    return NULL;
}

/* Turns the loop until a frame of @proto arrives after *at. */
static const uint8_t *wait_ip(struct guest *g, unsigned *at, uint8_t proto, size_t *ret_len)
{
    for (unsigned i = 0; i < 2000; i++) {
        const uint8_t *found = find_ip(g, at, proto, ret_len);
        if (found)
            return found;
        assert_int_equal(loop_step(g->loop, 5, NULL), 0);
    }
    fail_msg("no frame came");
    return NULL;
}

static void learn_gateway(struct guest *g)
{
    uint8_t f[42] = {0};

    memset(f, 0xff, 6);
    memcpy(f + 6, guest_mac, 6);
    put16(f + 12, 0x0806);
    put16(f + 14, 1);
    put16(f + 16, 0x0800);
    f[18] = 6;
    f[19] = 4;
    put16(f + 20, 1);
    memcpy(f + 22, guest_mac, 6);
    memcpy(f + 28, guest_ip, 4);
    memcpy(f + 38, host_ip, 4);
    send_frame(g, f, sizeof(f));
    for (unsigned i = 0; i < g->count; i++) {
        const uint8_t *a = g->frame[i];
        if (get16(a + 12) == 0x0806 && get16(a + 20) == 2 && memcmp(a + 28, host_ip, 4) == 0) {
            memcpy(g->gateway_mac, a + 22, 6);
            return;
        }
    }
    fail_msg("the gateway does not answer ARP");
}

static void arp_and_ping(void **state)
{
    struct guest *g = start(&(struct net_slirp_options){0});
    uint8_t echo[16] = {8, 0, 0, 0, 0, 1, 0, 1, 'p', 'i', 'n', 'g'};
    const uint8_t *reply;
    unsigned at = 0;
    size_t len;

    learn_gateway(g);
    send_ip(g, 1, host_ip, guest_ip, echo, sizeof(echo), 2, false);
    reply = wait_ip(g, &at, 1, &len);
    assert_int_equal(reply[0], 0);
    assert_memory_equal(reply + 8, "ping", 4);
    stop(g);
}

/* DISCOVER and REQUEST; the offered and acknowledged address is 10.0.2.15. */
static void dhcp(void **state)
{
    struct guest *g = start(&(struct net_slirp_options){.hostname = "box"});
    static const uint8_t any[4], all[4] = {255, 255, 255, 255};
    const uint8_t types[] = {1, 3}, answers[] = {2, 5};
    unsigned at = 0;

    memset(g->gateway_mac, 0xff, 6);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t p[UDP + 300] = {0}, *d = p + UDP, *o = d + 240;
        const uint8_t *reply;
        size_t len;
        put16(p, 68);
        put16(p + 2, 67);
        put16(p + 4, sizeof(p));
        d[0] = 1;
        d[1] = 1;
        d[2] = 6;
        put32(d + 4, 0x12345678);
        memcpy(d + 28, guest_mac, 6);
        put32(d + 236, 0x63825363);
        *o++ = 53;
        *o++ = 1;
        *o++ = types[i];
        if (i) {
            *o++ = 50;
            *o++ = 4;
            memcpy(o, guest_ip, 4);
            o += 4;
        }
        *o = 255;
        send_ip(g, 17, all, any, p, sizeof(p), 6, true);
        reply = wait_ip(g, &at, 17, &len);
        assert_int_equal(get16(reply + 2), 68);
        assert_int_equal(get32(reply + UDP + 4), 0x12345678);
        assert_memory_equal(reply + UDP + 16, guest_ip, 4);
        assert_int_equal(reply[UDP + 240], 53);
        assert_int_equal(reply[UDP + 242], answers[i]);
    }
    stop(g);
}

static int listen_on_loopback(int type, uint16_t *ret_port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 5), 0);
    getsockname(fd, (struct sockaddr *)&sin, &len);
    *ret_port = ntohs(sin.sin_port);
    return fd;
}

static void udp_to_the_host(void **state)
{
    struct guest *g = start(&(struct net_slirp_options){0});
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    uint8_t p[UDP + 5] = {0}, got[16];
    const uint8_t *reply;
    unsigned at = 0;
    uint16_t port;
    size_t len;
    int fd = listen_on_loopback(SOCK_DGRAM, &port);

    learn_gateway(g);
    put16(p, 4000);
    put16(p + 2, port);
    put16(p + 4, sizeof(p));
    memcpy(p + UDP, "hello", 5);
    send_ip(g, 17, host_ip, guest_ip, p, sizeof(p), 6, true);
    assert_int_equal(recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len), 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(sendto(fd, "world!", 6, 0, (struct sockaddr *)&from, from_len), 6);
    reply = wait_ip(g, &at, 17, &len);
    assert_int_equal(get16(reply), port);
    assert_int_equal(get16(reply + 2), 4000);
    assert_int_equal(len, UDP + 6);
    assert_memory_equal(reply + UDP, "world!", 6);
    close(fd);
    stop(g);
}

/* One TCP connection of the guest. */
struct tcp {
    struct guest *g;
    uint16_t here, there;
    uint32_t seq, ack;
    unsigned at; /* frames looked at */
};

static void tcp_send(struct tcp *t, unsigned flags, const void *data, size_t len)
{
    static uint8_t p[70000];

    memset(p, 0, TCP);
    put16(p, t->here);
    put16(p + 2, t->there);
    put32(p + 4, t->seq);
    put32(p + 8, flags & ACK ? t->ack : 0);
    p[12] = TCP / 4 << 4;
    p[13] = (uint8_t)flags;
    put16(p + 14, 60000);
    if (len)
        memcpy(p + TCP, data, len);
    send_ip(t->g, 6, host_ip, guest_ip, p, TCP + len, 16, true);
    t->seq += (uint32_t)len + !!(flags & (SYN | FIN));
}

/* The next segment of the connection; its flags, and its data. */
static unsigned tcp_next(struct tcp *t, const uint8_t **ret_data, size_t *ret_len)
{
    size_t len, header;
    const uint8_t *p;

    do {
        p = wait_ip(t->g, &t->at, 6, &len);
    } while (t->here && get16(p + 2) != t->here);
    header = (size_t)(p[12] >> 4) * 4;
    *ret_data = p + header;
    *ret_len = len - header;
    t->there = (uint16_t)get16(p);
    t->here = (uint16_t)get16(p + 2);
    t->ack = get32(p + 4) + (uint32_t)*ret_len + !!(p[13] & (SYN | FIN));
    return p[13];
}

static void tcp_to_the_host(void **state)
{
    struct guest *g = start(&(struct net_slirp_options){0});
    struct tcp t = {.g = g, .here = 5000, .seq = 1000};
    static uint8_t big[8000], back[8000];
    const uint8_t *data;
    size_t len, got = 0;
    int fd = listen_on_loopback(SOCK_STREAM, &t.there), conn;

    learn_gateway(g);
    tcp_send(&t, SYN, NULL, 0);
    assert_int_equal(tcp_next(&t, &data, &len) & (SYN | ACK | RST), SYN | ACK);
    tcp_send(&t, ACK, NULL, 0);
    conn = accept(fd, NULL, NULL);
    assert_true(conn >= 0);
    /* A segment beyond the MTU, as adapters with segmentation offload send them. */
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 11 + i / 256);
    assert_true(g->net->tx_super);
    tcp_send(&t, ACK, big, sizeof(big));
    assert_int_equal(recv(conn, back, sizeof(back), MSG_WAITALL), sizeof(big));
    assert_memory_equal(big, back, sizeof(big));
    /* And back, in segments that fit. */
    assert_int_equal(send(conn, big, sizeof(big), 0), sizeof(big));
    while (got < sizeof(big)) {
        tcp_next(&t, &data, &len);
        assert_true(len <= 1460);
        memcpy(back + got, data, len);
        got += len;
        if (len)
            tcp_send(&t, ACK, NULL, 0);
    }
    assert_memory_equal(big, back, sizeof(big));
    close(conn);
    while (!(tcp_next(&t, &data, &len) & FIN)) {
    }
    tcp_send(&t, ACK | FIN, NULL, 0);
    /* Nobody listens: the guest hears it. */
    close(fd);
    t = (struct tcp){.g = g, .here = 5001, .there = t.there, .seq = 1, .at = t.at};
    tcp_send(&t, SYN, NULL, 0);
    assert_true(tcp_next(&t, &data, &len) & RST);
    stop(g);
}

static void published_ports(void **state)
{
    uint16_t port, udp_port;
    int probe = listen_on_loopback(SOCK_STREAM, &port),
        udp = listen_on_loopback(SOCK_DGRAM, &udp_port);
    const struct net_slirp_port ports[] = {{.host = port, .guest = 22},
                                           {.host = udp_port, .guest = 53, .udp = true}};
    const struct net_slirp_options options = {.ports = ports, .port_count = 2};
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct loop *loop = loop_new(NULL);
    struct error err = {0};
    const uint8_t *data;
    char text[64];
    struct tcp t;
    uint8_t got[8];
    size_t len;
    int fd;

    /* While they are taken: an error that names the port. */
    assert_null(net_slirp_new(loop, &options, &err));
    assert_int_equal(err.code, -EADDRINUSE);
    snprintf(text, sizeof(text), "127.0.0.1:%u/tcp", port);
    assert_non_null(strstr(error_text(&err), text));
    close(probe);
    assert_null(net_slirp_new(loop, &options, &err));
    snprintf(text, sizeof(text), "127.0.0.1:%u/udp", udp_port);
    assert_non_null(strstr(error_text(&err), text));
    close(udp);
    loop_free(loop);

    t = (struct tcp){.g = start(&options), .seq = 77};
    learn_gateway(t.g);
    sin.sin_port = htons(port);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 || errno == EINPROGRESS);
    assert_int_equal(tcp_next(&t, &data, &len) & (SYN | ACK), SYN);
    assert_int_equal(t.here, 22);
    tcp_send(&t, SYN | ACK, NULL, 0);
    tcp_next(&t, &data, &len);
    tcp_send(&t, ACK, "SSH-2.0\n", 8);
    for (unsigned i = 0; i < 1000 && recv(fd, got, 8, MSG_PEEK) != 8; i++)
        loop_step(t.g->loop, 5, NULL);
    assert_int_equal(recv(fd, got, 8, 0), 8);
    assert_memory_equal(got, "SSH-2.0\n", 8);
    close(fd);
    /* UDP. */
    sin.sin_port = htons(udp_port);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(sendto(fd, "q", 1, 0, (struct sockaddr *)&sin, sizeof(sin)), 1);
    data = wait_ip(t.g, &t.at, 17, &len);
    assert_int_equal(get16(data + 2), 53);
    assert_int_equal(data[UDP], 'q');
    close(fd);
    stop(t.g);
}

/* A router solicitation (RFC 4861, 4.1) is answered with the prefix; without IPv6 by nothing. */
static void ipv6_routers(void **state)
{
    static const uint8_t from[16] = {0xfe, 0x80, [8] = 0x50, 0x54, 0, 0xff, 0xfe, 1, 2, 3};
    static const uint8_t to[16] = {0xff, 2, [15] = 2}, prefix[16] = {0xfe, 0xc0};

    for (int off = 0; off < 2; off++) {
        struct guest *g = start(&(struct net_slirp_options){.no_ipv6 = off});
        uint8_t f[ETH + 40 + 8] = {0x33, 0x33, 0, 0, 0, 2}, *ip = f + ETH, *icmp = ip + 40;
        bool found = false;
        memcpy(f + 6, guest_mac, 6);
        put16(f + 12, 0x86dd);
        ip[0] = 0x60;
        put16(ip + 4, 8);
        ip[6] = 58;
        ip[7] = 255;
        memcpy(ip + 8, from, 16);
        memcpy(ip + 24, to, 16);
        icmp[0] = 133;
        put16(icmp + 2, ~sum_of(ip + 8, 32 + 8, 58 + 8) & 0xffff);
        send_frame(g, f, sizeof(f));
        for (unsigned i = 0; i < g->count; i++) {
            const uint8_t *ra = g->frame[i] + ETH + 40;
            if (get16(g->frame[i] + 12) != 0x86dd || ra[0] != 134)
                continue;
            for (size_t at = 16; at + 32 <= g->len[i] - ETH - 40 && ra[at + 1];
                 at += (size_t)ra[at + 1] * 8)
                found |= ra[at] == 3 && ra[at + 2] == 64 && memcmp(ra + at + 16, prefix, 16) == 0;
        }
        assert_int_equal(found, !off);
        stop(g);
    }
}

/* Frames wait while the guest has no room, and come in order afterwards. */
static void frames_wait_for_room(void **state)
{
    struct guest *g = start(&(struct net_slirp_options){0});
    uint8_t echo[16] = {8, 0, 0, 0, 0, 1};
    const uint8_t *reply;
    unsigned at = 0;
    size_t len;

    learn_gateway(g);
    g->deaf = true;
    at = g->count;
    for (unsigned i = 0; i < 50; i++) {
        put16(echo + 6, i);
        put16(echo + 2, 0);
        send_ip(g, 1, host_ip, guest_ip, echo, sizeof(echo), 2, false);
    }
    assert_int_equal(g->count, at);
    g->deaf = false;
    g->net->ops->ready(g->net);
    for (unsigned i = 0; i < 50; i++) {
        reply = find_ip(g, &at, 1, &len);
        assert_non_null(reply);
        assert_int_equal(get16(reply + 6), i);
    }
    /* Without end it does not grow without end. */
    g->deaf = true;
    for (unsigned i = 0; i < 40; i++) {
        static uint8_t large[30000] = {8, 0};
        large[2] = large[3] = 0;
        put16(large + 6, i);
        send_ip(g, 1, host_ip, guest_ip, large, sizeof(large), 2, false);
    }
    assert_true(g->net->dropped > 0);
    stop(g);
}

static void bad_options(void **state)
{
    struct loop *loop = loop_new(NULL);
    struct net_slirp_port port = {.address = "localhost", .host = 80, .guest = 80};
    struct error err = {0};

    assert_null(
        net_slirp_new(loop, &(struct net_slirp_options){.ports = &port, .port_count = 1}, &err));
    assert_int_equal(err.code, -EINVAL);
    assert_non_null(strstr(error_text(&err), "localhost:80/tcp"));
    assert_null(net_slirp_new(loop, &(struct net_slirp_options){.mtu = 100}, &err));
    assert_int_equal(err.code, -EINVAL);
    loop_free(loop);
}

static void nobody(void **state)
{
    struct netdev *n = net_null_new(NULL);
    const struct netdev_span span = {guest_mac, 6};

    n->ops->attach(n, NULL);
    n->ops->send(n, &span, 1);
    n->ops->ready(n);
    netdev_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arp_and_ping),    cmocka_unit_test(dhcp),
        cmocka_unit_test(udp_to_the_host), cmocka_unit_test(tcp_to_the_host),
        cmocka_unit_test(published_ports), cmocka_unit_test(frames_wait_for_room),
        cmocka_unit_test(ipv6_routers),    cmocka_unit_test(bad_options),
        cmocka_unit_test(nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
