/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/json.h"

/* syscalls: accept4 bind getsockopt geteuid listen recvfrom sendmsg sendto umask unlink */

enum { OUTPUT_CHUNK = PROTOCOL_FRAME_MAX };

struct control_client {
    struct control *control;
    struct control_client *next;
    int fd;
    struct loop_fd *watch;
    struct protocol_reader in;
    uint8_t *out; /* grows up to CONTROL_OUT_MAX */
    size_t out_at, out_len, out_cap;
    int fds[CONTROL_FDS]; /* go with the next byte that is sent */
    unsigned fd_count;
    int64_t request; /* id of the open request, -1: none given */
    bool busy;       /* a request waits for its answer */
    bool deferred;   /* ... until the instance ends */
    bool stream, input, ended, gone;
    struct console_reader *reader;
};

struct control {
    struct loop *loop;
    struct console *console;
    const char *id;
    control_request_fn *request;
    void (*gone_fn)(void *opaque, struct control_client *client);
    void *opaque;
    int listener;
    struct loop_fd *watch;
    struct control_client *clients;
    unsigned count;
    struct loop_timer *later; /* input that waited, and freeing clients, outside of callbacks */
};

static void update_events(struct control_client *cl);

static void close_fds(struct control_client *cl)
{
    while (cl->fd_count)
        close(cl->fds[--cl->fd_count]);
}

static void drop(struct control_client *cl)
{
    if (cl->gone)
        return;
    cl->gone = true;
    if (cl->control->gone_fn)
        cl->control->gone_fn(cl->control->opaque, cl);
    loop_remove_fd(cl->watch);
    cl->watch = NULL;
    console_reader_free(steal_ptr(&cl->reader));
    if (cl->fd >= 0)
        close(steal_fd(&cl->fd));
    loop_timer_set(cl->control->later, 1);
}

static void client_free(struct control_client *cl)
{
    if (cl->watch)
        loop_remove_fd(cl->watch);
    console_reader_free(cl->reader);
    if (cl->fd >= 0)
        close(cl->fd);
    close_fds(cl);
    free(cl->out);
    free(cl);
}

static void take_input(struct control_client *cl);

static void later(void *opaque)
{
    struct control *c = opaque;

    for (struct control_client *cl = c->clients; cl; cl = cl->next)
        if (cl->stream && !cl->gone) {
            take_input(cl);
            update_events(cl);
        }
    for (struct control_client **at = &c->clients; *at;) {
        struct control_client *cl = *at;
        if (!cl->gone) {
            at = &cl->next;
            continue;
        }
        *at = cl->next;
        c->count--;
        client_free(cl);
    }
}

/* Queues bytes to send; a client that lets them pile up is dropped. */
static void queue(struct control_client *cl, const void *bytes, size_t n)
{
    if (cl->gone)
        return;
    if (cl->out_at == cl->out_len)
        cl->out_at = cl->out_len = 0;
    if (cl->out_len + n > cl->out_cap) {
        size_t cap = max_of(cl->out_len + n, (size_t)1024);
        uint8_t *more = cap > CONTROL_OUT_MAX ? NULL : realloc(cl->out, cap);
        if (!more) {
            drop(cl);
            return;
        }
        cl->out = more;
        cl->out_cap = cap;
    }
    memcpy(cl->out + cl->out_len, bytes, n);
    cl->out_len += n;
    update_events(cl);
}

static void queue_frame(struct control_client *cl, enum protocol_frame type, const void *bytes,
                        size_t n)
{
    uint8_t header[PROTOCOL_FRAME_HEADER];

    n = min_of(n, (size_t)PROTOCOL_FRAME_MAX);
    protocol_frame_header(header, type, n);
    queue(cl, header, sizeof header);
    queue(cl, bytes, n);
}

static void queue_json(struct control_client *cl, json_t *o)
{
    cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (!text) {
        drop(cl);
        return;
    }
    queue(cl, text, strlen(text));
    queue(cl, "\n", 1);
}

static void queue_skipped(struct control_client *cl, uint64_t bytes)
{
    char text[96];

    snprintf(text, sizeof text, "%llu bytes of output were skipped; see the log",
             (unsigned long long)bytes);
    queue_frame(cl, PROTOCOL_FRAME_NOTICE, text, strlen(text));
}

static enum protocol_frame frame_of(enum console_channel channel)
{
    return channel == CONSOLE_ERRORS ? PROTOCOL_FRAME_ERRORS : PROTOCOL_FRAME_OUTPUT;
}

/* Frames of new console output, one at a time: the ring is the buffer. */
static void fill_from_console(struct control_client *cl)
{
    uint8_t chunk[OUTPUT_CHUNK];
    uint64_t skipped;
    size_t n;

    for (unsigned i = 0; i < CONSOLE_CHANNELS; i++)
        while (cl->reader && !cl->gone && cl->out_len - cl->out_at < 2 * OUTPUT_CHUNK) {
            n = console_read(cl->reader, i, chunk, sizeof chunk, &skipped);
            if (skipped)
                queue_skipped(cl, skipped);
            if (!n)
                break;
            queue_frame(cl, frame_of(i), chunk, n);
        }
}

/* What the loop is to watch; a client is not read from while it owes us reading. */
static void update_events(struct control_client *cl)
{
    unsigned events = 0;
    bool owes = cl->out_len - cl->out_at >= 64u << 10;

    if (cl->gone || !cl->watch)
        return;
    if (cl->out_at < cl->out_len || (cl->reader && console_readable(cl->reader)))
        events |= LOOP_WRITE;
    if (cl->stream ? !cl->input || console_input_room(cl->control->console) >= PROTOCOL_FRAME_MAX
                   : !owes && !cl->busy)
        events |= LOOP_READ;
    if (!events && cl->busy)
        events |= LOOP_READ; /* only to see it go: nothing is parsed while busy */
    loop_set_events(cl->watch, events);
}

static void console_more(void *opaque)
{
    struct control_client *cl = opaque;

    update_events(cl);
    /* Frames that had no room are here already: no event will tell of them. */
    if (cl->input && cl->in.at < cl->in.len)
        loop_timer_set(cl->control->later, 1);
}

/* As send, with the descriptors that wait. */
static ssize_t send_some(struct control_client *cl)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof cl->fds)];
    } control = {0};
    struct iovec v = {.iov_base = cl->out + cl->out_at, .iov_len = cl->out_len - cl->out_at};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes};
    struct cmsghdr *c = &control.align;
    ssize_t n;

    if (!cl->fd_count)
        return send(cl->fd, v.iov_base, v.iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(cl->fd_count * sizeof(int));
    memcpy(CMSG_DATA(c), cl->fds, cl->fd_count * sizeof(int));
    m.msg_controllen = CMSG_SPACE(cl->fd_count * sizeof(int));
    n = sendmsg(cl->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        close_fds(cl);
    return n;
}

static void send_out(struct control_client *cl)
{
    ssize_t n;

    fill_from_console(cl);
    while (!cl->gone && cl->out_at < cl->out_len) {
        n = send_some(cl);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                drop(cl);
            break;
        }
        cl->out_at += (size_t)n;
        if (cl->out_at == cl->out_len)
            fill_from_console(cl);
    }
    if (!cl->gone && cl->ended && cl->out_at == cl->out_len)
        drop(cl);
}

/* Frames of a stream. False: no more can be taken now. */
static bool take_frame(struct control_client *cl)
{
    struct console *console = cl->control->console;
    const uint8_t *data;
    uint8_t type;
    size_t len;
    int r = protocol_next_frame(&cl->in, &type, &data, &len);

    if (r < 0)
        drop(cl);
    if (r <= 0)
        return false;
    switch (type) {
    case PROTOCOL_FRAME_INPUT:
        if (!cl->input)
            break;
        if (console_input_room(console) < len) {
            protocol_unread_frame(&cl->in, len);
            return false;
        }
        console_input(console, data, len);
        break;
    case PROTOCOL_FRAME_RESIZE:
        if (len == 4)
            console_resize(console, load_le16(data), load_le16(data + 2));
        break;
    case PROTOCOL_FRAME_END:
        if (cl->input)
            console_input_end(console);
        break;
    case PROTOCOL_FRAME_DETACH:
        drop(cl);
        return false;
    default:
        drop(cl);
        return false;
    }
    return true;
}

static bool take_line(struct control_client *cl)
{
    struct protocol_request q;
    struct error err = {0};
    const char *line;
    size_t len;
    int r;

    if (cl->busy)
        return false;
    r = protocol_next_line(&cl->in, &line, &len);
    if (r < 0) {
        cl->request = -1;
        control_fail(cl, r, "the request is too long");
        cl->ended = true;
    }
    if (r <= 0)
        return false;
    r = protocol_parse(line, len, &q, &err);
    cl->request = q.id;
    if (r < 0) {
        control_fail(cl, r, error_text(&err));
        return true;
    }
    cl->busy = true;
    cl->control->request(cl->control->opaque, cl, &q);
    return !cl->gone;
}

static void take_input(struct control_client *cl)
{
    while (!cl->gone && !cl->ended && (cl->stream ? take_frame(cl) : take_line(cl)))
        ;
}

static void client_event(void *opaque, int fd, unsigned events)
{
    struct control_client *cl = opaque;
    uint8_t *space;
    size_t room;
    ssize_t n;

    if (events & (LOOP_READ | LOOP_HANGUP)) {
        take_input(cl); /* what was left while the console was full */
        space = protocol_space(&cl->in, &room);
        n = cl->gone ? 0 : room ? recv(cl->fd, space, room, MSG_DONTWAIT) : -2;
        if (n > 0) {
            protocol_received(&cl->in, (size_t)n);
            take_input(cl);
        } else if (!cl->gone && (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR) ||
                                 (n == -2 && (events & LOOP_HANGUP)))) {
            drop(cl);
        } else if (n == -2 && cl->busy && !cl->stream) {
            drop(cl); /* it floods us while it waits for an answer */
        }
    }
    if (!cl->gone)
        send_out(cl);
    if (!cl->gone)
        update_events(cl);
}

struct control_client *control_add(struct control *c, int fd, struct error *err)
{
    struct control_client *cl = mem_new(struct control_client);
    struct ucred peer = {0};
    socklen_t len = sizeof peer;

    if (!cl) {
        close(fd);
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    cl->fd = fd;
    cl->control = c;
    cl->request = -1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        error_set(err, -EPERM, "a client of user %u is refused", (unsigned)peer.uid);
        client_free(cl);
        return NULL;
    }
    cl->watch = loop_add_fd(c->loop, fd, LOOP_READ, client_event, cl, err);
    if (!cl->watch) {
        client_free(cl);
        return NULL;
    }
    cl->next = c->clients;
    c->clients = cl;
    c->count++;
    queue_json(cl, json_pack("{s:s,s:i,s:s}", "isola", ISOLA_VERSION, "protocol", PROTOCOL_VERSION,
                             "id", c->id));
    return cl;
}

static void accept_client(void *opaque, int fd, unsigned events)
{
    struct control *c = opaque;
    struct error err = {0};
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (conn < 0)
        return;
    if (c->count >= CONTROL_CLIENTS) {
        static const char full[] = "{\"ok\":false,\"errno\":\"EBUSY\",\"error\":\"too many "
                                   "clients\"}\n";
        if (send(conn, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            log_debug("control", "refuse a client: %s", strerror(errno));
        close(conn);
        return;
    }
    if (!control_add(c, conn, &err))
        log_warn("control", "%s", error_text(&err));
}

struct control *control_new(struct loop *loop, const char *id, struct console *console,
                            control_request_fn *request, void *opaque, struct error *err)
{
    struct control *c = mem_new(struct control);

    if (c) {
        *c = (struct control){.loop = loop,
                              .id = id,
                              .console = console,
                              .request = request,
                              .opaque = opaque,
                              .listener = -1};
        c->later = loop_timer_new(loop, later, c);
    }
    if (!c || !c->later) {
        error_set(err, -ENOMEM, "out of memory");
        free(c);
        return NULL;
    }
    return c;
}

void control_unlisten(struct control *c)
{
    loop_remove_fd(c->watch);
    c->watch = NULL;
    if (c->listener >= 0)
        close(steal_fd(&c->listener));
}

void control_free(struct control *c)
{
    if (!c)
        return;
    while (c->clients) {
        struct control_client *next = c->clients->next;
        client_free(c->clients);
        c->clients = next;
    }
    control_unlisten(c);
    loop_timer_free(c->later);
    free(c);
}

int control_listen(struct control *c, const char *path, struct error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask;
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "create control socket");
    if (strlen(path) >= sizeof a.sun_path)
        return error_set(err, -ENAMETOOLONG, "the path of socket %s is too long", path);
    strcpy(a.sun_path, path);
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(err, -errno, "remove stale socket %s", path);
    mask = umask(0177);
    r = bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
    umask(mask);
    if (r == 0 && listen(fd, 64) < 0)
        r = -errno;
    if (r < 0)
        return error_set_errno(err, r, "listen on %s", path);
    c->watch = loop_add_fd(c->loop, fd, LOOP_READ, accept_client, c, err);
    if (!c->watch)
        return -ENOMEM;
    c->listener = steal_fd(&fd);
    return 0;
}

void control_set_gone(struct control *c, void (*gone)(void *opaque, struct control_client *client))
{
    c->gone_fn = gone;
}

static void answer(struct control_client *cl, json_t *o)
{
    if (o && cl->request >= 0)
        json_object_set_new(o, "id", json_integer(cl->request));
    cl->busy = cl->deferred = false;
    queue_json(cl, o);
}

void control_reply(struct control_client *cl, json_t *extra)
{
    json_t *o = json_pack("{s:b}", "ok", 1);

    if (o && extra)
        json_object_update(o, extra);
    json_decref(extra);
    answer(cl, o);
}

void control_reply_fds(struct control_client *cl, const int *fds, unsigned count)
{
    close_fds(cl);
    for (unsigned i = 0; i < count; i++)
        if (cl->gone || i >= CONTROL_FDS)
            close(fds[i]);
        else
            cl->fds[cl->fd_count++] = fds[i];
    control_reply(cl, NULL);
}

void control_fail(struct control_client *cl, int code, const char *text)
{
    const char *name = strerrorname_np(-code);

    answer(cl, json_pack("{s:b,s:s,s:o}", "ok", 0, "errno", name ? name : "EIO", "error",
                         json_text(text)));
}

void control_upgrade(struct control_client *cl, const struct protocol_request *q)
{
    cl->reader = console_reader_new(cl->control->console, q->replay, q->wait, console_more, cl);
    if (!cl->reader) {
        control_fail(cl, -ENOMEM, "out of memory");
        return;
    }
    if (q->columns && q->rows)
        console_resize(cl->control->console, q->columns, q->rows);
    control_reply(cl, json_pack("{s:b}", "stream", 1));
    cl->stream = true;
    cl->input = q->input;
    update_events(cl);
}

int control_release(struct control_client *cl)
{
    int fd;

    control_reply(cl, NULL);
    if (!cl->gone)
        send_out(cl);
    if (cl->gone || cl->out_at < cl->out_len)
        return -1;
    loop_remove_fd(cl->watch);
    cl->watch = NULL;
    fd = steal_fd(&cl->fd);
    drop(cl);
    return fd;
}

void control_defer(struct control_client *cl)
{
    cl->deferred = true;
}

void control_ended(struct control *c, int exit_code, const char *reason)
{
    uint8_t payload[512];
    size_t n = reason ? min_of(strlen(reason), sizeof payload - 4) : 0;

    store_le32(payload, (uint32_t)exit_code);
    if (n)
        memcpy(payload + 4, reason, n);
    for (struct control_client *cl = c->clients; cl; cl = cl->next) {
        if (cl->gone)
            continue;
        if (cl->stream) {
            uint64_t skipped;
            uint8_t chunk[OUTPUT_CHUNK];
            size_t got;
            /* All that the ring still holds for it, so that the exit comes last. */
            for (unsigned i = 0; i < CONSOLE_CHANNELS; i++)
                while (cl->reader && !cl->gone &&
                       (got = console_read(cl->reader, i, chunk, sizeof chunk, &skipped))) {
                    if (skipped)
                        queue_skipped(cl, skipped);
                    queue_frame(cl, frame_of(i), chunk, got);
                }
            if (!cl->gone)
                queue_frame(cl, PROTOCOL_FRAME_EXIT, payload, 4 + n);
        } else if (cl->deferred) {
            control_reply(cl, json_pack("{s:i}", "exit_code", exit_code));
        }
        cl->ended = true;
        if (!cl->gone)
            send_out(cl);
    }
}

void control_notice(struct control *c, const char *text)
{
    for (struct control_client *cl = c->clients; cl; cl = cl->next)
        if (cl->stream && !cl->gone) {
            fill_from_console(cl);
            queue_frame(cl, PROTOCOL_FRAME_NOTICE, text, strlen(text));
        }
}

bool control_busy(const struct control *c)
{
    for (struct control_client *cl = c->clients; cl; cl = cl->next)
        if (!cl->gone && cl->out_at < cl->out_len)
            return true;
    return false;
}
