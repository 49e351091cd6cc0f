/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, descriptor to descriptor: a file system or a bind is made detached, gets its flags while
 * nobody can reach it, and is then moved onto a descriptor of its destination.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "container/init_internal.h"

#ifndef S_IFMT
#define S_IFMT  00170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define S_IFLNK 0120000
#endif

enum { COPY_DEPTH_MAX = 64, COPY_CHUNK = 1 << 20, NAME_MAX_BYTES = 256, LINK_MAX_BYTES = 4096 };

static int set_attributes(int fd, uint64_t set, uint64_t clear, uint64_t propagation,
                          bool recursive)
{
    struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    /* A time mode replaces the others. */
    if (set & MOUNT_ATTR__ATIME)
        attr.attr_clr |= MOUNT_ATTR__ATIME;
    if (clear & (MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME))
        attr.attr_clr |= MOUNT_ATTR__ATIME;
    if (!attr.attr_set && !attr.attr_clr && !propagation)
        return 0;
    return (int)sys(mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                    sizeof attr);
}

static int set_option(const struct plan *plan, int fs, const struct plan_option *o)
{
    const char *key = plan_text(plan, o->key);
    if (o->fd >= 0)
        return (int)sys(fsconfig, fs, FSCONFIG_SET_FD, key, 0, o->fd);
    if (!o->value)
        return (int)sys(fsconfig, fs, FSCONFIG_SET_FLAG, key, 0, 0);
    return (int)sys(fsconfig, fs, FSCONFIG_SET_STRING, key, plan_text(plan, o->value), 0);
}

/* @skip: an option to leave out, or NULL. */
static int mount_with(const struct plan *plan, const char *type, const char *source,
                      struct plan_list options, uint64_t attributes, const char *skip)
{
    const struct plan_option *o = plan_records(plan, options);
    int fs = (int)sys(fsopen, type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return fs;
    int r = source ? (int)sys(fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0) : 0;
    for (uint32_t k = 0; r == 0 && k < options.n; k++)
        if (!skip || !text_equal(skip, plan_text(plan, o[k].key)))
            r = set_option(plan, fs, &o[k]);
    if (r == 0)
        r = (int)sys(fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
    if (r == 0)
        r = (int)sys(fsmount, fs, FSMOUNT_CLOEXEC, attributes);
    sys(close, fs);
    return r;
}

int mount_new(struct init *i, const char *type, const char *source, struct plan_list options,
              uint64_t attributes)
{
    int fd = mount_with(i->plan, type, source, options, attributes, NULL);
    /* The group tty may have no id in a user namespace: then terminals have the default group. */
    if (fd == -EINVAL && text_equal(type, "devpts"))
        fd = mount_with(i->plan, type, source, options, attributes, "gid");
    return fd;
}

static int stat_mode(int fd, uint32_t *ret_mode)
{
    struct statx st;
    int r = (int)sys(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, &st);
    if (r == 0)
        *ret_mode = st.stx_mode;
    return r;
}

/* --- copying up --- */

static int copy_file(int from, int to, const char *name, uint32_t mode)
{
    int in = (int)sys(openat, from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int out = (int)sys(openat, to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 07777);
    long n = in < 0 ? in : out < 0 ? out : 1;
    while (n > 0)
        n = sys(sendfile, out, in, 0, COPY_CHUNK);
    if (in >= 0)
        sys(close, in);
    if (out >= 0)
        sys(close, out);
    return (int)n;
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
    struct statx st;
    char target[LINK_MAX_BYTES];
    int r = (int)sys(statx, from, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st);
    if (r < 0)
        return r;
    switch (st.stx_mode & S_IFMT) {
    case S_IFDIR: {
        r = (int)sys(mkdirat, to, name, st.stx_mode & 07777);
        int a = r < 0
                    ? r
                    : (int)sys(openat, from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int b =
            a < 0 ? a : (int)sys(openat, to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = b < 0 ? b : copy_tree(a, b, depth + 1);
        if (a >= 0)
            sys(close, a);
        if (b >= 0)
            sys(close, b);
        break;
    }
    case S_IFREG:
        r = copy_file(from, to, name, st.stx_mode);
        break;
    case S_IFLNK: {
        long n = sys(readlinkat, from, name, target, sizeof target - 1);
        if (n < 0)
            return (int)n;
        target[n] = '\0';
        r = (int)sys(symlinkat, target, to, name);
        break;
    }
    default:
        return 0; /* sockets, pipes and devices are not content */
    }
    if (r < 0)
        return r;
    /* EPERM, EINVAL: ids that the user namespace does not know stay the container's root's. */
    sys(fchownat, to, name, st.stx_uid, st.stx_gid, AT_SYMLINK_NOFOLLOW);
    if ((st.stx_mode & S_IFMT) != S_IFLNK)
        sys(fchmodat, to, name, st.stx_mode & 07777);
    return 0;
}

int copy_tree(int from, int to, unsigned depth)
{
    struct entry {
        uint64_t ino, off;
        unsigned short len;
        unsigned char type;
        char name[];
    };
    char buffer[2048] __attribute__((aligned(8)));
    if (depth > COPY_DEPTH_MAX)
        return -ELOOP;
    for (;;) {
        long n = sys(getdents64, from, buffer, sizeof buffer);
        if (n <= 0)
            return (int)n;
        for (long at = 0; at < n;) {
            const struct entry *e = (const void *)(buffer + at);
            at += e->len;
            if (text_equal(e->name, ".") || text_equal(e->name, ".."))
                continue;
            int r = copy_entry(from, to, e->name, depth);
            if (r < 0)
                return r;
        }
    }
}

static int copy_up(int target, int mount)
{
    int from = (int)sys(openat, target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = (int)sys(openat, mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = from < 0 ? from : to < 0 ? to : copy_tree(from, to, 0);
    if (from >= 0)
        sys(close, from);
    if (to >= 0)
        sys(close, to);
    return r;
}

/* --- one entry --- */

static int make_bind(struct init *i, const struct plan_mount *m)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    if (m->fd >= 0)
        return m->fd;
    if (m->flags & PLAN_MOUNT_RECURSIVE)
        flags |= AT_RECURSIVE;
    int fd = (int)sys(open_tree, AT_FDCWD, plan_text(i->plan, m->source), flags);
    /* Inside a user namespace what lies below must come along: the kernel does not uncover. */
    if (fd == -EINVAL && !(flags & AT_RECURSIVE))
        fd = (int)sys(open_tree, AT_FDCWD, plan_text(i->plan, m->source), flags | AT_RECURSIVE);
    return fd;
}

static int make_detached(struct init *i, const struct plan_mount *m)
{
    const char *source = plan_text(i->plan, m->source);
    if (m->flags & PLAN_MOUNT_BIND || m->fd >= 0)
        return make_bind(i, m);
    int fd =
        mount_new(i, plan_text(i->plan, m->type), m->source ? source : NULL, m->options, m->set);
    if (fd == -EPERM && (m->flags & PLAN_MOUNT_SYSFS_BIND)) {
        fd = (int)sys(open_tree, AT_FDCWD, "/sys",
                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        int r = fd < 0 ? fd : set_attributes(fd, m->set | MOUNT_ATTR_RDONLY, 0, 0, true);
        return r < 0 ? r : fd;
    }
    return fd;
}

static bool has_option(const struct plan *plan, const struct plan_mount *m, const char *name)
{
    const struct plan_option *o = plan_records(plan, m->options);
    for (uint32_t k = 0; k < m->options.n; k++)
        if (text_equal(plan_text(plan, o[k].key), name))
            return true;
    return false;
}

/* A tmpfs without a mode takes that of the directory it covers; a copy of what that holds. */
static void fill_tmpfs(struct init *i, const struct plan_mount *m, int target, int fd)
{
    uint32_t mode;
    if (!has_option(i->plan, m, "mode") && stat_mode(target, &mode) == 0)
        sys(fchmodat, fd, ".", mode & 07777);
    if (m->flags & PLAN_MOUNT_COPY_UP) {
        int r = copy_up(target, fd);
        if (r < 0)
            init_die(i, r, "copy what a tmpfs covers at", plan_text(i->plan, m->destination));
    }
}

/* mount(2) on the place itself, reached through its descriptor; then that mount's. */
static int mount_classic(struct init *i, const struct plan_mount *m, int target)
{
    static const struct {
        uint64_t attribute;
        unsigned long flag;
    } flags[] = {{MOUNT_ATTR_RDONLY, MS_RDONLY},
                 {MOUNT_ATTR_NOSUID, MS_NOSUID},
                 {MOUNT_ATTR_NODEV, MS_NODEV},
                 {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
                 {MOUNT_ATTR_NOATIME, MS_NOATIME}};
    const struct plan_option *o = plan_records(i->plan, m->options);
    unsigned long set = 0;
    char path[40];
    struct line l = {path, sizeof path, 0};
    line_add(&l, "/proc/self/fd/");
    line_add_number(&l, target);
    for (unsigned k = 0; k < sizeof flags / sizeof flags[0]; k++)
        set |= m->set & flags[k].attribute ? flags[k].flag : 0;
    int r = (int)sys(mount, plan_text(i->plan, m->source), path, plan_text(i->plan, m->type), set,
                     plan_text(i->plan, o->value));
    return r < 0 ? r
                 : path_in_container(i, plan_text(i->plan, m->destination), PATH_EXISTING,
                                     O_DIRECTORY);
}

/* What is at a place of ours from now on. */
static bool keep(struct init *i, const struct plan_mount *m, const char *at, int fd)
{
    if (m->type && text_equal(plan_text(i->plan, m->type), "devpts"))
        i->pts = fd;
    if (text_equal(at, "/dev"))
        i->dev = fd;
    else if (text_equal(at, "/proc"))
        i->proc = fd;
    else if (text_equal(at, "/sys"))
        i->sys = fd;
    else
        return i->pts == fd;
    return true;
}

static void set_flags(struct init *i, const struct plan_mount *m, int fd, const char *at)
{
    bool bind = m->flags & PLAN_MOUNT_BIND;
    int r = bind ? set_attributes(fd, m->set, m->clear, 0, false) : 0;
    if (r == -EPERM && m->clear) /* locked by the host: what was asked to be off stays on */
        r = set_attributes(fd, m->set, 0, 0, false);
    if (r == 0)
        r = set_attributes(fd, m->set_all, m->clear_all, 0, true);
    if (r < 0)
        init_die(i, r, "set the flags of the mount at", at);
}

/* --- the container's own cgroups --- */

static void place(struct init *i, int fd, const char *at)
{
    int target = path_in_container(i, at, PATH_DIRECTORY, O_NOFOLLOW | O_DIRECTORY);
    int r = target < 0 ? target
                       : (int)sys(move_mount, fd, "", target, "",
                                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (r < 0)
        init_die(i, r, "mount at", at);
    sys(close, target);
}

/* "cpu,cpuacct" is also found as "cpu" and as "cpuacct". */
static void link_parts(struct init *i, int dir, const char *name)
{
    char part[64];
    bool several = false;
    for (const char *p = name; *p; p++)
        several |= *p == ',';
    for (const char *p = name; several && *p; p += *p == ',') {
        struct line l = {part, sizeof part, 0};
        part[0] = '\0';
        for (; *p && *p != ','; p++)
            line_add(&l, (const char[]){*p, '\0'});
        sys(symlinkat, name, dir, part);
    }
}

/* A directory for each hierarchy in a tmpfs, or the only one itself. */
static void mount_cgroups(struct init *i, const struct plan_mount *m)
{
    const char *at = plan_text(i->plan, m->destination), *names = i->cgroup_names;
    const uint64_t set = m->set | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    int top = -1;
    init_join_cgroups(i);
    if (!text_equal(names, ".")) {
        top = mount_new(i, "tmpfs", "cgroup", m->options, m->set & ~(uint64_t)MOUNT_ATTR_RDONLY);
        if (top < 0)
            init_die(i, top, "mount", at);
        place(i, top, at);
    }
    /* Nobody of the container is there yet: all of them at once, where the tmpfs gets the same. */
    bool together = top >= 0 && m->set == set;
    for (unsigned k = 0; k < i->cgroup_trees; k++) {
        char name[64], path[4096];
        struct line n = {name, sizeof name, 0}, l = {path, sizeof path, 0};
        int fd = i->cgroups[i->cgroup_count + k];
        name[0] = path[0] = '\0';
        for (; *names && *names != '\n'; names++)
            line_add(&n, (const char[]){*names, '\0'});
        names += *names == '\n';
        line_add(&l, at);
        if (top >= 0) {
            line_add(&l, "/");
            line_add(&l, name);
            /* In our own tmpfs: whatever is there was made here. */
            sys(mkdirat, top, name, 0755);
            link_parts(i, top, name);
        }
        int r = together ? 0 : set_attributes(fd, set, 0, 0, false);
        if (r < 0)
            init_die(i, r, "set the flags of the mount at", path);
        if (top < 0)
            place(i, fd, path);
        else if ((r = (int)sys(move_mount, fd, "", top, name, MOVE_MOUNT_F_EMPTY_PATH)) < 0)
            init_die(i, r, "mount at", path);
        sys(close, fd);
    }
    int r = together ? set_attributes(top, set, 0, 0, true)
            : top >= 0 && (m->set & MOUNT_ATTR_RDONLY)
                ? set_attributes(top, MOUNT_ATTR_RDONLY, 0, 0, false)
                : 0;
    if (r < 0)
        init_die(i, r, "set the flags of the mounts at", at);
}

/* The place to mount at: what the mount brings decides whether a directory or a file is made. */
static int find_place(struct init *i, const struct plan_mount *m, int fd)
{
    const char *at = plan_text(i->plan, m->destination);
    uint32_t mode = S_IFDIR;
    int r = m->flags & PLAN_MOUNT_BIND ? stat_mode(fd, &mode) : 0;
    if (r < 0)
        init_die(i, r, "look at the source of the mount at", at);
    bool directory = (mode & S_IFMT) == S_IFDIR;
    int extra = m->flags & PLAN_MOUNT_NOFOLLOW ? O_NOFOLLOW | O_DIRECTORY : 0;
    int target =
        path_in_container(i, at, (directory ? PATH_DIRECTORY : PATH_FILE) | PATH_MARK, extra);
    if ((target == -ENOTDIR || target == -ELOOP) && extra)
        init_die(i, target, "the image has no real directory to mount on at", at);
    if (target < 0)
        init_die(i, target, "find the place to mount at", at);
    return target;
}

void mount_entry(struct init *i, const struct plan_mount *m)
{
    const char *at = plan_text(i->plan, m->destination);
    if (m->flags & PLAN_MOUNT_CGROUP) {
        mount_cgroups(i, m);
        return;
    }
    bool bind = m->flags & PLAN_MOUNT_BIND, classic = m->flags & PLAN_MOUNT_CLASSIC;
    int fd = classic ? -1 : make_detached(i, m), r = 0;
    if (fd == -ENODEV)
        init_die(i, fd, "mount a file system that the host's kernel does not know at", at);
    if (fd < 0 && !classic)
        init_die(i, fd, bind ? "bind" : "mount", bind ? plan_text(i->plan, m->source) : at);
    int target = find_place(i, m, fd);
    if (classic) {
        fd = mount_classic(i, m, target);
        if (fd < 0)
            init_die(i, fd, "mount", at);
    }
    if (m->type && text_equal(plan_text(i->plan, m->type), "tmpfs"))
        fill_tmpfs(i, m, target, fd);
    set_flags(i, m, fd, at);
    if (!classic)
        r = (int)sys(move_mount, fd, "", target, "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (r == 0 && m->propagation)
        r = set_attributes(fd, 0, 0, m->propagation & ~(uint32_t)MS_REC, m->propagation & MS_REC);
    if (r < 0)
        init_die(i, r, "mount at", at);
    sys(close, target);
    bool kept = keep(i, m, at, fd);
    if (m->flags & PLAN_MOUNT_DEV)
        devices_make(i);
    if (!kept)
        sys(close, fd);
}
