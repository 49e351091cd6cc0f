/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of the control socket and the console behind them, without a supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/loop.h"
#include "base/mem.h"
#include "instance/control.h"

struct rig {
    struct loop *loop;
    struct console *console;
    struct control *control;
    int fd;       /* the client's end */
    size_t grant; /* what the device takes now */
    struct str got;
    int released; /* by the request exec, -1: none */
};

static size_t room(void *opaque)
{
    return ((struct rig *)opaque)->grant;
}

static void input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct rig *t = opaque;

    str_add_n(&t->got, bytes, n);
    t->grant -= n;
}

static void request(void *opaque, struct control_client *client, const struct protocol_request *q)
{
    struct rig *t = opaque;

    if (q->verb == PROTOCOL_EXEC)
        t->released = control_release(client);
    else
        control_upgrade(client, q);
}

static int set_up(void **state)
{
    struct rig *t = mem_new(struct rig);
    const struct chardev_client device = {.room = room, .input = input, .opaque = t};
    int fds[2];

    t->released = -1;
    t->loop = loop_new(NULL);
    t->console = console_new(t->loop, NULL, NULL);
    t->control = control_new(t->loop, "an id", t->console, request, t, NULL);
    console_chardev(t->console)->ops->attach(console_chardev(t->console), &device);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_non_null(control_add(t->control, fds[0], NULL));
    t->fd = fds[1];
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *t = *state;

    if (t->released >= 0)
        close(t->released);
    close(t->fd);
    control_free(t->control);
    console_free(t->console);
    loop_free(t->loop);
    str_done(&t->got);
    free(t);
    return 0;
}

static void step(struct rig *t)
{
    assert_int_equal(loop_step(t->loop, 0, NULL), 0);
}

static void say(struct rig *t, const char *line)
{
    assert_int_equal(send(t->fd, line, strlen(line), 0), strlen(line));
    for (int i = 0; i < 5; i++)
        step(t);
}

/*
 * Whatever the sizes of frames and of what the device takes: all input arrives, in order. The
 * client says nothing more that would wake anybody.
 */
static void input_in_pieces(void **state)
{
    static const size_t frames[] = {8192, 5000, 1, 8191, 3000, 8192, 4097};
    struct rig *t = *state;
    struct str all = {0}, raw = {0};
    size_t sent = 0;

    say(t, "{\"do\":\"attach\",\"input\":true}\n");
    for (int i = 0; i < 60; i++) {
        size_t n = frames[i % array_size(frames)];
        uint8_t header[PROTOCOL_FRAME_HEADER], bytes[PROTOCOL_FRAME_MAX];
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)(all.len + k * 7);
        protocol_frame_header(header, PROTOCOL_FRAME_INPUT, n);
        str_add_n(&raw, header, sizeof header);
        str_add_n(&raw, bytes, n);
        str_add_n(&all, bytes, n);
    }
    for (int i = 0; i < 3000 && t->got.len < all.len; i++) {
        ssize_t n = send(t->fd, raw.data + sent, raw.len - sent, 0);
        sent += n > 0 ? (size_t)n : 0;
        step(t);
        t->grant = 333;
        console_chardev(t->console)->ops->ready(console_chardev(t->console));
        step(t);
    }
    assert_int_equal(t->got.len, all.len);
    assert_memory_equal(t->got.data, all.data, all.len);
    str_done(&all);
    str_done(&raw);
}

/* A connection that is given away is answered first, and is nobody's client any more. */
static void release(void **state)
{
    struct rig *t = *state;
    char text[512] = {0};

    say(t, "{\"do\":\"exec\",\"id\":3,\"words\":[\"a\",\"b\"],\"env\":[\"X=y\"],\"user\":\"u\"}\n");
    assert_true(t->released >= 0);
    assert_true(recv(t->fd, text, sizeof text - 1, 0) > 0);
    assert_non_null(strstr(text, "{\"ok\":true,\"id\":3}"));
    assert_int_equal(send(t->released, "more", 4, 0), 4);
    assert_int_equal(recv(t->fd, text, sizeof text, 0), 4);
    say(t, "{\"do\":\"attach\"}\n");
    assert_int_equal(recv(t->fd, text, sizeof text, 0), -1); /* nobody answers here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(input_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(release, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
