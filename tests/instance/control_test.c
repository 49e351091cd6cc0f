/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the control socket that misbehave, against a real supervisor. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/own.h"
#include "fake.h"
#include "instance/control.h"
#include "instance/home.h"

static struct instances *home;
static struct error err;

static int set_up(void **state)
{
    home = fake_home();
    return 0;
}

static int tear_down(void **state)
{
    fake_cleanup(home);
    return 0;
}

static int dial(const char *ref)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct instance *i = NULL;
    struct home_status status;

    assert_int_equal(instance_find(home, ref, &i, &err), 0);
    assert_int_equal(home_read_status(home, i->id, &status), 0);
    instance_free(i);
    strcpy(a.sun_path, status.socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads one line, without its newline, within 10 s. False at the end of the connection. */
static bool hear(int fd, char *line, size_t size)
{
    for (size_t n = 0; n < size - 1;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        if (recv(fd, line + n, 1, 0) != 1)
            return false;
        if (line[n] == '\n') {
            line[n] = 0;
            return true;
        }
        n++;
    }
    return false;
}

static void works(const char *ref)
{
    struct instance_stats st;

    if (instance_stats(home, ref, &st, &err) < 0)
        fail_msg("%s", error_text(&err));
}

static void greets_and_answers(void **state)
{
    char line[4096];
    int fd;

    fake_make(home, "g", "", true);
    fd = dial("g");
    assert_true(hear(fd, line, sizeof line));
    assert_non_null(strstr(line, "\"protocol\":1"));
    say(fd, "{\"do\":\"state\",\"id\":42}\n");
    assert_true(hear(fd, line, sizeof line));
    assert_non_null(strstr(line, "\"ok\":true"));
    assert_non_null(strstr(line, "\"state\":\"running\""));
    assert_non_null(strstr(line, "\"id\":42"));
    say(fd, "nonsense\n{\"do\":\"nosuch\"}\n{\"do\":\"resume\"}\n{\"do\":\"start\"}\n");
    for (int n = 0; n < 4; n++) {
        assert_true(hear(fd, line, sizeof line));
        assert_non_null(strstr(line, "\"ok\":false"));
    }
    assert_non_null(strstr(line, "EALREADY"));
    say(fd, "{\"do\":\"state\"}\n");
    assert_true(hear(fd, line, sizeof line));
    assert_non_null(strstr(line, "\"ok\":true"));
    close(fd);
}

static void a_partial_request_stalls_nobody(void **state)
{
    int fd;

    fake_make(home, "half", "", true);
    fd = dial("half");
    say(fd, "{\"do\":\"sta");
    works("half");
    close(fd);
    works("half");
}

static void an_endless_line_is_ended(void **state)
{
    char x[PROTOCOL_LINE_MAX + 100], line[4096];
    int fd;

    fake_make(home, "long", "", true);
    fd = dial("long");
    assert_true(hear(fd, line, sizeof line));
    memset(x, 'x', sizeof x);
    assert_true(send(fd, x, sizeof x, MSG_NOSIGNAL) > 0);
    assert_true(hear(fd, line, sizeof line));
    assert_non_null(strstr(line, "EMSGSIZE"));
    assert_false(hear(fd, line, sizeof line));
    close(fd);
    works("long");
}

/* Asks without ever reading: at some point nothing more is taken, and nothing more is kept. */
static void a_client_that_does_not_read_is_not_read(void **state)
{
    static const char ask[] = "{\"do\":\"inspect\"}\n";
    size_t sent = 0;
    int fd;

    fake_make(home, "mute", "", true);
    fd = dial("mute");
    for (int quiet = 0; quiet < 20;) {
        ssize_t n = send(fd, ask + sent % (sizeof ask - 1),
                         sizeof ask - 1 - sent % (sizeof ask - 1), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += (size_t)n;
            quiet = 0;
            assert_true(sent < 100u << 20);
        } else {
            assert_true(n < 0 && (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET));
            quiet += errno == EAGAIN ? 1 : 20;
            usleep(2000);
        }
    }
    works("mute");
    close(fd);
    works("mute");
}

static void too_many_are_refused(void **state)
{
    int fds[CONTROL_CLIENTS + 10];
    char line[4096];
    bool refused = false;

    fake_make(home, "crowd", "", true);
    for (size_t i = 0; i < array_size(fds); i++)
        fds[i] = dial("crowd");
    for (size_t i = 0; i < array_size(fds); i++)
        if (hear(fds[i], line, sizeof line))
            refused |= strstr(line, "EBUSY") != NULL;
    assert_true(refused);
    for (size_t i = 0; i < array_size(fds); i++)
        close(fds[i]);
    works("crowd");
}

static void a_stream_that_is_not_read_stalls_no_guest(void **state)
{
    char line[4096];
    int fd, code = -1;

    fake_make(home, "spill", "flood=5000000 onstop=6", true);
    fd = dial("spill");
    assert_true(hear(fd, line, sizeof line));
    say(fd, "{\"do\":\"attach\",\"replay\":true}\n");
    assert_true(hear(fd, line, sizeof line));
    assert_int_equal(instance_kill(home, "spill", "TERM", &err), 0);
    assert_int_equal(instance_wait(home, "spill", INSTANCE_WAIT_NOT_RUNNING, &code, &err), 0);
    assert_int_equal(code, 6);
    close(fd);
}

static void nonsense_frames_end_only_their_stream(void **state)
{
    static const char *const bad[] = {"\x7f\1\2\3", "\1\0\xff\xff", "\2\1\0\0", "\x55\1\1\1"};
    char line[4096];

    fake_make(home, "frames", "echo", true);
    for (size_t i = 0; i < array_size(bad); i++) {
        int fd = dial("frames");
        assert_true(hear(fd, line, sizeof line));
        say(fd, "{\"do\":\"attach\",\"input\":true}\n");
        assert_true(hear(fd, line, sizeof line));
        assert_int_equal(send(fd, bad[i], 4, MSG_NOSIGNAL), 4);
        assert_false(hear(fd, line, sizeof line));
        close(fd);
        works("frames");
    }
    /* a resize of the wrong length is no resize, and no end */
    int fd = dial("frames");
    assert_true(hear(fd, line, sizeof line));
    say(fd, "{\"do\":\"attach\",\"input\":true}\n");
    assert_true(hear(fd, line, sizeof line));
    assert_int_equal(send(fd, "\2\0\1\0x\1\0\2\0ok\1\0\1\0\n", 16, MSG_NOSIGNAL), 16);
    char frame[4 + 8] = {0};
    size_t got = 0;
    while (got < 7) {
        ssize_t n = recv(fd, frame + got, sizeof frame - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(frame + 4, "ok", 2);
    close(fd);
}

/* Bytes that come in the same packet as the request belong to the stream. */
static void requests_and_frames_in_one_packet(void **state)
{
    static const char both[] = "{\"do\":\"attach\",\"input\":true}\n\1\0\2\0hi\n";
    char line[4096], frame[6];
    size_t got = 0;
    int fd;

    fake_make(home, "packed", "echo", true);
    fd = dial("packed");
    assert_true(hear(fd, line, sizeof line));
    assert_int_equal(send(fd, both, sizeof both - 2, MSG_NOSIGNAL), sizeof both - 2);
    assert_true(hear(fd, line, sizeof line));
    while (got < sizeof frame) {
        ssize_t n = recv(fd, frame + got, sizeof frame - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(frame, "\x81\0\2\0hi", 6);
    close(fd);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greets_and_answers),
        cmocka_unit_test(a_partial_request_stalls_nobody),
        cmocka_unit_test(an_endless_line_is_ended),
        cmocka_unit_test(a_client_that_does_not_read_is_not_read),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(a_stream_that_is_not_read_stalls_no_guest),
        cmocka_unit_test(nonsense_frames_end_only_their_stream),
        cmocka_unit_test(requests_and_frames_in_one_packet),
    };
    int r = fake_supervisor_main(argc, argv);

    return r >= 0 ? r : cmocka_run_group_tests(tests, set_up, tear_down);
}
