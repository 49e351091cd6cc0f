/* SPDX-License-Identifier: Apache-2.0 */
/* A supervisor's state, shared by its life (supervisor.c) and its requests. */
#ifndef INSTANCE_SUPERVISOR_INTERNAL_H
#define INSTANCE_SUPERVISOR_INTERNAL_H

#include "base/loop.h"
#include "instance/control.h"
#include "instance/engine.h"
#include "instance/home.h"

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
    struct control_client *snapshot_client; /* who waits for a snapshot, NULL: nobody (any more) */
    bool in_snapshot;
    struct engine_origin origin; /* of the first start of a fork */
    int held;                    /* what the last engine left to be closed, -1 */
    char *socket, *dir;
    struct loop_timer *timer; /* stop timeout, back-off or last words: one at a time */
    struct loop_fd *signal_watch;
    struct control_client *starter; /* who asked for this process; NULL: gone */
    struct control_client *start_client;
    struct protocol_request start_request;
    enum leave leave;
    bool ending, asked, killed; /* the end came; a command asked for it; by force */
    bool over;                  /* the last record is written */
    bool reboot;                /* it asked for its next start itself */
    bool spent;                 /* this process cannot start it again */
    bool forgotten;             /* the record is deleted (--rm); its directory is still there */
    int exit_code;
    int start_code; /* what a start that failed means */
    char reason[400];
    uint64_t started_ns, backoff_ns;
};

/* Whether the engine runs, and is not about to be taken down. */
static inline bool supervisor_alive(const struct supervisor *s)
{
    return s->engine && !s->ending;
}

/* Leaves the loop, to do what must not be done inside a callback. */
void supervisor_leave(struct supervisor *s, enum leave why);
/* The engine is to be taken down; how it ended is what was said first. */
void supervisor_end(struct supervisor *s, int exit_code, const char *reason);
/* Writes the record with its new values, where it still has @run and state @from. */
int supervisor_record(struct supervisor *s, enum lifecycle_state from, unsigned run,
                      struct error *err);

/* supervisor_request.c: callbacks of the control socket, the timer and the signals. */
json_t *supervisor_state(const struct supervisor *s);
control_request_fn supervisor_request;
void supervisor_client_gone(void *opaque, struct control_client *client);
loop_fn supervisor_timer;
loop_fd_fn supervisor_signal;

#endif
