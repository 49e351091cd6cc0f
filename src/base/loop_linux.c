/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches and timers are kept in plain lists. A watch removed inside a callback is only marked and
 * freed after the batch, so that events already fetched for it are dropped and never dangle.
 */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

struct loop_fd {
    struct loop *loop;
    struct loop_fd *next;
    int fd;
    unsigned events;
    bool removed, registered;
    loop_fd_fn *fn;
    void *opaque;
};

struct loop_timer {
    struct loop *loop;
    struct loop_timer *next;
    uint64_t deadline;
    bool armed;
    loop_fn *fn;
    void *opaque;
};

struct loop {
    int epfd, wakefd;
    struct loop_fd *watches;
    struct loop_timer *timers;
    bool quit, any_removed;
    int quit_value;
    bool waiting; /* it sleeps, or is about to, until wait_deadline */
    uint64_t wait_deadline;
    void (*lock)(void *);
    void (*unlock)(void *);
    void *lock_opaque;
    loop_fn *wake_fn;
    void *wake_opaque;
};

uint64_t loop_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct loop *loop_new(struct error *err)
{
    struct loop *loop = mem_new(struct loop);
    struct epoll_event ev = {.events = EPOLLIN};

    if (!loop) {
        error_set(err, -ENOMEM, "create event loop: out of memory");
        return NULL;
    }
    loop->wakefd = -1;
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd >= 0)
        loop->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wakefd < 0 || epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->wakefd, &ev) < 0) {
        error_set_errno(err, -errno, "create event loop");
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->watches) {
        struct loop_fd *next = loop->watches->next;
        free(loop->watches);
        loop->watches = next;
    }
    if (loop->wakefd >= 0)
        close(loop->wakefd);
    if (loop->epfd >= 0)
        close(loop->epfd);
    free(loop);
}

void loop_set_lock(struct loop *loop, void (*lock)(void *), void (*unlock)(void *), void *opaque)
{
    loop->lock = lock;
    loop->unlock = unlock;
    loop->lock_opaque = opaque;
}

static uint32_t epoll_events(unsigned events)
{
    return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0) |
           (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

struct loop_fd *loop_add_fd(struct loop *loop, int fd, unsigned events, loop_fd_fn *fn,
                            void *opaque, struct error *err)
{
    struct loop_fd *watch = mem_new(struct loop_fd);
    struct epoll_event ev = {.events = epoll_events(events), .data.ptr = watch};

    if (!watch) {
        error_set(err, -ENOMEM, "watch descriptor: out of memory");
        return NULL;
    }
    *watch = (struct loop_fd){.loop = loop,
                              .fd = fd,
                              .events = events,
                              .fn = fn,
                              .opaque = opaque,
                              .registered = events != 0};
    if (events && epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        error_set_errno(err, -errno, "watch descriptor %d", fd);
        free(watch);
        return NULL;
    }
    watch->next = loop->watches;
    loop->watches = watch;
    return watch;
}

void loop_set_events(struct loop_fd *watch, unsigned events)
{
    struct epoll_event ev = {.events = epoll_events(events), .data.ptr = watch};
    int op = EPOLL_CTL_MOD;

    if (watch->events == events)
        return;
    watch->events = events;
    if (!events)
        op = EPOLL_CTL_DEL; /* epoll reports hang-ups even for an empty set */
    else if (!watch->registered)
        op = EPOLL_CTL_ADD;
    watch->registered = events != 0;
    epoll_ctl(watch->loop->epfd, op, watch->fd, &ev);
}

void loop_remove_fd(struct loop_fd *watch)
{
    if (!watch)
        return;
    if (watch->registered)
        epoll_ctl(watch->loop->epfd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->removed = true;
    watch->loop->any_removed = true;
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *opaque)
{
    struct loop_timer *timer = mem_new(struct loop_timer);

    if (timer) {
        *timer =
            (struct loop_timer){.loop = loop, .fn = fn, .opaque = opaque, .next = loop->timers};
        loop->timers = timer;
    }
    return timer;
}

void loop_timer_set(struct loop_timer *timer, uint64_t deadline_ns)
{
    struct loop *loop = timer->loop;

    timer->deadline = deadline_ns;
    timer->armed = true;
    if (loop->waiting && deadline_ns < loop->wait_deadline) {
        loop->wait_deadline = deadline_ns; /* one wake-up is enough */
        loop_wake(loop);
    }
}

void loop_timer_clear(struct loop_timer *timer)
{
    timer->armed = false;
}

void loop_timer_free(struct loop_timer *timer)
{
    struct loop_timer **link;

    if (!timer)
        return;
    for (link = &timer->loop->timers; *link; link = &(*link)->next) {
        if (*link == timer) {
            *link = timer->next;
            break;
        }
    }
    free(timer);
}

void loop_set_wake(struct loop *loop, loop_fn *fn, void *opaque)
{
    loop->wake_fn = fn;
    loop->wake_opaque = opaque;
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t ignored = write(loop->wakefd, &one, sizeof(one)); /* a full counter already wakes */
    (void)ignored;
}

/* The earliest armed deadline, UINT64_MAX when there is none. */
static uint64_t earliest_deadline(struct loop *loop)
{
    uint64_t deadline = UINT64_MAX;

    for (struct loop_timer *t = loop->timers; t; t = t->next)
        if (t->armed && t->deadline < deadline)
            deadline = t->deadline;
    return deadline;
}

static void loop_enter(struct loop *loop)
{
    if (loop->lock)
        loop->lock(loop->lock_opaque);
}

static void loop_leave(struct loop *loop)
{
    if (loop->unlock)
        loop->unlock(loop->lock_opaque);
}

/* Sleeps until an event, the earliest timer or @timeout_ms. */
static int wait_events(struct loop *loop, struct epoll_event *events, int count, int timeout_ms)
{
    struct timespec ts = {0}, *timeout = NULL;
    uint64_t now = loop_now_ns(), deadline;
    int n;

    loop_enter(loop);
    deadline = earliest_deadline(loop);
    if (timeout_ms >= 0)
        deadline = min_of(deadline, now + (uint64_t)timeout_ms * 1000000u);
    loop->wait_deadline = deadline;
    loop->waiting = true;
    loop_leave(loop);
    if (deadline != UINT64_MAX) {
        uint64_t ns = deadline > now ? deadline - now : 0;
        ts = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                               .tv_nsec = (long)(ns % 1000000000u)};
        timeout = &ts;
    }
    n = epoll_pwait2(loop->epfd, events, count, timeout, NULL);
    return n < 0 ? -errno : n;
}

static void run_timers(struct loop *loop)
{
    uint64_t now = loop_now_ns();
    bool again = true;

    /* A callback may free or re-arm any timer: start over after each one. */
    while (again) {
        again = false;
        for (struct loop_timer *t = loop->timers; t; t = t->next) {
            if (t->armed && t->deadline <= now) {
                t->armed = false;
                t->fn(t->opaque);
                again = true;
                break;
            }
        }
    }
}

static void sweep(struct loop *loop)
{
    struct loop_fd **link = &loop->watches;

    if (!loop->any_removed)
        return;
    loop->any_removed = false;
    while (*link) {
        struct loop_fd *watch = *link;
        if (watch->removed) {
            *link = watch->next;
            free(watch);
        } else {
            link = &watch->next;
        }
    }
}

int loop_step(struct loop *loop, int timeout_ms, struct error *err)
{
    struct epoll_event events[32];
    int n = wait_events(loop, events, array_size(events), timeout_ms);

    if (n < 0 && n != -EINTR)
        return error_set_errno(err, n, "wait for events");
    loop_enter(loop);
    loop->waiting = false;
    for (int i = 0; i < n; i++) {
        struct loop_fd *watch = events[i].data.ptr;
        unsigned ready = (events[i].events & EPOLLIN ? LOOP_READ : 0) |
                         (events[i].events & EPOLLOUT ? LOOP_WRITE : 0) |
                         (events[i].events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0);
        if (!watch) {
            uint64_t count;
            ssize_t ignored = read(loop->wakefd, &count, sizeof(count));
            (void)ignored;
            if (loop->wake_fn)
                loop->wake_fn(loop->wake_opaque);
        } else if (!watch->removed) {
            watch->fn(watch->opaque, watch->fd, ready);
        }
    }
    run_timers(loop);
    sweep(loop);
    loop_leave(loop);
    return 0;
}

int loop_run(struct loop *loop, struct error *err)
{
    loop->quit = false;
    while (!loop->quit) {
        int r = loop_step(loop, -1, err);
        if (r < 0)
            return r;
    }
    return loop->quit_value;
}

void loop_quit(struct loop *loop, int value)
{
    loop->quit = true;
    loop->quit_value = value;
    loop_wake(loop);
}
