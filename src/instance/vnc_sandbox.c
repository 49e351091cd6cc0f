/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vnc_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "instance/sandbox_filter.h"

/* Clients, the supervisor's socket, SQLite's reading, memory. */
/* syscalls: accept4 access brk clock_getres clock_gettime clock_nanosleep close connect exit
 * exit_group faccessat2 fcntl fstat futex getegid geteuid getgid getpeername getpid getrandom
 * getsockname getsockopt gettid gettimeofday getuid lseek lstat madvise mmap mprotect mremap munmap
 * nanosleep newfstatat openat poll ppoll pread64 pselect6 read readlink readv recvfrom recvmsg
 * restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn select sendmsg sendto setsockopt
 * shutdown socket stat statx sysinfo time uname write writev */

#ifdef SANDBOX_FILTERS

#define KILL(name) UNLESS(__NR_##name, 1), RETURN(SECCOMP_RET_KILL_PROCESS)

static const struct sock_filter special[] = {
    LOAD(arch),
    UNLESS(AUDIT_ARCH_X86_64, 1),
    BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS), /* another ABI has other numbers */
    LOAD(nr),
    KILL(execve),
    KILL(execveat),
    KILL(fork),
    KILL(vfork),
    KILL(clone),
    KILL(clone3),
    KILL(ptrace),
    KILL(process_vm_readv),
    KILL(process_vm_writev),
    KILL(kill),
    KILL(bind),
    KILL(listen),
    KILL(mount),
    KILL(unshare),
    KILL(setns),
    KILL(bpf),
    KILL(init_module),
    KILL(finit_module),
    KILL(keyctl),
    KILL(io_uring_setup),
    KILL(userfaultfd),
    KILL(perf_event_open),
    UNLESS(__NR_socket, 4),
    LOAD(args[0]),
    UNLESS(AF_UNIX, 1),
    RETURN(SECCOMP_RET_ALLOW),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    /* Files are for reading. */
    UNLESS(__NR_openat, 4),
    LOAD(args[2]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0, 1),
    FAIL(EPERM),
    RETURN(SECCOMP_RET_ALLOW),
    /* No memory that is to be executed. */
    UNLESS(__NR_mmap, 4),
    LOAD(args[2]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    RETURN(SECCOMP_RET_ALLOW),
    UNLESS(__NR_mprotect, 4),
    LOAD(args[2]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
    RETURN(SECCOMP_RET_KILL_PROCESS),
    RETURN(SECCOMP_RET_ALLOW),
};

static const unsigned allowed[] = {
#include "vnc-syscalls.inc"
};

int vnc_sandbox_enter(struct error *err)
{
    return sandbox_install(special, array_size(special), allowed, array_size(allowed), err);
}

#else

int vnc_sandbox_enter(struct error *err)
{
    return 0;
}

#endif
