/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol with the agent, both ends: the program that is PID 1 in machines serves a socket
 * here, and the host's end runs commands of this host through it.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/loop.h"
#include "base/mem.h"
#include "guest/protocol.h"
#include "instance/agent.h"
#include "io/chardev_mem.h"

enum { PATIENCE_MS = 30000 };

/* What a machine's port is here: a socket. */
struct rig {
    struct loop *loop;
    struct agent *agent;
    int fd; /* -1: the guest is played by the test */
    pid_t pid;
    struct chardev_client client;
    struct loop_fd *watch;
    struct str sent; /* to the guest that the test plays */
    char failed[1024];
    bool hold; /* the port takes nothing */
};

struct run {
    struct agent_process *process;
    struct chardev *output, *errors;
    bool ended;
    int code;
    char reason[512];
};

static size_t rig_room(void *opaque)
{
    return ((struct rig *)opaque)->hold ? 0 : 4096;
}

static void rig_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct rig *t = opaque;

    if (t->fd < 0)
        str_add_n(&t->sent, bytes, n);
    while (t->fd >= 0 && n) {
        ssize_t done = send(t->fd, bytes, n, MSG_NOSIGNAL);
        assert_true(done > 0);
        bytes += done;
        n -= (size_t)done;
    }
}

static void rig_readable(void *opaque, int fd, unsigned events)
{
    struct rig *t = opaque;
    uint8_t buf[5000];
    ssize_t n = read(fd, buf, sizeof buf);

    if (n > 0)
        agent_chardev(t->agent)->ops->write(agent_chardev(t->agent), buf, (size_t)n);
    else
        loop_set_events(t->watch, 0);
}

static void rig_failed(void *opaque, const char *reason)
{
    struct rig *t = opaque;

    snprintf(t->failed, sizeof t->failed, "%s", reason);
}

static struct rig *rig_new(void)
{
    struct rig *t = mem_new(struct rig);

    t->loop = loop_new(NULL);
    t->fd = -1;
    t->agent = agent_new(t->loop, &(struct agent_watch){rig_failed, t}, NULL);
    t->client = (struct chardev_client){.room = rig_room, .input = rig_input, .opaque = t};
    agent_chardev(t->agent)->ops->attach(agent_chardev(t->agent), &t->client);
    return t;
}

static void step(struct rig *t)
{
    assert_int_equal(loop_step(t->loop, 1000, NULL), 0);
}

static int set_up(void **state)
{
    struct rig *t = rig_new();
    struct str settings = {0};
    char number[16];
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    t->pid = fork();
    if (t->pid == 0) {
        close(fds[0]);
        snprintf(number, sizeof number, "%d", fds[1]);
        execl(ISOLA_AGENT, "isola-agent", number, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    t->fd = fds[0];
    t->watch = loop_add_fd(t->loop, t->fd, LOOP_READ, rig_readable, t, NULL);
    agent_set(&settings, "name", "test");
    assert_int_equal(agent_setup(t->agent, &settings, NULL), 0);
    str_done(&settings);
    for (int i = 0; i < 100 && !agent_is_ready(t->agent); i++)
        step(t);
    assert_true(agent_is_ready(t->agent));
    *state = t;
    return 0;
}

static int set_up_alone(void **state)
{
    *state = rig_new();
    return 0;
}

static int tear_down(void **state)
{
    struct rig *t = *state;

    loop_remove_fd(t->watch);
    if (t->fd >= 0)
        close(t->fd);
    agent_free(t->agent);
    loop_free(t->loop);
    if (t->pid > 0) {
        kill(t->pid, SIGKILL);
        waitpid(t->pid, NULL, 0);
    }
    str_done(&t->sent);
    free(t);
    return 0;
}

static void ended(void *opaque, int code, const char *reason)
{
    struct run *r = opaque;

    r->ended = true;
    r->code = code;
    snprintf(r->reason, sizeof r->reason, "%s", reason ? reason : "");
}

/* Runs "sh -c @script" with the settings @more ("key=value", NULL after the last). */
static void run_args(struct rig *t, struct run *r, const char *const *argv, const char *const *more)
{
    struct str settings = {0};
    char id[32];
    struct agent_command c = {.input = true, .settings = &settings, .ended = ended, .opaque = r};

    *r = (struct run){.output = chardev_mem_new(NULL), .errors = chardev_mem_new(NULL)};
    c.output = r->output;
    c.errors = r->errors;
    agent_set(&settings, "input", "1");
    snprintf(id, sizeof id, "%d:%d", (int)getuid(), (int)getgid());
    agent_set(&settings, "user", id);
    while (*argv)
        agent_set(&settings, "arg", *argv++);
    while (more && *more) {
        str_add_n(&settings, *more, strlen(*more) + 1);
        more++;
    }
    assert_int_equal(agent_run(t->agent, &c, &r->process, NULL), 0);
    str_done(&settings);
}

static void run(struct rig *t, struct run *r, const char *script, const char *const *more)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    run_args(t, r, argv, more);
}

static void finish(struct rig *t, struct run *r)
{
    uint64_t until = loop_now_ns() + PATIENCE_MS * 1000000ull;

    while (!r->ended && !t->failed[0] && loop_now_ns() < until)
        step(t);
    assert_string_equal(t->failed, "");
    assert_true(r->ended);
}

static void done(struct run *r)
{
    agent_process_free(r->process);
    r->output->ops->close(r->output);
    r->errors->ops->close(r->errors);
}

static const char *text(const struct chardev *ch)
{
    return str_text(chardev_mem_output(ch));
}

/* ---- with the real agent ---- */

static void codes_and_streams(void **state)
{
    struct rig *t = *state;
    struct run r;

    run(t, &r, "echo out; echo err >&2; exit 7", NULL);
    finish(t, &r);
    assert_int_equal(r.code, 7);
    assert_string_equal(text(r.output), "out\n");
    assert_string_equal(text(r.errors), "err\n");
    done(&r);
    run(t, &r, "kill -TERM $$", NULL);
    finish(t, &r);
    assert_int_equal(r.code, 128 + SIGTERM);
    done(&r);
}

static void what_cannot_run(void **state)
{
    struct rig *t = *state;
    const char *const missing[] = {"no-such-program-here", NULL},
                      *const plain[] = {"/etc/passwd", NULL},
                      *const lost[] = {"/no/such/file", NULL}, *const fine[] = {"true", NULL};
    const char *const nowhere[] = {"cwd=/no/dir", NULL};
    struct run r;

    run_args(t, &r, missing, NULL);
    finish(t, &r);
    assert_int_equal(r.code, 127);
    assert_string_equal(r.reason, "execute no-such-program-here: not found in PATH");
    done(&r);
    run_args(t, &r, lost, NULL);
    finish(t, &r);
    assert_int_equal(r.code, 127);
    done(&r);
    run_args(t, &r, plain, NULL);
    finish(t, &r);
    assert_int_equal(r.code, 126);
    assert_non_null(strstr(r.reason, "Permission denied"));
    done(&r);
    run_args(t, &r, fine, nowhere);
    finish(t, &r);
    assert_int_equal(r.code, 126);
    assert_non_null(strstr(r.reason, "/no/dir"));
    done(&r);
}

static void environment_and_directory(void **state)
{
    struct rig *t = *state;
    const char *const more[] = {"env=A=one", "env=PATH=/usr/bin:/bin", "env=B=two=2\n3", "cwd=/tmp",
                                NULL};
    struct run r;

    run(t, &r, "echo \"$A:$B:$HOME\"; pwd; umask", more);
    finish(t, &r);
    assert_true(str_starts(text(r.output), "one:two=2\n3:/"));
    assert_non_null(strstr(text(r.output), "\n/tmp\n"));
    assert_non_null(strstr(text(r.output), "0022\n"));
    done(&r);
}

static void input(void **state)
{
    struct rig *t = *state;
    struct run r;
    char block[1000];

    memset(block, 'x', sizeof block);
    run(t, &r, "wc -c", NULL);
    for (int i = 0; i < 1000; i++) /* much more than the window */
        chardev_mem_type(r.output, block, sizeof block);
    for (int i = 0; i < 2000; i++) {
        if (chardev_mem_pending(r.output) == 0)
            break;
        step(t);
    }
    chardev_mem_end(r.output);
    finish(t, &r);
    assert_string_equal(text(r.output), "1000000\n");
    done(&r);
}

/* A reader that does not read stops its own process and nobody else's. */
static void a_slow_reader(void **state)
{
    struct rig *t = *state;
    struct run slow, quick;

    run(t, &slow, "exec head -c 3000000 /dev/zero", NULL);
    chardev_mem_limit(slow.output, 1000);
    for (int i = 0; i < 50 && chardev_mem_output(slow.output)->len < 1000; i++)
        step(t);
    run(t, &quick, "echo quick", NULL);
    finish(t, &quick);
    assert_string_equal(text(quick.output), "quick\n");
    assert_false(slow.ended);
    assert_int_equal(chardev_mem_output(slow.output)->len, 1000);
    chardev_mem_limit(slow.output, UINT64_MAX);
    finish(t, &slow);
    assert_int_equal(chardev_mem_output(slow.output)->len, 3000000);
    done(&slow);
    done(&quick);
}

static void terminal(void **state)
{
    struct rig *t = *state;
    const char *const more[] = {"tty=1", "columns=132", "rows=43", NULL};
    struct run r;

    run(t, &r, "stty size; read a; stty size; echo got $a; tty >/dev/null && exit 5", more);
    for (int i = 0; i < 200 && !strstr(text(r.output), "43 132"); i++)
        step(t);
    assert_non_null(strstr(text(r.output), "43 132\r\n"));
    chardev_mem_resize(r.output, 100, 30);
    chardev_mem_type(r.output, "word\n", 5);
    finish(t, &r);
    assert_int_equal(r.code, 5);
    assert_non_null(strstr(text(r.output), "30 100\r\n"));
    assert_non_null(strstr(text(r.output), "got word\r\n"));
    done(&r);
}

static void signals(void **state)
{
    struct rig *t = *state;
    struct run r;

    run(t, &r, "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done", NULL);
    for (int i = 0; i < 200 && !strstr(text(r.output), "ready"); i++)
        step(t);
    assert_int_equal(agent_process_signal(r.process, SIGUSR1, NULL), 0);
    finish(t, &r);
    assert_int_equal(r.code, 42);
    assert_int_equal(agent_process_signal(r.process, SIGUSR1, NULL), -ESRCH);
    done(&r);
}

static void limits_of_resources(void **state)
{
    static const char *const more[] = {"rlimit=7 100 200", "rlimit=4 0 -1", NULL};
    static const char *const bad[] = {"rlimit=7 200 100", NULL};
    struct rig *t = *state;
    struct run r;

    run(t, &r, "ulimit -Sn; ulimit -Hn; ulimit -Sc", more);
    finish(t, &r);
    assert_string_equal(text(r.output), "100\n200\n0\n");
    done(&r);
    run(t, &r, "true", bad);
    finish(t, &r);
    assert_int_equal(r.code, AGENT_EXIT_OWN);
    assert_non_null(strstr(r.reason, "limit"));
    done(&r);
}

/* A small init above the program passes signals on and ends as it does. */
static void init_above(void **state)
{
    static const char *const more[] = {"init=1", NULL};
    struct rig *t = *state;
    struct run r;

    run(t, &r, "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done", more);
    for (int i = 0; i < 200 && !strstr(text(r.output), "ready"); i++)
        step(t);
    assert_int_equal(agent_process_signal(r.process, SIGUSR1, NULL), 0);
    finish(t, &r);
    assert_int_equal(r.code, 42);
    done(&r);
    run(t, &r, "kill -KILL $$", more);
    finish(t, &r);
    assert_int_equal(r.code, 128 + SIGKILL);
    done(&r);
    run(t, &r, "exec /nonexistent", more);
    finish(t, &r);
    assert_int_equal(r.code, AGENT_EXIT_NOT_FOUND);
    done(&r);
}

/* A child that keeps the output open does not keep the end from being told. */
static void a_child_that_stays(void **state)
{
    struct rig *t = *state;
    struct run r;

    run(t, &r, "sleep 100 & echo $!; exit 3", NULL);
    finish(t, &r);
    assert_int_equal(r.code, 3);
    kill((pid_t)atoi(text(r.output)), SIGKILL);
    done(&r);
}

static void many_at_once(void **state)
{
    struct rig *t = *state;
    struct run r[20];

    for (size_t i = 0; i < array_size(r); i++)
        run(t, &r[i], "head -c 50000 /dev/zero; sleep 0.01; exit 9", NULL);
    for (size_t i = 0; i < array_size(r); i++)
        finish(t, &r[i]);
    for (size_t i = 0; i < array_size(r); i++) {
        assert_int_equal(r[i].code, 9);
        assert_int_equal(chardev_mem_output(r[i].output)->len, 50000);
        done(&r[i]);
    }
}

static void limits_of_requests(void **state)
{
    struct rig *t = *state;
    struct str settings = {0};
    struct error err = {0};
    struct agent_process *p;
    struct agent_command c = {.settings = &settings};

    for (int i = 0; i < 1100; i++) {
        char block[1024];
        memset(block, 'x', sizeof block);
        block[1023] = 0;
        agent_set(&settings, "arg", block);
    }
    assert_int_equal(agent_run(t->agent, &c, &p, &err), -E2BIG);
    str_done(&settings);
}

/* ---- the test is the guest ---- */

static void say(struct rig *t, uint16_t id, uint8_t type, const void *data, size_t len)
{
    struct chardev *ch = agent_chardev(t->agent);
    uint8_t header[AGENT_HEADER] = {0};

    store_le32(header, (uint32_t)len);
    store_le16(header + 4, id);
    header[6] = type;
    ch->ops->write(ch, header, sizeof header);
    if (len)
        ch->ops->write(ch, data, len);
    step(t);
}

static void say_numbers(struct rig *t, uint16_t id, uint8_t type, uint32_t a, uint32_t b)
{
    uint8_t data[8];

    store_le32(data, a);
    store_le32(data + 4, b);
    say(t, id, type, data, sizeof data);
}

static void greet(struct rig *t)
{
    uint8_t version[4];

    store_le32(version, AGENT_VERSION);
    say(t, 0, AGENT_HELLO, version, 4);
    assert_string_equal(t->failed, "");
}

static void broken_greetings(void **state)
{
    struct rig *t = *state;

    say_numbers(t, 0, AGENT_READY, 0, 0);
    assert_string_equal(t->failed, "the guest's agent sent nonsense");
}

static void another_version(void **state)
{
    struct rig *t = *state;
    uint8_t version[4];

    store_le32(version, AGENT_VERSION + 1);
    say(t, 0, AGENT_HELLO, version, 4);
    assert_string_equal(t->failed, "the guest's agent is of another version");
}

static void a_set_up_that_failed(void **state)
{
    struct rig *t = *state;

    greet(t);
    say(t, 0, AGENT_FAILED, "mount \x1b[31mroot\n", 16);
    assert_string_equal(t->failed, "set up the guest: mount  [31mroot ");
}

static void a_frame_that_is_too_long(void **state)
{
    struct rig *t = *state;
    uint8_t header[AGENT_HEADER] = {0};
    struct chardev *ch = agent_chardev(t->agent);

    greet(t);
    store_le32(header, AGENT_DATA_MAX + 1);
    ch->ops->write(ch, header, sizeof header);
    step(t);
    assert_non_null(strstr(t->failed, "too long"));
}

static void a_process_that_is_not_there(void **state)
{
    struct rig *t = *state;

    greet(t);
    say_numbers(t, 17, AGENT_EXIT, 0, 0);
    assert_non_null(strstr(t->failed, "not there"));
}

/* More than the window is refused, whether it was read or not. */
static void more_than_the_window(void **state)
{
    struct rig *t = *state;
    static uint8_t block[AGENT_DATA_MAX];
    struct run r;
    int frames = 0;

    greet(t);
    run(t, &r, "true", NULL);
    chardev_mem_limit(r.output, 0);
    while (!t->failed[0] && frames < 100) {
        say(t, 2, AGENT_OUTPUT, block, sizeof block);
        frames++;
    }
    assert_non_null(strstr(t->failed, "more than it may"));
    assert_int_equal(frames, AGENT_WINDOW / AGENT_DATA_MAX + 1);
    done(&r);
}

static void credits_that_were_not_earned(void **state)
{
    struct rig *t = *state;
    struct run r;

    greet(t);
    run(t, &r, "true", NULL);
    say_numbers(t, 2, AGENT_CREDIT, AGENT_STDIN, 1);
    assert_non_null(strstr(t->failed, "nonsense"));
    done(&r);
}

/* A guest that takes nothing does not make the host keep everything. */
static void a_guest_that_does_not_listen(void **state)
{
    struct rig *t = *state;
    struct run r;
    int n = 0;
    char block[1000];

    memset(block, 'x', sizeof block);
    greet(t);
    t->hold = true;
    run(t, &r, "true", NULL);
    for (int i = 0; i < 1000; i++)
        chardev_mem_type(r.output, block, sizeof block);
    assert_true(chardev_mem_pending(r.output) >= 1000000 - AGENT_WINDOW);
    while (n < 1000000 && agent_process_signal(r.process, 1, NULL) == 0)
        n++;
    assert_true(n < 1000000);
    done(&r);
}

/* The owner goes first; the process is forgotten when it ends. */
static void nobody_waits(void **state)
{
    struct rig *t = *state;
    struct run r;

    greet(t);
    run(t, &r, "true", NULL);
    done(&r);
    say(t, 2, AGENT_OUTPUT, "lost", 4);
    say_numbers(t, 2, AGENT_EXIT, 0, 0);
    assert_string_equal(t->failed, "");
    say_numbers(t, 2, AGENT_EXIT, 0, 0);
    assert_non_null(strstr(t->failed, "not there"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(codes_and_streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(environment_and_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(terminal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_of_resources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(init_above, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_that_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_of_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_greetings, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(another_version, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(a_set_up_that_failed, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(a_frame_that_is_too_long, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(a_process_that_is_not_there, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(more_than_the_window, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(credits_that_were_not_earned, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_that_does_not_listen, set_up_alone, tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits, set_up_alone, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
