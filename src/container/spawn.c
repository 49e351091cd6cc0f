/* SPDX-License-Identifier: Apache-2.0 */
/* Starts init and talks with it (plan.h). */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"
#include "container/init_image.h"
#include "container/plan_build.h"

enum { SILENCE_MS = 500 };

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static int write_at(int fd, const void *data, size_t n, size_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(fd, (const char *)data + done, n - done, (off_t)(at + done));
        if (w < 0)
            return -errno;
        done += (size_t)w;
    }
    return 0;
}

/*
 * A sealed copy of init in memory: a process of the container that gets hold of it through
 * /proc/PID/exe holds nothing of the host's, and cannot change it (the class of CVE-2019-5736).
 * The plan lies behind it, from @plan_at.
 */
static __attribute__((noinline)) int init_file(const struct plan_builder *b, size_t plan_at,
                                               struct error *err)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    cleanup_fd int fd = memfd_create("isola-init", flags | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create("isola-init", flags);
    if (fd < 0)
        return error_set_errno(err, -errno, "make a memory file");
    int r = write_at(fd, init_image, init_image_size, 0);
    r = r < 0 ? r : write_at(fd, b->bytes.data, b->bytes.len, plan_at);
    if (r < 0)
        return error_set_errno(err, r, "write a memory file");
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return error_set_errno(err, -errno, "seal a memory file");
    return steal_fd(&fd);
}

/* In the vforked child: only what is named stays open over the execution. */
static _Noreturn void execute(int image, const int *fds, unsigned count, unsigned keep,
                              char *const argv[])
{
    static char *const env[] = {NULL};
    syscall(SYS_close_range, 3 + keep, ~0U, CLOSE_RANGE_CLOEXEC);
    for (unsigned i = 0; i < count; i++)
        if (fds[i] >= 0)
            fcntl(fds[i], F_SETFD, 0);
    syscall(SYS_execveat, image, "", argv, env, AT_EMPTY_PATH);
    _exit(errno & 0x7f);
}

/* Apart, so that no variable of the caller lives across vfork. */
static __attribute__((noinline)) pid_t spawn(int image, const int *fds, unsigned count,
                                             unsigned keep, char *const argv[])
{
    pid_t pid = vfork();
    if (pid == 0)
        execute(image, fds, count, keep, argv);
    return pid;
}

/*
 * As vfork, into a new pid namespace (and a cgroup). In line, as the child comes back on the
 * parent's stack: what a called function left there would be overwritten. -ENOSYS: not known how.
 */
static __attribute__((noinline)) pid_t spawn_into(uint64_t flags, int cgroup, int image,
                                                  const int *fds, unsigned count, unsigned keep,
                                                  char *const argv[])
{
#ifdef __x86_64__
    struct clone_args args = {
        .flags = flags | CLONE_VM | CLONE_VFORK,
        .exit_signal = SIGCHLD,
    };
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup;
    }
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(SYS_clone3), "D"(&args), "S"(sizeof args)
                     : "rcx", "r11", "memory");
    if (r == 0)
        execute(image, fds, count, keep, argv);
    return (pid_t)r;
#else
    return -ENOSYS;
#endif
}

/* Whether stage 1 would do nothing but clone. */
static bool needs_no_stage_1(const struct plan *plan)
{
#ifdef __x86_64__
    return !plan->unshare_first && !plan->joins.n && !(plan->flags & (PLAN_USERNS | PLAN_EXEC));
#else
    return false;
#endif
}

int init_spawn(struct plan_builder *b, const int *extra_fds, unsigned extra_count,
               struct init_events *e, int *ret_sync, struct error *err)
{
    int pair[2];
    int fds[array_size(b->fds) + 40];
    unsigned n = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set_errno(err, -errno, "make a socket pair");
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t plan_at = (init_image_size + page - 1) / page * page;
    cleanup_fd int ours = pair[0], theirs = pair[1];
    b->plan.sync = theirs;
    bool direct = needs_no_stage_1(&b->plan);
    b->plan.flags |= direct ? PLAN_STAGE_2 : 0;
    int r = plan_finish(b, err);
    cleanup_fd int image = r < 0 ? -1 : init_file(b, plan_at, err);
    if (r < 0 || image < 0)
        return r < 0 ? r : image;
    char number[16], offset[16];
    snprintf(number, sizeof number, "%d", image);
    snprintf(offset, sizeof offset, "%zu", plan_at);
    char *const argv[] = {(char *)"isola-init", number, offset, NULL};
    fds[n++] = theirs;
    fds[n++] = image;
    for (unsigned i = 0; i < b->fd_count; i++)
        fds[n++] = b->fds[i];
    for (unsigned i = 0; i < extra_count && n < array_size(fds); i++)
        fds[n++] = extra_fds[i];
    pid_t pid = direct ? spawn_into(b->plan.unshare & CLONE_NEWPID, b->plan.cgroup_clone, image,
                                    fds, n, b->plan.keep_fds, argv)
                       : spawn(image, fds, n, b->plan.keep_fds, argv);
    if (pid < 0 && direct)
        return error_set_errno(err, pid,
                               b->plan.cgroup_clone >= 0 ? "clone into the container's cgroup"
                                                         : "make the container's namespaces");
    if (pid < 0)
        return error_set_errno(err, -errno, "fork");
    *(direct ? &e->pid : &e->stage1) = pid;
    *ret_sync = steal_fd(&ours);
    return 0;
}

/* --- the conversation --- */

static int send_message(int sync, const struct plan_message *m, const int *fds, size_t count)
{
    struct iovec v = {(void *)m, offsetof(struct plan_message, text) + strlen(m->text) + 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(PLAN_FDS_MAX * sizeof(int))];
    } control = {0};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    if (count) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
    }
    return sendmsg(sync, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int send_to_init(int sync, enum plan_message_type type, const int fds[2])
{
    struct plan_message m = {.type = type};
    return send_message(sync, &m, fds, fds && fds[0] >= 0 ? 2 : 0);
}

int init_send_cgroups(int sync, const int *joins, size_t join_count, const int *trees,
                      size_t tree_count, const char *names, bool no_mknod, struct error *err)
{
    struct plan_message m = {.type = PLAN_CGROUPS,
                             .value = (int)join_count | (no_mknod ? PLAN_NO_MKNOD : 0)};
    int fds[PLAN_FDS_MAX];
    if (join_count + tree_count > PLAN_FDS_MAX || strlen(names) >= sizeof m.text)
        return error_set(err, -E2BIG, "more cgroup hierarchies than %d", PLAN_CGROUPS_MAX);
    memcpy(fds, joins, join_count * sizeof *fds);
    memcpy(fds + join_count, trees, tree_count * sizeof *fds);
    strcpy(m.text, names);
    int r = send_message(sync, &m, fds, join_count + tree_count);
    /* Gone already: what it said last tells why. */
    return r < 0 && r != -EPIPE && r != -ECONNRESET
               ? error_set_errno(err, r, "send the cgroups to the container's init")
               : 0;
}

/* 0 at end of file. A descriptor that came along goes to @ret_fd, else -1. */
static int receive(int sync, struct plan_message *m, int *ret_fd)
{
    struct iovec v = {m, sizeof *m};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr msg = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    /* An init that ended without hearing all we said resets; what it said comes after that. */
    int reset = 0;
    *ret_fd = -1;
    do
        n = recvmsg(sync, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset++)));
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    if (n == 0)
        return 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    m->text[sizeof m->text - 1] = '\0';
    return n < (ssize_t)offsetof(struct plan_message, text) ? -EPROTO : 1;
}

static void collect(pid_t pid)
{
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int at_barrier(int sync, struct init_events *e, struct error *err)
{
    int fds[2] = {-1, -1};
    int r = e->namespaces ? e->namespaces(e->opaque, e->pid, e->netns, fds, err) : 0;
    if (r == 0 && !e->goes_on) {
        r = send_to_init(sync, PLAN_GO, fds);
        if (r < 0)
            error_set_errno(err, r, "answer the container's init");
    }
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (e->netns >= 0)
        close(e->netns);
    e->netns = -1;
    return r;
}

static int handle(int sync, struct init_events *e, const struct plan_message *m, int fd,
                  struct error *err)
{
    int r = 0;
    switch ((enum plan_message_type)m->type) {
    case PLAN_MAP:
        r = e->map ? e->map(e->opaque, e->stage1, err) : -EPROTO;
        return r < 0 ? r : send_to_init(sync, PLAN_GO, NULL);
    case PLAN_PID:
        e->pid = m->value;
        /* What is to be kept of it is written while init goes on. */
        r = e->known ? e->known(e->opaque, e->pid, err) : 0;
        collect(e->stage1);
        e->stage1 = 0;
        return r;
    case PLAN_CONSOLE:
        e->console = fd;
        return 0;
    case PLAN_LISTENER:
        r = e->listener ? e->listener(e->opaque, e->pid, fd, err)
                        : error_set(err, -EPROTO, "nobody takes seccomp's notifications");
        return r < 0 ? r : send_to_init(sync, PLAN_GO, NULL);
    case PLAN_WARNING:
        if (e->warn)
            e->warn(e->opaque, m->text);
        return 0;
    case PLAN_ERROR:
        return error_set(err, m->value < 0 ? m->value : -EIO, "%s", m->text);
    case PLAN_NAMESPACES:
        e->netns = fd;
        return 0;
    case PLAN_READY:
        return 0;
    case PLAN_STARTING:
        if (e->at_once)
            return 0;
        break;
    case PLAN_GO:
    case PLAN_START:
    case PLAN_CGROUPS:
        break;
    }
    return error_set(err, -EPROTO, "the container's init said something unexpected");
}

/*
 * Nothing that is to be read wakes us, so that both go on undisturbed. From time to time all the
 * same: more warnings than the socket holds would have init wait.
 */
static void wait_for_end(int sync)
{
    struct pollfd p = {.fd = sync};
    poll(&p, 1, SILENCE_MS);
}

/* Stage 1's word about the pid and stage 2's first words may come in either order. */
static int converse(int sync, struct init_events *e, struct error *err)
{
    bool ready = false, waiting = false;
    struct plan_message m;
    int known = e->pid && e->known && !e->at_once ? e->known(e->opaque, e->pid, err) : 0;
    if (known < 0)
        return known;
    if (e->silent && e->pid)
        wait_for_end(sync);
    for (;;) {
        int fd = -1;
        int r = receive(sync, &m, &fd);
        if (r == 0)
            return error_set(err, -EIO,
                             "the container's init ended while it set up (killed, or "
                             "out of memory within its limits?)");
        if (r < 0)
            return error_set_errno(err, r, "hear from the container's init");
        waiting |= m.type == PLAN_NAMESPACES;
        ready |= m.type == PLAN_READY || m.type == PLAN_STARTING;
        r = handle(sync, e, &m, fd, err);
        if (fd >= 0 && fd != e->console && fd != e->netns)
            close(fd);
        if (r < 0)
            return r;
        if (waiting && e->pid) {
            waiting = false;
            r = at_barrier(sync, e, err);
            if (r < 0)
                return r;
        }
        if (ready && e->pid)
            return 0;
    }
}

void init_abort(int sync, struct init_events *e)
{
    /* Who waits for an answer ends; who was cloned but not announced yet becomes known. */
    struct plan_message m;
    int fd;
    shutdown(sync, SHUT_WR);
    while (e->pid <= 0 && receive(sync, &m, &fd) > 0) {
        if (fd >= 0)
            close(fd);
        if (m.type == PLAN_PID)
            e->pid = m.value;
    }
    if (e->pid > 0)
        kill(e->pid, SIGKILL);
    collect(e->stage1);
    collect(e->pid);
    if (e->console >= 0)
        close(steal_fd(&e->console));
}

int init_converse(int sync, struct init_events *e, struct error *err)
{
    e->console = e->netns = -1;
    int r = converse(sync, e, err);
    if (e->netns >= 0)
        close(steal_fd(&e->netns));
    if (r < 0)
        init_abort(sync, e);
    return r;
}

int init_start(int sync, enum init_waits init, struct error *err)
{
    cleanup_fd int fd = sync;
    bool starting = init == INIT_STARTING;
    struct plan_message m;
    int r = init == INIT_WAITS ? send_to_init(fd, PLAN_START, NULL) : 0;
    if (r < 0)
        return error_set_errno(err, r, "start: the container's init is gone");
    for (;;) {
        int got = -1;
        r = receive(fd, &m, &got);
        if (got >= 0)
            close(got);
        if (r == 0 && starting)
            return 0; /* closed by the execution of the program */
        if (r == 0)
            return error_set(err, -ESRCH, "start: the container's init ended before its program");
        if (r < 0)
            return error_set_errno(err, r, "hear from the container's init");
        if (m.type == PLAN_STARTING)
            starting = true;
        else if (m.type == PLAN_ERROR)
            return error_set(err, m.value < 0 ? m.value : -EIO, "%s", m.text);
    }
}

int console_send(int socket, int master, struct error *err)
{
    char name[] = "/dev/ptmx";
    struct iovec v = {name, sizeof name - 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr msg = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.head), &master, sizeof master);
    if (sendmsg(socket, &msg, MSG_NOSIGNAL) < 0)
        return error_set_errno(err, -errno, "send the terminal over the console socket");
    return 0;
}
