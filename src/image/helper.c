/* SPDX-License-Identifier: Apache-2.0 */
#include "image/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/own.h"

enum { OUTPUT_MAX = 64 * 1024, PATIENCE_SECONDS = 120 };

extern char **environ;

static bool name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return n && n < 64 && !name[n] && name[0] != '.';
}

static int start(const char *program, const char *verb, int in, int out, pid_t *ret)
{
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)verb, NULL};
    posix_spawn_file_actions_t actions;
    int r;

    if (posix_spawn_file_actions_init(&actions))
        return -ENOMEM;
    r = posix_spawn_file_actions_adddup2(&actions, in, 0);
    if (!r)
        r = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!r)
        r = posix_spawnp(ret, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static time_t seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* Writes @input, closes that side, and reads until the end. @fd is a connected socket. */
static int talk(int fd, const char *input, struct str *output)
{
    size_t left = strlen(input);
    time_t end = seconds() + PATIENCE_SECONDS;
    char piece[4096];

    for (;;) {
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (left ? POLLOUT : 0))};
        int r = poll(&p, 1, 1000);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r <= 0) {
            if (seconds() >= end)
                return -ETIMEDOUT;
            continue;
        }
        if (left && p.revents & (POLLOUT | POLLERR | POLLHUP)) {
            ssize_t n = send(fd, input, left, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n > 0) {
                input += n;
                left -= (size_t)n;
            } else if (errno != EAGAIN && errno != EINTR) {
                left = 0; /* it does not read; its answer is what counts */
            }
            if (!left)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
            if (n == 0)
                return 0;
            /* A helper that did not read its input resets the socket; what it wrote follows. */
            if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNRESET)
                return -errno;
            if (n > 0)
                str_add_n(output, piece, (size_t)n);
            if (output->failed || output->len > OUTPUT_MAX)
                return -E2BIG;
        }
    }
}

int helper_run(const char *name, const char *verb, const char *input, struct str *output,
               struct error *err)
{
    cleanup_free char *program = str_format("docker-credential-%s", name);
    int pair[2], status = 0, r;
    pid_t pid;

    if (!name_valid(name))
        return error_set(err, -EINVAL, "\"%s\" cannot name a credential helper", name);
    if (!program)
        return error_set_errno(err, -ENOMEM, "run a credential helper");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, -errno, "run %s", program);
    r = start(program, verb, pair[1], pair[1], &pid);
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        return error_set_errno(err, r == -ENOENT ? -ENOPKG : r,
                               "run the credential helper %s; is it installed", program);
    }
    r = talk(pair[0], input, output);
    close(pair[0]);
    if (r < 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return error_set_errno(err, r, "talk to the credential helper %s", program);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        /* The words of Docker's own helpers. */
        if (strstr(str_text(output), "not found"))
            return error_set(err, -ENOENT, "%s knows nothing", program);
        return error_set(err, -EIO, "the credential helper %s failed: %.*s", program,
                         (int)strcspn(str_text(output), "\r\n"), str_text(output));
    }
    return 0;
}
