/* SPDX-License-Identifier: Apache-2.0 */
/* Starts supervisors. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/crash.h"
#include "instance/engine.h"
#include "instance/home.h"
#include "instance/supervisor.h"

/* A descriptor as number @at; onto itself, dup2 would keep close-on-exec. */
static int place_fd(int fd, int at)
{
    return fd == at ? fcntl(fd, F_SETFD, 0) : dup2(fd, at);
}

/* In the child: @sock is its only descriptor but the standard ones. */
static int set_descriptors(int sock, int log)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || place_fd(null, 0) < 0 || place_fd(null, 1) < 0 ||
        place_fd(log >= 0 ? log : null, 2) < 0 || place_fd(sock, SUPERVISOR_STARTER_FD) < 0)
        return -errno;
    close_range(SUPERVISOR_STARTER_FD + 1, ~0u, 0);
    return 0;
}

/* As execution would leave it. */
static void reset_signals(void)
{
    sigset_t none;

    for (int n = 1; n < NSIG; n++)
        signal(n, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What ps shows: the arguments lie one after the other, with the environment behind them. */
static void set_title(const char *id)
{
    char *from = program_invocation_name, *to = environ ? environ[0] : NULL;
    cleanup_free char *title = str_format("isola supervise %s", id);

    prctl(PR_SET_NAME, "isola");
    if (!title || !to || to <= from || to - from > 1 << 20)
        return;
    memset(from, 0, (size_t)(to - from));
    snprintf(from, (size_t)(to - from), "%s", title);
}

static _Noreturn void become_supervisor(struct instances *home, const struct instance *i,
                                        bool forked, int sock, int log)
{
    char *const argv[] = {(char *)"isola", (char *)"supervise", (char *)i->id, NULL};

    if (set_descriptors(sock, log) < 0)
        _exit(125);
    reset_signals();
    setsid();
    if (forked) {
        fcntl(SUPERVISOR_STARTER_FD, F_SETFD, FD_CLOEXEC);
        set_title(i->id);
        _exit(instance_supervise(home, i->id));
    }
    execv(home->program, argv);
    _exit(125);
}

int supervisor_spawn(struct instances *home, const struct instance *i, int *ret_fd,
                     struct error *err)
{
    const struct engine_ops *ops = engine_find(home->engines, i->spec->wall, NULL);
    cleanup_free char *log_path = home_path(home, i->id, "supervisor.log");
    cleanup_fd int log =
        log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)
                 : -1;
    bool forked = ops && ops->forked;
    int pair[2], status;
    pid_t child, waited;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, -errno, "create a socket");
    if (forked)
        store_rest(home->store);
    crash_point();
    child = fork();
    if (child == 0) {
        /* Twice, so that it belongs to init and not to us. */
        pid_t second = fork();
        if (second != 0)
            _exit(second < 0 ? 1 : 0);
        become_supervisor(home, i, forked, pair[1], log);
    }
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        return error_set_errno(err, -errno, "create a process");
    }
    do
        waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    crash_point();
    if (waited != child || status != 0) {
        close(pair[0]);
        return error_set(err, -EAGAIN, "create a process: too many");
    }
    *ret_fd = pair[0];
    return 0;
}
