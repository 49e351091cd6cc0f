/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default profile: everything that programs use on a system they do not administer. What acts
 * on the whole machine needs the capability that says so; what opens much of the kernel for little
 * (new namespaces, bpf, io_uring, keyrings, userfaultfd, swap, kexec) stays closed.
 */
#include <linux/capability.h>
#include <string.h>

#include "base/mem.h"
#include "container/seccomp_internal.h"

#define CAP(name) (1ull << CAP_##name)

uint64_t seccomp_default_capabilities(void)
{
    return CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(FSETID) | CAP(FOWNER) | CAP(MKNOD) | CAP(NET_RAW) |
           CAP(SETGID) | CAP(SETUID) | CAP(SETFCAP) | CAP(SETPCAP) | CAP(NET_BIND_SERVICE) |
           CAP(SYS_CHROOT) | CAP(KILL) | CAP(AUDIT_WRITE);
}

/* Allowed to all, by subject. */
static const char *const always[] = {
    /* files by name */
    "open openat openat2 creat access faccessat faccessat2 stat stat64 lstat lstat64 newfstatat "
    "fstatat64 statx statfs statfs64 readlink readlinkat link linkat symlink symlinkat unlink "
    "unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat chmod fchmodat fchmodat2 "
    "chown chown32 lchown lchown32 fchownat utime utimes utimensat utimensat_time64 futimesat "
    "truncate truncate64 chdir getcwd umask name_to_handle_at",
    /* open files */
    "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 close close_range "
    "lseek _llseek dup dup2 dup3 fcntl fcntl64 flock ioctl fstat fstat64 fstatfs fstatfs64 fsync "
    "fdatasync sync syncfs sync_file_range ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 "
    "readahead fchdir fchmod fchown fchown32 getdents getdents64 sendfile sendfile64 "
    "copy_file_range splice tee vmsplice pipe pipe2 cachestat",
    /* attributes of files */
    "getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr "
    "removexattr lremovexattr fremovexattr getxattrat setxattrat listxattrat removexattrat",
    /* waiting for events */
    "poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create "
    "epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 "
    "eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_settime64 "
    "timerfd_gettime timerfd_gettime64 inotify_init inotify_init1 inotify_add_watch "
    "inotify_rm_watch fanotify_mark io_setup io_destroy io_submit io_cancel io_getevents "
    "io_pgetevents io_pgetevents_time64",
    /* memory */
    "brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 munlock mlockall "
    "munlockall remap_file_pages memfd_create memfd_secret membarrier pkey_alloc pkey_free "
    "pkey_mprotect mseal map_shadow_stack",
    /* processes and threads */
    "fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid "
    "getpgrp setpgid getsid setsid kill tkill tgkill pidfd_open pidfd_send_signal "
    "process_mrelease prctl set_tid_address set_robust_list get_robust_list rseq futex "
    "futex_time64 futex_waitv futex_wake futex_wait futex_requeue set_thread_area get_thread_area "
    "getcpu times getrusage sysinfo uname restart_syscall seccomp landlock_create_ruleset "
    "landlock_add_rule landlock_restrict_self process_vm_readv process_vm_writev ptrace",
    /* scheduling and limits */
    "sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getattr "
    "sched_setattr sched_getscheduler sched_setscheduler sched_get_priority_max "
    "sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 getpriority "
    "setpriority ioprio_get ioprio_set getrlimit ugetrlimit setrlimit prlimit64",
    /* signals */
    "rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn sigreturn sigprocmask "
    "sigaltstack pause alarm",
    /* users */
    "getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 "
    "getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid "
    "setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid "
    "setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset",
    /* time */
    "time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 nanosleep "
    "clock_nanosleep clock_nanosleep_time64 adjtimex clock_adjtime clock_adjtime64 getitimer "
    "setitimer timer_create timer_delete timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timer_getoverrun getrandom",
    /* sockets; socket itself is below */
    "socketpair bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt "
    "send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 shutdown "
    "socketcall",
    /* System V IPC and message queues */
    "ipc semget semop semctl semtimedop semtimedop_time64 shmget shmat shmdt shmctl msgget msgsnd "
    "msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive "
    "mq_timedreceive_time64 mq_notify mq_getsetattr",
#ifdef __aarch64__
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
#else
    "arch_prctl modify_ldt",
#endif
};

/* Allowed to those who have the capability. */
static const struct {
    uint64_t capability;
    const char *names;
} privileged[] = {
    {CAP(DAC_READ_SEARCH), "open_by_handle_at"},
    {CAP(SYS_ADMIN),
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
     "listmount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd "
     "setdomainname "
     "sethostname setns statmount syslog umount umount2 unshare"},
    {CAP(SYS_BOOT), "reboot"},
    {CAP(SYS_CHROOT), "chroot"},
    {CAP(SYS_MODULE), "delete_module init_module finit_module"},
    {CAP(SYS_PACCT), "acct"},
    {CAP(SYS_PTRACE), "kcmp pidfd_getfd process_madvise"},
    {CAP(SYS_RAWIO), "iopl ioperm"},
    {CAP(SYS_TIME), "settimeofday stime clock_settime clock_settime64"},
    {CAP(SYS_TTY_CONFIG), "vhangup"},
    {CAP(SYS_NICE), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {CAP(SYSLOG), "syslog"},
    {CAP(BPF), "bpf"},
    {CAP(PERFMON), "perf_event_open"},
};

/* Allowed with certain arguments. */
static const struct {
    const char *name, *op;
    uint32_t value;
    bool unless_admin; /* CAP_SYS_ADMIN has it without condition */
} conditional[] = {
    {"socket", "SCMP_CMP_NE", 40 /* AF_VSOCK: reaches the hypervisor past every network wall */, 0},
    {"personality", "SCMP_CMP_EQ", 0x0 /* Linux */, 0},
    {"personality", "SCMP_CMP_EQ", 0x8 /* Linux, 32 bit */, 0},
    {"personality", "SCMP_CMP_EQ", 0x20000 /* names as Linux 2.6 */, 0},
    {"personality", "SCMP_CMP_EQ", 0x20008 /* both */, 0},
    {"personality", "SCMP_CMP_EQ", 0xffffffff /* asks */, 0},
    {"clone", "SCMP_CMP_MASKED_EQ", 0x7e020000 /* no CLONE_NEWx */, true},
};

static void add_names(struct str *out, const char *names, bool *first)
{
    for (const char *n = names; *n; n += strspn(n, " ")) {
        size_t len = strcspn(n, " ");
        str_addf(out, "%s\"%.*s\"", *first ? "" : ",", (int)len, n);
        *first = false;
        n += len;
    }
}

void seccomp_default_json(uint64_t capabilities, struct str *out)
{
    bool admin = capabilities & CAP(SYS_ADMIN), first = true;
    str_add(out, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"architectures\":[");
    for (size_t i = 0; seccomp_archs[i]; i++)
        str_addf(out, "%s\"%s\"", i ? "," : "", seccomp_archs[i]);
    str_add(out, "],\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[");
    for (size_t i = 0; i < array_size(always); i++)
        add_names(out, always[i], &first);
    for (size_t i = 0; i < array_size(privileged); i++)
        if (capabilities & privileged[i].capability)
            add_names(out, privileged[i].names, &first);
    str_add(out, "]}");
    for (size_t i = 0; i < array_size(conditional); i++)
        if (!(admin && conditional[i].unless_admin))
            str_addf(out,
                     ",{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[\"%s\"],\"args\":[{\"index\":0,"
                     "\"value\":%u,\"op\":\"%s\"}]}",
                     conditional[i].name, conditional[i].value, conditional[i].op);
    /* Its flags are in memory: programs fall back to clone, whose flags can be seen. */
    if (!admin)
        str_add(out, ",{\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38,\"names\":[\"clone3\"]}");
    str_add(out, "]}");
}
