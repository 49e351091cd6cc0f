/* SPDX-License-Identifier: Apache-2.0 */
/* The store: what it keeps, what it refuses, what it survives. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "base/own.h"
#include "fake.h"
#include "instance/store.h"

static struct instances *home;
static char path[128];
static struct error err;

static int set_up(void **state)
{
    home = fake_home();
    snprintf(path, sizeof path, "%s/data/store.db", fake_dir());
    return 0;
}

static int tear_down(void **state)
{
    fake_cleanup(home);
    return 0;
}

static void sql(const char *text)
{
    sqlite3 *db = NULL;
    char *why = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", text, why);
    sqlite3_close(db);
}

static size_t count(void)
{
    struct instance **list = NULL;
    size_t n = 0;

    assert_int_equal(instance_list(home, &list, &n, &err), 0);
    instance_list_free(list, n);
    return n;
}

static void changes_are_conditional(void **state)
{
    struct store *s = store_open(path, &err);
    struct instance *i = NULL, *stale = NULL;

    fake_make(home, "c", "", false);
    assert_int_equal(store_find(s, "c", &i, &err), 0);
    assert_int_equal(store_find(s, "c", &stale, &err), 0);
    i->state = LIFECYCLE_EXITED;
    i->run = 1;
    assert_int_equal(store_update(s, i, 0, LIFECYCLE_CREATED, &err), 0);
    stale->state = LIFECYCLE_DEAD;
    assert_int_equal(store_update(s, stale, 0, LIFECYCLE_CREATED, &err), -ESTALE);
    assert_int_equal(store_update(s, stale, 0, LIFECYCLE_EXITED, &err), -ESTALE);
    assert_int_equal(store_delete(s, stale, &err), -ESTALE);
    assert_int_equal(store_set_spec(s, i->id, "{}", "{}", &err), -ESTALE);
    assert_int_equal(store_delete(s, i, &err), 0);
    assert_int_equal(store_update(s, i, 1, LIFECYCLE_EXITED, &err), -ENOENT);
    assert_int_equal(store_rename(s, i->id, "d", &err), -ENOENT);
    assert_int_equal(store_has(s, i->id, &err), 0);
    instance_free(i);
    instance_free(stale);
    store_close(s);
    assert_int_equal(instance_prune(home, false, NULL, NULL, &err), 0); /* its directory */
}

static void damaged_records_hide_no_others(void **state)
{
    static const char *const damage[] = {"UPDATE instances SET spec = '{' WHERE name = 'bad'",
                                         "UPDATE instances SET state = 'zombie' WHERE name = 'bad'",
                                         "UPDATE instances SET spec = x'00ff' WHERE name = 'bad'"};
    struct instance *i = NULL;

    fake_make(home, "good", "", false);
    for (size_t n = 0; n < array_size(damage); n++) {
        fake_make(home, "bad", "", false);
        sql(damage[n]);
        assert_int_equal(count(), 1);
        assert_int_equal(instance_find(home, "bad", &i, &err), -EUCLEAN);
        assert_non_null(strstr(err.text, "rm --force"));
        assert_int_equal(instance_start(home, "bad", NULL, NULL, &err), -EUCLEAN);
        assert_int_equal(instance_rm(home, "bad", false, &err), -EUCLEAN);
        assert_int_equal(instance_rm(home, "bad", true, &err), 0);
        assert_int_equal(instance_find(home, "bad", &i, &err), -ENOENT);
    }
    assert_int_equal(instance_rm(home, "good", false, &err), 0);
}

static void newer_and_foreign_files_are_refused(void **state)
{
    struct store *s;

    sql("PRAGMA user_version = 99");
    assert_null(store_open(path, &err));
    assert_int_equal(err.code, -EPROTO);
    assert_non_null(strstr(err.text, "newer"));
    sql("PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert_null(store_open(path, &err));
    assert_non_null(strstr(err.text, "not a store of Isola"));
    sql("PRAGMA application_id = 1232301932");
    s = store_open(path, &err);
    assert_non_null(s);
    store_close(s);
}

static void garbage_is_refused(void **state)
{
    char other[160];
    struct stat before, after;
    int fd;

    snprintf(other, sizeof other, "%s/garbage.db", fake_dir());
    fd = open(other, O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "this is no database ", 20), 20);
    close(fd);
    stat(other, &before);
    assert_null(store_open(other, &err));
    assert_int_equal(err.code, -EUCLEAN);
    assert_non_null(strstr(err.text, "move it away"));
    stat(other, &after); /* and it is left as it is */
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtime, after.st_mtime);
}

static void a_link_is_not_followed(void **state)
{
    char link[160];

    snprintf(link, sizeof link, "%s/link.db", fake_dir());
    assert_int_equal(symlink(path, link), 0);
    assert_null(store_open(link, &err));
}

/* Many processes at once: every record is there, none twice. */
static void many_writers(void **state)
{
    enum { WRITERS = 4, EACH = 10 };
    char name[32];
    int status;

    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            struct instances *mine = fake_reopen();
            int failed = 0;
            for (int n = 0; n < EACH; n++) {
                struct spec *s;
                snprintf(name, sizeof name, "w%d-%d", w, n);
                s = fake_spec(name, "");
                failed |= instance_create(mine, s, NULL, NULL) < 0;
                spec_free(s);
            }
            _exit(failed);
        }
    for (int w = 0; w < WRITERS; w++) {
        wait(&status);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count(), WRITERS * EACH);
    assert_int_equal(instance_prune(home, true, NULL, NULL, &err), 0);
    assert_int_equal(count(), 0);
}

/* Two first users of a home at once. */
static void created_once(void **state)
{
    char other[160];
    int status;

    for (int round = 0; round < 10; round++) {
        snprintf(other, sizeof other, "%s/fresh%d.db", fake_dir(), round);
        for (int n = 0; n < 3; n++)
            if (fork() == 0)
                _exit(store_open(other, &err) ? 0 : 1);
        for (int n = 0; n < 3; n++) {
            wait(&status);
            assert_int_equal(status, 0);
        }
    }
}

static void names_are_generated_and_fit(void **state)
{
    struct instance **list = NULL;
    size_t n = 0;

    for (int k = 0; k < 30; k++) {
        struct spec *s = fake_spec(NULL, "");
        assert_int_equal(instance_create(home, s, NULL, &err), 0);
        spec_free(s);
    }
    assert_int_equal(instance_list(home, &list, &n, &err), 0);
    assert_int_equal(n, 30);
    for (size_t k = 0; k < n; k++) {
        assert_true(spec_name_ok(list[k]->name));
        assert_non_null(strchr(list[k]->name, '_'));
        assert_true(k == 0 || list[k]->created <= list[k - 1]->created); /* newest first */
    }
    instance_list_free(list, n);
}

static off_t log_size(void)
{
    char log[160];
    struct stat st;

    snprintf(log, sizeof log, "%s-wal", path);
    assert_int_equal(stat(log, &st), 0);
    return st.st_size;
}

static void rename_often(struct store *s, const struct instance *i, unsigned times)
{
    for (unsigned n = 0; n < times; n++)
        assert_int_equal(store_rename(s, i->id, n % 2 ? "t" : "u", &err), 0);
}

/* What was carried over is written over. */
static void a_long_log_is_tidied(void **state)
{
    struct store *s = store_open(path, &err);
    struct instance *i = NULL;
    off_t size;

    fake_make(home, "t", "", false);
    assert_int_equal(store_find(s, "t", &i, &err), 0);
    rename_often(s, i, 200);
    size = log_size();
    rename_often(s, i, 20);
    assert_true(log_size() > size);
    size = log_size();
    store_tidy(s);
    rename_often(s, i, 20);
    assert_int_equal(log_size(), size);
    instance_free(i);
    store_close(s);
    assert_int_equal(instance_rm(home, "t", false, &err), 0);
}

/* A connection that rests is made again by whatever needs it, in a child as well. */
static void a_store_that_rests_wakes(void **state)
{
    struct store *s = store_open(path, &err);
    struct instance *i = NULL;
    int status;
    pid_t child;

    fake_make(home, "r", "", false);
    store_rest(s);
    child = fork();
    if (child == 0)
        _exit(store_find(s, "r", &i, NULL) != 0);
    assert_int_equal(store_find(s, "r", &i, &err), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    instance_free(i);
    store_rest(s);
    store_close(s);
    assert_int_equal(instance_rm(home, "r", false, &err), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_conditional),
        cmocka_unit_test(damaged_records_hide_no_others),
        cmocka_unit_test(newer_and_foreign_files_are_refused),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_link_is_not_followed),
        cmocka_unit_test(many_writers),
        cmocka_unit_test(created_once),
        cmocka_unit_test(names_are_generated_and_fit),
        cmocka_unit_test(a_long_log_is_tidied),
        cmocka_unit_test(a_store_that_rests_wakes),
    };
    int r = fake_supervisor_main(argc, argv);

    return r >= 0 ? r : cmocka_run_group_tests(tests, set_up, tear_down);
}
