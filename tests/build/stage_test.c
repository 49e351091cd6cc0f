/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "build/copy.h"
#include "build/rootfs.h"
#include "build/stage.h"
#include "tests/test.h"

/* Performs the instructions of @text after "FROM scratch"; the configuration as text, or "! why".
 */
static char *configure(const char *text)
{
    cleanup_free char *whole = str_format("FROM scratch\n%s", text);
    struct containerfile f;
    struct stage s = {0};
    struct error err = {0};
    char *result = NULL;
    int r = containerfile_parse(whole, strlen(whole), &f, &err);

    if (r == 0) {
        s.file = &f;
        r = stage_from_scratch(&s, "linux", "amd64", &err);
        for (size_t i = 1; r == 0 && i < f.count; i++)
            r = stage_configure(&s, &f.list[i], &err);
        if (r == 0)
            result = json_dumps(stage_config(&s), JSON_COMPACT | JSON_SORT_KEYS);
        stage_done(&s);
        containerfile_done(&f);
    }
    return result ? result : str_format("! %s", error_text(&err));
}

static void instructions_change_the_configuration(void **state)
{
    static const char *const rows[][2] = {
        {"ENV a=b c=\"d e\" f=$a\nENV a=$a$a\nENV old style $a",
         "{\"Env\":[\"a=bb\",\"c=d e\",\"f=\",\"old=style bb\"]}"},
        {"CMD echo $x", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"echo $x\"]}"},
        {"SHELL [\"/bin/bash\",\"-c\"]\nENTRYPOINT run\nCMD [\"a\"]",
         "{\"Cmd\":[\"a\"],\"Entrypoint\":[\"/bin/bash\",\"-c\",\"run\"],\"Shell\":[\"/bin/"
         "bash\",\"-c\"]}"},
        {"ENTRYPOINT [\"x\"]", "{\"Entrypoint\":[\"x\"]}"},
        {"EXPOSE 80 53/udp\nEXPOSE 80", "{\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{}}}"},
        {"VOLUME /a /b\nVOLUME [\"/c d\"]", "{\"Volumes\":{\"/a\":{},\"/b\":{},\"/c d\":{}}}"},
        {"LABEL a=1 \"b c\"=2\nLABEL a=3", "{\"Labels\":{\"a\":\"3\",\"b c\":\"2\"}}"},
        {"WORKDIR a\nWORKDIR ../../b/./c\nWORKDIR d", "{\"WorkingDir\":\"/b/c/d\"}"},
        {"USER ${u:-app}\nSTOPSIGNAL SIGINT", "{\"StopSignal\":\"SIGINT\",\"User\":\"app\"}"},
        {"HEALTHCHECK --interval=1m30s --timeout=500ms --retries=2 CMD [\"x\"]",
         "{\"Healthcheck\":{\"Interval\":90000000000,\"Retries\":2,\"Test\":[\"CMD\",\"x\"],"
         "\"Timeout\":500000000}}"},
        {"HEALTHCHECK NONE", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}"},
        {"ONBUILD RUN x\nONBUILD COPY a b", "{\"OnBuild\":[\"RUN x\",\"COPY a b\"]}"},
        {"ENV x", "! it wants NAME=value"},
        {"HEALTHCHECK --interval=x CMD y", "! --interval wants a time such as 30s or 1m30s"},
        {"HEALTHCHECK y", "! HEALTHCHECK is NONE or CMD command"},
        {"USER ${u", "! \"${\" has no end"},
    };

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        char *got = configure(rows[i][0]);
        if (strcmp(got, rows[i][1]) != 0)
            fail_msg("%s\ngives %s\nnot %s", rows[i][0], got, rows[i][1]);
        free(got);
    }
}

static void keys_depend_on_everything_before(void **state)
{
    struct containerfile f = {.escape = '\\'};
    struct stage a = {.file = &f}, b = {.file = &f};

    (void)state;
    assert_int_equal(stage_from_scratch(&a, "linux", "amd64", NULL), 0);
    assert_int_equal(stage_from_scratch(&b, "linux", "amd64", NULL), 0);
    assert_string_equal(a.key.text, b.key.text);
    stage_key_add(&a, "ab", 2);
    stage_key_add(&a, "c", 1);
    stage_key_add(&b, "a", 1);
    assert_string_not_equal(a.key.text, b.key.text);
    stage_key_add(&b, "bc", 2);
    assert_string_not_equal(a.key.text, b.key.text);
    stage_done(&a);
    stage_done(&b);
}

/* --- files --- */

static char top[64];
static int top_fd, source, target;

static void put(int dir, const char *path, const char *text)
{
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int set_up(void **state)
{
    strcpy(top, "/tmp/stage-test.XXXXXX");
    if (!mkdtemp(top))
        return -1;
    top_fd = open(top, O_RDONLY | O_DIRECTORY);
    mkdirat(top_fd, "source", 0755);
    mkdirat(top_fd, "target", 0755);
    source = openat(top_fd, "source", O_RDONLY | O_DIRECTORY);
    target = openat(top_fd, "target", O_RDONLY | O_DIRECTORY);
    put(top_fd, "outside", "secret");
    put(source, "a.txt", "a");
    put(source, "b.md", "b");
    mkdirat(source, "d", 0755);
    put(source, "d/c.txt", "c");
    return symlinkat("../outside", source, "climb") | symlinkat("d", source, "near");
}

static int tear_down(void **state)
{
    cleanup_free char *command = str_format("rm -rf %s", top);

    close(source);
    close(target);
    close(top_fd);
    return system(command);
}

static const struct copy_how as_is;

static char *found(const char *pattern, const struct copy_how *how)
{
    struct copy_sources s = {0};
    struct str text = {0};
    int r = copy_find(source, pattern, how, &s, NULL);

    if (r < 0)
        return str_format("%d", r);
    for (size_t i = 0; i < s.count; i++)
        str_addf(&text, "%s ", s.paths[i][0] ? s.paths[i] : ".");
    copy_sources_done(&s);
    return str_steal(&text);
}

static void sources_are_found_below_their_root(void **state)
{
    const char ignore_text[] = "*.md\nd/*\n!d/c.txt\n";
    struct ignore *ignore = ignore_parse(ignore_text, strlen(ignore_text), NULL);
    struct copy_how how = {.ignore = ignore};
    static const char *const rows[][2] = {{"a.txt", "a.txt "},
                                          {"*.txt", "a.txt "},
                                          {".", ". "},
                                          {"/d/../a.txt", "a.txt "},
                                          {"*/c.*", "d/c.txt near/c.txt "}};

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        char *got = found(rows[i][0], &as_is);
        assert_string_equal(got, rows[i][1]);
        free(got);
    }
    for (const char *const *p = (const char *const[]){"none", "climb", "../outside", NULL}; *p;
         p++) {
        char *got = found(*p, &as_is);
        assert_true(got[0] == '-');
        free(got);
    }
    char *got = found("b.md", &how);
    assert_true(got[0] == '-');
    free(got);
    got = found("d/c.txt", &how);
    assert_string_equal(got, "d/c.txt ");
    free(got);
    ignore_free(ignore);
}

static void copies_replace_and_merge(void **state)
{
    struct copy_how how = {.moded = true, .mode = 0600};
    struct stat st;
    char text[16] = "";
    int fd;

    (void)state;
    mkdirat(target, "d", 0700);
    put(target, "d/old", "old");
    put(target, "a.txt", "longer than before");
    assert_int_equal(copy_tree(source, "", target, NULL, &how, NULL), 0);
    assert_int_equal(fstatat(target, "d/old", &st, 0), 0);
    assert_int_equal(fstatat(target, "d/c.txt", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstatat(target, "climb", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));
    fd = openat(target, "a.txt", O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text)), 1);
    close(fd);
    /* A file does not take a directory's place, nor a directory a file's. */
    assert_true(copy_tree(source, "a.txt", target, "d", &as_is, NULL) < 0);
    unlinkat(target, "d/old", 0);
    unlinkat(target, "d/c.txt", 0);
    unlinkat(target, "d", AT_REMOVEDIR);
    put(target, "d", "file");
    assert_true(copy_tree(source, "", target, NULL, &as_is, NULL) < 0);
}

static void hash_of(struct digest *d)
{
    struct hash *h = hash_new();

    assert_non_null(h);
    assert_int_equal(copy_hash(source, "", &as_is, h, NULL), 0);
    hash_get(h, d);
    hash_free(h);
}

static void hashes_are_of_contents_not_times(void **state)
{
    struct digest before, after;

    (void)state;
    hash_of(&before);
    utimensat(source, "a.txt", (struct timespec[]){{1, 0}, {1, 0}}, 0);
    hash_of(&after);
    assert_string_equal(before.text, after.text);
    fchmodat(source, "a.txt", 0600, 0);
    hash_of(&after);
    assert_string_not_equal(before.text, after.text);
    fchmodat(source, "a.txt", 0640, 0);
    put(source, "a.txt", "x");
    hash_of(&after);
    assert_string_not_equal(before.text, after.text);
}

static void users_are_found(void **state)
{
    struct root_user u;

    (void)state;
    mkdirat(target, "etc", 0755);
    put(target, "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nbroken\napp:x:10:20::/home/app:/bin/sh\n");
    put(target, "etc/group", "root:x:0:\nstaff:x:30:app,other\nwheel:x:40:app\n");
    assert_int_equal(root_user(target, "app", &u, NULL), 0);
    assert_int_equal(u.uid, 10);
    assert_int_equal(u.gid, 20);
    assert_int_equal(u.group_count, 2);
    assert_string_equal(u.home, "/home/app");
    assert_int_equal(root_user(target, "10:staff", &u, NULL), 0);
    assert_int_equal(u.gid, 30);
    assert_int_equal(u.group_count, 0);
    assert_int_equal(root_user(target, "77:88", &u, NULL), 0);
    assert_int_equal(u.uid, 77);
    assert_int_equal(u.gid, 88);
    assert_int_equal(root_user(target, "", &u, NULL), 0);
    assert_int_equal(u.uid, 0);
    assert_int_equal(root_user(target, "nobody", &u, NULL), -ENOENT);
    assert_int_equal(root_user(target, "app:none", &u, NULL), -ENOENT);
    assert_int_equal(root_user(target, "99999999999", &u, NULL), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_change_the_configuration),
        cmocka_unit_test(keys_depend_on_everything_before),
        cmocka_unit_test_setup_teardown(sources_are_found_below_their_root, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies_replace_and_merge, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hashes_are_of_contents_not_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(users_are_found, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
