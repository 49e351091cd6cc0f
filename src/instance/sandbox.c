/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "instance/sandbox_filter.h"

#ifdef SANDBOX_FILTERS

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                 CLONE_NEWUTS | CLONE_NEWCGROUP
};

static const struct sock_filter machine_special[] = {
    LOAD(arch),
    UNLESS(AUDIT_ARCH_X86_64, 1),
    BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS), /* another ABI has other numbers */
    LOAD(nr),
    /* clone3's flags are out of sight: the C library falls back to clone. */
    UNLESS(__NR_clone3, 1),
    FAIL(ENOSYS),
    UNLESS(__NR_clone, 4),
    LOAD(args[0]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
    FAIL(EPERM),
    RETURN(SECCOMP_RET_ALLOW),
    UNLESS(__NR_socket, 8),
    LOAD(args[0]),
    UNLESS(AF_INET, 1),
    RETURN(SECCOMP_RET_ALLOW),
    UNLESS(AF_INET6, 1),
    RETURN(SECCOMP_RET_ALLOW),
    UNLESS(AF_UNIX, 1),
    RETURN(SECCOMP_RET_ALLOW),
    FAIL(EAFNOSUPPORT),
    /* Signals and limits are for this process alone. */
    UNLESS(__NR_tgkill, 4),
    LOAD(args[0]),
    UNLESS(OWN_PID, 1),
    RETURN(SECCOMP_RET_ALLOW),
    FAIL(EPERM),
    UNLESS(__NR_prlimit64, 4),
    LOAD(args[0]),
    UNLESS(0, 1),
    RETURN(SECCOMP_RET_ALLOW),
    FAIL(EPERM),
    /* Typing into a terminal on behalf of its user. */
    UNLESS(__NR_ioctl, 4),
    LOAD(args[1]),
    UNLESS(TIOCSTI, 1),
    FAIL(EPERM),
    RETURN(SECCOMP_RET_ALLOW),
};

static const unsigned machine_allowed[] = {
#include "syscalls.inc"
};

static int compare(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

/*
 * A search by halves: the kernel goes through the filter once for each call there is when it is
 * installed, and through a list of compares that would take half as long as a container's start.
 */
static size_t add_search(struct sock_filter *f, size_t n, const unsigned *sorted, size_t count)
{
    size_t jump, half = count / 2;

    if (count > 4) {
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, sorted[half], 0, 1);
        jump = n++;
        n = add_search(f, n, sorted, half);
        f[jump] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (unsigned)(n - jump - 1));
        return add_search(f, n, sorted + half, count - half);
    }
    for (size_t i = 0; i < count; i++) {
        f[n++] = (struct sock_filter)UNLESS(sorted[i], 1);
        f[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    }
    f[n++] = (struct sock_filter)FAIL(EPERM);
    return n;
}

int sandbox_install(const struct sock_filter *special, size_t count, const unsigned *allowed,
                    size_t allowed_count, struct error *err)
{
    const char *off = getenv("ISOLA_SECCOMP");
    /* Two for a call, and three for each two to four of them and the half they are in. */
    struct sock_filter f[SANDBOX_SPECIAL_MAX + 4 * SANDBOX_ALLOWED_MAX];
    unsigned sorted[SANDBOX_ALLOWED_MAX];
    struct sock_fprog program = {.filter = f};
    long r;

    if (off && strcmp(off, "off") == 0)
        return 0;
    if (count > SANDBOX_SPECIAL_MAX || allowed_count > SANDBOX_ALLOWED_MAX)
        return error_set(err, -E2BIG, "install the system call filter: it is too long");
    memcpy(f, special, count * sizeof *f);
    for (size_t i = 0; i < count; i++)
        if (f[i].k == OWN_PID)
            f[i].k = (unsigned)getpid();
    if (allowed_count)
        memcpy(sorted, allowed, allowed_count * sizeof *sorted);
    qsort(sorted, allowed_count, sizeof *sorted, compare);
    program.len = (unsigned short)add_search(f, count, sorted, allowed_count);
    r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (r > 0)
        return error_set(err, -EBUSY, "install the system call filter: thread %ld refuses it", r);
    if (r < 0 && (errno == ENOSYS || errno == EINVAL)) {
        /* A host that cannot filter is no reason not to run: other walls stand. */
        log_warn("sandbox", "this host's kernel has no system call filters");
        return 0;
    }
    return r < 0 ? error_set_errno(err, -errno, "install the system call filter") : 0;
}

int sandbox_enter(struct error *err)
{
    return sandbox_install(machine_special, array_size(machine_special), machine_allowed,
                           array_size(machine_allowed), err);
}

#else

int sandbox_enter(struct error *err)
{
    return 0;
}

#endif
