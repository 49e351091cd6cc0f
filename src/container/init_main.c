/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Init: from the runtime's namespaces into the container. plan.h tells the protocol. The order of
 * what happens here is chosen so that nothing of the host's can be reached by a process of the
 * container: init is executed from a sealed memfd before any namespace is entered, cannot be
 * inspected (not dumpable) until it executes the program, and every descriptor is close-on-exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "container/init_internal.h"

const char *plan_text(const struct plan *plan, uint32_t at)
{
    return at ? (const char *)plan + at : "";
}

const void *plan_records(const struct plan *plan, struct plan_list list)
{
    return (const char *)plan + list.at;
}

static _Noreturn void quit(int code)
{
    for (;;)
        sys(exit_group, code);
}

/* --- messages --- */

void init_send(struct init *i, enum plan_message_type type, int value, const char *text, int fd)
{
    struct plan_message m;
    m.type = type;
    m.value = value;
    struct line l = {m.text, sizeof m.text, 0};
    m.text[0] = '\0';
    line_add(&l, text);
    struct iovec v = {&m, offsetof(struct plan_message, text) + l.len + 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    sys(sendmsg, i->sync, &msg, MSG_NOSIGNAL);
}

static void describe(struct line *l, long code, const char *what, const char *detail)
{
    line_add(l, what);
    if (detail) {
        line_add(l, " ");
        line_add(l, detail);
    }
    if (code < 0) {
        const char *reason = errno_text((int)-code);
        line_add(l, ": ");
        line_add(l, *reason ? reason : "errno ");
        if (!*reason)
            line_add_number(l, -code);
    }
}

void init_die_line(struct init *i, long code, const char *line)
{
    init_send(i, PLAN_ERROR, (int)code, line, -1);
    quit(1);
}

void init_die(struct init *i, long code, const char *what, const char *detail)
{
    char text[PLAN_TEXT_MAX];
    struct line l = {text, sizeof text, 0};
    describe(&l, code, what, detail);
    init_die_line(i, code, text);
}

void init_warn(struct init *i, long code, const char *what, const char *detail)
{
    char text[PLAN_TEXT_MAX];
    struct line l = {text, sizeof text, 0};
    describe(&l, code, what, detail);
    init_send(i, PLAN_WARNING, (int)code, text, -1);
}

/* What the runtime says next; ends when it is gone. Descriptors that come with it go to @fds. */
static unsigned receive(struct init *i, struct plan_message *m, int fds[PLAN_FDS_MAX])
{
    struct iovec v = {m, sizeof *m};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(PLAN_FDS_MAX * sizeof(int))];
    } control;
    struct msghdr msg = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    size_t count = 0;
    long n;
    do
        n = sys(recvmsg, i->sync, &msg, MSG_CMSG_CLOEXEC);
    while (n == -EINTR);
    if (n <= (long)offsetof(struct plan_message, text))
        quit(1);
    if (msg.msg_controllen >= sizeof(struct cmsghdr) && control.head.cmsg_type == SCM_RIGHTS) {
        count = (control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(&control.head), count * sizeof(int));
    }
    return (unsigned)count;
}

/* Waits for a message of @type; PLAN_CGROUPS may come before any other. */
static void wait_for(struct init *i, uint32_t type, int fds[2])
{
    int got[PLAN_FDS_MAX];
    struct plan_message m;
    for (;;) {
        unsigned count = receive(i, &m, got);
        if (m.type == PLAN_CGROUPS && !i->cgroups_known) {
            unsigned joins = (unsigned)m.value & ~(unsigned)PLAN_NO_MKNOD;
            joins = joins < count ? joins : count;
            i->no_mknod = m.value & PLAN_NO_MKNOD;
            memcpy(i->cgroups, got, count * sizeof(int));
            memcpy(i->cgroup_names, m.text, sizeof m.text);
            i->cgroup_count = joins;
            i->cgroup_trees = count - joins;
            i->cgroups_known = true;
        } else if (m.type != type) {
            quit(1);
        } else if (fds && count) {
            memcpy(fds, got, (count < 2 ? count : 2) * sizeof(int));
        }
        if (m.type == type)
            return;
    }
}

void init_wait_go(struct init *i, int fds[2])
{
    wait_for(i, PLAN_GO, fds);
}

/* --- stage 1 --- */

static void become_root(struct init *i)
{
    long r = sys(setresgid, 0, 0, 0);
    if (r == 0)
        r = sys(setresuid, 0, 0, 0);
    if (r < 0)
        init_die(i, r, "become root of the user namespace (are ids 0 mapped?)", NULL);
    /* EPERM: the kernel wants setgroups denied for a user who maps only itself. */
    sys(setgroups, 0, 0);
}

/* Namespaces that need the user namespace to be joined first get a second try. */
static void join(struct init *i)
{
    const struct plan_join *joins = plan_records(i->plan, i->plan->joins);
    uint32_t done = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t k = 0; k < i->plan->joins.n; k++) {
            if (done & 1u << k)
                continue;
            long r = sys(setns, joins[k].fd, joins[k].flags);
            if (r == 0) {
                done |= 1u << k;
                sys(close, joins[k].fd);
            } else if (r != -EPERM || pass == 1) {
                init_die(i, r, "join the namespaces that were asked for", NULL);
            }
        }
}

static void write_self(struct init *i, const char *path, uint32_t text, const char *what)
{
    const char *value = plan_text(i->plan, text);
    if (!text)
        return;
    long fd = sys(openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);
    long r = fd < 0 ? fd : sys(write, fd, value, strlen(value));
    if (fd >= 0)
        sys(close, fd);
    if (r >= 0)
        return;
    if (i->plan->flags & PLAN_BEST_EFFORT)
        init_warn(i, r, what, value);
    else
        init_die(i, r, what, value);
}

static void make_first_namespaces(struct init *i)
{
    const struct plan *plan = i->plan;
    if (plan->unshare_first & CLONE_NEWUSER) {
        long r = sys(unshare, CLONE_NEWUSER);
        if (r < 0)
            init_die(i, r,
                     r == -EPERM || r == -ENOSPC || r == -EUSERS
                         ? "make a user namespace (see sysctl user.max_user_namespaces and "
                           "kernel.unprivileged_userns_clone)"
                         : "make a user namespace",
                     NULL);
        init_send(i, PLAN_MAP, 0, "", -1);
        init_wait_go(i, NULL);
    }
    if (plan->unshare_first & CLONE_NEWUSER)
        become_root(i);
    join(i);
    if ((plan->flags & PLAN_USERNS) && !(plan->unshare_first & CLONE_NEWUSER))
        become_root(i);
    if (plan->unshare_first & CLONE_NEWTIME) {
        long r = sys(unshare, CLONE_NEWTIME);
        if (r < 0)
            init_die(i, r, "make a time namespace", NULL);
        write_self(i, "/proc/self/timens_offsets", plan->time_offsets,
                   "set the clocks of the time namespace to");
    }
}

static long clone_stage_2(struct init *i)
{
    struct clone_args args = {.flags = i->plan->unshare | CLONE_PARENT};
    if (i->plan->cgroup_clone >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)i->plan->cgroup_clone;
    }
    return sys(clone3, &args, sizeof args);
}

/* --- stage 2 --- */

/*
 * Where there is no stage 1, the runtime cloned into a pid namespace alone: it goes on with the
 * cgroups while the others are made here. A network namespace takes longer than all else.
 */
static void make_other_namespaces(struct init *i)
{
    long r = sys(unshare, i->plan->unshare & ~(uint32_t)CLONE_NEWPID);
    if (r < 0)
        init_die(i, r, "make the container's namespaces", NULL);
}

/* A new network has nothing but a loopback device that is down. */
static void loopback_up(struct init *i)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (!(i->plan->unshare & CLONE_NEWNET))
        return;
    long fd = sys(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    long r = fd < 0 ? fd : sys(ioctl, (int)fd, SIOCSIFFLAGS, &lo);
    if (fd >= 0)
        sys(close, (int)fd);
    /* A kernel without IPv4 has another loopback to offer, or none. */
    if (r == -EPERM)
        init_warn(i, r, "set the loopback device up (without CAP_NET_ADMIN it stays down)", NULL);
    else if (r < 0 && r != -EAFNOSUPPORT)
        init_die(i, r, "set the loopback device up", NULL);
}

void init_join_cgroups(struct init *i)
{
    if (i->cgroups_joined)
        return;
    if ((i->plan->flags & PLAN_LATE_CGROUPS) && !i->cgroups_known)
        wait_for(i, PLAN_CGROUPS, NULL);
    i->cgroups_joined = true;
    for (unsigned k = 0; k < i->cgroup_count; k++) {
        long r = sys(write, i->cgroups[k], "0", 1);
        if (r == -EINVAL)
            init_die(i, r,
                     "join the container's cgroup (a caller with real-time priority needs "
                     "cpu.rt_runtime_us there)",
                     NULL);
        if (r < 0)
            init_die(i, r, "join the container's cgroup", NULL);
        sys(close, i->cgroups[k]);
    }
    if (i->plan->flags & PLAN_CGROUP_NS) {
        long r = sys(unshare, CLONE_NEWCGROUP);
        if (r < 0)
            init_die(i, r, "make a cgroup namespace", NULL);
    }
}

static void reset_signals(void)
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } standard = {0};
    uint64_t none = 0;
    for (int n = 1; n <= 64; n++)
        if (n != SIGKILL && n != SIGSTOP)
            sys(rt_sigaction, n, &standard, 0, sizeof none);
    sys(rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
}

static void make_keyring(struct init *i)
{
    if (!(i->plan->flags & PLAN_KEYRING))
        return;
    long r = sys(keyctl, KEYCTL_JOIN_SESSION_KEYRING, plan_text(i->plan, i->plan->keyring));
    /* Without keys in the kernel (ENOSYS), or a full quota, there is nothing to keep apart. */
    if (r < 0 && r != -ENOSYS && r != -EDQUOT && r != -EPERM)
        init_die(i, r, "make a session keyring", NULL);
}

/* What setting up needed: the program's limit of descriptors leaves room for the start then. */
static void close_set_up(struct init *i)
{
    const int fds[] = {i->root, i->dev, i->proc, i->sys, i->pts, i->null, i->empty, i->console};
    for (unsigned k = 0; k < sizeof fds / sizeof fds[0]; k++)
        if (fds[k] >= 0)
            sys(close, fds[k]);
}

/*
 * Until the start. In the life of "create", the runtime ends and another one connects to the
 * listening socket; within "run" the word comes over @sync. What comes after goes to who started.
 */
static void wait_for_start(struct init *i)
{
    struct pollfd p[2] = {{.fd = i->sync, .events = POLLIN},
                          {.fd = i->plan->start, .events = POLLIN}};
    struct plan_message m;
    for (;;) {
        long n = sys(ppoll, p, 2, 0, 0, 0);
        if (n < 0 && n != -EINTR)
            quit(1);
        if (n <= 0)
            continue;
        if (p[1].fd >= 0 && (p[1].revents & POLLIN)) {
            long fd = sys(accept4, i->plan->start, 0, 0, SOCK_CLOEXEC);
            if (fd >= 0) {
                sys(close, i->sync);
                i->sync = (int)fd;
                return;
            }
            if (fd != -EINTR && fd != -EAGAIN && fd != -ECONNABORTED)
                quit(1);
        }
        if (p[0].fd >= 0 && (p[0].revents & POLLIN)) {
            long got = sys(recvfrom, i->sync, &m, sizeof m, 0, 0, 0);
            if (got > 0 && m.type == PLAN_START)
                return;
        }
        if (p[0].fd >= 0 && p[0].revents) {
            if (i->plan->start < 0)
                quit(1);
            p[0].fd = -1;
        }
    }
}

/*
 * From before anything of the container can see it. Only a runtime without privilege, that has to
 * open its namespaces at the barrier, needs it to stay open until then.
 */
static void hide(struct init *i)
{
    if (!(i->plan->flags & PLAN_BARRIER) || !(i->plan->flags & PLAN_UNPRIVILEGED))
        sys(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static _Noreturn void stage_2(struct init *i)
{
    const struct plan *plan = i->plan;
    if (plan->flags & PLAN_DIE_WITH_PARENT)
        sys(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    sys(setsid);
    loopback_up(i);
    /* A program starts within the group's limits; set-up needs none of them. Hooks look at it. */
    if (plan->flags & (PLAN_EXEC | PLAN_BARRIER))
        init_join_cgroups(i);
    if (plan->flags & (PLAN_BARRIER | PLAN_TELL_NETNS)) {
        /* Its network goes along: a runtime without root may not open what is not dumpable. */
        long net = sys(openat, AT_FDCWD, "/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        init_send(i, PLAN_NAMESPACES, 0, "", (int)net);
        if (net >= 0)
            sys(close, (int)net);
        if (plan->flags & PLAN_BARRIER)
            init_wait_go(i, i->state);
        sys(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    make_keyring(i);
    if (plan->flags & PLAN_MOUNT_NS) {
        rootfs_build(i);
        rootfs_enter(i);
    } else {
        i->root = (int)sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (i->root < 0)
            init_die(i, i->root, "open the container's root", NULL);
        if (plan->flags & PLAN_TERMINAL)
            terminal_open(i);
    }
    init_join_cgroups(i);
    reset_signals();
    process_prepare(i);
    close_set_up(i);
    if (!(plan->flags & PLAN_AT_ONCE)) {
        init_send(i, PLAN_READY, 0, "", -1);
        wait_for_start(i);
    }
    process_run(i);
}

static unsigned long number(const char *p)
{
    unsigned long n = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        n = n * 10 + (unsigned long)(*p - '0');
    return n;
}

/* @fd is the file that init was executed from. */
static const struct plan *map_plan(int fd, unsigned long from)
{
    struct statx st;
    if (sys(statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &st) < 0 || st.stx_size <= from)
        return NULL;
    long at = sys(mmap, 0, st.stx_size - from, PROT_READ, MAP_PRIVATE, fd, from);
    if (at < 0 && at > -4096)
        return NULL;
    const struct plan *plan = (const struct plan *)at;
    return plan->magic == PLAN_MAGIC && plan->size == st.stx_size - from ? plan : NULL;
}

/* Called by the entry with the stack as the kernel made it: argc, argv... The arguments are the
 * descriptor that has the plan and where it begins there. */
_Noreturn void init_main(long *stack);
_Noreturn void init_main(long *stack)
{
    char **argv = (char **)(stack + 1);
    if (stack[0] != 3)
        quit(2);
    struct init i = {.plan = map_plan((int)number(argv[1]), number(argv[2])),
                     .root = -1,
                     .dev = -1,
                     .proc = -1,
                     .sys = -1,
                     .pts = -1,
                     .null = -1,
                     .empty = -1,
                     .console = -1,
                     .state = {-1, -1}};
    if (!i.plan)
        quit(2);
    i.sync = i.plan->sync;
    i.cgroup_count = i.plan->cgroup_count;
    memcpy(i.cgroups, i.plan->cgroups, sizeof i.plan->cgroups);
    sys(close_range, 3 + i.plan->keep_fds, ~0U, CLOSE_RANGE_CLOEXEC);
    sys(prctl, PR_SET_NAME, "isola-init", 0, 0, 0);
    sys(umask, 0);
    write_self(&i, "/proc/self/oom_score_adj", i.plan->oom_score_adj, "set oom_score_adj to");
    if (i.plan->flags & PLAN_STAGE_2) {
        hide(&i);
        make_other_namespaces(&i);
        stage_2(&i);
    }
    make_first_namespaces(&i);
    hide(&i);
    long pid = clone_stage_2(&i);
    if (pid == 0)
        stage_2(&i);
    if (pid < 0)
        init_die(&i, pid,
                 i.plan->cgroup_clone >= 0 ? "clone into the container's cgroup"
                                           : "make the container's namespaces",
                 NULL);
    init_send(&i, PLAN_PID, (int)pid, "", -1);
    quit(0);
}

#if defined(__x86_64__)
__asm__(".text\n.globl _start\n.type _start, @function\n_start:\n"
        "xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall init_main\nhlt\n");
#else
__asm__(".text\n.globl _start\n.type _start, %function\n_start:\n"
        "mov x29, #0\nmov x0, sp\nbl init_main\nbrk #0\n");
#endif
