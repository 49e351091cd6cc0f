/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks that run in the runtime's namespaces (runtime-spec, "POSIX-platform Hooks"). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "container/container_internal.h"

int text_fd(const char *text)
{
    cleanup_fd int fd = memfd_create("isola-state", MFD_CLOEXEC);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    return steal_fd(&fd);
}

static int spawn_hook(const struct oci_hook *hook, int state, pid_t *ret_pid)
{
    static char *no_env[] = {NULL};
    char *own_args[] = {(char *)hook->path, NULL};
    posix_spawn_file_actions_t actions;
    int r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawn_file_actions_adddup2(&actions, state, 0);
    if (r == 0)
        r = -posix_spawn(ret_pid, hook->path, &actions, NULL,
                         hook->args.n ? (char **)hook->args.v : own_args,
                         hook->env.v ? (char **)hook->env.v : no_env);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int run_hook(const struct oci_hook *hook, const char *state, const char *name,
                    struct error *err)
{
    cleanup_fd int in = text_fd(state);
    pid_t pid;
    if (in < 0)
        return error_set_errno(err, -errno, "%s hook %s", name, hook->path);
    int r = spawn_hook(hook, in, &pid);
    if (r < 0)
        return error_set_errno(err, r, "%s hook %s", name, hook->path);
    cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool late = false;
    if (hook->timeout.set && pidfd >= 0) {
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        late = poll(&p, 1, (int)hook->timeout.value * 1000) == 0;
    }
    if (late)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (late)
        return error_set(err, -ETIMEDOUT, "%s hook %s: still running after %lld seconds", name,
                         hook->path, (long long)hook->timeout.value);
    if (WIFSIGNALED(status))
        return error_set(err, -EIO, "%s hook %s: ended by signal %d", name, hook->path,
                         WTERMSIG(status));
    if (WEXITSTATUS(status))
        return error_set(err, -EIO, "%s hook %s: exit code %d", name, hook->path,
                         WEXITSTATUS(status));
    return 0;
}

int hooks_run_all(const struct oci_hooks *hooks, const char *state, const char *name,
                  struct error *err)
{
    for (size_t i = 0; i < hooks->n; i++) {
        int r = run_hook(&hooks->v[i], state, name, err);
        if (r < 0)
            return r;
    }
    return 0;
}
