/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/client.h"
#include "instance/engine.h"
#include "instance/snapshot.h"
#include "io/disk_clone.h"

/* One call: what its forks begin from. */
struct forking {
    struct instances *home;
    const struct instance *parent;
    char *dir; /* DATA/instances/PARENT/fork: the drives of that instant, while it lasts */
    int parent_dir, lock;
    const char *pattern;
    unsigned number; /* the next to be tried in names */
    struct engine_origin origin;
};

/* ---- the drives of that instant ---- */

/* One command at a time; what a killed one has left goes. */
static int make_dir(struct forking *f, struct error *err)
{
    cleanup_free char *path = home_path(f->home, f->parent->id, NULL);
    int r;

    f->dir = home_path(f->home, f->parent->id, "fork");
    if (!path || !f->dir)
        return error_set(err, -ENOMEM, "out of memory");
    f->parent_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->lock = f->parent_dir < 0
                  ? -1
                  : openat(f->parent_dir, "fork.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->lock < 0 || flock(f->lock, LOCK_EX) < 0)
        return error_set_errno(err, -errno, "lock %s", path);
    r = home_remove_tree(f->parent_dir, "fork");
    if (r < 0 || mkdirat(f->parent_dir, "fork", 0700) < 0)
        return error_set_errno(err, r < 0 ? r : -errno, "make %s", f->dir);
    return 0;
}

static void forking_done(struct forking *f)
{
    while (f->origin.count)
        close(f->origin.fds[--f->origin.count]);
    if (f->lock >= 0)
        home_remove_tree(f->parent_dir, "fork");
    if (f->lock >= 0)
        close(f->lock);
    if (f->parent_dir >= 0)
        close(f->parent_dir);
    free(f->dir);
}

/*
 * Drive @n as the fork gets it: an overlay of what it was, which has a second name in the fork's
 * directory and so lasts as long as the last fork that needs it.
 */
static int own_drive(const struct forking *f, const char *dir, size_t n, struct spec_disk *d,
                     struct error *err)
{
    cleanup_free char *from = str_format("%s/drive%zu.qcow2", f->dir, n),
                      *base = str_format("%s/drive%zu.base.qcow2", dir, n),
                      *path = str_format("%s/drive%zu.qcow2", dir, n);
    int r;

    if (!from || !base || !path)
        return error_set(err, -ENOMEM, "out of memory");
    if (link(from, base) < 0)
        return error_set_errno(err, -errno, "link %s to %s", from, base);
    r = disk_overlay_new(base, path, err);
    if (r < 0)
        return r;
    free(d->path);
    d->path = steal_ptr(&path);
    snprintf(d->format, sizeof d->format, "qcow2");
    return 0;
}

static int own_drives(void *opaque, struct instances *home, struct instance *i, struct error *err)
{
    const struct forking *f = opaque;
    cleanup_free char *dir = home_path(home, i->id, NULL);
    int r = dir ? 0 : error_set(err, -ENOMEM, "out of memory");

    for (size_t n = 0; r == 0 && n < i->spec->disk_count; n++)
        if (!i->spec->disks[n].readonly)
            r = own_drive(f, dir, n, &i->spec->disks[n], err);
    return r;
}

/* ---- one fork ---- */

/* The name with number @number: new, NULL without memory. */
static char *name_of(const char *pattern, unsigned number)
{
    const char *at = strchr(pattern, '%');

    return at ? str_format("%.*s%u%s", (int)(at - pattern), pattern, number, at + 1)
              : strdup(pattern);
}

/* What the first machine is, but for what must be each one's own. */
static struct spec *fork_spec(const struct forking *f, struct error *err)
{
    cleanup_free char *text = spec_to_json(f->parent->spec);
    struct spec *spec = text ? spec_from_json(text, strlen(text), err) : NULL;

    if (!spec) {
        if (!text)
            error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    memset(spec->uuid, 0, sizeof spec->uuid); /* made from the id, as the MAC address */
    memset(spec->mac, 0, sizeof spec->mac);
    spec->paused = false;
    free(spec->from_snapshot); /* its drives are whole */
    spec->from_snapshot = NULL;
    snapshot_free_ports(spec);
    return spec;
}

/* Makes the record under the next name that is free. */
static int make_record(struct forking *f, struct instance **ret, struct error *err)
{
    struct spec *spec = fork_spec(f, err);
    bool numbered = strchr(f->pattern, '%') != NULL;
    int r = spec ? -EEXIST : err->code;

    while (r == -EEXIST) {
        struct instance *taken = NULL;
        free(spec->name);
        spec->name = name_of(f->pattern, f->number++);
        if (!spec->name)
            r = error_set(err, -ENOMEM, "out of memory");
        else if (numbered && instance_find(f->home, spec->name, &taken, err) == 0)
            instance_free(taken);
        else
            r = record_create(f->home, spec, own_drives, f, ret, err);
        if (!numbered)
            break;
    }
    spec_free(spec);
    return r;
}

static int make_one(struct forking *f, struct instance **ret, struct error *err)
{
    struct instance *i = NULL;
    int r = make_record(f, &i, err);

    if (r < 0)
        return r;
    r = client_start_fork(f->home, i, &f->origin, err);
    if (r < 0) {
        struct error ignored = {0};
        if (instance_rm(f->home, i->id, true, &ignored) < 0)
            error_wrap(err, r, "start %s, which stays", i->name);
        instance_free(i);
        return r;
    }
    *ret = i;
    return 0;
}

static int check(const struct instance_fork *how, const char *pattern, struct error *err)
{
    cleanup_free char *name = name_of(pattern, FORK_MAX);
    const char *at = strchr(pattern, '%');

    if (!how->count || how->count > FORK_MAX)
        return error_set(err, -EINVAL, "1 to %d forks at once, not %u", FORK_MAX, how->count);
    if (!name)
        return error_set(err, -ENOMEM, "out of memory");
    if (how->count > 1 && !at)
        return error_set(err, -EINVAL,
                         "%u forks can not all be called %s: put a %% where their number goes",
                         how->count, pattern);
    if (!spec_name_ok(name))
        return error_set(err, -EINVAL,
                         "\"%.40s\" makes no names: use letters, digits, \"_\", \".\" and \"-\", "
                         "beginning with a letter or digit, and one %%",
                         pattern);
    return 0;
}

int instance_fork(struct instances *home, const char *ref, const struct instance_fork *how,
                  void (*made)(void *opaque, const struct instance *fork), void *opaque,
                  struct error *err)
{
    struct forking f = {.home = home, .number = 1, .parent_dir = -1, .lock = -1};
    cleanup_free char *pattern = NULL;
    struct instance *parent = NULL, *i = NULL;
    int r = client_find(home, ref, LIFECYCLE_FORK, &parent, err);

    if (r < 0)
        return r;
    f.parent = parent;
    pattern = how->pattern ? strdup(how->pattern) : str_format("%s-%%", parent->name);
    f.pattern = pattern;
    r = pattern ? check(how, pattern, err) : error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = make_dir(&f, err);
    if (r == 0)
        r = client_fork(home, parent, f.dir, &f.origin, err);
    if (r == 0)
        event_append(home, "fork", parent, -1, NULL);
    for (unsigned n = 0; r == 0 && n < how->count; n++) {
        r = make_one(&f, &i, err);
        if (r == 0)
            made(opaque, i);
        instance_free(steal_ptr(&i));
    }
    forking_done(&f);
    instance_free(parent);
    return r;
}
