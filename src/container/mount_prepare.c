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

static int idmap(int tree, const struct oci_config *config, const struct oci_mount *mount,
                 bool recursive, struct error *err)
{
    const struct oci_id_maps *uids = &mount->uid_mappings, *gids = &mount->gid_mappings;
    cleanup_fd int userns = -1;
    if (!uids->n) {
        uids = &config->uid_mappings;
        gids = &config->gid_mappings;
    }
    if (!uids->n)
        return error_set(err, -EINVAL, "idmap without mappings of the mount or the container");
    int r = userns_with_maps(uids, gids, &userns, err);
    if (r < 0)
        return r;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr,
                sizeof attr) < 0)
        return error_set_errno(err, -errno,
                               errno == EINVAL
                                   ? "idmap the mount (its file system may not support it)"
                                   : "idmap the mount");
    return 0;
}

int mount_prepare(const struct oci_config *config, const struct oci_mount *mount,
                  const char *source, bool recursive, bool idmap_recursive, int *ret_fd,
                  struct error *err)
{
    cleanup_fd int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, source,
                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));
    if (tree < 0)
        return error_set_errno(err, -errno, "bind %s", source);
    int r = mount ? idmap(tree, config, mount, idmap_recursive, err) : 0;
    if (r == 0)
        *ret_fd = steal_fd(&tree);
    return r;
}
