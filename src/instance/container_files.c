/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/instance.h"

enum { RESOLV_MAX = 64 << 10 };

/* In place, so that a file that a container has mounted changes inside, too. */
static int put(int dir, const char *name, struct str *text, struct error *err)
{
    cleanup_fd int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    ssize_t n = fd < 0 ? -1 : write(fd, str_text(text), text->len);
    int r = n == (ssize_t)text->len ? fchmod(fd, 0644) : -1;

    str_done(text);
    return r < 0 ? error_set_errno(err, n >= 0 ? -ENOSPC : -errno, "write %s", name) : 0;
}

static void host_name(const struct container_names *n, char *buf, size_t size)
{
    if (n->spec->container.hostname)
        snprintf(buf, size, "%s", n->spec->container.hostname);
    else if (n->spec->container.uts && strcmp(n->spec->container.uts, "host") == 0)
        gethostname(buf, size);
    else
        snprintf(buf, size, "%.*s", INSTANCE_SHORT_LEN, n->id);
}

static void make_hosts(const struct container_names *n, struct str *out)
{
    const struct spec_container *c = &n->spec->container;
    char name[256] = "";

    host_name(n, name, sizeof name);
    str_add(out, "127.0.0.1\tlocalhost\n"
                 "::1\tlocalhost ip6-localhost ip6-loopback\n"
                 "fe00::0\tip6-localnet\n"
                 "ff00::0\tip6-mcastprefix\n"
                 "ff02::1\tip6-allnodes\n"
                 "ff02::2\tip6-allrouters\n");
    for (size_t i = 0; i < c->add_hosts.count; i++) {
        const char *text = c->add_hosts.items[i];
        size_t len = strcspn(text, ":=");
        const char *address = text + len + 1;
        if (strcmp(address, "host-gateway") == 0)
            address = n->gateway ? n->gateway : "127.0.0.1";
        str_addf(out, "%s\t%.*s\n", address, (int)len, text);
    }
    str_addf(out, "%s\t", n->address ? n->address : "127.0.1.1");
    if (c->domainname)
        str_addf(out, "%s.%s ", name, c->domainname);
    str_addf(out, "%s\n", name);
}

/* What systemd-resolved, which listens on loopback, asks itself. */
#define RESOLVED "/run/systemd/resolve/resolv.conf"

struct host_resolv {
    bool servers, search, options; /* which lines */
    bool apart;                    /* no servers of the host's loopback */
};

static bool on_loopback(const char *line)
{
    const char *address = line + strcspn(line, " \t");

    address += strspn(address, " \t");
    return str_starts(address, "127.") || strcmp(address, "::1") == 0;
}

/* Copies lines of a resolv.conf; how many name servers. */
static unsigned copy_resolv(struct str *out, const char *path, const struct host_resolv *h)
{
    char buf[RESOLV_MAX], *save = NULL;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
    unsigned servers = 0;

    buf[max_of(n, (ssize_t)0)] = 0;
    for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bool is_server = str_starts(line, "nameserver") && h->servers;
        bool is_search = str_starts(line, "search") || str_starts(line, "domain");
        if (is_server && h->apart && on_loopback(line))
            continue;
        servers += is_server;
        if (is_server || (str_starts(line, "options") && h->options) || (is_search && h->search))
            str_addf(out, "%s\n", line);
    }
    return servers;
}

static void list_line(struct str *out, const char *word, const struct spec_list *list)
{
    str_add(out, word);
    for (size_t i = 0; i < list->count; i++)
        str_addf(out, " %s", list->items[i]);
    str_add_char(out, '\n');
}

/* False: no name server. */
static bool make_resolv(const struct container_names *n, struct str *out)
{
    const struct spec_container *c = &n->spec->container;
    bool own = c->dns.count || n->dns;
    const struct host_resolv host = {.servers = !own,
                                     .search = !c->dns_search.count,
                                     .options = !c->dns_options.count,
                                     .apart = n->apart};
    const struct host_resolv only_servers = {.servers = true, .apart = true};
    unsigned servers;

    for (size_t i = 0; i < c->dns.count; i++)
        str_addf(out, "nameserver %s\n", c->dns.items[i]);
    if (!c->dns.count && n->dns)
        str_addf(out, "nameserver %s\n", n->dns);
    servers = copy_resolv(out, "/etc/resolv.conf", &host);
    if (!servers && !own && n->apart)
        servers = copy_resolv(out, RESOLVED, &only_servers);
    /* Docker's way to say "none". */
    if (c->dns_search.count && strcmp(c->dns_search.items[0], ".") != 0)
        list_line(out, "search", &c->dns_search);
    if (c->dns_options.count)
        list_line(out, "options", &c->dns_options);
    return own || servers;
}

int container_files_write(const char *dir, const struct container_names *n, struct error *err)
{
    cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct str text = {0};
    char name[256] = "";
    bool found;
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "open %s", dir);
    make_hosts(n, &text);
    r = put(fd, "hosts", &text, err);
    if (r < 0)
        return r;
    host_name(n, name, sizeof name);
    str_addf(&text, "%s\n", name);
    r = put(fd, "hostname", &text, err);
    if (r < 0)
        return r;
    found = make_resolv(n, &text);
    r = put(fd, "resolv.conf", &text, err);
    return r == 0 && n->apart && !found ? CONTAINER_FILES_NO_RESOLVER : r;
}
