/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/console.h"

#include <errno.h>

#include "base/loop.h"
#include "base/mem.h"

/* An incomplete line (a prompt) reaches the log after this time. */
#define LOG_FLUSH_NS (200ull * 1000000)

struct console_reader {
    struct console *console;
    struct console_reader *next;
    uint64_t at[CONSOLE_CHANNELS]; /* positions in the streams of all output */
    bool wait;
    uint64_t moved_ns; /* when it last read, for readers that are waited for */
    void (*more)(void *opaque);
    void *opaque;
};

/* Output of one kind on its way to readers. */
struct ring {
    struct console *console;
    struct chardev ch;
    enum log_stream stream;
    bool refused;     /* the device was told to wait */
    uint64_t written; /* total bytes of output */
    struct chardev_client device;
    uint8_t bytes[CONSOLE_RING];
};

/* The device that takes input is the one of the first ring. */
struct console {
    struct chardev debug;
    struct ring rings[CONSOLE_CHANNELS];
    struct loop *loop;
    struct log_file *log;
    struct loop_timer *flush, *stall;
    struct console_reader *readers;
    bool flush_armed;
    unsigned columns, rows;
    uint8_t input[CONSOLE_INPUT];
    size_t input_at, input_len;
    bool input_ended; /* no more will come */
};

static void feed_device(struct console *c)
{
    /* Who has input gives it in pieces: anything that did not fit is waited for. */
    size_t had = c->input_len;
    struct chardev_client *device = &c->rings[CONSOLE_OUTPUT].device;

    while (c->input_len && device->room) {
        size_t n = min_of(c->input_len, CONSOLE_INPUT - c->input_at);
        n = min_of(n, device->room(device->opaque));
        if (!n)
            break;
        /* The queue moves on first: input may lead back here by way of ready. */
        const uint8_t *from = c->input + c->input_at;
        c->input_at = (c->input_at + n) % CONSOLE_INPUT;
        c->input_len -= n;
        device->input(device->opaque, from, n);
    }
    if (c->input_ended && !c->input_len && device->eof) {
        c->input_ended = false;
        device->eof(device->opaque);
    }
    if (had > CONSOLE_INPUT / 2 && c->input_len < had)
        for (struct console_reader *r = c->readers; r; r = r->next)
            r->more(r->opaque);
}

static void console_attach(struct chardev *ch, const struct chardev_client *client)
{
    struct ring *ring = container_of(ch, struct ring, ch);
    struct console *c = ring->console;

    ring->device = *client;
    if (c->columns && client->resize)
        client->resize(client->opaque, c->columns, c->rows);
    feed_device(c);
}

/* Bytes that may be written before a reader that is waited for would lose output. */
static size_t ring_room(const struct ring *ring)
{
    const struct console *c = ring->console;
    size_t channel = (size_t)(ring - c->rings);
    uint64_t behind = 0;

    for (struct console_reader *r = c->readers; r; r = r->next)
        if (r->wait)
            behind = max_of(behind, ring->written - r->at[channel]);
    return behind < CONSOLE_RING ? (size_t)(CONSOLE_RING - behind) : 0;
}

static void arm_flush(struct console *c)
{
    bool pending = c->log && log_file_pending(c->log);

    if (pending && !c->flush_armed)
        loop_timer_set(c->flush, loop_now_ns() + LOG_FLUSH_NS);
    else if (!pending && c->flush_armed)
        loop_timer_clear(c->flush);
    c->flush_armed = pending;
}

static size_t console_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct ring *ring = container_of(ch, struct ring, ch);
    struct console *c = ring->console;
    size_t room = ring_room(ring), taken = 0;

    n = min_of(n, room);
    if (!n) {
        if (!ring->refused)
            loop_timer_set(c->stall, loop_now_ns() + CONSOLE_STALL_NS);
        ring->refused = true;
        return 0;
    }
    while (taken < n) {
        size_t at = ring->written % CONSOLE_RING, part = min_of(n - taken, CONSOLE_RING - at);
        memcpy(ring->bytes + at, bytes + taken, part);
        taken += part;
        ring->written += part;
    }
    if (c->log)
        log_file_add(c->log, ring->stream, bytes, n);
    arm_flush(c);
    for (struct console_reader *r = c->readers; r; r = r->next)
        r->more(r->opaque);
    return n;
}

static void console_ready(struct chardev *ch)
{
    feed_device(container_of(ch, struct ring, ch)->console);
}

static void console_close(struct chardev *ch)
{
    console_detach_device(container_of(ch, struct ring, ch)->console);
}

static const struct chardev_ops console_ops = {.attach = console_attach,
                                               .write = console_write,
                                               .ready = console_ready,
                                               .close = console_close};

static void debug_attach(struct chardev *ch, const struct chardev_client *client)
{
}

static size_t debug_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct console *c = container_of(ch, struct console, debug);

    if (c->log)
        log_file_add(c->log, LOG_STREAM_DEBUG, bytes, n);
    arm_flush(c);
    return n;
}

static void debug_nothing(struct chardev *ch)
{
}

static const struct chardev_ops debug_ops = {
    .attach = debug_attach, .write = debug_write, .ready = debug_nothing, .close = debug_nothing};

static void flush_log(void *opaque)
{
    struct console *c = opaque;

    c->flush_armed = false;
    log_file_flush(c->log);
}

static void device_may_write(struct console *c)
{
    bool waits = false;

    for (size_t i = 0; i < CONSOLE_CHANNELS; i++) {
        struct ring *ring = &c->rings[i];
        if (!ring->refused || !ring_room(ring)) {
            waits |= ring->refused;
            continue;
        }
        ring->refused = false;
        if (ring->device.writable)
            ring->device.writable(ring->device.opaque);
        waits |= ring->refused;
    }
    if (!waits)
        loop_timer_clear(c->stall);
}

static bool is_behind(const struct console_reader *r)
{
    for (size_t i = 0; i < CONSOLE_CHANNELS; i++)
        if (r->console->rings[i].written - r->at[i] >= CONSOLE_RING)
            return true;
    return false;
}

/* Readers that kept the device waiting too long are not waited for any more. */
static void give_up(void *opaque)
{
    struct console *c = opaque;
    uint64_t now = loop_now_ns(), next = 0;

    for (struct console_reader *r = c->readers; r; r = r->next) {
        if (!r->wait || !is_behind(r))
            continue;
        if (now - r->moved_ns >= CONSOLE_STALL_NS)
            r->wait = false;
        else if (!next || r->moved_ns + CONSOLE_STALL_NS < next)
            next = r->moved_ns + CONSOLE_STALL_NS;
    }
    if (next)
        loop_timer_set(c->stall, next);
    device_may_write(c);
}

struct console *console_new(struct loop *loop, struct log_file *log, struct error *err)
{
    struct console *c = mem_new(struct console);

    if (c) {
        for (size_t i = 0; i < CONSOLE_CHANNELS; i++) {
            c->rings[i].console = c;
            c->rings[i].ch.ops = &console_ops;
            c->rings[i].stream = i == CONSOLE_OUTPUT ? LOG_STREAM_STDOUT : LOG_STREAM_STDERR;
        }
        c->debug.ops = &debug_ops;
        c->loop = loop;
        c->log = log;
        c->flush = loop_timer_new(loop, flush_log, c);
        c->stall = loop_timer_new(loop, give_up, c);
    }
    if (!c || !c->flush || !c->stall) {
        error_set(err, -ENOMEM, "create console: out of memory");
        console_free(c);
        return NULL;
    }
    return c;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    if (c->flush)
        loop_timer_free(c->flush);
    if (c->stall)
        loop_timer_free(c->stall);
    free(c);
}

struct chardev *console_chardev(struct console *c)
{
    return &c->rings[CONSOLE_OUTPUT].ch;
}

struct chardev *console_errors(struct console *c)
{
    return &c->rings[CONSOLE_ERRORS].ch;
}

struct chardev *console_debug(struct console *c)
{
    return &c->debug;
}

void console_detach_device(struct console *c)
{
    for (size_t i = 0; i < CONSOLE_CHANNELS; i++) {
        c->rings[i].device = (struct chardev_client){0};
        c->rings[i].refused = false;
    }
    c->input_len = 0;
    c->input_ended = false;
}

struct console_reader *console_reader_new(struct console *c, bool replay, bool wait,
                                          void (*more)(void *opaque), void *opaque)
{
    struct console_reader *r = mem_new(struct console_reader);

    if (!r)
        return NULL;
    *r = (struct console_reader){.console = c,
                                 .next = c->readers,
                                 .wait = wait,
                                 .moved_ns = loop_now_ns(),
                                 .more = more,
                                 .opaque = opaque};
    for (size_t i = 0; i < CONSOLE_CHANNELS; i++) {
        uint64_t written = c->rings[i].written;
        r->at[i] = !replay ? written : written > CONSOLE_RING ? written - CONSOLE_RING : 0;
    }
    c->readers = r;
    return r;
}

void console_reader_free(struct console_reader *r)
{
    if (!r)
        return;
    for (struct console_reader **at = &r->console->readers; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    device_may_write(r->console);
    free(r);
}

bool console_readable(const struct console_reader *r)
{
    for (size_t i = 0; i < CONSOLE_CHANNELS; i++)
        if (r->at[i] != r->console->rings[i].written)
            return true;
    return false;
}

size_t console_read(struct console_reader *r, enum console_channel channel, uint8_t *buf,
                    size_t size, uint64_t *ret_skipped)
{
    struct console *c = r->console;
    struct ring *ring = &c->rings[channel];
    uint64_t *from = &r->at[channel];
    size_t done = 0;

    *ret_skipped = 0;
    if (ring->written - *from > CONSOLE_RING) {
        *ret_skipped = ring->written - CONSOLE_RING - *from;
        *from = ring->written - CONSOLE_RING;
    }
    size = (size_t)min_of((uint64_t)size, ring->written - *from);
    while (done < size) {
        size_t at = *from % CONSOLE_RING, part = min_of(size - done, CONSOLE_RING - at);
        memcpy(buf + done, ring->bytes + at, part);
        done += part;
        *from += part;
    }
    if (done && r->wait) {
        r->moved_ns = loop_now_ns();
        device_may_write(c);
    }
    return done;
}

size_t console_input_room(const struct console *c)
{
    return CONSOLE_INPUT - c->input_len;
}

size_t console_input(struct console *c, const uint8_t *bytes, size_t n)
{
    n = min_of(n, console_input_room(c));
    for (size_t done = 0; done < n;) {
        size_t at = (c->input_at + c->input_len) % CONSOLE_INPUT,
               part = min_of(n - done, CONSOLE_INPUT - at);
        memcpy(c->input + at, bytes + done, part);
        done += part;
        c->input_len += part;
    }
    feed_device(c);
    return n;
}

void console_input_end(struct console *c)
{
    c->input_ended = true;
    feed_device(c);
}

void console_resize(struct console *c, unsigned columns, unsigned rows)
{
    struct chardev_client *device = &c->rings[CONSOLE_OUTPUT].device;

    c->columns = columns;
    c->rows = rows;
    if (device->resize)
        device->resize(device->opaque, columns, rows);
}

void console_size(const struct console *c, unsigned *ret_columns, unsigned *ret_rows)
{
    *ret_columns = c->columns;
    *ret_rows = c->rows;
}
