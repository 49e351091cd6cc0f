/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "instance/protocol.h"

struct instance_stream {
    int fd;
    bool ended;
    struct protocol_reader in;
    uint8_t out[PROTOCOL_FRAME_HEADER + PROTOCOL_FRAME_MAX]; /* one frame on its way */
    size_t out_at, out_len;
};

int stream_new(int fd, struct instance_stream **ret, struct error *err)
{
    struct instance_stream *s = mem_new(struct instance_stream);

    if (!s) {
        close(fd);
        return error_set(err, -ENOMEM, "out of memory");
    }
    s->fd = fd;
    *ret = s;
    return 0;
}

void instance_stream_close(struct instance_stream *s)
{
    if (!s)
        return;
    close(s->fd);
    free(s);
}

int instance_stream_fd(const struct instance_stream *s)
{
    return s->fd;
}

int stream_poll(struct instance_stream *s, struct instance_stream_event *ret, struct error *err)
{
    const uint8_t *data;
    uint8_t type;
    size_t len;
    int r = protocol_next_frame(&s->in, &type, &data, &len);

    if (r < 0)
        return error_set(err, r, "its supervisor sent nonsense");
    if (r == 0)
        return 0;
    *ret = (struct instance_stream_event){.data = data, .len = len};
    switch (type) {
    case PROTOCOL_FRAME_OUTPUT:
        ret->kind = INSTANCE_STREAM_DATA;
        return 1;
    case PROTOCOL_FRAME_ERRORS:
        ret->kind = INSTANCE_STREAM_ERRORS;
        return 1;
    case PROTOCOL_FRAME_NOTICE:
        ret->kind = INSTANCE_STREAM_NOTICE;
        return 1;
    case PROTOCOL_FRAME_EXIT:
        if (len < 4)
            break;
        ret->kind = INSTANCE_STREAM_EXIT;
        ret->exit_code = (int)load_le32(data);
        ret->data += 4;
        ret->len -= 4;
        s->ended = true;
        return 1;
    default:
        break;
    }
    return error_set(err, -EPROTO, "its supervisor sent nonsense");
}

int stream_fill(struct instance_stream *s)
{
    size_t room;
    uint8_t *space = protocol_space(&s->in, &room);
    ssize_t n = recv(s->fd, space, room, MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    if (n == 0)
        return -EPIPE;
    protocol_received(&s->in, (size_t)n);
    return (int)n;
}

int instance_stream_read(struct instance_stream *s, struct instance_stream_event *ret,
                         struct error *err)
{
    for (;;) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        int r = stream_poll(s, ret, err);
        if (r)
            return r < 0 ? r : 0;
        if (poll(&p, 1, -1) < 0)
            return error_set_errno(err, -errno, "read from its supervisor");
        if (stream_fill(s) < 0) {
            *ret = (struct instance_stream_event){.kind = INSTANCE_STREAM_LOST};
            return 0;
        }
    }
}

/* Sends what is on its way. 1: all gone, 0: not all, -EPIPE. */
static int flush_out(struct instance_stream *s)
{
    while (s->out_at < s->out_len) {
        ssize_t n =
            send(s->fd, s->out + s->out_at, s->out_len - s->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
        s->out_at += (size_t)n;
    }
    return 1;
}

/* Puts a frame on its way; the way must be free. */
static void put_frame(struct instance_stream *s, enum protocol_frame type, const void *data,
                      size_t n)
{
    protocol_frame_header(s->out, type, n);
    if (n)
        memcpy(s->out + PROTOCOL_FRAME_HEADER, data, n);
    s->out_at = 0;
    s->out_len = PROTOCOL_FRAME_HEADER + n;
}

int stream_try_write(struct instance_stream *s, const void *data, size_t n)
{
    int r = flush_out(s);

    if (r <= 0)
        return r;
    n = min_of(n, (size_t)PROTOCOL_FRAME_MAX);
    if (!n)
        return 0;
    put_frame(s, PROTOCOL_FRAME_INPUT, data, n);
    r = flush_out(s);
    return r < 0 ? r : (int)n;
}

static int wait_writable(struct instance_stream *s, struct error *err)
{
    for (;;) {
        struct pollfd p = {.fd = s->fd, .events = POLLOUT};
        int r = flush_out(s);
        if (r)
            return r < 0 ? error_set(err, r, "its supervisor is gone") : 0;
        if (poll(&p, 1, -1) < 0)
            return error_set_errno(err, -errno, "write to its supervisor");
    }
}

int instance_stream_write(struct instance_stream *s, const void *bytes, size_t n, struct error *err)
{
    const uint8_t *at = bytes;

    while (n) {
        size_t part = min_of(n, (size_t)PROTOCOL_FRAME_MAX);
        int r = wait_writable(s, err);
        if (r < 0)
            return r;
        put_frame(s, PROTOCOL_FRAME_INPUT, at, part);
        at += part;
        n -= part;
    }
    return wait_writable(s, err);
}

int instance_stream_end_input(struct instance_stream *s, struct error *err)
{
    int r = wait_writable(s, err);

    if (r < 0)
        return r;
    put_frame(s, PROTOCOL_FRAME_END, NULL, 0);
    return wait_writable(s, err);
}

int instance_stream_resize(struct instance_stream *s, unsigned columns, unsigned rows,
                           struct error *err)
{
    uint8_t size[4];
    int r = wait_writable(s, err);

    if (r < 0)
        return r;
    store_le16(size, (uint16_t)min_of(columns, 65535u));
    store_le16(size + 2, (uint16_t)min_of(rows, 65535u));
    put_frame(s, PROTOCOL_FRAME_RESIZE, size, sizeof size);
    return wait_writable(s, err);
}

void stream_detach(struct instance_stream *s)
{
    if (flush_out(s) == 1) {
        put_frame(s, PROTOCOL_FRAME_DETACH, NULL, 0);
        flush_out(s);
    }
}
