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

/* Copies lines of the host's resolv.conf: all, or only what is no name server. */
static void host_resolv(struct str *out, bool servers, bool search, bool options)
{
    char buf[RESOLV_MAX], *save = NULL;
    cleanup_fd int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

    buf[max_of(n, (ssize_t)0)] = 0;
    for (char *line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bool is_server = str_starts(line, "nameserver"), is_option = str_starts(line, "options");
        bool is_search = str_starts(line, "search") || str_starts(line, "domain");
        if ((is_server && servers) || (is_option && options) || (is_search && search))
            str_addf(out, "%s\n", line);
    }
}

static void list_line(struct str *out, const char *word, const struct spec_list *list)
{
    str_add(out, word);
    for (size_t i = 0; i < list->count; i++)
        str_addf(out, " %s", list->items[i]);
    str_add_char(out, '\n');
}

static void make_resolv(const struct container_names *n, struct str *out)
{
    const struct spec_container *c = &n->spec->container;
    bool own = c->dns.count || n->dns;

    for (size_t i = 0; i < c->dns.count; i++)
        str_addf(out, "nameserver %s\n", c->dns.items[i]);
    if (!c->dns.count && n->dns)
        str_addf(out, "nameserver %s\n", n->dns);
    host_resolv(out, !own, !c->dns_search.count, !c->dns_options.count);
    /* Docker's way to say "none". */
    if (c->dns_search.count && strcmp(c->dns_search.items[0], ".") != 0)
        list_line(out, "search", &c->dns_search);
    if (c->dns_options.count)
        list_line(out, "options", &c->dns_options);
}

int container_files_write(const char *dir, const struct container_names *n, struct error *err)
{
    cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct str text = {0};
    char name[256] = "";
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
    make_resolv(n, &text);
    return put(fd, "resolv.conf", &text, err);
}
