/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output goes through a buffer, which is written when it is full or FLUSH_NS after its first byte.
 * When the descriptor takes no more and the buffer is full, write refuses; the device hears
 * writable once there is room again.
 *
 * Input is read only when the device has room, so that a guest which does not read makes the other
 * side wait.
 */
#include "io/chardev_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

enum { OUT_MAX = 16 << 10, IN_MAX = 4096, FLUSH_NS = 2000000 };

struct end {
    int fd;
    bool socket;
    bool plain;  /* a file, or /dev/null: always ready, and epoll refuses it */
    int restore; /* status flags to set again at the end, -1: none */
    struct loop_fd *watch;
};

struct chardev_fd {
    struct chardev ch;
    struct loop *loop;
    const struct chardev_client *client;
    struct chardev_fd_options options;
    struct end in, out;
    struct loop_timer *flush_timer, *read_timer;
    bool refused; /* the device waits for writable */
    size_t out_len;
    uint8_t out_bytes[OUT_MAX];
};

static struct chardev_fd *fd_of(struct chardev *ch)
{
    return container_of(ch, struct chardev_fd, ch);
}

static void close_end(struct end *e)
{
    loop_remove_fd(e->watch);
    e->watch = NULL;
    close_fd(&e->fd);
    e->fd = -1;
}

/*
 * A descriptor of our own in non-blocking mode. The mode belongs to what several descriptors (also
 * of other processes) share, so it is better opened anew; not the master side of a terminal, which
 * would make another terminal.
 */
static int open_end(struct end *e, int fd, int mode, struct error *err)
{
    char path[32];
    struct stat st;
    unsigned number;
    int flags;

    if (fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "use descriptor %d", fd);
    e->socket = S_ISSOCK(st.st_mode);
    e->plain = S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd));
    if ((S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) && ioctl(fd, TIOCGPTN, &number) < 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        e->fd = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (e->fd >= 0)
            return 0;
    }
    e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (e->fd < 0)
        return error_set_errno(err, -errno, "duplicate descriptor %d", fd);
    if (e->socket || e->plain)
        return 0; /* calls say for themselves that they do not wait */
    flags = fcntl(e->fd, F_GETFL);
    if (flags < 0 || fcntl(e->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_set_errno(err, -errno, "make descriptor %d non-blocking", fd);
    if (!(flags & O_NONBLOCK))
        e->restore = flags;
    return 0;
}

static ssize_t write_end(const struct end *e, const uint8_t *bytes, size_t n)
{
    ssize_t r;

    do {
        r = e->socket ? send(e->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(e->fd, bytes, n);
    } while (r < 0 && errno == EINTR);
    return r;
}

static ssize_t read_end(const struct end *e, uint8_t *bytes, size_t n)
{
    ssize_t r;

    do {
        r = e->socket ? recv(e->fd, bytes, n, MSG_DONTWAIT) : read(e->fd, bytes, n);
    } while (r < 0 && errno == EINTR);
    return r;
}

/* ---- output ---- */

/* Writes what is in the buffer as far as it goes, and watches for when it goes on. */
static void flush(struct chardev_fd *c)
{
    size_t done = 0;

    while (done < c->out_len && c->out.fd >= 0) {
        ssize_t n = write_end(&c->out, c->out_bytes + done, c->out_len - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        } else {
            close_end(&c->out); /* nobody reads any more: what follows is dropped */
        }
    }
    if (c->out.fd < 0)
        done = c->out_len;
    c->out_len -= done;
    memmove(c->out_bytes, c->out_bytes + done, c->out_len);
    if (c->out.watch)
        loop_set_events(c->out.watch, c->out_len ? LOOP_WRITE : 0);
    if (!c->out_len && c->flush_timer)
        loop_timer_clear(c->flush_timer);
}

static void tell_writable(struct chardev_fd *c)
{
    if (c->refused && c->out_len < OUT_MAX) {
        c->refused = false;
        if (c->client && c->client->writable)
            c->client->writable(c->client->opaque);
    }
}

static void on_flush(void *opaque)
{
    flush(opaque);
    tell_writable(opaque);
}

static void on_out(void *opaque, int fd, unsigned events)
{
    on_flush(opaque);
}

static size_t fd_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct chardev_fd *c = fd_of(ch);
    size_t taken = 0;

    if (c->out.fd < 0)
        return n;
    while (taken < n) {
        size_t part = min_of(n - taken, OUT_MAX - c->out_len);
        if (!c->out_len && part)
            loop_timer_set(c->flush_timer, loop_now_ns() + FLUSH_NS);
        memcpy(c->out_bytes + c->out_len, bytes + taken, part);
        c->out_len += part;
        taken += part;
        if (c->out_len == OUT_MAX) {
            flush(c);
            if (c->out_len == OUT_MAX)
                break;
        }
    }
    c->refused = taken < n;
    return taken;
}

/* ---- input ---- */

static void end_input(struct chardev_fd *c)
{
    close_end(&c->in);
    if (c->options.ended)
        c->options.ended(c->options.opaque);
}

static void pump(struct chardev_fd *c)
{
    uint8_t bytes[IN_MAX];
    size_t room = c->client && c->in.fd >= 0 ? c->client->room(c->client->opaque) : 0;
    ssize_t n = -1;

    if (room) {
        n = read_end(&c->in, bytes, min_of(room, sizeof(bytes)));
        if (n > 0)
            c->client->input(c->client->opaque, bytes, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            end_input(c);
    }
    if (c->in.watch)
        loop_set_events(c->in.watch, room ? LOOP_READ : 0);
    else if (c->in.plain && n > 0)
        loop_timer_set(c->read_timer, 0); /* more at the loop's next turn */
}

static void on_in(void *opaque, int fd, unsigned events)
{
    pump(opaque);
}

static void on_read_timer(void *opaque)
{
    pump(opaque);
}

static void fd_ready(struct chardev *ch)
{
    struct chardev_fd *c = fd_of(ch);

    /* Not from here: the device is in the middle of something. */
    if (c->in.watch)
        loop_set_events(c->in.watch, LOOP_READ);
    else if (c->in.plain && c->in.fd >= 0)
        loop_timer_set(c->read_timer, 0);
}

/* ---- set-up ---- */

static void fd_attach(struct chardev *ch, const struct chardev_client *client)
{
    fd_of(ch)->client = client;
    fd_ready(ch);
}

static void fd_close(struct chardev *ch)
{
    struct chardev_fd *c = fd_of(ch);

    flush(c);
    close_end(&c->in);
    close_end(&c->out);
    if (c->in.restore >= 0)
        fcntl(c->options.in, F_SETFL, c->in.restore);
    if (c->out.restore >= 0)
        fcntl(c->options.out, F_SETFL, c->out.restore);
    loop_timer_free(c->flush_timer);
    loop_timer_free(c->read_timer);
    free(c);
}

static const struct chardev_ops fd_ops = {
    .attach = fd_attach, .write = fd_write, .ready = fd_ready, .close = fd_close};

static int open_ends(struct chardev_fd *c, struct error *err)
{
    int r = 0;

    if (c->options.in >= 0)
        r = open_end(&c->in, c->options.in, O_RDONLY, err);
    if (r == 0 && c->options.out >= 0)
        r = open_end(&c->out, c->options.out, O_WRONLY, err);
    if (r < 0)
        return r;
    if (c->in.fd >= 0 && !c->in.plain) {
        c->in.watch = loop_add_fd(c->loop, c->in.fd, 0, on_in, c, err);
        if (!c->in.watch)
            return -ENOMEM;
    }
    if (c->out.fd >= 0 && !c->out.plain) {
        c->out.watch = loop_add_fd(c->loop, c->out.fd, 0, on_out, c, err);
        if (!c->out.watch)
            return -ENOMEM;
    }
    c->flush_timer = loop_timer_new(c->loop, on_flush, c);
    c->read_timer = loop_timer_new(c->loop, on_read_timer, c);
    if (!c->flush_timer || !c->read_timer)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

struct chardev *chardev_fd_new(struct loop *loop, const struct chardev_fd_options *options,
                               struct error *err)
{
    struct chardev_fd *c = mem_new(struct chardev_fd);
    int r;

    if (!c) {
        error_set(err, -ENOMEM, "create character device: out of memory");
        return NULL;
    }
    c->ch.ops = &fd_ops;
    c->loop = loop;
    c->options = *options;
    c->in.fd = c->out.fd = c->in.restore = c->out.restore = -1;
    r = open_ends(c, err);
    if (r < 0) {
        error_wrap(err, r, "create character device");
        fd_close(&c->ch);
        return NULL;
    }
    return &c->ch;
}

void chardev_fd_resize(struct chardev *ch, unsigned columns, unsigned rows)
{
    const struct chardev_client *client = fd_of(ch)->client;

    if (client && client->resize)
        client->resize(client->opaque, columns, rows);
}
