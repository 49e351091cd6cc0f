/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_net.h"

#include "io/net_slirp.h"

/* libslirp and glib. */
/* syscalls: accept accept4 bind connect epoll_wait epoll_pwait eventfd2 fcntl getegid geteuid
 * getgid getpeername getppid getsockname getsockopt getuid listen lseek openat pipe2 poll ppoll
 * read readv recvfrom recvmsg select pselect6 sendmmsg sendmsg sendto setsockopt shutdown
 * socketpair write writev */

int vm_net_open(const struct engine_env *env, struct netdev **ret, struct error *err)
{
    const struct spec *spec = env->spec;
    struct net_slirp_port ports[SPEC_PORTS];
    struct net_slirp_options options = {
        .ports = ports, .port_count = spec->port_count, .hostname = env->name};

    *ret = NULL;
    if (spec->net == SPEC_NET_NONE)
        return 0;
    for (size_t i = 0; i < spec->port_count; i++)
        ports[i] = (struct net_slirp_port){.address = spec->ports[i].address,
                                           .host = spec->ports[i].host,
                                           .guest = spec->ports[i].guest,
                                           .udp = spec->ports[i].udp};
    *ret = net_slirp_new(env->loop, &options, err);
    return *ret ? 0 : err->code;
}
