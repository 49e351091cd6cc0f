/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__x86_64__) && !defined(__ILP32__) && !defined(SANITIZED)

#define LOAD(member)                                                                               \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, member))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define FAIL(number)   RETURN(SECCOMP_RET_ERRNO | (number))
/* Skips @count instructions unless the accumulator is @value. */
#define UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)

/* Stands for the process's id until the filter is installed. */
#define OWN_PID 0x80706964u

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                 CLONE_NEWUTS | CLONE_NEWCGROUP
};

/* Jumps reach 255 instructions only, so each allowed call is a compare and a return. */
#define SYSCALL(name) UNLESS(__NR_##name, 1), RETURN(SECCOMP_RET_ALLOW),

static const struct sock_filter filter[] = {
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
#include "syscalls.inc"
    FAIL(EPERM),
};

int sandbox_enter(struct error *err)
{
    const char *off = getenv("ISOLA_SECCOMP");
    struct sock_filter mine[array_size(filter)];
    struct sock_fprog program = {.len = array_size(filter), .filter = mine};
    long r;

    if (off && strcmp(off, "off") == 0)
        return 0;
    memcpy(mine, filter, sizeof filter);
    for (size_t i = 0; i < array_size(filter); i++)
        if (mine[i].k == OWN_PID)
            mine[i].k = (unsigned)getpid();
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

#else

int sandbox_enter(struct error *err)
{
    return 0;
}

#endif
