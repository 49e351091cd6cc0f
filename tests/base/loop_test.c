/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unistd.h>

#include "base/loop.h"
#include "tests/test.h"

struct seen {
    struct loop *loop;
    struct loop_fd *watch, *other;
    int reads, wakes, timers, others;
};

static void on_read(void *opaque, int fd, unsigned events)
{
    struct seen *s = opaque;
    char byte;

    s->reads++;
    if (events & LOOP_READ)
        assert_int_equal(read(fd, &byte, 1), 1);
}

static void descriptors_are_reported(void **state)
{
    struct seen s = {.loop = loop_new(NULL)};
    int fd[2];

    (void)state;
    assert_int_equal(pipe(fd), 0);
    s.watch = loop_add_fd(s.loop, fd[0], LOOP_READ, on_read, &s, NULL);
    assert_int_equal(loop_step(s.loop, 0, NULL), 0);
    assert_int_equal(s.reads, 0);
    assert_int_equal(write(fd[1], "ab", 2), 2);
    loop_step(s.loop, 1000, NULL);
    assert_int_equal(s.reads, 1); /* level-triggered: the second byte is reported next time */
    loop_set_events(s.watch, 0);
    loop_step(s.loop, 0, NULL);
    assert_int_equal(s.reads, 1);
    loop_set_events(s.watch, LOOP_READ);
    loop_step(s.loop, 1000, NULL);
    assert_int_equal(s.reads, 2);
    loop_remove_fd(s.watch);
    loop_step(s.loop, 0, NULL);
    loop_free(s.loop);
    close(fd[0]);
    close(fd[1]);
}

static void on_read_remove_other(void *opaque, int fd, unsigned events)
{
    struct seen *s = opaque;

    on_read(opaque, fd, events);
    loop_remove_fd(s->other);
    s->other = NULL;
}

static void on_other(void *opaque, int fd, unsigned events)
{
    struct seen *s = opaque;

    (void)fd;
    (void)events;
    s->others++;
    loop_remove_fd(s->watch);
    s->watch = NULL;
}

static void watches_may_end_inside_callbacks(void **state)
{
    struct seen s = {.loop = loop_new(NULL)};
    int a[2], b[2];

    (void)state;
    assert_int_equal(pipe(a) | pipe(b), 0);
    s.watch = loop_add_fd(s.loop, a[0], LOOP_READ, on_read_remove_other, &s, NULL);
    s.other = loop_add_fd(s.loop, b[0], LOOP_READ, on_other, &s, NULL);
    assert_int_equal(write(a[1], "x", 1) + write(b[1], "x", 1), 2);
    loop_step(s.loop, 1000, NULL);
    assert_int_equal(s.reads + s.others, 1); /* whichever came first removed the other */
    loop_free(s.loop);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void on_timer(void *opaque)
{
    struct seen *s = opaque;

    s->timers++;
    if (s->timers == 3)
        loop_quit(s->loop, 42);
}

static void timers_fire_once(void **state)
{
    struct seen s = {.loop = loop_new(NULL)};
    struct loop_timer *t = loop_timer_new(s.loop, on_timer, &s);
    struct loop_timer *u = loop_timer_new(s.loop, on_timer, &s);

    (void)state;
    loop_timer_set(t, loop_now_ns() + 1000);
    loop_timer_set(u, loop_now_ns() + 1000000000000ull);
    loop_step(s.loop, 1000, NULL);
    loop_step(s.loop, 0, NULL);
    assert_int_equal(s.timers, 1);
    loop_timer_set(u, 0);
    loop_timer_set(t, 0);
    assert_int_equal(loop_run(s.loop, NULL), 42);
    loop_timer_free(t);
    loop_timer_free(u);
    loop_free(s.loop);
}

static void on_wake(void *opaque)
{
    struct seen *s = opaque;

    s->wakes++;
    loop_quit(s->loop, 7);
}

static void *waker(void *opaque)
{
    loop_wake(opaque);
    return NULL;
}

static void other_threads_wake_the_loop(void **state)
{
    struct seen s = {.loop = loop_new(NULL)};
    pthread_t thread;

    (void)state;
    loop_set_wake(s.loop, on_wake, &s);
    assert_int_equal(pthread_create(&thread, NULL, waker, s.loop), 0);
    assert_int_equal(loop_run(s.loop, NULL), 7);
    pthread_join(thread, NULL);
    assert_true(s.wakes >= 1);
    loop_free(s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_reported),
        cmocka_unit_test(watches_may_end_inside_callbacks),
        cmocka_unit_test(timers_fire_once),
        cmocka_unit_test(other_threads_wake_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
