/* SPDX-License-Identifier: Apache-2.0 */
/* Processes and their streams. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "guest/agent.h"

struct process *process_find(struct agent *a, uint16_t id)
{
    for (size_t i = 0; i < AGENT_PROCESSES; i++)
        if (id && a->processes[i].id == id)
            return &a->processes[i];
    return NULL;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(steal_fd(fd));
}

static void forget(struct process *p)
{
    close_end(&p->in);
    close_end(&p->out[0]);
    close_end(&p->out[1]);
    free(p->input);
    *p = (struct process){.in = -1, .out = {-1, -1}};
}

static void refuse(struct agent *a, uint16_t id, int code, const struct error *err)
{
    uint8_t buf[4 + ERROR_TEXT_MAX];
    size_t n = strlen(error_text(err));

    store_le32(buf, (uint32_t)code);
    memcpy(buf + 4, error_text(err), n);
    agent_send(a, id, AGENT_REFUSED, buf, 4 + n);
}

/* ---- how it begins ---- */

static int make_terminal(struct process *p, struct spawn *s, struct error *err)
{
    struct winsize size = {.ws_col = (unsigned short)settings_number(s->settings, "columns"),
                           .ws_row = (unsigned short)settings_number(s->settings, "rows")};
    int slave, zero = 0;

    p->out[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (p->out[0] < 0 || ioctl(p->out[0], TIOCSPTLCK, &zero) < 0)
        return error_set_errno(err, -errno, "open a terminal");
    slave = ioctl(p->out[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return error_set_errno(err, -errno, "open a terminal");
    if (size.ws_col)
        ioctl(slave, TIOCSWINSZ, &size);
    for (int i = 0; i < 3; i++)
        s->stdio[i] = slave;
    return 0;
}

/* A pipe whose end @ours does not block. */
static int make_pipe(int fds[2], int ours, struct error *err)
{
    if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[ours], F_SETFL, O_NONBLOCK) < 0)
        return error_set_errno(err, -errno, "make a pipe");
    return 0;
}

static int make_pipes(struct process *p, struct spawn *s, struct error *err)
{
    int fds[2];

    if (settings_number(s->settings, "input")) {
        if (make_pipe(fds, 1, err) < 0)
            return err->code;
        s->stdio[0] = fds[0];
        p->in = fds[1];
    } else {
        s->stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (s->stdio[0] < 0)
            return error_set_errno(err, -errno, "open /dev/null");
    }
    for (int i = 0; i < 2; i++) {
        if (make_pipe(fds, 0, err) < 0)
            return err->code;
        p->out[i] = fds[0];
        s->stdio[1 + i] = fds[1];
    }
    return 0;
}

static void close_stdio(struct spawn *s)
{
    for (int i = 0; i < 3; i++)
        if (i == 0 || s->stdio[i] != s->stdio[0])
            close_end(&s->stdio[i]);
}

static int begin(struct agent *a, struct process *p, struct spawn *s, int *ret_code,
                 struct error *err)
{
    int r;

    p->input = mem_alloc(1, AGENT_WINDOW);
    if (!p->input)
        return error_set(err, -ENOMEM, "out of memory");
    r = p->tty ? make_terminal(p, s, err) : make_pipes(p, s, err);
    if (r < 0)
        return r;
    /* The first child from here on is PID 1 of a namespace that all others join. */
    if (a->is_init && !a->isolated) {
        if (unshare(CLONE_NEWPID) < 0)
            return error_set_errno(err, -errno, "make a namespace for processes");
        a->isolated = s->mount_proc = true;
    }
    s->init = settings_number(s->settings, "init");
    p->pid = spawn(s, ret_code, err);
    return p->pid < 0 ? p->pid : 0;
}

void process_run(struct agent *a, uint16_t id, const struct settings *settings)
{
    struct spawn s = {.settings = settings, .stdio = {-1, -1, -1}};
    struct process *p = NULL;
    struct error err = {0};
    int code = AGENT_EXIT_OWN;

    for (size_t i = 0; i < AGENT_PROCESSES && !p; i++)
        if (!a->processes[i].id)
            p = &a->processes[i];
    if (!p) {
        error_set(&err, -EAGAIN, "more than %d processes at once", AGENT_PROCESSES);
        refuse(a, id, code, &err);
        return;
    }
    *p = (struct process){.id = id, .main = id == AGENT_MAIN, .in = -1, .out = {-1, -1}};
    p->tty = s.tty = settings_number(settings, "tty");
    p->window[0] = p->window[1] = AGENT_WINDOW;
    if (begin(a, p, &s, &code, &err) < 0) {
        refuse(a, id, code, &err);
        a->over |= p->main;
        forget(p);
    }
    close_stdio(&s);
}

/* ---- what the host says ---- */

void process_input(struct process *p, const uint8_t *data, size_t len)
{
    if (p->input_at) {
        memmove(p->input, p->input + p->input_at, p->input_len - p->input_at);
        p->input_len -= p->input_at;
        p->input_at = 0;
    }
    len = min_of(len, AGENT_WINDOW - p->input_len); /* the host keeps to the window */
    memcpy(p->input + p->input_len, data, len);
    p->input_len += len;
}

void process_input_end(struct process *p)
{
    p->input_ended = true;
}

void process_resize(struct process *p, unsigned columns, unsigned rows)
{
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};

    if (p->tty && p->out[0] >= 0)
        ioctl(p->out[0], TIOCSWINSZ, &size);
}

void process_signal(struct process *p, int number)
{
    if (p->pid > 0 && !p->exited)
        kill(p->pid, number);
}

void process_credit(struct process *p, unsigned stream, size_t bytes)
{
    if (stream != AGENT_STDOUT && stream != AGENT_STDERR)
        return;
    p->window[stream - 1] = min_of(p->window[stream - 1] + bytes, (size_t)AGENT_WINDOW);
}

void process_reap(struct agent *a)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < AGENT_PROCESSES; i++) {
            struct process *p = &a->processes[i];
            if (p->pid != pid)
                continue;
            p->exited = true;
            p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
}

/* ---- streams ---- */

static int input_fd(const struct process *p)
{
    return p->tty ? p->out[0] : p->in;
}

static bool may_send(const struct agent *a)
{
    return a->out_len - a->out_at <= OUT_MARK;
}

size_t process_poll(const struct agent *a, const struct process *p, struct pollfd *fds)
{
    size_t n = 0;

    if (!p->id)
        return 0;
    if (input_fd(p) >= 0 && p->input_at < p->input_len)
        fds[n++] = (struct pollfd){.fd = input_fd(p), .events = POLLOUT};
    for (int i = 0; i < 2; i++)
        if (p->out[i] >= 0 && p->window[i] && may_send(a))
            fds[n++] = (struct pollfd){.fd = p->out[i], .events = POLLIN};
    return n;
}

static void push_input(struct agent *a, struct process *p)
{
    uint8_t credit[8];

    while (p->input_at < p->input_len) {
        ssize_t n = input_fd(p) < 0
                        ? -1
                        : write(input_fd(p), p->input + p->input_at, p->input_len - p->input_at);
        if (n < 0 && input_fd(p) >= 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) { /* nobody reads it any more: it is taken and lost, as by a closed pipe */
            n = (ssize_t)(p->input_len - p->input_at);
            close_end(&p->in);
        }
        p->input_at += (size_t)n;
        p->taken += (uint32_t)n;
    }
    if (p->taken >= AGENT_CREDIT_MIN) {
        store_le32(credit, AGENT_STDIN);
        store_le32(credit + 4, p->taken);
        agent_send(a, p->id, AGENT_CREDIT, credit, sizeof credit);
        p->taken = 0;
    }
    if (p->input_ended && p->input_at == p->input_len)
        close_end(&p->in); /* a terminal stays: its end is a character that was typed */
}

/*
 * Takes output in. Once the process has ended, what is there now is all that there is: a child of
 * its that lives on and keeps the other end open does not keep the end from being told.
 */
static void pull(struct agent *a, struct process *p, int i)
{
    bool drained = false;

    while (p->out[i] >= 0 && p->window[i] && may_send(a) && !drained) {
        size_t room = min_of(p->window[i], (size_t)AGENT_DATA_MAX);
        ssize_t n = read(p->out[i], agent_space(a), room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            drained = true;
            if (p->exited)
                close_end(&p->out[i]);
        } else if (n <= 0) { /* a terminal says EIO when nobody has it open */
            close_end(&p->out[i]);
        } else {
            agent_put(a, p->id, i ? AGENT_ERRORS : AGENT_OUTPUT, (size_t)n);
            p->window[i] -= (size_t)n;
        }
    }
}

void process_turn(struct agent *a, struct process *p)
{
    uint8_t code[4];

    push_input(a, p);
    pull(a, p, 0);
    pull(a, p, 1);
    if (!p->exited || p->out[0] >= 0 || p->out[1] >= 0 || !may_send(a))
        return;
    if (p->main && a->is_init && !a->scratch)
        setup_sync();
    store_le32(code, (uint32_t)p->code);
    agent_send(a, p->id, AGENT_EXIT, code, sizeof code);
    a->over |= p->main;
    forget(p);
}
