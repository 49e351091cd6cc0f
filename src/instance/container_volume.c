/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/home.h"
#include "instance/json.h"
#include "instance/spec_internal.h"

enum { META_MAX = 256 << 10 };

void volume_done(struct volume *v)
{
    free(v->path);
    spec_list_clear(&v->labels);
    *v = (struct volume){0};
}

/* DATA/volumes, made when missing; with @lock (may be NULL) its lock is taken. */
static int open_dir(const char *data_dir, int *ret_dir, int *lock, struct error *err)
{
    cleanup_free char *path = str_format("%s/volumes", data_dir);
    cleanup_fd int dir = -1, fd = -1;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    /* 0711: users of a container must reach data, and nobody need list the names. */
    if (mkdir(path, 0711) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "create %s", path);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set_errno(err, -errno, "open %s", path);
    if (lock) {
        fd = openat(dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
            return error_set_errno(err, -errno, "lock %s", path);
        *lock = steal_fd(&fd);
    }
    *ret_dir = steal_fd(&dir);
    return 0;
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static json_t *meta_of(const struct volume *v)
{
    json_t *labels = json_object();

    for (size_t i = 0; i < v->labels.count; i++) {
        const char *text = v->labels.items[i], *value = strchr(text, '=');
        cleanup_free char *key = strndup(text, strcspn(text, "="));
        cleanup_free char *clean = key ? json_clean(key) : NULL;
        if (clean)
            json_object_set_new(labels, clean, json_text(value ? value + 1 : ""));
    }
    return json_pack("{s:i,s:I,s:b,s:b,s:o}", "version", 1, "created", (json_int_t)v->created,
                     "anonymous", (int)v->anonymous, "filled", (int)v->filled, "labels", labels);
}

/* Replaces meta.json in directory @dir. */
static int write_meta(int dir, const struct volume *v, struct error *err)
{
    json_t *o = meta_of(v);
    cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    cleanup_fd int fd = openat(dir, "meta.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = 0;

    json_decref(o);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) < 0 ||
        renameat(dir, "meta.new", dir, "meta.json") < 0)
        r = error_set_errno(err, errno ? -errno : -EIO, "write meta.json of volume %s", v->name);
    return r;
}

static int read_meta(int dir, struct volume *v, struct error *err)
{
    cleanup_fd int fd = openat(dir, "meta.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    cleanup_free char *text = malloc(META_MAX);
    ssize_t n = fd < 0 || !text ? -1 : read(fd, text, META_MAX);
    json_t *o, *labels = NULL, *value;
    json_int_t created = 0;
    int anonymous = 0, filled = 0, r = 0;
    const char *key;

    if (n < 0)
        return error_set_errno(err, -errno, "volume %s: read meta.json", v->name);
    o = json_parse(text, (size_t)n, err);
    if (!o || json_unpack(o, "{s?I,s?b,s?b,s?o}", "created", &created, "anonymous", &anonymous,
                          "filled", &filled, "labels", &labels) < 0) {
        json_decref(o);
        return error_set(err, -EUCLEAN, "volume %s: meta.json is damaged", v->name);
    }
    v->created = created;
    v->anonymous = anonymous;
    v->filled = filled;
    json_object_foreach(labels, key, value)
    {
        cleanup_free char *label =
            str_format("%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
        if (r == 0)
            r = label ? spec_list_add(&v->labels, label, err)
                      : error_set(err, -ENOMEM, "out of memory");
    }
    json_decref(o);
    return r;
}

static int check_name(const char *name, struct error *err)
{
    return spec_name_ok(name) ? 0
                              : error_set(err, -EINVAL,
                                          "\"%.60s\" is no name of a volume: use letters, digits, "
                                          "\"_\", \".\" and \"-\"",
                                          name);
}

int volume_find(const char *data_dir, const char *name, struct volume *ret, struct error *err)
{
    cleanup_fd int dir = -1, own = -1;
    struct volume v = {0};
    int r = check_name(name, err);

    if (r == 0)
        r = open_dir(data_dir, &dir, NULL, err);
    if (r < 0)
        return r;
    own = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (own < 0 && errno == ENOENT)
        return error_set(err, -ENOENT, "no volume \"%s\"; \"isola volume ls\" lists them", name);
    if (own < 0)
        return error_set_errno(err, -errno, "open volume %s", name);
    snprintf(v.name, sizeof v.name, "%s", name);
    r = read_meta(own, &v, err);
    if (r == 0) {
        v.path = str_format("%s/volumes/%s/data", data_dir, name);
        r = v.path ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (r < 0)
        volume_done(&v);
    else
        *ret = v;
    return r;
}

int volume_create(const char *data_dir, const char *name, bool anonymous,
                  const struct spec_list *labels, bool *ret_new, struct error *err)
{
    cleanup_fd int dir = -1, lock = -1, own = -1;
    struct volume v = {.created = now(), .anonymous = anonymous};
    int r = check_name(name, err);
    struct stat st;
    char temp[SPEC_NAME_MAX + 8];

    if (r == 0)
        r = open_dir(data_dir, &dir, &lock, err);
    if (r < 0)
        return r;
    if (ret_new)
        *ret_new = false;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    snprintf(v.name, sizeof v.name, "%s", name);
    snprintf(temp, sizeof temp, ".new-%s", name);
    home_remove_tree(dir, temp);
    if (mkdirat(dir, temp, 0711) < 0 || fchmodat(dir, temp, 0711, 0) < 0)
        return error_set_errno(err, -errno, "create volume %s", name);
    own = openat(dir, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (own < 0 || mkdirat(own, "data", 0755) < 0 || fchmodat(own, "data", 0755, 0) < 0)
        return error_set_errno(err, -errno, "create volume %s", name);
    if (labels)
        v.labels = *labels; /* borrowed */
    r = write_meta(own, &v, err);
    if (r == 0 && renameat(dir, temp, dir, name) < 0)
        r = error_set_errno(err, -errno, "create volume %s", name);
    if (r < 0)
        home_remove_tree(dir, temp);
    else if (ret_new)
        *ret_new = true;
    return r;
}

int volume_set_filled(const char *data_dir, const char *name, struct error *err)
{
    cleanup_fd int dir = -1, lock = -1, own = -1;
    struct volume v = {0};
    int r = open_dir(data_dir, &dir, &lock, err);

    if (r == 0)
        r = volume_find(data_dir, name, &v, err);
    if (r < 0)
        return r;
    own = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    v.filled = true;
    r = own < 0 ? error_set_errno(err, -errno, "open volume %s", name) : write_meta(own, &v, err);
    volume_done(&v);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct volume *)a)->name, ((const struct volume *)b)->name);
}

int volume_list(const char *data_dir, struct volume **ret, size_t *ret_count, struct error *err)
{
    cleanup_fd int dir = -1;
    struct volume *list = NULL;
    size_t n = 0;
    struct dirent *e;
    int r = open_dir(data_dir, &dir, NULL, err);
    DIR *d;

    if (r < 0)
        return r;
    d = fdopendir(dir);
    if (!d)
        return error_set_errno(err, -errno, "list volumes");
    dir = -1;
    while (r == 0 && (e = readdir(d))) {
        struct volume v, *more;
        if (e->d_name[0] == '.' || volume_find(data_dir, e->d_name, &v, NULL) < 0)
            continue;
        more = reallocarray(list, n + 1, sizeof *list);
        if (!more) {
            volume_done(&v);
            r = error_set(err, -ENOMEM, "out of memory");
            break;
        }
        list = more;
        list[n++] = v;
    }
    closedir(d);
    if (r < 0) {
        volume_list_free(list, n);
        return r;
    }
    if (n)
        qsort(list, n, sizeof *list, by_name);
    *ret = list;
    *ret_count = n;
    return 0;
}

void volume_list_free(struct volume *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        volume_done(&list[i]);
    free(list);
}

int volume_remove(const char *data_dir, const char *name, struct error *err)
{
    cleanup_fd int dir = -1, lock = -1;
    char temp[SPEC_NAME_MAX + 8];
    int r = check_name(name, err);

    if (r == 0)
        r = open_dir(data_dir, &dir, &lock, err);
    if (r < 0)
        return r;
    /* Gone at once, whatever becomes of its files. */
    snprintf(temp, sizeof temp, ".old-%s", name);
    home_remove_tree(dir, temp);
    if (renameat(dir, name, dir, temp) < 0)
        return errno == ENOENT ? error_set(err, -ENOENT, "no volume \"%s\"", name)
                               : error_set_errno(err, -errno, "remove volume %s", name);
    r = home_remove_tree(dir, temp);
    return r < 0 ? error_set_errno(err, r, "remove the files of volume %s", name) : 0;
}
