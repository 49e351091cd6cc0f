/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isola exec: a process beside the command that joins the container's namespaces for another
 * process, holds its streams and serves them as a supervisor serves a console. The supervisor has
 * no part in it and so needs no right for it. When the user detaches, this process stays until its
 * child ends.
 */
#include "instance/container_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "container/container.h"
#include "image/store.h"
#include "instance/container_config.h"
#include "instance/container_engine.h"
#include "instance/container_io.h"
#include "instance/container_sources.h"
#include "instance/control.h"

#define DRAIN_NS (2ull * 1000000000)

struct relay {
    const struct engine_place *place;
    const struct instance_exec *exec;
    struct loop *loop;
    struct console *console;
    struct control *control;
    struct container_io *io;
    struct loop_timer *drain;
    struct loop_fd *watch;
    int pidfd, exit_code;
    bool started, ended, drained, over;
};

int container_exec_in(const struct engine_place *place, struct container *c,
                      const struct instance_exec *exec, const int stdio[3], unsigned columns,
                      unsigned rows, int *ret_pidfd, int *ret_console, struct error *err)
{
    const struct spec *spec = place->spec;
    struct image_store *store = NULL;
    struct image *image = NULL;
    struct container_user user;
    struct oci_config *config = NULL;
    struct str text = {0};
    char root[64];
    const char *roots[] = {root, NULL}, *name = exec->user ? exec->user : spec->container.user;
    pid_t pid = container_pid(c), child;
    int r = pid ? 0 : error_set(err, -ESTALE, "it does not run now");

    snprintf(root, sizeof root, "/proc/%d/root", (int)pid);
    if (r == 0 && spec->image) {
        store = container_store_open(place->data_dir, err);
        r = store ? image_find(store, spec->container.image_id, NULL, &image, err) : err->code;
    }
    if (r == 0 && !name && image)
        name = image->config.user;
    if (r == 0)
        r = container_user_find(roots, 1, name, &spec->container.groups, &user, err);
    if (r == 0) {
        const struct container_exec_request q = {.words = exec->words,
                                                 .env = exec->env,
                                                 .workdir = exec->workdir,
                                                 .user = &user,
                                                 .tty = exec->tty,
                                                 .privileged = exec->privileged ||
                                                               spec->container.privileged};
        r = container_process_make(spec, image ? &image->config : NULL, place->id, &q, &text, err);
    }
    if (r == 0)
        r = oci_config_parse_process(str_text(&text), text.len, &config, err);
    if (r == 0) {
        const struct container_exec x = {.process = &config->process,
                                         .stdio = {stdio[0], stdio[1], stdio[2]},
                                         .console_socket = -1,
                                         .columns = columns,
                                         .rows = rows,
                                         .best_effort = true};
        r = container_exec(c, &x, &child, ret_pidfd, ret_console, err);
    }
    str_done(&text);
    oci_config_free(config);
    image_free(image);
    image_store_close(store);
    return r;
}

static void finish(struct relay *x)
{
    if (!x->ended || !x->drained || x->over)
        return;
    x->over = true;
    control_ended(x->control, x->exit_code, NULL);
    loop_quit(x->loop, 1);
}

static void on_drained(void *opaque)
{
    struct relay *x = opaque;

    x->drained = true;
    finish(x);
}

static void on_exit_of_it(void *opaque, int fd, unsigned events)
{
    struct relay *x = opaque;
    siginfo_t info = {0};

    loop_remove_fd(x->watch);
    x->watch = NULL;
    x->exit_code = 255;
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0)
        x->exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    x->ended = true;
    if (x->exec->detach || container_io_flush(x->io))
        x->drained = true;
    else
        loop_timer_set(x->drain, loop_now_ns() + DRAIN_NS);
    finish(x);
}

static int run(struct relay *x, const struct protocol_request *q, struct error *err)
{
    cleanup_free char *state_dir = container_state_dir(x->place->runtime_dir);
    int stdio[3] = {-1, -1, -1}, master = -1, r;
    struct container *c = NULL;

    x->io = container_io_new(x->loop, console_chardev(x->console), console_errors(x->console),
                             x->exec->tty, x->exec->interactive, err);
    if (!x->io || !state_dir)
        return -ENOMEM;
    if (!x->exec->detach)
        container_io_ends(x->io, stdio);
    r = container_load(state_dir, x->place->id, &c, err);
    if (r == 0)
        r = container_exec_in(x->place, c, x->exec, stdio, q->columns, q->rows, &x->pidfd,
                              x->exec->tty ? &master : NULL, err);
    container_free(c);
    container_io_started(x->io);
    if (r == 0 && master >= 0)
        r = container_io_console(x->io, master, err);
    if (r == 0)
        r = container_io_run(x->io, on_drained, x, err);
    if (r < 0)
        return r;
    x->watch = loop_add_fd(x->loop, x->pidfd, LOOP_READ, on_exit_of_it, x, err);
    return x->watch ? 0 : err->code;
}

static void on_request(void *opaque, struct control_client *client,
                       const struct protocol_request *q)
{
    struct relay *x = opaque;
    struct error err = {0};
    int r = 0;

    if (q->verb != PROTOCOL_START || x->started) {
        control_fail(client, -EINVAL, "only one start is served here");
        return;
    }
    x->started = true;
    r = run(x, q, &err);
    if (r < 0) {
        control_fail(client, r, error_text(&err));
        loop_quit(x->loop, 1);
    } else {
        control_upgrade(client, q);
    }
}

/* Before a start nobody is left to serve; after it the process is waited for all the same. */
static void on_gone(void *opaque, struct control_client *client)
{
    struct relay *x = opaque;

    if (!x->started)
        loop_quit(x->loop, 1);
}

static void last_words(struct relay *x)
{
    uint64_t until = loop_now_ns() + DRAIN_NS;

    while (control_busy(x->control) && loop_now_ns() < until)
        if (loop_step(x->loop, 50, NULL) < 0)
            return;
}

/* Nothing of the command's may be held by a process that can outlive it. */
static void detach_from_command(int keep)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, ~0u, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_NAME, "isola-exec");
}

int container_exec_serve(const struct engine_place *place, const struct instance_exec *exec, int fd)
{
    struct relay x = {.place = place, .exec = exec, .pidfd = -1};
    struct error err = {0};

    detach_from_command(fd);
    x.loop = loop_new(&err);
    if (x.loop)
        x.console = console_new(x.loop, NULL, &err);
    if (x.console)
        x.control = control_new(x.loop, place->id, x.console, on_request, &x, &err);
    if (x.control)
        x.drain = loop_timer_new(x.loop, on_drained, &x);
    if (!x.drain)
        return 1;
    control_set_gone(x.control, on_gone);
    if (!control_add(x.control, fd, &err) || loop_run(x.loop, &err) < 0)
        return 1;
    last_words(&x);
    return 0;
}
