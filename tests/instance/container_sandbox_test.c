/* SPDX-License-Identifier: Apache-2.0 */
/* The filters of a container's supervisor; each question in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "container/seccomp.h"
#include "container/seccomp_internal.h"
#include "instance/confine.h"
#include "instance/container_sandbox.h"

static int enter_closed(void)
{
    return confine_capabilities(1ull << CAP_KILL, NULL) < 0 ? -1 : container_sandbox_closed(NULL);
}

static int enter_open(void)
{
    return container_sandbox_open(seccomp_default_capabilities(), NULL);
}

/* Runs @question confined; it returns 0 or an errno, which this returns. */
static int confined(int (*enter)(void), int (*question)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(enter() < 0 ? 255 : question());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_exec(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int try_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : waitpid(pid, NULL, 0) == pid ? 0 : errno;
}

static int try_mount(void)
{
    return mount("x", "/nonexistent", "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int try_unshare(void)
{
    return unshare(CLONE_NEWUTS) < 0 ? errno : 0;
}

static int try_internet(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int try_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_signal(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    return fd < 0 || syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) < 0 ? errno : 0;
}

static int try_files(void)
{
    char name[] = "/tmp/isola-sandbox-XXXXXX";
    int fd = mkdtemp(name) ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    return fd < 0 || rmdir(name) < 0 ? errno : 0;
}

static int try_module(void)
{
    return syscall(SYS_finit_module, -1, "", 0) < 0 ? errno : 0;
}

static int try_kexec(void)
{
    return syscall(SYS_kexec_load, 0, 0, NULL, ~0ul) < 0 ? errno : 0;
}

static int try_uring(void)
{
    return syscall(SYS_io_uring_setup, 0, NULL) < 0 ? errno : 0;
}

static void closed(void **state)
{
    assert_int_equal(confined(enter_closed, try_exec), EPERM);
    assert_int_equal(confined(enter_closed, try_fork), EPERM);
    assert_int_equal(confined(enter_closed, try_mount), EPERM);
    assert_int_equal(confined(enter_closed, try_unshare), EPERM);
    assert_int_equal(confined(enter_closed, try_module), EPERM);
    assert_int_equal(confined(enter_closed, try_kexec), EPERM);
    assert_int_equal(confined(enter_closed, try_uring), EPERM);
    assert_int_equal(confined(enter_closed, try_internet), EAFNOSUPPORT);
    assert_int_equal(confined(enter_closed, try_socket), 0);
    assert_int_equal(confined(enter_closed, try_signal), 0);
    assert_int_equal(confined(enter_closed, try_files), 0);
}

static void open_for_starts(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(confined(enter_open, try_kexec), EPERM);
    assert_int_equal(confined(enter_open, try_module), EPERM); /* else EBADF */
    assert_int_equal(confined(enter_open, try_uring), EPERM);  /* else EFAULT */
    assert_int_equal(confined(enter_open, try_fork), 0);
    assert_int_equal(confined(enter_open, try_exec), 0);
    assert_int_equal(confined(enter_open, try_unshare), 0);
    assert_int_equal(confined(enter_open, try_mount), ENOENT);
    assert_int_equal(confined(enter_open, try_internet), 0);
}

static int number_of(const char *name)
{
    const struct seccomp_name *n = seccomp_find(name);

    return n ? n->number[0] : -1;
}

/* No more than the filter of the container itself refuses. */
static void leaves_the_container_its_own(void **state)
{
    static const char *const needed[] = {"mount",  "setns",  "unshare",    "pivot_root",
                                         "keyctl", "clone3", "move_mount", "fsopen",
                                         "bpf",    "vfork",  "seccomp",    "execveat"};
    size_t seen = 0;

    for (int cap = -1; cap <= CAP_LAST_CAP; cap++) {
        uint64_t set = seccomp_default_capabilities() | (cap < 0 ? 0 : 1ull << cap);
        struct str text = {0};
        json_t *profile, *rule, *name;
        size_t i, k;

        seccomp_default_json(set, &text);
        profile = json_loads(str_text(&text), 0, NULL);
        assert_non_null(profile);
        json_array_foreach(json_object_get(profile, "syscalls"), i, rule)
        {
            const char *action = json_string_value(json_object_get(rule, "action"));
            if (strcmp(action, "SCMP_ACT_ALLOW") != 0)
                continue;
            json_array_foreach(json_object_get(rule, "names"), k, name)
            {
                int number = number_of(json_string_value(name));
                if (number >= 0 && container_sandbox_refuses((unsigned)number, set))
                    fail_msg("%s is refused with capability %d", json_string_value(name), cap);
                seen += number >= 0;
            }
        }
        json_decref(profile);
        str_done(&text);
    }
    assert_true(seen > 1000);
    for (size_t i = 0; i < array_size(needed); i++)
        assert_false(container_sandbox_refuses((unsigned)number_of(needed[i]), 0));
    assert_true(container_sandbox_refuses(SYS_kexec_load, ~0ull));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed),
        cmocka_unit_test(open_for_starts),
        cmocka_unit_test(leaves_the_container_its_own),
    };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 77; /* the filters are off in such builds */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 77;
#endif
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
