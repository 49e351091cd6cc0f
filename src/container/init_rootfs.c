/* SPDX-License-Identifier: Apache-2.0 */
/* The container's root file system: its mounts, devices, masks; and how it becomes "/". */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/vfs.h>

#include "container/init_internal.h"

#ifndef S_IFMT
#define S_IFMT  00170000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#endif

#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

enum { MOVE_BOTH = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH };

static int clone_mount(int fd, bool recursive)
{
    return (int)sys(open_tree, fd, "",
                    AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                        (recursive ? AT_RECURSIVE : 0));
}

static int set_propagation(int fd, uint64_t how, bool recursive)
{
    struct mount_attr attr = {.propagation = how};
    return (int)sys(mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                    sizeof attr);
}

/* The mount that directory @fd lies in must not carry our mounts back to the host. */
static void make_parent_private(struct init *i, int fd)
{
    int at = (int)sys(openat, fd, ".", O_PATH | O_CLOEXEC);
    for (int up = 0; at >= 0 && up < 512; up++) {
        int r = set_propagation(at, MS_PRIVATE, false);
        if (r != -EINVAL) {
            sys(close, at);
            if (r < 0)
                init_die(i, r, "make private the mount that holds the root file system", NULL);
            return;
        }
        int above = (int)sys(openat, at, "..", O_PATH | O_CLOEXEC);
        sys(close, at);
        at = above;
    }
    init_die(i, at < 0 ? at : -ELOOP, "find the mount that holds the root file system", NULL);
}

/* Before Linux 6.7, by mount(2) on the place itself; then from there. */
static int mount_overlay(struct init *i, const char *path)
{
    const struct plan *plan = i->plan;
    const int32_t *trees = plan_records(plan, plan->overlay_trees);
    /* An overlay takes mounts of its own namespace alone. They lie on the old root, which goes. */
    for (uint32_t k = 0; k < plan->overlay_trees.n; k++) {
        int r = (int)sys(move_mount, trees[k], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
        if (r < 0)
            return r;
    }
    int fd = mount_new(i, "overlay", "overlay", plan->overlay, 0);
    if (fd != -EINVAL || !plan->overlay_classic)
        return fd;
    int r = (int)sys(mount, "overlay", path, "overlay", 0, plan_text(plan, plan->overlay_classic));
    return r < 0 ? r : (int)sys(open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static void mount_root(struct init *i)
{
    const struct plan *plan = i->plan;
    const char *path = plan_text(plan, plan->rootfs);
    int r = (int)sys(mount, 0, "/", 0, plan->root_propagation, 0);
    if (r < 0)
        init_die(i, r, "set the propagation of mounts", NULL);
    int target = (int)sys(openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    i->root = plan->root_fd;
    if (target >= 0 && (plan->root_propagation & MS_SHARED))
        make_parent_private(i, target);
    if (plan->overlay.n)
        i->root = mount_overlay(i, path);
    if (i->root < 0 && plan->overlay.n)
        init_die(i, i->root, "mount the overlay of the image's layers", NULL);
    /* One that the runtime opened may lie where the container's root may not go: any place does. */
    if (target == -EACCES && i->root >= 0)
        target = (int)sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (i->root < 0 && target >= 0)
        i->root = clone_mount(target, true);
    if (target < 0 || i->root < 0)
        init_die(i, target < 0 ? target : i->root, "open the root file system", path);
    /* Its own mounts go the same way as the rest of the tree; pivot_root wants it not shared. */
    r = set_propagation(i->root, plan->root_propagation & ~(uint32_t)MS_REC, true);
    if (r == 0 && (plan->root_propagation & MS_SHARED))
        r = set_propagation(i->root, MS_PRIVATE, false);
    if (r == 0)
        r = (int)sys(move_mount, i->root, "", target, "", MOVE_BOTH);
    if (r < 0)
        init_die(i, r, "mount the root file system", path);
    sys(close, target);
}

/* --- /dev --- */

static int check_device(int fd, uint32_t type, uint32_t major, uint32_t minor)
{
    struct statx st;
    int r = (int)sys(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st);
    if (r < 0)
        return r;
    bool same =
        (st.stx_mode & S_IFMT) == type && st.stx_rdev_major == major && st.stx_rdev_minor == minor;
    return same ? 0 : -ENODEV;
}

/* The host's node in place of one of our own, where mknod is not allowed. */
static int bind_device(int dir, const char *name, const struct plan *plan,
                       const struct plan_device *d)
{
    long file = sys(openat, dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
    if (file < 0 && file != -EEXIST)
        return (int)file;
    if (file >= 0)
        sys(close, file);
    int target = (int)sys(openat, dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int node = (int)sys(open_tree, AT_FDCWD, plan_text(plan, d->path),
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    int r = target < 0 ? target
            : node < 0 ? node
                       : check_device(node, d->mode & S_IFMT, d->major, d->minor);
    if (r == 0)
        r = (int)sys(move_mount, node, "", target, "", MOVE_BOTH);
    if (target >= 0)
        sys(close, target);
    if (node >= 0)
        sys(close, node);
    return r;
}

/* As the kernel's new_decode_dev reads it. */
static unsigned device_number(uint32_t major, uint32_t minor)
{
    return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

static void make_device(struct init *i, const struct plan_device *d)
{
    const char *path = plan_text(i->plan, d->path), *name;
    bool flat = text_starts(path, "/dev/") && i->dev >= 0;
    for (const char *p = path + 5; flat && *p; p++)
        flat = *p != '/';
    int dir = flat ? i->dev : path_parent(i, path, &name);
    if (flat)
        name = path + 5;
    if (dir < 0)
        init_die(i, dir, "make the device", path);
    int r = -EPERM;
    if (!(i->plan->flags & PLAN_BIND_DEVICES)) {
        r = (int)sys(mknodat, dir, name, d->mode, device_number(d->major, d->minor));
        if (r == 0 && (d->uid || d->gid))
            r = (int)sys(fchownat, dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW);
    }
    if (r == -EPERM)
        r = bind_device(dir, name, i->plan, d);
    if (r == -EEXIST) {
        int fd = (int)sys(openat, dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? fd : check_device(fd, d->mode & S_IFMT, d->major, d->minor);
        if (fd >= 0)
            sys(close, fd);
        if (r == -ENODEV)
            init_die(i, -EEXIST, "make the device: the image has something else at", path);
    }
    if (r < 0)
        init_die(i, r, "make the device", path);
    if (dir != i->dev)
        sys(close, dir);
}

static void make_links(struct init *i, bool in_dev)
{
    const struct plan_link *links = plan_records(i->plan, i->plan->links);
    for (uint32_t k = 0; k < i->plan->links.n; k++) {
        const char *path = plan_text(i->plan, links[k].path), *name = path + 5;
        bool ours = text_starts(path, "/dev/");
        if (ours != in_dev)
            continue;
        int dir = ours ? i->dev : path_parent(i, path, &name);
        int r = dir < 0 ? dir : (int)sys(symlinkat, plan_text(i->plan, links[k].target), dir, name);
        if (!ours && dir >= 0)
            sys(close, dir);
        if (r < 0 && r != -EEXIST)
            init_die(i, r, "make the link", path);
    }
}

static void make_devices(struct init *i, bool in_dev)
{
    const struct plan_device *devices = plan_records(i->plan, i->plan->devices);
    for (uint32_t k = 0; k < i->plan->devices.n; k++)
        if (text_starts(plan_text(i->plan, devices[k].path), "/dev/") == in_dev)
            make_device(i, &devices[k]);
}

void devices_make(struct init *i)
{
    make_devices(i, true);
    make_links(i, true);
}

/* The pty's slave itself, not a path to it, becomes /dev/console. */
static void bind_console(struct init *i)
{
    if (i->console < 0 || i->dev < 0)
        return;
    long file = sys(openat, i->dev, "console",
                    O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_RDONLY | O_NOCTTY | O_NONBLOCK, 0600);
    if (file >= 0)
        sys(close, file);
    int target = (int)sys(openat, i->dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int node = clone_mount(i->console, false);
    int r = target < 0 ? target
            : node < 0 ? node
                       : (int)sys(move_mount, node, "", target, "", MOVE_BOTH);
    if (r < 0)
        init_die(i, r, "mount the terminal on /dev/console", NULL);
    sys(close, target);
    sys(close, node);
}

/* --- masks --- */

static void open_null(struct init *i)
{
    if (i->null >= 0)
        return;
    i->null = (int)sys(openat, AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int r = i->null < 0 ? i->null : check_device(i->null, S_IFCHR, 1, 3);
    if (r < 0)
        init_die(i, r, "open the host's /dev/null", NULL);
}

static void open_empty(struct init *i)
{
    if (i->empty >= 0)
        return;
    i->empty =
        mount_new(i, "tmpfs", "tmpfs", (struct plan_list){0, 0},
                  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (i->empty < 0)
        init_die(i, i->empty, "make an empty file system for masked paths", NULL);
}

static void mask(struct init *i, const char *path)
{
    struct statx st;
    int target = path_in_container(i, path, PATH_EXISTING, 0);
    if (target == -ENOENT || target == -ENOTDIR)
        return;
    int r = target < 0 ? target : (int)sys(statx, target, "", AT_EMPTY_PATH, STATX_TYPE, &st);
    if (r < 0)
        init_die(i, r, "mask", path);
    bool directory = (st.stx_mode & S_IFMT) == S_IFDIR;
    /* The first directory gets the empty file system itself, the others clones of it: before Linux
     * 6.15 what is mounted nowhere cannot be cloned. */
    bool first = directory && i->empty < 0;
    directory ? open_empty(i) : open_null(i);
    int cover = first ? i->empty : clone_mount(directory ? i->empty : i->null, false);
    r = cover < 0 ? cover : (int)sys(move_mount, cover, "", target, "", MOVE_BOTH);
    if (r < 0)
        init_die(i, r, "mask", path);
    if (!first)
        sys(close, cover);
    sys(close, target);
}

static void make_readonly(struct init *i, const char *path)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int target = path_in_container(i, path, PATH_EXISTING, 0);
    if (target == -ENOENT || target == -ENOTDIR)
        return;
    int copy = target < 0 ? target : clone_mount(target, true);
    int r = copy < 0 ? copy
                     : (int)sys(mount_setattr, copy, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
                                sizeof attr);
    if (r == 0)
        r = (int)sys(move_mount, copy, "", target, "", MOVE_BOTH);
    if (r < 0)
        init_die(i, r, "make read-only", path);
    sys(close, copy);
    sys(close, target);
}

/* --- kernel parameters --- */

/*
 * Through a procfs of our own that is mounted nowhere: no mount or link of the container can send
 * the write elsewhere.
 */
static void write_sysctls(struct init *i)
{
    const struct plan_pair *pairs = plan_records(i->plan, i->plan->sysctls);
    struct open_how how = {.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    if (!i->plan->sysctls.n)
        return;
    int proc = mount_new(i, "proc", "proc", (struct plan_list){0, 0}, 0);
    int sysctl = proc < 0 ? proc : (int)sys(openat, proc, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sysctl < 0)
        init_die(i, sysctl, "mount a procfs for kernel parameters", NULL);
    for (uint32_t k = 0; k < i->plan->sysctls.n; k++) {
        const char *key = plan_text(i->plan, pairs[k].key);
        const char *value = plan_text(i->plan, pairs[k].value);
        long fd = sys(openat2, sysctl, key, &how, sizeof how);
        long r = fd < 0 ? fd : sys(write, fd, value, strlen(value));
        if (r < 0)
            init_die(i, r, "set the kernel parameter", key);
        sys(close, fd);
    }
    sys(close, sysctl);
    sys(close, proc);
}

static void set_names(struct init *i)
{
    const char *host = plan_text(i->plan, i->plan->hostname);
    const char *domain = plan_text(i->plan, i->plan->domainname);
    long r = i->plan->hostname ? sys(sethostname, host, strlen(host)) : 0;
    if (r < 0)
        init_die(i, r, "set the host name", host);
    r = i->plan->domainname ? sys(setdomainname, domain, strlen(domain)) : 0;
    if (r < 0)
        init_die(i, r, "set the domain name", domain);
}

static void finish_readonly(struct init *i)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    if (!(i->plan->flags & PLAN_READONLY))
        return;
    int r = (int)sys(mount_setattr, i->root, "", AT_EMPTY_PATH, &attr, sizeof attr);
    if (r < 0)
        init_die(i, r, "make the root file system read-only", NULL);
}

void rootfs_build(struct init *i)
{
    const struct plan *plan = i->plan;
    const struct plan_mount *mounts = plan_records(plan, plan->mounts);
    const uint32_t *paths;
    set_names(i);
    mount_root(i);
    for (uint32_t k = 0; k < plan->mounts.n; k++)
        mount_entry(i, &mounts[k]);
    make_devices(i, false);
    make_links(i, false);
    if (plan->flags & PLAN_TERMINAL) {
        terminal_open(i);
        bind_console(i);
    }
    write_sysctls(i);
    hooks_run(i, plan->create_hooks, i->state[0], "createContainer");
    paths = plan_records(plan, plan->readonly);
    for (uint32_t k = 0; k < plan->readonly.n; k++)
        make_readonly(i, plan_text(plan, paths[k]));
    paths = plan_records(plan, plan->masked);
    for (uint32_t k = 0; k < plan->masked.n; k++)
        mask(i, plan_text(plan, paths[k]));
}

/* The working directory may be missing in the image; it belongs to the container's root then. */
static void make_cwd(struct init *i)
{
    int fd = path_in_container(i, plan_text(i->plan, i->plan->cwd), PATH_DIRECTORY, 0);
    if (fd >= 0)
        sys(close, fd);
}

void rootfs_enter(struct init *i)
{
    int r, old = -1;
    make_cwd(i);
    finish_readonly(i);
    r = (int)sys(fchdir, i->root);
    if (r == 0 && (i->plan->flags & PLAN_NO_PIVOT)) {
        sys(umount2, "/proc", MNT_DETACH);
        sys(umount2, "/sys", MNT_DETACH);
        r = (int)sys(mount, ".", "/", 0, MS_MOVE, 0);
        if (r == 0)
            r = (int)sys(chroot, ".");
    } else if (r == 0) {
        old = (int)sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = old < 0 ? old : (int)sys(pivot_root, ".", ".");
        if (r == 0)
            r = (int)sys(fchdir, old);
        /* Taking the host's tree away must not travel to the host. */
        if (r == 0 && (i->plan->root_propagation & MS_SHARED))
            r = (int)sys(mount, 0, ".", 0, MS_SLAVE | MS_REC, 0);
        if (r == 0)
            r = (int)sys(umount2, ".", MNT_DETACH);
    }
    if (r == 0)
        r = (int)sys(chdir, "/");
    if (r == 0 && i->plan->root_shared)
        r = (int)sys(mount, 0, "/", 0, i->plan->root_shared, 0);
    if (r < 0)
        init_die(i, r, "make the root file system the container's", NULL);
    if (old >= 0)
        sys(close, old);
}
