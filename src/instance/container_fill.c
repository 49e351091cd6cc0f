/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first container that mounts a new volume gives it what its image has at that place, with
 * owners and modes (Docker calls it "copy-up").
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "image/idmap.h"
#include "instance/container_root.h"
#include "instance/container_sources.h"
#include "instance/container_volume.h"
#include "instance/root_path.h"
#include "instance/tree_copy.h"

/* The image's files: one layer is a directory, several are a mount that goes with its descriptor.
 */
static int open_layers(const struct container_parts *p, int *ret_fd, struct error *err)
{
    const struct container_overlay *o = &p->overlay;

    if (o->lower_count > 1)
        return container_root_mount(o->lower, o->lower_count, NULL, NULL, ret_fd, err);
    *ret_fd = open(o->lower[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? error_set_errno(err, -errno, "open %s", o->lower[0]) : 0;
}

static int fill_one(int root, const char *target, const char *path, struct error *err)
{
    cleanup_fd int from = root_open(root, target, O_RDONLY | O_DIRECTORY, 0), to = -1;
    struct stat st;

    if (from == -ENOENT || from == -ENOTDIR)
        return 0; /* nothing there */
    if (from < 0)
        return error_set_errno(err, from, "open %s in the image", target);
    to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (to < 0 || fstat(from, &st) < 0)
        return error_set_errno(err, -errno, "open %s", path);
    if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
        return error_set_errno(err, -errno, "set the owner of %s", path);
    return tree_copy_contents(from, to, TREE_COPY_ARCHIVE, err);
}

static int fill_all(const struct engine_place *place, const struct container_parts *p,
                    struct error *err)
{
    const struct spec_container *c = &place->spec->container;
    cleanup_fd int root = -1;
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->mount_count; i++) {
        const struct spec_mount *m = &c->mounts[i];
        struct volume v = {0};
        if (m->type != SPEC_MOUNT_VOLUME || m->no_copy)
            continue;
        r = volume_find(place->data_dir, m->source, &v, err);
        if (r == 0 && !v.filled) {
            if (root < 0)
                r = open_layers(p, &root, err);
            if (r == 0)
                r = fill_one(root, m->target, v.path, err);
            if (r == 0)
                r = volume_set_filled(place->data_dir, m->source, err);
            if (r < 0)
                error_wrap(err, r, "fill volume %.12s", m->source);
        }
        volume_done(&v);
    }
    return r;
}

struct fill {
    const struct engine_place *place;
    const struct container_parts *parts;
};

/* In a process that has the ids of the container, and mounts of its own. */
static int fill_mapped(void *opaque)
{
    const struct fill *f = opaque;
    struct error err = {0};
    int r = unshare(CLONE_NEWNS) < 0 ? error_set_errno(&err, -errno, "make a mount namespace")
                                     : fill_all(f->place, f->parts, &err);

    if (r < 0)
        log_error("container", "%s", error_text(&err));
    return r < 0;
}

static bool has_new_volume(const struct engine_place *place)
{
    const struct spec_container *c = &place->spec->container;
    bool found = false;

    for (size_t i = 0; !found && i < c->mount_count; i++) {
        struct volume v = {0};
        if (c->mounts[i].type == SPEC_MOUNT_VOLUME && !c->mounts[i].no_copy &&
            volume_find(place->data_dir, c->mounts[i].source, &v, NULL) == 0)
            found = !v.filled;
        volume_done(&v);
    }
    return found;
}

int container_fill_volumes(const struct engine_place *place, const struct container_parts *p,
                           struct error *err)
{
    struct fill f = {place, p};
    int r;

    if (!p->has_overlay || !has_new_volume(place))
        return 0;
    if (geteuid() == 0)
        return fill_all(place, p, err);
    r = idmap_run(fill_mapped, &f, err);
    return r > 0 ? error_set(err, -EIO, "new volumes could not be filled; see supervisor.log") : r;
}
