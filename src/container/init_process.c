/* SPDX-License-Identifier: Apache-2.0 */
/* The container's program: its terminal, limits, identity, privileges; and its execution. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched/types.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/signal.h>
#include <linux/stat.h>
#include <linux/wait.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "container/init_internal.h"

#ifndef S_IFMT
#define S_IFMT  00170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#endif

enum { PASSWD_MAX = 1 << 20, PATH_ROOM = 4096 };

/* What process_prepare found out for process_run. */
static struct {
    char path[PATH_ROOM];
    const char **args, **env;
} program;

/* --- terminal --- */

/* The multiplexer of the container's own devpts, checked to be one. */
static int open_ptmx(struct init *i)
{
    struct statfs fs;
    int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    if (i->pts < 0 && !(i->plan->flags & PLAN_MOUNT_NS))
        i->pts = path_in_container(i, "/dev/pts", PATH_EXISTING, O_DIRECTORY);
    if (i->pts < 0)
        i->pts = mount_new(i, "devpts", "devpts", (struct plan_list){0, 0}, 0);
    if (i->pts < 0)
        return i->pts;
    int r = (int)sys(fstatfs, i->pts, &fs);
    if (r == 0 && fs.f_type != DEVPTS_SUPER_MAGIC)
        r = -ENODEV;
    return r < 0 ? r : (int)sys(openat, i->pts, "ptmx", flags | O_NOFOLLOW);
}

void terminal_open(struct init *i)
{
    int unlock = 0;
    int master = open_ptmx(i);
    if (master < 0)
        init_die(i, master, "open a terminal in the container's /dev/pts", NULL);
    long r = sys(ioctl, master, TIOCSPTLCK, &unlock);
    /* The peer comes from the descriptor, not from a path in the container. */
    int slave =
        r < 0 ? (int)r : (int)sys(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        init_die(i, slave, "open the other end of the terminal", NULL);
    if (i->plan->rows || i->plan->columns) {
        struct winsize size = {(unsigned short)i->plan->rows, (unsigned short)i->plan->columns, 0,
                               0};
        sys(ioctl, master, TIOCSWINSZ, &size);
    }
    sys(fchownat, slave, "", i->plan->uid, -1, AT_EMPTY_PATH);
    init_send(i, PLAN_CONSOLE, 0, "/dev/ptmx", master);
    sys(close, master);
    i->console = slave;
}

static void set_stdio(struct init *i)
{
    int fds[3];
    if (i->plan->flags & PLAN_TERMINAL) {
        long r = sys(ioctl, i->console, TIOCSCTTY, 0);
        if (r < 0)
            init_die(i, r, "make the terminal the container's", NULL);
        for (int k = 0; k < 3; k++)
            fds[k] = i->console;
    } else {
        memcpy(fds, i->plan->stdio, sizeof fds);
    }
    /* One that lies where another goes moves out of the way. */
    for (int k = 0; k < 3; k++)
        if (fds[k] < 3 && fds[k] != k)
            fds[k] = (int)sys(fcntl, fds[k], F_DUPFD_CLOEXEC, 3 + i->plan->keep_fds);
    for (int k = 0; k < 3; k++) {
        /* dup3 refuses a descriptor onto itself: that one only loses its close-on-exec. */
        long r = fds[k] == k ? sys(fcntl, k, F_SETFD, 0) : sys(dup3, fds[k], k, 0);
        if (r < 0)
            init_die(i, r, "set up standard input and output", NULL);
    }
}

/* --- hooks inside the container --- */

static const char **text_array(struct init *i, struct plan_list list, const char *first)
{
    const uint32_t *at = plan_records(i->plan, list);
    long where = sys(mmap, 0, (list.n + 3UL) * sizeof(char *), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (where < 0 && where > -4096)
        init_die(i, where, "allocate memory", NULL);
    const char **v = (const char **)where;
    if (!list.n && first)
        v[0] = first;
    for (uint32_t k = 0; k < list.n; k++)
        v[k] = plan_text(i->plan, at[k]);
    return v;
}

static void run_hook(struct init *i, const struct plan_hook *hook, int state, const char *name)
{
    const char *path = plan_text(i->plan, hook->path);
    const char **args = text_array(i, hook->args, path), **env = text_array(i, hook->env, NULL);
    sys(lseek, state, 0, 0);
    long pid = sys(clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        sys(dup3, state, 0, 0);
        sys(execve, path, args, env);
        sys(exit_group, 127);
    }
    if (pid < 0)
        init_die(i, pid, "start the hook", path);
    struct {
        int fd;
        short events, revents;
    } p = {(int)sys(pidfd_open, pid, 0), 1, 0};
    struct {
        long sec, nsec;
    } timeout = {hook->timeout_ms / 1000, hook->timeout_ms % 1000 * 1000000L};
    bool late = hook->timeout_ms && p.fd >= 0 && sys(ppoll, &p, 1, &timeout, 0, 0) == 0;
    if (late)
        sys(kill, pid, SIGKILL);
    int status = 0;
    while (sys(wait4, pid, &status, 0, 0) == -EINTR)
        ;
    if (p.fd >= 0)
        sys(close, p.fd);
    if (!late && status == 0)
        return;
    char text[PLAN_TEXT_MAX];
    struct line l = {text, sizeof text, 0};
    line_add(&l, name);
    line_add(&l, " hook ");
    line_add(&l, path);
    line_add(&l, late ? ": timed out" : status & 0x7f ? ": ended by signal " : ": exit code ");
    if (!late)
        line_add_number(&l, status & 0x7f ? status & 0x7f : status >> 8 & 0xff);
    init_die_line(i, -EIO, text);
}

void hooks_run(struct init *i, struct plan_list hooks, int state, const char *name)
{
    const struct plan_hook *h = plan_records(i->plan, hooks);
    for (uint32_t k = 0; k < hooks.n; k++)
        run_hook(i, &h[k], state, name);
}

/* --- limits and scheduling --- */

static void set_rlimits(struct init *i)
{
    const struct plan_rlimit *limits = plan_records(i->plan, i->plan->rlimits);
    for (uint32_t k = 0; k < i->plan->rlimits.n; k++) {
        uint64_t value[2] = {limits[k].soft, limits[k].hard}, now[2];
        const char *name = plan_text(i->plan, limits[k].name);
        long r = sys(prlimit64, 0, limits[k].resource, value, 0);
        if (r == -EPERM && (i->plan->flags & PLAN_BEST_EFFORT) &&
            sys(prlimit64, 0, limits[k].resource, 0, now) == 0) {
            value[1] = value[1] > now[1] ? now[1] : value[1];
            value[0] = value[0] > value[1] ? value[1] : value[0];
            r = sys(prlimit64, 0, limits[k].resource, value, 0);
            init_warn(i, -EPERM, "raise", name);
        }
        if (r == -EPERM)
            init_die(i, r, "set the limit (raising it above the caller's needs CAP_SYS_RESOURCE)",
                     name);
        if (r < 0)
            init_die(i, r, "set the limit", name);
    }
}

static void set_scheduling(struct init *i)
{
    const struct plan_scheduler *s = &i->plan->scheduler;
    if (i->plan->io_class) {
        long r = sys(ioprio_set, IOPRIO_WHO_PROCESS, 0,
                     IOPRIO_PRIO_VALUE(i->plan->io_class, i->plan->io_priority));
        if (r < 0)
            init_die(i, r, "set ioPriority", NULL);
    }
    if (s->policy >= 0) {
        struct sched_attr attr = {.size = sizeof attr,
                                  .sched_policy = (uint32_t)s->policy,
                                  .sched_flags = s->flags,
                                  .sched_nice = s->nice,
                                  .sched_priority = s->priority,
                                  .sched_runtime = s->runtime,
                                  .sched_deadline = s->deadline,
                                  .sched_period = s->period};
        long r = sys(sched_setattr, 0, &attr, 0);
        if (r < 0)
            init_die(i, r, "set scheduler", NULL);
    }
    if (i->plan->affinity.n) {
        long r = sys(sched_setaffinity, 0, i->plan->affinity.n * sizeof(uint64_t),
                     plan_records(i->plan, i->plan->affinity));
        if (r < 0)
            init_die(i, r, "set execCPUAffinity", NULL);
    }
    if (i->plan->flags & PLAN_PERSONALITY)
        sys(personality, i->plan->personality);
}

/* --- identity and privileges --- */

static void set_label(struct init *i, int proc, const char *file, uint32_t text, const char *what)
{
    char path[64];
    struct line l = {path, sizeof path, 0};
    if (!text)
        return;
    line_add_number(&l, sys(getpid));
    line_add(&l, file);
    const char *label = plan_text(i->plan, text);
    long fd = proc < 0 ? proc : sys(openat, proc, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    long r = fd < 0 ? fd : sys(write, fd, label, strlen(label));
    if (r < 0)
        init_die(i, r, what, label);
    sys(close, fd);
}

/* Through a procfs of our own, where the container has mounted nothing. */
static void set_labels(struct init *i)
{
    if (!i->plan->apparmor && !i->plan->selinux)
        return;
    int proc = mount_new(i, "proc", "proc", (struct plan_list){0, 0}, 0);
    set_label(i, proc, "/attr/exec", i->plan->apparmor, "set the AppArmor profile");
    set_label(i, proc, "/attr/exec", i->plan->selinux, "set the SELinux label");
    if (proc >= 0)
        sys(close, proc);
}

static void install_seccomp(struct init *i)
{
    struct sock_fprog filter = {(unsigned short)i->plan->seccomp.n,
                                (struct sock_filter *)plan_records(i->plan, i->plan->seccomp)};
    if (!filter.len)
        return;
    long r = sys(seccomp, SECCOMP_SET_MODE_FILTER, i->plan->seccomp_flags, &filter);
    if (r < 0)
        init_die(i, r, "install the seccomp filter", NULL);
    if (i->plan->seccomp_notify) {
        init_send(i, PLAN_LISTENER, 0, "", (int)r);
        init_wait_go(i, NULL);
        sys(close, r);
    }
}

/* Without an enforced device list, a node of any device could be made and opened. */
static uint64_t allowed(const struct init *i)
{
    return i->no_mknod ? ~(UINT64_C(1) << CAP_MKNOD) : ~UINT64_C(0);
}

static void drop_bounding(struct init *i)
{
    uint64_t keep = i->plan->bounding & allowed(i);
    for (unsigned cap = 0; cap < 64; cap++) {
        if (keep & UINT64_C(1) << cap)
            continue;
        long r = sys(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (r == -EINVAL) /* past the kernel's last one */
            return;
        if (r < 0)
            init_die(i, r, "drop capabilities from the bounding set", NULL);
    }
}

/* What the runtime does not hold itself (in a container of its own, say) cannot be given. */
static void set_capabilities(struct init *i)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct now[2], next[2];
    long r = sys(capget, &head, now);
    if (r < 0)
        init_die(i, r, "read the capabilities", NULL);
    for (unsigned k = 0; k < 2; k++) {
        unsigned shift = 32 * k;
        now[k].permitted &= (uint32_t)(allowed(i) >> shift);
        now[k].inheritable &= (uint32_t)(allowed(i) >> shift);
        next[k].permitted = (uint32_t)(i->plan->permitted >> shift) & now[k].permitted;
        next[k].effective = (uint32_t)(i->plan->effective >> shift) & next[k].permitted;
        next[k].inheritable = (uint32_t)(i->plan->inheritable >> shift) &
                              (now[k].permitted | now[k].inheritable) &
                              (uint32_t)(i->plan->bounding >> shift);
    }
    r = sys(capset, &head, next);
    if (r < 0)
        init_die(i, r, "set the capabilities", NULL);
    for (unsigned cap = 0; cap < 64; cap++) {
        uint32_t bit = 1u << (cap & 31);
        if (!(i->plan->ambient & UINT64_C(1) << cap) ||
            !(next[cap / 32].permitted & next[cap / 32].inheritable & bit))
            continue;
        r = sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
        if (r < 0)
            init_warn(i, r, "raise an ambient capability", NULL);
    }
}

static void set_ids(struct init *i)
{
    const struct plan *plan = i->plan;
    long r = 0;
    if (plan->flags & PLAN_SETGROUPS) {
        r = sys(setgroups, plan->groups.n, plan_records(plan, plan->groups));
        if (r < 0 && (plan->groups.n || r != -EPERM))
            init_die(i, r, "set additionalGids (are they mapped, and is setgroups allowed?)", NULL);
    }
    r = sys(setresgid, plan->gid, plan->gid, plan->gid);
    if (r < 0)
        init_die(i, r, "set the group (is it mapped in the user namespace?)", NULL);
    r = sys(setresuid, plan->uid, plan->uid, plan->uid);
    if (r < 0)
        init_die(i, r, "set the user (is it mapped in the user namespace?)", NULL);
}

/* --- the program --- */

static const char *env_value(const char **env, const char *name)
{
    size_t n = strlen(name);
    for (; *env; env++)
        if (text_starts(*env, name) && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

/* The home of @uid in lines of passwd(5); writes "HOME=..." into @to. */
static bool find_home(const char *p, const char *end, uint32_t uid, struct line *to)
{
    while (p < end) {
        const char *field[7] = {p}, *q = p;
        unsigned n = 1;
        for (; q < end && *q != '\n'; q++)
            if (*q == ':' && n < 7)
                field[n++] = q + 1;
        uint64_t id = 0;
        bool digits = n >= 6 && field[2] < field[3] - 1;
        for (const char *d = field[2]; digits && d < field[3] - 1; d++) {
            digits = *d >= '0' && *d <= '9' && id <= UINT32_MAX;
            id = id * 10 + (uint64_t)(*d - '0');
        }
        if (digits && id == uid && field[5] < q && *field[5] == '/') {
            for (const char *h = field[5]; h < q && *h != ':'; h++)
                line_add(to, (const char[]){*h, '\0'});
            return true;
        }
        p = q + 1;
    }
    return false;
}

/* HOME from the container's /etc/passwd when nobody gave one. */
static void set_home(struct init *i)
{
    static char home[1024];
    struct line l = {home, sizeof home, 0};
    const char **env = program.env;
    size_t size = 0;
    if (env_value(env, "HOME"))
        return;
    line_add(&l, "HOME=");
    int fd = path_read(i->root, "/etc/passwd", PASSWD_MAX, &size);
    if (fd >= 0 && size) {
        /* Read, not mapped: a file that shrinks meanwhile must not kill. */
        long room = sys(mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (room > 0 || room <= -4096) {
            long n = sys(read, fd, room, size);
            if (n > 0)
                find_home((const char *)room, (const char *)room + n, i->plan->uid, &l);
            sys(munmap, room, size);
        }
    }
    if (fd >= 0)
        sys(close, fd);
    if (l.len == 5)
        line_add(&l, "/");
    while (*env)
        env++;
    *env = home; /* text_array leaves room for it */
}

static int executable(const char *path)
{
    struct statx st;
    int r = (int)sys(statx, AT_FDCWD, path, 0, STATX_TYPE, &st);
    if (r < 0)
        return r;
    if ((st.stx_mode & S_IFMT) != S_IFREG)
        return -EACCES;
    return (int)sys(faccessat, AT_FDCWD, path, 1);
}

static _Noreturn void not_executable(struct init *i, int code, const char *name, bool searched)
{
    char text[PLAN_TEXT_MAX];
    struct line l = {text, sizeof text, 0};
    line_add(&l, "exec: \"");
    line_add(&l, name);
    line_add(&l, "\": ");
    line_add(&l, searched && code == -ENOENT ? "executable file not found in $PATH"
                                             : errno_text(-code));
    init_die_line(i, code, text);
}

static void find_program(struct init *i)
{
    const char *name = program.args[0], *path = env_value(program.env, "PATH");
    int found = -ENOENT;
    bool search = *name != '\0';
    for (const char *p = name; *p; p++)
        search &= *p != '/';
    if (!search) {
        struct line l = {program.path, sizeof program.path, 0};
        line_add(&l, name);
        found = *name ? executable(program.path) : -ENOENT;
        if (found < 0)
            not_executable(i, found, name, false);
        return;
    }
    if (!path || !*path)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    while (*path) {
        struct line l = {program.path, sizeof program.path, 0};
        program.path[0] = '\0';
        for (; *path && *path != ':'; path++)
            line_add(&l, (const char[]){*path, '\0'});
        path += *path == ':';
        if (!l.len)
            line_add(&l, ".");
        line_add(&l, "/");
        line_add(&l, name);
        int r = executable(program.path);
        if (r == 0)
            return;
        if (r == -EACCES)
            found = r;
    }
    not_executable(i, found, name, true);
}

/* A descriptor of the host that leaked in could be the working directory by /proc/self/fd/N: then
 * its path does not begin at the container's root. */
static void check_cwd(struct init *i)
{
    char path[PATH_ROOM];
    long n = sys(getcwd, path, sizeof path);
    if (n < 0 && n != -ERANGE)
        init_die(i, n, "find the working directory", NULL);
    if (n >= 0 && path[0] != '/')
        init_die_line(i, -EPERM, "the working directory is outside of the container");
}

static void enter_cwd(struct init *i, bool last)
{
    const char *cwd = plan_text(i->plan, i->plan->cwd);
    long r = sys(chdir, cwd);
    if (r < 0 && (last || (r != -EACCES && r != -EPERM)))
        init_die(i, r, "chdir to", cwd);
    if (r == 0)
        check_cwd(i);
}

void process_prepare(struct init *i)
{
    const struct plan *plan = i->plan;
    program.args = text_array(i, plan->args, NULL);
    program.env = text_array(i, plan->env, NULL);
    set_home(i);
    set_stdio(i);
    set_scheduling(i);
    set_rlimits(i);
    set_labels(i);
    enter_cwd(i, false);
    /* Without no_new_privs, a filter needs CAP_SYS_ADMIN: before that goes. */
    if (!(plan->flags & PLAN_NO_NEW_PRIVS))
        install_seccomp(i);
    drop_bounding(i);
    sys(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    set_ids(i);
    sys(prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
    enter_cwd(i, true);
    set_capabilities(i);
    if (plan->umask != ~0U)
        sys(umask, plan->umask);
    else
        sys(umask, 022);
    if (plan->flags & PLAN_NO_NEW_PRIVS) {
        long r = sys(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (r < 0)
            init_die(i, r, "set no_new_privs", NULL);
    }
    /* A change of user undoes both. */
    sys(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (plan->flags & PLAN_DIE_WITH_PARENT)
        sys(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    find_program(i);
    if ((plan->flags & PLAN_NO_NEW_PRIVS) && plan->seccomp_notify)
        install_seccomp(i);
}

/* --- staying above the program --- */

static void forward(long child, uint32_t signal)
{
    if (signal != SIGCHLD && signal != SIGTTIN && signal != SIGTTOU)
        sys(kill, child, signal);
}

/* Passes signals on, collects every process that ends, and ends as the program did. */
static _Noreturn void reap(long child)
{
    uint64_t all = ~UINT64_C(0);
    struct {
        int signo, error, code;
        char rest[116];
    } info;
    sys(close_range, 0, ~0U, 0);
    for (;;) {
        long n = sys(rt_sigtimedwait, &all, &info, 0, sizeof all);
        if (n > 0)
            forward(child, (uint32_t)n);
        for (;;) {
            int status;
            long pid = sys(wait4, -1, &status, WNOHANG, 0);
            if (pid <= 0)
                break;
            if (pid == child)
                sys(exit_group, status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff);
        }
    }
}

static void split_off(struct init *i)
{
    uint64_t all = ~UINT64_C(0), none = 0;
    int pgrp;
    sys(rt_sigprocmask, SIG_SETMASK, &all, 0, sizeof all);
    long child = sys(clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        init_die(i, child, "clone the program's process", NULL);
    if (child > 0)
        reap(child);
    /* A process group of its own, so that a terminal's signals do not come twice. */
    sys(setpgid, 0, 0);
    pgrp = (int)sys(getpid);
    if (i->plan->flags & PLAN_TERMINAL)
        sys(ioctl, 0, TIOCSPGRP, &pgrp);
    sys(rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
}

void process_run(struct init *i)
{
    const struct plan *plan = i->plan;
    hooks_run(i, plan->start_hooks, i->state[1], "startContainer");
    if (plan->flags & PLAN_REAP)
        split_off(i);
    init_send(i, PLAN_STARTING, 0, "", -1);
    if ((plan->flags & PLAN_NO_NEW_PRIVS) && !plan->seccomp_notify)
        install_seccomp(i);
    long r = sys(execve, program.path, program.args, program.env);
    not_executable(i, (int)r, program.args[0], false);
}
