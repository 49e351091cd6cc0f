/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/chardev_fd.h"
#include "io/chardev_mem.h"

struct reader {
    struct loop *loop;
    struct chardev *ch;
    struct chardev_client client;
    uint8_t got[1 << 17];
    size_t len, room;
    unsigned writable, ended, columns;
};

static size_t room(void *opaque)
{
    return ((struct reader *)opaque)->room;
}

static void input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct reader *r = opaque;

    assert_true(n <= r->room);
    memcpy(r->got + r->len, bytes, n);
    r->len += n;
    r->room -= n;
}

static void writable(void *opaque)
{
    ((struct reader *)opaque)->writable++;
}

static void resized(void *opaque, unsigned columns, unsigned rows)
{
    ((struct reader *)opaque)->columns = columns;
}

static void ended(void *opaque)
{
    ((struct reader *)opaque)->ended++;
}

static struct reader *attach(struct loop *loop, int in, int out, size_t with_room)
{
    struct reader *r = mem_new(struct reader);

    r->loop = loop;
    r->room = with_room;
    r->client = (struct chardev_client){
        .room = room, .input = input, .writable = writable, .resize = resized, .opaque = r};
    r->ch = chardev_fd_new(
        loop, &(struct chardev_fd_options){.in = in, .out = out, .ended = ended, .opaque = r},
        NULL);
    assert_non_null(r->ch);
    r->ch->ops->attach(r->ch, &r->client);
    return r;
}

static void detach(struct reader *r)
{
    r->ch->ops->close(r->ch);
    free(r);
}

static void turn(struct loop *loop, unsigned times)
{
    while (times--)
        assert_int_equal(loop_step(loop, 5, NULL), 0);
}

static void pipes_and_back_pressure(void **state)
{
    struct loop *loop = loop_new(NULL);
    int to[2], from[2];
    struct reader *r;
    static uint8_t big[1 << 17], back[1 << 17];
    size_t taken, got = 0;
    ssize_t n;

    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    r = attach(loop, to[0], from[1], 4);
    assert_false(fcntl(to[0], F_GETFL) & O_NONBLOCK); /* theirs is as it was */
    /* Input comes as there is room. */
    assert_int_equal(write(to[1], "hello, device", 13), 13);
    turn(loop, 3);
    assert_int_equal(r->len, 4);
    r->room = 100;
    turn(loop, 2);
    assert_int_equal(r->len, 4); /* it was not said that there is */
    r->ch->ops->ready(r->ch);
    turn(loop, 2);
    assert_int_equal(r->len, 13);
    assert_memory_equal(r->got, "hello, device", 13);
    /* Output byte by byte arrives together. */
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(r->ch->ops->write(r->ch, (const uint8_t *)"0123456789" + i, 1), 1);
    turn(loop, 3);
    assert_int_equal(read(from[0], back, sizeof(back)), 10);
    assert_memory_equal(back, "0123456789", 10);
    /* More than pipe and buffer take. */
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 13 + i / 251);
    taken = r->ch->ops->write(r->ch, big, sizeof(big));
    assert_true(taken < sizeof(big) && taken >= 65536);
    assert_int_equal(r->writable, 0);
    while (got < sizeof(big)) {
        n = read(from[0], back + got, sizeof(back) - got);
        assert_true(n > 0);
        got += (size_t)n;
        turn(loop, 2);
        if (taken < sizeof(big) && r->writable) {
            r->writable = 0;
            taken += r->ch->ops->write(r->ch, big + taken, sizeof(big) - taken);
            turn(loop, 2);
        }
    }
    assert_memory_equal(big, back, sizeof(big));
    /* Ends. */
    close(to[1]);
    turn(loop, 2);
    assert_int_equal(r->ended, 1);
    close(from[0]);
    for (unsigned i = 0; i < 20; i++) { /* nobody reads: the device does not hang */
        assert_int_equal(r->ch->ops->write(r->ch, big, sizeof(big)), sizeof(big));
        turn(loop, 1);
    }
    detach(r);
    close(to[0]);
    close(from[1]);
    loop_free(loop);
}

static void sockets(void **state)
{
    struct loop *loop = loop_new(NULL);
    struct reader *r;
    uint8_t back[16];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    r = attach(loop, pair[0], pair[0], 1000);
    assert_int_equal(write(pair[1], "ping", 4), 4);
    turn(loop, 2);
    assert_memory_equal(r->got, "ping", 4);
    assert_int_equal(r->ch->ops->write(r->ch, (const uint8_t *)"pong", 4), 4);
    turn(loop, 3);
    assert_int_equal(recv(pair[1], back, sizeof(back), MSG_DONTWAIT), 4);
    close(pair[1]);
    turn(loop, 3);
    assert_int_equal(r->ended, 1);
    detach(r);
    close(pair[0]);
    loop_free(loop);
}

static void terminals(void **state)
{
    struct loop *loop = loop_new(NULL);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
    struct termios raw;
    struct reader *r;
    uint8_t back[16];

    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    r = attach(loop, master, master, 1000);
    assert_int_equal(write(slave, "typed", 5), 5);
    for (unsigned i = 0; i < 2000 && r->len < 5; i++) /* the kernel passes it on in its own time */
        turn(loop, 1);
    assert_int_equal(r->len, 5);
    assert_int_equal(r->ch->ops->write(r->ch, (const uint8_t *)"shown", 5), 5);
    turn(loop, 3);
    assert_int_equal(read(slave, back, sizeof(back)), 5);
    chardev_fd_resize(r->ch, 132, 43);
    assert_int_equal(r->columns, 132);
    close(slave);
    for (unsigned i = 0; i < 2000 && !r->ended; i++)
        turn(loop, 1);
    assert_int_equal(r->ended, 1);
    detach(r);
    assert_false(fcntl(master, F_GETFL) & O_NONBLOCK); /* as it was */
    close(master);
    loop_free(loop);
}

static void files_and_nothing(void **state)
{
    struct loop *loop = loop_new(NULL);
    char path[] = "/tmp/isola-chardev-XXXXXX";
    int fd = mkstemp(path), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    static uint8_t big[20000];
    struct reader *r;

    assert_true(fd >= 0 && null >= 0);
    unlink(path);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 7);
    assert_int_equal(write(fd, big, sizeof(big)), sizeof(big));
    lseek(fd, 0, SEEK_SET);
    r = attach(loop, fd, null, sizeof(r->got));
    turn(loop, 10);
    assert_int_equal(r->len, sizeof(big));
    assert_memory_equal(r->got, big, sizeof(big));
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->ch->ops->write(r->ch, big, sizeof(big)), sizeof(big));
    turn(loop, 2);
    detach(r);
    r = attach(loop, -1, fd, 10);
    assert_int_equal(r->ch->ops->write(r->ch, big, 100), 100);
    detach(r); /* writes what is left */
    assert_int_equal(lseek(fd, 0, SEEK_END), sizeof(big) + 100);
    r = attach(loop, -1, -1, 10);
    assert_int_equal(r->ch->ops->write(r->ch, big, sizeof(big)), sizeof(big));
    detach(r);
    close(fd);
    close(null);
    loop_free(loop);
}

static void lack_of_memory(void **state)
{
    struct loop *loop = loop_new(NULL);
    struct chardev *ch = NULL;
    int pair[2];

    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    for (unsigned n = 1; !ch && n < 20; n++) {
        struct error err = {0};
        mem_fail_at(n);
        ch =
            chardev_fd_new(loop, &(struct chardev_fd_options){.in = pair[0], .out = pair[1]}, &err);
        mem_fail_at(0);
        assert_true(ch || err.code == -ENOMEM);
    }
    assert_non_null(ch);
    ch->ops->close(ch);
    close(pair[0]);
    close(pair[1]);
    loop_free(loop);
}

static void memory(void **state)
{
    struct chardev *ch = chardev_mem_new(NULL);
    struct reader r = {.room = 3};
    const struct chardev_client client = {
        .room = room, .input = input, .writable = writable, .opaque = &r};

    ch->ops->attach(ch, &client);
    assert_int_equal(ch->ops->write(ch, (const uint8_t *)"abc", 3), 3);
    chardev_mem_limit(ch, 1);
    assert_int_equal(r.writable, 1);
    assert_int_equal(ch->ops->write(ch, (const uint8_t *)"def", 3), 1);
    assert_string_equal(str_text(chardev_mem_output(ch)), "abcd");
    chardev_mem_type(ch, "12345", 5);
    assert_int_equal(r.len, 3);
    r.room = 100;
    ch->ops->ready(ch);
    assert_memory_equal(r.got, "12345", 5);
    ch->ops->close(ch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipes_and_back_pressure),
        cmocka_unit_test(sockets),
        cmocka_unit_test(terminals),
        cmocka_unit_test(files_and_nothing),
        cmocka_unit_test(lack_of_memory),
        cmocka_unit_test(memory),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
