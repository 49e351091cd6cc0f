/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binds that the container cannot make itself: what an idmapped mount needs (privilege over the
 * file system) and what a user namespace cannot see.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"
#include "container/plan_build.h"

static _Noreturn int pause_forever(void *unused)
{
    (void)unused;
    for (;;)
        pause();
}

/* A user namespace with the given maps, held by nobody but its descriptor. New. */
static int userns_with_maps(const struct oci_id_maps *uids, const struct oci_id_maps *gids,
                            int *ret_fd, struct error *err)
{
    char stack[4096] __attribute__((aligned(16)));
    pid_t pid =
        clone(pause_forever, stack + sizeof stack, CLONE_NEWUSER | CLONE_VM | SIGCHLD, NULL);
    if (pid < 0)
        return error_set_errno(err, -errno, "make a user namespace for idmapped mounts");
    int r = id_maps_write(pid, uids, gids, err);
    cleanup_free char *path = str_format("/proc/%d/ns/user", pid);
    int fd = r == 0 && path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (r == 0 && fd < 0)
        r = error_set_errno(err, -errno, "open the user namespace of an idmapped mount");
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r == 0)
        *ret_fd = fd;
    return r;
}

static int idmap(int tree, int userns, bool recursive, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                sizeof attr) < 0)
        return error_set_errno(err, -errno,
                               errno == EINVAL
                                   ? "idmap the mount (its file system may not support it)"
                                   : "idmap the mount");
    return 0;
}

/* The mappings of @mount (may be NULL), else the container's. */
static int open_maps(const struct oci_config *config, const struct oci_mount *mount,
                     int *ret_userns, struct error *err)
{
    bool own = mount && mount->uid_mappings.n;
    const struct oci_id_maps *uids = own ? &mount->uid_mappings : &config->uid_mappings;
    const struct oci_id_maps *gids = own ? &mount->gid_mappings : &config->gid_mappings;
    if (!uids->n || !gids->n)
        return error_set(err, -EINVAL, "idmap without mappings of the mount or the container");
    return userns_with_maps(uids, gids, ret_userns, err);
}

static int clone_tree(const char *source, bool recursive, struct error *err)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, source,
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));
    return fd < 0 ? error_set_errno(err, -errno, "bind %s", source) : fd;
}

int mount_prepare(const struct oci_config *config, const struct oci_mount *mount,
                  const char *source, bool recursive, bool idmap_recursive, int *ret_fd,
                  struct error *err)
{
    cleanup_fd int userns = -1;
    cleanup_fd int tree = clone_tree(source, recursive, err);
    if (tree < 0)
        return tree;
    int r = mount ? open_maps(config, mount, &userns, err) : 0;
    if (r == 0 && mount)
        r = idmap(tree, userns, idmap_recursive, err);
    if (r == 0)
        *ret_fd = steal_fd(&tree);
    return r;
}

/* Takes @fd for init (or is told a failure by its being negative). */
static int keep(struct plan_builder *b, int fd, struct error *err)
{
    if (fd < 0)
        return fd;
    int r = plan_add_fd(b, fd, err);
    return r < 0 ? r : fd;
}

/* The branch and its work directory must lie on one mount: the one of the directory above both. */
static int open_branch(struct plan_builder *b, const struct container_overlay *o, int userns,
                       int ret_fds[3], struct error *err)
{
    const char *upper = strrchr(o->upper, '/'), *work = strrchr(o->work, '/');
    size_t n = upper ? (size_t)(upper - o->upper) : 0;
    if (!n || !work || (size_t)(work - o->work) != n || strncmp(o->upper, o->work, n) != 0)
        return error_set(err, -EINVAL, "upper and work are not beside each other");
    cleanup_free char *above = strndup(o->upper, n);
    if (!above)
        return error_set(err, -ENOMEM, "out of memory");
    int tree = keep(b, clone_tree(above, false, err), err);
    int r = tree < 0 ? tree : idmap(tree, userns, false, err);
    if (r < 0)
        return error_wrap(err, r, "%s", above);
    ret_fds[2] = tree;
    for (int i = 0; i < 2; i++) {
        const char *name = i ? work + 1 : upper + 1;
        int fd = openat(tree, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return error_set_errno(err, -errno, "open %s/%s", above, name);
        ret_fds[i] = keep(b, fd, err);
        if (ret_fds[i] < 0)
            return ret_fds[i];
    }
    return 0;
}

/*
 * The layers are idmapped here, where the privilege for it is; the overlay is put together inside,
 * so that it acts as the container's root. A detached mount is dissolved when the descriptor that
 * made it is closed: init inherits them all.
 */
int overlay_prepare(struct plan_builder *b, const struct oci_config *config,
                    const struct container_overlay *o, struct error *err)
{
    cleanup_fd int userns = -1;
    cleanup_free struct plan_option *options = mem_alloc(o->lower_count + 4, sizeof *options);
    size_t n = 0;
    cleanup_free int32_t *trees = mem_alloc(o->lower_count + 1, sizeof *trees);
    size_t tree_count = 0;
    int branch[3] = {-1, -1, -1};
    int r = options && trees ? open_maps(config, NULL, &userns, err)
                             : error_set(err, -ENOMEM, "out of memory");
    uint32_t lower = plan_add_text(b, "lowerdir+");
    for (size_t i = 0; r == 0 && i < o->lower_count; i++) {
        int fd = keep(b, clone_tree(o->lower[i], false, err), err);
        r = fd < 0 ? fd : idmap(fd, userns, false, err);
        if (r < 0)
            return error_wrap(err, r, "%s", o->lower[i]);
        options[n++] = (struct plan_option){.key = lower, .fd = fd};
        trees[tree_count++] = fd;
    }
    if (r == 0 && o->upper) {
        r = open_branch(b, o, userns, branch, err);
        options[n++] = (struct plan_option){.key = plan_add_text(b, "upperdir"), .fd = branch[0]};
        options[n++] = (struct plan_option){.key = plan_add_text(b, "workdir"), .fd = branch[1]};
        trees[tree_count++] = branch[2];
    }
    if (r < 0)
        return r;
    options[n++] = (struct plan_option){.key = plan_add_text(b, "userxattr"), .fd = -1};
    if (o->upper && o->discard)
        options[n++] = (struct plan_option){.key = plan_add_text(b, "volatile"), .fd = -1};
    b->plan.overlay = plan_add_records(b, options, n, sizeof *options);
    b->plan.overlay_trees = plan_add_records(b, trees, tree_count, sizeof *trees);
    return 0;
}
