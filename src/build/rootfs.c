/* SPDX-License-Identifier: Apache-2.0 */
#include "build/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "build/ignore.h"
#include "image/store_internal.h"

enum { ACCOUNTS_MAX = 1 << 20 };

/* --- the mount --- */

int rootfs_new(const char *parent, const char *const *lower, size_t count, struct rootfs *ret,
               struct error *err)
{
    struct rootfs r = {.fd = -1, .dir = str_format("%s/XXXXXX", parent)};
    cleanup_free char *empty = NULL;

    if (!r.dir || !mkdtemp(r.dir))
        goto failed;
    r.upper = str_format("%s/upper", r.dir);
    r.work = str_format("%s/work", r.dir);
    empty = str_format("%s/empty", r.dir);
    r.lower = mem_alloc(count + 1, sizeof(*r.lower));
    if (!r.upper || !r.work || !empty || !r.lower || mkdir(r.upper, 0755) < 0 ||
        mkdir(r.work, 0700) < 0 || mkdir(empty, 0755) < 0)
        goto failed;
    for (size_t i = 0; i < count; i++)
        r.lower[i] = lower[i];
    r.lower_count = count;
    if (!count) { /* FROM scratch */
        r.lower[0] = steal_ptr(&empty);
        r.lower_count = 1;
    }
    *ret = r;
    return 0;
failed:
    error_set_errno(err, -errno, "make a directory in %s", parent);
    count = (size_t)errno;
    rootfs_close(&r);
    return -(int)count;
}

static int set(int fs, const char *key, const char *value)
{
    return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

/* Layers one by one (Linux 6.5), or all in one text. */
static int set_layers(int fs, const struct rootfs *r)
{
    struct str all = {0};
    int e = 0;

    for (size_t i = 0; e == 0 && i < r->lower_count; i++)
        e = set(fs, "lowerdir+", r->lower[i]);
    if (e != -EINVAL)
        return e;
    for (size_t i = 0; i < r->lower_count; i++)
        str_addf(&all, "%s%s", i ? ":" : "", r->lower[i]);
    e = all.failed ? -ENOMEM : set(fs, "lowerdir", str_text(&all));
    str_done(&all);
    return e;
}

int rootfs_mount(struct rootfs *r, struct error *err)
{
    cleanup_fd int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    int e = fs < 0 ? -errno : set_layers(fs, r);

    if (e == 0)
        e = set(fs, "upperdir", r->upper);
    if (e == 0)
        e = set(fs, "workdir", r->work);
    if (e == 0 && fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
        e = -errno;
    if (e == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        e = -errno;
    if (e == 0 && (r->fd = fsmount(fs, FSMOUNT_CLOEXEC, 0)) < 0)
        e = -errno;
    return e < 0 ? error_set_errno(err, e, "mount the layers") : 0;
}

void rootfs_unmount(struct rootfs *r)
{
    if (r->fd >= 0)
        close(steal_fd(&r->fd));
}

void rootfs_close(struct rootfs *r)
{
    rootfs_unmount(r);
    if (r->lower && r->lower_count == 1 && r->dir && str_starts(r->lower[0], r->dir))
        free((char *)(uintptr_t)r->lower[0]); /* the empty one */
    if (r->dir)
        store_remove_tree(AT_FDCWD, r->dir);
    free(r->dir);
    free(r->upper);
    free(r->work);
    free(r->lower);
    memset(r, 0, sizeof(*r));
    r->fd = -1;
}

/* --- paths --- */

int root_open(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

int root_mkdirs(int root, const char *path, uid_t uid, gid_t gid, int *ret_fd, struct error *err)
{
    char clean[PATH_MAX], *p = clean;
    cleanup_fd int fd = root_open(root, ".", O_PATH | O_DIRECTORY);

    if (fd < 0 || !path_clean(path, clean, sizeof(clean)))
        return error_set(err, -EINVAL, "\"%.100s\" leads outside or is too long", path);
    while (*p) {
        char *slash = strchr(p, '/');
        int next;

        if (slash)
            *slash = 0;
        next = root_open(root, clean, O_PATH | O_DIRECTORY);
        if (next == -ENOENT) {
            if (mkdirat(fd, p, 0755) < 0)
                return error_set_errno(err, -errno, "make the directory /%s", clean);
            next = root_open(root, clean, O_PATH | O_DIRECTORY);
            if (next >= 0 && fchownat(next, "", uid, gid, AT_EMPTY_PATH) < 0) {
                close(next);
                next = -errno;
            }
        }
        if (next < 0)
            return error_set_errno(err, next, "make the directory /%s", clean);
        close(fd);
        fd = next;
        if (!slash)
            break;
        *slash = '/';
        p = slash + 1;
    }
    if (ret_fd)
        *ret_fd = steal_fd(&fd);
    return 0;
}

/* Reads what @fd holds, which it closes. */
static char *read_whole(int opened, size_t max, size_t *ret_n)
{
    cleanup_fd int fd = opened;
    struct stat st;
    size_t n = 0;
    char *text;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
        errno = fd < 0 ? -fd : EINVAL;
        return NULL;
    }
    text = malloc((size_t)st.st_size + 1);
    while (text && n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (text) {
        text[n] = 0;
        *ret_n = n;
    }
    return text;
}

char *root_read(int root, const char *path, size_t max, size_t *ret_n)
{
    return read_whole(root_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY), max, ret_n);
}

char *host_read(const char *path, size_t max, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return read_whole(fd < 0 ? -errno : fd, max, ret_n);
}

/* --- users --- */

/* Splits a line of passwd or group in place at ":". */
static size_t fields(char *line, char **f, size_t max)
{
    size_t n = 0;

    while (n < max && (f[n] = strsep(&line, ":")))
        n++;
    return n;
}

static bool number(const char *text, uint32_t *ret)
{
    uint64_t v;

    if (strspn(text, "0123456789") != strlen(text) || str_parse_u64(text, &v) < 0 || v > INT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* The user called or numbered @who. False: not in the file. */
static bool find_user(char *passwd, const char *who, struct root_user *u, char *name, size_t size)
{
    uint32_t wanted, uid, gid;
    bool by_number = number(who, &wanted);
    char *line;

    while (passwd && (line = strsep(&passwd, "\n"))) {
        char *f[7];
        if (fields(line, f, array_size(f)) < 6 || !number(f[2], &uid) || !number(f[3], &gid) ||
            !(by_number ? uid == wanted : strcmp(f[0], who) == 0))
            continue;
        u->uid = uid;
        u->gid = gid;
        snprintf(u->home, sizeof(u->home), "%s", f[5]);
        snprintf(name, size, "%s", f[0]);
        return true;
    }
    return false;
}

static bool in_list(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == n && strncmp(list, name, n) == 0)
            return true;
    return false;
}

/* The gid of @wanted (NULL: none wanted), and the groups that @user is in. */
static bool find_groups(char *group, const char *wanted, const char *user, struct root_user *u)
{
    uint32_t gid;
    bool found = false;
    char *line;

    while (group && (line = strsep(&group, "\n"))) {
        char *f[4];
        size_t n = fields(line, f, array_size(f));
        if (n < 3 || !number(f[2], &gid))
            continue;
        if (wanted && strcmp(f[0], wanted) == 0) {
            u->gid = gid;
            found = true;
        }
        if (!wanted && n == 4 && *user && in_list(f[3], user) &&
            u->group_count < array_size(u->groups))
            u->groups[u->group_count++] = gid;
    }
    return found;
}

int root_user(int root, const char *text, struct root_user *ret, struct error *err)
{
    struct root_user u = {.home = "/"};
    cleanup_free char *who = strdup(*text ? text : "0");
    char *group = who ? strchr(who, ':') : NULL, name[256] = "";
    size_t n;
    cleanup_free char *passwd = root_read(root, "etc/passwd", ACCOUNTS_MAX, &n);
    cleanup_free char *groups = root_read(root, "etc/group", ACCOUNTS_MAX, &n);
    uint32_t id;

    if (!who)
        return error_set_errno(err, -ENOMEM, "find a user");
    if (group)
        *group++ = 0;
    if (!find_user(passwd, who, &u, name, sizeof(name))) {
        if (!number(who, &id))
            return error_set(err, -ENOENT, "there is no user \"%s\" in /etc/passwd", who);
        u.uid = id;
        if (!id)
            strcpy(u.home, "/root");
    }
    if (group && number(group, &id))
        u.gid = id;
    else if (!find_groups(groups, group, name, &u) && group)
        return error_set(err, -ENOENT, "there is no group \"%s\" in /etc/group", group);
    *ret = u;
    return 0;
}
