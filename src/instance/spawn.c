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

/* In the child: @sock and those of @origin are its only descriptors but the standard ones. */
static int set_descriptors(int sock, int log, const struct engine_origin *origin)
{
    enum { ABOVE = SUPERVISOR_STARTER_FD + 1 + ENGINE_ORIGIN_FDS };
    int null = open("/dev/null", O_RDWR), from[4 + ENGINE_ORIGIN_FDS], count = 0;

    from[count++] = null;
    from[count++] = null;
    from[count++] = log >= 0 ? log : null;
    from[count++] = sock;
    for (unsigned i = 0; origin && i < origin->count; i++)
        from[count++] = origin->fds[i];
    for (int i = 0; i < count; i++) { /* out of the way first: the numbers overlap */
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE);
        if (from[i] < 0)
            return -errno;
    }
    for (int i = 0; i < count; i++)
        if (dup2(from[i], i) < 0)
            return -errno;
    close_range((unsigned)count, ~0u, 0);
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
                                        const struct engine_origin *origin, bool forked, int sock,
                                        int log)
{
    char fds[16];
    char *const argv[] = {(char *)"isola", (char *)"supervise", (char *)i->id, origin ? fds : NULL,
                          NULL};

    snprintf(fds, sizeof fds, "%u", origin ? origin->count : 0);
    if (set_descriptors(sock, log, origin) < 0)
        _exit(125);
    reset_signals();
    setsid();
    if (forked) {
        fcntl(SUPERVISOR_STARTER_FD, F_SETFD, FD_CLOEXEC);
        set_title(i->id);
        _exit(instance_supervise(home, i->id, origin ? origin->count : 0));
    }
    execv(home->program, argv);
    _exit(125);
}

int supervisor_spawn(struct instances *home, const struct instance *i,
                     const struct engine_origin *origin, int *ret_fd, struct error *err)
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
        become_supervisor(home, i, origin, forked, pair[1], log);
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
