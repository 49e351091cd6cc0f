/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's end of the control protocol: finds the socket of an instance's supervisor, checks
 * that it is the right one, asks and waits. A supervisor that is just coming up or going away is
 * waited for; one that is dead is found out by its lock.
 */
#include "instance/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/crash.h"
#include "instance/engine.h"
#include "instance/json.h"
#include "instance/protocol.h"
#include "instance/stream.h"
#include "instance/supervisor.h"

enum { ANSWER_MS = 30000, GONE_MS = 10000, CONNECT_ATTEMPTS = 1000 };

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int send_all(int fd, const char *text, size_t n, struct error *err)
{
    while (n) {
        ssize_t done = send(fd, text, n, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_set_errno(err, -errno, "talk to its supervisor");
        text += done;
        n -= (size_t)done;
    }
    return 0;
}

/*
 * Reads one line into @line, one byte too few never being read beyond it: what follows an upgrade
 * belongs to the stream. @timeout_ms -1: no limit. -EPIPE when the supervisor is gone.
 */
static int read_line(int fd, struct str *line, int timeout_ms, struct error *err)
{
    int64_t until = now_ms() + timeout_ms;
    char buf[4096];

    for (;;) {
        int64_t left = until - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, timeout_ms < 0 ? -1 : left < 0 ? 0 : (int)left);
        ssize_t n;
        char *end;
        if (ready < 0 && errno != EINTR)
            return error_set_errno(err, -errno, "wait for its supervisor");
        if (ready == 0)
            return error_set(err, -ETIMEDOUT, "its supervisor does not answer");
        if (ready < 0)
            continue;
        n = recv(fd, buf, sizeof buf, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return error_set(err, -EPIPE, "its supervisor is gone");
        end = memchr(buf, '\n', (size_t)n);
        n = recv(fd, buf, end ? (size_t)(end - buf) + 1 : (size_t)n, 0);
        if (n <= 0)
            return error_set(err, -EPIPE, "its supervisor is gone");
        str_add_n(line, buf, (size_t)n);
        if (line->failed || line->len > PROTOCOL_REPLY_MAX)
            return error_set(err, -EMSGSIZE, "its supervisor's answer is too long");
        if (end)
            return 0;
    }
}

static int errno_of(const char *name)
{
    for (int e = 1; e < 134; e++) {
        const char *n = strerrorname_np(e);
        if (n && strcmp(n, name) == 0)
            return e;
    }
    return EIO;
}

/*
 * Reads the rest of an answer that begins with @line; *ret (may be NULL) is a new reference.
 * Failures of the other side come through.
 */
static int finish_answer(int fd, struct str *line, int timeout_ms, json_t **ret, struct error *err)
{
    json_t *o = NULL;
    int r = read_line(fd, line, timeout_ms, err);

    if (r == 0) {
        o = json_parse(str_text(line), line->len, err);
        r = o ? 0 : error_wrap(err, -EPROTO, "its supervisor answered nonsense");
    }
    if (r < 0)
        return r;
    if (!json_is_true(json_object_get(o, "ok"))) {
        const char *text = json_string_value(json_object_get(o, "error")),
                   *name = json_string_value(json_object_get(o, "errno"));
        r = error_set(err, name ? -errno_of(name) : -EPROTO, "%s", text ? text : "it failed");
        json_decref(o);
        return r;
    }
    if (ret)
        *ret = o;
    else
        json_decref(o);
    return 0;
}

static int read_answer(int fd, int timeout_ms, json_t **ret, struct error *err)
{
    struct str line = {0};
    int r = finish_answer(fd, &line, timeout_ms, ret, err);

    str_done(&line);
    return r;
}

/* Sends @request (taken). */
static int send_request(int fd, json_t *request, struct error *err)
{
    cleanup_free char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    struct str line = {0};
    int r;

    json_decref(request);
    str_add(&line, text ? text : "");
    str_add_char(&line, '\n');
    r = text && !line.failed ? send_all(fd, line.data, line.len, err)
                             : error_set(err, -ENOMEM, "out of memory");
    str_done(&line);
    return r;
}

/* Sends @request (taken) and reads the answer. */
static int ask(int fd, json_t *request, int timeout_ms, json_t **ret, struct error *err)
{
    int r = send_request(fd, request, err);

    return r < 0 ? r : read_answer(fd, timeout_ms, ret, err);
}

/* Reads the greeting and checks that it is the instance's supervisor that speaks. */
static int check_greeting(int fd, const char *id, struct error *err)
{
    struct str line = {0};
    const char *theirs = "";
    int version = 0, r = read_line(fd, &line, ANSWER_MS, err);
    json_t *o = r == 0 ? json_parse(str_text(&line), line.len, err) : NULL;

    str_done(&line);
    if (r < 0)
        return r;
    if (o && json_is_false(json_object_get(o, "ok"))) {
        const char *why = json_string_value(json_object_get(o, "error")),
                   *name = json_string_value(json_object_get(o, "errno"));
        r = error_set(err, name ? -errno_of(name) : -EPROTO, "%s", why ? why : "it failed");
    } else if (!o || json_unpack(o, "{s:i,s:s}", "protocol", &version, "id", &theirs) < 0) {
        r = error_set(err, -EPROTO, "what answers on its socket is no supervisor");
    } else if (strcmp(theirs, id) != 0) {
        r = error_set(err, -EPROTO, "another instance answers on its socket");
    } else if (version != PROTOCOL_VERSION) {
        r = error_set(err, -EPROTO,
                      "its supervisor speaks protocol %d and not %d; restart the instance", version,
                      PROTOCOL_VERSION);
    }
    json_decref(o);
    return r;
}

static int connect_once(const struct instances *home, const char *id, int *ret_fd,
                        struct error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct home_status status;
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "create a socket");
    if (home_read_status(home, id, &status) < 0 || !*status.socket)
        return error_set(err, -ENOENT, "its supervisor's socket is not known");
    snprintf(a.sun_path, sizeof a.sun_path, "%s", status.socket);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return error_set_errno(err, -errno, "connect to %s", status.socket);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != geteuid())
        return error_set(err, -EPERM, "%s belongs to another user's process", status.socket);
    r = check_greeting(fd, id, err);
    if (r == 0)
        *ret_fd = steal_fd(&fd);
    return r;
}

/* Connects to the supervisor of @i. -ESTALE when it turns out to be dead. */
static int client_connect(const struct instances *home, const struct instance *i, int *ret_fd,
                          struct error *err)
{
    struct timespec pause = {.tv_nsec = 3000000};
    int r = -ESTALE;

    for (int attempt = 0; attempt < CONNECT_ATTEMPTS; attempt++) {
        bool held = home_locked(home, i->id);
        r = connect_once(home, i->id, ret_fd, err);
        if (r == 0 || r == -EPERM || r == -EPROTO || r == -ETIMEDOUT)
            return r;
        if (!held)
            return error_set(err, -ESTALE, "it does not run any more");
        nanosleep(&pause, NULL); /* it has only begun, or is about to end */
    }
    return r;
}

/* Connects, asks and reads the answer. */
static int transact(const struct instances *home, const struct instance *i, json_t *request,
                    int timeout_ms, json_t **ret, struct error *err)
{
    cleanup_fd int fd = -1;
    int r = client_connect(home, i, &fd, err);

    if (r < 0) {
        json_decref(request);
        return r;
    }
    return ask(fd, request, timeout_ms, ret, err);
}

/* Finds @ref and checks @verb. */
static int find_for(struct instances *home, const char *ref, enum lifecycle_verb verb,
                    struct instance **ret, const struct lifecycle_cell **ret_cell,
                    struct error *err)
{
    struct instance *i = NULL;
    int r = instance_find(home, ref, &i, err);

    if (r == 0)
        r = lifecycle_check(i->state, verb, ret_cell, err);
    if (r < 0) {
        instance_free(i);
        return r;
    }
    *ret = i;
    return 0;
}

/* ---- start ---- */

static json_t *attach_request(const char *verb, const struct instance_attach *a)
{
    json_t *o = json_pack("{s:s,s:b,s:b,s:b,s:i,s:i}", "do", verb, "input", (int)a->input, "replay",
                          (int)a->replay, "wait", (int)a->wait_for_reader, "columns",
                          (int)min_of(a->columns, 65535u), "rows", (int)min_of(a->rows, 65535u));

    return o;
}

/* The request to start, and for the stream with @attach. */
static json_t *start_request(const struct instance_attach *attach)
{
    json_t *request;

    if (!attach)
        return json_pack("{s:s}", "do", "start");
    request = attach_request("start", attach);
    json_object_set_new(request, "stream", json_true());
    return request;
}

/*
 * Asks a process that we made to start. It need not be waited for before it is asked; when it has
 * ended instead, its greeting says why.
 */
static int ask_new(int fd, const char *id, const struct instance_attach *attach, struct error *err)
{
    int sent = send_request(fd, start_request(attach), err);
    int r = sent == 0 || sent == -EPIPE ? check_greeting(fd, id, err) : sent;

    if (r == 0 && sent < 0)
        r = error_set(err, -EPIPE, "its supervisor is gone");
    return r < 0 ? r : read_answer(fd, ANSWER_MS * 4, NULL, err);
}

int instance_start(struct instances *home, const char *ref, const struct instance_attach *attach,
                   struct instance_stream **ret_stream, struct error *err)
{
    const struct lifecycle_cell *cell = NULL;
    struct instance *i = NULL;
    cleanup_fd int fd = -1;
    int r = find_for(home, ref, LIFECYCLE_START, &i, &cell, err);

    if (r < 0)
        return r;
    if (store_readonly(home->store)) {
        r = error_set(err, -EROFS, "%s can not be written", home->data);
    } else if (cell && cell->outcome == LIFECYCLE_NOTHING) {
        r = -EALREADY;
    } else {
        bool runs = lifecycle_supervised(i->state);
        r = runs ? client_connect(home, i, &fd, err) : supervisor_spawn(home, i, NULL, &fd, err);
        if (r == 0)
            r = runs ? ask(fd, start_request(attach), ANSWER_MS * 4, NULL, err)
                     : ask_new(fd, i->id, attach, err);
        if (r == -EPIPE)
            error_set(err, r, "its supervisor ended at once; see %s/instances/%s/supervisor.log",
                      home->data, i->id);
    }
    instance_free(i);
    if (r == -EALREADY) /* as well: it runs */
        return attach ? instance_attach(home, ref, attach, ret_stream, err) : 0;
    if (r == 0 && attach)
        r = stream_new(steal_fd(&fd), ret_stream, err);
    return r;
}

static json_t *texts(const char *const *list)
{
    json_t *a = json_array();

    for (; list && *list; list++)
        json_array_append_new(a, json_string(*list));
    return a;
}

/* Has the supervisor run @exec; *ret_fd is a control socket of its own. */
static int ask_exec(const struct instances *home, const struct instance *i,
                    const struct instance_exec *x, int *ret_fd, struct error *err)
{
    json_t *q = json_pack("{s:s,s:o,s:o,s:b,s:b,s:b}", "do", "exec", "words", texts(x->words),
                          "env", texts(x->env), "tty", (int)x->tty, "input", (int)x->interactive,
                          "detach", (int)x->detach);
    cleanup_free char *text = NULL;
    cleanup_fd int fd = -1;
    int r;

    if (q && x->workdir)
        json_object_set_new(q, "workdir", json_string(x->workdir));
    if (q && x->user)
        json_object_set_new(q, "user", json_string(x->user));
    text = q ? json_dumps(q, JSON_COMPACT) : NULL;
    if (!text || strlen(text) + 1 > PROTOCOL_LINE_MAX) {
        json_decref(q);
        return error_set(err, text ? -E2BIG : -EINVAL,
                         text
                             ? "arguments and environment take more than %d bytes"
                             : "arguments and environment are not UTF-8 text (of %d bytes at most)",
                         PROTOCOL_LINE_MAX);
    }
    r = client_connect(home, i, &fd, err);
    if (r < 0)
        json_decref(q);
    else
        r = ask(fd, q, ANSWER_MS, NULL, err);
    if (r == 0)
        *ret_fd = steal_fd(&fd);
    return r;
}

/*
 * Has @exec run, by the supervisor or by a process that is forked for it; *ret_fd is our end of its
 * control socket.
 */
static int spawn_exec(const struct instances *home, const struct instance *i,
                      const struct instance_exec *exec, int *ret_fd, struct error *err)
{
    const struct engine_ops *ops = engine_find(home->engines, i->spec->wall, err);
    cleanup_free char *dir = home_path(home, i->id, NULL);
    const struct engine_place place = {
        .data_dir = home->data, .runtime_dir = home->run, .dir = dir, .id = i->id, .spec = i->spec};
    int pair[2];
    pid_t child;

    if (!ops)
        return -ENOTSUP;
    if (i->spec->wall == SPEC_WALL_VM && !i->spec->image)
        return error_set(err, -ENOTSUP,
                         "a virtual machine that boots its own kernel and disks has no agent; use "
                         "attach for its console");
    if (ops->exec_here)
        return ask_exec(home, i, exec, ret_fd, err);
    if (!ops->exec)
        return engine_unsupported(ops, "exec", err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, -errno, "create a socket");
    child = dir ? fork() : -1;
    if (child == 0) {
        close(pair[0]);
        _exit(ops->exec(&place, exec, pair[1]));
    }
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        return error_set_errno(err, -errno, "create a process");
    }
    *ret_fd = pair[0];
    return 0;
}

int instance_exec(struct instances *home, const char *ref, const struct instance_exec *exec,
                  const struct instance_attach *attach, struct instance_stream **ret_stream,
                  struct error *err)
{
    struct instance *i = NULL;
    cleanup_fd int fd = -1;
    int r = find_for(home, ref, LIFECYCLE_EXEC, &i, NULL, err);

    if (r == 0)
        r = spawn_exec(home, i, exec, &fd, err);
    if (r == 0)
        r = ask_new(fd, i->id, attach, err);
    if (r == 0)
        r = stream_new(steal_fd(&fd), ret_stream, err);
    instance_free(i);
    return r;
}

int instance_attach(struct instances *home, const char *ref, const struct instance_attach *attach,
                    struct instance_stream **ret_stream, struct error *err)
{
    struct instance *i = NULL;
    cleanup_fd int fd = -1;
    int r = find_for(home, ref, LIFECYCLE_ATTACH, &i, NULL, err);

    if (r == 0)
        r = client_connect(home, i, &fd, err);
    if (r == 0)
        r = ask(fd, attach_request("attach", attach), ANSWER_MS, NULL, err);
    if (r == 0)
        r = stream_new(steal_fd(&fd), ret_stream, err);
    instance_free(i);
    return r;
}

int client_screen(struct instances *home, const char *ref, int *ret_fd, struct error *err)
{
    struct instance *i = NULL;
    cleanup_fd int fd = -1;
    int r = find_for(home, ref, LIFECYCLE_ATTACH, &i, NULL, err);

    if (r == 0)
        r = client_connect(home, i, &fd, err);
    if (r == 0)
        r = ask(fd, json_pack("{s:s}", "do", "screen"), ANSWER_MS, NULL, err);
    if (r == 0)
        *ret_fd = steal_fd(&fd);
    instance_free(i);
    return r;
}

int instance_debug(struct instances *home, const char *ref, const char *what, const char *arguments,
                   int *ret_fd, struct error *err)
{
    struct instance *i = NULL;
    cleanup_fd int fd = -1;
    int r = find_for(home, ref, LIFECYCLE_ATTACH, &i, NULL, err);

    if (r == 0)
        r = client_connect(home, i, &fd, err);
    if (r == 0)
        r = ask(fd, json_pack("{s:s,s:s,s:s}", "do", "debug", "key", what, "value", arguments),
                ANSWER_MS, NULL, err);
    if (r == 0)
        *ret_fd = steal_fd(&fd);
    instance_free(i);
    return r;
}

int instance_show(struct instances *home, const char *ref, const char *what, struct str *out,
                  struct error *err)
{
    struct instance *i = NULL;
    json_t *o = NULL;
    int r = find_for(home, ref, LIFECYCLE_ATTACH, &i, NULL, err);

    if (r == 0)
        r = transact(home, i, json_pack("{s:s,s:s}", "do", "show", "value", what), ANSWER_MS, &o,
                     err);
    if (r == 0)
        str_add(out, json_string_value(json_object_get(o, "text")));
    json_decref(o);
    instance_free(i);
    return r;
}

/* ---- stop, kill ---- */

/*
 * Sends @request, which is answered when the instance has ended, and returns when its lock is free
 * too. That the supervisor dies meanwhile is an end as well.
 */
static int ask_for_end(struct instances *home, const struct instance *i, json_t *request,
                       int timeout_ms, struct error *err)
{
    int r = transact(home, i, request, timeout_ms, NULL, err);

    if (r == -EPIPE || r == -ECONNRESET || (r == -ESTALE && !home_locked(home, i->id)))
        r = 0;
    if (r == 0 && home_wait_unlocked(home, i->id, GONE_MS) < 0)
        r = error_set(err, -ETIMEDOUT, "its supervisor does not end");
    return r;
}

int client_kill_and_wait(struct instances *home, const struct instance *i, struct error *err)
{
    return ask_for_end(home, i, json_pack("{s:s,s:i}", "do", "kill", "signal", SIGKILL), ANSWER_MS,
                       err);
}

int instance_stop(struct instances *home, const char *ref, int timeout, struct error *err)
{
    const struct lifecycle_cell *cell = NULL;
    struct instance *i = NULL;
    int seconds, r = find_for(home, ref, LIFECYCLE_STOP, &i, &cell, err);

    if (r < 0)
        return r;
    seconds = timeout < 0 ? (int)i->spec->stop_timeout : timeout;
    if (cell && cell->outcome != LIFECYCLE_NOTHING)
        r = ask_for_end(home, i, json_pack("{s:s,s:i}", "do", "stop", "timeout", seconds),
                        seconds * 1000 + ANSWER_MS, err);
    instance_free(i);
    return r;
}

static int parse_signal(const char *text, int *ret, struct error *err)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    uint64_t n;

    if (str_parse_u64(text, &n) == 0 && n >= 1 && n <= 64) {
        *ret = (int)n;
        return 0;
    }
    for (int s = 1; s < 32; s++) {
        const char *known = sigabbrev_np(s);
        if (known && strcasecmp(known, name) == 0) {
            *ret = s;
            return 0;
        }
    }
    return error_set(err, -EINVAL, "\"%.40s\" is not a signal", text);
}

int instance_kill(struct instances *home, const char *ref, const char *signal, struct error *err)
{
    struct instance *i = NULL;
    json_t *request;
    int number = 0, r = parse_signal(signal, &number, err);

    if (r == 0)
        r = find_for(home, ref, LIFECYCLE_KILL, &i, NULL, err);
    if (r < 0)
        return r;
    request = json_pack("{s:s,s:i}", "do", "kill", "signal", number);
    r = number == SIGKILL ? ask_for_end(home, i, request, ANSWER_MS, err)
                          : transact(home, i, request, ANSWER_MS, NULL, err);
    instance_free(i);
    return r;
}

int instance_restart(struct instances *home, const char *ref, int timeout, struct error *err)
{
    struct instance *i = NULL;
    char id[INSTANCE_ID_LEN + 1];
    int r = find_for(home, ref, LIFECYCLE_RESTART, &i, NULL, err);

    if (r < 0)
        return r;
    memcpy(id, i->id, sizeof id);
    if (lifecycle_supervised(i->state) && i->spec->rm)
        r = error_set(err, -ESTALE, "it is removed when it ends (--rm)");
    instance_free(i);
    if (r == 0)
        r = instance_stop(home, id, timeout, err);
    return r < 0 ? r : instance_start(home, id, NULL, NULL, err);
}

/* ---- pause, stats, inspect, update ---- */

static int simple(struct instances *home, const char *ref, enum lifecycle_verb verb,
                  const char *word, struct error *err)
{
    struct instance *i = NULL;
    int r = find_for(home, ref, verb, &i, NULL, err);

    if (r == 0)
        r = transact(home, i, json_pack("{s:s}", "do", word), ANSWER_MS, NULL, err);
    instance_free(i);
    return r;
}

int client_find(struct instances *home, const char *ref, enum lifecycle_verb verb,
                struct instance **ret, struct error *err)
{
    return find_for(home, ref, verb, ret, NULL, err);
}

int client_snapshot(struct instances *home, const struct instance *i, const char *dir,
                    struct error *err)
{
    return transact(home, i, json_pack("{s:s,s:s}", "do", "snapshot", "dir", dir), -1, NULL, err);
}

/* The first byte of an answer, and the descriptors that come with it. */
static int receive_fds(int fd, struct str *line, struct engine_origin *ret, struct error *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof ret->fds)];
    } control;
    char first;
    struct iovec v = {.iov_base = &first, .iov_len = 1};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;

    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return error_set(err, -EPIPE, "its supervisor is gone");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || ret->count)
            continue;
        ret->count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(ret->fds, CMSG_DATA(c), ret->count * sizeof(int));
    }
    str_add_n(line, &first, 1);
    return 0;
}

int client_fork(struct instances *home, const struct instance *i, const char *dir,
                struct engine_origin *ret, struct error *err)
{
    cleanup_fd int fd = -1;
    struct str line = {0};
    int r = client_connect(home, i, &fd, err);

    if (r == 0)
        r = send_request(fd, json_pack("{s:s,s:s}", "do", "fork", "dir", dir), err);
    if (r == 0)
        r = receive_fds(fd, &line, ret, err);
    if (r == 0)
        r = finish_answer(fd, &line, -1, NULL, err);
    str_done(&line);
    if (r == 0 && !ret->count)
        r = error_set(err, -EPROTO, "its supervisor answered nonsense");
    return r;
}

int client_start_fork(struct instances *home, const struct instance *i,
                      const struct engine_origin *origin, struct error *err)
{
    cleanup_fd int fd = -1;
    int r = supervisor_spawn(home, i, origin, &fd, err);

    if (r == 0)
        r = ask_new(fd, i->id, NULL, err);
    if (r == -EPIPE)
        error_set(err, r, "its supervisor ended at once; see %s/instances/%s/supervisor.log",
                  home->data, i->id);
    return r;
}

int instance_pause(struct instances *home, const char *ref, struct error *err)
{
    return simple(home, ref, LIFECYCLE_PAUSE, "pause", err);
}

int instance_unpause(struct instances *home, const char *ref, struct error *err)
{
    return simple(home, ref, LIFECYCLE_UNPAUSE, "resume", err);
}

int instance_stats(struct instances *home, const char *ref, struct instance_stats *ret,
                   struct error *err)
{
    struct instance *i = NULL;
    json_t *o = NULL;
    json_int_t n[9];
    int cpus, pids, r = find_for(home, ref, LIFECYCLE_STATS, &i, NULL, err);

    if (r == 0)
        r = transact(home, i, json_pack("{s:s}", "do", "stats"), ANSWER_MS, &o, err);
    instance_free(i);
    if (r < 0)
        return r;
    if (json_unpack(o, "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i}", "time", &n[0], "cpu_ns",
                    &n[1], "instructions", &n[2], "memory_used", &n[3], "memory_limit", &n[4],
                    "block_read", &n[5], "block_written", &n[6], "net_rx", &n[7], "net_tx", &n[8],
                    "cpus", &cpus, "pids", &pids) < 0)
        r = error_set(err, -EPROTO, "its supervisor answered nonsense");
    json_decref(o);
    if (r < 0)
        return r;
    *ret = (struct instance_stats){.time = n[0],
                                   .cpu_ns = (uint64_t)n[1],
                                   .instructions = (uint64_t)n[2],
                                   .memory_used = (uint64_t)n[3],
                                   .memory_limit = (uint64_t)n[4],
                                   .block_read = (uint64_t)n[5],
                                   .block_written = (uint64_t)n[6],
                                   .net_rx = (uint64_t)n[7],
                                   .net_tx = (uint64_t)n[8],
                                   .cpus = (unsigned)cpus,
                                   .pids = (unsigned)pids};
    return 0;
}

int client_inspect(struct instances *home, const struct instance *i, json_t **ret,
                   struct error *err)
{
    json_t *o = NULL;
    int r = transact(home, i, json_pack("{s:s}", "do", "inspect"), ANSWER_MS, &o, err);

    if (r < 0)
        return r;
    *ret = json_incref(json_object_get(o, "engine"));
    json_decref(o);
    return *ret ? 0 : error_set(err, -EPROTO, "its supervisor answered nonsense");
}

int client_update(struct instances *home, const struct instance *i, const char *key,
                  const char *value, struct error *err)
{
    return transact(
        home, i,
        json_pack("{s:s,s:s,s:s}", "do", "update", "key", key, "value", value ? value : "true"),
        ANSWER_MS, NULL, err);
}

/* ---- wait ---- */

/* Waits for the end that a living supervisor will tell. 1: *ret_code is set; 0: look again. */
static int wait_for_end(struct instances *home, const struct instance *i, int *ret_code,
                        struct error *err)
{
    json_t *o = NULL;
    int r = transact(home, i, json_pack("{s:s}", "do", "wait"), -1, &o, err);

    if (r == -EPIPE || r == -ECONNRESET || r == -ESTALE)
        return 0;
    if (r < 0)
        return r;
    *ret_code = (int)json_integer_value(json_object_get(o, "exit_code"));
    json_decref(o);
    return 1;
}

/* Sleeps until something happens in the store's directory, at most 250 ms. */
static void wait_for_change(int watch)
{
    struct pollfd p = {.fd = watch, .events = POLLIN};
    char drop[4096];

    if (poll(&p, 1, 250) > 0)
        while (read(watch, drop, sizeof drop) > 0)
            ;
}

int instance_wait(struct instances *home, const char *ref, enum instance_wait condition,
                  int *ret_exit_code, struct error *err)
{
    cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char id[INSTANCE_ID_LEN + 1];
    struct instance *i = NULL;
    bool ended = false;
    unsigned first_run;
    int code = 0, r;

    if (watch < 0 || inotify_add_watch(watch, home->data, IN_MODIFY | IN_CREATE) < 0)
        return error_set_errno(err, -errno, "watch %s", home->data);
    r = instance_find(home, ref, &i, err);
    if (r < 0)
        return r;
    memcpy(id, i->id, sizeof id);
    /* The run whose end counts for NEXT_EXIT: the present one, or the next. */
    first_run = i->run + !lifecycle_supervised(i->state);
    for (;;) {
        if (lifecycle_supervised(i->state)) {
            r = wait_for_end(home, i, &code, err);
            ended |= r == 1;
        } else {
            code = ended ? code : i->exit_code;
            ended |= condition == INSTANCE_WAIT_NOT_RUNNING ||
                     (condition == INSTANCE_WAIT_NEXT_EXIT && i->run >= first_run &&
                      (i->state == LIFECYCLE_EXITED || i->state == LIFECYCLE_DEAD));
        }
        if (r < 0 || (ended && condition != INSTANCE_WAIT_REMOVED))
            break;
        if (r == 0 && !lifecycle_supervised(i->state))
            wait_for_change(watch);
        instance_free(steal_ptr(&i));
        r = instance_find(home, id, &i, err);
        if (r == -ENOENT && (ended || condition == INSTANCE_WAIT_REMOVED)) {
            r = 0;
            break;
        }
        if (r < 0)
            break;
    }
    instance_free(i);
    if (r < 0)
        return r;
    *ret_exit_code = code;
    return 0;
}
