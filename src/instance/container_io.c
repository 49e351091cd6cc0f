/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"

enum { CHUNK = 32 << 10, INPUT_MAX = 16 << 10 };

/* One direction out: from a descriptor of ours to a character device. */
struct outlet {
    struct container_io *io;
    struct chardev *to;
    int fd, theirs; /* -1: none, or at its end */
    struct loop_fd *watch;
    uint8_t buf[CHUNK];
    size_t at, len;
};

struct container_io {
    struct loop *loop;
    struct outlet out[2]; /* output (or the pty), errors */
    bool tty;
    int in, in_theirs;
    struct loop_fd *in_watch;
    uint8_t input[INPUT_MAX];
    size_t input_at, input_len;
    bool input_ended;
    void (*drained)(void *opaque);
    void *opaque;
    bool running, said;
    struct loop_timer *tell; /* drained() outside of any callback of ours */
};

static bool is_open(const struct container_io *io)
{
    for (size_t i = 0; i < array_size(io->out); i++)
        if (io->out[i].fd >= 0 || io->out[i].at < io->out[i].len)
            return true;
    return false;
}

static void check_drained(struct container_io *io)
{
    if (!io->running || io->said || is_open(io))
        return;
    io->said = true;
    loop_timer_set(io->tell, 1);
}

static void tell_drained(void *opaque)
{
    struct container_io *io = opaque;

    io->drained(io->opaque);
}

static void close_outlet(struct outlet *o)
{
    loop_remove_fd(o->watch);
    o->watch = NULL;
    if (o->fd >= 0)
        close(steal_fd(&o->fd));
}

/* Hands on what is there; false when the console takes no more now. */
static bool hand_on(struct outlet *o)
{
    while (o->at < o->len) {
        size_t n = o->to->ops->write(o->to, o->buf + o->at, o->len - o->at);
        if (!n)
            return false;
        o->at += n;
    }
    return true;
}

/* Reads once. False: nothing now, or the end. */
static bool take(struct outlet *o)
{
    ssize_t n = read(o->fd, o->buf, sizeof o->buf);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) { /* a pty says EIO when nobody has it open */
        close_outlet(o);
        return false;
    }
    o->at = 0;
    o->len = (size_t)n;
    return true;
}

static void outlet_event(void *opaque, int fd, unsigned events)
{
    struct outlet *o = opaque;

    if (!hand_on(o)) {
        loop_set_events(o->watch, 0);
        return;
    }
    if (take(o) && !hand_on(o))
        loop_set_events(o->watch, 0);
    check_drained(o->io);
}

static void outlet_writable(struct outlet *o)
{
    if (!hand_on(o))
        return;
    if (o->watch)
        loop_set_events(o->watch, LOOP_READ);
    check_drained(o->io);
}

static void close_input(struct container_io *io)
{
    loop_remove_fd(io->in_watch);
    io->in_watch = NULL;
    if (io->in >= 0)
        close(steal_fd(&io->in));
    io->input_len = 0;
}

static void push_input(struct container_io *io)
{
    while (io->input_at < io->input_len && io->in >= 0) {
        ssize_t n = write(io->in, io->input + io->input_at, io->input_len - io->input_at);
        if (n < 0 && errno == EAGAIN) {
            loop_set_events(io->in_watch, LOOP_WRITE);
            return;
        }
        if (n < 0 && errno != EINTR) { /* nobody reads any more */
            close_input(io);
            return;
        }
        if (n > 0)
            io->input_at += (size_t)n;
    }
    if (io->in_watch)
        loop_set_events(io->in_watch, 0);
    if (io->input_ended && !io->tty)
        close_input(io);
}

static void input_event(void *opaque, int fd, unsigned events)
{
    struct container_io *io = opaque;

    if (events & LOOP_HANGUP && !(events & LOOP_WRITE)) {
        close_input(io);
        return;
    }
    push_input(io);
    if (io->input_at == io->input_len)
        io->out[0].to->ops->ready(io->out[0].to);
}

/* ---- the console's side ---- */

static size_t io_room(void *opaque)
{
    struct container_io *io = opaque;

    if (io->in < 0)
        return INPUT_MAX; /* into the void */
    return io->input_at == io->input_len ? INPUT_MAX : 0;
}

static void io_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct container_io *io = opaque;

    if (io->in < 0 || io->input_at < io->input_len)
        return;
    n = min_of(n, sizeof io->input);
    memcpy(io->input, bytes, n);
    io->input_at = 0;
    io->input_len = n;
    push_input(io);
}

static void io_eof(void *opaque)
{
    struct container_io *io = opaque;

    io->input_ended = true;
    push_input(io);
}

static void io_resize(void *opaque, unsigned columns, unsigned rows)
{
    struct container_io *io = opaque;
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};

    if (io->tty && io->out[0].fd >= 0 && columns && rows)
        ioctl(io->out[0].fd, TIOCSWINSZ, &size);
}

static void output_writable(void *opaque)
{
    outlet_writable(&((struct container_io *)opaque)->out[0]);
}

static void errors_writable(void *opaque)
{
    outlet_writable(&((struct container_io *)opaque)->out[1]);
}

/* ---- setting up ---- */

static int make_pipe(int *ours, int *theirs, bool input)
{
    int pair[2];

    if (pipe2(pair, O_CLOEXEC) < 0)
        return -errno;
    *ours = pair[input];
    *theirs = pair[!input];
    /* Ours alone: the flag belongs to the open file, and each end of a pipe is one. */
    return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

struct container_io *container_io_new(struct loop *loop, struct chardev *console,
                                      struct chardev *errors, bool tty, bool input,
                                      struct error *err)
{
    struct container_io *io = mem_new(struct container_io);
    int r = 0;

    if (!io) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    /* Its buffers stay untouched, so that they take no memory before they are used. */
    io->loop = loop;
    io->tty = tty;
    io->in = io->in_theirs = -1;
    for (size_t i = 0; i < array_size(io->out); i++) {
        io->out[i].io = io;
        io->out[i].fd = io->out[i].theirs = -1;
        io->out[i].to = i ? errors : console;
    }
    io->tell = loop_timer_new(loop, tell_drained, io);
    for (size_t i = 0; r == 0 && !tty && i < array_size(io->out); i++)
        r = make_pipe(&io->out[i].fd, &io->out[i].theirs, false);
    if (r == 0 && !tty && input)
        r = make_pipe(&io->in, &io->in_theirs, true);
    if (tty)
        io->in = input ? -2 : -1; /* -2: comes with the pty */
    if (r == 0 && io->tell)
        return io;
    error_set_errno(err, r < 0 ? r : -ENOMEM, "create pipes");
    container_io_free(io);
    return NULL;
}

void container_io_ends(const struct container_io *io, int ret_stdio[3])
{
    ret_stdio[0] = io->in_theirs;
    ret_stdio[1] = io->out[0].theirs;
    ret_stdio[2] = io->out[1].theirs;
}

void container_io_started(struct container_io *io)
{
    if (io->in_theirs >= 0)
        close(steal_fd(&io->in_theirs));
    for (size_t i = 0; i < array_size(io->out); i++)
        if (io->out[i].theirs >= 0)
            close(steal_fd(&io->out[i].theirs));
}

int container_io_console(struct container_io *io, int master, struct error *err)
{
    bool input = io->in == -2;

    io->out[0].fd = master;
    io->in = -1;
    if (fcntl(master, F_SETFL, O_NONBLOCK) < 0)
        return error_set_errno(err, -errno, "prepare the terminal");
    /* A second descriptor, because the two directions are watched apart. */
    if (input)
        io->in = fcntl(master, F_DUPFD_CLOEXEC, 3);
    return input && io->in < 0 ? error_set_errno(err, -errno, "prepare the terminal") : 0;
}

int container_io_run(struct container_io *io, void (*drained)(void *opaque), void *opaque,
                     struct error *err)
{
    const struct chardev_client output = {.room = io_room,
                                          .input = io_input,
                                          .writable = output_writable,
                                          .resize = io_resize,
                                          .eof = io_eof,
                                          .opaque = io},
                                errors = {.writable = errors_writable, .opaque = io};

    io->drained = drained;
    io->opaque = opaque;
    io->running = true;
    for (size_t i = 0; i < array_size(io->out); i++) {
        struct outlet *o = &io->out[i];
        if (o->fd < 0)
            continue;
        o->watch = loop_add_fd(io->loop, o->fd, LOOP_READ, outlet_event, o, err);
        if (!o->watch)
            return err ? err->code : -ENOMEM;
    }
    if (io->in >= 0) {
        io->in_watch = loop_add_fd(io->loop, io->in, 0, input_event, io, err);
        if (!io->in_watch)
            return err ? err->code : -ENOMEM;
    }
    io->out[0].to->ops->attach(io->out[0].to, &output);
    if (io->out[1].to)
        io->out[1].to->ops->attach(io->out[1].to, &errors);
    check_drained(io);
    return 0;
}

bool container_io_flush(struct container_io *io)
{
    for (size_t i = 0; i < array_size(io->out); i++) {
        struct outlet *o = &io->out[i];
        while (hand_on(o) && o->fd >= 0 && take(o))
            ;
    }
    return !is_open(io);
}

void container_io_free(struct container_io *io)
{
    if (!io)
        return;
    close_input(io);
    for (size_t i = 0; i < array_size(io->out); i++)
        close_outlet(&io->out[i]);
    container_io_started(io);
    if (io->tell)
        loop_timer_free(io->tell);
    free(io);
}
