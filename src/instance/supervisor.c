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

/* Why the loop is left; when there are several reasons, the highest counts. */
enum leave { LEAVE_NOT, LEAVE_START, LEAVE_ABANDONED, LEAVE_END };

struct supervisor {
    struct instances *home;
    struct instance *i; /* the record as we wrote it last */
    int lock, signals;
    struct loop *loop;
    struct log_file *log;
    struct console *console;
    struct control *control;
    const struct engine_ops *ops;
    struct engine *engine;
    char *socket;
    struct loop_timer *timer; /* stop timeout, back-off or last words: one at a time */
    struct loop_fd *signal_watch;
    struct control_client *starter; /* who asked for this process; NULL: gone */
    struct control_client *start_client;
    struct protocol_request start_request;
    enum leave leave;
    bool ending, asked, killed; /* the end came; a command asked for it; by force */
    bool over;                  /* the last record is written */
    int exit_code;
    char reason[400];
    uint64_t started_ns, backoff_ns;
};

static void leave(struct supervisor *s, enum leave why)
{
    s->leave = max_of(s->leave, why);
    loop_quit(s->loop, why);
}

static bool alive(const struct supervisor *s)
{
    return s->engine && !s->ending;
}

/* The engine is to be taken down; how it ended is what was said first. */
static void end(struct supervisor *s, int exit_code, const char *reason)
{
    if (s->ending)
        return;
    s->ending = true;
    s->exit_code = exit_code;
    snprintf(s->reason, sizeof s->reason, "%s", reason ? reason : "");
    for (char *p = s->reason; *p; p++) /* one line */
        if ((unsigned char)*p < ' ')
            *p = ' ';
    leave(s, LEAVE_END);
}

static void engine_ended(void *opaque, int exit_code, const char *reason)
{
    struct supervisor *s = opaque;

    if (!s->killed)
        end(s, exit_code, reason);
}

/* Writes the record with new values, where it still is as we know it. */
static int record(struct supervisor *s, enum lifecycle_state from, unsigned run, struct error *err)
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

/* A change of state by @verb that needs no more than its record. */
static int move(struct supervisor *s, enum lifecycle_verb verb, const char *event,
                struct error *err)
{
    const struct lifecycle_cell *cell;
    enum lifecycle_state from = s->i->state;
    int r = lifecycle_check(from, verb, &cell, err);

    if (r < 0 || cell->outcome != LIFECYCLE_MOVES)
        return r;
    s->i->state = cell->next;
    crash_point();
    r = record(s, from, s->i->run, err);
    crash_point();
    if (r < 0) {
        s->i->state = from;
        return r;
    }
    event_append(s->home, event, s->i, -1, NULL);
    return 0;
}

static void kill_now(struct supervisor *s, const char *reason)
{
    s->killed = true;
    if (alive(s))
        end(s, INSTANCE_EXIT_KILLED, reason);
    else if (s->i->state == LIFECYCLE_RESTARTING && !s->ending)
        end(s, s->i->exit_code, s->i->reason);
}

static void timer_fired(void *opaque)
{
    struct supervisor *s = opaque;

    if (s->i->state == LIFECYCLE_RESTARTING)
        leave(s, LEAVE_START);
    else if (s->asked && alive(s))
        kill_now(s, "killed: it did not end in time after the power button");
}

static void do_stop(struct supervisor *s, int timeout, struct error *err)
{
    unsigned seconds = timeout < 0 ? s->i->spec->stop_timeout : (unsigned)timeout;

    s->asked = true;
    if (!alive(s)) { /* it waits for its restart */
        kill_now(s, NULL);
        return;
    }
    event_append(s->home, "stop", s->i, -1, NULL);
    if (s->i->state == LIFECYCLE_PAUSED && s->ops->resume && s->ops->resume(s->engine, err) == 0 &&
        move(s, LIFECYCLE_UNPAUSE, "unpause", err) < 0)
        log_warn("supervisor", "%s", error_text(err));
    if (!seconds || !s->ops->stop || s->ops->stop(s->engine, err) < 0)
        kill_now(s, "killed on stop");
    else
        loop_timer_set(s->timer, loop_now_ns() + seconds * 1000000000ull);
}

static int do_pause(struct supervisor *s, bool pause, struct error *err)
{
    enum lifecycle_verb verb = pause ? LIFECYCLE_PAUSE : LIFECYCLE_UNPAUSE;
    int (*op)(struct engine *, struct error *) = pause ? s->ops->pause : s->ops->resume;
    int (*undo)(struct engine *, struct error *) = pause ? s->ops->resume : s->ops->pause;
    int r = lifecycle_check(s->i->state, verb, NULL, err);

    if (r < 0)
        return r;
    if (!op)
        return engine_unsupported(s->ops, pause ? "pause" : "unpause", err);
    if (!alive(s))
        return error_set(err, -ESTALE, "it is ending");
    r = op(s->engine, err);
    if (r < 0)
        return r;
    r = move(s, verb, pause ? "pause" : "unpause", err);
    if (r < 0 && undo) /* what can not be recorded must not be */
        undo(s->engine, NULL);
    return r;
}

static int do_kill(struct supervisor *s, struct control_client *client, int number,
                   struct error *err)
{
    int r = lifecycle_check(s->i->state, LIFECYCLE_KILL, NULL, err);

    if (r < 0)
        return r;
    if (number == SIGKILL) {
        event_append(s->home, "kill", s->i, -1, NULL);
        control_defer(client);
        s->asked = true;
        kill_now(s, "killed");
        return 0;
    }
    if (!s->ops->signal)
        return engine_unsupported(s->ops, "a signal other than KILL", err);
    if (!alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    r = s->ops->signal(s->engine, number, err);
    if (r == 0) {
        event_append(s->home, "kill", s->i, -1, NULL);
        control_reply(client, NULL);
    }
    return r;
}

static int do_update(struct supervisor *s, const struct protocol_request *q, struct error *err)
{
    struct spec *spec = s->i->spec;
    char *name;

    if (strcmp(q->key, "name") == 0) { /* for events; the store has it already */
        name = strdup(q->value);
        if (!name)
            return error_set(err, -ENOMEM, "out of memory");
        free(s->i->name);
        s->i->name = name;
        return 0;
    }
    if (strcmp(q->key, "restart") != 0 && strcmp(q->key, "stop-timeout") != 0 &&
        strcmp(q->key, "label") != 0) {
        if (!s->ops->update || !alive(s))
            return engine_unsupported(s->ops, "a live change of this", err);
        return s->ops->update(s->engine, q->key, q->value, err);
    }
    return spec_set(spec, q->key, q->value, err);
}

static int do_stats(struct supervisor *s, json_t **ret, struct error *err)
{
    struct instance_stats st = {0};
    int r = 0;

    if (alive(s)) {
        if (!s->ops->stats)
            return engine_unsupported(s->ops, "stats", err);
        r = s->ops->stats(s->engine, &st, err);
    }
    if (r < 0)
        return r;
    *ret =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i}", "time", (json_int_t)home_now(),
                  "cpu_ns", (json_int_t)st.cpu_ns, "instructions", (json_int_t)st.instructions,
                  "memory_used", (json_int_t)st.memory_used, "memory_limit",
                  (json_int_t)st.memory_limit, "block_read", (json_int_t)st.block_read,
                  "block_written", (json_int_t)st.block_written, "net_rx", (json_int_t)st.net_rx,
                  "net_tx", (json_int_t)st.net_tx, "cpus", (int)st.cpus, "pids", (int)st.pids);
    return 0;
}

static int do_inspect(struct supervisor *s, json_t **ret, struct error *err)
{
    struct str text = {0};
    json_t *engine;
    int r;

    if (!alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    if (!s->ops->inspect)
        return engine_unsupported(s->ops, "a live inspection", err);
    r = s->ops->inspect(s->engine, &text, err);
    if (r < 0) {
        str_done(&text);
        return r;
    }
    engine = json_parse(str_text(&text), text.len, err);
    str_done(&text);
    if (!engine)
        return -EINVAL;
    *ret = json_pack("{s:o}", "engine", engine);
    return 0;
}

static json_t *state_object(const struct supervisor *s)
{
    return json_pack("{s:s,s:i,s:i,s:i}", "state", lifecycle_state_name(s->i->state), "run",
                     (int)s->i->run, "restarts", (int)s->i->restarts, "pid", (int)getpid());
}

static int do_start(struct supervisor *s, struct control_client *client,
                    const struct protocol_request *q, struct error *err)
{
    const struct lifecycle_cell *cell;
    int r = lifecycle_check(s->i->state, LIFECYCLE_START, &cell, err);

    if (r < 0)
        return r;
    if (cell->outcome == LIFECYCLE_NOTHING)
        return error_set(err, -EALREADY, "it runs already");
    if (s->start_client || (!lifecycle_supervised(s->i->state) && client != s->starter))
        return error_set(err, -EBUSY, "it is being started");
    s->start_client = client;
    s->start_request = *q;
    loop_timer_clear(s->timer);
    leave(s, LEAVE_START);
    return 0;
}

static void request(void *opaque, struct control_client *client, const struct protocol_request *q)
{
    struct supervisor *s = opaque;
    struct error err = {0};
    json_t *extra = NULL;
    bool later = false;
    int r = 0;

    if (s->over) {
        control_fail(client, -ESTALE, "it has ended");
        return;
    }
    switch (q->verb) {
    case PROTOCOL_STATE:
        extra = state_object(s);
        break;
    case PROTOCOL_INSPECT:
        r = do_inspect(s, &extra, &err);
        break;
    case PROTOCOL_STATS:
        r = do_stats(s, &extra, &err);
        break;
    case PROTOCOL_PAUSE:
    case PROTOCOL_RESUME:
        r = do_pause(s, q->verb == PROTOCOL_PAUSE, &err);
        break;
    case PROTOCOL_STOP:
        control_defer(client);
        do_stop(s, q->timeout, &err);
        later = true;
        break;
    case PROTOCOL_WAIT:
        control_defer(client);
        later = true;
        break;
    case PROTOCOL_KILL:
        r = do_kill(s, client, q->signal, &err);
        later = r == 0;
        break;
    case PROTOCOL_START:
        r = do_start(s, client, q, &err);
        later = r == 0;
        break;
    case PROTOCOL_ATTACH:
        control_upgrade(client, q);
        later = true;
        break;
    case PROTOCOL_UPDATE:
        r = do_update(s, q, &err);
        break;
    case PROTOCOL_VERBS:
        r = error_set(&err, -EINVAL, "no such verb");
        break;
    }
    if (r < 0)
        control_fail(client, r, error_text(&err));
    else if (!later)
        control_reply(client, extra);
}

static void client_gone(void *opaque, struct control_client *client)
{
    struct supervisor *s = opaque;

    if (client == s->start_client)
        s->start_client = NULL;
    if (client != s->starter)
        return;
    s->starter = NULL;
    if (!lifecycle_supervised(s->i->state))
        leave(s, LEAVE_ABANDONED);
}

/* The host goes down, or somebody ends us kindly: the guest gets its power button. */
static void signal_came(void *opaque, int fd, unsigned events)
{
    struct supervisor *s = opaque;
    struct signalfd_siginfo info;
    struct error err = {0};

    if (read(fd, &info, sizeof info) == (ssize_t)sizeof info && lifecycle_supervised(s->i->state))
        do_stop(s, -1, &err);
}

/* ---- between runs of the loop ---- */

static int engine_up(struct supervisor *s, bool again, struct error *err)
{
    struct engine_env env = {.spec = s->i->spec,
                             .id = s->i->id,
                             .name = s->i->name,
                             .loop = s->loop,
                             .paused = s->i->spec->paused && !again,
                             .console = console_chardev(s->console),
                             .debug_console =
                                 s->i->spec->debug_console ? console_debug(s->console) : NULL,
                             .ended = engine_ended,
                             .opaque = s};

    s->ending = s->killed = s->asked = false;
    return s->ops->create(&env, &s->engine, err);
}

static void engine_down(struct supervisor *s)
{
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
    r = record(s, old.state, old.run, err);
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
    if (!again) {
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
        control_reply(client, state_object(s));
}

static bool wants_restart(const struct supervisor *s)
{
    const struct spec *spec = s->i->spec;

    if (s->asked || s->killed)
        return false;
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
    record(s, from, i->run, &err);
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

    i->exit_code = INSTANCE_EXIT_OWN;
    set_reason(s, error_text(why));
    crash_point();
    record(s, i->state, i->run, &err);
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
        end(s, INSTANCE_EXIT_OWN, error_text(&err));
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
            end(s, INSTANCE_EXIT_OWN, error_text(&err));
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
            if (s->i->spec->rm && record_delete(s->home, s->i, &err) < 0)
                log_error("supervisor", "%s", error_text(&err));
            crash_point();
            control_ended(s->control, s->exit_code, s->reason);
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
    s->signal_watch = loop_add_fd(s->loop, s->signals, LOOP_READ, signal_came, s, err);
    return s->signal_watch ? 0 : -ENOMEM;
}

static int set_up(struct supervisor *s, struct error *err)
{
    cleanup_free char *dir = home_path(s->home, s->i->id, NULL);
    int r;

    if (!dir)
        return error_set(err, -ENOMEM, "out of memory");
    s->ops = engine_find(s->home->engines, s->i->spec->wall, err);
    if (!s->ops)
        return -ENOTSUP;
    s->socket = home_new_socket(s->home, s->i->id, err);
    if (!s->socket)
        return err->code;
    s->log = log_file_open(dir, s->i->spec->log_max_size, s->i->spec->log_max_files, err);
    if (!s->log)
        return err->code;
    s->console = console_new(s->loop, s->log, err);
    if (!s->console)
        return err->code;
    s->control = control_new(s->loop, s->i->id, s->console, request, s, err);
    s->timer = loop_timer_new(s->loop, timer_fired, s);
    if (!s->control || !s->timer)
        return error_set(err, -ENOMEM, "out of memory");
    control_set_gone(s->control, client_gone);
    r = control_listen(s->control, s->socket, err);
    return r < 0 ? r : watch_signals(s, err);
}

static void tear_down(struct supervisor *s)
{
    if (s->engine)
        engine_down(s);
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
    instance_free(s->i);
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

int instance_supervise(struct instances *home, const char *id)
{
    struct supervisor s = {.home = home, .lock = -1, .signals = -1};
    cleanup_fd int starter = SUPERVISOR_STARTER_FD;
    struct error err = {0};
    int r = confine_begin(&err), status = INSTANCE_EXIT_OWN;

    crash_arm(true);
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
        if (s.starter)
            status = supervise(&s);
    }
    crash_point();
    tear_down(&s);
    return status;
}
