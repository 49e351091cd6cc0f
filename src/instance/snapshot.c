/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/client.h"
#include "instance/home.h"
#include "instance/json.h"

enum { FORMAT = 1, META_MAX = 1 << 20 };
static const char unfinished[] = ".new-";

void snapshot_done(struct snapshot *s)
{
    free(s->name);
    free(s->instance_name);
    spec_free(s->spec);
    *s = (struct snapshot){0};
}

void snapshot_list_free(struct snapshot *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        snapshot_done(&list[i]);
    free(list);
}

/* DATA/snapshots, made when missing; its lock is taken and goes with *ret_lock. */
static int open_dir(const struct instances *home, int *ret_lock, struct error *err)
{
    cleanup_free char *path = str_format("%s/snapshots", home->data);
    cleanup_fd int dir = -1;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "create %s", path);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set_errno(err, -errno, "open %s", path);
    if (ret_lock) {
        cleanup_fd int lock = openat(dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (lock < 0 || flock(lock, LOCK_EX) < 0)
            return error_set_errno(err, -errno, "lock %s", path);
        *ret_lock = steal_fd(&lock);
    }
    return steal_fd(&dir);
}

/* With the lock of @dir: removes what killed commands have left half made or half removed. */
static int sweep(int dir, struct error *err)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;

    if (!d) {
        r = error_set_errno(err, -errno, "list snapshots");
        if (copy >= 0)
            close(copy);
        return r;
    }
    while (r == 0 && (e = readdir(d)))
        if (str_starts(e->d_name, unfinished) && (r = home_remove_tree(dir, e->d_name)) < 0)
            error_set_errno(err, r, "remove what is left of a snapshot, %s", e->d_name);
    closedir(d);
    return r;
}

static int check_name(const char *name, struct error *err)
{
    return spec_name_ok(name)
               ? 0
               : error_set(err, -EINVAL,
                           "\"%.40s\" is no name for a snapshot: use letters, digits, \"_\", \".\" "
                           "and \"-\", beginning with a letter or digit",
                           name);
}

/* ---- making one ---- */

/* The spec of machines that go on from here: what the guest knows of its identity stays. */
static char *spec_text(const struct instance *i)
{
    cleanup_free char *text = spec_to_json(i->spec);
    struct spec *copy = text ? spec_from_json(text, strlen(text), NULL) : NULL;
    struct spec_identity who;
    char *result = NULL;

    if (copy && spec_identity(copy, i->id, &who, NULL) == 0) {
        memcpy(copy->uuid, who.uuid, sizeof who.uuid);
        memcpy(copy->mac, who.mac, sizeof who.mac);
        copy->paused = copy->rm = false;
        free(copy->from_snapshot); /* its drives are whole */
        copy->from_snapshot = NULL;
        result = spec_to_json(copy);
    }
    spec_free(copy);
    return result;
}

static int write_meta(int dir, const struct instance *i, struct error *err)
{
    cleanup_free char *spec = spec_text(i), *text = NULL;
    cleanup_fd int fd = -1;
    json_t *o =
        spec ? json_pack("{s:i,s:I,s:s,s:s,s:s}", "format", FORMAT, "created",
                         (json_int_t)home_now(), "instance", i->id, "name", i->name, "spec", spec)
             : NULL;

    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    fd = openat(dir, "snapshot.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) < 0)
        return error_set_errno(err, errno ? -errno : -EIO, "write snapshot.json");
    return 0;
}

static char *default_name(const struct instance *i)
{
    char when[32];
    time_t now = time(NULL);
    struct tm tm;

    strftime(when, sizeof when, "%Y%m%d-%H%M%S", gmtime_r(&now, &tm));
    return str_format("%s-%s", i->name, when);
}

/* In directory @dir, as @temporary, which exists; then it gets its name. */
static int fill(struct instances *home, const struct instance *i, int dir, const char *temporary,
                const char *name, struct error *err)
{
    cleanup_free char *path = str_format("%s/snapshots/%s", home->data, temporary);
    cleanup_fd int made = openat(dir, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = made < 0 || !path
                ? error_set_errno(err, made < 0 ? -errno : -ENOMEM, "open %s", temporary)
                : client_snapshot(home, i, path, err);

    if (r == 0)
        r = write_meta(made, i, err);
    if (r == 0 && fsync(made) < 0)
        r = error_set_errno(err, -errno, "write the snapshot");
    if (r == 0 && renameat2(dir, temporary, dir, name, RENAME_NOREPLACE) < 0)
        r = errno == EEXIST ? error_set(err, -EEXIST,
                                        "there is a snapshot %s already; remove it or choose "
                                        "another name",
                                        name)
                            : error_set_errno(err, -errno, "name the snapshot");
    if (r == 0 && fsync(dir) < 0)
        r = error_set_errno(err, -errno, "write the snapshot");
    return r;
}

int snapshot_create(struct instances *home, const char *ref, const char *name, char **ret_name,
                    struct error *err)
{
    struct instance *i = NULL;
    cleanup_free char *chosen = NULL, *temporary = NULL;
    cleanup_fd int dir = -1, lock = -1;
    int r = name ? check_name(name, err) : 0;

    if (r == 0)
        r = client_find(home, ref, LIFECYCLE_SNAPSHOT, &i, err);
    if (r < 0)
        return r;
    chosen = name ? strdup(name) : default_name(i);
    temporary = chosen ? str_format("%s%s", unfinished, i->id) : NULL;
    dir = temporary ? open_dir(home, &lock, err) : error_set(err, -ENOMEM, "out of memory");
    r = dir < 0 ? dir : 0;
    if (r == 0 && faccessat(dir, chosen, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        r = error_set(err, -EEXIST,
                      "there is a snapshot %s already; remove it or choose another name", chosen);
    if (r == 0)
        r = sweep(dir, err);
    if (r == 0 && mkdirat(dir, temporary, 0700) < 0)
        r = error_set_errno(err, -errno, "create the snapshot's directory");
    if (r == 0) {
        r = fill(home, i, dir, temporary, chosen, err);
        if (r < 0)
            home_remove_tree(dir, temporary);
    }
    if (r == 0)
        event_append(home, "snapshot", i, -1, NULL);
    if (r == 0 && ret_name)
        *ret_name = steal_ptr(&chosen);
    instance_free(i);
    return r;
}

/* ---- looking ---- */

static uint64_t space_of(int dir)
{
    int copy = dup(dir);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;
    struct stat st;
    uint64_t sum = 0;

    if (!d && copy >= 0)
        close(copy);
    while (d && (e = readdir(d)))
        if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_blocks * 512;
    if (d)
        closedir(d);
    return sum;
}

static int parse_meta(const char *text, size_t len, struct snapshot *ret, struct error *err)
{
    json_t *o = json_parse(text, len, err);
    const char *id, *name, *spec;
    json_int_t created;
    int format, r = 0;

    if (!o)
        return -EINVAL;
    if (json_unpack(o, "{s:i,s:I,s:s,s:s,s:s}", "format", &format, "created", &created, "instance",
                    &id, "name", &name, "spec", &spec) < 0)
        r = error_set(err, -EINVAL, "snapshot.json is damaged");
    else if (format != FORMAT)
        r = error_set(err, -EINVAL, "its format is %d, this Isola knows %d", format, FORMAT);
    if (r == 0) {
        ret->created = created;
        snprintf(ret->instance, sizeof ret->instance, "%s", id);
        ret->instance_name = strdup(name);
        ret->spec = spec_from_json(spec, strlen(spec), err);
        if (!ret->spec || !ret->instance_name)
            r = ret->spec ? error_set(err, -ENOMEM, "out of memory") : -EINVAL;
    }
    json_decref(o);
    return r;
}

static int load(int dir, const char *name, struct snapshot *ret, struct error *err)
{
    cleanup_fd int own = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
                   fd = -1;
    cleanup_free char *text = mem_alloc(1, META_MAX);
    ssize_t n = -1;
    int r;

    *ret = (struct snapshot){0};
    if (own < 0)
        return errno == ENOENT ? error_set(err, -ENOENT, "there is no snapshot %s", name)
                               : error_set_errno(err, -errno, "open snapshot %s", name);
    fd = openat(own, "snapshot.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && text)
        n = read(fd, text, META_MAX);
    if (n < 0)
        return error_set_errno(err, -errno, "read snapshot.json of snapshot %s", name);
    r = parse_meta(text, (size_t)n, ret, err);
    if (r == 0 && !(ret->name = strdup(name)))
        r = error_set(err, -ENOMEM, "out of memory");
    if (r < 0) {
        snapshot_done(ret);
        return error_wrap(err, r, "snapshot %s", name);
    }
    ret->memory = spec_vm_memory(ret->spec);
    ret->disk = space_of(own);
    return 0;
}

int snapshot_find(struct instances *home, const char *name, struct snapshot *ret, struct error *err)
{
    cleanup_fd int dir = -1;
    int r = check_name(name, err);

    if (r < 0)
        return r;
    dir = open_dir(home, NULL, err);
    return dir < 0 ? dir : load(dir, name, ret, err);
}

static int newest_first(const void *a, const void *b)
{
    const struct snapshot *x = a, *y = b;
    return x->created < y->created ? 1 : x->created > y->created ? -1 : strcmp(x->name, y->name);
}

int snapshot_list(struct instances *home, struct snapshot **ret, size_t *ret_count,
                  struct error *err)
{
    int fd = open_dir(home, NULL, err);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct snapshot *list = NULL;
    struct dirent *e;
    size_t count = 0;

    if (!d)
        return fd < 0 ? fd : error_set_errno(err, -errno, "list snapshots");
    while ((e = readdir(d))) {
        struct snapshot *more;
        struct error bad = {0};
        if (!spec_name_ok(e->d_name))
            continue;
        more = reallocarray(list, count + 1, sizeof *list);
        if (!more)
            break;
        list = more;
        /* One that is damaged is listed by nothing but inspect, which says why. */
        if (load(dirfd(d), e->d_name, &list[count], &bad) == 0)
            count++;
    }
    closedir(d);
    if (count)
        qsort(list, count, sizeof *list, newest_first);
    *ret = list;
    *ret_count = count;
    return 0;
}

/* ---- removing and going on ---- */

/* The name of an instance that came from it: new, NULL: none. */
static char *user_of(struct instances *home, const char *name)
{
    struct instance **list = NULL;
    size_t count = 0;
    char *user = NULL;

    if (instance_list(home, &list, &count, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < count && !user; i++)
        if (list[i]->spec->from_snapshot && strcmp(list[i]->spec->from_snapshot, name) == 0)
            user = strdup(list[i]->name);
    instance_list_free(list, count);
    return user;
}

int snapshot_remove(struct instances *home, const char *name, struct error *err)
{
    cleanup_free char *user = NULL, *gone = str_format("%sgone", unfinished);
    cleanup_fd int dir = -1, lock = -1;
    int r = gone ? check_name(name, err) : error_set(err, -ENOMEM, "out of memory");

    if (r < 0)
        return r;
    dir = open_dir(home, &lock, err);
    if (dir < 0)
        return dir;
    user = user_of(home, name);
    if (user)
        return error_set(err, -EBUSY, "%s came from snapshot %s; remove it first", user, name);
    /* By another name first, so that one that is half removed is not taken for a whole. */
    r = sweep(dir, err);
    if (r < 0)
        return r;
    if (renameat(dir, name, dir, gone) < 0)
        return errno == ENOENT ? error_set(err, -ENOENT, "there is no snapshot %s", name)
                               : error_set_errno(err, -errno, "remove snapshot %s", name);
    r = home_remove_tree(dir, gone);
    return r < 0 ? error_set_errno(err, r, "remove snapshot %s", name) : 0;
}

void snapshot_free_ports(struct spec *spec)
{
    for (size_t i = 0; i < spec->port_count; i++)
        spec->ports[i].host = 0;
    free(spec->gdb);
    spec->gdb = NULL;
    if (!spec->display)
        return;
    spec->vga = spec_vm_vga(spec) ? SPEC_VGA_STD : SPEC_VGA_NONE; /* the card itself stays */
    free(spec->display);
    spec->display = NULL;
}

int snapshot_restore(struct instances *home, const char *snapshot, const char *name, bool new_ports,
                     struct instance **ret, struct error *err)
{
    struct snapshot s = {0};
    cleanup_fd int dir = -1, lock = -1;
    int r = check_name(snapshot, err);

    if (r < 0)
        return r;
    dir = open_dir(home, &lock, err); /* it is not removed before the record says that it is used */
    r = dir < 0 ? dir : load(dir, snapshot, &s, err);
    if (r < 0)
        return r;
    free(s.spec->name);
    free(s.spec->from_snapshot);
    s.spec->name = name ? strdup(name) : NULL;
    s.spec->from_snapshot = strdup(snapshot);
    if ((name && !s.spec->name) || !s.spec->from_snapshot)
        r = error_set(err, -ENOMEM, "out of memory");
    if (new_ports)
        snapshot_free_ports(s.spec);
    if (r == 0)
        r = instance_create(home, s.spec, ret, err);
    snapshot_done(&s);
    return r;
}
