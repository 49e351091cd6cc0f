/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libslirp wants to be asked before each sleep which sockets to watch (fill) and told after it what
 * happened (poll). An event loop that keeps its watches sees it this way: after whatever may have
 * changed libslirp's mind, refill asks and adjusts watches and the timer. When any of them fires,
 * poll(2) finds out about all sockets at once, libslirp is told, and refill follows.
 *
 * Frames that the guest has no room for wait in a queue of bounded size.
 */
#include "io/net_slirp.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>

#include "base/log.h"
#include "base/mem.h"

enum { QUEUE_BYTES_MAX = 1 << 20, MTU_DEFAULT = 1500, MTU_MIN = 576, MTU_MAX = 65520 };

struct frame {
    struct frame *next;
    size_t len;
    uint8_t bytes[];
};

struct watch {
    struct loop_fd *watch;
    unsigned round; /* of the refill that last saw it */
};

/*
 * libslirp is loaded by the first network that needs it: it brings a large library along, which
 * commands that only look at instances should not pay for.
 */
struct slirp_api {
    __typeof__(&slirp_new) new;
    __typeof__(&slirp_cleanup) cleanup;
    __typeof__(&slirp_input) input;
    __typeof__(&slirp_pollfds_fill) pollfds_fill;
    __typeof__(&slirp_pollfds_poll) pollfds_poll;
    __typeof__(&slirp_handle_timer) handle_timer;
    __typeof__(&slirp_add_hostfwd) add_hostfwd;
};

struct net_slirp {
    struct netdev netdev;
    struct loop *loop;
    struct slirp_api api;
    Slirp *slirp;
    const struct netdev_client *client;
    struct loop_timer *timer; /* libslirp's protocol timeouts */
    struct frame *first, **last;
    size_t queued;
    struct watch *watches; /* by descriptor */
    size_t watch_count;
    struct pollfd *polls; /* what the last refill was told to watch */
    size_t poll_count, poll_cap;
    unsigned round;
    uint8_t gather[NETDEV_FRAME_MAX];
};

/* One of libslirp's own timers. */
struct timer {
    struct net_slirp *net;
    struct loop_timer *timer;
    SlirpTimerId id;
    void *opaque;
};

static void refill(struct net_slirp *s);

static void process(struct net_slirp *s);

static void on_timeout(void *opaque)
{
    process(opaque);
}

static void on_socket(void *opaque, int fd, unsigned events)
{
    process(opaque);
}

/* ---- sockets ---- */

static int add_poll(int fd, int events, void *opaque)
{
    struct net_slirp *s = opaque;
    struct pollfd *p;

    if (s->poll_count == s->poll_cap) {
        size_t cap = s->poll_cap ? s->poll_cap * 2 : 16;
        p = realloc(s->polls, cap * sizeof(*p));
        if (!p)
            return -1;
        s->polls = p;
        s->poll_cap = cap;
    }
    p = &s->polls[s->poll_count];
    *p = (struct pollfd){.fd = fd,
                         .events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
                                           (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                                           (events & SLIRP_POLL_PRI ? POLLPRI : 0))};
    return (int)s->poll_count++;
}

static int get_revents(int idx, void *opaque)
{
    const struct net_slirp *s = opaque;
    int events;

    if (idx < 0 || (size_t)idx >= s->poll_count)
        return 0;
    events = s->polls[idx].revents;
    return (events & POLLIN ? SLIRP_POLL_IN : 0) | (events & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (events & POLLPRI ? SLIRP_POLL_PRI : 0) | (events & POLLERR ? SLIRP_POLL_ERR : 0) |
           (events & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static struct watch *watch_of(struct net_slirp *s, int fd)
{
    if (fd < 0)
        return NULL;
    if ((size_t)fd >= s->watch_count) {
        size_t count = ((size_t)fd + 64) & ~(size_t)63;
        struct watch *w = realloc(s->watches, count * sizeof(*w));
        if (!w)
            return NULL;
        memset(w + s->watch_count, 0, (count - s->watch_count) * sizeof(*w));
        s->watches = w;
        s->watch_count = count;
    }
    return &s->watches[fd];
}

static void set_watch(struct net_slirp *s, const struct pollfd *p)
{
    struct watch *w = watch_of(s, p->fd);
    unsigned events =
        (p->events & (POLLIN | POLLPRI) ? LOOP_READ : 0) | (p->events & POLLOUT ? LOOP_WRITE : 0);
    struct error err = {0};

    if (!w)
        return;
    w->round = s->round;
    if (w->watch)
        loop_set_events(w->watch, events);
    else
        w->watch = loop_add_fd(s->loop, p->fd, events, on_socket, s, &err);
    if (!w->watch)
        log_warn("net", "%s", error_text(&err));
}

static void drop_watch(struct net_slirp *s, int fd)
{
    if (fd >= 0 && (size_t)fd < s->watch_count && s->watches[fd].watch) {
        loop_remove_fd(s->watches[fd].watch);
        s->watches[fd].watch = NULL;
    }
}

static void refill(struct net_slirp *s)
{
    uint32_t timeout = UINT32_MAX;

    s->round++;
    s->poll_count = 0;
    s->api.pollfds_fill(s->slirp, &timeout, add_poll, s);
    for (size_t i = 0; i < s->poll_count; i++)
        set_watch(s, &s->polls[i]);
    /* What is open but not of interest now would go on reporting. */
    for (size_t fd = 0; fd < s->watch_count; fd++)
        if (s->watches[fd].watch && s->watches[fd].round != s->round)
            loop_set_events(s->watches[fd].watch, 0);
    if (timeout == UINT32_MAX)
        loop_timer_clear(s->timer);
    else
        loop_timer_set(s->timer, loop_now_ns() + (uint64_t)timeout * 1000000u);
}

static void process(struct net_slirp *s)
{
    int r = poll(s->polls, s->poll_count, 0);

    s->api.pollfds_poll(s->slirp, r < 0, get_revents, s);
    refill(s);
}

/* ---- what libslirp calls ---- */

static bool deliver(struct net_slirp *s, const uint8_t *bytes, size_t len)
{
    if (!s->client->can_receive(s->client->opaque, len))
        return false;
    s->client->receive(s->client->opaque, bytes, len);
    return true;
}

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
    struct net_slirp *s = opaque;
    struct frame *f;

    if (!s->client)
        return (ssize_t)len;
    if (!s->first && deliver(s, buf, len))
        return (ssize_t)len;
    f = s->queued + len <= QUEUE_BYTES_MAX ? malloc(sizeof(*f) + len) : NULL;
    if (!f) {
        s->netdev.dropped++;
        return (ssize_t)len; /* as a wire would; TCP comes back */
    }
    f->next = NULL;
    f->len = len;
    memcpy(f->bytes, buf, len);
    *s->last = f;
    s->last = &f->next;
    s->queued += len;
    return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
    log_debug("net", "the guest sent nonsense: %s", msg);
}

static int64_t clock_get_ns(void *opaque)
{
    return (int64_t)loop_now_ns();
}

static void timer_fired(void *opaque)
{
    struct timer *t = opaque;

    t->net->api.handle_timer(t->net->slirp, t->id, t->opaque);
    refill(t->net);
}

static void *timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct net_slirp *s = opaque;
    struct timer *t = mem_new(struct timer);

    if (t) {
        *t = (struct timer){.net = s, .id = id, .opaque = cb_opaque};
        t->timer = loop_timer_new(s->loop, timer_fired, t);
    }
    return t;
}

static void timer_free(void *timer, void *opaque)
{
    struct timer *t = timer;

    if (t)
        loop_timer_free(t->timer);
    free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    struct timer *t = timer;

    if (t && t->timer)
        loop_timer_set(t->timer, (uint64_t)expire_ms * 1000000u);
}

static void register_poll_fd(int fd, void *opaque)
{
}

/* The socket is about to be closed; its number may come back as another one. */
static void unregister_poll_fd(int fd, void *opaque)
{
    drop_watch(opaque, fd);
}

static void notify(void *opaque)
{
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new_opaque = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = register_poll_fd,
    .unregister_poll_fd = unregister_poll_fd,
    .notify = notify,
};

/* ---- the frame seam ---- */

static struct net_slirp *slirp_of(struct netdev *n)
{
    return container_of(n, struct net_slirp, netdev);
}

static void net_attach(struct netdev *n, const struct netdev_client *client)
{
    slirp_of(n)->client = client;
}

static void net_send(struct netdev *n, const struct netdev_span *spans, unsigned count)
{
    struct net_slirp *s = slirp_of(n);
    const uint8_t *frame = spans[0].data;
    size_t len = 0;

    if (count == 1) {
        len = spans[0].len;
    } else {
        for (unsigned i = 0; i < count; i++) {
            if (spans[i].len > sizeof(s->gather) - len)
                return;
            memcpy(s->gather + len, spans[i].data, spans[i].len);
            len += spans[i].len;
        }
        frame = s->gather;
    }
    if (len >= 14 && len <= NETDEV_FRAME_MAX)
        s->api.input(s->slirp, frame, (int)len);
}

static void net_sent(struct netdev *n)
{
    refill(slirp_of(n));
}

static void net_ready(struct netdev *n)
{
    struct net_slirp *s = slirp_of(n);

    while (s->first && deliver(s, s->first->bytes, s->first->len)) {
        struct frame *f = s->first;
        s->first = f->next;
        s->queued -= f->len;
        if (!s->first)
            s->last = &s->first;
        free(f);
    }
}

static void net_close(struct netdev *n)
{
    struct net_slirp *s = slirp_of(n);

    s->client = NULL;
    if (s->slirp)
        s->api.cleanup(s->slirp);
    for (size_t fd = 0; fd < s->watch_count; fd++)
        drop_watch(s, (int)fd);
    loop_timer_free(s->timer);
    while (s->first) {
        struct frame *next = s->first->next;
        free(s->first);
        s->first = next;
    }
    free(s->watches);
    free(s->polls);
    free(s);
}

static const struct netdev_ops net_ops = {
    .attach = net_attach,
    .send = net_send,
    .sent = net_sent,
    .ready = net_ready,
    .close = net_close,
};

/* ---- set-up ---- */

static int publish(struct net_slirp *s, const struct net_slirp_port *p, struct error *err)
{
    const char *address = p->address && *p->address ? p->address : "127.0.0.1";
    const char *proto = p->udp ? "udp" : "tcp";
    struct in_addr host, guest = {0};

    if (inet_pton(AF_INET, address, &host) != 1)
        return error_set(err, -EINVAL,
                         "publish %s:%u/%s: user-mode NAT publishes at numeric IPv4 addresses only",
                         address, p->host, proto);
    if (!p->host || !p->guest)
        return error_set(err, -EINVAL, "publish %s:%u/%s to port %u: a port is 1 to 65535", address,
                         p->host, proto, p->guest);
    errno = EADDRINUSE;
    if (s->api.add_hostfwd(s->slirp, p->udp, host, p->host, guest, p->guest) < 0)
        return error_set_errno(err, -errno, "publish %s:%u/%s", address, p->host, proto);
    return 0;
}

static struct in_addr address4(unsigned network, unsigned host)
{
    return (struct in_addr){.s_addr = htonl(0x0a000200 + (network << 8) + host)};
}

static struct in6_addr address6(unsigned network, unsigned host)
{
    return (struct in6_addr){.s6_addr = {0xfe, 0xc0, [7] = (uint8_t)network, [15] = (uint8_t)host}};
}

static void configure(SlirpConfig *config, const struct net_slirp_options *options)
{
    *config = (SlirpConfig){
        .version = 4,
        .in_enabled = true,
        .in6_enabled = !options->no_ipv6,
        .vprefix_len = 64,
        .vhostname = options->hostname,
        .if_mtu = options->mtu ? options->mtu : MTU_DEFAULT,
        .if_mru = options->mtu ? options->mtu : MTU_DEFAULT,
        .disable_host_loopback = options->no_host,
    };
    config->vnetwork = address4(options->network, 0);
    inet_pton(AF_INET, "255.255.255.0", &config->vnetmask);
    config->vhost = address4(options->network, 2);
    config->vdhcp_start = address4(options->network, 15);
    if (options->guest)
        inet_pton(AF_INET, options->guest, &config->vdhcp_start);
    config->vnameserver = address4(options->network, 3);
    config->vprefix_addr6 = address6(options->network, 0);
    config->vhost6 = address6(options->network, 2);
    config->vnameserver6 = address6(options->network, 3);
}

/* The library stays loaded: glib, which it uses, cannot be unloaded. */
static int load_api(struct slirp_api *api, struct error *err)
{
    void *library = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
    const struct {
        const char *name;
        void *address; /* of the member */
    } members[] = {
        {"slirp_new", &api->new},
        {"slirp_cleanup", &api->cleanup},
        {"slirp_input", &api->input},
        {"slirp_pollfds_fill", &api->pollfds_fill},
        {"slirp_pollfds_poll", &api->pollfds_poll},
        {"slirp_handle_timer", &api->handle_timer},
        {"slirp_add_hostfwd", &api->add_hostfwd},
    };

    if (!library)
        return error_set(err, -ENOSYS,
                         "create NAT network: %s; install libslirp0, or use --network none",
                         dlerror());
    for (size_t i = 0; i < array_size(members); i++) {
        void *function = dlsym(library, members[i].name);
        if (!function)
            return error_set(err, -ENOSYS, "create NAT network: libslirp lacks %s",
                             members[i].name);
        memcpy(members[i].address, &function, sizeof(function));
    }
    return 0;
}

struct netdev *net_slirp_new(struct loop *loop, const struct net_slirp_options *options,
                             struct error *err)
{
    struct net_slirp *s;
    SlirpConfig config;

    if (options->mtu && (options->mtu < MTU_MIN || options->mtu > MTU_MAX)) {
        error_set(err, -EINVAL, "create NAT network: MTU %u is not in %d to %d", options->mtu,
                  MTU_MIN, MTU_MAX);
        return NULL;
    }
    s = mem_new(struct net_slirp);
    if (!s) {
        error_set(err, -ENOMEM, "create NAT network: out of memory");
        return NULL;
    }
    s->netdev.ops = &net_ops;
    s->netdev.mtu = (uint16_t)options->mtu;
    s->netdev.tx_super = true;
    s->netdev.rx_verified = true;
    s->loop = loop;
    s->last = &s->first;
    configure(&config, options);
    if (load_api(&s->api, err) < 0) {
        net_close(&s->netdev);
        return NULL;
    }
    s->timer = loop_timer_new(loop, on_timeout, s);
    s->slirp = s->timer ? s->api.new(&config, &callbacks, s) : NULL;
    if (!s->slirp) {
        error_set(err, -ENOMEM, "create NAT network: libslirp does not start");
        net_close(&s->netdev);
        return NULL;
    }
    for (size_t i = 0; i < options->port_count; i++) {
        if (publish(s, &options->ports[i], err) < 0) {
            net_close(&s->netdev);
            return NULL;
        }
    }
    refill(s);
    return &s->netdev;
}
