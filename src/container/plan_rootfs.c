/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system's part of a plan: mounts, devices, masks, kernel parameters, hooks. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/mount_options.h"
#include "container/plan_build.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum { FS_STRING_MAX = 255, CLASSIC_MAX = 4095 };

/* --- one mount --- */

struct option_list {
    struct plan_builder *b;
    struct plan_option *v;
    size_t n, cap;
    struct str classic; /* all of them as mount(2) takes them */
    bool too_long;      /* for fsconfig, which takes 255 bytes */
};

static int add_option(void *opaque, const char *key, size_t len, const char *value)
{
    struct option_list *o = opaque;
    if (o->n == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 8;
        struct plan_option *grown = realloc(o->v, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        o->v = grown;
        o->cap = cap;
    }
    cleanup_free char *name = strndup(key, len);
    if (!name)
        return -ENOMEM;
    o->too_long |= len > FS_STRING_MAX || (value && strlen(value) > FS_STRING_MAX);
    str_addf(&o->classic, "%s%s", o->classic.len ? "," : "", name);
    if (value)
        str_addf(&o->classic, "=%s", value);
    o->v[o->n++] = (struct plan_option){plan_add_text(o->b, name), plan_add_text(o->b, value), -1};
    return 0;
}

static void option_list_done(struct option_list *o)
{
    free(o->v);
    str_done(&o->classic);
}

/* "/a//b/./c/" as "/a/b/c": so that places can be compared. ".." stays for the container to
 * resolve. New. */
static char *tidy_path(const char *path)
{
    struct str out = {0};
    while (*path) {
        while (*path == '/')
            path++;
        size_t n = strcspn(path, "/");
        if (n && !(n == 1 && *path == '.')) {
            str_add_char(&out, '/');
            str_add_n(&out, path, n);
        }
        path += n;
    }
    if (!out.len)
        str_add_char(&out, '/');
    return str_steal(&out);
}

static const char *absolute_source(const struct plan_context *x, const char *source,
                                   struct str *room)
{
    if (!source || source[0] == '/')
        return source;
    str_addf(room, "%s/%s", x->options->bundle, source);
    return str_text(room);
}

struct mount_list {
    struct plan_mount *v;
    size_t n, cap;
};

static struct plan_mount *new_mount(struct mount_list *list)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 32;
        struct plan_mount *grown = realloc(list->v, cap * sizeof *grown);
        if (!grown)
            return NULL;
        list->v = grown;
        list->cap = cap;
    }
    list->v[list->n] = (struct plan_mount){.fd = -1};
    return &list->v[list->n++];
}

/* The container's own cgroups, which the runtime sends when they are made (PLAN_CGROUPS). */
static int add_cgroup_mount(struct plan_builder *b, struct mount_list *list, const char *at,
                            const struct mount_options *o, struct error *err)
{
    struct plan_option mode = {plan_add_text(b, "mode"), plan_add_text(b, "755"), -1};
    struct plan_mount *m = new_mount(list);
    if (!m)
        return error_set(err, -ENOMEM, "out of memory");
    m->destination = plan_add_text(b, at);
    m->set = o->set;
    m->flags = PLAN_MOUNT_CGROUP;
    m->options = plan_add_records(b, &mode, 1, sizeof mode);
    b->cgroup_mount = true;
    return 0;
}

/* Too long for the new interface: the container's init uses mount(2) on the place itself. */
static int make_classic(struct plan_builder *b, struct plan_mount *m, struct option_list *list,
                        const char *at, struct error *err)
{
    if (list->classic.len > CLASSIC_MAX)
        return error_set(err, -E2BIG, "mounts: %s: options are longer than %d bytes", at,
                         CLASSIC_MAX);
    struct plan_option all = {0, plan_add_text(b, str_text(&list->classic)), -1};
    m->options = plan_add_records(b, &all, 1, sizeof all);
    m->flags |= PLAN_MOUNT_CLASSIC;
    return 0;
}

static bool fixed_place(const char *type)
{
    return strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
}

static int add_mount(struct plan_builder *b, const struct plan_context *x, struct mount_list *list,
                     const struct oci_mount *from, struct error *err)
{
    struct mount_options o;
    struct option_list extra = {.b = b};
    cleanup_free char *at = tidy_path(from->destination);
    const char *type = from->type ? from->type : "";
    struct str room = {0};
    int r = -ENOMEM;
    if (!at)
        return error_set(err, r, "out of memory");
    if (strcmp(at, "/") == 0)
        return error_set(err, -EINVAL, "mounts: \"/\" is the root's place, see root.path");
    r = mount_options_parse(&from->options, &o, add_option, &extra, err);
    if (r < 0)
        r = error_wrap(err, r, "mounts: %s", from->destination);
    bool bind = o.bind || strcmp(type, "bind") == 0;
    if (r == 0 && !bind && (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0)) {
        r = add_cgroup_mount(b, list, at, &o, err);
        option_list_done(&extra);
        return r;
    }
    struct plan_mount *m = r < 0 ? NULL : new_mount(list);
    if (r == 0 && !m)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && !bind && !*type)
        r = error_set(err, -EINVAL, "mounts: %s: type is missing", at);
    if (r == 0) {
        const char *source = bind ? absolute_source(x, from->source, &room) : from->source;
        m->destination = plan_add_text(b, at);
        m->type = bind ? 0 : plan_add_text(b, type);
        m->source = plan_add_text(b, source);
        m->set = o.set;
        m->clear = bind ? o.clear : 0;
        m->set_all = o.set_all;
        m->clear_all = o.clear_all;
        m->propagation = (uint32_t)o.propagation;
        m->flags |= bind ? PLAN_MOUNT_BIND : 0;
        m->flags |= o.recursive ? PLAN_MOUNT_RECURSIVE : 0;
        m->flags |= o.copy_up && !bind ? PLAN_MOUNT_COPY_UP : 0;
        m->flags |= fixed_place(type) && !bind ? PLAN_MOUNT_NOFOLLOW : 0;
        m->flags |= strcmp(type, "sysfs") == 0 && !bind ? PLAN_MOUNT_SYSFS_BIND : 0;
        if (strcmp(at, "/dev") == 0) {
            m->flags |= PLAN_MOUNT_NOFOLLOW | (bind ? 0 : PLAN_MOUNT_DEV);
            b->plan.flags |= bind ? PLAN_NO_DEVICES : 0;
        }
        if (bind && (!from->source || !*from->source))
            r = error_set(err, -EINVAL, "mounts: %s: source is missing", at);
        else if (!bind && extra.too_long)
            r = make_classic(b, m, &extra, at, err);
        else if (!bind)
            m->options = plan_add_records(b, extra.v, extra.n, sizeof *extra.v);
        bool idmap = o.idmap || from->uid_mappings.n;
        if (r == 0 && idmap && !bind)
            r = error_set(err, -ENOTSUP, "mounts: %s: only binds can be idmapped", at);
        if (r == 0 && bind && (idmap || x->prepare_mounts)) {
            r = mount_prepare(x->config, idmap ? from : NULL, source, o.recursive,
                              o.idmap_recursive, &m->fd, err);
            r = r < 0 ? error_wrap(err, r, "mounts: %s", at) : plan_add_fd(b, m->fd, err);
        }
    }
    option_list_done(&extra);
    str_done(&room);
    return r;
}

/* Our own /dev, always: whatever the configuration leaves out. */
static int add_dev(struct plan_builder *b, struct mount_list *list, struct error *err)
{
    struct plan_mount *m = new_mount(list);
    if (!m)
        return error_set(err, -ENOMEM, "out of memory");
    struct plan_option options[] = {{plan_add_text(b, "mode"), plan_add_text(b, "755"), -1},
                                    {plan_add_text(b, "size"), plan_add_text(b, "65536k"), -1}};
    m->destination = plan_add_text(b, "/dev");
    m->type = m->source = plan_add_text(b, "tmpfs");
    m->flags = PLAN_MOUNT_NOFOLLOW | PLAN_MOUNT_DEV;
    m->set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME;
    m->options = plan_add_records(b, options, array_size(options), sizeof *options);
    return 0;
}

static int add_mounts(struct plan_builder *b, const struct plan_context *x, struct error *err)
{
    const struct oci_config *config = x->config;
    struct mount_list list = {0};
    bool has_dev = false;
    int r = 0;
    for (size_t i = 0; i < config->mount_count && !has_dev; i++) {
        cleanup_free char *at = tidy_path(config->mounts[i].destination);
        has_dev = at && strcmp(at, "/dev") == 0;
    }
    if (!has_dev)
        r = add_dev(b, &list, err);
    for (size_t i = 0; r == 0 && i < config->mount_count; i++)
        r = add_mount(b, x, &list, &config->mounts[i], err);
    if (r == 0)
        b->plan.mounts = plan_add_records(b, list.v, list.n, sizeof *list.v);
    free(list.v);
    return r;
}

/* --- devices and links --- */

static void add_device(struct plan_builder *b, struct str *devices, const char *path, char type,
                       uint32_t major, uint32_t minor, uint32_t mode, uint32_t uid, uint32_t gid)
{
    struct plan_device d = {.path = plan_add_text(b, path),
                            .mode = (type == 'b'   ? S_IFBLK
                                     : type == 'p' ? S_IFIFO
                                                   : S_IFCHR) |
                                    mode,
                            .major = major,
                            .minor = minor,
                            .uid = uid,
                            .gid = gid};
    str_add_n(devices, &d, sizeof d);
}

static void add_devices(struct plan_builder *b, const struct oci_config *config)
{
    static const struct {
        const char *path;
        uint32_t major, minor;
    } standard[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};
    struct str devices = {0};
    for (size_t i = 0; i < config->device_count; i++) {
        const struct oci_device *d = &config->devices[i];
        cleanup_free char *path = tidy_path(d->path);
        add_device(b, &devices, path ? path : "", d->type, d->major, d->minor,
                   d->mode.set ? (uint32_t)d->mode.value & 07777 : 0666, (uint32_t)d->uid.value,
                   (uint32_t)d->gid.value);
    }
    for (size_t i = 0; i < array_size(standard); i++) {
        bool given = false;
        for (size_t k = 0; k < config->device_count; k++)
            given |= strcmp(config->devices[k].path, standard[i].path) == 0;
        if (!given)
            add_device(b, &devices, standard[i].path, 'c', standard[i].major, standard[i].minor,
                       0666, 0, 0);
    }
    b->plan.devices = plan_add_records(b, devices.data, devices.len / sizeof(struct plan_device),
                                       sizeof(struct plan_device));
    b->failed |= devices.failed;
    str_done(&devices);
}

static void add_links(struct plan_builder *b)
{
    static const char *const standard[][2] = {
        {"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"},
        {"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"},
        {"/dev/core", "/proc/kcore"},       {"/dev/ptmx", "pts/ptmx"}};
    struct plan_link links[array_size(standard)];
    for (size_t i = 0; i < array_size(standard); i++)
        links[i] =
            (struct plan_link){plan_add_text(b, standard[i][0]), plan_add_text(b, standard[i][1])};
    b->plan.links = plan_add_records(b, links, array_size(standard), sizeof *links);
}

/* --- kernel parameters --- */

/* Only parameters of namespaces that are the container's own: the others are the host's. */
static int check_sysctl(const struct oci_config *config, const char *key, struct error *err)
{
    static const char *const ipc[] = {
        "kernel.msgmax",      "kernel.msgmnb",      "kernel.msgmni",      "kernel.sem",
        "kernel.shmall",      "kernel.shmmax",      "kernel.shmmni",      "kernel.shm_rmid_forced",
        "kernel.msg_next_id", "kernel.sem_next_id", "kernel.shm_next_id", "kernel.auto_msgmni"};
    const char *kind = NULL;
    int flag = 0;
    for (size_t i = 0; i < array_size(ipc); i++)
        if (strcmp(key, ipc[i]) == 0)
            kind = "ipc", flag = CLONE_NEWIPC;
    if (str_starts(key, "fs.mqueue."))
        kind = "ipc", flag = CLONE_NEWIPC;
    if (str_starts(key, "net."))
        kind = "network", flag = CLONE_NEWNET;
    if (strcmp(key, "kernel.domainname") == 0 || strcmp(key, "kernel.hostname") == 0)
        kind = "uts", flag = CLONE_NEWUTS;
    if (str_starts(key, "user."))
        kind = "user", flag = CLONE_NEWUSER;
    if (!kind)
        return error_set(err, -EINVAL,
                         "sysctl \"%s\" belongs to the whole host and cannot be set in a container",
                         key);
    if (!oci_config_namespace(config, flag))
        return error_set(err, -EINVAL, "sysctl \"%s\" needs a %s namespace of its own", key, kind);
    return 0;
}

/* Components with names, nothing that climbs out of the directory that was checked. */
static bool plain_path(const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (!n || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += n;
        if (*path && !*++path)
            return false;
    }
    return true;
}

/* "net.ipv4.x" as "net/ipv4/x"; where slashes are used, dots are part of a name. */
static int add_sysctls(struct plan_builder *b, const struct oci_config *config, struct error *err)
{
    struct str pairs = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < config->sysctl.n; i++) {
        cleanup_free char *dotted = strdup(config->sysctl.v[i].key);
        cleanup_free char *path = strdup(config->sysctl.v[i].key);
        if (!dotted || !path) {
            r = error_set(err, -ENOMEM, "out of memory");
            break;
        }
        bool slashes = path[strcspn(path, "./")] == '/';
        for (size_t k = 0; path[k]; k++) {
            if (slashes && (path[k] == '/' || path[k] == '.'))
                dotted[k] = path[k] == '/' ? '.' : '/';
            else if (!slashes && (path[k] == '/' || path[k] == '.'))
                path[k] = path[k] == '.' ? '/' : '.';
        }
        r = check_sysctl(config, dotted, err);
        if (r == 0 && !plain_path(path))
            r = error_set(err, -EINVAL, "sysctl \"%s\" is no name of a parameter",
                          config->sysctl.v[i].key);
        struct plan_pair pair = {plan_add_text(b, path),
                                 plan_add_text(b, config->sysctl.v[i].value)};
        str_add_n(&pairs, &pair, sizeof pair);
    }
    b->plan.sysctls = plan_add_records(b, pairs.data, pairs.len / sizeof(struct plan_pair),
                                       sizeof(struct plan_pair));
    b->failed |= pairs.failed;
    str_done(&pairs);
    return r;
}

/* --- hooks, namespaces --- */

static struct plan_list add_hooks(struct plan_builder *b, const struct oci_hooks *hooks)
{
    struct str list = {0};
    for (size_t i = 0; i < hooks->n; i++) {
        const struct oci_hook *from = &hooks->v[i];
        struct plan_hook hook = {.path = plan_add_text(b, from->path),
                                 .args = plan_add_texts(b, from->args.v, from->args.n),
                                 .env = plan_add_texts(b, from->env.v, from->env.n),
                                 .timeout_ms =
                                     from->timeout.set ? (uint32_t)from->timeout.value * 1000 : 0};
        str_add_n(&list, &hook, sizeof hook);
    }
    struct plan_list r = plan_add_records(b, list.data, hooks->n, sizeof(struct plan_hook));
    b->failed |= list.failed;
    str_done(&list);
    return r;
}

static int join_namespace(struct plan_builder *b, struct str *joins, const struct oci_namespace *ns,
                          struct error *err)
{
    int fd = open(ns->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, -errno, "open the namespace %s", ns->path);
    struct plan_join join = {fd, (uint32_t)ns->flag};
    str_add_n(joins, &join, sizeof join);
    return plan_add_fd(b, fd, err);
}

int plan_add_namespaces(struct plan_builder *b, const struct oci_config *config, struct error *err)
{
    struct str joins = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < config->namespace_count; i++) {
        const struct oci_namespace *ns = &config->namespaces[i];
        if (ns->flag == CLONE_NEWUSER)
            b->plan.flags |= PLAN_USERNS;
        if (ns->path)
            r = join_namespace(b, &joins, ns, err);
        else if (ns->flag == CLONE_NEWCGROUP)
            b->plan.flags |= PLAN_CGROUP_NS;
        else if (ns->flag == CLONE_NEWUSER || ns->flag == CLONE_NEWTIME)
            b->plan.unshare_first |= (uint32_t)ns->flag;
        else
            b->plan.unshare |= (uint32_t)ns->flag;
        if (ns->flag == CLONE_NEWNS && !ns->path)
            b->plan.flags |= PLAN_MOUNT_NS;
    }
    if (config->boottime.set || config->monotonic.set) {
        char text[160];
        snprintf(text, sizeof text, "monotonic %lld %u\nboottime %lld %u\n",
                 (long long)config->monotonic.secs, config->monotonic.nanosecs,
                 (long long)config->boottime.secs, config->boottime.nanosecs);
        b->plan.time_offsets = plan_add_text(b, text);
    }
    b->plan.joins = plan_add_records(b, joins.data, joins.len / sizeof(struct plan_join),
                                     sizeof(struct plan_join));
    b->failed |= joins.failed;
    str_done(&joins);
    return r;
}

/* --- the root --- */

/* For kernels before 6.7: all layers in one text, where ':' and ',' would need care. */
static uint32_t add_classic_overlay(struct plan_builder *b, const struct container_overlay *o)
{
    struct str text = {0};
    bool plain = true;
    str_add(&text, "lowerdir=");
    for (size_t i = 0; i < o->lower_count; i++) {
        str_addf(&text, "%s%s", i ? ":" : "", o->lower[i]);
        plain &= !strpbrk(o->lower[i], ":,\\");
    }
    if (o->upper) {
        str_addf(&text, ",upperdir=%s,workdir=%s", o->upper, o->work);
        plain &= !strpbrk(o->upper, ",\\") && !strpbrk(o->work, ",\\");
    }
    str_add(&text, o->upper && o->discard ? ",userxattr,volatile" : ",userxattr");
    uint32_t at = plain && text.len <= CLASSIC_MAX ? plan_add_text(b, str_text(&text)) : 0;
    str_done(&text);
    return at;
}

static int add_overlay(struct plan_builder *b, const struct plan_context *x, struct error *err)
{
    const struct container_overlay *o = x->options->overlay;
    struct option_list list = {.b = b};
    int r = 0;
    if (!o->lower_count)
        return error_set(err, -EINVAL, "an overlay needs a layer");
    b->plan.rootfs = plan_add_text(b, x->root_target);
    if (!o->upper)
        b->plan.flags |= PLAN_READONLY;
    else if (o->mark)
        b->plan.flags |= PLAN_MARK;
    if (o->idmap) {
        r = overlay_prepare(b, x->config, o, err);
        return r < 0 ? error_wrap(err, r, "overlay") : 0;
    }
    /* One layer without a branch is no overlay. */
    if (o->lower_count == 1 && !o->upper) {
        b->plan.rootfs = plan_add_text(b, o->lower[0]);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < o->lower_count; i++)
        r = add_option(&list, "lowerdir+", 9, o->lower[i]);
    if (r == 0 && o->upper)
        r = add_option(&list, "upperdir", 8, o->upper);
    if (r == 0 && o->upper)
        r = add_option(&list, "workdir", 7, o->work);
    if (r == 0)
        r = add_option(&list, "userxattr", 9, NULL);
    if (r == 0 && o->upper && o->discard)
        r = add_option(&list, "volatile", 8, NULL);
    b->plan.overlay = plan_add_records(b, list.v, list.n, sizeof *list.v);
    b->plan.overlay_classic = add_classic_overlay(b, o);
    if (r == 0 && list.too_long && !b->plan.overlay_classic)
        r = -E2BIG;
    option_list_done(&list);
    return r < 0 ? error_set(err, r, "the names of the overlay's %zu layers are too long",
                             o->lower_count)
                 : 0;
}

static int add_root(struct plan_builder *b, const struct plan_context *x, struct error *err)
{
    static const struct {
        const char *name;
        unsigned flags;
    } kinds[] = {{"shared", MS_SHARED},
                 {"slave", MS_SLAVE},
                 {"private", MS_PRIVATE},
                 {"unbindable", MS_UNBINDABLE}};
    const struct oci_config *config = x->config;
    struct str room = {0};
    b->plan.root_propagation = MS_SLAVE | MS_REC;
    for (size_t i = 0; config->rootfs_propagation && i < array_size(kinds); i++)
        if (strcmp(config->rootfs_propagation, kinds[i].name) == 0) {
            bool unbindable = kinds[i].flags == MS_UNBINDABLE;
            b->plan.root_propagation = (unbindable ? MS_PRIVATE : kinds[i].flags) | MS_REC;
            b->plan.root_shared = kinds[i].flags == MS_SHARED || unbindable ? kinds[i].flags : 0;
        }
    b->plan.flags |= config->root_readonly ? PLAN_READONLY : 0;
    if (x->options->overlay)
        return add_overlay(b, x, err);
    if (!config->root_path)
        return error_set(err, -EINVAL, "root is missing in the configuration");
    const char *path = absolute_source(x, config->root_path, &room);
    struct stat st;
    int r = 0;
    if (stat(path, &st) < 0)
        r = error_set_errno(err, -errno, "root.path %s", path);
    else if (!S_ISDIR(st.st_mode))
        r = error_set(err, -ENOTDIR, "root.path %s is no directory", path);
    b->plan.rootfs = plan_add_text(b, path);
    if (r == 0 && x->prepare_mounts) {
        r = mount_prepare(config, NULL, path, true, false, &b->plan.root_fd, err);
        r = r < 0 ? error_wrap(err, r, "root.path") : plan_add_fd(b, b->plan.root_fd, err);
    }
    str_done(&room);
    return r;
}

int plan_add_rootfs(struct plan_builder *b, const struct plan_context *x, struct error *err)
{
    const struct oci_config *config = x->config;
    b->plan.hostname =
        config->hostname && *config->hostname ? plan_add_text(b, config->hostname) : 0;
    b->plan.domainname =
        config->domainname && *config->domainname ? plan_add_text(b, config->domainname) : 0;
    b->plan.flags |= x->options->no_pivot ? PLAN_NO_PIVOT : 0;
    int r = add_root(b, x, err);
    r = r < 0 ? r : add_mounts(b, x, err);
    if (!(b->plan.flags & PLAN_NO_DEVICES)) {
        add_devices(b, config);
        add_links(b);
    }
    r = r < 0 ? r : add_sysctls(b, config, err);
    if (config->mount_label && *config->mount_label)
        r = r < 0 ? r
                  : error_set(err, -ENOTSUP,
                              "linux.mountLabel \"%s\": SELinux labels of mounts are not supported",
                              config->mount_label);
    b->plan.masked = plan_add_texts(b, config->masked_paths.v, config->masked_paths.n);
    b->plan.readonly = plan_add_texts(b, config->readonly_paths.v, config->readonly_paths.n);
    b->plan.create_hooks = add_hooks(b, &config->hooks[OCI_HOOK_CREATE_CONTAINER]);
    b->plan.start_hooks = add_hooks(b, &config->hooks[OCI_HOOK_START_CONTAINER]);
    if (config->has_personality) {
        b->plan.flags |= PLAN_PERSONALITY;
        b->plan.personality = config->personality_32bit ? 0x0008 : 0;
    }
    return r;
}
