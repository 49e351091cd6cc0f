/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/root_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

enum { TRIES = 64, TEXT_MAX = 4096 };

int root_open(int root, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC,
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd = -EAGAIN;

    /* EAGAIN: a rename or mount raced with "..". */
    for (int i = 0; i < TRIES; i++) {
        fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd < 0 ? -errno : (int)fd;
}

int root_make_dirs(int root, const char *path, mode_t mode)
{
    char part[TEXT_MAX];
    size_t n = strlen(path);
    int fd;

    if (n >= sizeof part)
        return -ENAMETOOLONG;
    /* Each step is opened from the root again, so that links are followed as they are now. */
    for (size_t i = 0; i <= n; i++) {
        cleanup_fd int parent = -1;
        const char *slash, *name;
        if ((path[i] && path[i] != '/') || !i || path[i - 1] == '/')
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        fd = root_open(root, part, O_DIRECTORY | O_RDONLY, 0);
        if (fd >= 0) {
            close(fd);
            continue;
        }
        if (fd != -ENOENT)
            return fd;
        slash = strrchr(part, '/');
        name = slash ? slash + 1 : part;
        if (slash)
            part[slash - part] = 0;
        parent = root_open(root, slash ? part : ".", O_DIRECTORY | O_RDONLY, 0);
        if (parent < 0)
            return parent;
        if (mkdirat(parent, name, mode) < 0)
            return -errno;
    }
    return root_open(root, path, O_DIRECTORY | O_RDONLY, 0);
}
