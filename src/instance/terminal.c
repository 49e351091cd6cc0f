/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal session on a stream. Signals are blocked and read from a descriptor, so that there is
 * one way out, which restores the terminal.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/home.h"
#include "instance/screen_view.h"
#include "instance/stream.h"

enum { KEYS_MAX = 16, INPUT_CHUNK = 4096 };

struct detach_keys {
    uint8_t keys[KEYS_MAX];
    size_t len;
};

struct session {
    struct instances *home;
    const char *ref;
    struct instance_stream *stream;
    const struct instance_terminal *t;
    struct screen_view *view; /* the machine's screen instead of its console; NULL: the console */
    struct instance_terminal_result *result;
    struct termios saved;
    bool raw, done, input_open;
    bool end_input; /* that the input ended is still to be told */
    int signals;
    unsigned asked;               /* signals passed on so far */
    struct detach_keys detach[2]; /* len 0: unused */
    uint8_t held[KEYS_MAX];       /* typed, and maybe the beginning of a detach sequence */
    size_t held_len;
    uint8_t out[INPUT_CHUNK + KEYS_MAX]; /* input on its way */
    size_t out_at, out_len;
};

/* "ctrl-p,ctrl-q" or single characters. */
static int parse_keys(const char *text, struct detach_keys *ret, struct error *err)
{
    struct detach_keys k = {0};

    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ",");
        uint8_t key = 0;
        bool ok = false;
        if (n == 1) {
            key = (uint8_t)*p;
            ok = isgraph(key);
        } else if (n == 6 && strncasecmp(p, "ctrl-", 5) == 0) {
            int c = toupper((unsigned char)p[5]);
            key = (uint8_t)(c & 0x1f);
            ok = c >= '@' && c <= '_';
        }
        if (!ok || k.len == KEYS_MAX)
            return error_set(err, -EINVAL,
                             "detach keys \"%.60s\": not a list like ctrl-p,ctrl-q (ctrl-@ to "
                             "ctrl-_, or single characters; at most %d)",
                             text, KEYS_MAX);
        k.keys[k.len++] = key;
        p += n;
        if (*p == ',' && !*++p)
            return error_set(err, -EINVAL, "detach keys \"%.60s\": ends in a comma", text);
    }
    *ret = k;
    return 0;
}

int instance_detach_keys_check(const char *keys, struct error *err)
{
    struct detach_keys k;

    return parse_keys(keys, &k, err);
}

void instance_terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows)
{
    struct winsize w = {0};

    if (ioctl(fd, TIOCGWINSZ, &w) < 0)
        w = (struct winsize){0};
    *ret_columns = w.ws_col;
    *ret_rows = w.ws_row;
}

static void set_raw(struct session *s, bool raw)
{
    struct termios t = s->saved;

    if (!s->raw)
        return;
    if (raw)
        cfmakeraw(&t);
    while (tcsetattr(s->t->input_fd, TCSADRAIN, &t) < 0 && errno == EINTR)
        ;
}

static void write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n && fd >= 0) {
        ssize_t done = write(fd, at, n);
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (done < 0 && errno == EAGAIN)
            poll(&p, 1, -1);
        else if (done < 0 && errno != EINTR)
            return; /* nobody reads: the session goes on for its exit code */
        if (done > 0) {
            at += done;
            n -= (size_t)done;
        }
    }
}

static void end_with(struct session *s, int code, const char *reason, size_t len)
{
    s->done = true;
    s->result->exit_code = code;
    len = min_of(len, sizeof s->result->reason - 1);
    memcpy(s->result->reason, reason, len);
    s->result->reason[len] = 0;
}

/* The supervisor went without a word: the record tells. */
static void lost(struct session *s)
{
    struct instance *i = NULL;
    const char *reason;

    if (instance_find(s->home, s->ref, &i, NULL) < 0) {
        end_with(s, INSTANCE_EXIT_OWN, "its supervisor is gone", 22);
        return;
    }
    if (lifecycle_supervised(i->state)) { /* its lock outlives its sockets for a moment */
        home_wait_unlocked(s->home, i->id, 1000);
        instance_free(steal_ptr(&i));
        if (instance_find(s->home, s->ref, &i, NULL) < 0)
            return end_with(s, INSTANCE_EXIT_OWN, "its supervisor is gone", 22);
    }
    reason = i->reason ? i->reason : "the connection to its supervisor broke";
    end_with(s, lifecycle_supervised(i->state) ? INSTANCE_EXIT_OWN : i->exit_code, reason,
             strlen(reason));
    instance_free(i);
}

static int from_stream(struct session *s, struct error *err)
{
    struct instance_stream_event e;
    char text[600];
    int n = stream_fill(s->stream), r;

    while (!s->done && (r = stream_poll(s->stream, &e, err))) {
        if (r < 0)
            return r;
        if (s->view && e.kind != INSTANCE_STREAM_EXIT)
            continue;
        switch (e.kind) {
        case INSTANCE_STREAM_DATA:
            write_all(s->t->output_fd, e.data, e.len);
            break;
        case INSTANCE_STREAM_ERRORS:
            write_all(s->t->error_fd, e.data, e.len);
            break;
        case INSTANCE_STREAM_NOTICE:
            snprintf(text, sizeof text, "isola: %.*s%s\n", (int)min_of(e.len, (size_t)500),
                     (const char *)e.data, s->raw ? "\r" : "");
            write_all(s->t->error_fd, text, strlen(text));
            break;
        case INSTANCE_STREAM_EXIT:
            end_with(s, e.exit_code, (const char *)e.data, e.len);
            break;
        case INSTANCE_STREAM_LOST:
            break;
        }
    }
    if (n < 0 && !s->done)
        lost(s);
    return 0;
}

/* Whether @held is the beginning of a detach sequence (1) or all of it (2). */
static int match(const struct session *s)
{
    int best = 0;

    for (size_t i = 0; i < array_size(s->detach); i++) {
        const struct detach_keys *k = &s->detach[i];
        if (k->len >= s->held_len && k->len && !memcmp(k->keys, s->held, s->held_len))
            best = max_of(best, k->len == s->held_len ? 2 : 1);
    }
    return best;
}

/* Takes typed bytes, looking for detach keys, into what is to be sent. */
static void type(struct session *s, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n && !s->done; i++) {
        s->held[s->held_len++] = bytes[i];
        for (;;) {
            int m = match(s);
            if (m == 2) {
                s->done = s->result->detached = true;
                return;
            }
            if (m == 1 || !s->held_len)
                break;
            s->out[s->out_len++] = s->held[0];
            memmove(s->held, s->held + 1, --s->held_len);
            if (!s->held_len)
                break;
        }
    }
}

static void from_input(struct session *s)
{
    uint8_t buf[INPUT_CHUNK];
    ssize_t n = read(s->t->input_fd, buf, sizeof buf);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        s->input_open = false;
        s->end_input = true;
        return;
    }
    s->out_at = s->out_len = 0;
    type(s, buf, (size_t)n);
}

/* To the machine's keyboard; without a terminal there is nothing to show it on either. */
static int send_keys(struct session *s)
{
    s->out_at += screen_view_type(s->view, s->out + s->out_at, s->out_len - s->out_at);
    if (s->end_input)
        s->done = s->result->detached = true;
    return 0;
}

static int send_input(struct session *s)
{
    if (s->view)
        return s->out_at < s->out_len || s->end_input ? send_keys(s) : 0;
    while (s->out_at < s->out_len) {
        int n = stream_try_write(s->stream, s->out + s->out_at, s->out_len - s->out_at);
        if (n < 0)
            return n;
        if (!n)
            return 0;
        s->out_at += (size_t)n;
    }
    if (s->end_input) {
        s->end_input = false;
        return instance_stream_end_input(s->stream, NULL);
    }
    return stream_try_write(s->stream, NULL, 0);
}

/* A signal that would end this process is passed on, or ends the session. */
static void ending_signal(struct session *s, int number)
{
    char text[64];
    int n;

    if (!s->t->proxy_signals || s->raw) {
        n = snprintf(text, sizeof text, "signal %d ended the session", number);
        end_with(s, 128 + number, text, (size_t)n);
        return;
    }
    if (s->t->exact_signals) {
        snprintf(text, sizeof text, "%d", number);
        if (instance_kill(s->home, s->ref, text, NULL) < 0 && s->asked++)
            end_with(s, 128 + number, "its supervisor does not answer", 30);
        return;
    }
    /* Once asks kindly (power button), twice insists. */
    if (s->asked++ || instance_kill(s->home, s->ref, "TERM", NULL) < 0)
        if (instance_kill(s->home, s->ref, "KILL", NULL) < 0 && s->asked > 2)
            end_with(s, 128 + number, "its supervisor does not answer", 30);
}

static void from_signals(struct session *s)
{
    struct signalfd_siginfo info;
    unsigned columns, rows;

    while (!s->done && read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        switch ((int)info.ssi_signo) {
        case SIGWINCH:
            if (s->view) {
                screen_view_resize(s->view);
                break;
            }
            instance_terminal_size(s->t->input_fd, &columns, &rows);
            if (columns && rows && instance_stream_resize(s->stream, columns, rows, NULL) < 0)
                return;
            break;
        case SIGTSTP:
            set_raw(s, false);
            raise(SIGSTOP);
            set_raw(s, true);
            break;
        case SIGCONT:
            set_raw(s, true);
            if (s->view)
                screen_view_resize(s->view);
            break;
        default:
            ending_signal(s, (int)info.ssi_signo);
        }
    }
}

static int run(struct session *s, struct error *err)
{
    while (!s->done) {
        int wait = s->view ? screen_view_turn(s->view) : -1;
        bool sending = s->out_at < s->out_len, ready;
        struct pollfd p[3] = {
            {.fd = instance_stream_fd(s->stream),
             .events = (short)(POLLIN | (sending && !s->view ? POLLOUT : 0))},
            {.fd = s->input_open && !sending ? s->t->input_fd : -1, .events = POLLIN},
            {.fd = s->signals, .events = POLLIN},
        };
        int r = poll(p, 3, wait);
        if (r < 0 && errno != EINTR)
            return error_set_errno(err, -errno, "wait for input");
        if (r < 0)
            continue;
        if (p[2].revents)
            from_signals(s);
        ready = p[0].revents & (POLLIN | POLLHUP | POLLERR);
        if (ready && !s->done) {
            r = from_stream(s, err);
            if (r < 0)
                return r;
        }
        if (p[1].revents && !s->done)
            from_input(s);
        if (!s->done && send_input(s) < 0 && !ready)
            continue; /* the stream says at its next reading what happened */
    }
    return 0;
}

static int open_signals(struct session *s, sigset_t *ret_old, struct error *err)
{
    static const int numbers[] = {SIGWINCH, SIGTSTP, SIGCONT, SIGINT, SIGTERM,
                                  SIGHUP,   SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < array_size(numbers); i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, ret_old) < 0)
        return error_set_errno(err, -errno, "block signals");
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals >= 0)
        return 0;
    error_set_errno(err, -errno, "watch signals");
    sigprocmask(SIG_SETMASK, ret_old, NULL);
    return err ? err->code : -EIO;
}

int instance_terminal_run(struct instances *home, const char *ref, struct instance_stream *stream,
                          const struct instance_terminal *terminal,
                          struct instance_terminal_result *ret, struct error *err)
{
    struct session *s = mem_new(struct session);
    unsigned columns, rows;
    sigset_t old;
    int r = 0;

    *ret = (struct instance_terminal_result){0};
    if (!s)
        return error_set(err, -ENOMEM, "out of memory");
    *s = (struct session){.home = home,
                          .ref = ref,
                          .stream = stream,
                          .t = terminal,
                          .result = ret,
                          .input_open = terminal->input_fd >= 0,
                          .signals = -1};
    if (terminal->tty) {
        r = parse_keys(terminal->detach_keys ? terminal->detach_keys : "ctrl-p,ctrl-q",
                       &s->detach[0], err);
        if (r == 0 && !terminal->detach_keys)
            r = parse_keys("ctrl-]", &s->detach[1], err);
    }
    if (r == 0)
        r = open_signals(s, &old, err);
    if (r < 0) {
        free(s);
        return r;
    }
    s->raw = terminal->tty && s->input_open && tcgetattr(terminal->input_fd, &s->saved) == 0;
    set_raw(s, true);
    if (terminal->screen) {
        s->view = screen_view_new(home, ref, terminal->output_fd, err);
        r = s->view ? 0 : err ? err->code : -ENOTSUP;
    } else if (s->raw) {
        instance_terminal_size(terminal->input_fd, &columns, &rows);
        if (columns && rows)
            r = instance_stream_resize(stream, columns, rows, err);
    }
    if (r == 0 || r == -EPIPE)
        r = run(s, err);
    screen_view_free(s->view);
    set_raw(s, false);
    if (ret->detached) {
        if (send_input(s) < 0) /* what was typed before the keys */
            r = 0;
        stream_detach(stream);
    }
    close(s->signals);
    sigprocmask(SIG_SETMASK, &old, NULL);
    free(s);
    return r;
}
