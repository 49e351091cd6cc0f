/* SPDX-License-Identifier: Apache-2.0 */
/* What clients, timers and signals ask of a supervisor. All run in callbacks of its loop. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/crash.h"
#include "instance/json.h"
#include "instance/supervisor_internal.h"

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
    r = supervisor_record(s, from, s->i->run, err);
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
    if (supervisor_alive(s))
        supervisor_end(s, INSTANCE_EXIT_KILLED, reason);
    else if (s->i->state == LIFECYCLE_RESTARTING && !s->ending)
        supervisor_end(s, s->i->exit_code, s->i->reason);
}

void supervisor_timer(void *opaque)
{
    struct supervisor *s = opaque;

    if (s->i->state == LIFECYCLE_RESTARTING)
        supervisor_leave(s, LEAVE_START);
    else if (s->asked && supervisor_alive(s))
        kill_now(s, s->i->spec->wall == SPEC_WALL_VM
                        ? "killed: it did not end in time after the power button"
                        : "killed: it did not end in time after its stop signal");
}

static void do_stop(struct supervisor *s, int timeout, struct error *err)
{
    unsigned seconds = timeout < 0 ? s->i->spec->stop_timeout : (unsigned)timeout;

    s->asked = true;
    if (!supervisor_alive(s)) { /* it waits for its restart */
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
    if (!supervisor_alive(s))
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
    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    r = s->ops->signal(s->engine, number, err);
    if (r == 0) {
        event_append(s->home, "kill", s->i, -1, NULL);
        control_reply(client, NULL);
    }
    return r;
}

/* The texts of @q as lists that end with NULL. */
static int do_exec(struct supervisor *s, struct control_client *client,
                   const struct protocol_request *q, struct error *err)
{
    cleanup_free const char **list =
        mem_alloc((size_t)q->word_count + q->env_count + 2, sizeof *list);
    struct instance_exec x = {.workdir = q->workdir,
                              .user = q->user,
                              .tty = q->tty,
                              .interactive = q->input,
                              .detach = q->detach};
    const char *at = q->texts;
    size_t n = 0;
    int fd;

    if (!s->ops->exec_here)
        return engine_unsupported(s->ops, "exec", err);
    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    if (!list)
        return error_set(err, -ENOMEM, "out of memory");
    x.words = list;
    x.env = list + q->word_count + 1;
    for (unsigned i = 0; i < q->word_count + q->env_count; i++) {
        n += i == q->word_count;
        list[n++] = at;
        at += strlen(at) + 1;
    }
    fd = control_release(client);
    if (fd >= 0 && s->ops->exec_here(s->engine, &x, fd, err) < 0)
        log_warn("supervisor", "exec: %s", error_text(err));
    return 0;
}

/* What can not be done live leaves the spec as it was. */
static int live_update(struct supervisor *s, const struct protocol_request *q, struct error *err)
{
    struct spec *spec = s->i->spec, *old;
    cleanup_free char *before = spec_to_json(spec);
    int r =
        before ? spec_set(spec, q->key, q->value, err) : error_set(err, -ENOMEM, "out of memory");

    if (r < 0 || !supervisor_alive(s))
        return r;
    r = s->ops->update(s->engine, err);
    old = r < 0 ? spec_from_json(before, strlen(before), NULL) : NULL;
    if (old) { /* in its place: others hold the pointer */
        struct spec failed = *spec;
        *spec = *old;
        *old = failed;
        spec_free(old);
    }
    return r;
}

static int do_screen(struct supervisor *s, struct control_client *client, struct error *err)
{
    int fd;

    if (!s->ops->screen)
        return engine_unsupported(s->ops, "a screen", err);
    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    if (!s->ops->has_screen(s->engine))
        return error_set(err, -ENOTSUP, "it has no screen; create it with --vga std");
    fd = control_release(client);
    if (fd >= 0 && s->ops->screen(s->engine, fd, err) < 0)
        log_warn("supervisor", "screen: %s", error_text(err));
    return 0;
}

static int do_debug(struct supervisor *s, struct control_client *client,
                    const struct protocol_request *q, struct error *err)
{
    int fd, r;

    if (!s->ops->debug)
        return engine_unsupported(s->ops, "debugging", err);
    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    r = s->ops->debug(s->engine, q->key, q->value, -1, err);
    if (r < 0)
        return r;
    fd = control_release(client);
    if (fd >= 0 && s->ops->debug(s->engine, q->key, q->value, fd, err) < 0)
        log_warn("supervisor", "%s: %s", q->key, error_text(err));
    return 0;
}

static int do_show(struct supervisor *s, const struct protocol_request *q, json_t **ret,
                   struct error *err)
{
    struct str text = {0};
    int r;

    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    if (!s->ops->show)
        return engine_unsupported(s->ops, "a live inspection", err);
    r = s->ops->show(s->engine, q->value, &text, err);
    if (r == 0)
        *ret = json_pack("{s:s}", "text", str_text(&text));
    str_done(&text);
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
        static const char *const of_vms[] = {"cdrom",   "floppy", "disk",  "disk-rm",
                                             "nic-add", "nic-rm", "memory"};
        bool known = spec->wall != SPEC_WALL_VM;
        for (size_t i = 0; i < array_size(of_vms); i++)
            known |= strcmp(q->key, of_vms[i]) == 0;
        if (!s->ops->update || !known)
            return engine_unsupported(s->ops, "a live change of this", err);
        return live_update(s, q, err);
    }
    return spec_set(spec, q->key, q->value, err);
}

static int do_stats(struct supervisor *s, json_t **ret, struct error *err)
{
    struct instance_stats st = {0};
    int r = 0;

    if (supervisor_alive(s)) {
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

    if (!supervisor_alive(s))
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

static void snapshot_done(void *opaque, const struct error *err)
{
    struct supervisor *s = opaque;
    struct control_client *client = s->snapshot_client;

    s->in_snapshot = false;
    s->snapshot_client = NULL;
    if (!client)
        return;
    if (err)
        control_fail(client, err->code, error_text(err));
    else
        control_reply(client, NULL);
}

static int do_snapshot(struct supervisor *s, struct control_client *client,
                       const struct protocol_request *q, struct error *err)
{
    int r = lifecycle_check(s->i->state, LIFECYCLE_SNAPSHOT, NULL, err);

    if (r < 0)
        return r;
    if (!s->ops->snapshot)
        return engine_unsupported(s->ops, "a snapshot", err);
    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    if (s->in_snapshot)
        return error_set(err, -EBUSY, "another snapshot of it is being written; wait for its end");
    s->in_snapshot = true;
    s->snapshot_client = client;
    r = s->ops->snapshot(s->engine, q->value, snapshot_done, s, err);
    if (r < 0) {
        s->in_snapshot = false;
        s->snapshot_client = NULL;
    }
    return r;
}

static int do_fork(struct supervisor *s, struct control_client *client,
                   const struct protocol_request *q, struct error *err)
{
    struct engine_origin origin = {0};
    int r = lifecycle_check(s->i->state, LIFECYCLE_FORK, NULL, err);

    if (r < 0)
        return r;
    if (!s->ops->fork)
        return engine_unsupported(s->ops, "a fork", err);
    if (!supervisor_alive(s))
        return error_set(err, -ESTALE, "it does not run now");
    r = s->ops->fork(s->engine, q->value, &origin, err);
    if (r == 0)
        control_reply_fds(client, origin.fds, origin.count);
    return r;
}

json_t *supervisor_state(const struct supervisor *s)
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
    supervisor_leave(s, LEAVE_START);
    return 0;
}

void supervisor_request(void *opaque, struct control_client *client,
                        const struct protocol_request *q)
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
        extra = supervisor_state(s);
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
    case PROTOCOL_EXEC:
        r = do_exec(s, client, q, &err);
        later = r == 0;
        break;
    case PROTOCOL_SCREEN:
        r = do_screen(s, client, &err);
        later = r == 0;
        break;
    case PROTOCOL_DEBUG:
        r = do_debug(s, client, q, &err);
        later = r == 0;
        break;
    case PROTOCOL_SHOW:
        r = do_show(s, q, &extra, &err);
        break;
    case PROTOCOL_SNAPSHOT:
        r = do_snapshot(s, client, q, &err);
        later = r == 0;
        break;
    case PROTOCOL_FORK:
        r = do_fork(s, client, q, &err);
        later = r == 0;
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

void supervisor_client_gone(void *opaque, struct control_client *client)
{
    struct supervisor *s = opaque;

    if (client == s->start_client)
        s->start_client = NULL;
    if (client == s->snapshot_client)
        s->snapshot_client = NULL;
    if (client != s->starter)
        return;
    s->starter = NULL;
    if (!lifecycle_supervised(s->i->state))
        supervisor_leave(s, LEAVE_ABANDONED);
}

/* The host goes down, or somebody ends us kindly: the guest gets its power button. */
void supervisor_signal(void *opaque, int fd, unsigned events)
{
    struct supervisor *s = opaque;
    struct signalfd_siginfo info;
    struct error err = {0};

    if (read(fd, &info, sizeof info) == (ssize_t)sizeof info && lifecycle_supervised(s->i->state))
        do_stop(s, -1, &err);
}
