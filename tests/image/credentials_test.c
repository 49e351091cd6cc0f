/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "image/credentials.h"
#include "image/helper.h"
#include "tests/test.h"

static char dir[64];

static char *at(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *p = paths[turn++ % 4];

    snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
    return p;
}

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static bool file_has(const char *name, const char *text)
{
    char buffer[4096] = "";
    int fd = open(at(name), O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, buffer, sizeof(buffer) - 1);

    if (fd >= 0)
        close(fd);
    return n > 0 && strstr(buffer, text);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/credentials-test.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    setenv("HOME", dir, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("REGISTRY_AUTH_FILE");
    unsetenv("DOCKER_CONFIG");
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {
        "a.json",
        "link.json",
        "target.json",
        ".docker/config.json",
        ".docker",
        "saved",
        "bin/docker-credential-test",
        "bin/docker-credential-rude",
        "bin",
        ".config/containers/auth.json",
        ".config/containers",
        ".config",
    };

    (void)state;
    for (size_t i = 0; i < array_size(names); i++)
        remove(at(names[i]));
    return rmdir(dir);
}

static void assert_found(const char *file, const char *registry, const char *repository,
                         const char *user, const char *password)
{
    struct credentials c;
    struct error err = {0};
    int r = credentials_find(file, registry, repository, &c, &err);

    if (r < 0)
        fail_msg("%s", error_text(&err));
    assert_string_equal(c.user ? c.user : "<token>", user);
    assert_string_equal(c.user ? c.password : c.token, password);
    credentials_done(&c);
}

static void entries_of_docker_and_podman_are_found(void **state)
{
    struct credentials c;

    (void)state;
    put("a.json",
        "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"aHViOnB3\"},"
        "\"r.example/team\":{\"auth\":\"dGVhbTpwdw==\"},\"r.example\":{\"auth\":\"YWxsOnA6dw==\"},"
        "\"t.example\":{\"auth\":\"\",\"identitytoken\":\"tok\"},"
        "\"https://s.example\":{\"username\":\"u\",\"password\":\"p\"},\"e.example\":{},"
        "\"b.example\":{\"auth\":\"bm9jb2xvbg==\"}}}",
        0600);
    assert_found(at("a.json"), "docker.io", "library/debian", "hub", "pw");
    assert_found(at("a.json"), "r.example", "team/app", "team", "pw");
    assert_found(at("a.json"), "r.example", "teams", "all", "p:w");
    assert_found(at("a.json"), "r.example", "", "all", "p:w");
    assert_found(at("a.json"), "t.example", "x", "<token>", "tok");
    assert_found(at("a.json"), "s.example", "x/y/z", "u", "p");
    assert_int_equal(credentials_find(at("a.json"), "e.example", "x", &c, NULL), -ENOENT);
    assert_int_equal(credentials_find(at("a.json"), "example", "x", &c, NULL), -ENOENT);
    assert_int_equal(credentials_find(at("a.json"), "b.example", "x", &c, NULL), -EINVAL);
    put("a.json", "{\"auths\":[", 0600);
    assert_int_equal(credentials_find(at("a.json"), "b.example", "x", &c, NULL), -EINVAL);
}

static void logins_are_kept_and_forgotten(void **state)
{
    char *where;
    struct stat st;
    struct credentials c;

    (void)state;
    /* Without any file: Podman's. */
    assert_int_equal(credentials_store(NULL, "r.example:1", "alice", "s:3", &where, NULL), 0);
    assert_string_equal(where, at(".config/containers/auth.json"));
    free(where);
    assert_int_equal(stat(at(".config/containers/auth.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_found(NULL, "r.example:1", "x", "alice", "s:3");
    /* With Docker's there: Docker's, and what it holds else stays. */
    mkdir(at(".docker"), 0700);
    put(".docker/config.json", "{\"psFormat\":\"x\",\"auths\":{\"o\":{\"auth\":\"bzpv\"}}}", 0644);
    assert_int_equal(credentials_store(NULL, "docker.io", "bob", "pw", &where, NULL), 0);
    assert_string_equal(where, at(".docker/config.json"));
    free(where);
    assert_true(file_has(".docker/config.json", "psFormat"));
    assert_true(file_has(".docker/config.json", "bzpv"));
    assert_true(file_has(".docker/config.json", "https://index.docker.io/v1/"));
    assert_int_equal(stat(at(".docker/config.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Where there is an entry it is replaced. */
    assert_int_equal(credentials_store(NULL, "r.example:1", "carol", "x", &where, NULL), 0);
    assert_string_equal(where, at(".config/containers/auth.json"));
    free(where);
    assert_found(NULL, "r.example:1", "x", "carol", "x");

    assert_int_equal(credentials_erase(NULL, "docker.io", NULL), 0);
    assert_int_equal(credentials_find(NULL, "docker.io", "", &c, NULL), -ENOENT);
    assert_true(file_has(".docker/config.json", "psFormat"));
    assert_int_equal(credentials_erase(NULL, "docker.io", NULL), -ENOENT);
}

static void a_link_stays_a_link(void **state)
{
    struct stat st;
    char *where;

    (void)state;
    put("target.json", "{}", 0600);
    assert_int_equal(symlink(at("target.json"), at("link.json")), 0);
    assert_int_equal(credentials_store(at("link.json"), "x.example", "a", "b", &where, NULL), 0);
    free(where);
    assert_int_equal(lstat(at("link.json"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_true(file_has("target.json", "x.example"));
}

static void helpers_keep_secrets(void **state)
{
    char *old = str_format("%s", getenv("PATH")), *path = str_format("%s:%s", at("bin"), old);
    struct str out = {0};
    struct credentials c;
    char *where;

    (void)state;
    mkdir(at("bin"), 0700);
    put("bin/docker-credential-test",
        "#!/bin/sh\n"
        "d=$(dirname \"$0\")/../saved\n"
        "case $1 in\n"
        "store) cat >\"$d\" ;;\n"
        "get) read -r s || :; grep -q \"$s\" \"$d\" 2>/dev/null && cat \"$d\" || "
        "{ echo 'credentials not found in native keychain'; exit 1; } ;;\n"
        "erase) rm -f \"$d\" ;;\n"
        "esac\n",
        0700);
    put("bin/docker-credential-rude", "#!/bin/sh\nyes no\n", 0700);
    put("a.json", "{\"credHelpers\":{\"h.example\":\"test\",\"r.example\":\"rude\"}}", 0600);
    setenv("PATH", path, 1);

    assert_int_equal(credentials_find(at("a.json"), "h.example", "x", &c, NULL), -ENOENT);
    assert_int_equal(credentials_store(at("a.json"), "h.example", "al", "se", &where, NULL), 0);
    assert_string_equal(where, "docker-credential-test");
    free(where);
    assert_false(file_has("a.json", "\"auth\""));
    assert_found(at("a.json"), "h.example", "x", "al", "se");
    assert_int_equal(credentials_erase(at("a.json"), "h.example", NULL), 0);
    assert_int_equal(credentials_find(at("a.json"), "h.example", "x", &c, NULL), -ENOENT);
    assert_int_equal(credentials_find(at("a.json"), "r.example", "x", &c, NULL), -E2BIG);

    assert_int_equal(helper_run("../bin/x", "get", "", &out, NULL), -EINVAL);
    assert_int_equal(helper_run("missing", "get", "", &out, NULL), -ENOPKG);
    str_done(&out);
    setenv("PATH", old, 1);
    free(path);
    free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_of_docker_and_podman_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logins_are_kept_and_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_stays_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(helpers_keep_secrets, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
