/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/passwd.h"
#include "base/str.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             "bad:x:12x:1::/:\n"
                             "alice:x:1000:100:A,,,:/home/alice:/bin/sh\n"
                             "1234:x:55:56::relative:/bin/sh\n"
                             "last:x:7:8::/last:";
static const char group[] = "root:x:0:\n"
                            "audio:x:29:bob,alice\n"
                            "users:x:100:alicex,xalice\n"
                            "video:x:44:alice\n"
                            "empty:x:45:,,";

static struct passwd_user u;
static struct error err;

static int find(const char *user, const char *const *groups, size_t n)
{
    memset(&u, 0xee, sizeof u);
    return passwd_find(passwd, group, user, groups, n, &u, &err);
}

static void users(void **state)
{
    assert_int_equal(find(NULL, NULL, 0), 0);
    assert_int_equal(u.uid + u.gid + u.group_count, 0);
    assert_string_equal(u.home, "/root");
    assert_int_equal(find("alice", NULL, 0), 0);
    assert_int_equal(u.uid, 1000);
    assert_int_equal(u.gid, 100);
    assert_int_equal(u.group_count, 2);
    assert_int_equal(u.groups[0], 29);
    assert_int_equal(u.groups[1], 44);
    assert_string_equal(u.home, "/home/alice");
    assert_int_equal(find("1000", NULL, 0), 0); /* by number, with all that is known of it */
    assert_int_equal(u.gid, 100);
    assert_int_equal(u.group_count, 2);
    assert_int_equal(find("1234", NULL, 0), 0); /* a name of digits is a name */
    assert_int_equal(u.uid, 55);
    assert_string_equal(u.home, "/");
    assert_int_equal(find("4321", NULL, 0), 0); /* a number needs no entry */
    assert_int_equal(u.uid, 4321);
    assert_int_equal(u.gid, 0);
    assert_int_equal(find("last", NULL, 0), 0); /* without a newline */
    assert_int_equal(u.gid, 8);
}

static void groups(void **state)
{
    const char *const more[] = {"video", "29", "29", "777"}, *const none[] = {"nothing"};

    assert_int_equal(find("alice:root", NULL, 0), 0);
    assert_int_equal(u.gid, 0);
    assert_int_equal(u.group_count, 0); /* one that was said replaces the user's own */
    assert_int_equal(find(":29", more, 4), 0);
    assert_int_equal(u.uid, 0);
    assert_int_equal(u.gid, 29);
    assert_int_equal(u.group_count, 3);
    assert_int_equal(find("alice", none, 1), -ENOENT);
    assert_string_equal(err.text, "group \"nothing\": not in /etc/group");
    assert_int_equal(find("alice:nothing", NULL, 0), -ENOENT);
}

static void what_is_not_there(void **state)
{
    assert_int_equal(find("bob", NULL, 0), -ENOENT);
    assert_string_equal(err.text, "user \"bob\": not in /etc/passwd");
    assert_int_equal(find("bad", NULL, 0), -ENOENT);
    assert_int_equal(find("4294967295", NULL, 0), -ENOENT); /* means "no change" to setuid */
    assert_int_equal(find("99999999999999999999", NULL, 0), -ENOENT);
    assert_int_equal(find("-1", NULL, 0), -ENOENT);
    assert_int_equal(passwd_find("", "", "", NULL, 0, &u, NULL), 0);
    assert_string_equal(u.home, "/");
}

static void too_many_groups(void **state)
{
    struct str many = {0};

    for (int i = 0; i < PASSWD_GROUPS_MAX; i++)
        str_addf(&many, "g%d:x:%d:alice\n", i, i + 1);
    assert_int_equal(passwd_find(passwd, str_text(&many), "alice", NULL, 0, &u, &err), 0);
    assert_int_equal(u.group_count, PASSWD_GROUPS_MAX);
    str_add(&many, "more:x:9999:alice\n");
    assert_int_equal(passwd_find(passwd, str_text(&many), "alice", NULL, 0, &u, &err), -ENOSPC);
    str_done(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users),
        cmocka_unit_test(groups),
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(too_many_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
