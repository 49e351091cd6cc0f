/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that concern records alone: create, list, find, rename, remove, prune, inspect. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/client.h"
#include "instance/crash.h"
#include "instance/engine.h"
#include "instance/home.h"
#include "instance/json.h"
#include "instance/spec_internal.h"

enum { LOCK_WAIT_MS = 10000, NAME_ATTEMPTS = 20 };

void instance_free(struct instance *i)
{
    if (!i)
        return;
    free(i->name);
    free(i->reason);
    spec_free(i->spec);
    free(i);
}

void instance_list_free(struct instance **list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        instance_free(list[i]);
    free(list);
}

/* What the supervisor found last about the health of a running container. */
static void read_health(const struct instances *home, struct instance *i)
{
    cleanup_free char *path = NULL;
    cleanup_fd int fd = -1;
    ssize_t n;

    if (i->spec->wall != SPEC_WALL_CONTAINER || !lifecycle_supervised(i->state))
        return;
    path = home_path(home, i->id, "health");
    fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    n = fd < 0 ? 0 : read(fd, i->health, sizeof i->health - 1);
    i->health[max_of(n, (ssize_t)0)] = 0;
}

int instance_list(struct instances *home, struct instance ***ret_list, size_t *ret_count,
                  struct error *err)
{
    struct instance **list = NULL;
    size_t count = 0, kept = 0;
    int r = store_list(home->store, &list, &count, err);

    if (r < 0)
        return error_wrap(err, r, "list instances");
    for (size_t i = 0; i < count; i++) {
        r = home_reconcile(home, &list[i], err);
        if (r == -ENOENT) { /* removed since the list was read */
            instance_free(list[i]);
            continue;
        }
        if (r < 0) {
            memmove(&list[kept], &list[i], (count - i) * sizeof *list);
            instance_list_free(list, kept + count - i);
            return error_wrap(err, r, "list instances");
        }
        read_health(home, list[i]);
        list[kept++] = list[i];
    }
    if (!kept) {
        free(list);
        list = NULL;
    }
    *ret_list = list;
    *ret_count = kept;
    return 0;
}

int instance_find(struct instances *home, const char *ref, struct instance **ret, struct error *err)
{
    struct instance *i = NULL;
    int r = store_find(home->store, ref, &i, err);

    if (r == 0)
        r = home_reconcile(home, &i, err);
    if (r < 0) {
        instance_free(i);
        return r;
    }
    read_health(home, i);
    *ret = i;
    return 0;
}

static int make_id(char id[INSTANCE_ID_LEN + 1], struct error *err)
{
    uint8_t raw[INSTANCE_ID_LEN / 2];
    bool letter = false;

    /* Docker's rule: a short id of digits alone could be mistaken for a number. */
    while (!letter) {
        if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
            return error_set_errno(err, -errno, "make an id");
        for (size_t i = 0; i < sizeof raw; i++)
            snprintf(id + i * 2, 3, "%02x", raw[i]);
        letter = strspn(id, "0123456789") < INSTANCE_SHORT_LEN;
    }
    return 0;
}

/* Inserts under the spec's name, or under generated ones until one is free. */
static int insert(struct instances *home, struct instance *i, struct error *err)
{
    char name[SPEC_NAME_MAX + 1];
    int r = -EEXIST;

    if (i->spec->name) {
        i->name = strdup(i->spec->name);
        r = i->name ? store_insert(home->store, i, err) : error_set(err, -ENOMEM, "out of memory");
        return r == -EEXIST ? error_set(err, r,
                                        "the name \"%s\" is taken; remove or rename the other "
                                        "instance, or use another name",
                                        i->name)
                            : r;
    }
    for (unsigned attempt = 0; r == -EEXIST && attempt < NAME_ATTEMPTS; attempt++) {
        name_generate(name, sizeof name, attempt);
        free(i->name);
        i->name = strdup(name);
        if (!i->name)
            return error_set(err, -ENOMEM, "out of memory");
        r = store_insert(home->store, i, err);
    }
    return r;
}

/* The mounts of other instances, as they are now; "NAME:ro" makes them read-only. */
static int take_mounts(struct instances *home, struct spec *spec, const char *text,
                       struct error *err)
{
    size_t n = strcspn(text, ":");
    cleanup_free char *ref = strndup(text, n);
    struct instance *other = NULL;
    int r = ref ? instance_find(home, ref, &other, err) : error_set(err, -ENOMEM, "out of memory");

    if (r == 0 && text[n] && strcmp(text + n, ":ro") != 0 && strcmp(text + n, ":rw") != 0)
        r = error_set(err, -EINVAL, "\"%s\" is neither ro nor rw", text + n + 1);
    for (size_t i = 0; r == 0 && i < other->spec->container.mount_count; i++) {
        const struct spec_mount *m = &other->spec->container.mounts[i];
        struct spec_mount copy = {.type = m->type,
                                  .source = m->source ? strdup(m->source) : NULL,
                                  .target = strdup(m->target),
                                  .options = m->options ? strdup(m->options) : NULL,
                                  .readonly = m->readonly || strcmp(text + n, ":ro") == 0,
                                  .no_copy = m->no_copy,
                                  .borrowed = m->type == SPEC_MOUNT_VOLUME};
        bool own = false;
        for (size_t k = 0; k < spec->container.mount_count; k++)
            own |= strcmp(spec->container.mounts[k].target, m->target) == 0;
        if (own || m->type == SPEC_MOUNT_TMPFS)
            spec_mount_clear(&copy);
        else
            r = spec_put_mount(spec, &copy, err);
    }
    instance_free(other);
    return r < 0 ? error_wrap(err, r, "--volumes-from %s", text) : 0;
}

/* Replaces the name of an instance after @prefix in *text by its id. */
static int name_to_id(struct instances *home, char **text, const char *prefix, struct error *err)
{
    size_t n = strlen(prefix);
    struct instance *other = NULL;
    char *whole;
    int r;

    if (!*text || strncmp(*text, prefix, n) != 0)
        return 0;
    r = instance_find(home, *text + n, &other, err);
    if (r == 0 && other->spec->wall != SPEC_WALL_CONTAINER)
        r = error_set(err, -ENOTSUP, "%s is no container", *text + n);
    whole = r == 0 ? str_format("%s%s", prefix, other->id) : NULL;
    if (r == 0 && !whole)
        r = error_set(err, -ENOMEM, "out of memory");
    instance_free(other);
    if (r < 0)
        return r;
    free(*text);
    *text = whole;
    return 0;
}

/* What speaks of other instances is settled now: they may be renamed later. */
static int settle_names(struct instances *home, struct spec *spec, struct error *err)
{
    struct spec_container *c = &spec->container;
    int r = name_to_id(home, &c->net_from, "", err);

    if (r == 0)
        r = name_to_id(home, &c->pid, "container:", err);
    if (r == 0)
        r = name_to_id(home, &c->ipc, "container:", err);
    for (size_t i = 0; r == 0 && i < c->volumes_from.count; i++)
        r = take_mounts(home, spec, c->volumes_from.items[i], err);
    return r;
}

/* Lets the engine settle what is to stay the same from run to run. */
static int prepare(struct instances *home, struct instance *i, struct error *err)
{
    const struct engine_ops *ops = engine_find(home->engines, i->spec->wall, err);
    cleanup_free char *dir = home_path(home, i->id, NULL);
    const struct engine_place place = {
        .data_dir = home->data, .runtime_dir = home->run, .dir = dir, .id = i->id, .spec = i->spec};
    int r = ops ? settle_names(home, i->spec, err) : -ENOTSUP;

    if (r == 0)
        r = spec_choose_ports(i->spec, err);

    if (r == 0 && !dir)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && ops->prepare)
        r = ops->prepare(&place, i->spec, err);
    return r;
}

static struct instance *new_record(const struct spec *spec, struct error *err)
{
    struct instance *i = mem_new(struct instance);
    cleanup_free char *json = spec_to_json(spec);

    if (!i || !json) {
        error_set(err, -ENOMEM, "out of memory");
        instance_free(i);
        return NULL;
    }
    i->spec = spec_from_json(json, strlen(json), err);
    if (!i->spec || make_id(i->id, err) < 0) {
        instance_free(i);
        return NULL;
    }
    i->state = LIFECYCLE_CREATED;
    i->created = home_now();
    return i;
}

int record_create(struct instances *home, const struct spec *spec, record_fill_fn *fill,
                  void *opaque, struct instance **ret, struct error *err)
{
    cleanup_fd int lock = -1;
    struct instance *i;
    int r = spec_check(spec, err);

    if (r < 0)
        return r;
    if (!engine_find(home->engines, spec->wall, err))
        return -ENOTSUP;
    if (store_readonly(home->store))
        return error_set(err, -EROFS, "%s can not be written", home->data);
    i = new_record(spec, err);
    if (!i)
        return err ? err->code : -EINVAL;
    r = home_make_dir(home, i->id, &lock, err);
    if (r < 0) {
        instance_free(i);
        return r;
    }
    r = prepare(home, i, err);
    if (r == 0 && fill)
        r = fill(opaque, home, i, err);
    if (r == 0)
        r = insert(home, i, err);
    crash_point();
    if (r < 0) {
        home_collect(home, i, true);
        home_remove_dir(home, i->id);
        instance_free(i);
        return r;
    }
    event_append(home, "create", i, -1, NULL);
    if (ret)
        *ret = i;
    else
        instance_free(i);
    return 0;
}

int instance_create(struct instances *home, const struct spec *spec, struct instance **ret,
                    struct error *err)
{
    return record_create(home, spec, NULL, NULL, ret, err);
}

int instance_rename(struct instances *home, const char *ref, const char *name, struct error *err)
{
    struct instance *i = NULL;
    char *copy;
    int r = instance_find(home, ref, &i, err);

    if (r < 0)
        return r;
    r = lifecycle_check(i->state, LIFECYCLE_RENAME, NULL, err);
    if (r == 0 && !spec_name_ok(name))
        r = error_set(err, -EINVAL,
                      "\"%.40s\" is no name: use letters, digits, \"_\", \".\" and \"-\", "
                      "beginning with a letter or digit",
                      name);
    if (r == 0)
        r = store_rename(home->store, i->id, name, err);
    copy = r == 0 ? strdup(name) : NULL;
    if (copy) {
        free(i->name);
        i->name = copy;
        event_append(home, "rename", i, -1, NULL);
        if (lifecycle_supervised(i->state) && client_update(home, i, "name", name, err) < 0)
            log_debug("instance", "tell the supervisor: %s", error_text(err));
    }
    instance_free(i);
    return r;
}

int record_forget(struct instances *home, const struct instance *i, struct error *err)
{
    int r = store_delete(home->store, i, err);

    if (r == -ENOSPC || r == -EFBIG || r == -EDQUOT) {
        /* Removing is how one frees space: its logs go first, the record then fits. */
        home_remove_logs(home, i->id);
        r = store_delete(home->store, i, err);
    }
    crash_point();
    return r;
}

void record_clear(struct instances *home, const struct instance *i)
{
    home_collect(home, i, true);
    home_remove_dir(home, i->id);
    crash_point();
    event_append(home, "destroy", i, -1, NULL);
}

int record_delete(struct instances *home, const struct instance *i, struct error *err)
{
    int r = record_forget(home, i, err);

    if (r >= 0)
        record_clear(home, i);
    return r;
}

int record_take_lock(struct instances *home, const char *id, int *ret_fd, struct error *err)
{
    struct timespec pause = {.tv_nsec = 3000000};
    int r = -EBUSY;

    for (int waited = 0; waited < LOCK_WAIT_MS; waited += 3) {
        r = home_lock(home, id, ret_fd, err);
        if (r != -EBUSY)
            break;
        nanosleep(&pause, NULL);
    }
    return r;
}

/* One attempt to remove. -EAGAIN: its state changed meanwhile. */
static int try_remove(struct instances *home, const char *id, bool force, struct error *err)
{
    enum lifecycle_verb verb = force ? LIFECYCLE_RM_FORCE : LIFECYCLE_RM;
    struct instance *i = NULL;
    cleanup_fd int lock = -1;
    int r = instance_find(home, id, &i, err);

    if (r < 0)
        return r;
    r = lifecycle_check(i->state, verb, NULL, err);
    if (r == 0 && lifecycle_supervised(i->state)) {
        r = client_kill_and_wait(home, i, err);
        instance_free(i);
        return r < 0 ? r : -EAGAIN;
    }
    if (r == 0)
        r = record_take_lock(home, i->id, &lock, err);
    if (r == -ENOENT)
        r = 0; /* the directory is gone already; the record goes now */
    if (r == 0)
        r = record_delete(home, i, err);
    instance_free(i);
    return r == -ESTALE && force ? -EAGAIN : r;
}

int instance_rm(struct instances *home, const char *ref, bool force, struct error *err)
{
    struct instance *i = NULL;
    char id[INSTANCE_ID_LEN + 1];
    int r = instance_find(home, ref, &i, err);

    if (r == -EUCLEAN && force) {
        r = store_delete_damaged(home->store, ref, err);
        if (r == 0)
            home_sweep(home); /* its directory, unless somebody holds it */
        return r;
    }
    if (r < 0)
        return r;
    memcpy(id, i->id, sizeof id);
    instance_free(i);
    for (int attempt = 0; attempt < 20; attempt++) {
        r = try_remove(home, id, force, err);
        if (r == -ENOENT && attempt)
            return 0; /* --rm was faster */
        if (r != -EAGAIN)
            return r;
    }
    return error_set(err, -EBUSY, "it is started again and again by others");
}

int instance_prune(struct instances *home, bool created,
                   void (*removed)(void *opaque, const struct instance *instance), void *opaque,
                   struct error *err)
{
    struct instance **list = NULL;
    size_t count = 0;
    int r = instance_list(home, &list, &count, err);

    if (r < 0)
        return r;
    for (size_t n = 0; n < count && r == 0; n++) {
        struct instance *i = list[n];
        cleanup_fd int lock = -1;
        if (lifecycle_supervised(i->state) || (i->state == LIFECYCLE_CREATED && !created))
            continue;
        r = home_lock(home, i->id, &lock, err);
        if (r == -EBUSY) { /* it is being started */
            r = 0;
            continue;
        }
        r = record_delete(home, i, err);
        if (r == 0 && removed)
            removed(opaque, i);
        if (r == -ESTALE)
            r = 0;
    }
    instance_list_free(list, count);
    if (r == 0)
        home_sweep(home);
    return r;
}

/* FILE[,options] with an absolute path. *ret is new. */
static int absolute_disk(const char *text, char **ret, struct error *err)
{
    size_t len = strcspn(text, ",");
    cleanup_free char *path = strndup(text, len), *absolute = NULL;
    int r = path ? spec_absolute(path, &absolute, err) : -ENOMEM;

    *ret = r == 0 ? str_format("%s%s", absolute, text + len) : NULL;
    return r < 0 || *ret ? r : error_set(err, -ENOMEM, "out of memory");
}

int instance_update(struct instances *home, const char *ref, const char *key, const char *value,
                    struct error *err)
{
    static const char *const allowed[] = {"restart",    "stop-timeout", "label",
                                          "memory",     "memory-swap",  "memory-reservation",
                                          "cpus",       "cpu-shares",   "cpu-period",
                                          "cpu-quota",  "cpuset-cpus",  "cpuset-mems",
                                          "pids-limit", "cdrom",        "floppy",
                                          "disk",       "disk-rm",      "nic-add",
                                          "nic-rm"};
    cleanup_free char *old = NULL, *new = NULL, *whole = NULL;
    struct instance *i = NULL;
    bool known = false;
    int r;

    for (size_t n = 0; n < array_size(allowed); n++)
        known |= strcmp(allowed[n], key) == 0;
    if (!known)
        return error_set(
            err, -ENOTSUP,
            "\"%.40s\" can not be changed; restart, stop-timeout, label, the limits of memory, "
            "processors and tasks, media, disks and network adapters can",
            key);
    r = instance_find(home, ref, &i, err);
    if (r < 0)
        return r;
    old = spec_to_json(i->spec);
    if (str_starts(key, "disk")) { /* an absolute path: the supervisor is elsewhere */
        r = absolute_disk(value, &whole, err);
        value = whole;
    }
    if (r == 0)
        r = spec_set(i->spec, key, value, err);
    if (r == 0)
        r = spec_check(i->spec, err);
    new = r == 0 ? spec_to_json(i->spec) : NULL;
    if (r == 0 && (!old || !new))
        r = error_set(err, -ENOMEM, "out of memory");
    /* Absolute paths: the supervisor is elsewhere. */
    if (r == 0 && strcmp(key, "cdrom") == 0)
        value = i->spec->cdrom;
    else if (r == 0 && strcmp(key, "floppy") == 0)
        value = i->spec->floppy;
    /* What the kernel refuses is not recorded. */
    if (r == 0 && lifecycle_supervised(i->state))
        r = client_update(home, i, key, value, err);
    if (r == 0)
        r = store_set_spec(home->store, i->id, old, new, err);
    if (r == 0)
        event_append(home, "update", i, -1, NULL);
    instance_free(i);
    return r;
}

static json_t *time_text(int64_t ns)
{
    char text[64];
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    size_t n;

    if (!ns || !gmtime_r(&s, &tm))
        return json_null();
    n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%09lldZ", (long long)(ns % 1000000000));
    return json_string(text);
}

/* What the engine of a run says of its network, NULL: nothing. */
static json_t *network_of(const struct instances *home, const struct instance *i)
{
    cleanup_free char *path = str_format("%s/names/%s/" INSTANCE_NETWORK_FILE, home->run, i->id);

    return path && lifecycle_supervised(i->state) ? json_load_file(path, 0, NULL) : NULL;
}

int instance_inspect(struct instances *home, const char *ref, bool live, struct str *out,
                     struct error *err)
{
    cleanup_free char *text = NULL, *logs = NULL;
    struct instance *i = NULL;
    json_t *o, *network, *engine = NULL;
    int r = instance_find(home, ref, &i, err);

    if (r < 0)
        return r;
    if (live && lifecycle_supervised(i->state)) {
        r = client_inspect(home, i, &engine, err);
        if (r < 0) {
            instance_free(i);
            return r;
        }
    }
    logs = home_path(home, i->id, "console.log");
    o = json_pack("{s:s,s:o,s:s,s:i,s:i,s:o?,s:i,s:i,s:o,s:o,s:o,s:o?,s:o}", "id", i->id, "name",
                  json_text(i->name), "state", lifecycle_state_name(i->state), "exit_code",
                  i->exit_code, "pid", i->pid, "reason", i->reason ? json_text(i->reason) : NULL,
                  "restarts", (int)i->restarts, "run", (int)i->run, "created",
                  time_text(i->created), "started", time_text(i->started), "finished",
                  time_text(i->finished), "log_path", logs ? json_text(logs) : NULL, "spec",
                  spec_to_object(i->spec));
    if (o && i->health[0])
        json_object_set_new(o, "health", json_text(i->health));
    network = network_of(home, i);
    if (o && network)
        json_object_set(o, "network_settings", network);
    json_decref(network);
    if (o && engine)
        json_object_set(o, "engine", engine);
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(engine);
    json_decref(o);
    instance_free(i);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    str_add(out, text);
    return 0;
}
