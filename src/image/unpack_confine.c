/* SPDX-License-Identifier: Apache-2.0 */
/* The walls around the child that reads strange bytes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/unpack.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* The directory becomes a mount without devices, programs and set-uid, and then the only one. */
static int pivot(int root, const char *path, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    struct stat want, st;
    cleanup_fd int tree = -1;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_set_errno(err, -errno, "make mounts private");
    /* By path, because @root belongs to the mounts of the parent. */
    tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || fstat(root, &want) < 0 || fstat(tree, &st) < 0)
        return error_set_errno(err, -errno, "mount the layer's directory %s", path);
    if (want.st_ino != st.st_ino || want.st_dev != st.st_dev)
        return error_set(err, -ESTALE, "%s is not the layer's directory any more", path);
    /* Kernels before 5.12 lack it; it is one wall among several. */
    (void)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr);
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return error_set_errno(err, -errno, "make the layer's directory the root");
    return 0;
}

/* What is needed to give files away and to write where modes forbid it. */
static int drop_capabilities(void)
{
    static const int kept[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2] = {{0}}, data[2] = {{0}};

    if (syscall(SYS_capget, &header, now) < 0)
        return -errno;
    for (size_t i = 0; i < array_size(kept); i++)
        data[kept[i] / 32].permitted |= 1u << (kept[i] % 32);
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= now[i].permitted;
        data[i].effective = data[i].permitted;
    }
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* What computes and talks through descriptors that it has. */
static const char base_calls[] =
    "read pread64 write pwrite64 close fstat lseek fcntl dup mmap munmap mprotect mremap brk "
    "madvise futex set_robust_list rseq exit exit_group rt_sigprocmask rt_sigaction rt_sigreturn "
    "sched_yield sched_getaffinity getpid gettid tgkill sendmsg recvmsg getrandom clock_gettime "
    "clock_nanosleep restart_syscall";
/* What makes files below the root directory. */
static const char file_calls[] =
    "openat openat2 mkdirat mknodat symlinkat linkat unlinkat fchown fchownat fchmod fchmodat "
    "utimensat fsetxattr fgetxattr flistxattr newfstatat statx ftruncate getdents64 umask";

static int allow(scmp_filter_ctx filter, const char *calls)
{
    char name[32];
    int r = 0;

    for (const char *p = calls; *p && r == 0; p += strcspn(p, " "), p += *p == ' ') {
        int number;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p, " "), p);
        number = seccomp_syscall_resolve_name(name);
        if (number != __NR_SCMP_ERROR)
            r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return r;
}

static int filter_calls(bool files, struct error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = filter ? 0 : -ENOMEM;

    if (r == 0)
        r = allow(filter, base_calls);
    if (r == 0 && files)
        r = allow(filter, file_calls);
    /* Threads, but no processes; what clone3 wants cannot be seen, and the C library copes. */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r < 0 ? error_set_errno(err, r, "filter system calls") : 0;
}

/* Closes all but standard error and @keep, which has @count sorted descriptors. */
static void close_others(const int *keep, size_t count)
{
    unsigned from = 0;

    for (size_t i = 0; i < count; i++) {
        if ((unsigned)keep[i] > from)
            syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
        from = (unsigned)keep[i] + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0);
}

static void sort(int *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = i; k > 0 && list[k] < list[k - 1]; k--) {
            int t = list[k];
            list[k] = list[k - 1];
            list[k - 1] = t;
        }
    }
}

static int give_up(bool files, struct error *err)
{
    int r;

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!SANITIZED)
        setrlimit(RLIMIT_AS, &(struct rlimit){4ul << 30, 4ul << 30});
    r = drop_capabilities();
    if (r < 0)
        return error_set_errno(err, r, "drop capabilities");
    return SANITIZED ? 0 : filter_calls(files, err);
}

int unpack_confine(int root, const char *path, const int *keep, size_t keep_count, bool namespaced,
                   struct error *err)
{
    int all[16] = {root, STDERR_FILENO}, fd, r;

    if (keep_count > array_size(all) - 2)
        return error_set(err, -EINVAL, "too many descriptors to keep");
    memcpy(all + 2, keep, keep_count * sizeof *keep);
    sort(all, keep_count + 2);
    close_others(all, keep_count + 2);
    if (namespaced) {
        r = pivot(root, path, err);
        if (r < 0)
            return r;
    } else if (fchdir(root) < 0 || chroot(".") < 0) {
        return error_set_errno(err, -errno, "make the layer's directory the root");
    }
    fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || dup3(fd, root, O_CLOEXEC) < 0)
        return error_set_errno(err, -errno, "open the layer's directory");
    close(fd);
    return give_up(true, err);
}

int unpack_confine_stream(const int *keep, size_t keep_count, struct error *err)
{
    int all[16] = {STDERR_FILENO};

    if (keep_count > array_size(all) - 1)
        return error_set(err, -EINVAL, "too many descriptors to keep");
    memcpy(all + 1, keep, keep_count * sizeof *keep);
    sort(all, keep_count + 1);
    close_others(all, keep_count + 1);
    return give_up(false, err);
}
