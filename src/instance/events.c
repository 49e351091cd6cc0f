/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event log: DATA/events.log, one JSON object per line, appended with one write each. At
 * EVENTS_MAX bytes it becomes events.log.1 and a new one begins. A line torn by a full disk or a
 * power cut is skipped by readers.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/crash.h"
#include "instance/home.h"
#include "instance/json.h"

enum { EVENTS_MAX = 4 << 20, EVENT_LINE_MAX = 16 << 10, EVENTS_POLL_MS = 1000 };

/* Under the lock of the log file: begins a new one when it is full. */
static void rotate(const char *path, int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    cleanup_free char *old = str_format("%s.1", path);
    struct stat mine, there;

    if (!old || fcntl(fd, F_OFD_SETLK, &lock) < 0)
        return; /* another process is at it */
    if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino)
        rename(path, old);
}

void event_append(const struct instances *home, const char *action, const struct instance *i,
                  int exit_code, const char *reason)
{
    cleanup_free char *path = str_format("%s/events.log", home->data), *text = NULL;
    struct str line = {0};
    struct stat st;
    json_t *o;

    cleanup_fd int fd =
        path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (fd < 0) {
        log_warn("instance", "write event: %s", strerror(errno));
        return;
    }
    o = json_pack("{s:I,s:s,s:s,s:o}", "time", (json_int_t)home_now(), "action", action, "id",
                  i->id, "name", json_text(i->name));
    if (exit_code >= 0)
        json_object_set_new(o, "exit_code", json_integer(exit_code));
    if (reason)
        json_object_set_new(o, "reason", json_text(reason));
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    str_add(&line, text ? text : "");
    str_add_char(&line, '\n');
    crash_point();
    if (!text || line.failed || write(fd, line.data, line.len) != (ssize_t)line.len)
        log_warn("instance", "write event %s of %s: %s", action, i->name, strerror(errno));
    crash_point();
    str_done(&line);
    if (fstat(fd, &st) == 0 && st.st_size > EVENTS_MAX)
        rotate(path, fd);
}

struct events_reader {
    const struct instance_event_query *query;
    bool (*event)(void *opaque, const struct instance_event *event);
    void *opaque;
    bool stop;
    char *buf; /* EVENT_LINE_MAX bytes */
    size_t len;
    bool skipping; /* the rest of a line that was too long */
};

static void one_line(struct events_reader *r, const char *line, size_t n)
{
    json_t *o = json_parse(line, n, NULL);
    const char *reason = NULL;
    struct instance_event e = {.exit_code = -1};
    json_int_t when = 0;

    if (o &&
        json_unpack(o, "{s:I,s:s,s:s,s:s,s?i,s?s}", "time", &when, "action", &e.action, "id", &e.id,
                    "name", &e.name, "exit_code", &e.exit_code, "reason", &reason) == 0) {
        e.time = when;
        e.reason = reason;
        if (r->query->until && e.time > r->query->until)
            r->stop = true;
        else if (e.time >= r->query->since && !r->event(r->opaque, &e))
            r->stop = true;
    }
    json_decref(o);
}

/* Reads what there is from @fd, line by line. */
static void read_lines(struct events_reader *r, int fd)
{
    while (!r->stop) {
        ssize_t n = read(fd, r->buf + r->len, EVENT_LINE_MAX - r->len);
        size_t start = 0;
        char *end;

        if (n <= 0)
            return;
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
        if (r->len == EVENT_LINE_MAX) {
            r->len = 0;
            r->skipping = true;
        }
    }
}

/* Waits for a change in the data directory, or until @until has passed. */
static void wait_for_more(struct events_reader *r, int watch)
{
    struct pollfd p = {.fd = watch, .events = POLLIN};
    int64_t left = EVENTS_POLL_MS;
    char drop[4096];

    if (r->query->until) {
        left = (r->query->until - home_now()) / 1000000 + 1;
        if (left <= 0) {
            r->stop = true;
            return;
        }
    }
    if (poll(&p, 1, (int)min_of(left, (int64_t)EVENTS_POLL_MS)) > 0)
        while (read(watch, drop, sizeof drop) > 0)
            ;
}

static int follow(struct events_reader *r, const char *path, int fd, const char *dir,
                  struct error *err)
{
    cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), now = fd;

    if (watch < 0 || inotify_add_watch(watch, dir, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
        return error_set_errno(err, -errno, "watch %s", dir);
    while (!r->stop) {
        struct stat mine, there;
        if (now >= 0)
            read_lines(r, now);
        if (r->stop)
            break;
        if (stat(path, &there) == 0 &&
            (now < 0 || (fstat(now, &mine) == 0 && mine.st_ino != there.st_ino))) {
            if (now >= 0) {
                read_lines(r, now); /* what came before the rename */
                close(now);
            }
            r->len = 0;
            now = open(path, O_RDONLY | O_CLOEXEC);
            continue;
        }
        wait_for_more(r, watch);
    }
    return 0;
}

int instance_events(struct instances *home, const struct instance_event_query *query,
                    bool (*event)(void *opaque, const struct instance_event *event), void *opaque,
                    struct error *err)
{
    cleanup_free char *path = str_format("%s/events.log", home->data),
                      *old = str_format("%s/events.log.1", home->data);
    cleanup_free char *buf = malloc(EVENT_LINE_MAX);
    struct events_reader r = {.query = query, .event = event, .opaque = opaque, .buf = buf};
    cleanup_fd int old_fd = -1, fd = -1;

    if (!path || !old || !buf)
        return error_set(err, -ENOMEM, "out of memory");
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    old_fd = open(old, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (old_fd >= 0)
        read_lines(&r, old_fd);
    r.len = 0;
    if (query->follow)
        return follow(&r, path, steal_fd(&fd), home->data, err);
    if (fd >= 0)
        read_lines(&r, fd);
    return 0;
}
