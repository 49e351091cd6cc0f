/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/container_sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "instance/sandbox_filter.h"

/* syscalls: dup dup2 dup3 epoll_pwait epoll_wait fchdir fchmodat fgetxattr flock getdents64
 * getrlimit kill mkdirat lseek newfstatat open openat2 pidfd_open pidfd_send_signal pipe2 poll
 * ppoll pread64 readlinkat readv recvmsg renameat renameat2 sendmsg socketpair splice statfs tgkill
 * uname wait4 waitid */

#ifdef SANDBOX_FILTERS

static const struct sock_filter closed[] = {
    LOAD(arch),
    UNLESS(AUDIT_ARCH_X86_64, 1),
    BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
    RETURN(SECCOMP_RET_KILL_PROCESS), /* another ABI has other numbers */
    LOAD(nr),
    /* systemd over its socket; devices and rules of the network. */
    UNLESS(__NR_socket, 6),
    LOAD(args[0]),
    UNLESS(AF_UNIX, 1),
    RETURN(SECCOMP_RET_ALLOW),
    UNLESS(AF_NETLINK, 1),
    RETURN(SECCOMP_RET_ALLOW),
    FAIL(EAFNOSUPPORT),
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

static const unsigned closed_allowed[] = {
#include "container-syscalls.inc"
};

int container_sandbox_closed(struct error *err)
{
    return sandbox_install(closed, array_size(closed), closed_allowed, array_size(closed_allowed),
                           err);
}

#define CAP(name) (1ull << CAP_##name)
#define NEVER     0

/*
 * What neither supervisor nor init ever does, and the capabilities with which a container may under
 * the default filter (container/seccomp_default.c; a test holds the two together).
 */
static const struct {
    unsigned number;
    uint64_t capabilities;
} refused[] = {
    {__NR_acct, CAP(SYS_PACCT)},
    {__NR_add_key, NEVER},
    {__NR_clock_settime, CAP(SYS_TIME)},
    {__NR_create_module, NEVER},
    {__NR_delete_module, CAP(SYS_MODULE)},
    {__NR_fanotify_init, CAP(SYS_ADMIN)},
    {__NR_finit_module, CAP(SYS_MODULE)},
    {__NR_get_kernel_syms, NEVER},
    {__NR_init_module, CAP(SYS_MODULE)},
    {__NR_io_uring_enter, NEVER},
    {__NR_io_uring_register, NEVER},
    {__NR_io_uring_setup, NEVER},
    {__NR_ioperm, CAP(SYS_RAWIO)},
    {__NR_iopl, CAP(SYS_RAWIO)},
    {__NR_kcmp, CAP(SYS_PTRACE)},
    {__NR_kexec_file_load, NEVER},
    {__NR_kexec_load, NEVER},
    {__NR_lookup_dcookie, CAP(SYS_ADMIN)},
    {__NR_mbind, CAP(SYS_NICE)},
    {__NR_migrate_pages, NEVER},
    {__NR_move_pages, NEVER},
    {__NR_nfsservctl, NEVER},
    {__NR_open_by_handle_at, CAP(DAC_READ_SEARCH)},
    {__NR_perf_event_open, CAP(SYS_ADMIN) | CAP(PERFMON)},
    {__NR_pidfd_getfd, CAP(SYS_PTRACE)},
    {__NR_process_madvise, CAP(SYS_PTRACE)},
    {__NR_query_module, NEVER},
    {__NR_quotactl, CAP(SYS_ADMIN)},
    {__NR_quotactl_fd, CAP(SYS_ADMIN)},
    {__NR_reboot, CAP(SYS_BOOT)},
    {__NR_request_key, NEVER},
    {__NR_settimeofday, CAP(SYS_TIME)},
    {__NR_swapoff, NEVER},
    {__NR_swapon, NEVER},
    {__NR_syslog, CAP(SYS_ADMIN) | CAP(SYSLOG)},
    {__NR_uselib, NEVER},
    {__NR_userfaultfd, NEVER},
    {__NR_ustat, NEVER},
    {__NR_vhangup, CAP(SYS_TTY_CONFIG)},
};

bool container_sandbox_refuses(unsigned number, uint64_t capabilities)
{
    for (size_t i = 0; i < array_size(refused); i++)
        if (refused[i].number == number)
            return !(capabilities & refused[i].capabilities);
    return false;
}

int container_sandbox_open(uint64_t capabilities, struct error *err)
{
    struct sock_filter f[2 * array_size(refused) + 8];
    struct error own = {0};
    size_t n = 0;
    int r;

    f[n++] = (struct sock_filter)LOAD(arch);
    f[n++] = (struct sock_filter)UNLESS(AUDIT_ARCH_X86_64, 1);
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0);
    f[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW); /* 32-bit programs of the container */
    f[n++] = (struct sock_filter)LOAD(nr);
    for (size_t i = 0; i < array_size(refused); i++) {
        if (capabilities & refused[i].capabilities)
            continue;
        f[n++] = (struct sock_filter)UNLESS(refused[i].number, 1);
        f[n++] = (struct sock_filter)FAIL(EPERM);
    }
    f[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    r = sandbox_install(f, n, NULL, 0, &own);
    if (r == -EACCES) { /* neither CAP_SYS_ADMIN nor no_new_privs, which programs would inherit */
        log_debug("sandbox", "%s", error_text(&own));
        return 0;
    }
    return r < 0 ? error_set(err, r, "%s", error_text(&own)) : 0;
}

#else

bool container_sandbox_refuses(unsigned number, uint64_t capabilities)
{
    return false;
}

int container_sandbox_closed(struct error *err)
{
    return 0;
}

int container_sandbox_open(uint64_t capabilities, struct error *err)
{
    return 0;
}

#endif
