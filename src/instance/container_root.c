/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/container.h"
#include "image/idmap.h"
#include "image/mount_mark.h"
#include "image/store.h"
#include "instance/container_engine.h"
#include "instance/container_sources.h"
#include "instance/root_path.h"

enum { DEPTH_MAX = 1024 };

static int set(int fs, const char *key, const char *value)
{
    return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

/* Layers one by one (Linux 6.5), or all in one text. */
static int set_layers(int fs, const char *const *lower, size_t count)
{
    struct str all = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = set(fs, "lowerdir+", lower[i]);
    if (r != -EINVAL)
        return r;
    for (size_t i = 0; i < count; i++)
        str_addf(&all, "%s%s", i ? ":" : "", lower[i]);
    r = all.failed ? -ENOMEM : set(fs, "lowerdir", str_text(&all));
    str_done(&all);
    return r;
}

int container_root_mount(const char *const *lower, size_t count, const char *upper,
                         const char *work, int *ret_fd, struct error *err)
{
    cleanup_fd int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    char why[256];
    int fd, r;
    ssize_t n;

    if (fs < 0)
        return error_set_errno(err, -errno, "mount the layers");
    r = set_layers(fs, lower, count);
    if (r == 0 && upper)
        r = set(fs, "upperdir", upper);
    if (r == 0 && upper)
        r = set(fs, "workdir", work);
    if (r == 0 && fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
        r = -errno;
    if (r == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        r = -errno;
    fd = r == 0 ? fsmount(fs, FSMOUNT_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    r = r < 0 ? r : -errno;
    n = read(fs, why, sizeof why - 1); /* what the kernel says, if it says something */
    why[max_of(n, (ssize_t)0)] = 0;
    why[strcspn(why, "\n")] = 0;
    return error_set_errno(err, r, "mount the layers%s%s", n > 0 ? ": " : "", why);
}

/* What the child of mount_as_owner is told, and how it answers. */
struct owner_mount {
    const char *const *lower;
    size_t count;
    const char *upper, *work;
    int socket;
};

union fd_control {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
};

/* Sends @text with the descriptor @fd (-1: without one). */
static int fd_send(int socket, int fd, char *text, size_t n)
{
    union fd_control control = {.head = {.cmsg_level = SOL_SOCKET,
                                         .cmsg_type = SCM_RIGHTS,
                                         .cmsg_len = CMSG_LEN(sizeof fd)}};
    struct iovec iov = {text, n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
    }
    return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int fd_receive(int socket, int *ret_fd, char *text, size_t n)
{
    union fd_control control = {0};
    struct iovec iov = {text, n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    struct cmsghdr *c;

    if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
        return -EIO;
    c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    return 0;
}

/* In a namespace where this user is root and has the ids of the container: mounts are allowed. */
static int mount_in_child(void *opaque)
{
    struct owner_mount *m = opaque;
    struct error err = {0};
    int fd = -1, r = unshare(CLONE_NEWNS) < 0
                         ? error_set_errno(&err, -errno, "make a namespace for mounts")
                         : container_root_mount(m->lower, m->count, m->upper, m->work, &fd, &err);

    err.text[sizeof err.text - 1] = 0;
    return fd_send(m->socket, r < 0 ? -1 : fd, err.text, sizeof err.text) < 0;
}

/*
 * The same for a user who may not mount: the mount outlives the namespaces of the child that made
 * it as long as its descriptor is open.
 */
static int mount_as_owner(const char *const *lower, size_t count, const char *upper,
                          const char *work, int *ret_fd, struct error *err)
{
    struct owner_mount m = {.lower = lower, .count = count, .upper = upper, .work = work};
    char text[ERROR_TEXT_MAX] = "";
    int pair[2], fd = -1, r;

    if (geteuid() == 0)
        return container_root_mount(lower, count, upper, work, ret_fd, err);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, -errno, "make a socket pair");
    m.socket = pair[1];
    r = idmap_run(mount_in_child, &m, err);
    close(pair[1]);
    if (r >= 0) {
        r = fd_receive(pair[0], &fd, text, sizeof text);
        text[sizeof text - 1] = 0;
        if (r < 0 || fd < 0)
            r = error_set(err, r < 0 ? r : -EPERM, "%s", *text ? text : "mount the layers");
        else
            *ret_fd = fd;
    }
    close(pair[0]);
    return r < 0 ? r : 0;
}

static int open_running(const struct engine_place *place, int *ret_fd, struct error *err)
{
    cleanup_free char *state_dir = container_state_dir(place->runtime_dir);
    struct container *c = NULL;
    char path[64];
    pid_t pid;
    int fd, r = state_dir ? container_load(state_dir, place->id, &c, NULL) : -ENOMEM;

    if (r < 0)
        return r;
    pid = container_pid(c);
    container_free(c);
    if (!pid)
        return -ENOENT;
    snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, -errno, "open the container's root");
    *ret_fd = fd;
    return 0;
}

int container_root_open(const struct engine_place *place, int *ret_fd, struct error *err)
{
    struct container_parts p;
    int r = open_running(place, ret_fd, err);

    if (r != -ENOENT)
        return r;
    r = container_parts_layers(place, &p, err);
    if (r == 0 && p.has_overlay) {
        r = mount_as_owner(p.overlay.lower, p.overlay.lower_count, p.upper, p.work, ret_fd, err);
    } else if (r == 0) {
        *ret_fd = open(p.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = *ret_fd < 0 ? error_set_errno(err, -errno, "open %s", p.root) : 0;
    }
    container_parts_done(&p);
    return r;
}

int container_root_files(const struct engine_place *place, int *ret_fd, struct error *err)
{
    struct container_parts p;
    cleanup_fd int root = -1;
    int r = container_parts_layers(place, &p, err);

    /* The branch is one more layer, so that a container that runs keeps its own mount of it. */
    if (r == 0 && p.has_overlay)
        r = mount_as_owner(p.roots, p.root_count, NULL, NULL, &root, err);
    else if (r == 0)
        root = open(p.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r == 0) {
        *ret_fd = root < 0 ? -1 : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = *ret_fd < 0 ? error_set_errno(err, -errno, "open the container's files") : 0;
    }
    container_parts_done(&p);
    return r;
}

/* ---- what the container has changed ---- */

struct walk {
    const struct container_parts *parts;
    bool (*change)(void *opaque, char kind, const char *path);
    void *opaque;
    bool stop;
};

/* What the image has at @path. */
static bool in_layers(const struct walk *w, const char *path, struct stat *ret)
{
    for (size_t i = 0; i < w->parts->overlay.lower_count; i++) {
        cleanup_fd int root = open(w->parts->overlay.lower[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        cleanup_fd int fd = root < 0 ? -1 : root_open(root, path, O_PATH | O_NOFOLLOW, 0);
        if (fd < 0 || fstat(fd, ret) < 0)
            continue;
        return !(S_ISCHR(ret->st_mode) && ret->st_rdev == 0);
    }
    return false;
}

static void tell(struct walk *w, char kind, const char *path)
{
    if (!w->stop)
        w->stop = !w->change(w->opaque, kind, path);
}

/* Directories above what is found, which are told before it: from the top. */
struct above {
    struct above *up;
    const char *path;
    bool told;
};

static void tell_above(struct walk *w, struct above *a)
{
    if (!a || a->told)
        return;
    tell_above(w, a->up);
    a->told = true;
    tell(w, 'C', a->path);
}

static int walk_dir(struct walk *w, int dir, struct above *at, unsigned depth, struct error *err);

static int walk_entry(struct walk *w, int dir, const char *name, struct above *above,
                      bool *hides_some, unsigned depth, struct error *err)
{
    cleanup_free char *path = str_format("%s/%s", above->path, name);
    struct above here = {.up = above, .path = path, .told = true};
    struct stat st, old;
    bool known;
    int fd, r = 0;

    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* gone meanwhile */
    if (mount_mark_hides(dir, name, &st)) {
        *hides_some = true;
        return 0;
    }
    known = in_layers(w, path, &old);
    if (S_ISDIR(st.st_mode) && known && S_ISDIR(old.st_mode) && st.st_mode == old.st_mode &&
        st.st_uid == old.st_uid && st.st_gid == old.st_gid)
        here.told = false; /* it depends on what is in it */
    else
        tell_above(w, above);
    if (here.told)
        tell(w, S_ISCHR(st.st_mode) && st.st_rdev == 0 ? 'D' : known ? 'C' : 'A', path);
    if (!w->stop && S_ISDIR(st.st_mode)) {
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
            r = walk_dir(w, fd, &here, depth + 1, err);
        else
            tell_above(w, &here);
    }
    return r;
}

/*
 * Takes @dir. A directory of the image that the branch has only because of marked mount points is
 * no change; one that is there without any reason that is left is (something came and went).
 */
static int walk_dir(struct walk *w, int dir, struct above *at, unsigned depth, struct error *err)
{
    DIR *d = fdopendir(dir);
    bool hides_some = false;
    struct dirent *e;
    int r = 0;

    if (!d) {
        close(dir);
        return error_set_errno(err, -errno, "read %s", at->path);
    }
    if (depth > DEPTH_MAX)
        r = error_set(err, -ELOOP, "%s: too deep", at->path);
    while (r == 0 && !w->stop && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = walk_entry(w, dirfd(d), e->d_name, at, &hides_some, depth, err);
    }
    closedir(d);
    if (!hides_some)
        tell_above(w, at);
    return r;
}

int container_root_diff(const struct engine_place *place,
                        bool (*change)(void *opaque, char kind, const char *path), void *opaque,
                        struct error *err)
{
    struct container_parts p;
    struct walk w = {.parts = &p, .change = change, .opaque = opaque};
    struct above top = {.path = "", .told = true};
    int fd, r = container_parts_layers(place, &p, err);

    if (r == 0 && !p.has_overlay)
        r = error_set(err, -ENOTSUP,
                      "it runs on a directory (--rootfs): there is no image to "
                      "compare it with");
    if (r == 0) {
        fd = open(p.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? error_set_errno(err, -errno, "open %s", p.upper)
                   : walk_dir(&w, fd, &top, 0, err);
    }
    container_parts_done(&p);
    return r;
}
