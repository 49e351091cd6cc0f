/* SPDX-License-Identifier: Apache-2.0 */
/* What a confined process can and can not do; each question in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "instance/confine.h"

/* Runs @question confined; it returns 0 or an errno, which this returns. */
static int confined(int (*question)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (confine_privileges(false, NULL) < 0)
            _exit(255);
        _exit(question());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int try_exec(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int try_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0 ? errno : 0;
}

static int try_mount(void)
{
    return mount("x", "/tmp", "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int try_unshare(void)
{
    return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int try_packet(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? errno : 0;
}

static int try_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? errno : 0;
}

static int try_sockets(void)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6};

    for (size_t i = 0; i < array_size(families); i++)
        if (socket(families[i], SOCK_DGRAM, 0) < 0 && errno != EAFNOSUPPORT)
            return errno;
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_kill(void)
{
    return kill(getppid(), SIGCONT) < 0 ? errno : 0;
}

static int try_other_signal(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), SIGCONT) < 0 ? errno : 0;
}

static int try_own_signal(void)
{
    return syscall(SYS_tgkill, getpid(), gettid(), 0) < 0 ? errno : 0;
}

static void *thread(void *opaque)
{
    return opaque;
}

static int try_thread(void)
{
    char token;
    pthread_t t;
    void *result = NULL;
    int r = pthread_create(&t, NULL, thread, &token);

    return r ? r : pthread_join(t, &result) || result != &token;
}

static int try_files(void)
{
    char name[] = "/tmp/isola-sandbox-XXXXXX";
    int fd = mkstemp(name);

    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 || unlink(name) < 0)
        return errno;
    return close(fd);
}

static void refuses(void **state)
{
    assert_int_equal(confined(try_exec), EPERM);
    assert_int_equal(confined(try_ptrace), EPERM);
    assert_int_equal(confined(try_mount), EPERM);
    assert_int_equal(confined(try_unshare), EPERM);
    assert_int_equal(confined(try_kill), EPERM);
    assert_int_equal(confined(try_other_signal), EPERM);
    assert_int_equal(confined(try_packet), EAFNOSUPPORT);
    assert_int_equal(confined(try_netlink), EAFNOSUPPORT);
}

static void allows(void **state)
{
    assert_int_equal(confined(try_sockets), 0);
    assert_int_equal(confined(try_own_signal), 0);
    assert_int_equal(confined(try_thread), 0);
    assert_int_equal(confined(try_files), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(allows),
    };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 77; /* the filter is off in such builds */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 77;
#endif
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
