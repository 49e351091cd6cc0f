/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor: one process per running instance.
 *
 * It takes the instance's lock, opens log, console and engine, serves the control socket and runs
 * one loop. All work happens in callbacks of the loop, under its lock (the machine's, once there is
 * one); what must not happen inside a callback - to build, start or free an engine - happens
 * between two runs of the loop, in supervise().
 *
 * How an end is made known, in this order, so that a kill between any two steps leaves a truth:
 * status file (in place), store, event, clients, socket, lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/client.h"
#include "instance/confine.h"
#include "instance/control.h"
#include "instance/crash.h"
#include "instance/engine.h"
#include "instance/home.h"
#include "instance/json.h"
#include "instance/supervisor.h"
#include "instance/supervisor_internal.h"

/* The loop, locks, files in place, and the end; the C library's memory, clocks and aborts. */
/* syscalls: brk chdir clock_getres clock_gettime clock_nanosleep close epoll_create1 epoll_ctl
 * epoll_pwait2 eventfd2 exit exit_group fcntl futex getdents64 getpid getrandom gettid
 * gettimeofday madvise mkdir mmap mprotect mremap munmap nanosleep newfstatat openat prctl pwrite64
 * read restart_syscall rmdir rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait
 * signalfd4 sigaltstack sysinfo time unlink unlinkat write writev */

#define BACKOFF_MIN_NS  (100ull * 1000000)
#define BACKOFF_MAX_NS  (60ull * 1000000000)
#define RAN_WELL_NS     (10ull * 1000000000)
#define LAST_WORDS_NS   (3ull * 1000000000)
#define LOCK_ATTEMPT_NS (3 * 1000000)
enum { LOCK_ATTEMPTS = 3333 };

void supervisor_leave(struct supervisor *s, enum leave why)
{
    s->leave = max_of(s->leave, why);
    loop_quit(s->loop, why);
}

/* The engine is to be taken down; how it ended is what was said first. */
void supervisor_end(struct supervisor *s, int exit_code, const char *reason)
{
    if (s->ending)
        return;
    s->ending = true;
    s->exit_code = exit_code;
    snprintf(s->reason, sizeof s->reason, "%s", reason ? reason : "");
    for (char *p = s->reason; *p; p++) /* one line */
        if ((unsigned char)*p < ' ')
            *p = ' ';
    supervisor_leave(s, LEAVE_END);
}

static void engine_ended(void *opaque, int exit_code, const char *reason)
{
    struct supervisor *s = opaque;

    if (s->killed)
        return;
    s->reboot = exit_code == ENGINE_REBOOT;
    supervisor_end(s, s->reboot ? 0 : exit_code, s->reboot ? "it reboots" : reason);
}

/* Writes the record with new values, where it still is as we know it. */
int supervisor_record(struct supervisor *s, enum lifecycle_state from, unsigned run,
                      struct error *err)
{
    int r = store_update(s->home->store, s->i, run, from, err);

    if (r < 0)
        log_error("supervisor", "%s: %s", s->i->name, error_text(err));
    return r;
}

static void set_reason(struct supervisor *s, const char *reason)
{
    free(s->i->reason);
    s->i->reason = reason && *reason ? strdup(reason) : NULL;
}

/* ---- between runs of the loop ---- */

static void terminal_size(void *opaque, unsigned *ret_columns, unsigned *ret_rows)
{
    struct supervisor *s = opaque;

    console_size(s->console, ret_columns, ret_rows);
}

static void engine_event(void *opaque, const char *action)
{
    struct supervisor *s = opaque;

    event_append(s->home, action, s->i, -1, NULL);
}

static void let_go(struct supervisor *s)
{
    if (s->held >= 0)
        close(steal_fd(&s->held));
}

/* A start that succeeded or failed needs it no more; the next one boots. */
static void drop_origin(struct supervisor *s)
{
    while (s->origin.count)
        close(s->origin.fds[--s->origin.count]);
}

static int engine_up(struct supervisor *s, bool again, struct error *err)
{
    struct engine_env env = {.spec = s->i->spec,
                             .data_dir = s->home->data,
                             .runtime_dir = s->home->run,
                             .dir = s->dir,
                             .errors = console_errors(s->console),
                             .size = terminal_size,
                             .event = engine_event,
                             .start_code = &s->start_code,
                             .id = s->i->id,
                             .name = s->i->name,
                             .loop = s->loop,
                             .paused = s->i->spec->paused && !again,
                             .again = again,
                             .spent = &s->spent,
                             .origin = s->origin.count ? &s->origin : NULL,
                             .console = console_chardev(s->console),
                             .debug_console = console_debug(s->console),
                             .ended = engine_ended,
                             .opaque = s};

    int r;

    let_go(s);
    s->ending = s->killed = s->asked = s->reboot = false;
    s->start_code = INSTANCE_EXIT_OWN;
    r = s->ops->create(&env, &s->engine, err);
    drop_origin(s);
    return r;
}

static void engine_down(struct supervisor *s)
{
    let_go(s);
    if (s->engine && s->ops->hold)
        s->held = s->ops->hold(s->engine);
    if (s->engine)
        s->ops->destroy(s->engine);
    s->engine = NULL;
    loop_set_lock(s->loop, NULL, NULL, NULL);
    console_detach_device(s->console);
    log_file_flush(s->log);
}

/* The record says that it runs, and only then it does. */
static int record_start(struct supervisor *s, bool again, struct error *err)
{
    struct instance *i = s->i, old = *i;
    struct home_status status = {.run = i->run + !again};
    int r;

    snprintf(status.socket, sizeof status.socket, "%s", s->socket);
    crash_point();
    r = home_write_status(s->home, i->id, &status, err);
    if (r < 0)
        return r;
    crash_point();
    i->run = status.run;
    i->state = i->spec->paused && !again ? LIFECYCLE_PAUSED : LIFECYCLE_RUNNING;
    i->pid = getpid();
    i->started = home_now();
    i->exit_code = 0;
    i->reason = NULL;
    if (!again) {
        i->finished = 0;
        i->restarts = 0;
    }
    r = supervisor_record(s, old.state, old.run, err);
    crash_point();
    if (r < 0) {
        *i = old;
        return r;
    }
    free(old.reason);
    return 0;
}

/* Creates and starts the engine. @again: by restart policy. */
static int start(struct supervisor *s, bool again, struct error *err)
{
    int r = engine_up(s, again, err);

    if (r < 0)
        return r;
    if (!again && !s->ops->confines_itself) {
        r = confine_privileges(s->i->spec->restart != SPEC_RESTART_NO, err);
        if (r < 0)
            return r;
    }
    r = record_start(s, again, err);
    if (r < 0)
        return r;
    event_append(s->home, again ? "restart" : "start", s->i, -1, NULL);
    s->started_ns = loop_now_ns();
    return 0;
}

/* Answers who asked for the start; its stream exists before the first instruction. */
static void answer_start(struct supervisor *s, int r, const struct error *err)
{
    struct control_client *client = s->start_client;

    s->start_client = NULL;
    if (!client)
        return;
    if (r < 0)
        control_fail(client, r, error_text(err));
    else if (s->start_request.stream)
        control_upgrade(client, &s->start_request);
    else
        control_reply(client, supervisor_state(s));
}

static bool wants_restart(const struct supervisor *s)
{
    const struct spec *spec = s->i->spec;

    if (s->asked || s->killed)
        return false;
    if (s->reboot)
        return true;
    if (s->spent && spec->restart != SPEC_RESTART_NO) {
        log_warn("supervisor",
                 "%s was started without a restart policy and gave up the rights for it: the new "
                 "one holds from the next start on",
                 s->i->name);
        return false;
    }
    switch (spec->restart) {
    case SPEC_RESTART_NO:
        return false;
    case SPEC_RESTART_ON_FAILURE:
        return s->exit_code != 0 && (!spec->restart_max || s->i->restarts < spec->restart_max);
    case SPEC_RESTART_ALWAYS:
    case SPEC_RESTART_UNLESS_STOPPED:
        return true;
    }
    return false;
}

/*
 * --rm: the record that would be written goes instead; the directory follows once the clients know
 * of the end. False: the record stays for now, and is to be written.
 */
static bool forget_record(struct supervisor *s, enum lifecycle_state from)
{
    struct instance *i = s->i;
    enum lifecycle_state next = i->state;
    struct error err = {0};
    int r;

    event_append(s->home, "die", i, i->exit_code, i->reason);
    i->state = from;
    r = record_forget(s->home, i, &err);
    i->state = next;
    if (r < 0)
        log_error("supervisor", "%s", error_text(&err));
    s->forgotten = r >= 0;
    return s->forgotten;
}

static void record_end(struct supervisor *s, enum lifecycle_verb verb)
{
    struct instance *i = s->i;
    enum lifecycle_state from = i->state;
    const struct lifecycle_cell *cell = lifecycle_cell(from, verb);
    struct error err = {0};

    i->state = cell->next;
    i->exit_code = s->exit_code;
    i->finished = home_now();
    set_reason(s, s->reason);
    if (verb == LIFECYCLE_ENDED) {
        struct home_status status = {
            .run = i->run, .ended = true, .exit_code = i->exit_code, .finished = i->finished};
        snprintf(status.socket, sizeof status.socket, "%s", s->socket);
        snprintf(status.reason, sizeof status.reason, "%s", s->reason);
        i->pid = 0;
        crash_point();
        if (home_write_status(s->home, i->id, &status, &err) < 0)
            log_error("supervisor", "%s", error_text(&err));
    } else {
        i->restarts++;
    }
    crash_point();
    if (verb == LIFECYCLE_ENDED && i->spec->rm && forget_record(s, from))
        return;
    supervisor_record(s, from, i->run, &err);
    crash_point();
    event_append(s->home, "die", i, i->exit_code, i->reason);
}

/* After an end: arranges the restart (true) or writes the last record (false). */
static bool finish(struct supervisor *s)
{
    uint64_t now = loop_now_ns();
    bool again;
    char text[512];

    loop_timer_clear(s->timer);
    engine_down(s);
    again = wants_restart(s);
    if (!again) {
        record_end(s, LIFECYCLE_ENDED);
        return false;
    }
    if (!s->backoff_ns || now - s->started_ns >= RAN_WELL_NS)
        s->backoff_ns = BACKOFF_MIN_NS;
    else
        s->backoff_ns = min_of(s->backoff_ns * 2, (uint64_t)BACKOFF_MAX_NS);
    record_end(s, LIFECYCLE_WILL_RESTART);
    snprintf(text, sizeof text, "ended with code %d%s%s; restarts in %.1f s", s->exit_code,
             *s->reason ? ": " : "", s->reason, (double)s->backoff_ns / 1e9);
    control_notice(s->control, text);
    s->ending = false;
    loop_timer_set(s->timer, now + s->backoff_ns);
    return true;
}

/* A first start that failed leaves the state as it was, with the reason. */
static void record_failure(struct supervisor *s, const struct error *why)
{
    struct instance *i = s->i;
    struct error err = {0};

    i->exit_code = s->start_code;
    set_reason(s, error_text(why));
    crash_point();
    supervisor_record(s, i->state, i->run, &err);
}

/* One start, first or again. True: it runs; else the end is arranged or @ret is final. */
static bool try_start(struct supervisor *s)
{
    bool again = s->i->state == LIFECYCLE_RESTARTING;
    struct error err = {0};
    int r = start(s, again, &err);

    if (r < 0 && !again) {
        engine_down(s);
        record_failure(s, &err);
        answer_start(s, r, &err);
        return false;
    }
    if (r == 0) {
        if (s->start_request.stream)
            answer_start(s, 0, NULL);
        r = s->ops->start(s->engine, &err);
        crash_point();
    }
    answer_start(s, r, &err);
    if (r < 0) {
        s->asked = !again; /* what failed at once is not tried again */
        supervisor_end(s, s->start_code, error_text(&err));
    }
    return true;
}

/*
 * All is written: the instance belongs to whoever wants it next, while this process only stays for
 * clients that have not read everything yet.
 */
static void retire(struct supervisor *s)
{
    s->over = true;
    control_unlisten(s->control);
    if (unlink(s->socket) < 0)
        log_warn("supervisor", "remove %s: %s", s->socket, strerror(errno));
    free(steal_ptr(&s->socket));
    log_file_flush(s->log);
    crash_point();
    close(steal_fd(&s->lock));
}

/* Lets clients read their last words, for a while. */
static void last_words(struct supervisor *s)
{
    uint64_t until = loop_now_ns() + LAST_WORDS_NS;
    struct error err = {0};

    while (control_busy(s->control) && loop_now_ns() < until)
        if (loop_step(s->loop, 50, &err) < 0)
            return;
}

static int supervise(struct supervisor *s)
{
    struct error err = {0};

    for (;;) {
        enum leave why;
        if (!s->leave && loop_run(s->loop, &err) < 0) {
            log_error("supervisor", "%s", error_text(&err));
            if (!lifecycle_supervised(s->i->state))
                return INSTANCE_EXIT_OWN;
            s->asked = true;
            supervisor_end(s, INSTANCE_EXIT_OWN, error_text(&err));
        }
        why = s->leave;
        s->leave = LEAVE_NOT;
        switch (why) {
        case LEAVE_NOT:
            break;
        case LEAVE_ABANDONED:
            return INSTANCE_EXIT_OWN;
        case LEAVE_START:
            if (try_start(s))
                break;
            last_words(s);
            return INSTANCE_EXIT_OWN;
        case LEAVE_END:
            error_set(&err, -ESTALE, "it is ending");
            answer_start(s, -ESTALE, &err);
            if (finish(s))
                break;
            control_ended(s->control, s->exit_code, s->reason);
            if (s->forgotten)
                record_clear(s->home, s->i);
            let_go(s);
            retire(s);
            last_words(s);
            return 0;
        }
    }
}

/* Takes the lock and reads the record that it protects. */
static int own(struct supervisor *s, const char *id, struct error *err)
{
    struct timespec pause = {.tv_nsec = LOCK_ATTEMPT_NS};
    int r = -EBUSY;

    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        r = home_lock(s->home, id, &s->lock, err);
        if (r != -EBUSY)
            break;
        /* Its last supervisor may be on its way out; a living one is an answer. */
        instance_free(steal_ptr(&s->i));
        r = instance_find(s->home, id, &s->i, err);
        if (r < 0)
            return r;
        if (lifecycle_supervised(s->i->state))
            return error_set(err, -EALREADY, "it runs already");
        r = error_set(err, -EBUSY, "another process holds it");
        nanosleep(&pause, NULL);
    }
    if (r < 0)
        return r;
    crash_point();
    instance_free(steal_ptr(&s->i));
    r = store_find(s->home->store, id, &s->i, err);
    if (r < 0)
        return r;
    /* We hold the lock: whatever supervisor the record speaks of is gone. */
    return lifecycle_supervised(s->i->state) ? -EAGAIN : 0;
}

static int watch_signals(struct supervisor *s, struct error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before there are threads */
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        return error_set_errno(err, -errno, "watch signals");
    s->signal_watch = loop_add_fd(s->loop, s->signals, LOOP_READ, supervisor_signal, s, err);
    return s->signal_watch ? 0 : -ENOMEM;
}

static int set_up(struct supervisor *s, struct error *err)
{
    int r;

    s->dir = home_path(s->home, s->i->id, NULL);
    if (!s->dir)
        return error_set(err, -ENOMEM, "out of memory");
    s->ops = engine_find(s->home->engines, s->i->spec->wall, err);
    if (!s->ops)
        return -ENOTSUP;
    s->socket = home_new_socket(s->home, s->i->id, err);
    if (!s->socket)
        return err->code;
    s->log = log_file_open(s->dir, s->i->spec->log_max_size, s->i->spec->log_max_files, err);
    if (!s->log)
        return err->code;
    s->console = console_new(s->loop, s->log, err);
    if (!s->console)
        return err->code;
    s->control = control_new(s->loop, s->i->id, s->console, supervisor_request, s, err);
    s->timer = loop_timer_new(s->loop, supervisor_timer, s);
    if (!s->control || !s->timer)
        return error_set(err, -ENOMEM, "out of memory");
    control_set_gone(s->control, supervisor_client_gone);
    r = control_listen(s->control, s->socket, err);
    return r < 0 ? r : watch_signals(s, err);
}

static void tear_down(struct supervisor *s)
{
    if (s->engine)
        engine_down(s);
    let_go(s);
    if (s->socket && s->control)
        unlink(s->socket);
    if (s->control)
        control_set_gone(s->control, NULL);
    control_free(s->control);
    console_free(s->console);
    log_file_close(s->log);
    if (s->timer)
        loop_timer_free(s->timer);
    loop_remove_fd(s->signal_watch);
    loop_free(s->loop);
    free(s->socket);
    free(s->dir);
    instance_free(s->i);
    drop_origin(s);
    if (s->signals >= 0)
        close(s->signals);
    if (s->lock >= 0)
        close(s->lock);
}

/* Sends a failure in the form of the protocol when there is no control to do it. */
static void report(int fd, int code, const struct error *err)
{
    const char *name = strerrorname_np(-code);
    json_t *text = json_string(error_text(err));
    cleanup_free char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;

    json_decref(text);
    dprintf(fd, "{\"ok\":false,\"errno\":\"%s\",\"error\":%s}\n", name ? name : "EIO",
            quoted ? quoted : "\"failed\"");
}

/* The descriptors behind the starter's are those of a fork's origin. */
static int take_origin(struct supervisor *s, unsigned count, struct error *err)
{
    if (count > ENGINE_ORIGIN_FDS)
        return error_set(err, -EINVAL, "no fork begins from %u descriptors", count);
    for (unsigned i = 0; i < count; i++) {
        s->origin.fds[i] = SUPERVISOR_STARTER_FD + 1 + (int)i;
        if (fcntl(s->origin.fds[i], F_SETFD, FD_CLOEXEC) < 0)
            return error_set_errno(err, -errno, "take over what the fork begins from");
        s->origin.count++;
    }
    return 0;
}

int instance_supervise(struct instances *home, const char *id, unsigned origin_fds)
{
    struct supervisor s = {.home = home, .lock = -1, .signals = -1, .held = -1};
    cleanup_fd int starter = SUPERVISOR_STARTER_FD;
    struct error err = {0};
    int r = confine_begin(&err), status = INSTANCE_EXIT_OWN;

    crash_arm(true);
    if (r == 0)
        r = take_origin(&s, origin_fds, &err);
    if (r == 0)
        s.loop = loop_new(&err);
    if (s.loop)
        r = own(&s, id, &err);
    if (r == -EAGAIN && s.lock >= 0) {
        /* Put the stale record right by the one road there is: without our lock. */
        close(steal_fd(&s.lock));
        instance_free(steal_ptr(&s.i));
        r = instance_find(home, id, &s.i, &err);
        if (r == 0)
            r = own(&s, id, &err);
    }
    if (r == 0 && s.loop)
        r = set_up(&s, &err);
    if (r < 0 || !s.loop) {
        report(starter, r < 0 ? r : -ENOMEM, &err);
    } else {
        s.starter = control_add(s.control, steal_fd(&starter), &err);
        if (s.starter) {
            status = supervise(&s);
            store_tidy(home->store);
        }
    }
    crash_point();
    tear_down(&s);
    return status;
}
