/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/agent.h"

#include <errno.h>
#include <stdio.h>

#include "base/loop.h"
#include "base/mem.h"
#include "guest/protocol.h"

/* Frames that wait for the guest: above the first mark no input is taken, above the second nothing.
 */
enum { OUT_MARK = 256 << 10, OUT_MAX = 4 << 20 };

/* One stream from the guest to a character device. */
struct outlet {
    struct chardev *to; /* NULL: is thrown away */
    size_t window;      /* bytes that the guest may still send */
    size_t taken;       /* handed on, and no credit given yet */
    uint8_t *pending;   /* AGENT_WINDOW bytes that @to did not take yet */
    size_t at, len;
};

struct agent_process {
    struct agent *agent;
    struct agent_process *next;
    uint16_t id;
    struct outlet out[2];
    struct chardev_client clients[2];
    size_t window; /* bytes of input that the guest takes */
    bool input, input_ended;
    bool over;  /* its last frame has come */
    bool told;  /* and its owner knows */
    bool owned; /* somebody holds it; else it goes when it is over */
    int code;
    char *reason;
    void (*ended)(void *opaque, int code, const char *reason);
    void *opaque;
};

struct agent {
    struct chardev port;
    struct chardev_client device;
    struct agent_watch watch;
    struct loop_timer *tell; /* callbacks, outside of anybody's call */
    bool greeted, ready, broken, told;
    char reason[ERROR_TEXT_MAX];
    struct agent_process *processes;
    uint16_t last_id;
    bool sending;
    struct str out;
    size_t out_at;
    uint8_t in[AGENT_HEADER + AGENT_DATA_MAX];
    size_t in_len;
};

static void tell_soon(struct agent *a)
{
    loop_timer_set(a->tell, 1);
}

static void __attribute__((format(printf, 2, 3))) breaks(struct agent *a, const char *format, ...)
{
    va_list args;

    if (a->broken)
        return;
    a->broken = true;
    va_start(args, format);
    vsnprintf(a->reason, sizeof a->reason, format, args);
    va_end(args);
    tell_soon(a);
}

/* ---- to the guest ---- */

static size_t waiting(const struct agent *a)
{
    return a->out.len - a->out_at;
}

static void send_waiting(struct agent *a)
{
    /* The device may ask for more from inside input. */
    if (a->sending)
        return;
    a->sending = true;
    while (waiting(a) && a->device.room) {
        size_t n = min_of(waiting(a), a->device.room(a->device.opaque));
        if (!n)
            break;
        a->out_at += n;
        a->device.input(a->device.opaque, (const uint8_t *)a->out.data + a->out_at - n, n);
    }
    a->sending = false;
    if (!waiting(a))
        a->out.len = a->out_at = 0;
}

/* Queues a frame; false when memory ran out or the guest takes nothing any more. */
static bool queue(struct agent *a, uint16_t id, enum agent_frame type, const void *data, size_t len)
{
    uint8_t header[AGENT_HEADER] = {0};

    if (a->broken || waiting(a) > OUT_MAX)
        return false;
    if (!a->sending && a->out_at > OUT_MARK) {
        memmove(a->out.data, a->out.data + a->out_at, waiting(a));
        a->out.len -= a->out_at;
        a->out_at = 0;
    }
    store_le32(header, (uint32_t)len);
    store_le16(header + 4, id);
    header[6] = (uint8_t)type;
    str_add_n(&a->out, header, sizeof header);
    str_add_n(&a->out, data, len);
    if (a->out.failed) {
        breaks(a, "out of memory");
        return false;
    }
    send_waiting(a);
    return true;
}

static bool queue_numbers(struct agent *a, uint16_t id, enum agent_frame type, uint32_t first,
                          uint32_t second)
{
    uint8_t data[8];

    store_le32(data, first);
    store_le32(data + 4, second);
    return queue(a, id, type, data, sizeof data);
}

/* ---- output of processes ---- */

static void give_credit(struct agent_process *p, unsigned i)
{
    struct outlet *o = &p->out[i];

    if (o->taken < AGENT_CREDIT_MIN || p->over)
        return;
    if (queue_numbers(p->agent, p->id, AGENT_CREDIT, AGENT_STDOUT + i, (uint32_t)o->taken)) {
        o->window += o->taken;
        o->taken = 0;
    }
}

/* Hands on @n bytes as far as they are taken; returns how many. */
static size_t hand_on(struct outlet *o, const uint8_t *bytes, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t taken = o->to ? o->to->ops->write(o->to, bytes + done, n - done) : n - done;
        if (!taken)
            break;
        done += taken;
    }
    o->taken += done;
    return done;
}

static bool is_drained(const struct agent_process *p)
{
    return p->out[0].at == p->out[0].len && p->out[1].at == p->out[1].len;
}

static void drain(struct agent_process *p, unsigned i)
{
    struct outlet *o = &p->out[i];

    if (o->at < o->len)
        o->at += hand_on(o, o->pending + o->at, o->len - o->at);
    if (o->at == o->len)
        o->at = o->len = 0;
    give_credit(p, i);
    if (p->over && is_drained(p))
        tell_soon(p->agent);
}

static void take_output(struct agent_process *p, unsigned i, const uint8_t *bytes, size_t n)
{
    struct outlet *o = &p->out[i];
    size_t done = 0;

    if (n > o->window) {
        breaks(p->agent, "the guest's agent sent more than it may");
        return;
    }
    o->window -= n;
    if (o->at == o->len)
        done = hand_on(o, bytes, n);
    if (done < n && !o->pending)
        o->pending = mem_alloc(1, AGENT_WINDOW);
    if (done < n && !o->pending) {
        breaks(p->agent, "out of memory");
        return;
    }
    if (done < n) {
        /* What is pending and the window together are never more than AGENT_WINDOW. */
        memmove(o->pending, o->pending + o->at, o->len - o->at);
        o->len -= o->at;
        o->at = 0;
        memcpy(o->pending + o->len, bytes + done, n - done);
        o->len += n - done;
    }
    give_credit(p, i);
}

/* ---- what the character devices of processes call ---- */

static size_t process_room(void *opaque)
{
    struct agent_process *p = opaque;

    if (!p->input || p->over || waiting(p->agent) > OUT_MARK)
        return 0;
    return min_of(p->window, (size_t)AGENT_DATA_MAX);
}

static void process_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct agent_process *p = opaque;

    p->window -= n;
    queue(p->agent, p->id, AGENT_INPUT, bytes, n);
}

static void process_eof(void *opaque)
{
    struct agent_process *p = opaque;

    if (p->input && !p->input_ended && !p->over)
        queue(p->agent, p->id, AGENT_END, NULL, 0);
    p->input_ended = true;
}

static void process_resize(void *opaque, unsigned columns, unsigned rows)
{
    struct agent_process *p = opaque;

    if (!p->over)
        queue_numbers(p->agent, p->id, AGENT_RESIZE, columns, rows);
}

static void output_writable(void *opaque)
{
    drain(opaque, 0);
}

static void errors_writable(void *opaque)
{
    drain(opaque, 1);
}

static size_t no_room(void *opaque)
{
    return 0;
}

static void no_input(void *opaque, const uint8_t *bytes, size_t n)
{
}

static void attach(struct agent_process *p)
{
    p->clients[0] = (struct chardev_client){.room = process_room,
                                            .input = process_input,
                                            .writable = output_writable,
                                            .resize = process_resize,
                                            .eof = process_eof,
                                            .opaque = p};
    p->clients[1] = (struct chardev_client){
        .room = no_room, .input = no_input, .writable = errors_writable, .opaque = p};
    if (p->out[1].to)
        p->out[1].to->ops->attach(p->out[1].to, &p->clients[1]);
    if (p->out[0].to)
        p->out[0].to->ops->attach(p->out[0].to, &p->clients[0]);
}

/* Input may have room again. */
static void feed_processes(struct agent *a)
{
    for (struct agent_process *p = a->processes, *next; p && waiting(a) <= OUT_MARK; p = next) {
        next = p->next;
        if (p->input && !p->over && p->out[0].to)
            p->out[0].to->ops->ready(p->out[0].to);
    }
}

/* ---- from the guest ---- */

static void set_reason(struct agent_process *p, const uint8_t *text, size_t len)
{
    len = strnlen((const char *)text, min_of(len, (size_t)ERROR_TEXT_MAX - 1));
    p->reason = mem_alloc(1, len + 1);
    for (size_t i = 0; p->reason && i < len; i++) /* one line that no terminal minds */
        p->reason[i] = text[i] < ' ' || text[i] == 0x7f ? ' ' : (char)text[i];
}

static void process_ended(struct agent_process *p, const uint8_t *data, size_t len, bool refused)
{
    p->over = true;
    p->code = (int)(load_le32(data) & 0xff);
    if (refused)
        set_reason(p, data + 4, len - 4);
    if (is_drained(p))
        tell_soon(p->agent);
}

static void process_frame(struct agent_process *p, uint8_t type, const uint8_t *data, size_t len)
{
    uint32_t n;

    switch (type) {
    case AGENT_OUTPUT:
    case AGENT_ERRORS:
        take_output(p, type == AGENT_ERRORS, data, len);
        return;
    case AGENT_REFUSED:
    case AGENT_EXIT:
        if (len < 4)
            break;
        process_ended(p, data, len, type == AGENT_REFUSED);
        return;
    case AGENT_CREDIT:
        n = len == 8 && load_le32(data) == AGENT_STDIN ? load_le32(data + 4) : 0;
        if (!n || n > AGENT_WINDOW - p->window)
            break;
        p->window += n;
        if (p->out[0].to)
            p->out[0].to->ops->ready(p->out[0].to);
        return;
    default:
        break;
    }
    breaks(p->agent, "the guest's agent sent nonsense");
}

static void machine_frame(struct agent *a, uint8_t type, const uint8_t *data, size_t len)
{
    if (!a->greeted) {
        if (type != AGENT_HELLO || len != 4)
            breaks(a, "the guest's agent sent nonsense");
        else if (load_le32(data) != AGENT_VERSION)
            breaks(a, "the guest's agent is of another version");
        a->greeted = true;
    } else if (type == AGENT_READY && !a->ready) {
        a->ready = true;
    } else if (type == AGENT_FAILED) {
        char text[512];
        size_t n = min_of(len, sizeof text - 1);
        for (size_t i = 0; i < n; i++)
            text[i] = data[i] < ' ' || data[i] == 0x7f ? ' ' : (char)data[i];
        text[n] = 0;
        breaks(a, "set up the guest: %s", text);
    } else {
        breaks(a, "the guest's agent sent nonsense");
    }
}

static void handle(struct agent *a, const uint8_t *header, const uint8_t *data, size_t len)
{
    uint16_t id = load_le16(header + 4);
    struct agent_process *p = a->processes;

    if (id == AGENT_NOBODY || !a->greeted) {
        machine_frame(a, header[6], data, len);
        return;
    }
    while (p && (p->id != id || p->over))
        p = p->next;
    if (p)
        process_frame(p, header[6], data, len);
    else
        breaks(a, "the guest's agent spoke of a process that is not there");
}

static size_t port_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct agent *a = container_of(ch, struct agent, port);

    for (size_t done = 0; done < n && !a->broken;) {
        size_t len = a->in_len < AGENT_HEADER ? 0 : load_le32(a->in);
        size_t part = min_of(AGENT_HEADER + len - a->in_len, n - done);
        memcpy(a->in + a->in_len, bytes + done, part);
        a->in_len += part;
        done += part;
        if (a->in_len < AGENT_HEADER)
            continue;
        len = load_le32(a->in);
        if (len > AGENT_DATA_MAX) {
            breaks(a, "the guest's agent sent a frame that is too long");
        } else if (a->in_len == AGENT_HEADER + len) {
            a->in_len = 0;
            handle(a, a->in, a->in + AGENT_HEADER, len);
        }
    }
    return n;
}

static void port_attach(struct chardev *ch, const struct chardev_client *client)
{
    struct agent *a = container_of(ch, struct agent, port);

    a->device = *client;
    send_waiting(a);
}

static void port_ready(struct chardev *ch)
{
    struct agent *a = container_of(ch, struct agent, port);

    send_waiting(a);
    feed_processes(a);
}

static void port_close(struct chardev *ch)
{
}

static const struct chardev_ops port_ops = {
    .attach = port_attach, .write = port_write, .ready = port_ready, .close = port_close};

/* ---- for the engine ---- */

static void process_free(struct agent_process *p)
{
    free(p->reason);
    free(p->out[0].pending);
    free(p->out[1].pending);
    free(p);
}

/* Takes it out of the list and frees it. */
static void discard(struct agent_process *p)
{
    struct agent_process **at = &p->agent->processes;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    process_free(p);
}

static void tell(void *opaque)
{
    struct agent *a = opaque;

    /* From the beginning after each: a callback may free others. */
    for (struct agent_process *p = a->processes; p;) {
        if (p->told || !p->over || !is_drained(p)) {
            p = p->next;
            continue;
        }
        p->told = true;
        if (p->owned)
            p->ended(p->opaque, p->code, p->reason);
        else
            discard(p);
        p = a->processes;
    }
    if (a->broken && !a->told) {
        a->told = true;
        a->watch.failed(a->watch.opaque, a->reason);
    }
}

struct agent *agent_new(struct loop *loop, const struct agent_watch *watch, struct error *err)
{
    struct agent *a = mem_new(struct agent);

    if (a) {
        a->port.ops = &port_ops;
        a->watch = *watch;
        a->last_id = AGENT_MAIN;
        a->tell = loop_timer_new(loop, tell, a);
    }
    if (!a || !a->tell) {
        free(a);
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return a;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    for (struct agent_process *p = a->processes, *next; p; p = next) {
        next = p->next;
        process_free(p);
    }
    loop_timer_free(a->tell);
    str_done(&a->out);
    free(a);
}

struct chardev *agent_chardev(struct agent *a)
{
    return &a->port;
}

bool agent_is_ready(const struct agent *a)
{
    return a->ready && !a->broken;
}

void agent_set(struct str *settings, const char *key, const char *value)
{
    str_add(settings, key);
    str_add_char(settings, '=');
    str_add_n(settings, value, strlen(value) + 1);
}

static int queue_settings(struct agent *a, uint16_t id, enum agent_frame type,
                          const struct str *settings, struct error *err)
{
    if (settings->failed)
        return error_set(err, -ENOMEM, "out of memory");
    if (settings->len > AGENT_REQUEST_MAX)
        return error_set(err, -E2BIG, "arguments and environment take %zu bytes; the most is %d",
                         settings->len, AGENT_REQUEST_MAX);
    if (!queue(a, id, type, settings->data, settings->len))
        return error_set(err, -EPIPE, "the guest does not answer");
    return 0;
}

int agent_setup(struct agent *a, const struct str *settings, struct error *err)
{
    return queue_settings(a, AGENT_NOBODY, AGENT_SETUP, settings, err);
}

/* An id that no process has; AGENT_MAIN only for the first. 0: too many. */
static uint16_t new_id(struct agent *a, bool main)
{
    unsigned count = 0;
    uint16_t id = main ? AGENT_MAIN : a->last_id;
    bool taken;

    for (const struct agent_process *p = a->processes; p; p = p->next)
        count++;
    if (count >= AGENT_PROCESSES)
        return 0;
    do {
        if (!main)
            id = id == UINT16_MAX ? AGENT_MAIN + 1 : (uint16_t)(id + 1);
        taken = false;
        for (const struct agent_process *p = a->processes; p; p = p->next)
            taken |= p->id == id;
    } while (taken && !main);
    a->last_id = id;
    return taken ? 0 : id;
}

int agent_run(struct agent *a, const struct agent_command *c, struct agent_process **ret,
              struct error *err)
{
    uint16_t id = new_id(a, c->main);
    struct agent_process *p;
    int r;

    if (!id)
        return error_set(err, -EAGAIN, "more than %d processes at once", AGENT_PROCESSES);
    p = mem_new(struct agent_process);
    if (!p)
        return error_set(err, -ENOMEM, "out of memory");
    *p = (struct agent_process){.agent = a,
                                .next = a->processes,
                                .id = id,
                                .window = AGENT_WINDOW,
                                .input = c->input,
                                .owned = true,
                                .ended = c->ended,
                                .opaque = c->opaque};
    p->out[0] = (struct outlet){.to = c->output, .window = AGENT_WINDOW};
    p->out[1] = (struct outlet){.to = c->errors, .window = AGENT_WINDOW};
    r = queue_settings(a, id, AGENT_RUN, c->settings, err);
    if (r < 0) {
        process_free(p);
        return r;
    }
    a->processes = p;
    attach(p);
    *ret = p;
    return 0;
}

void agent_set_time(struct agent *a, int64_t ns)
{
    /* One that takes nothing any more has worse troubles than its clock. */
    if (agent_is_ready(a))
        queue_numbers(a, AGENT_NOBODY, AGENT_TIME, (uint32_t)ns, (uint32_t)((uint64_t)ns >> 32));
}

int agent_process_signal(struct agent_process *p, int number, struct error *err)
{
    uint8_t data[4];

    store_le32(data, (uint32_t)number);
    if (p->over)
        return error_set(err, -ESRCH, "it has ended");
    if (!queue(p->agent, p->id, AGENT_SIGNAL, data, sizeof data))
        return error_set(err, -ENOBUFS, "the guest does not answer");
    return 0;
}

void agent_process_free(struct agent_process *p)
{
    if (!p)
        return;
    if (p->told) {
        discard(p);
        return;
    }
    p->owned = p->input = false;
    for (unsigned i = 0; i < 2; i++) {
        p->out[i].to = NULL;
        drain(p, i);
    }
}
