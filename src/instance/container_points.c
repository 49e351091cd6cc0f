/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_points.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/home.h"

/* The number changes with what is in it: containers that run keep the one they have. */
#define POINTS "mount-points-1"

static const struct {
    const char *path;
    bool directory;
} points[] = {{"dev", true},
              {"proc", true},
              {"sys", true},
              {"etc", true},
              {"etc/hosts", false},
              {"etc/hostname", false},
              {"etc/resolv.conf", false}};

static int set_mode(int fd, mode_t mode)
{
    return fd < 0 || fchmod(fd, mode) < 0 ? -errno : 0;
}

static int make_point(int top, const char *path, bool directory)
{
    if (directory && mkdirat(top, path, 0755) < 0)
        return -errno;
    cleanup_fd int fd = directory
                            ? openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                            : openat(top, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return set_mode(fd, directory ? 0755 : 0644);
}

static int fill(int top)
{
    int r = set_mode(top, 0755);

    for (size_t i = 0; r == 0 && i < array_size(points); i++)
        r = make_point(top, points[i].path, points[i].directory);
    return r;
}

/* Under a name of its own first: whoever finds it finds all of it. */
static int make(int data)
{
    char name[48];
    int r;

    snprintf(name, sizeof name, ".%s-%d", POINTS, (int)getpid());
    home_remove_tree(data, name);
    if (mkdirat(data, name, 0755) < 0)
        return -errno;
    cleanup_fd int top = openat(data, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = top < 0 ? -errno : fill(top);
    if (r == 0 && renameat(data, name, data, POINTS) < 0)
        r = errno == EEXIST || errno == ENOTEMPTY ? 1 : -errno; /* another was faster */
    if (r != 0)
        home_remove_tree(data, name);
    return r;
}

char *container_mount_points(const char *data_dir)
{
    cleanup_fd int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (data < 0 || (faccessat(data, POINTS, F_OK, 0) < 0 && make(data) < 0))
        return NULL;
    return str_format("%s/%s", data_dir, POINTS);
}
