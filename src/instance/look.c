/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into instances without their supervisors: files, changes, processes. */
#include <errno.h>

#include "base/own.h"
#include "instance/engine.h"
#include "instance/home.h"

/* What all of them need; release with look_done. */
struct look {
    struct instance *i;
    char *dir;
    const struct engine_ops *ops;
    struct engine_place place;
};

static void look_done(struct look *l)
{
    instance_free(l->i);
    free(l->dir);
}

static int look(struct instances *home, const char *ref, struct look *l, struct error *err)
{
    int r = instance_find(home, ref, &l->i, err);

    if (r < 0)
        return r;
    l->ops = engine_find(home->engines, l->i->spec->wall, err);
    if (!l->ops)
        return -ENOTSUP;
    l->dir = home_path(home, l->i->id, NULL);
    if (!l->dir)
        return error_set(err, -ENOMEM, "out of memory");
    l->place = (struct engine_place){.data_dir = home->data,
                                     .runtime_dir = home->run,
                                     .dir = l->dir,
                                     .id = l->i->id,
                                     .spec = l->i->spec};
    return 0;
}

int instance_root(struct instances *home, const char *ref, int *ret_fd, struct error *err)
{
    struct look l = {0};
    int r = look(home, ref, &l, err);

    if (r == 0)
        r = l.ops->root ? l.ops->root(&l.place, ret_fd, err)
                        : engine_unsupported(l.ops, "access to files", err);
    look_done(&l);
    return r;
}

char *instance_upper(const struct instances *home, const struct instance *instance)
{
    return home_path(home, instance->id, "upper");
}

int instance_files(struct instances *home, const char *ref, int *ret_fd, struct error *err)
{
    struct look l = {0};
    int r = look(home, ref, &l, err);

    if (r == 0)
        r = l.ops->files ? l.ops->files(&l.place, ret_fd, err)
                         : engine_unsupported(l.ops, "access to files", err);
    look_done(&l);
    return r;
}

int instance_diff(struct instances *home, const char *ref,
                  bool (*change)(void *opaque, char kind, const char *path), void *opaque,
                  struct error *err)
{
    struct look l = {0};
    int r = look(home, ref, &l, err);

    if (r == 0)
        r = l.ops->diff ? l.ops->diff(&l.place, change, opaque, err)
                        : engine_unsupported(l.ops, "diff", err);
    look_done(&l);
    return r;
}

int instance_pids(struct instances *home, const char *ref, pid_t **ret, size_t *ret_count,
                  struct error *err)
{
    struct look l = {0};
    int r = look(home, ref, &l, err);

    if (r == 0 && !lifecycle_supervised(l.i->state))
        r = error_set(err, -ESTALE, "it is %s; start it first", lifecycle_state_name(l.i->state));
    if (r == 0)
        r = l.ops->pids ? l.ops->pids(&l.place, ret, ret_count, err)
                        : engine_unsupported(l.ops, "top", err);
    look_done(&l);
    return r;
}
