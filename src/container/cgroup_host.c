/* SPDX-License-Identifier: Apache-2.0 */
/* Which hierarchies this host has, and where this process is in them (proc_pid_mountinfo(5),
 * cgroups(7)). */
#include "container/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

enum { V1_MAGIC = 0x27e0eb, V2_MAGIC = 0x63677270 };

static const struct {
    const char *v1, *v2;
} controller_names[CGROUP_CONTROLLERS] = {
    [CGROUP_CPU] = {"cpu", "cpu"},
    [CGROUP_CPUACCT] = {"cpuacct", NULL},
    [CGROUP_CPUSET] = {"cpuset", "cpuset"},
    [CGROUP_MEMORY] = {"memory", "memory"},
    [CGROUP_PIDS] = {"pids", "pids"},
    [CGROUP_IO] = {"blkio", "io"},
    [CGROUP_HUGETLB] = {"hugetlb", "hugetlb"},
    [CGROUP_DEVICES] = {"devices", NULL},
    [CGROUP_FREEZER] = {"freezer", NULL},
    [CGROUP_NET_CLS] = {"net_cls", NULL},
    [CGROUP_NET_PRIO] = {"net_prio", NULL},
    [CGROUP_RDMA] = {"rdma", "rdma"},
    [CGROUP_MISC] = {"misc", "misc"},
    [CGROUP_PERF_EVENT] = {"perf_event", NULL},
    [CGROUP_NAMED] = {NULL, NULL},
};

const char *cgroup_controller_name(enum cgroup_controller c, int version)
{
    if (c == CGROUP_NAMED)
        return "name=systemd";
    return version == 1 ? controller_names[c].v1 : controller_names[c].v2;
}

int cgroup_controller_find(const char *name, size_t len, int version)
{
    if (version == 1 && len > 5 && !memcmp(name, "name=", 5))
        return CGROUP_NAMED;
    for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
        const char *n = version == 1 ? controller_names[c].v1 : controller_names[c].v2;
        if (n && strlen(n) == len && !memcmp(n, name, len))
            return c;
    }
    return -1;
}

/* The controllers in @list, separated by @separator. */
static unsigned controllers_of(const char *list, char separator, int version)
{
    unsigned bits = 0;
    while (*list && *list != '\n' && *list != ' ') {
        const char *end = list;
        while (*end && *end != separator && *end != ' ' && *end != '\n')
            end++;
        int c = cgroup_controller_find(list, (size_t)(end - list), version);
        if (c >= 0)
            bits |= 1u << c;
        if (*end != separator)
            break;
        list = end + 1;
    }
    return bits;
}

/* A whole file of proc, which tells no size. New text. */
static int read_all(const char *dir, const char *name, struct str *out, struct error *err)
{
    cleanup_free char *path = str_format("%s/%s", dir, name);
    cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return error_set_errno(err, path ? -errno : -ENOMEM, "open %s/%s", dir, name);
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof(chunk))) > 0)
        str_add_n(out, chunk, (size_t)n);
    if (n < 0)
        return error_set_errno(err, -errno, "read %s/%s", dir, name);
    str_add(out, "");
    return out->failed ? error_set(err, -ENOMEM, "no memory") : 0;
}

/* Undoes the octal escapes of mountinfo, up to a space. New. */
static char *field_text(const char *s)
{
    struct str out = {0};
    for (; *s && *s != ' '; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            str_add_char(&out, (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0')));
            s += 3;
        } else {
            str_add_char(&out, *s);
        }
    }
    return str_steal(&out);
}

static const char *next_field(const char *s)
{
    s += strcspn(s, " ");
    return *s ? s + 1 : s;
}

static bool is_hidden(const char *mount, int version)
{
    struct statfs fs;
    return statfs(mount, &fs) < 0 || fs.f_type != (version == 1 ? V1_MAGIC : V2_MAGIC);
}

/* One line of mountinfo: id parent maj:min root mount options tags... - type source super. */
static int add_mount(struct cgroup_host *host, const char *line, bool check)
{
    const char *dash = strstr(line, " - ");
    if (!dash)
        return 0;
    int version;
    if (str_starts(dash + 3, "cgroup "))
        version = 1;
    else if (str_starts(dash + 3, "cgroup2 "))
        version = 2;
    else
        return 0;
    const char *root = next_field(next_field(next_field(line)));
    const char *mount = next_field(root);
    const char *super = next_field(next_field(dash + 3));
    unsigned controllers = 0;
    if (version == 1) {
        controllers = controllers_of(super, ',', 1);
        if (!controllers)
            return 0;
    }
    cleanup_free char *where = field_text(mount);
    cleanup_free char *what = field_text(root);
    if (!where || !what)
        return -ENOMEM;
    for (unsigned i = 0; i < host->count; i++) {
        struct cgroup_hierarchy *h = &host->h[i];
        if (h->version != version || (version == 1 && !(h->controllers & controllers)))
            continue;
        if (!strcmp(h->mount, where)) { /* over the earlier one, perhaps another part of it */
            free(h->root);
            h->root = steal_ptr(&what);
        }
        return 0; /* mounted a second time */
    }
    if (host->count == CGROUP_FDS_MAX || (check && is_hidden(where, version)))
        return 0;
    struct cgroup_hierarchy *h = &host->h[host->count++];
    *h = (struct cgroup_hierarchy){.version = version, .controllers = controllers};
    h->mount = steal_ptr(&where);
    h->root = steal_ptr(&what);
    return 0;
}

/* What /proc/self/cgroup says of one hierarchy, cut to what is below the mount's root. */
static char *own_of(const struct cgroup_hierarchy *h, const char *text)
{
    const char *own = "/";
    size_t len = 1;
    for (const char *l = text; *l; l += strcspn(l, "\n"), l += *l == '\n') {
        const char *list = strchr(l, ':');
        const char *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            break;
        char names[256];
        size_t n = (size_t)(path - list - 1);
        if (n >= sizeof(names))
            continue;
        memcpy(names, list + 1, n);
        names[n] = 0;
        bool match = h->version == 2 ? l[0] == '0' && l[1] == ':' && n == 0
                                     : n && controllers_of(names, ',', 1) & h->controllers;
        if (match) {
            own = path + 1;
            len = strcspn(own, "\n");
            break;
        }
    }
    size_t root = strlen(h->root);
    if (root > 1) {
        bool below =
            len >= root && !memcmp(own, h->root, root) && (len == root || own[root] == '/');
        own = below && len > root ? own + root : "/";
        len = below && len > root ? len - root : 1;
    }
    if (len >= 3 && !memcmp(own, "/..", 3)) { /* outside of our cgroup namespace */
        own = "/";
        len = 1;
    }
    return strndup(own, len);
}

static unsigned v2_controllers(const char *mount)
{
    cleanup_free char *path = str_format("%s/cgroup.controllers", mount);
    cleanup_fd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[256];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n < 0 ? 0 : n] = 0;
    return controllers_of(text, ' ', 2);
}

enum { LIST_MAX = 64 };

/*
 * Opens the whole hierarchy of @version that is mounted at @h->mount. The root of a hierarchy is
 * inode 1, other directories of it are not.
 */
static bool open_top(struct cgroup_hierarchy *h)
{
    struct statfs fs;
    struct stat st;
    int fd = open(h->mount, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    h->top = fd;
    h->opened = fd >= 0;
    return fd >= 0 && fstatfs(fd, &fs) == 0 &&
           fs.f_type == (h->version == 1 ? V1_MAGIC : V2_MAGIC) && fstat(fd, &st) == 0 &&
           st.st_ino == 1;
}

/* One line of /proc/self/cgroup: number, controllers, our directory. */
static bool probe_line(struct cgroup_host *host, const char *line, const char *end, bool v2_alone,
                       bool only_v1)
{
    const char *list = memchr(line, ':', (size_t)(end - line));
    const char *path = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
    char names[LIST_MAX];
    size_t n = path ? (size_t)(path - list - 1) : sizeof(names);
    if (n >= sizeof(names) || end - path > 4096 || str_starts(path + 1, "/.."))
        return false;
    memcpy(names, list + 1, n);
    names[n] = 0;
    bool v2 = !n;
    unsigned controllers = v2 ? 0 : controllers_of(names, ',', 1);
    if (v2 ? only_v1 && !v2_alone : !controllers)
        return true;
    const char *name = v2 ? "unified" : str_starts(names, "name=") ? names + 5 : names;
    if (host->count == CGROUP_FDS_MAX || strchr(name, '/'))
        return false;
    struct cgroup_hierarchy *h = &host->h[host->count++];
    *h = (struct cgroup_hierarchy){.version = v2 ? 2 : 1, .controllers = controllers};
    h->mount = v2 && v2_alone ? strdup("/sys/fs/cgroup") : str_format("/sys/fs/cgroup/%s", name);
    h->root = strdup("/");
    h->own = strndup(path + 1, (size_t)(end - path - 1));
    return h->mount && h->root && h->own && open_top(h);
}

bool cgroup_host_probe(bool only_v1, struct cgroup_host *ret)
{
    struct cgroup_host host = {0};
    struct str own = {0};
    struct statfs fs;
    bool good = statfs("/sys/fs/cgroup", &fs) == 0 &&
                read_all("/proc/self", "cgroup", &own, &(struct error){0}) == 0;
    for (const char *l = own.data; good && *l;) {
        const char *end = l + strcspn(l, "\n");
        good = probe_line(&host, l, end, fs.f_type == V2_MAGIC, only_v1);
        l = end + (*end == '\n');
    }
    for (unsigned i = 0; good && i < host.count; i++)
        if (host.h[i].version == 2)
            host.h[i].controllers = v2_controllers(host.h[i].mount);
    bool v1 = false;
    for (unsigned i = 0; i < host.count; i++)
        v1 |= host.h[i].version == 1 && host.h[i].controllers & ~(1u << CGROUP_NAMED);
    /* Where v1 is for systemd's bookkeeping alone, v2 is the one that counts. */
    good &= v1 || !only_v1 || fs.f_type == V2_MAGIC;
    str_done(&own);
    if (good && host.count)
        *ret = host;
    else
        cgroup_host_done(&host);
    return good && host.count;
}

int cgroup_host_read(const char *proc, bool check, struct cgroup_host *ret, struct error *err)
{
    struct str mounts = {0}, own = {0};
    struct cgroup_host host = {0};
    int r = read_all(proc, "mountinfo", &mounts, err);
    if (!r)
        r = read_all(proc, "cgroup", &own, err);
    for (char *line = mounts.data; !r && line && *line;) {
        char *end = line + strcspn(line, "\n");
        bool last = !*end;
        *end = 0;
        if (add_mount(&host, line, check) < 0)
            r = error_set(err, -ENOMEM, "no memory");
        line = last ? end : end + 1;
    }
    for (unsigned i = 0; !r && i < host.count; i++) {
        struct cgroup_hierarchy *h = &host.h[i];
        h->own = own_of(h, own.data);
        if (h->version == 2)
            h->controllers = v2_controllers(h->mount);
        if (!h->own)
            r = error_set(err, -ENOMEM, "no memory");
    }
    str_done(&mounts);
    str_done(&own);
    if (r)
        cgroup_host_done(&host);
    else
        *ret = host;
    return r;
}

void cgroup_host_done(struct cgroup_host *host)
{
    for (unsigned i = 0; i < host->count; i++) {
        free(host->h[i].mount);
        free(host->h[i].root);
        free(host->h[i].own);
        if (host->h[i].opened)
            close(host->h[i].top);
    }
    host->count = 0;
}

static void json_string(struct str *out, const char *text)
{
    str_add_char(out, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            str_addf(out, "\\%c", c);
        else if (c < 32 || c >= 127)
            str_addf(out, "\\u%04x", c);
        else
            str_add_char(out, (char)c);
    }
    str_add_char(out, '"');
}

int cgroup_describe(struct str *out, struct error *err)
{
    struct cgroup_host host;
    int r = cgroup_host_read("/proc/self", true, &host, err);
    if (r)
        return r;
    bool v1 = false, v2 = false;
    for (unsigned i = 0; i < host.count; i++)
        *(host.h[i].version == 1 ? &v1 : &v2) = true;
    str_addf(out, "{\"version\":\"%s\",\"controllers\":{",
             v1 && v2 ? "hybrid"
             : v1     ? "v1"
             : v2     ? "v2"
                      : "none");
    bool first = true;
    for (unsigned i = 0; i < host.count; i++) {
        const struct cgroup_hierarchy *h = &host.h[i];
        cleanup_free char *own = str_format("%s%s", h->mount, h->own);
        bool writable = own && access(own, W_OK) == 0;
        for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
            if (!(h->controllers & 1u << c) || c == CGROUP_NAMED)
                continue;
            str_addf(out, "%s\"%s\":{\"version\":%d,\"mount\":", first ? "" : ",",
                     cgroup_controller_name((enum cgroup_controller)c, h->version), h->version);
            json_string(out, h->mount);
            str_addf(out, ",\"writable\":%s}", writable ? "true" : "false");
            first = false;
        }
    }
    str_add(out, "}}");
    cgroup_host_done(&host);
    return out->failed ? error_set(err, -ENOMEM, "no memory") : 0;
}
