/* SPDX-License-Identifier: Apache-2.0 */
/* Whole lives of instances: commands, a real supervisor process, a fake engine. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/own.h"
#include "fake.h"

static struct instances *home;
static struct error err;

#define ok(call)                                                                                   \
    do {                                                                                           \
        err = (struct error){0};                                                                   \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, error_text(&err));                                           \
    } while (0)

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

static struct instance *find(const char *ref)
{
    struct instance *i = NULL;

    ok(instance_find(home, ref, &i, &err));
    return i;
}

static void remove_it(const char *ref)
{
    ok(instance_rm(home, ref, true, &err));
}

static void exit_code_is_recorded(void **state)
{
    struct instance *i;
    int code = -1;

    fake_make(home, "three", "exit=3 after=20", true);
    ok(instance_wait(home, "three", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    assert_int_equal(code, 3);
    i = find("three");
    assert_int_equal(i->state, LIFECYCLE_EXITED);
    assert_int_equal(i->exit_code, 3);
    assert_string_equal(i->reason, "fake failure");
    assert_int_equal(i->pid, 0);
    assert_true(i->finished >= i->started && i->started >= i->created);
    instance_free(i);
    remove_it("three");
    assert_int_equal(instance_find(home, "three", &i, &err), -ENOENT);
}

static void starts_again_with_a_new_run(void **state)
{
    struct instance *i;
    int code;

    fake_make(home, "again", "exit=1", true);
    ok(instance_wait(home, "again", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    ok(instance_start(home, "again", NULL, NULL, &err));
    ok(instance_wait(home, "again", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    i = find("again");
    assert_int_equal(i->run, 2);
    instance_free(i);
    remove_it("again");
}

/* Reads the stream to its end; all output goes into @out. */
static struct instance_stream_event drain(struct instance_stream *s, struct str *out)
{
    struct instance_stream_event e;

    for (;;) {
        ok(instance_stream_read(s, &e, &err));
        if (e.kind == INSTANCE_STREAM_DATA)
            str_add_n(out, e.data, e.len);
        if (e.kind == INSTANCE_STREAM_EXIT || e.kind == INSTANCE_STREAM_LOST)
            return e;
    }
}

static void foreground_sees_everything(void **state)
{
    const struct instance_attach attach = {.input = true, .wait_for_reader = true};
    struct instance_stream *s = NULL;
    struct instance_stream_event e;
    struct str out = {0};

    fake_make(home, "loud", "print=first flood=1000000 exit=7", false);
    ok(instance_start(home, "loud", &attach, &s, &err));
    e = drain(s, &out);
    assert_int_equal(e.kind, INSTANCE_STREAM_EXIT);
    assert_int_equal(e.exit_code, 7);
    assert_true(str_starts(out.data, "first\n"));
    assert_int_equal(out.len, 6 + 1000000 / 64 * 64);
    assert_string_equal(out.data + out.len - 5, "064.\n");
    str_done(&out);
    instance_stream_close(s);
    remove_it("loud");
}

static void input_and_size_reach_the_guest(void **state)
{
    const struct instance_attach attach = {.input = true, .columns = 100, .rows = 30};
    struct instance_stream *s = NULL;
    struct instance_stream_event e;
    struct str out = {0};

    fake_make(home, "echo", "echo", false);
    ok(instance_start(home, "echo", &attach, &s, &err));
    ok(instance_stream_write(s, "hello", 5, &err));
    ok(instance_stream_resize(s, 120, 40, &err));
    while (!strstr(str_text(&out), "120x40\n")) {
        ok(instance_stream_read(s, &e, &err));
        assert_int_equal(e.kind, INSTANCE_STREAM_DATA);
        str_add_n(&out, e.data, e.len);
    }
    assert_string_equal(out.data, "size 100x30\nhellosize 120x40\n");
    str_done(&out);
    instance_stream_close(s);
    assert_int_equal(fake_state(home, "echo"), LIFECYCLE_RUNNING); /* detaching ends nothing */
    remove_it("echo");
}

static void late_attach_replays(void **state)
{
    const struct instance_attach attach = {.replay = true};
    struct instance_stream *s = NULL;
    struct instance_stream_event e;

    fake_make(home, "late", "print=early", true);
    ok(instance_attach(home, "late", &attach, &s, &err));
    ok(instance_stream_read(s, &e, &err));
    assert_int_equal(e.kind, INSTANCE_STREAM_DATA);
    assert_memory_equal(e.data, "early\n", 6);
    instance_stream_close(s);
    remove_it("late");
}

static void lagging_reader_is_told(void **state)
{
    const struct instance_attach attach = {.input = false};
    struct instance_stream *s = NULL;
    struct instance_stream_event e;
    bool notice = false;
    size_t got = 0;
    int code;

    fake_make(home, "lag", "flood=4000000 exit=0", false);
    ok(instance_start(home, "lag", &attach, &s, &err));
    ok(instance_wait(home, "lag", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    do {
        ok(instance_stream_read(s, &e, &err));
        notice |= e.kind == INSTANCE_STREAM_NOTICE && memmem(e.data, e.len, "skipped", 7);
        got += e.kind == INSTANCE_STREAM_DATA ? e.len : 0;
    } while (e.kind != INSTANCE_STREAM_EXIT && e.kind != INSTANCE_STREAM_LOST);
    assert_int_equal(e.kind, INSTANCE_STREAM_EXIT);
    assert_true(notice);
    assert_true(got < 4000000);
    instance_stream_close(s);
    remove_it("lag");
}

static void stop_presses_and_then_kills(void **state)
{
    struct instance *i;

    fake_make(home, "kind", "", true);
    ok(instance_stop(home, "kind", -1, &err));
    i = find("kind");
    assert_int_equal(i->state, LIFECYCLE_EXITED);
    assert_int_equal(i->exit_code, 0);
    instance_free(i);
    ok(instance_stop(home, "kind", -1, &err)); /* nothing to do */
    fake_make(home, "deaf", "deaf", true);
    ok(instance_stop(home, "deaf", 1, &err));
    i = find("deaf");
    assert_int_equal(i->exit_code, 137);
    assert_non_null(strstr(i->reason, "power button"));
    instance_free(i);
    remove_it("kind");
    remove_it("deaf");
}

static void kill_ends_at_once(void **state)
{
    struct instance *i;

    fake_make(home, "victim", "deaf", true);
    assert_int_equal(instance_kill(home, "victim", "HUP", &err), -ENOTSUP);
    assert_int_equal(instance_kill(home, "victim", "NOSUCH", &err), -EINVAL);
    ok(instance_kill(home, "victim", "SIGKILL", &err));
    i = find("victim");
    assert_int_equal(i->state, LIFECYCLE_EXITED);
    assert_int_equal(i->exit_code, 137);
    instance_free(i);
    assert_int_equal(instance_kill(home, "victim", "KILL", &err), -ESTALE);
    remove_it("victim");
}

static void pause_and_unpause(void **state)
{
    struct str out = {0};

    fake_make(home, "p", "", true);
    ok(instance_pause(home, "p", &err));
    assert_int_equal(fake_state(home, "p"), LIFECYCLE_PAUSED);
    assert_int_equal(instance_pause(home, "p", &err), -ESTALE);
    ok(instance_inspect(home, "p", true, &out, &err));
    assert_non_null(strstr(out.data, "\"engine\":{\"fake\":true,\"paused\":true}"));
    str_done(&out);
    ok(instance_unpause(home, "p", &err));
    assert_int_equal(fake_state(home, "p"), LIFECYCLE_RUNNING);
    ok(instance_pause(home, "p", &err));
    ok(instance_stop(home, "p", -1, &err));
    assert_int_equal(fake_state(home, "p"), LIFECYCLE_EXITED);
    remove_it("p");
}

static void paused_from_the_start(void **state)
{
    struct spec *s = fake_spec("held", "");

    ok(spec_set(s, "paused", NULL, &err));
    ok(instance_create(home, s, NULL, &err));
    spec_free(s);
    ok(instance_start(home, "held", NULL, NULL, &err));
    assert_int_equal(fake_state(home, "held"), LIFECYCLE_PAUSED);
    ok(instance_unpause(home, "held", &err));
    remove_it("held");
}

static void stats_come_from_the_engine(void **state)
{
    struct instance_stats st;

    fake_make(home, "s", "", true);
    ok(instance_stats(home, "s", &st, &err));
    assert_int_equal(st.cpu_ns, 1234567);
    assert_int_equal(st.memory_limit, 2 << 20);
    remove_it("s");
}

static void failures_to_start_are_told(void **state)
{
    struct instance *i;
    int code;

    fake_make(home, "nocreate", "nocreate", false);
    assert_int_equal(instance_start(home, "nocreate", NULL, NULL, &err), -ENOENT);
    assert_string_equal(err.text, "open disk gone.img: no such file");
    i = find("nocreate");
    assert_int_equal(i->state, LIFECYCLE_CREATED);
    assert_int_equal(i->exit_code, 125);
    assert_string_equal(i->reason, "open disk gone.img: no such file");
    instance_free(i);
    fake_make(home, "nostart", "nostart", false);
    assert_int_equal(instance_start(home, "nostart", NULL, NULL, &err), -EIO);
    ok(instance_wait(home, "nostart", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    assert_int_equal(code, 125);
    remove_it("nocreate");
    remove_it("nostart");
}

static void killed_supervisor_is_found_dead(void **state)
{
    struct instance *i;
    int code;

    fake_make(home, "fallen", "", true);
    i = find("fallen");
    assert_int_equal(i->state, LIFECYCLE_RUNNING);
    assert_true(i->pid > 1);
    assert_int_equal(kill(i->pid, SIGKILL), 0);
    instance_free(i);
    ok(instance_wait(home, "fallen", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    i = find("fallen");
    assert_int_equal(i->state, LIFECYCLE_DEAD);
    assert_int_equal(i->exit_code, 137);
    assert_non_null(i->reason);
    instance_free(i);
    ok(instance_start(home, "fallen", NULL, NULL, &err)); /* past its stale socket */
    assert_int_equal(fake_state(home, "fallen"), LIFECYCLE_RUNNING);
    remove_it("fallen");
}

static void a_name_is_taken_once(void **state)
{
    struct spec *s = fake_spec("twin", "");

    fake_make(home, "twin", "", false);
    assert_int_equal(instance_create(home, s, NULL, &err), -EEXIST);
    ok(instance_rename(home, "twin", "other", &err));
    ok(instance_create(home, s, NULL, &err));
    assert_int_equal(instance_rename(home, "twin", "other", &err), -EEXIST);
    assert_int_equal(instance_rename(home, "twin", "no spaces", &err), -EINVAL);
    spec_free(s);
    remove_it("twin");
    remove_it("other");
}

static void restart_policy_tries_again(void **state)
{
    struct spec *s = fake_spec("phoenix", "exit=5");
    struct instance *i;
    int code;

    ok(spec_set(s, "restart", "on-failure:2", &err));
    ok(instance_create(home, s, NULL, &err));
    spec_free(s);
    ok(instance_start(home, "phoenix", NULL, NULL, &err));
    ok(instance_wait(home, "phoenix", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    assert_int_equal(code, 5);
    i = find("phoenix");
    assert_int_equal(i->restarts, 2);
    assert_int_equal(i->run, 1);
    instance_free(i);
    remove_it("phoenix");
}

static void restarting_can_be_stopped_and_started(void **state)
{
    struct spec *s = fake_spec("loop", "exit=5");

    ok(spec_set(s, "restart", "always", &err));
    ok(instance_create(home, s, NULL, &err));
    spec_free(s);
    ok(instance_start(home, "loop", NULL, NULL, &err));
    assert_true(fake_wait_state(home, "loop", LIFECYCLE_RESTARTING));
    ok(instance_stop(home, "loop", -1, &err));
    assert_int_equal(fake_state(home, "loop"), LIFECYCLE_EXITED);
    remove_it("loop");
}

static void rm_removes_what_it_ran(void **state)
{
    const struct instance_attach attach = {.wait_for_reader = true};
    struct spec *s = fake_spec("gone", "print=x exit=9");
    struct instance_stream *stream = NULL;
    struct instance_stream_event e;
    struct instance *i;
    struct str out = {0};
    int code;

    ok(spec_set(s, "rm", NULL, &err));
    ok(instance_create(home, s, NULL, &err));
    ok(instance_start(home, "gone", &attach, &stream, &err));
    e = drain(stream, &out);
    assert_int_equal(e.exit_code, 9);
    str_done(&out);
    instance_stream_close(stream);
    assert_int_equal(instance_find(home, "gone", &i, &err), -ENOENT);
    /* and one that waits for such a one gets its code */
    spec_free(s);
    s = fake_spec("gone2", "exit=4 after=1500");
    ok(spec_set(s, "rm", NULL, &err));
    ok(instance_create(home, s, NULL, &err));
    spec_free(s);
    ok(instance_start(home, "gone2", NULL, NULL, &err));
    ok(instance_wait(home, "gone2", INSTANCE_WAIT_REMOVED, &code, &err));
    assert_int_equal(code, 4);
}

static void rm_refuses_what_runs(void **state)
{
    fake_make(home, "busy", "", true);
    assert_int_equal(instance_rm(home, "busy", false, &err), -ESTALE);
    assert_non_null(strstr(err.text, "--force"));
    assert_int_equal(fake_state(home, "busy"), LIFECYCLE_RUNNING);
    remove_it("busy");
}

static void ids_and_prefixes(void **state)
{
    struct instance *i, *same;
    char id[INSTANCE_ID_LEN + 1], prefix[13];

    fake_make(home, "x", "", false);
    i = find("x");
    strcpy(id, i->id);
    snprintf(prefix, sizeof prefix, "%s", id);
    instance_free(i);
    same = find(prefix);
    assert_string_equal(same->id, id);
    instance_free(same);
    assert_int_equal(instance_find(home, "", &i, &err), -ENOENT);
    assert_int_equal(instance_find(home, "*", &i, &err), -ENOENT);
    for (int n = 0; n < 20; n++) { /* 21 ids: two begin with the same digit, by pigeonhole */
        struct spec *s = fake_spec(NULL, "");
        ok(instance_create(home, s, NULL, &err));
        spec_free(s);
    }
    bool ambiguous = false;
    for (int d = 0; d < 16; d++) {
        char one[2] = {"0123456789abcdef"[d], 0};
        struct instance *found = NULL;
        ambiguous |= instance_find(home, one, &found, &err) == -ENOTUNIQ;
        instance_free(found);
    }
    assert_true(ambiguous);
}

static bool collect_log(void *opaque, const struct instance_log_line *line)
{
    str_addf(opaque, "%s:", line->stream);
    str_add_n(opaque, line->text, line->len);
    return true;
}

static void logs_are_kept(void **state)
{
    struct instance_log_query all = {.tail = -1, .follow = true}, tail = {.tail = 2};
    struct str out = {0};

    fake_make(home, "log", "print=one flood=128 exit=0 after=100", true);
    ok(instance_logs(home, "log", &all, collect_log, &out, &err)); /* until its end */
    assert_true(str_starts(out.data, "stdout:one\nstdout:00"));
    assert_int_equal(out.len, 11 + 2 * 71);
    str_done(&out);
    ok(instance_logs(home, "log", &tail, collect_log, &out, &err));
    assert_int_equal(out.len, 2 * 71);
    str_done(&out);
    remove_it("log");
}

static bool collect_event(void *opaque, const struct instance_event *e)
{
    str_addf(opaque, "%s(%s,%d) ", e->action, e->name, e->exit_code);
    return true;
}

static void events_tell_the_story(void **state)
{
    struct instance_event_query all = {0};
    struct str out = {0};
    int code;

    fake_make(home, "tale", "onstop=2", true);
    ok(instance_rename(home, "tale", "story", &err));
    ok(instance_kill(home, "story", "TERM", &err));
    ok(instance_wait(home, "story", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    remove_it("story");
    ok(instance_events(home, &all, collect_event, &out, &err));
    assert_non_null(strstr(out.data, "create(tale,-1) start(tale,-1) rename(story,-1) "
                                     "kill(story,-1) die(story,2) destroy(story,-1)"));
    str_done(&out);
}

static void update_changes_a_living_one(void **state)
{
    struct instance *i;
    int code;

    fake_make(home, "up", "onstop=1", true);
    ok(instance_update(home, "up", "restart", "on-failure:1", &err));
    assert_int_equal(instance_update(home, "up", "memory", "1g", &err), -ENOTSUP);
    ok(instance_kill(home, "up", "TERM", &err));
    for (i = find("up"); i->restarts != 1 || i->state != LIFECYCLE_RUNNING; i = find("up")) {
        instance_free(i);
        usleep(5000);
    }
    instance_free(i);
    ok(instance_kill(home, "up", "TERM", &err));
    ok(instance_wait(home, "up", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    i = find("up");
    assert_int_equal(i->restarts, 1);
    assert_int_equal(i->spec->restart, SPEC_RESTART_ON_FAILURE);
    instance_free(i);
    remove_it("up");
}

static void two_starts_make_one_supervisor(void **state)
{
    struct instance *i;

    for (int n = 0; n < 10; n++) {
        pid_t other;
        fake_make(home, "race", "", false);
        other = fork();
        if (other == 0) {
            struct instances *mine = fake_reopen();
            _exit(instance_start(mine, "race", NULL, NULL, NULL) < 0);
        }
        int status, r = instance_start(home, "race", NULL, NULL, &err);
        assert_int_equal(waitpid(other, &status, 0), other);
        if (r < 0)
            print_error("%s\n", error_text(&err));
        assert_int_equal(r, 0);
        assert_int_equal(status, 0);
        i = find("race");
        assert_int_equal(i->state, LIFECYCLE_RUNNING);
        assert_int_equal(i->run, 1);
        instance_free(i);
        remove_it("race");
    }
}

static void prune_takes_what_ended(void **state)
{
    int code;

    fake_make(home, "done", "exit=0", true);
    ok(instance_wait(home, "done", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    fake_make(home, "fresh", "", false);
    fake_make(home, "alive", "", true);
    ok(instance_prune(home, false, NULL, NULL, &err));
    struct instance *i = NULL;
    assert_int_equal(instance_find(home, "done", &i, &err), -ENOENT);
    assert_int_equal(fake_state(home, "fresh"), LIFECYCLE_CREATED);
    ok(instance_prune(home, true, NULL, NULL, &err));
    assert_int_equal(instance_find(home, "fresh", &i, &err), -ENOENT);
    assert_int_equal(fake_state(home, "alive"), LIFECYCLE_RUNNING);
    remove_it("alive");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_code_is_recorded),
        cmocka_unit_test(starts_again_with_a_new_run),
        cmocka_unit_test(foreground_sees_everything),
        cmocka_unit_test(input_and_size_reach_the_guest),
        cmocka_unit_test(late_attach_replays),
        cmocka_unit_test(lagging_reader_is_told),
        cmocka_unit_test(stop_presses_and_then_kills),
        cmocka_unit_test(kill_ends_at_once),
        cmocka_unit_test(pause_and_unpause),
        cmocka_unit_test(paused_from_the_start),
        cmocka_unit_test(stats_come_from_the_engine),
        cmocka_unit_test(failures_to_start_are_told),
        cmocka_unit_test(killed_supervisor_is_found_dead),
        cmocka_unit_test(a_name_is_taken_once),
        cmocka_unit_test(restart_policy_tries_again),
        cmocka_unit_test(restarting_can_be_stopped_and_started),
        cmocka_unit_test(rm_removes_what_it_ran),
        cmocka_unit_test(rm_refuses_what_runs),
        cmocka_unit_test(ids_and_prefixes),
        cmocka_unit_test(logs_are_kept),
        cmocka_unit_test(events_tell_the_story),
        cmocka_unit_test(update_changes_a_living_one),
        cmocka_unit_test(two_starts_make_one_supervisor),
        cmocka_unit_test(prune_takes_what_ended),
    };
    int r = fake_supervisor_main(argc, argv);

    return r >= 0 ? r : cmocka_run_group_tests(tests, set_up, tear_down);
}
