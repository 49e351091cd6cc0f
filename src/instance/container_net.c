/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/container_slirp.h"
#include "instance/container_sources.h"
#include "instance/home.h"
#include "network/private_net.h"

struct container_net {
    struct private_net *kernel;
    struct container_slirp *slirp;
    char *path; /* of the facts */
};

/* ---- which one ---- */

/* Why not the kernel's; NULL: nothing is known against it. */
static const char *against_kernel(void)
{
    return geteuid() != 0 ? "it needs root" : NULL;
}

static uint32_t number_of(const char *address)
{
    struct in_addr a = {0};

    return address && inet_pton(AF_INET, address, &a) == 1 ? ntohl(a.s_addr) : 0;
}

static void view_of_slirp(const struct spec *spec, struct container_net_view *ret)
{
    const char *address = spec->container.ip ? spec->container.ip : CONTAINER_SLIRP_ADDRESS;

    *ret =
        (struct container_net_view){.gateway = CONTAINER_SLIRP_GATEWAY, .dns = CONTAINER_SLIRP_DNS};
    snprintf(ret->address, sizeof ret->address, "%s", address);
}

void container_net_guess(const struct spec *spec, const char *id, struct container_net_view *ret)
{
    uint32_t address, gateway;

    if (against_kernel()) {
        view_of_slirp(spec, ret);
        return;
    }
    *ret = (struct container_net_view){0};
    private_net_guess(id, number_of(spec->container.ip), &address, &gateway);
    private_net_text(address, ret->address);
    private_net_text(gateway, ret->gateway);
}

/* ---- the kernel's ---- */

static int start_kernel(struct container_net *net, const struct spec *spec, const char *id,
                        int netns_fd, struct container_net_view *ret, struct error *err)
{
    struct private_net_port ports[SPEC_PORTS];
    const struct private_net_options o = {.id = id,
                                          .address = number_of(spec->container.ip),
                                          .ports = ports,
                                          .port_count = spec->port_count,
                                          .netns = netns_fd};
    const struct private_net_facts *f;
    int r;

    for (size_t i = 0; i < spec->port_count; i++) {
        if (strchr(spec->ports[i].address, ':'))
            return error_set(err, -EAFNOSUPPORT,
                             "publish [%s]:%u: ports are published at IPv4 "
                             "addresses only",
                             spec->ports[i].address, spec->ports[i].host);
        ports[i] = (struct private_net_port){.address = number_of(spec->ports[i].address),
                                             .host = spec->ports[i].host,
                                             .guest = spec->ports[i].guest,
                                             .udp = spec->ports[i].udp};
    }
    r = private_net_open(&o, &net->kernel, err);
    if (r < 0)
        return r;
    f = private_net_facts(net->kernel);
    *ret = (struct container_net_view){0};
    private_net_text(f->address, ret->address);
    private_net_text(f->gateway, ret->gateway);
    return 0;
}

/* ---- what is known of it ---- */

static int write_facts(struct container_net *net, const char *dir, const char *reason,
                       const struct container_net_view *view, struct error *err)
{
    const struct private_net_facts *f = net->kernel ? private_net_facts(net->kernel) : NULL;
    struct str text = {0};
    ssize_t n = -1;
    int fd;

    net->path = str_format("%s/" INSTANCE_NETWORK_FILE, dir);
    str_addf(&text,
             "{\"driver\":\"%s\",\"ip_address\":\"%s\",\"ip_prefix_len\":%d,\"gateway\":\"%s\"",
             f ? "kernel" : "libslirp", view->address, f ? 32 : 24, view->gateway);
    if (f)
        str_addf(&text, ",\"mac_address\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"link\":\"%s\"",
                 f->mac[0], f->mac[1], f->mac[2], f->mac[3], f->mac[4], f->mac[5], f->link);
    else if (reason) {
        json_t *value = json_string(reason);
        cleanup_free char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
        json_decref(value);
        if (quoted)
            str_addf(&text, ",\"reason\":%s", quoted);
    }
    str_add(&text, "}\n");
    fd = net->path && !text.failed
             ? open(net->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)
             : -1;
    if (fd >= 0) {
        n = write(fd, str_text(&text), text.len);
        close(fd);
    }
    n = n == (ssize_t)text.len ? 0 : -1;
    str_done(&text);
    return n < 0 ? error_set_errno(err, -errno, "write %s", net->path) : 0;
}

/* The host's device of the run that @dir tells of, "" when there is none. */
static void read_link(const char *dir, char *out, size_t size)
{
    cleanup_free char *path = str_format("%s/" INSTANCE_NETWORK_FILE, dir);
    json_t *facts = path ? json_load_file(path, 0, NULL) : NULL;
    const char *link = json_string_value(json_object_get(facts, "link"));

    snprintf(out, size, "%s", link ? link : "");
    json_decref(facts);
}

void container_net_collect(const struct engine_place *place)
{
    cleanup_free char *dir = container_names_dir(place->runtime_dir, place->id);
    char link[IFNAMSIZ];

    if (place->spec->net != SPEC_NET_NAT || geteuid() != 0 || !dir)
        return;
    read_link(dir, link, sizeof link);
    private_net_collect(str_starts(link, "isola-") ? link : NULL);
}

/* ---- the seam ---- */

int container_net_start(const struct spec *spec, const char *id, const char *dir, int netns_fd,
                        bool user_namespace, struct container_net **ret,
                        struct container_net_view *ret_view, struct error *err)
{
    struct container_net *net = mem_new(struct container_net);
    const char *reason = against_kernel();
    struct container_net_view view;
    struct error why = {0};
    int r = -ENOTSUP;

    if (!net)
        return error_set(err, -ENOMEM, "out of memory");
    if (!reason) {
        r = start_kernel(net, spec, id, netns_fd, &view, err);
        if (r == -ENOTSUP) {
            why = *err;
            reason = error_text(&why);
            log_warn("net", "%s; libslirp is used instead", reason);
        }
    }
    if (r == -ENOTSUP && spec->container.ip && geteuid() == 0) {
        r = -EADDRNOTAVAIL; /* libslirp's addresses are others */
    } else if (r == -ENOTSUP) {
        view_of_slirp(spec, &view);
        r = container_slirp_start(spec, id, netns_fd, user_namespace, &net->slirp, err);
    }
    if (r == 0)
        r = write_facts(net, dir, reason, &view, err);
    if (r < 0) {
        container_net_stop(net);
        return error_wrap(err, r, "network");
    }
    *ret_view = view;
    *ret = net;
    return 0;
}

struct warning {
    void (*warn)(void *opaque, const char *line);
    void *opaque;
};

static void warn_of_dropper(void *opaque, const char *family, const char *table, const char *chain)
{
    const struct warning *w = opaque;
    cleanup_free char *line = str_format(
        "the firewall's chain %s %s %s drops what it does not know, so that containers may reach "
        "nothing: nft insert rule %s %s %s iifname \"isola-*\" accept, and the same with oifname",
        family, table, chain, family, table, chain);

    if (line)
        w->warn(w->opaque, line);
}

void container_net_warn(const struct container_net *net,
                        void (*warn)(void *opaque, const char *line), void *opaque)
{
    struct warning w = {warn, opaque};

    if (net->kernel)
        private_net_droppers(warn_of_dropper, &w, NULL);
}

void container_net_stop(struct container_net *net)
{
    if (!net)
        return;
    container_slirp_stop(net->slirp);
    private_net_close(net->kernel);
    if (net->path)
        unlink(net->path);
    free(net->path);
    free(net);
}

bool container_net_needs_admin(const struct container_net *net)
{
    return net && net->kernel;
}

void container_net_traffic(pid_t pid, uint64_t *ret_rx, uint64_t *ret_tx)
{
    char path[64], line[512], name[32];
    unsigned long long rx, tx;
    FILE *f;

    *ret_rx = *ret_tx = 0;
    snprintf(path, sizeof path, "/proc/%d/net/dev", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &rx, &tx) == 3 &&
            strcmp(name, "lo") != 0) {
            *ret_rx += rx;
            *ret_tx += tx;
        }
    if (f)
        fclose(f);
}
