/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"

enum { WAITING = 8 };

/* A socket in the way is stale when nobody answers there. */
static int clear_way(const struct sockaddr_un *address, struct error *err)
{
    cleanup_fd int fd = -1;
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return 0;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!S_ISSOCK(st.st_mode) ||
        connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
        errno != ECONNREFUSED)
        return error_set(err, -EADDRINUSE, "%s is there already and in use", address->sun_path);
    unlink(address->sun_path);
    return 0;
}

int listen_unix(const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;
    int r;

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    r = clear_way(&address, err);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, 0600) < 0 || listen(fd, WAITING) < 0)
        return error_set_errno(err, -errno, "listen on %s", path);
    return steal_fd(&fd);
}

int listen_loopback(uint16_t port, struct error *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, WAITING) < 0)
        return error_set_errno(err, -errno, "listen on 127.0.0.1:%u", port);
    return steal_fd(&fd);
}
