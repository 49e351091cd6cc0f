/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_slirp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/confine.h"
#include "io/net_slirp.h"

/* Frames of 64 KiB cost a fortieth of what frames of Ethernet's size cost. */
enum { TAP_MTU = 65520, STACK = 64 << 10, NOBODY = 65534, BURST = 64 };

struct container_slirp {
    pid_t pid;
};

/* ---- inside the namespace ---- */

struct inside {
    int netns, userns; /* userns -1: stay */
    const char *address;
    int tap;
    int error;
    const char *what;
};

static int device_up(int sock, const char *name)
{
    struct ifreq q = {0};

    strcpy(q.ifr_name, name);
    if (ioctl(sock, SIOCGIFFLAGS, &q) < 0)
        return -errno;
    q.ifr_flags |= IFF_UP | IFF_RUNNING;
    return ioctl(sock, SIOCSIFFLAGS, &q) < 0 ? -errno : 0;
}

static void set_address(struct sockaddr *at, const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};

    inet_pton(AF_INET, text, &a.sin_addr);
    memcpy(at, &a, sizeof a);
}

static int open_tap(struct inside *in)
{
    struct ifreq q = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    in->tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (in->tap < 0) {
        in->what = errno == EACCES || errno == EPERM
                       ? "open /dev/net/tun (chmod 666 by root gives it to users; --network none "
                         "and host do without)"
                       : "open /dev/net/tun (does the host's kernel have tun?)";
        return -errno;
    }
    strcpy(q.ifr_name, "eth0");
    in->what = "create the network device";
    return ioctl(in->tap, TUNSETIFF, &q) < 0 ? -errno : 0;
}

static int configure(struct inside *in, int sock)
{
    struct ifreq q = {0};
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};

    in->what = "set the address";
    strcpy(q.ifr_name, "eth0");
    set_address(&q.ifr_addr, in->address);
    if (ioctl(sock, SIOCSIFADDR, &q) < 0)
        return -errno;
    set_address(&q.ifr_netmask, "255.255.255.0");
    if (ioctl(sock, SIOCSIFNETMASK, &q) < 0)
        return -errno;
    q.ifr_mtu = TAP_MTU;
    if (ioctl(sock, SIOCSIFMTU, &q) < 0)
        return -errno;
    in->what = "set the network device up";
    if (device_up(sock, "eth0") < 0)
        return -errno;
    in->what = "set the route";
    set_address(&route.rt_gateway, CONTAINER_SLIRP_GATEWAY);
    set_address(&route.rt_dst, "0.0.0.0");
    set_address(&route.rt_genmask, "0.0.0.0");
    return ioctl(sock, SIOCADDRT, &route) < 0 ? -errno : 0;
}

/* Shares memory and descriptors with the supervisor, which waits: only namespaces are its own. */
static int go_inside(void *opaque)
{
    struct inside *in = opaque;
    int sock;

    in->what = "join the container's user namespace";
    if (in->userns >= 0 && setns(in->userns, CLONE_NEWUSER) < 0) {
        in->error = -errno;
        return 0;
    }
    in->what = "join the container's network";
    if (setns(in->netns, CLONE_NEWNET) < 0) {
        in->error = -errno;
        return 0;
    }
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    in->what = "set loopback up";
    in->error = sock < 0 ? -errno : device_up(sock, "lo");
    if (in->error == 0)
        in->error = open_tap(in);
    if (in->error == 0)
        in->error = configure(in, sock);
    if (sock >= 0)
        close(sock);
    return 0;
}

static int run_inside(struct inside *in, struct error *err)
{
    char *stack = malloc(STACK);
    pid_t child;
    int status;

    if (!stack)
        return error_set(err, -ENOMEM, "out of memory");
    child = clone(go_inside, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, in);
    if (child < 0) {
        free(stack);
        return error_set_errno(err, -errno, "create a process");
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    free(stack);
    if (in->error == 0)
        return 0;
    if (in->tap >= 0)
        close(steal_fd(&in->tap));
    return error_set_errno(err, in->error, "%s", in->what);
}

static int open_inside(struct inside *in, int netns_fd, bool user_namespace, struct error *err)
{
    *in = (struct inside){.netns = netns_fd, .userns = -1, .tap = -1};
    if (!user_namespace)
        return 0;
    /* The one that owns the network is the container's. */
    in->userns = ioctl(netns_fd, NS_GET_USERNS);
    return in->userns < 0 ? error_set_errno(err, -errno, "find the container's user namespace") : 0;
}

/* ---- the process behind the tap ---- */

struct behind {
    int tap;
    struct netdev *net;
};

static bool tap_room(void *opaque, size_t len)
{
    return true;
}

/* A tap that is full loses frames, as wires do. */
static void tap_receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct behind *b = opaque;

    if (write(b->tap, frame, len) < 0 && errno != EAGAIN && errno != EIO)
        log_debug("net", "write to the tap: %s", strerror(errno));
}

static void tap_event(void *opaque, int fd, unsigned events)
{
    static uint8_t frame[NETDEV_FRAME_MAX];
    struct behind *b = opaque;

    for (unsigned i = 0; i < BURST; i++) {
        ssize_t n = read(fd, frame, sizeof frame);
        struct netdev_span span = {frame, (size_t)n};
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            _exit(0); /* the namespace is gone */
        if (n <= 0)
            break;
        b->net->ops->send(b->net, &span, 1);
    }
    if (b->net->ops->sent)
        b->net->ops->sent(b->net);
}

static int become_nobody(void)
{
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return -errno;
    return 0;
}

/* The host's loopback services are for containers that say so. */
static bool wants_host(const struct spec *spec)
{
    for (size_t i = 0; i < spec->container.add_hosts.count; i++)
        if (strstr(spec->container.add_hosts.items[i], "host-gateway"))
            return true;
    return false;
}

static int begin(struct behind *b, struct loop *loop, const struct spec *spec, const char *id,
                 struct error *err)
{
    struct net_slirp_port ports[SPEC_PORTS];
    struct net_slirp_options o = {.ports = ports,
                                  .port_count = spec->port_count,
                                  .mtu = TAP_MTU,
                                  .guest = spec->container.ip,
                                  .hostname = spec->container.hostname,
                                  .no_ipv6 = true,
                                  .no_host = !wants_host(spec)};
    const struct netdev_client client = {
        .can_receive = tap_room, .receive = tap_receive, .opaque = b};
    int r;

    for (size_t i = 0; i < spec->port_count; i++)
        ports[i] = (struct net_slirp_port){.address = spec->ports[i].address,
                                           .host = spec->ports[i].host,
                                           .guest = spec->ports[i].guest,
                                           .udp = spec->ports[i].udp};
    b->net = net_slirp_new(loop, &o, err);
    if (!b->net)
        return err->code;
    b->net->ops->attach(b->net, &client);
    if (!loop_add_fd(loop, b->tap, LOOP_READ, tap_event, b, err))
        return err->code;
    r = become_nobody();
    if (r < 0)
        return error_set_errno(err, r, "give up root");
    /* Changing the user switched this off. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_set_errno(err, -errno, "end with the supervisor");
    return confine_privileges(false, err);
}

/* Keeps only the tap, the report's descriptor and standard error. */
static void close_others(int tap, int report)
{
    int low = min_of(tap, report), high = max_of(tap, report);

    close(0);
    close(1);
    if (low > 3)
        close_range(3, (unsigned)low - 1, 0);
    if (high > low + 1)
        close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    close_range((unsigned)high + 1, ~0u, 0);
    open("/dev/null", O_RDWR); /* 0 and 1 */
    dup(0);
}

_Noreturn static void live_behind(int tap, int report, pid_t supervisor, const struct spec *spec,
                                  const char *id)
{
    struct behind b = {.tap = tap};
    struct error err = {0};
    struct loop *loop;
    int r = -ENOMEM;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "isola-net");
    if (getppid() != supervisor)
        _exit(1);
    close_others(tap, report);
    loop = loop_new(&err);
    if (loop)
        r = begin(&b, loop, spec, id, &err);
    if (r < 0) {
        ssize_t n = write(report, &err, sizeof err);
        _exit(n > 0 ? 1 : 2);
    }
    if (write(report, "", 1) != 1)
        _exit(2);
    close(report);
    r = loop_run(loop, &err);
    _exit(r < 0);
}

/* Reads a byte for "well", or the child's error. */
static int read_report(int fd, struct error *err)
{
    struct error theirs = {0};
    size_t len = 0;
    ssize_t n;

    while (len < sizeof theirs && (n = read(fd, (char *)&theirs + len, sizeof theirs - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        len += (size_t)n;
        if (len == 1)
            return 0;
    }
    if (len != sizeof theirs)
        return error_set(err, -EIO, "the network's process ended at once");
    theirs.text[sizeof theirs.text - 1] = 0;
    return error_set(err, theirs.code < 0 ? theirs.code : -EIO, "%s", theirs.text);
}

static int spawn_behind(struct container_slirp *net, int tap, const struct spec *spec,
                        const char *id, struct error *err)
{
    pid_t self = getpid();
    int report[2], r;

    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set_errno(err, -errno, "create a pipe");
    net->pid = fork();
    if (net->pid == 0)
        live_behind(tap, report[1], self, spec, id);
    close(report[1]);
    r = net->pid < 0 ? error_set_errno(err, -errno, "create a process")
                     : read_report(report[0], err);
    close(report[0]);
    return r;
}

int container_slirp_start(const struct spec *spec, const char *id, int netns_fd,
                          bool user_namespace, struct container_slirp **ret, struct error *err)
{
    struct container_slirp *net = mem_new(struct container_slirp);
    struct inside in = {.userns = -1, .tap = -1};
    int r = net ? open_inside(&in, netns_fd, user_namespace, err)
                : error_set(err, -ENOMEM, "out of memory");

    in.address = spec->container.ip ? spec->container.ip : CONTAINER_SLIRP_ADDRESS;
    if (r == 0)
        r = run_inside(&in, err);
    if (r == 0)
        r = spawn_behind(net, in.tap, spec, id, err);
    if (in.tap >= 0)
        close(in.tap);
    if (in.userns >= 0)
        close(in.userns);
    if (r < 0) {
        container_slirp_stop(net);
        return r;
    }
    *ret = net;
    return 0;
}

void container_slirp_stop(struct container_slirp *net)
{
    if (!net)
        return;
    if (net->pid > 0) {
        kill(net->pid, SIGKILL);
        while (waitpid(net->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(net);
}
