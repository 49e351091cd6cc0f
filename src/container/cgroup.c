/* SPDX-License-Identifier: Apache-2.0 */
#include "container/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_internal.h"

enum { PATH_DEPTH_MAX = 64 };

struct cgroup_dir *cgroup_dir_of(const struct cgroup *cg, enum cgroup_controller c)
{
    for (unsigned i = 0; i < cg->count; i++)
        if (cg->dirs[i].controllers & 1u << c)
            return (struct cgroup_dir *)&cg->dirs[i];
    return NULL;
}

struct cgroup_dir *cgroup_v2_dir(const struct cgroup *cg)
{
    for (unsigned i = 0; i < cg->count; i++)
        if (cg->dirs[i].version == 2)
            return (struct cgroup_dir *)&cg->dirs[i];
    return NULL;
}

/* Making. */

/* Copies what a new v1 cpuset needs before it can hold processes from the one above. */
static void inherit_cpuset(const struct cgroup *cg, struct cgroup_dir *dir, bool is_new)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < array_size(files); i++) {
        char text[4096];
        if (!is_new && cgroup_read_text(dir, files[i], text, sizeof(text)) > 1)
            continue;
        struct cgroup_dir above = *dir;
        char *slash = strrchr(dir->path, '/');
        if (dir->below && slash < dir->below)
            above.below = (char *)".";
        *slash = 0;
        ssize_t n = cgroup_read_text(&above, files[i], text, sizeof(text));
        *slash = '/';
        if (n > 1)
            cgroup_write_raw(cg, dir, files[i], text);
    }
}

/* v2: hands all controllers that @dir has on to its children. What fails shows when a limit is
 * set, with the reason. */
static void hand_down(const struct cgroup *cg, const struct cgroup_dir *dir)
{
    char have[256], done[256];
    if (cgroup_read_text(dir, "cgroup.controllers", have, sizeof(have)) <= 0)
        return;
    if (cgroup_read_text(dir, "cgroup.subtree_control", done, sizeof(done)) < 0)
        done[0] = 0;
    char all[300] = "", one[64], *save = NULL;
    char *names[16];
    unsigned count = 0;
    for (char *name = strtok_r(have, " \n", &save); name && count < array_size(names);
         name = strtok_r(NULL, " \n", &save)) {
        const char *at = strstr(done, name);
        size_t n = strlen(name);
        while (at && ((at > done && at[-1] != ' ') || (at[n] && at[n] != ' ' && at[n] != '\n')))
            at = strstr(at + 1, name);
        if (at || cgroup_controller_find(name, n, 2) < 0)
            continue;
        names[count++] = name;
        size_t len = strlen(all);
        snprintf(all + len, sizeof(all) - len, "%s+%s", len ? " " : "", name);
    }
    if (!count || !cgroup_write_raw(cg, dir, "cgroup.subtree_control", all) || cg->create_files)
        return;
    for (unsigned i = 0; i < count; i++) {
        snprintf(one, sizeof(one), "+%s", names[i]);
        cgroup_write_raw(cg, dir, "cgroup.subtree_control", one);
    }
}

static bool is_forbidden(int r)
{
    return r == -EACCES || r == -EPERM || r == -EROFS;
}

/* The directory below @h, relative: where @place asks for. New. */
static char *relative_path(const struct cgroup_hierarchy *h, const struct cgroup_place *place)
{
    const char *path = place->path && *place->path ? place->path : place->id;
    if (path[0] == '/') {
        /* A scope's path is the kernel's; a part of the hierarchy may be all that is mounted. */
        size_t root = place->systemd && h->root[1] ? strlen(h->root) : 0;
        return strdup(path + (strncmp(path, h->root, root) ? 0 : root));
    }
    /* Our own v2 group holds processes, so it cannot hand controllers down: use its parent. */
    const char *slash = strrchr(h->own, '/');
    int len = h->version == 2 && slash ? (int)(slash - h->own) : (int)strlen(h->own);
    return str_format("%.*s/%s", len, h->own, path);
}

/* Whether @path is one that stays below where it starts. */
static bool is_plain(const char *path)
{
    unsigned depth = 0;
    for (const char *p = path; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if ((n == 2 && !memcmp(p, "..", 2)) || n > 255 || ++depth > PATH_DEPTH_MAX)
            return false;
        p += n;
    }
    return strlen(path) < 3500;
}

static int has_processes(const struct cgroup_dir *dir)
{
    char text[64];
    return cgroup_read_text(dir, "cgroup.procs", text, sizeof(text)) > 0;
}

/* Makes @dir, whose parent exists. *@made tells whether it is new. */
static int make_level(const struct cgroup *cg, struct cgroup_dir *dir, bool *made)
{
    const char *path;
    int at = cgroup_dir_at(dir, &path);
    if (dir->version == 2 && !cg->systemd) {
        struct cgroup_dir above = *dir;
        char *slash = strrchr(dir->path, '/');
        above.below = NULL;
        *slash = 0;
        hand_down(cg, &above);
        *slash = '/';
    }
    *made = mkdirat(at, path, 0755) == 0;
    if (!*made && errno != EEXIST)
        return -errno;
    if (dir->version == 1 && dir->controllers & 1u << CGROUP_CPUSET)
        inherit_cpuset(cg, dir, *made);
    return 0;
}

/* Makes @dir and what is missing above it; the mount point's path is @top bytes of its own. */
static int make_path(const struct cgroup *cg, struct cgroup_dir *dir, size_t top, bool *made)
{
    /* On v1 everything above is there mostly; on v2 each level hands its controllers down. */
    int r = dir->version == 1 ? make_level(cg, dir, made) : -ENOENT;
    if (r != -ENOENT)
        return r;
    r = 0;
    for (char *end = dir->path + top; !r && *end;) {
        end += 1 + strcspn(end + 1, "/");
        char was = *end;
        *end = 0;
        r = make_level(cg, dir, made);
        *end = was;
    }
    return r;
}

/* @path below @mount without superfluous slashes. New, NULL: no memory, or nothing below it. */
static char *full_path(const char *mount, const char *path)
{
    struct str full = {0};
    str_add(&full, mount);
    for (const char *p = path; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n && !(n == 1 && *p == '.')) {
            str_add_char(&full, '/');
            str_add_n(&full, p, n);
        }
        p += n;
    }
    if (full.len > strlen(mount))
        return str_steal(&full);
    str_done(&full);
    return NULL;
}

static void close_top(struct cgroup_dir *dir)
{
    if (dir->below)
        close(dir->top);
    dir->below = NULL;
}

void cgroup_close_tops(struct cgroup *cg)
{
    for (unsigned i = 0; cg && i < cg->count; i++)
        close_top(&cg->dirs[i]);
}

static void dir_done(struct cgroup_dir *dir)
{
    close_top(dir);
    free(dir->path);
}

/* Makes the container's directory of @h, with those above it, as the next of cg->dirs. Takes
 * h->top. */
static int make_dir(struct cgroup *cg, struct cgroup_hierarchy *h, const char *path,
                    struct error *err)
{
    struct cgroup_dir at = {.version = h->version, .controllers = h->controllers};
    at.path = full_path(h->mount, path);
    if (!at.path)
        return error_set(err, -EINVAL, "cgroups path '%s' is a whole hierarchy", path);
    if (h->opened) {
        at.below = at.path + strlen(h->mount) + 1;
        at.top = h->top;
        h->opened = false;
    }
    bool made = false;
    int r = make_path(cg, &at, strlen(h->mount), &made);
    if (r) {
        error_set_errno(err, r, "make cgroup %s", at.path);
    } else if (!made && !cg->systemd && has_processes(&at)) {
        r = error_set(err, -EBUSY,
                      "cgroup %s has processes already: another container uses it, or the "
                      "configuration's cgroupsPath names a group that is not for it",
                      at.path);
    }
    if (r) {
        dir_done(&at);
        return r;
    }
    if (h->version == 2 && !cg->create_files) {
        char have[256];
        unsigned bits = 0;
        if (cgroup_read_text(&at, "cgroup.controllers", have, sizeof(have)) > 0) {
            char *save = NULL;
            for (char *n = strtok_r(have, " \n", &save); n; n = strtok_r(NULL, " \n", &save)) {
                int c = cgroup_controller_find(n, strlen(n), 2);
                bits |= c >= 0 ? 1u << c : 0;
            }
            at.controllers = bits;
        }
    }
    at.made = made;
    cg->dirs[cg->count++] = at;
    return 0;
}

/* The hierarchies that the container gets a directory in. */
static bool wants(const struct cgroup_host *host, const struct cgroup_hierarchy *h, unsigned asked)
{
    if (h->version == 1)
        return true;
    bool v1 = false;
    for (unsigned i = 0; i < host->count; i++)
        if (host->h[i].version == 1 && host->h[i].controllers & ~(1u << CGROUP_NAMED))
            v1 = true;
    return !v1 || h->controllers & asked;
}

int cgroup_make_on(struct cgroup_host *host, const struct cgroup_place *place,
                   const struct oci_resources *resources, bool create_files, struct cgroup **ret,
                   struct error *err)
{
    struct cgroup *cg = mem_new(struct cgroup);
    if (!cg)
        return error_set(err, -ENOMEM, "no memory");
    cg->create_files = create_files;
    cg->best_effort = place->best_effort;
    cg->rootless = place->rootless;
    cg->warn = place->warn;
    cg->opaque = place->opaque;
    unsigned asked = resources ? cgroup_limits_asked(resources) : 0;
    struct cgroup_place at = *place;
    cleanup_free char *scope = NULL;
    int r = 0;
    if (place->systemd) {
        r = cgroup_systemd_scope(place, &scope, &cg->holder, err);
        at.path = scope;
        cg->systemd = true;
    }
    for (unsigned i = 0; !r && i < host->count; i++) {
        struct cgroup_hierarchy *h = &host->h[i];
        /* systemd watches its v2 directory on hybrid hosts: a scope that is empty there is over. */
        if (!place->systemd && !wants(host, h, asked))
            continue;
        cleanup_free char *path = relative_path(h, &at);
        if (!path)
            r = error_set(err, -ENOMEM, "no memory");
        else if (!is_plain(path))
            r = error_set(err, -EINVAL, "cgroup path '%s': '..' and endless paths are refused",
                          path);
        else
            r = make_dir(cg, h, path, err);
        if (is_forbidden(r) || (r == -ENOENT && place->rootless)) {
            /* No place of its own there; whoever asked for a limit hears of it below. */
            cg->forbidden |= h->controllers;
            if (err)
                *err = (struct error){0};
            r = 0;
        }
    }
    if (!r)
        r = cgroup_devices(cg, resources, err);
    if (!r && resources)
        r = cgroup_limits(cg, resources, true, err);
    if (r) {
        for (unsigned i = 0; i < cg->count; i++)
            if (cg->dirs[i].made)
                unlinkat(AT_FDCWD, cg->dirs[i].path, AT_REMOVEDIR);
        cgroup_free(cg);
        return r;
    }
    cg->warn = NULL;
    *ret = cg;
    return 0;
}

int cgroup_make(const struct cgroup_place *place, const struct oci_resources *resources,
                struct cgroup **ret, struct error *err)
{
    struct cgroup_host host;
    /* A v2 directory beside v1's is for limits that v1 does not have, and for systemd. */
    bool only_v1 = !place->systemd && !(resources && cgroup_limits_asked(resources));
    int r =
        cgroup_host_probe(only_v1, &host) ? 0 : cgroup_host_read("/proc/self", true, &host, err);
    if (r)
        return r;
    r = cgroup_make_on(&host, place, resources, false, ret, err);
    cgroup_host_done(&host);
    return r;
}

void cgroup_settled(struct cgroup *cg)
{
    if (cg->holder <= 0)
        return;
    kill(cg->holder, SIGKILL);
    waitpid(cg->holder, NULL, 0);
    cg->holder = 0;
}

void cgroup_free(struct cgroup *cg)
{
    if (!cg)
        return;
    cgroup_settled(cg);
    for (unsigned i = 0; i < cg->count; i++)
        dir_done(&cg->dirs[i]);
    free(cg);
}

/* Saving: one line per directory, "VERSION CONTROLLERS(hex) PATH", then "devices 0|1" and
 * perhaps "systemd 1". */

void cgroup_save(const struct cgroup *cg, struct str *out)
{
    for (unsigned i = 0; i < cg->count; i++)
        str_addf(out, "%d %x %s\n", cg->dirs[i].version, cg->dirs[i].controllers, cg->dirs[i].path);
    str_addf(out, "devices %d\n", cg->devices_enforced);
    if (cg->systemd)
        str_add(out, "systemd 1\n");
}

int cgroup_open(const char *saved, struct cgroup **ret, struct error *err)
{
    struct cgroup *cg = mem_new(struct cgroup);
    if (!cg)
        return error_set(err, -ENOMEM, "no memory");
    bool bad = false;
    for (const char *l = saved; *l && !bad; l += strcspn(l, "\n"), l += *l == '\n') {
        size_t len = strcspn(l, "\n");
        if (str_starts(l, "devices ")) {
            cg->devices_enforced = l[8] == '1';
            continue;
        }
        if (str_starts(l, "systemd ")) {
            cg->systemd = l[8] == '1';
            continue;
        }
        char *end;
        unsigned long version = strtoul(l, &end, 10);
        unsigned long bits = *end == ' ' ? strtoul(end + 1, &end, 16) : 0;
        if ((version != 1 && version != 2) || end[0] != ' ' || end[1] != '/' ||
            cg->count == CGROUP_FDS_MAX || bits >> CGROUP_CONTROLLERS) {
            bad = true;
            break;
        }
        struct cgroup_dir *d = &cg->dirs[cg->count];
        d->path = strndup(end + 1, len - (size_t)(end + 1 - l));
        if (!d->path || !is_plain(d->path)) {
            free(d->path);
            bad = true;
            break;
        }
        d->version = (int)version;
        d->controllers = (unsigned)bits;
        cg->count++;
    }
    if (bad) {
        cgroup_free(cg);
        return error_set(err, -EINVAL, "cgroup part of the state file is damaged");
    }
    *ret = cg;
    return 0;
}

/* Joining. */

int cgroup_clone_fd(const struct cgroup *cg, pid_t beside)
{
    const struct cgroup_dir *dir = cgroup_v2_dir(cg);
    if (!dir)
        return -1;
    if (beside > 0) {
        char where[32], text[8192];
        snprintf(where, sizeof(where), "/proc/%d", (int)beside);
        struct cgroup_dir proc = {.path = where};
        const char *own = NULL;
        if (cgroup_read_text(&proc, "cgroup", text, sizeof(text)) > 0)
            own = str_starts(text, "0::") ? text : strstr(text, "\n0::");
        /* Its path ends in what follows our directory's last component. */
        const char *name = strrchr(dir->path, '/');
        char *sub = own ? strstr((char *)own, name) : NULL;
        size_t n = strlen(name);
        if (sub && sub[n] == '/') {
            char *rest = sub + n + 1;
            rest[strcspn(rest, "\n")] = 0;
            int fd = is_plain(rest) ? cgroup_open_file(NULL, dir, rest, O_PATH | O_DIRECTORY) : -1;
            if (fd >= 0)
                return fd;
        }
    }
    return open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int cgroup_join_fds(const struct cgroup *cg, int fds[CGROUP_FDS_MAX], unsigned *ret_count,
                    struct error *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < cg->count; i++) {
        const struct cgroup_dir *d = &cg->dirs[i];
        if (d->version != 1)
            continue;
        fds[n] = cgroup_open_file(NULL, d, "tasks", O_WRONLY);
        if (fds[n] < 0) {
            int r = error_set_errno(err, fds[n], "open %s/tasks", d->path);
            while (n)
                close(fds[--n]);
            return r;
        }
        n++;
    }
    *ret_count = n;
    return 0;
}

int cgroup_join(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (write(fds[i], "0", 1) < 0)
            return -errno;
    return 0;
}

uint64_t cgroup_oom_kills(const struct cgroup *cg)
{
    const struct cgroup_dir *dir = cgroup_dir_of(cg, CGROUP_MEMORY);
    char text[512];
    if (!dir || cgroup_read_text(dir, dir->version == 1 ? "memory.oom_control" : "memory.events",
                                 text, sizeof(text)) <= 0)
        return 0;
    return cgroup_keyed(text, "oom_kill", 0);
}

bool cgroup_devices_enforced(const struct cgroup *cg)
{
    return cg->devices_enforced;
}
