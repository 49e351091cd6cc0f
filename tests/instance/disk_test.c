/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Homes on a full disk and on one that turned read-only: a small tmpfs in a mount namespace of the
 * test's own. Skipped where the host allows no such namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem.h"
#include "base/own.h"
#include "fake.h"

static bool have_disk;
static struct error err;

#define ok(call)                                                                                   \
    do {                                                                                           \
        err = (struct error){0};                                                                   \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, error_text(&err));                                           \
    } while (0)

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            print_message("%s: %s\n", path, strerror(errno));
        close(fd);
    }
}

static bool make_namespace(void)
{
    unsigned uid = getuid(), gid = getgid();
    char map[64];

    if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)) < 0)
        return false;
    if (uid) {
        snprintf(map, sizeof map, "%u %u 1", uid, uid);
        write_text("/proc/self/setgroups", "deny");
        write_text("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "%u %u 1", gid, gid);
        write_text("/proc/self/gid_map", map);
    }
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static char data[128];

static int set_up(void **state)
{
    struct instances *home;

    if (!have_disk)
        return 0;
    home = fake_home();
    instances_close(home);
    snprintf(data, sizeof data, "%s/data", fake_dir());
    return mount("isola-test", data, "tmpfs", 0, "size=512k,mode=0700");
}

static int tear_down(void **state)
{
    if (!have_disk)
        return 0;
    assert_int_equal(umount2(data, MNT_DETACH), 0);
    fake_cleanup(fake_reopen());
    return 0;
}

/* Takes all space that is left. */
static void fill(void)
{
    static const char block[4096];
    char path[160];
    int fd;

    snprintf(path, sizeof path, "%s/filler", data);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void unfill(void)
{
    char path[160];

    snprintf(path, sizeof path, "%s/filler", data);
    assert_int_equal(unlink(path), 0);
}

/* A supervisor on its way out may keep a file open for writing a little longer. */
static void make_read_only(void)
{
    for (int n = 0; mount("isola-test", data, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL); n++) {
        assert_true(errno == EBUSY && n < 5000);
        usleep(2000);
    }
}

static void full_disk_loses_nothing(void **state)
{
    struct instance_stream *stream = NULL;
    const struct instance_attach attach = {.input = true};
    struct spec *s = fake_spec("late", "");
    struct instances *home;
    struct instance *i = NULL;
    int code = -1;

    if (!have_disk)
        skip();
    home = fake_reopen();
    fake_make(home, "ends", "onstop=3", true);
    fake_make(home, "talks", "echo", true);
    ok(instance_attach(home, "talks", &attach, &stream, &err));
    fill();
    /* what is there is told; what needs room is refused with the reason */
    assert_int_equal(fake_state(home, "ends"), LIFECYCLE_RUNNING);
    assert_int_equal(instance_create(home, s, NULL, &err), -ENOSPC);
    /* an end is known although the store could not be written */
    ok(instance_kill(home, "ends", "TERM", &err));
    ok(instance_wait(home, "ends", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    assert_int_equal(code, 3);
    ok(instance_find(home, "ends", &i, &err));
    assert_int_equal(i->state, LIFECYCLE_EXITED);
    assert_int_equal(i->exit_code, 3);
    assert_string_equal(i->reason, "fake failure");
    instance_free(i);
    /* the guest goes on without its log */
    for (int n = 0; n < 1000; n++)
        ok(instance_stream_write(stream, "0123456789012345678901234567890\n", 32, &err));
    assert_int_equal(fake_state(home, "talks"), LIFECYCLE_RUNNING);
    ok(instance_kill(home, "talks", "KILL", &err));
    assert_int_equal(fake_state(home, "talks"), LIFECYCLE_EXITED);
    unfill();
    instance_stream_close(stream);
    assert_int_equal(fake_state(home, "talks"), LIFECYCLE_EXITED);
    assert_int_equal(fake_state(home, "ends"), LIFECYCLE_EXITED);
    ok(instance_create(home, s, NULL, &err));
    ok(instance_start(home, "late", NULL, NULL, &err));
    spec_free(s);
    ok(instance_rm(home, "late", true, &err));
    ok(instance_rm(home, "ends", false, &err));
    ok(instance_rm(home, "talks", false, &err));
    instances_close(home);
}

static void removing_frees_a_full_disk(void **state)
{
    struct instances *home;
    int code;

    if (!have_disk)
        skip();
    home = fake_reopen();
    fake_make(home, "big", "flood=100000 exit=0 after=50", true);
    ok(instance_wait(home, "big", INSTANCE_WAIT_NOT_RUNNING, &code, &err));
    fill();
    ok(instance_rm(home, "big", false, &err));
    unfill();
    instances_close(home);
}

static void read_only_store_is_read(void **state)
{
    struct spec *s = fake_spec("new", "");
    struct instances *home;

    if (!have_disk)
        skip();
    home = fake_reopen();
    fake_make(home, "kept", "", false);
    instances_close(home);
    make_read_only();
    home = fake_reopen();
    assert_int_equal(fake_state(home, "kept"), LIFECYCLE_CREATED);
    assert_int_equal(instance_create(home, s, NULL, &err), -EROFS);
    assert_non_null(strstr(err.text, "can not be written"));
    assert_int_equal(instance_start(home, "kept", NULL, NULL, &err), -EROFS);
    assert_int_equal(instance_rename(home, "kept", "other", &err), -EROFS);
    assert_int_equal(instance_rm(home, "kept", false, &err), -EROFS);
    assert_int_equal(fake_state(home, "kept"), LIFECYCLE_CREATED);
    instances_close(home);
    assert_int_equal(mount("isola-test", data, "tmpfs", MS_REMOUNT, "size=512k"), 0);
    home = fake_reopen();
    ok(instance_rm(home, "kept", false, &err));
    instances_close(home);
    spec_free(s);
}

/* A copy of the database without its log, on a medium that nobody can write. */
static void copy_without_log_is_read(void **state)
{
    char path[4000], other[4096];
    struct instances *home;
    sqlite3 *db;

    if (!have_disk)
        skip();
    home = fake_reopen();
    fake_make(home, "copied", "", false);
    snprintf(path, sizeof path, "%s/store.db", instances_data_dir(home));
    instances_close(home);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    snprintf(other, sizeof other, "%s-wal", path);
    unlink(other);
    snprintf(other, sizeof other, "%s-shm", path);
    unlink(other);
    make_read_only();
    home = fake_reopen();
    assert_int_equal(fake_state(home, "copied"), LIFECYCLE_CREATED);
    instances_close(home);
    assert_int_equal(mount("isola-test", data, "tmpfs", MS_REMOUNT, "size=512k"), 0);
    home = fake_reopen();
    ok(instance_rm(home, "copied", false, &err));
    instances_close(home);
}

static void dead_is_told_on_a_read_only_store(void **state)
{
    struct instances *home;
    struct instance *i = NULL;

    if (!have_disk)
        skip();
    home = fake_reopen();
    fake_make(home, "fallen", "", true);
    ok(instance_find(home, "fallen", &i, &err));
    assert_int_equal(kill(i->pid, SIGKILL), 0);
    instance_free(i);
    instances_close(home);
    make_read_only();
    home = fake_reopen();
    assert_int_equal(fake_state(home, "fallen"), LIFECYCLE_DEAD);
    instances_close(home);
    assert_int_equal(mount("isola-test", data, "tmpfs", MS_REMOUNT, "size=512k"), 0);
    home = fake_reopen();
    ok(instance_rm(home, "fallen", false, &err));
    instances_close(home);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_loses_nothing),
        cmocka_unit_test(removing_frees_a_full_disk),
        cmocka_unit_test(read_only_store_is_read),
        cmocka_unit_test(copy_without_log_is_read),
        cmocka_unit_test(dead_is_told_on_a_read_only_store),
    };
    int r = fake_supervisor_main(argc, argv);

    if (r >= 0)
        return r;
    have_disk = make_namespace();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
