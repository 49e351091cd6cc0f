/* SPDX-License-Identifier: Apache-2.0 */
/* Containers whose root is an overlay of layers, as the engine makes them; needs root. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "container/container.h"
#include "image/mount_mark.h"

static char dir[] = "/tmp/isola-overlay-test.XXXXXX";
static const char *extra_mounts = "";

/* Runs @text in the test's directory. */
static void shell(const char *text)
{
    cleanup_free char *command = str_format("cd %s && %s", dir, text);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    if (geteuid() != 0 || access("/bin/busybox", X_OK) < 0)
        return 0;
    assert_non_null(mkdtemp(dir));
    shell(
        "mkdir -p low1/bin low1/etc low1/dev low1/proc low2/etc up work && "
        "cp /bin/busybox low1/bin/ && ln -s busybox low1/bin/sh && ln -s busybox low1/bin/stat && "
        "echo low >low1/etc/a && echo top >low2/etc/a");
    return 0;
}

static int tear_down(void **state)
{
    if (strchr(dir, 'X'))
        return 0;
    shell("rm -rf \"$PWD\"");
    return 0;
}

/* Runs @script in a container of two layers and gives its exit code. */
static int run(const char *script, const char *more, bool branch, bool idmap)
{
    struct error err = {0};
    struct container *c;
    struct oci_config *config;
    char *low[2] = {str_format("%s/low2", dir), str_format("%s/low1", dir)};
    cleanup_free char *up = str_format("%s/up", dir), *work = str_format("%s/work", dir);
    cleanup_free char *states = str_format("%s/states", dir);
    cleanup_free char *text = str_format(
        "{\"ociVersion\":\"1.2.0\",\"process\":{\"cwd\":\"/\",\"args\":[\"/bin/sh\",\"-c\","
        "\"%s\"]},\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":"
        "\"proc\"}%s],\"linux\":{\"cgroupsPath\":\"/isola-overlay-test-%d\",%s"
        "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"}%s]}}",
        script, extra_mounts, getpid(), more, *more ? ",{\"type\":\"user\"}" : "");
    struct container_overlay overlay = {.lower = (const char *const *)low,
                                        .lower_count = 2,
                                        .upper = branch ? up : NULL,
                                        .work = work,
                                        .mark = true,
                                        .idmap = idmap};
    struct container_options o = {.id = "t",
                                  .state_dir = states,
                                  .bundle = dir,
                                  .overlay = &overlay,
                                  .stdio = {-1, 1, 2},
                                  .console_socket = -1,
                                  .die_with_parent = true};
    assert_int_equal(oci_config_parse(text, strlen(text), &config, &err), 0);
    int r = container_create(config, &o, &c, &err), status = -1;
    oci_config_free(config);
    free(low[0]);
    free(low[1]);
    if (r < 0)
        fail_msg("%s", error_text(&err));
    pid_t pid = container_pid(c);
    if (container_start(c, &err) < 0)
        fail_msg("%s", error_text(&err));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (container_delete(c, true, &err) < 0)
        fail_msg("%s", error_text(&err));
    container_free(c);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void need_root(void)
{
    if (strchr(dir, 'X')) {
        print_message("skipped: root and busybox-static are needed\n");
        skip();
    }
}

static void layers_and_branch(void **state)
{
    char path[64];
    struct stat st;
    need_root();
    assert_int_equal(
        run("read x </etc/a; [ $x = top ] && echo new >/etc/b && exit 3", "", true, false), 3);
    snprintf(path, sizeof path, "%s/up/etc/b", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(run("[ -e /etc/b ] && exit 4", "", true, false), 4);
}

static void read_only_without_branch(void **state)
{
    need_root();
    assert_int_equal(
        run("[ -e /etc/b ] && exit 1; echo x 2>/dev/null >/etc/c || exit 5", "", false, false), 5);
}

#define MAPS                                                                                       \
    "\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"                      \
    "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"

/* Root of the container owns what root owns in the layers, and what it writes is root's there. */
static void idmapped_layers(void **state)
{
    char path[64];
    struct stat st;
    need_root();
    assert_int_equal(
        run("[ $(/bin/stat -c %u /etc/a) = 0 ] && echo x >>/etc/a && echo y >/etc/mine && exit 6",
            MAPS, true, true),
        6);
    snprintf(path, sizeof path, "%s/up/etc/mine", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 0);
}

/* What is made to mount on, and nothing else, bears the mark. */
static void mount_points(void **state)
{
    static const struct {
        const char *path;
        bool marked;
    } files[] = {{"point", true}, {"deep", true},       {"deep/er", true},
                 {"made", false}, {"made/here", false}, {"deep/mine", false}};
    char path[128], value;
    struct stat st;

    need_root();
    extra_mounts = ",{\"destination\":\"/point\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
                   "{\"destination\":\"/deep/er\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}";
    assert_int_equal(
        run("/bin/busybox mkdir -p /made/here && echo x >/deep/mine && exit 7", "", true, false),
        7);
    extra_mounts = "";
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/up/%s", dir, files[i].path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(getxattr(path, MOUNT_MARK, &value, sizeof value),
                         files[i].marked ? 1 : -1);
    }
    {
        cleanup_free char *up = str_format("%s/up", dir);
        cleanup_fd int fd = open(up, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fstatat(fd, "point", &st, 0), 0);
        assert_true(mount_mark_hides(fd, "point", &st));
        assert_int_equal(fstatat(fd, "deep", &st, 0), 0);
        assert_false(mount_mark_hides(fd, "deep", &st)); /* a user's file is in it */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_and_branch),
        cmocka_unit_test(read_only_without_branch),
        cmocka_unit_test(idmapped_layers),
        cmocka_unit_test(mount_points),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
