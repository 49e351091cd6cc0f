/* SPDX-License-Identifier: Apache-2.0 */
/* What the VNC server can and can not do once it serves; each question in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "instance/sandbox_filter.h"
#include "instance/vnc_sandbox.h"
#include "tests/test.h"

#ifdef SANDBOX_FILTERS

/* Runs @question confined: what it returns, or minus the signal that ended it. */
static int confined(int (*question)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || vnc_sandbox_enter(NULL) < 0)
            _exit(255);
        _exit(question());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int try_exec(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static int try_fork(void)
{
    return fork() < 0 ? errno : 0;
}

static int try_ptrace(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0 ? errno : 0;
}

static int try_internet(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int try_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED
               ? errno
               : 0;
}

static int try_signal(void)
{
    return kill(getppid(), 0) < 0 ? errno : 0;
}

static int try_write_file(void)
{
    return open("/dev/null", O_WRONLY) < 0 ? errno : 0;
}

static int try_unlink(void)
{
    return unlink("/no/such/file") < 0 ? errno : 0;
}

static int try_own_work(void)
{
    struct pollfd p;
    char *memory, byte;
    int pair = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = open("/dev/null", O_RDONLY);

    if (pair < 0 || fd < 0)
        return errno;
    p = (struct pollfd){.fd = fd, .events = POLLIN};
    memory = malloc(64 << 20); /* by mmap */
    if (poll(&p, 1, 0) < 0 || read(fd, &byte, 1) != 0 || !memory)
        return errno ? errno : 255;
    memory[1] = 1;
    free(memory);
    return 0;
}

static void attacks_end_it(void **state)
{
    static int (*const questions[])(void) = {try_exec,     try_fork, try_ptrace,
                                             try_internet, try_code, try_signal};

    for (size_t i = 0; i < array_size(questions); i++)
        if (confined(questions[i]) != -SIGSYS)
            fail_msg("question %zu did not end it: %d", i, confined(questions[i]));
}

static void the_rest_is_refused(void **state)
{
    assert_int_equal(confined(try_write_file), EPERM);
    assert_int_equal(confined(try_unlink), EPERM);
}

static void its_work_goes_on(void **state)
{
    assert_int_equal(confined(try_own_work), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attacks_end_it),
        cmocka_unit_test(the_rest_is_refused),
        cmocka_unit_test(its_work_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: no filters in this build");
    return 77;
}

#endif
