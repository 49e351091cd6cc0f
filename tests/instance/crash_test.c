/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends a process at each of its crash points in turn, by SIGKILL, and checks that the records then
 * tell the truth and that the next commands work. A life is run again and again with the n-th point
 * of the command, or of its supervisor, being the last, until a life passes without dying.
 *
 * Without arguments every STRIDE-th point is tried; with "all" every one.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "base/own.h"
#include "fake.h"
#include "instance/home.h"

enum { STRIDE = 4, POINTS_WANTED = 200 };

static unsigned stride = STRIDE, first = 1;
static unsigned tried, points;
static char mark[128];

/* ---- lives: 0 when all went well; else whatever (the process may be dying) ---- */

static int make(struct instances *home, const char *append, const char *key, const char *value)
{
    struct spec *s = fake_spec("subject", append);
    int r = key ? spec_set(s, key, value, NULL) : 0;

    if (r == 0)
        r = instance_create(home, s, NULL, NULL);
    spec_free(s);
    return r;
}

static int whole_life(struct instances *home)
{
    int r = make(home, "print=hello", NULL, NULL);

    r = r ? r : instance_start(home, "subject", NULL, NULL, NULL);
    r = r ? r : instance_pause(home, "subject", NULL);
    r = r ? r : instance_unpause(home, "subject", NULL);
    r = r ? r : instance_rename(home, "subject", "subject2", NULL);
    r = r ? r : instance_rename(home, "subject2", "subject", NULL);
    r = r ? r : instance_update(home, "subject", "restart", "on-failure:1", NULL);
    r = r ? r : instance_stop(home, "subject", -1, NULL);
    r = r ? r : instance_start(home, "subject", NULL, NULL, NULL);
    r = r ? r : instance_pause(home, "subject", NULL);
    r = r ? r : instance_kill(home, "subject", "KILL", NULL);
    return r ? r : instance_rm(home, "subject", false, NULL);
}

static int own_end(struct instances *home)
{
    int code, r = make(home, "print=hello exit=3", "restart", "on-failure:1");

    r = r ? r : instance_start(home, "subject", NULL, NULL, NULL);
    r = r ? r : instance_wait(home, "subject", INSTANCE_WAIT_NOT_RUNNING, &code, NULL);
    return r ? r : instance_rm(home, "subject", true, NULL);
}

static int foreground_rm(struct instances *home)
{
    const struct instance_attach attach = {.wait_for_reader = true};
    struct instance_stream_event e = {.kind = INSTANCE_STREAM_DATA};
    struct instance_stream *s = NULL;
    int r = make(home, "print=hello exit=0", "rm", "true");

    r = r ? r : instance_start(home, "subject", &attach, &s, NULL);
    while (r == 0 && (e.kind == INSTANCE_STREAM_DATA || e.kind == INSTANCE_STREAM_NOTICE))
        r = instance_stream_read(s, &e, NULL);
    instance_stream_close(s);
    return r;
}

static int forced_removal(struct instances *home)
{
    int r = make(home, "deaf", NULL, NULL);

    r = r ? r : instance_start(home, "subject", NULL, NULL, NULL);
    r = r ? r : instance_restart(home, "subject", 0, NULL);
    r = r ? r : instance_rm(home, "subject", true, NULL);
    r = r ? r : make(home, "nocreate", NULL, NULL);
    if (r == 0 && instance_start(home, "subject", NULL, NULL, NULL) == 0)
        r = -1;
    return r ? r : instance_prune(home, true, NULL, NULL, NULL);
}

/* ---- */

static bool marked(void)
{
    return access(mark, F_OK) == 0;
}

/* What a record says must be so. */
static void check_truth(struct instances *home)
{
    struct instance **list = NULL;
    struct error err = {0};
    size_t count = 0;

    if (instance_list(home, &list, &count, &err) < 0)
        fail_msg("%s", error_text(&err));
    for (size_t i = 0; i < count; i++) {
        const struct instance *it = list[i];
        if (lifecycle_supervised(it->state)) {
            struct instance *again = NULL;
            /* It may have ended since the list was read. */
            if (!home_locked(home, it->id) && instance_find(home, it->id, &again, &err) == 0)
                assert_false(lifecycle_supervised(again->state));
            else if (!again)
                assert_true(it->pid > 1);
            instance_free(again);
        } else if (it->state == LIFECYCLE_DEAD) {
            assert_int_equal(it->exit_code, 137);
            assert_non_null(it->reason);
        } else if (it->state == LIFECYCLE_EXITED) {
            assert_true(it->finished >= it->started && it->started > 0);
        }
    }
    instance_list_free(list, count);
}

/* The next commands work, whatever is left. */
static void check_works(struct instances *home)
{
    static const char *const names[] = {"subject", "subject2"};
    struct instance *i = NULL;
    struct error err = {0};

    for (size_t n = 0; n < 2; n++) {
        int r = instance_rm(home, names[n], true, &err);
        if (r < 0 && r != -ENOENT)
            fail_msg("rm: %s", error_text(&err));
    }
    fake_make(home, "subject", "print=again", true);
    if (instance_stop(home, "subject", -1, &err) < 0)
        fail_msg("stop: %s", error_text(&err));
    assert_int_equal(instance_find(home, "subject", &i, &err), 0);
    assert_int_equal(i->state, LIFECYCLE_EXITED);
    assert_int_equal(i->exit_code, 0);
    instance_free(i);
    if (instance_rm(home, "subject", false, &err) < 0)
        fail_msg("rm: %s", error_text(&err));
}

/* One life that ends at point @n of @in. Whether a process died of it. */
static bool live(int (*life)(struct instances *), const char *in, unsigned n)
{
    struct instances *home;
    char text[16];
    int status = 0;
    pid_t child;

    unlink(mark);
    child = fork();
    if (child == 0) {
        snprintf(text, sizeof text, "%u", n);
        setenv("ISOLA_CRASH_AT", text, 1);
        setenv("ISOLA_CRASH_IN", in, 1);
        setenv("ISOLA_CRASH_MARK", mark, 1);
        home = fake_reopen();
        status = life(home);
        instances_close(home);
        _exit(status ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    home = fake_reopen();
    check_truth(home);
    check_works(home);
    check_truth(home);
    instances_close(home);
    if (!marked()) {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    return marked();
}

static void try_all(int (*life)(struct instances *), const char *in)
{
    unsigned n;

    for (n = first; live(life, in, n); n += stride)
        tried++;
    /* n is beyond the last point; those between the last that died and n were not there or not
     * tried: the count below is a lower bound. */
    points += n > stride ? n - stride : 0;
    first = first % stride + 1;
}

static void commands_die(void **state)
{
    try_all(whole_life, "command");
    try_all(own_end, "command");
    try_all(foreground_rm, "command");
    try_all(forced_removal, "command");
}

static void supervisors_die(void **state)
{
    try_all(whole_life, "supervisor");
    try_all(own_end, "supervisor");
    try_all(foreground_rm, "supervisor");
    try_all(forced_removal, "supervisor");
}

static void nothing_is_left(void **state)
{
    struct instances *home = fake_reopen();
    struct instance **list;
    char path[256], command[400];
    sqlite3_stmt *q = NULL;
    sqlite3 *db = NULL;
    size_t count;

    print_message("killed at %u of at least %u points\n", tried, points);
    assert_true(stride == 1 ? points >= POINTS_WANTED : tried >= POINTS_WANTED / STRIDE - 8);
    assert_int_equal(instance_prune(home, true, NULL, NULL, NULL), 0);
    assert_int_equal(instance_list(home, &list, &count, NULL), 0);
    assert_int_equal(count, 0);
    instances_close(home);
    snprintf(path, sizeof path, "%s/data/store.db", fake_dir());
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "ok");
    sqlite3_finalize(q);
    sqlite3_close(db);
    /* Directories that were being made when their maker died stay for an hour. */
    snprintf(command, sizeof command, "test -z \"$(ls %s/data/instances)\"", fake_dir());
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    struct instances *home = fake_home();

    instances_close(home);
    snprintf(mark, sizeof mark, "%s/mark", fake_dir());
    return 0;
}

static int tear_down(void **state)
{
    fake_cleanup(fake_reopen());
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_die),
        cmocka_unit_test(supervisors_die),
        cmocka_unit_test(nothing_is_left),
    };
    int r = fake_supervisor_main(argc, argv);

    if (r >= 0)
        return r;
    if (argc == 2 && strcmp(argv[1], "all") == 0)
        stride = 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
