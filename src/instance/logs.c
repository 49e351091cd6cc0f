/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading console logs: straight from the files, so that a reader costs the supervisor nothing and
 * works when there is none. Following ends when nobody holds the instance's lock any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/home.h"
#include "instance/log_file.h"

/* The longest line: all escaped as six bytes, and its envelope. */
enum { LINE_BUFFER = LOG_LINE_MAX * 6 + 256, LOG_FILES_MAX = 100 };

struct reader {
    const struct instance_log_query *query;
    bool (*line)(void *opaque, const struct instance_log_line *line);
    void *opaque;
    char *path;
    uint64_t skip; /* lines of the tail's other side */
    bool stop, skipping;
    char *buf; /* LINE_BUFFER bytes */
    size_t len;
};

static void one_line(struct reader *r, const char *line, size_t n)
{
    struct instance_log_line out = {0};
    enum log_stream stream;
    struct str text = {0};

    if (r->skip) {
        r->skip--;
        return;
    }
    if (log_line_parse(line, n, &out.time, &stream, &text) == 0 && out.time >= r->query->since) {
        out.stream = log_stream_name(stream);
        out.text = str_text(&text);
        out.len = text.len;
        if (r->query->until && out.time > r->query->until)
            r->stop = true;
        else
            r->stop = !r->line(r->opaque, &out);
    }
    str_done(&text);
}

/* Hands on the lines that @fd still has; a last incomplete one waits in the buffer. */
static void read_lines(struct reader *r, int fd)
{
    ssize_t n;

    while (!r->stop && (n = read(fd, r->buf + r->len, LINE_BUFFER - r->len)) > 0) {
        size_t start = 0;
        char *end;
        r->len += (size_t)n;
        while (!r->stop && (end = memchr(r->buf + start, '\n', r->len - start))) {
            size_t line = (size_t)(end - r->buf) - start;
            if (!r->skipping)
                one_line(r, r->buf + start, line);
            r->skipping = false;
            start += line + 1;
        }
        memmove(r->buf, r->buf + start, r->len - start);
        r->len -= start;
        if (r->len == LINE_BUFFER) { /* not ours: no line is that long */
            r->len = 0;
            r->skipping = true;
        }
    }
}

static int open_file(const struct reader *r, unsigned number)
{
    cleanup_free char *path = number ? str_format("%s.%u", r->path, number) : strdup(r->path);

    return path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

static uint64_t count_lines(int fd)
{
    uint64_t lines = 0;
    char buf[16384];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) > 0)
        for (char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
            lines++;
    return lines;
}

/* How many lines come before the last @tail ones. */
static uint64_t lines_before(const struct reader *r, uint64_t tail)
{
    uint64_t total = 0;

    for (unsigned i = 0; i <= LOG_FILES_MAX; i++) {
        cleanup_fd int fd = open_file(r, i);
        if (fd >= 0)
            total += count_lines(fd);
    }
    return total > tail ? total - tail : 0;
}

static int follow(struct reader *r, const struct instances *home, const char *id, int fd,
                  struct error *err)
{
    cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), now = fd;
    cleanup_free char *dir = home_path(home, id, NULL);
    int wait_ms = 500;
    char drop[4096];

    if (!dir || watch < 0 ||
        inotify_add_watch(watch, dir, IN_MODIFY | IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM) < 0)
        return error_set_errno(err, dir ? -errno : -ENOMEM, "watch its log");
    while (!r->stop) {
        struct pollfd p = {.fd = watch, .events = POLLIN};
        bool alive = home_locked(home, id); /* first: what is written before the end is read */
        struct stat mine, there;
        if (now >= 0)
            read_lines(r, now);
        if (stat(r->path, &there) == 0 &&
            (now < 0 || (fstat(now, &mine) == 0 && mine.st_ino != there.st_ino))) {
            if (now >= 0) {
                read_lines(r, now); /* what came before the rotation */
                close(now);
            }
            r->len = 0;
            now = open_file(r, 0);
            continue;
        }
        if (!alive || (r->query->until && home_now() > r->query->until))
            break;
        /* A lock is released a moment after the file that holds it is closed: look soon again. */
        if (poll(&p, 1, wait_ms) > 0) {
            while (read(watch, drop, sizeof drop) > 0)
                ;
            wait_ms = 20;
        } else {
            wait_ms = 500;
        }
    }
    return 0;
}

static int read_all(struct reader *r, const struct instances *home, const struct instance *i,
                    struct error *err)
{
    cleanup_fd int fd = -1;

    if (r->query->tail >= 0)
        r->skip = lines_before(r, (uint64_t)r->query->tail);
    /* Open the newest first: a rotation meanwhile shows a line twice rather than never. */
    fd = open_file(r, 0);
    for (unsigned n = LOG_FILES_MAX; n >= 1 && !r->stop; n--) {
        cleanup_fd int old = open_file(r, n);
        if (old >= 0)
            read_lines(r, old);
        r->len = 0;
    }
    if (r->query->follow)
        return follow(r, home, i->id, steal_fd(&fd), err);
    if (fd >= 0)
        read_lines(r, fd);
    return 0;
}

int instance_logs(struct instances *home, const char *ref, const struct instance_log_query *query,
                  bool (*line)(void *opaque, const struct instance_log_line *line), void *opaque,
                  struct error *err)
{
    struct reader r = {.query = query, .line = line, .opaque = opaque};
    struct instance *i = NULL;
    int result = instance_find(home, ref, &i, err);

    if (result < 0)
        return result;
    r.path = home_path(home, i->id, "console.log");
    r.buf = malloc(LINE_BUFFER);
    result =
        r.path && r.buf ? read_all(&r, home, i, err) : error_set(err, -ENOMEM, "out of memory");
    free(r.path);
    free(r.buf);
    instance_free(i);
    return result;
}
