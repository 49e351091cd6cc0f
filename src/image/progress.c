/* SPDX-License-Identifier: Apache-2.0 */
#include "image/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { NAME_SHOWN = 12, REDRAW_MS = 100, BAR_MAX = 40 };

struct item {
    char name[NAME_SHOWN + 1];
    enum progress_phase phase;
    uint64_t bytes, total;
};

struct progress {
    enum progress_mode mode;
    const char *verb;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    pthread_t thread; /* redraws bars */
    bool running, stop, dirty;
    struct item *items;
    size_t count, room;
    unsigned drawn; /* lines that the next drawing goes up by */
};

int progress_parse_mode(const char *text, enum progress_mode *ret, struct error *err)
{
    const char *term = getenv("TERM");

    if (strcmp(text, "auto") == 0)
        *ret = isatty(2) && term && strcmp(term, "dumb") != 0 ? PROGRESS_BARS : PROGRESS_PLAIN;
    else if (strcmp(text, "plain") == 0)
        *ret = PROGRESS_PLAIN;
    else if (strcmp(text, "none") == 0)
        *ret = PROGRESS_NONE;
    else
        return error_set(err, -EINVAL, "--progress is auto, plain or none");
    return 0;
}

/* --- drawing, with the lock held --- */

static void add_size(struct str *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 999.5 && u + 1 < array_size(units)) {
        v /= 1000;
        u++;
    }
    str_addf(out, v < 9.95 && u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static const char *phase_text(const struct progress *p, const struct item *i)
{
    switch (i->phase) {
    case PROGRESS_WAITING:
        return "waiting";
    case PROGRESS_MOVING:
        return p->verb;
    case PROGRESS_UNPACKING:
        return "unpacking";
    case PROGRESS_DONE:
        return "done";
    case PROGRESS_PRESENT:
        return "already there";
    }
    return "";
}

static void draw_item(const struct progress *p, const struct item *i, unsigned columns,
                      struct str *out)
{
    struct str sizes = {0};
    unsigned fixed, bar, full;

    str_addf(out, "\r\033[K%-12s %-13s", i->name, phase_text(p, i));
    if (i->phase == PROGRESS_MOVING) {
        add_size(&sizes, i->bytes);
        str_add(&sizes, " / ");
    }
    add_size(&sizes, i->total);
    fixed = NAME_SHOWN + 1 + 13 + 4 + 20;
    if (i->phase == PROGRESS_MOVING && columns > fixed + 8) {
        bar = min_of(columns - fixed, (unsigned)BAR_MAX);
        full = i->total
                   ? (unsigned)((double)bar * (double)min_of(i->bytes, i->total) / (double)i->total)
                   : bar;
        str_add(out, " [");
        for (unsigned k = 0; k < bar; k++)
            str_add_char(out, k < full ? '=' : k == full ? '>' : ' ');
        str_add(out, "]");
    }
    str_addf(out, " %s\n", str_text(&sizes));
    str_done(&sizes);
}

static void put(const struct str *s)
{
    const char *p = s->data;
    size_t n = s->len;

    while (n) {
        ssize_t w = write(2, p, n);
        if (w <= 0 && errno != EINTR)
            return;
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
}

static void draw(struct progress *p)
{
    struct winsize size = {0};
    struct str out = {0};
    unsigned rows, shown = 0, hidden = 0;

    ioctl(2, TIOCGWINSZ, &size);
    rows = size.ws_row > 4 ? size.ws_row - 2u : 22;
    if (p->drawn)
        str_addf(&out, "\033[%uA", p->drawn);
    /* More items than rows: those that are over are left out first. */
    for (size_t i = 0; i < p->count; i++) {
        bool over = p->items[i].phase >= PROGRESS_DONE;
        if (p->count > rows && (over || shown + 1 >= rows)) {
            hidden++;
            continue;
        }
        draw_item(p, &p->items[i], size.ws_col ? size.ws_col : 80, &out);
        shown++;
    }
    if (hidden) {
        str_addf(&out, "\r\033[K%u more\n", hidden);
        shown++;
    }
    if (shown < p->drawn)
        str_add(&out, "\033[J");
    p->drawn = shown;
    p->dirty = false;
    put(&out);
    str_done(&out);
}

static void *redraw(void *opaque)
{
    struct progress *p = opaque;
    struct timespec t;

    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (p->dirty)
            draw(p);
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += REDRAW_MS * 1000000;
        t.tv_sec += t.tv_nsec / 1000000000;
        t.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&p->wake, &p->lock, &t);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void plain_line(const struct progress *p, const struct item *i)
{
    struct str out = {0};

    str_addf(&out, "%s: %s", i->name, phase_text(p, i));
    if (i->phase == PROGRESS_MOVING || i->phase == PROGRESS_DONE) {
        str_add(&out, " ");
        add_size(&out, i->total);
    }
    str_add_char(&out, '\n');
    put(&out);
    str_done(&out);
}

/* --- reports --- */

struct progress *progress_new(enum progress_mode mode, const char *verb)
{
    struct progress *p = mem_new(struct progress);

    if (!p)
        return NULL;
    p->mode = mode;
    p->verb = verb;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    if (mode == PROGRESS_BARS) {
        p->running = pthread_create(&p->thread, NULL, redraw, p) == 0;
        if (!p->running)
            p->mode = PROGRESS_PLAIN;
    }
    return p;
}

void progress_free(struct progress *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    if (p->mode == PROGRESS_BARS && p->dirty)
        draw(p);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (p->running)
        pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->items);
    free(p);
}

int progress_add(struct progress *p, const char *name, uint64_t total)
{
    int index = -1;

    pthread_mutex_lock(&p->lock);
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 16;
        struct item *more = realloc(p->items, room * sizeof(*more));
        if (more) {
            p->items = more;
            p->room = room;
        }
    }
    if (p->count < p->room) {
        struct item *i = &p->items[p->count];
        memset(i, 0, sizeof(*i));
        snprintf(i->name, sizeof(i->name), "%s", name);
        i->total = total;
        index = (int)p->count++;
        p->dirty = true;
    }
    pthread_mutex_unlock(&p->lock);
    return index;
}

static void report(struct progress *p, int item, enum progress_phase phase, uint64_t bytes)
{
    struct item *i = &p->items[item];
    bool begins = phase != i->phase;

    i->phase = phase;
    i->bytes = bytes;
    p->dirty = true;
    if (begins && p->mode == PROGRESS_PLAIN && phase != PROGRESS_UNPACKING)
        plain_line(p, i);
}

void progress_set(struct progress *p, int item, enum progress_phase phase, uint64_t bytes)
{
    if (item < 0)
        return;
    pthread_mutex_lock(&p->lock);
    report(p, item, phase, bytes);
    pthread_mutex_unlock(&p->lock);
}

void progress_more(struct progress *p, int item, uint64_t bytes)
{
    if (item < 0)
        return;
    pthread_mutex_lock(&p->lock);
    report(p, item, PROGRESS_MOVING, p->items[item].bytes + bytes);
    pthread_mutex_unlock(&p->lock);
}

void progress_next(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->mode == PROGRESS_BARS && p->dirty)
        draw(p);
    p->count = 0;
    p->drawn = 0;
    pthread_mutex_unlock(&p->lock);
}

void progress_notice(struct progress *p, const char *line)
{
    struct str out = {0};

    pthread_mutex_lock(&p->lock);
    if (p->mode == PROGRESS_BARS && p->drawn)
        str_addf(&out, "\033[%uA\r\033[J", p->drawn);
    for (const char *c = line; *c; c++)
        str_add_char(&out, (unsigned char)*c < 32 || *c == 127 ? '?' : *c);
    str_add_char(&out, '\n');
    put(&out);
    str_done(&out);
    p->drawn = 0;
    if (p->mode == PROGRESS_BARS && p->count)
        draw(p);
    pthread_mutex_unlock(&p->lock);
}
