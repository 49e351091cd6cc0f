/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "image/idmap.h"
#include "instance/container_engine.h"
#include "instance/container_files.h"
#include "instance/container_net.h"
#include "instance/container_points.h"
#include "instance/container_volume.h"
#include "instance/home.h"
#include "instance/spec_internal.h"

struct image_store *container_store_open(const char *data_dir, struct error *err)
{
    cleanup_free char *dir = str_format("%s/images", data_dir);

    if (!dir) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return image_store_open(dir, err);
}

/* ---- at creation ---- */

static int random_name(char name[65], struct error *err)
{
    uint8_t raw[32];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return error_set_errno(err, -errno, "make a name");
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(name + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

static bool has_mount(const struct spec *spec, const char *target)
{
    for (size_t i = 0; i < spec->container.mount_count; i++)
        if (strcmp(spec->container.mounts[i].target, target) == 0)
            return true;
    return false;
}

/* Volumes that the image declares, ports that it exposes. */
static int add_declared(struct spec *spec, const struct image_config *c, struct error *err)
{
    int r = 0;

    /* In a machine they are part of its own drive. */
    for (size_t i = 0; r == 0 && spec->wall == SPEC_WALL_CONTAINER && c->volumes[i]; i++) {
        struct spec_mount m = {.type = SPEC_MOUNT_VOLUME, .target = strdup(c->volumes[i])};
        if (!m.target)
            r = error_set(err, -ENOMEM, "out of memory");
        else if (has_mount(spec, m.target))
            spec_mount_clear(&m);
        else
            r = spec_put_mount(spec, &m, err);
    }
    for (size_t i = 0; r == 0 && spec->container.publish_all && c->exposed_ports[i]; i++)
        r = spec_add_port(spec, c->exposed_ports[i], err);
    return r < 0 ? error_wrap(err, r, "the image's declarations") : 0;
}

/* Creates named volumes now, so that "volume ls" shows them, and names those without one. */
static int make_volumes(const struct engine_place *place, struct spec *spec, struct error *err)
{
    for (size_t i = 0; i < spec->container.mount_count; i++) {
        struct spec_mount *m = &spec->container.mounts[i];
        bool anonymous = !m->source;
        char name[65];
        int r = 0;
        if (m->type != SPEC_MOUNT_VOLUME)
            continue;
        if (anonymous) {
            r = random_name(name, err);
            if (r == 0)
                m->source = strdup(name);
            if (r == 0 && !m->source)
                r = error_set(err, -ENOMEM, "out of memory");
        }
        if (r == 0)
            r = volume_create(place->data_dir, m->source, anonymous, NULL, NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int container_parts_prepare(const struct engine_place *place, struct spec *spec, struct error *err)
{
    struct image_store *store = NULL;
    struct image *image = NULL;
    const char **words = NULL;
    int r = 0;

    if (spec->image) {
        store = container_store_open(place->data_dir, err);
        r = store ? image_find(store, spec->image, spec->container.platform, &image, err)
                  : err->code;
        if (r == -ENOENT)
            r = -ENOMEDIUM;
        if (r == 0) {
            free(spec->container.image_id);
            spec->container.image_id = strdup(image->id);
            spec->container.boot |= container_boots(spec, &image->config);
            r = spec->container.image_id ? add_declared(spec, &image->config, err)
                                         : error_set(err, -ENOMEM, "out of memory");
        }
    }
    for (size_t i = 0; r == 0 && spec->container.publish_all && i < spec->container.expose.count;
         i++)
        r = spec_add_port(spec, spec->container.expose.items[i], err);
    if (r == 0)
        r = spec_choose_ports(spec, err);
    if (r == 0)
        r = container_words(spec, image ? &image->config : NULL, &words, err);
    free(words);
    if (r == 0)
        r = make_volumes(place, spec, err);
    image_free(image);
    image_store_close(store);
    return r;
}

/* ---- for a run ---- */

static int make_dir(const char *dir, const char *name, mode_t mode, char **ret, struct error *err)
{
    *ret = str_format("%s/%s", dir, name);
    if (!*ret)
        return error_set(err, -ENOMEM, "out of memory");
    if (mkdir(*ret, mode) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "create %s", *ret);
    return 0;
}

/* Root directories by which users are found: the container's own branch, then the layers. */
static int make_roots(const struct engine_place *place, struct container_parts *p,
                      struct error *err)
{
    size_t layers = p->image ? p->image->layer_count : 0, n = 0;
    int r = 0;

    p->roots = mem_alloc(layers + 3, sizeof *p->roots);
    if (!p->roots)
        return error_set(err, -ENOMEM, "out of memory");
    if (p->image) {
        r = make_dir(place->dir, "upper", 0755, &p->upper, err);
        if (r == 0)
            r = chmod(p->upper, 0755) < 0 ? error_set_errno(err, -errno, "chmod %s", p->upper) : 0;
        if (r == 0)
            r = make_dir(place->dir, "work", 0700, &p->work, err);
        /* Where the overlay is mounted: the container's state directory. */
        p->root = str_format("%s/containers/%s", place->runtime_dir, place->id);
        if (r == 0 && !p->root)
            r = error_set(err, -ENOMEM, "out of memory");
        if (r < 0)
            return r;
        p->roots[n++] = p->upper;
        for (size_t i = 0; i < layers; i++)
            p->roots[n++] = p->image->layers[i];
        p->has_overlay = true;
        p->overlay = (struct container_overlay){.lower = p->roots + 1,
                                                .lower_count = layers,
                                                .upper = p->upper,
                                                .work = p->work,
                                                .mark = true};
    } else {
        p->root = strdup(place->spec->container.rootfs);
        if (!p->root)
            return error_set(err, -ENOMEM, "out of memory");
        p->roots[n++] = p->root;
    }
    p->root_count = n;
    return 0;
}

static int find_image(const struct engine_place *place, struct container_parts *p,
                      struct error *err)
{
    const struct spec *spec = place->spec;
    const char *ref = spec->container.image_id ? spec->container.image_id : spec->image;
    int r;

    if (!spec->image)
        return 0;
    p->store = container_store_open(place->data_dir, err);
    if (!p->store)
        return err->code;
    r = image_find(p->store, ref, NULL, &p->image, err);
    return r < 0 ? error_wrap(err, r, "image %s", spec->image) : 0;
}

/* The host's directory for each mount. */
static int find_sources(const struct engine_place *place, struct container_parts *p,
                        struct error *err)
{
    const struct spec_container *c = &place->spec->container;

    p->sources = mem_alloc(c->mount_count + 1, sizeof *p->sources);
    if (!p->sources)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < c->mount_count; i++) {
        const struct spec_mount *m = &c->mounts[i];
        struct volume v = {0};
        struct stat st;
        int r = 0;
        if (m->type == SPEC_MOUNT_TMPFS)
            continue;
        if (m->type == SPEC_MOUNT_VOLUME) {
            r = volume_find(place->data_dir, m->source, &v, err);
            p->sources[i] = r == 0 ? steal_ptr(&v.path) : NULL;
            volume_done(&v);
        } else {
            if (stat(m->source, &st) < 0 && errno == ENOENT && m->create)
                r = mkdir(m->source, 0755) < 0 && errno != EEXIST
                        ? error_set_errno(err, -errno, "create %s", m->source)
                        : 0;
            else if (stat(m->source, &st) < 0)
                r = error_set_errno(err, -errno, "mount %s", m->source);
            p->sources[i] = r == 0 ? strdup(m->source) : NULL;
        }
        if (r < 0)
            return r;
        if (!p->sources[i])
            return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

/* Path of namespace @kind of container @id. */
static int namespace_of(const struct engine_place *place, const char *id, const char *kind,
                        char **ret, struct error *err)
{
    cleanup_free char *state_dir = container_state_dir(place->runtime_dir);
    struct container *other = NULL;
    pid_t pid;
    int r = state_dir ? container_load(state_dir, id, &other, err) : -ENOMEM;

    if (r < 0)
        return error_set(err, -ESTALE, "container %.12s, whose %s is to be used, does not run", id,
                         kind);
    pid = container_pid(other);
    container_free(other);
    if (!pid)
        return error_set(err, -ESTALE, "container %.12s, whose %s is to be used, does not run", id,
                         kind);
    *ret = str_format("/proc/%d/ns/%s", (int)pid, kind);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int find_namespaces(const struct engine_place *place, struct container_parts *p,
                           struct error *err)
{
    const struct spec *spec = place->spec;
    const struct spec_container *c = &spec->container;
    int r = 0;

    if (spec->net == SPEC_NET_CONTAINER)
        r = namespace_of(place, c->net_from, "net", &p->net_path, err);
    if (r == 0 && c->pid && str_starts(c->pid, "container:"))
        r = namespace_of(place, c->pid + 10, "pid", &p->pid_path, err);
    if (r == 0 && c->ipc && str_starts(c->ipc, "container:"))
        r = namespace_of(place, c->ipc + 10, "ipc", &p->ipc_path, err);
    return r;
}

char *container_names_dir(const char *runtime_dir, const char *id)
{
    return str_format("%s/names/%s", runtime_dir, id);
}

static int make_names_dir(const struct engine_place *place, const char *dir, struct error *err)
{
    cleanup_free char *parent = NULL, *same = NULL;
    int r = make_dir(place->runtime_dir, "names", 0700, &parent, err);

    return r < 0 ? r : make_dir(parent, strrchr(dir, '/') + 1, 0700, &same, err);
}

static void see_net(const struct container_net_view *v, struct container_names *names)
{
    names->address = v->address;
    names->gateway = v->gateway;
    names->dns = *v->dns ? v->dns : NULL;
    names->apart = true;
}

static int write_files(const struct engine_place *place, struct container_parts *p,
                       struct error *err)
{
    bool nat = place->spec->net == SPEC_NET_NAT;
    struct container_names names = {.id = place->id, .spec = place->spec};
    bool shared = place->spec->net == SPEC_NET_CONTAINER; /* one network, one set of names */
    const char *dir = p->names = container_names_dir(
        place->runtime_dir, shared ? place->spec->container.net_from : place->id);
    int r = 0;

    if (nat) {
        container_net_guess(place->spec, place->id, &p->net);
        see_net(&p->net, &names);
    }
    if (!dir)
        r = error_set(err, -ENOMEM, "out of memory");
    else if (!shared)
        r = make_names_dir(place, dir, err);
    if (r == 0 && !shared)
        r = container_files_write(dir, &names, err);
    if (r < 0)
        return r;
    p->no_resolver = r == CONTAINER_FILES_NO_RESOLVER;
    r = 0;
    p->hosts = str_format("%s/hosts", dir);
    p->hostname = str_format("%s/hostname", dir);
    p->resolv = str_format("%s/resolv.conf", dir);
    if (r == 0 && (!p->hosts || !p->hostname || !p->resolv))
        r = error_set(err, -ENOMEM, "out of memory");
    return r;
}

int container_parts_names(struct container_parts *p, const struct container_net_view *view,
                          void (*warn)(void *opaque, const char *line), void *opaque,
                          struct error *err)
{
    struct container_names names = {.id = p->plan.id, .spec = p->plan.spec};
    int r;

    if (memcmp(view, &p->net, sizeof *view) != 0) { /* it was guessed wrong */
        p->net = *view;
        see_net(view, &names);
        r = container_files_write(p->names, &names, err);
        if (r < 0)
            return r;
        p->no_resolver = r == CONTAINER_FILES_NO_RESOLVER;
    }
    if (p->no_resolver)
        warn(opaque, "the host's name servers listen on its loopback only, which containers do not "
                     "reach: names are not resolved; use --dns ADDRESS");
    return 0;
}

int container_parts_layers(const struct engine_place *place, struct container_parts *ret,
                           struct error *err)
{
    int r;

    *ret = (struct container_parts){.plan.spec = place->spec};
    r = find_image(place, ret, err);
    return r < 0 ? r : make_roots(place, ret, err);
}

/* Container ids 0.. by what this user is granted; @own: id 0 is the user himself. */
static size_t map_ids(bool groups, bool own, struct container_id_map *maps)
{
    struct idmap_range ranges[CONTAINER_MAPS_MAX];
    size_t n = idmap_granted(groups, ranges, CONTAINER_MAPS_MAX - 1), k = 0;
    unsigned next = 0;

    if (own)
        maps[k++] = (struct container_id_map){next++, groups ? getegid() : geteuid(), 1};
    for (size_t i = 0; i < n; i++) {
        maps[k++] = (struct container_id_map){next, ranges[i].start, ranges[i].count};
        next += ranges[i].count;
    }
    return k;
}

/* A user namespace: always without root, else with --userns private. */
static int map_users(const struct spec *spec, struct container_parts *p, struct error *err)
{
    const char *said = spec->container.userns;
    struct container_plan *plan = &p->plan;
    enum idmap_kind kind = idmap_kind();

    if (said && strcmp(said, "keep-id") == 0)
        return error_set(err, -ENOTSUP, "--userns keep-id is not supported yet; use private");
    if (kind == IDMAP_ROOT && (!said || strcmp(said, "host") == 0))
        return 0;
    plan->user_namespace = true;
    if (kind == IDMAP_SINGLE) {
        plan->uids[0] = (struct container_id_map){0, geteuid(), 1};
        plan->gids[0] = (struct container_id_map){0, getegid(), 1};
        plan->uid_count = plan->gid_count = 1;
        return 0;
    }
    plan->uid_count = map_ids(false, kind == IDMAP_RANGES, plan->uids);
    plan->gid_count = map_ids(true, kind == IDMAP_RANGES, plan->gids);
    if (!plan->uid_count || !plan->gid_count)
        return error_set(err, -ENOENT,
                         "--userns private: /etc/subuid and /etc/subgid grant root no ids; add a "
                         "line such as root:1000000:65536 to both");
    p->overlay.idmap = kind == IDMAP_ROOT;
    return 0;
}

/*
 * --rm: what it writes need not outlive it. The kernel leaves a mark in the scratch directory then,
 * and refuses that directory for a second run (a system that restarts itself).
 */
static int discard_branch(struct container_parts *p, struct error *err)
{
    cleanup_fd int work = open(p->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = work < 0 ? -errno : home_remove_tree(work, "work");

    p->overlay.discard = true;
    return r < 0 ? error_set_errno(err, r, "clear %s", p->work) : 0;
}

/* A layer below the image's, so that a start makes nothing in the container's branch. */
static void add_mount_points(const struct engine_place *place, struct container_parts *p)
{
    p->points = container_mount_points(place->data_dir);
    if (!p->points || !p->overlay.lower_count)
        return;
    p->roots[p->root_count] = p->points;
    p->overlay.lower_count++;
}

int container_parts_make(const struct engine_place *place, struct container_parts *ret,
                         struct error *err)
{
    struct container_parts *p = ret;
    const struct spec_container *c = &place->spec->container;
    const char *user = c->user;
    int r = container_parts_layers(place, p, err);

    if (r == 0 && p->has_overlay)
        add_mount_points(place, p);
    if (r == 0 && p->has_overlay && place->spec->rm)
        r = discard_branch(p, err);
    if (r == 0) {
        if (!user && p->image)
            user = p->image->config.user;
        r = container_user_find(p->roots, p->root_count, user, &c->groups, &p->user, err);
    }
    if (r == 0)
        r = find_sources(place, p, err);
    if (r == 0)
        r = container_fill_volumes(place, p, err);
    if (r == 0)
        r = find_namespaces(place, p, err);
    if (r == 0)
        r = write_files(place, p, err);
    if (r < 0)
        return r;
    p->cgroup = str_format("%s/%s", c->cgroup_parent ? c->cgroup_parent : "/isola", place->id);
    if (!p->cgroup)
        return error_set(err, -ENOMEM, "out of memory");
    p->plan = (struct container_plan){.spec = place->spec,
                                      .image = p->image ? &p->image->config : NULL,
                                      .id = place->id,
                                      .root = p->root,
                                      .user = &p->user,
                                      .sources = (const char *const *)p->sources,
                                      .hosts = p->hosts,
                                      .hostname_file = p->hostname,
                                      .resolv = p->resolv,
                                      .cgroup = p->cgroup,
                                      .net_path = p->net_path,
                                      .pid_path = p->pid_path,
                                      .ipc_path = p->ipc_path,
                                      .rootless = geteuid() != 0};
    return map_users(place->spec, p, err);
}

void container_parts_done(struct container_parts *p)
{
    size_t mounts = p->plan.spec ? p->plan.spec->container.mount_count : 0;

    for (size_t i = 0; p->sources && i < mounts; i++)
        free(p->sources[i]);
    free(p->sources);
    free(p->roots);
    free(p->upper);
    free(p->work);
    free(p->names);
    free(p->hosts);
    free(p->hostname);
    free(p->resolv);
    free(p->cgroup);
    free(p->root);
    free(p->points);
    free(p->net_path);
    free(p->pid_path);
    free(p->ipc_path);
    image_free(p->image);
    image_store_close(p->store);
    *p = (struct container_parts){0};
}

/* In a namespace where this user has the ids of the container. */
static int remove_branch(void *opaque)
{
    const char *dir = opaque;
    cleanup_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        home_remove_tree(fd, "upper");
        home_remove_tree(fd, "work");
    }
    return 0;
}

static void remove_names(const struct engine_place *place)
{
    cleanup_free char *parent = str_format("%s/names", place->runtime_dir);
    cleanup_fd int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0)
        home_remove_tree(fd, place->id);
}

void container_parts_remove(const struct engine_place *place)
{
    const struct spec *spec = place->spec;
    struct error err = {0};

    remove_names(place);

    if (geteuid() != 0 && spec->image && access(place->dir, F_OK) == 0 &&
        idmap_run(remove_branch, (void *)(uintptr_t)place->dir, &err) < 0)
        log_warn("container", "%s", error_text(&err));

    for (size_t i = 0; spec->rm && i < spec->container.mount_count; i++) {
        const struct spec_mount *m = &spec->container.mounts[i];
        struct volume v = {0};
        if (m->type == SPEC_MOUNT_VOLUME && m->source && !m->borrowed &&
            volume_find(place->data_dir, m->source, &v, NULL) == 0) {
            if (v.anonymous)
                volume_remove(place->data_dir, m->source, NULL);
            volume_done(&v);
        }
    }
}
