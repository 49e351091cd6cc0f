/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "instance/container_points.h"
#include "instance/home.h"

static char dir[64];

static int make_dir(void **state)
{
    strcpy(dir, "/tmp/isola-points.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    return home_remove_tree(AT_FDCWD, dir);
}

static mode_t mode_of(const char *top, const char *name)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(lstat(path, &st), 0);
    if (S_ISREG(st.st_mode))
        assert_int_equal(st.st_size, 0);
    return st.st_mode;
}

static void check(const char *top)
{
    const char *const dirs[] = {"", "dev", "proc", "sys", "etc"};
    const char *const files[] = {"etc/hosts", "etc/hostname", "etc/resolv.conf"};

    for (size_t i = 0; i < 5; i++)
        assert_int_equal(mode_of(top, dirs[i]), S_IFDIR | 0755);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(mode_of(top, files[i]), S_IFREG | 0644);
}

static void modes_do_not_depend_on_the_umask(void **state)
{
    mode_t old = umask(077);
    char *first = container_mount_points(dir), *second = container_mount_points(dir);

    umask(old);
    assert_non_null(first);
    assert_non_null(second);
    assert_string_equal(first, second);
    check(first);
    free(first);
    free(second);
}

/* Many at once make one, and leave nothing else. */
static void many_make_one(void **state)
{
    int status;
    char *path;

    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            path = container_mount_points(dir);
            _exit(path == NULL);
        }
    for (int i = 0; i < 8; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    path = container_mount_points(dir);
    assert_non_null(path);
    check(path);
    home_remove_tree(AT_FDCWD, path);
    assert_int_equal(rmdir(dir), 0);
    free(path);
}

static void without_a_place_there_is_none(void **state)
{
    char path[80];

    snprintf(path, sizeof path, "%s/none", dir);
    assert_null(container_mount_points(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(modes_do_not_depend_on_the_umask, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(many_make_one, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(without_a_place_there_is_none, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
