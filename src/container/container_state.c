/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a container between commands: its directory and state.json. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/jtree.h"
#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"

/* A configuration of 64 MiB, its annotations once more, the filter. */
enum { STATE_MAX = 130 << 20, ID_MAX = 1024 };

bool container_id_valid(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-");
    return n && n <= ID_MAX && !id[n] && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

char *container_path(const struct container *c, const char *name)
{
    return str_format("%s/%s", c->dir, name);
}

uint64_t process_start_time(pid_t pid, char *ret_state)
{
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    /* The name may contain anything, also parentheses: fields count from the last one. */
    char *p = strrchr(text, ')');
    if (!p || p[1] != ' ')
        return 0;
    if (ret_state)
        *ret_state = p[2];
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    uint64_t value = 0;
    for (p = p ? p + 1 : p; p && *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    return value;
}

/* --- writing --- */

static void add_text(struct str *out, const char *key, const char *value)
{
    str_addf(out, ",\"%s\":", key);
    jtree_add_string(out, value ? value : "");
}

static void add_annotations(const struct container *c, struct str *out)
{
    const struct oci_map *map = &c->annotation_map;
    str_add(out, ",\"annotations\":{");
    for (size_t i = 0; i < map->n; i++) {
        str_add(out, i ? "," : "");
        jtree_add_string(out, map->v[i].key);
        str_add_char(out, ':');
        jtree_add_string(out, map->v[i].value);
    }
    str_add_char(out, '}');
}

int container_save(const struct container *c, struct error *err)
{
    struct str text = {0};
    str_addf(&text, "{\"pid\":%d,\"startTime\":%llu,\"namespaces\":%u,\"hooks\":%s,\"init\":%s",
             c->pid, (unsigned long long)c->start_time, c->namespaces, c->hooks ? "true" : "false",
             c->reap ? "true" : "false");
    add_text(&text, "ociVersion", c->version);
    add_text(&text, "id", c->id);
    add_text(&text, "bundle", c->bundle);
    add_text(&text, "rootfs", c->rootfs);
    add_text(&text, "created", c->created);
    add_text(&text, "owner", c->owner);
    add_text(&text, "cgroup", c->cgroup_text);
    str_addf(&text, ",\"configSize\":%zu,\"filterCount\":%u,\"filterFlags\":%u,\"filterNotify\":%u",
             c->config_len, c->filter_count, c->filter_flags, c->filter_notify);
    add_annotations(c, &text);
    str_add(&text, "}\n");
    const struct iovec v[] = {{text.data, text.len},
                              {(void *)c->config_text, c->config_len},
                              {(void *)c->filter, c->filter_count * sizeof(struct sock_filter)}};
    const size_t size = v[0].iov_len + v[1].iov_len + v[2].iov_len;
    cleanup_free char *path = container_path(c, "state.json");
    cleanup_free char *fresh = container_path(c, "state.json.new");
    int r = text.failed || !path || !fresh ? -ENOMEM : 0;
    cleanup_fd int fd =
        r < 0 ? -1 : open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* No fsync: what it describes ends with the machine. */
    if (r == 0 &&
        (fd < 0 || writev(fd, v, array_size(v)) != (ssize_t)size || rename(fresh, path) < 0))
        r = errno ? -errno : -EIO;
    str_done(&text);
    return r < 0 ? error_set_errno(err, r, "write %s", path ? path : "state.json") : 0;
}

void container_state_json(struct container *c, const char *status, struct str *out)
{
    str_add(out, "{\"ociVersion\":");
    jtree_add_string(out, c->version);
    add_text(out, "id", c->id);
    add_text(out, "status", status);
    if (strcmp(status, "stopped") != 0)
        str_addf(out, ",\"pid\":%d", c->pid);
    add_text(out, "bundle", c->bundle);
    if (c->annotation_map.n)
        add_annotations(c, out);
    str_add(out, "}\n");
}

void container_remove_dir(const char *dir)
{
    static const char *const usual[] = {"state.json", "start"};
    cleanup_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 0; fd >= 0 && i < array_size(usual); i++)
        unlinkat(fd, usual[i], 0);
    if (fd < 0 || rmdir(dir) == 0 || errno != ENOTEMPTY)
        return;
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            unlinkat(dirfd(d), e->d_name, 0) < 0 && errno == EISDIR)
            unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
    closedir(d);
    rmdir(dir);
}

/* --- reading --- */

static int read_text(const char *path, char **ret, size_t *ret_len)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size > STATE_MAX)
        return -EFBIG;
    cleanup_free char *text = malloc((size_t)st.st_size + 1);
    ssize_t n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n < 0)
        return text ? -errno : -ENOMEM;
    text[n] = '\0';
    *ret_len = (size_t)n;
    *ret = steal_ptr(&text);
    return 0;
}

static char *copy_string(struct container *c, const char *key)
{
    const char *text = jtree_get_string(c->doc, c->doc->nodes, key);
    return strdup(text ? text : "");
}

static bool is_true(struct container *c, const char *key)
{
    const struct jnode *v = jtree_get(c->doc, c->doc->nodes, key);
    return v && v->type == JTREE_TRUE;
}

static int load_annotations(struct container *c)
{
    const struct jnode *map = jtree_get(c->doc, c->doc->nodes, "annotations");
    if (!map || map->type != JTREE_OBJECT)
        return 0;
    c->annotations = mem_alloc((size_t)map->len + 1, sizeof *c->annotations);
    if (!c->annotations)
        return -ENOMEM;
    size_t n = 0;
    for (const struct jnode *v = jtree_first(map); v; v = jtree_next(map, v))
        c->annotations[n++] = (struct oci_pair){jtree_key(c->doc, v), jtree_text(c->doc, v)};
    c->annotation_map = (struct oci_map){c->annotations, n};
    return 0;
}

/* What follows the line, which is @line bytes long, in the @len bytes of the file. */
static int split_file(struct container *c, char *file, size_t line, size_t len)
{
    static const char *const names[] = {"configSize", "filterCount", "filterFlags", "filterNotify"};
    uint64_t v[4];
    for (size_t i = 0; i < array_size(v); i++)
        if (!jtree_u64(c->doc, jtree_get(c->doc, c->doc->nodes, names[i]), &v[i]))
            return -EINVAL;
    len -= line;
    if (v[0] > len || v[1] > BPF_MAXINSNS || v[2] > UINT32_MAX ||
        v[0] + v[1] * sizeof(struct sock_filter) != len)
        return -EINVAL;
    c->file = file;
    c->config_text = file + line;
    c->config_len = v[0];
    c->filter = file + line + v[0];
    c->filter_count = (uint32_t)v[1];
    c->filter_flags = (uint32_t)v[2];
    c->filter_notify = v[3] != 0;
    return 0;
}

static int load_fields(struct container *c, struct error *err)
{
    uint64_t pid = 0, namespaces = 0;
    const struct jnode *root = c->doc->nodes;
    if (!jtree_u64(c->doc, jtree_get(c->doc, root, "pid"), &pid) || pid > INT32_MAX ||
        !jtree_u64(c->doc, jtree_get(c->doc, root, "startTime"), &c->start_time) ||
        !jtree_u64(c->doc, jtree_get(c->doc, root, "namespaces"), &namespaces))
        return error_set(err, -EINVAL, "state.json is damaged");
    c->pid = (pid_t)pid;
    c->namespaces = (uint32_t)namespaces;
    c->hooks = is_true(c, "hooks");
    c->reap = is_true(c, "init");
    c->version = copy_string(c, "ociVersion");
    c->bundle = copy_string(c, "bundle");
    c->rootfs = copy_string(c, "rootfs");
    c->created = copy_string(c, "created");
    c->owner = copy_string(c, "owner");
    c->cgroup_text = copy_string(c, "cgroup");
    if (!c->version || !c->bundle || !c->rootfs || !c->created || !c->owner || !c->cgroup_text ||
        load_annotations(c) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    container_set_facts(c);
    return *c->cgroup_text ? cgroup_open(c->cgroup_text, &c->cgroup, err) : 0;
}

/* Reads state.json and parses its line. */
static int read_file(struct container *c, struct error *err)
{
    cleanup_free char *path = container_path(c, "state.json");
    cleanup_free char *text = NULL;
    size_t len = 0;
    c->doc = mem_new(struct jtree);
    int r = c->doc && path ? read_text(path, &text, &len) : -ENOMEM;
    if (r == -ENOENT)
        return error_set(err, r, "container \"%s\" does not exist", c->id);
    if (r < 0)
        return error_set_errno(err, r, "read %s", path ? path : "state.json");
    size_t line = strcspn(text, "\n");
    r = jtree_parse(text, line, c->doc, err);
    if (r == 0 && (line == len || split_file(c, text, line + 1, len) < 0))
        r = error_set(err, -EINVAL, "state.json is damaged");
    if (r == 0)
        steal_ptr(&text);
    return r;
}

int container_load(const char *state_dir, const char *id, struct container **ret, struct error *err)
{
    if (!container_id_valid(id))
        return error_set(err, -EINVAL, "\"%s\" is no container id: letters, digits and _+.- only",
                         id);
    struct container *c = mem_new(struct container);
    if (!c)
        return error_set(err, -ENOMEM, "out of memory");
    c->pidfd = c->sync = c->console = -1;
    c->id = strdup(id);
    c->dir = str_format("%s/%s", state_dir, id);
    int r = c->id && c->dir ? read_file(c, err) : error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = load_fields(c, err);
    if (r < 0) {
        container_free(c);
        return r == -ENOENT ? r : error_wrap(err, r, "container %s", id);
    }
    *ret = c;
    return 0;
}

int container_read_file(struct container *c, struct error *err)
{
    return c->config_text ? 0 : read_file(c, err);
}

int container_config(struct container *c, const struct oci_config **ret, struct error *err)
{
    int r = c->config ? 0 : container_read_file(c, err);
    if (r == 0 && !c->config)
        r = oci_config_parse(c->config_text, c->config_len, &c->config, err);
    if (r < 0)
        return r;
    *ret = c->config;
    return 0;
}

void container_free(struct container *c)
{
    if (!c)
        return;
    free(c->id);
    free(c->dir);
    free(c->bundle);
    free(c->rootfs);
    free(c->owner);
    free(c->created);
    free(c->version);
    free(c->annotations);
    free(c->cgroup_text);
    if (c->doc)
        jtree_done(c->doc);
    free(c->doc);
    oci_config_free(c->config);
    free(c->file);
    cgroup_free(c->cgroup);
    if (c->pidfd >= 0)
        close(c->pidfd);
    if (c->sync >= 0)
        close(c->sync);
    if (c->console >= 0)
        close(c->console);
    free(c);
}

/* --- what is true now --- */

/* Whether the first process is there, and no zombie. */
static bool alive(struct container *c)
{
    char state = 'X';
    struct pollfd ended = {.fd = c->pidfd, .events = POLLIN};
    if (c->pidfd >= 0 && poll(&ended, 1, 0) > 0)
        return false;
    return c->pid > 0 && process_start_time(c->pid, &state) == c->start_time && state != 'Z' &&
           state != 'X';
}

enum container_status container_status(struct container *c)
{
    if (!alive(c))
        return CONTAINER_STOPPED;
    if (c->cgroup && cgroup_is_frozen(c->cgroup) == 1)
        return CONTAINER_PAUSED;
    cleanup_free char *socket = container_path(c, "start");
    return socket && access(socket, F_OK) == 0 ? CONTAINER_CREATED : CONTAINER_RUNNING;
}

const char *container_status_name(enum container_status status)
{
    static const char *const names[] = {[CONTAINER_CREATING] = "creating",
                                        [CONTAINER_CREATED] = "created",
                                        [CONTAINER_RUNNING] = "running",
                                        [CONTAINER_PAUSED] = "paused",
                                        [CONTAINER_STOPPED] = "stopped"};
    return names[status];
}

pid_t container_pid(struct container *c)
{
    return alive(c) ? c->pid : 0;
}

int container_pidfd(struct container *c)
{
    if (c->pidfd < 0 && alive(c)) {
        int fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
        /* The number may have gone to another process between the look and the opening. */
        if (fd >= 0 && !alive(c))
            close(steal_fd(&fd));
        c->pidfd = fd;
    }
    return c->pidfd;
}

int container_console(struct container *c)
{
    return steal_fd(&c->console);
}

void container_set_facts(struct container *c)
{
    c->facts = (struct container_facts){.id = c->id,
                                        .bundle = c->bundle,
                                        .rootfs = c->rootfs,
                                        .owner = c->owner,
                                        .version = c->version,
                                        .created = c->created,
                                        .annotations = &c->annotation_map};
}

const struct container_facts *container_facts(const struct container *c)
{
    return &c->facts;
}
