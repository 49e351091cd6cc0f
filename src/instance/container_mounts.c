/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/config.h"
#include "instance/container_config_internal.h"
#include "instance/json.h"

enum { DEFAULT_SHM = 64 << 20 };

static json_t *mount(const char *target, const char *type, const char *source, const char *options)
{
    json_t *o = json_pack("{s:o,s:s,s:o}", "destination", json_text(target), "type", type, "source",
                          json_text(source)),
           *list = json_array();

    for (const char *p = options; *p;) {
        size_t n = strcspn(p, ",");
        if (n)
            json_array_append_new(list, json_stringn(p, n));
        p += n + (p[n] == ',');
    }
    json_object_set_new(o, "options", list);
    return o;
}

static void add(json_t *list, const char *target, const char *type, const char *source,
                const char *options)
{
    json_array_append_new(list, mount(target, type, source, options));
}

static bool is(const char *text, const char *value)
{
    return text && strcmp(text, value) == 0;
}

/* Whether the user mounts something of his own there. */
static bool taken(const struct spec *spec, const char *target)
{
    for (size_t i = 0; i < spec->container.mount_count; i++)
        if (strcmp(spec->container.mounts[i].target, target) == 0)
            return true;
    return false;
}

static void add_system(json_t *list, const struct container_plan *p)
{
    const struct spec_container *c = &p->spec->container;
    bool boots = container_boots(p->spec, p->image), rw = c->privileged || boots;
    bool host_net = p->spec->net == SPEC_NET_HOST;
    char shm[64];

    add(list, "/proc", "proc", "proc", "nosuid,noexec,nodev");
    add(list, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    add(list, "/dev/pts", "devpts", "devpts",
        p->rootless && p->gid_count == 1 && p->gids[0].size == 1
            ? "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"
            : "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
    /* A sysfs shows the network of who mounts it; another's cannot be mounted from outside. */
    if (p->user_namespace && (host_net || p->net_path))
        add(list, "/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro");
    else
        add(list, "/sys", "sysfs", "sysfs",
            c->privileged ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro");
    if (!(p->user_namespace && (host_net || p->net_path)))
        add(list, "/sys/fs/cgroup", "cgroup", "cgroup",
            rw ? "nosuid,noexec,nodev,relatime" : "nosuid,noexec,nodev,relatime,ro");
    if (is(c->ipc, "host")) {
        add(list, "/dev/shm", "none", "/dev/shm", "rbind,nosuid,noexec,nodev");
        if (access("/dev/mqueue", F_OK) == 0) /* not every host has it mounted */
            add(list, "/dev/mqueue", "none", "/dev/mqueue", "rbind,nosuid,noexec,nodev");
        return;
    }
    add(list, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    snprintf(shm, sizeof shm, "nosuid,noexec,nodev,mode=1777,size=%llu",
             (unsigned long long)(c->shm_size ? c->shm_size : DEFAULT_SHM));
    if (!taken(p->spec, "/dev/shm") && !is(c->ipc, "none"))
        add(list, "/dev/shm", "tmpfs", "shm", shm);
}

/* Files that say who and where the container is. */
static void add_etc(json_t *list, const struct container_plan *p)
{
    const char *options = p->spec->container.readonly ? "rbind,rprivate,ro" : "rbind,rprivate";

    if (p->resolv && !taken(p->spec, "/etc/resolv.conf"))
        add(list, "/etc/resolv.conf", "bind", p->resolv, options);
    if (p->hostname_file && !taken(p->spec, "/etc/hostname"))
        add(list, "/etc/hostname", "bind", p->hostname_file, options);
    if (p->hosts && !taken(p->spec, "/etc/hosts"))
        add(list, "/etc/hosts", "bind", p->hosts, options);
}

/* What a systemd wants to find (systemd's CONTAINER_INTERFACE). */
static void add_boot(json_t *list, const struct container_plan *p)
{
    if (!taken(p->spec, "/run"))
        add(list, "/run", "tmpfs", "tmpfs", "nosuid,nodev,mode=755");
    if (!taken(p->spec, "/run/lock"))
        add(list, "/run/lock", "tmpfs", "tmpfs", "nosuid,nodev,noexec,mode=755,size=5m");
    if (!taken(p->spec, "/tmp"))
        add(list, "/tmp", "tmpfs", "tmpfs", "nosuid,nodev,mode=1777");
}

static void add_one(json_t *list, const struct spec_mount *m, const char *source)
{
    cleanup_free char *options = NULL;
    const char *said = m->options ? m->options : "";

    if (m->type == SPEC_MOUNT_TMPFS) {
        /* What is said later wins: "exec" after "noexec". */
        options =
            str_format("nosuid,nodev,noexec,%s%s%s", strstr(said, "mode=") ? "" : "mode=1777,",
                       m->readonly ? "ro," : "", said);
        if (options)
            add(list, m->target, "tmpfs", "tmpfs", options);
        return;
    }
    options = str_format("%s,%s%s%s", strstr(said, "bind") ? "" : "rbind",
                         strstr(said, "shared") || strstr(said, "slave") || strstr(said, "private")
                             ? ""
                             : "rprivate,",
                         m->readonly ? "ro," : "", said);
    if (options)
        add(list, m->target, "bind", source, options);
}

static unsigned depth(const char *path)
{
    unsigned n = 0;

    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* Parents before what is mounted inside them, else as they were said. */
static void add_user(json_t *list, const struct container_plan *p)
{
    const struct spec_container *c = &p->spec->container;
    unsigned deepest = 0;

    for (size_t i = 0; i < c->mount_count; i++)
        deepest = max_of(deepest, depth(c->mounts[i].target));
    for (unsigned d = 0; d <= deepest; d++)
        for (size_t i = 0; i < c->mount_count; i++)
            if (depth(c->mounts[i].target) == d)
                add_one(list, &c->mounts[i], p->sources ? p->sources[i] : NULL);
}

json_t *container_mounts(const struct container_plan *p)
{
    json_t *list = json_array();

    add_system(list, p);
    add_etc(list, p);
    if (container_boots(p->spec, p->image))
        add_boot(list, p);
    add_user(list, p);
    return list;
}
