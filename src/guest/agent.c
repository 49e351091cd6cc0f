/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: PID 1 of a machine that is made from an image. It sets the machine up as the host
 * says, runs processes for the host and passes on their streams (docs/agent-protocol.md). One
 * thread, one poll.
 *
 * Nothing is unbounded: the host keeps to the window of each input, the agent to those of the
 * outputs, and while many frames wait to go out no new ones are made: processes are not read from,
 * and the host neither.
 *
 * For tests `isola-agent FD` serves a connected socket on a host, without setting anything up.
 */
#include "guest/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Frames that answer one frame of the host take less than this. */
enum { OUT_RESERVE = 8 << 10 };

/* ---- settings ---- */

const char *settings_next(const struct settings *s, const char *key, const char **at)
{
    size_t n = strlen(key);
    const char *p = *at ? *at + strlen(*at) + 1 : s->text;

    for (; p < s->text + s->len; p += strlen(p) + 1)
        if (strncmp(p, key, n) == 0 && p[n] == '=') {
            *at = p;
            return p + n + 1;
        }
    return NULL;
}

const char *settings_get(const struct settings *s, const char *key)
{
    const char *at = NULL;

    return settings_next(s, key, &at);
}

unsigned long settings_number(const struct settings *s, const char *key)
{
    const char *value = settings_get(s, key);

    return value ? strtoul(value, NULL, 10) : 0;
}

size_t settings_count(const struct settings *s, const char *key)
{
    const char *at = NULL;
    size_t n = 0;

    while (settings_next(s, key, &at))
        n++;
    return n;
}

/* ---- frames out ---- */

static size_t out_room(const struct agent *a)
{
    return OUT_SIZE - a->out_len;
}

static void compact(struct agent *a)
{
    memmove(a->out, a->out + a->out_at, a->out_len - a->out_at);
    a->out_len -= a->out_at;
    a->out_at = 0;
}

uint8_t *agent_space(struct agent *a)
{
    if (out_room(a) < AGENT_HEADER + AGENT_DATA_MAX)
        compact(a);
    return a->out + a->out_len + AGENT_HEADER;
}

void agent_put(struct agent *a, uint16_t process, enum agent_frame type, size_t len)
{
    uint8_t *header = a->out + a->out_len;

    store_le32(header, (uint32_t)len);
    store_le16(header + 4, process);
    header[6] = (uint8_t)type;
    header[7] = 0;
    a->out_len += AGENT_HEADER + len;
}

void agent_send(struct agent *a, uint16_t process, enum agent_frame type, const void *data,
                size_t len)
{
    memcpy(agent_space(a), data, min_of(len, (size_t)AGENT_DATA_MAX));
    agent_put(a, process, type, min_of(len, (size_t)AGENT_DATA_MAX));
}

/* Sends what the port takes now. -EPIPE: the host is gone. */
static int flush(struct agent *a)
{
    while (a->out_at < a->out_len) {
        ssize_t n = write(a->port, a->out + a->out_at, a->out_len - a->out_at);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            return -EPIPE;
        a->out_at += (size_t)n;
    }
    a->out_at = a->out_len = 0;
    return 0;
}

/* ---- frames in ---- */

static void set_up(struct agent *a, const struct settings *s)
{
    struct error err = {0};

    if (a->is_set_up)
        return;
    a->scratch = settings_number(s, "scratch");
    if (a->is_init && setup_machine(a, s, &err) < 0) {
        agent_send(a, AGENT_NOBODY, AGENT_FAILED, err.text, strlen(err.text));
        a->over = true;
        return;
    }
    a->is_set_up = true;
    agent_send(a, AGENT_NOBODY, AGENT_READY, NULL, 0);
}

/* The clock goes on from where the machine was stopped; the host knows what time it is. */
static void set_time(uint64_t ns)
{
    const struct timespec now = {.tv_sec = (time_t)(ns / 1000000000),
                                 .tv_nsec = (long)(ns % 1000000000)};

    if (clock_settime(CLOCK_REALTIME, &now) < 0)
        dprintf(STDERR_FILENO, "isola: set the clock: %s\n", strerror(errno));
}

static void handle(struct agent *a, uint16_t id, uint8_t type, const uint8_t *data, size_t len)
{
    struct process *p = process_find(a, id);
    struct settings s = {(const char *)data, len};
    bool is_settings = len == 0 || data[len - 1] == 0;

    switch (type) {
    case AGENT_SETUP:
        if (is_settings)
            set_up(a, &s);
        return;
    case AGENT_RUN:
        if (is_settings && a->is_set_up && !p && id)
            process_run(a, id, &s);
        return;
    case AGENT_TIME:
        if (len == 8)
            set_time(load_le32(data) | (uint64_t)load_le32(data + 4) << 32);
        return;
    }
    if (!p) /* it has ended meanwhile */
        return;
    switch (type) {
    case AGENT_INPUT:
        process_input(p, data, len);
        break;
    case AGENT_END:
        process_input_end(p);
        break;
    case AGENT_RESIZE:
        if (len == 8)
            process_resize(p, load_le32(data), load_le32(data + 4));
        break;
    case AGENT_SIGNAL:
        if (len == 4)
            process_signal(p, (int)load_le32(data));
        break;
    case AGENT_CREDIT:
        if (len == 8)
            process_credit(p, load_le32(data), load_le32(data + 4));
        break;
    }
}

static bool out_is_full(const struct agent *a)
{
    return a->out_len - a->out_at > OUT_MARK;
}

/* Handles the frames that are there, as far as their answers have room. */
static void take_frames(struct agent *a)
{
    size_t at = 0;

    while (a->in_len - at >= AGENT_HEADER && !out_is_full(a)) {
        const uint8_t *header = a->in + at;
        size_t len = load_le32(header);
        if (len > AGENT_REQUEST_MAX || a->in_len - at < AGENT_HEADER + len)
            break;
        handle(a, load_le16(header + 4), header[6], header + AGENT_HEADER, len);
        at += AGENT_HEADER + len;
    }
    memmove(a->in, a->in + at, a->in_len - at);
    a->in_len -= at;
}

/* False when the host is gone. */
static bool receive(struct agent *a)
{
    ssize_t n = read(a->port, a->in + a->in_len, sizeof a->in - a->in_len);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    a->in_len += (size_t)n;
    return n > 0;
}

/* ---- the loop ---- */

static bool turn(struct agent *a)
{
    struct pollfd fds[2 + 3 * AGENT_PROCESSES];
    nfds_t n = 2;

    fds[0] = (struct pollfd){.fd = a->port, .events = 0};
    if (!out_is_full(a) && a->in_len < sizeof a->in)
        fds[0].events |= POLLIN;
    if (a->out_len > a->out_at)
        fds[0].events |= POLLOUT;
    fds[1] = (struct pollfd){.fd = a->signals, .events = POLLIN};
    for (size_t i = 0; i < AGENT_PROCESSES; i++)
        n += process_poll(a, &a->processes[i], fds + n);
    if (poll(fds, n, -1) < 0)
        return errno == EINTR;
    if (fds[1].revents) {
        struct signalfd_siginfo info;
        while (read(a->signals, &info, sizeof info) == (ssize_t)sizeof info)
            ;
        process_reap(a);
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && !receive(a))
        return false;
    take_frames(a);
    for (size_t i = 0; i < AGENT_PROCESSES; i++)
        if (a->processes[i].id)
            process_turn(a, &a->processes[i]);
    return flush(a) == 0;
}

static int serve(struct agent *a)
{
    sigset_t set;
    uint8_t version[4];

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (a->signals < 0)
        return 1;
    store_le32(version, AGENT_VERSION);
    agent_send(a, AGENT_NOBODY, AGENT_HELLO, version, sizeof version);
    if (flush(a) < 0)
        return 1;
    while (!a->over || a->out_len > a->out_at)
        if (!turn(a))
            return 1;
    return 0;
}

static struct agent agent;

int main(int argc, char **argv)
{
    struct error err = {0};

    agent.is_init = getpid() == 1;
    if (!agent.is_init) {
        if (argc != 2) {
            fprintf(stderr, "isola-agent: it is PID 1 of machines made from images; see "
                            "isola run --vm\n");
            return 2;
        }
        agent.port = atoi(argv[1]);
        fcntl(agent.port, F_SETFL, O_NONBLOCK);
        fcntl(agent.port, F_SETFD, FD_CLOEXEC);
        return serve(&agent);
    }
    if (setup_early(&err) == 0) {
        agent.port = setup_port(&err);
        if (agent.port >= 0)
            serve(&agent);
    }
    if (err.code) /* to the kernel's console: there is nobody else */
        fprintf(stderr, "isola-agent: %s\n", error_text(&err));
    setup_sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}
