/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions on a pseudo-terminal: a child runs the session, the test types and looks. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/own.h"
#include "fake.h"

static struct instances *home;
static struct error err;
static int master, slave;
static struct termios before;
static struct str screen;

enum { EXIT_DETACHED = 77 };

static int set_up_group(void **state)
{
    home = fake_home();
    return 0;
}

static int tear_down_group(void **state)
{
    fake_cleanup(home);
    return 0;
}

static int set_up(void **state)
{
    struct winsize size = {.ws_col = 91, .ws_row = 23};
    char name[64];

    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, name, sizeof name))
        return -1;
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    ioctl(master, TIOCSWINSZ, &size);
    return slave < 0 ? -1 : tcgetattr(slave, &before);
}

static int tear_down(void **state)
{
    str_done(&screen);
    close(master);
    close(slave);
    return 0;
}

/* A child that runs a session with @ref; it exits with the code, or EXIT_DETACHED. */
static pid_t session(const char *ref, bool tty, const char *keys)
{
    pid_t child = fork();

    if (child == 0) {
        struct instance_attach attach = {.input = true};
        struct instance_terminal t = {.input_fd = slave,
                                      .output_fd = slave,
                                      .error_fd = slave,
                                      .tty = tty,
                                      .proxy_signals = true,
                                      .detach_keys = keys};
        struct instance_terminal_result result;
        struct instance_stream *s = NULL;
        struct instances *mine;
        int r;
        setsid();
        ioctl(slave, TIOCSCTTY, 0);
        mine = fake_reopen();
        instance_terminal_size(slave, &attach.columns, &attach.rows);
        r = instance_start(mine, ref, &attach, &s, &err);
        r = r ? r : instance_terminal_run(mine, ref, s, &t, &result, &err);
        instance_stream_close(s);
        instances_close(mine);
        _exit(r < 0 ? 99 : result.detached ? EXIT_DETACHED : result.exit_code);
    }
    return child;
}

/* Waits up to 10 s for @text on the screen. */
static void see(const char *text)
{
    char buf[4096];

    while (!strstr(str_text(&screen), text)) {
        struct pollfd p = {.fd = master, .events = POLLIN};
        ssize_t n;
        if (poll(&p, 1, 10000) != 1)
            fail_msg("not seen: \"%s\" but \"%s\"", text, str_text(&screen));
        n = read(master, buf, sizeof buf);
        assert_true(n > 0);
        str_add_n(&screen, buf, (size_t)n);
    }
}

static void type(const char *keys)
{
    assert_int_equal(write(master, keys, strlen(keys)), strlen(keys));
}

static int status_of(pid_t child)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool is_raw(void)
{
    struct termios t;

    assert_int_equal(tcgetattr(slave, &t), 0);
    return !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_oflag & OPOST);
}

static void assert_restored(void)
{
    struct termios t;

    assert_int_equal(tcgetattr(slave, &t), 0);
    assert_int_equal(t.c_lflag, before.c_lflag);
    assert_int_equal(t.c_iflag, before.c_iflag);
    assert_int_equal(t.c_oflag, before.c_oflag);
}

static void detach_keys_detach(void **state)
{
    pid_t child;

    fake_make(home, "d", "echo print=ready", false);
    child = session("d", true, NULL);
    see("size 91x23"); /* told before anything else */
    see("ready");
    assert_true(is_raw());
    type("a\x10"
         "b"); /* ctrl-p and no ctrl-q: both reach the guest */
    see("a\x10"
        "b");
    type("\x10\x11");
    assert_int_equal(status_of(child), EXIT_DETACHED);
    assert_restored();
    assert_int_equal(fake_state(home, "d"), LIFECYCLE_RUNNING);
}

static void second_default_and_own_keys(void **state)
{
    pid_t child;

    fake_make(home, "k1", "echo print=ready", false);
    child = session("k1", true, NULL);
    see("ready");
    type("\x1d");
    assert_int_equal(status_of(child), EXIT_DETACHED);
    str_done(&screen);
    fake_make(home, "k2", "echo print=ready", false);
    child = session("k2", true, "ctrl-a,x");
    see("ready");
    type("\x1d\x10\x11\x01\x01"); /* no detach keys here, and twice a beginning */
    see("\x1d\x10\x11\x01");
    type("x");
    assert_int_equal(status_of(child), EXIT_DETACHED);
    assert_restored();
}

static void empty_keys_disable(void **state)
{
    pid_t child;

    fake_make(home, "e", "echo print=ready", false);
    child = session("e", true, "");
    see("ready");
    type("\x10\x11\x1d!");
    see("\x10\x11\x1d!");
    assert_int_equal(instance_kill(home, "e", "KILL", &err), 0);
    assert_int_equal(status_of(child), 137);
    assert_restored();
}

static void window_changes_are_told(void **state)
{
    struct winsize size = {.ws_col = 132, .ws_row = 50};
    pid_t child;

    fake_make(home, "w", "echo print=ready", false);
    child = session("w", true, NULL);
    see("ready");
    ioctl(master, TIOCSWINSZ, &size);
    see("size 132x50");
    type("\x1d");
    assert_int_equal(status_of(child), EXIT_DETACHED);
}

static void exit_code_and_restored_terminal(void **state)
{
    pid_t child;

    fake_make(home, "x", "print=bye exit=9 after=50", false);
    child = session("x", true, NULL);
    see("bye");
    assert_int_equal(status_of(child), 9);
    assert_restored();
}

static void fatal_signals_restore(void **state)
{
    static const int numbers[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    char name[16];

    for (size_t i = 0; i < array_size(numbers); i++) {
        pid_t child;
        snprintf(name, sizeof name, "f%zu", i);
        fake_make(home, name, "echo print=ready", false);
        child = session(name, true, NULL);
        see("ready");
        assert_true(is_raw());
        kill(child, numbers[i]);
        assert_int_equal(status_of(child), 128 + numbers[i]);
        assert_restored();
        str_done(&screen);
    }
}

static void signals_are_passed_on_without_a_terminal(void **state)
{
    pid_t child;

    fake_make(home, "s1", "print=ready", false);
    child = session("s1", false, NULL);
    see("ready");
    assert_false(is_raw());
    kill(child, SIGINT); /* the power button: the guest ends with 0 */
    assert_int_equal(status_of(child), 0);
    str_done(&screen);
    fake_make(home, "s2", "deaf print=ready", false);
    child = session("s2", false, NULL);
    see("ready");
    kill(child, SIGTERM);
    usleep(50000);
    kill(child, SIGTERM); /* insists */
    assert_int_equal(status_of(child), 137);
}

static void a_killed_supervisor_is_told(void **state)
{
    struct instance *i = NULL;
    pid_t child;

    fake_make(home, "z", "print=ready", false);
    child = session("z", true, NULL);
    see("ready");
    assert_int_equal(instance_find(home, "z", &i, &err), 0);
    kill(i->pid, SIGKILL);
    instance_free(i);
    assert_int_equal(status_of(child), 137);
    assert_restored();
}

static void detach_key_syntax(void **state)
{
    static const char *const good[] = {"", "a", "ctrl-a", "ctrl-@", "ctrl-_", "ctrl-P,Q,ctrl-]"},
                             *const bad[] = {",",       "ab",
                                             "ctrl-",   "ctrl-1",
                                             "ctrl-aa", "a,",
                                             ",a",      "a,,b",
                                             " ",       "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"};

    for (size_t i = 0; i < array_size(good); i++)
        assert_int_equal(instance_detach_keys_check(good[i], &err), 0);
    for (size_t i = 0; i < array_size(bad); i++)
        assert_int_equal(instance_detach_keys_check(bad[i], &err), -EINVAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(detach_keys_detach, set_up, tear_down),
        cmocka_unit_test_setup_teardown(second_default_and_own_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_keys_disable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(window_changes_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exit_code_and_restored_terminal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fatal_signals_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signals_are_passed_on_without_a_terminal, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_killed_supervisor_is_told, set_up, tear_down),
        cmocka_unit_test(detach_key_syntax),
    };
    int r = fake_supervisor_main(argc, argv);

    return r >= 0 ? r : cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
