/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a machine with threads.
 *
 *   loop thread   runs the caller's event loop: backends' completions and guest timers, under the
 * machine lock run thread    runs all processors in turn (accelerators without threads of their
 * own)
 *
 * The run thread holds the lock except while guest code runs and while it sleeps. It sleeps on one
 * condition when no processor has work; whoever gives it work calls wake with the lock held. Order
 * of locks: only the machine lock.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "base/loop.h"
#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/record_internal.h"

/* Instructions of one turn: about a millisecond, the longest that a processor in turn waits for
 * another. */
enum { TURN = 100000 };

/* A machine rests that runs less than this in such a time (interp: about a hundredth of it). */
#define REST_NS (3ull * 1000000000)
enum { REST_INSTRUCTIONS = 10000000 };

struct machine_threads {
    pthread_mutex_t lock;
    atomic_uint waiting;    /* threads that want the lock */
    pthread_cond_t work;    /* the run thread sleeps here */
    pthread_cond_t stopped; /* it has paused or ended */
    pthread_t thread;
    bool started, parked, quit;
    struct loop *loop;
    struct loop_timer *timer;
    void (*ended)(void *opaque, enum machine_end end, int value);
    void *ended_opaque;
    bool reported;
    uint64_t cpu_ns;
    uint64_t rest_ns, rest_instructions; /* when it was last looked whether it rests, and then */
};

static void threads_lock(struct machine *m)
{
    atomic_fetch_add(&m->threads->waiting, 1);
    pthread_mutex_lock(&m->threads->lock);
    atomic_fetch_sub(&m->threads->waiting, 1);
}

static void threads_unlock(struct machine *m)
{
    pthread_mutex_unlock(&m->threads->lock);
}

static void threads_wake(struct machine *m)
{
    pthread_cond_signal(&m->threads->work);
}

static const struct machine_host_ops threads_host = {
    .lock = threads_lock, .unlock = threads_unlock, .wake = threads_wake};

static uint64_t thread_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The lock is not fair: lets those have it who wait for it, between slices. */
static void let_others(struct machine_threads *t)
{
    if (!atomic_load(&t->waiting))
        return;
    pthread_mutex_unlock(&t->lock);
    while (atomic_load(&t->waiting))
        sched_yield();
    pthread_mutex_lock(&t->lock);
}

static void turn_recorded(struct machine *m)
{
    struct machine_threads *t = m->threads;
    uint64_t wait = recorder_turn(m), until;
    struct timespec ts;

    if (!wait) {
        let_others(t);
    } else if (wait == UINT64_MAX) {
        pthread_cond_wait(&t->work, &t->lock);
    } else {
        clock_gettime(CLOCK_MONOTONIC, &ts);
        until = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + min_of(wait, 1ull << 60);
        ts.tv_sec = (time_t)(until / 1000000000);
        ts.tv_nsec = (long)(until % 1000000000);
        pthread_cond_timedwait(&t->work, &t->lock, &ts);
    }
}

static void give_back(void *memory, size_t bytes)
{
    uintptr_t page = GMEM_PAGE_SIZE, begin = ((uintptr_t)memory + page - 1) & ~(page - 1),
              end = ((uintptr_t)memory + bytes) & ~(page - 1);

    if (begin < end) /* that the host keeps it is no error */
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* All processors wait. A machine that did little for a while gives memory back. */
static void rest(struct machine *m)
{
    struct machine_threads *t = m->threads;
    uint64_t now = loop_now_ns();

    if (now - t->rest_ns < REST_NS)
        return;
    if (m->accel->rest && m->instructions - t->rest_instructions < REST_INSTRUCTIONS)
        m->accel->rest(m->vm, give_back);
    t->rest_ns = now;
    t->rest_instructions = m->instructions;
}

static void *run_thread(void *opaque)
{
    struct machine *m = opaque;
    struct machine_threads *t = m->threads;

    pthread_mutex_lock(&t->lock);
    while (m->end == MACHINE_RUNNING && !t->quit) {
        struct error err = {0};
        if (machine_stands(m)) {
            t->parked = true;
            pthread_cond_broadcast(&t->stopped);
            pthread_cond_wait(&t->work, &t->lock);
            recorder_resumed(m);
            continue;
        }
        t->parked = false;
        if (m->recorder)
            turn_recorded(m);
        else if (m->reset_wanted && machine_reset(m, &err) < 0)
            machine_end(m, MACHINE_END_ERROR, 0, error_text(&err));
        else if (!machine_turn(m, TURN)) {
            t->cpu_ns = thread_cpu_ns();
            rest(m);
            pthread_cond_wait(&t->work, &t->lock);
        }
        if (m->debug.event)
            loop_wake(t->loop);
        t->cpu_ns = thread_cpu_ns();
    }
    if (m->end != MACHINE_RUNNING)
        recorder_end(m);
    t->parked = true;
    pthread_cond_broadcast(&t->stopped);
    loop_wake(t->loop);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---- on the loop's thread, with the lock held ---- */

static void rearm(void *opaque)
{
    struct machine *m = opaque;
    uint64_t next = gclock_next(m->clock), now;

    /* The processors' thread of a recorded machine looks after its timers itself. */
    if (next == UINT64_MAX || machine_stands(m) || m->recorder) {
        loop_timer_clear(m->threads->timer);
        return;
    }
    now = gclock_now(m->clock);
    loop_timer_set(m->threads->timer, loop_now_ns() + (next > now ? next - now : 0));
}

static void timer_due(void *opaque)
{
    struct machine *m = opaque;

    gclock_run(m->clock);
    rearm(m);
}

static void woken(void *opaque)
{
    struct machine *m = opaque;
    struct machine_threads *t = m->threads;

    machine_debug_tell(m);
    if (m->end == MACHINE_RUNNING || t->reported)
        return;
    t->reported = true;
    t->ended(t->ended_opaque, m->end, m->end_value);
}

/* ---- starting and stopping ---- */

static int start_thread(struct machine *m, struct error *err)
{
    struct machine_threads *t = m->threads;
    sigset_t all, old;
    int r;

    /* Signals belong to the loop's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&t->thread, NULL, run_thread, m);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return error_set_errno(err, -r, "start the processors' thread");
    t->started = true;
    return 0;
}

int machine_start(struct machine *m, struct loop *loop,
                  void (*ended)(void *opaque, enum machine_end end, int value), void *opaque,
                  struct error *err)
{
    struct machine_threads *t = mem_new(struct machine_threads);
    pthread_condattr_t attr;
    int r;

    if (!t)
        return error_set(err, -ENOMEM, "start machine: out of memory");
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->work, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&t->stopped, NULL);
    t->loop = loop;
    t->rest_ns = loop_now_ns();
    t->ended = ended;
    t->ended_opaque = opaque;
    m->threads = t;
    t->timer = loop_timer_new(loop, timer_due, m);
    if (!t->timer) {
        machine_threads_free(m);
        return error_set(err, -ENOMEM, "start machine: out of memory");
    }
    m->host = &threads_host;
    loop_set_lock(loop, (void (*)(void *))threads_lock, (void (*)(void *))threads_unlock, m);
    loop_set_wake(loop, woken, m);
    gclock_on_rearm(m->clock, rearm, m);
    rearm(m);
    r = start_thread(m, err);
    if (r < 0)
        machine_threads_free(m);
    return r;
}

void machine_threads_free(struct machine *m)
{
    struct machine_threads *t = m->threads;

    if (!t)
        return;
    if (t->started) {
        pthread_mutex_lock(&t->lock);
        t->quit = true;
        m->paused = m->debug.held = false;
        machine_kick(m);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
    }
    gclock_on_rearm(m->clock, NULL, NULL);
    loop_set_lock(t->loop, NULL, NULL, NULL);
    loop_set_wake(t->loop, NULL, NULL);
    loop_timer_free(t->timer);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->stopped);
    pthread_mutex_destroy(&t->lock);
    free(t);
    m->threads = NULL;
    m->host = NULL;
}

void machine_hold(struct machine *m, bool *why)
{
    struct machine_threads *t = m->threads;

    *why = true;
    if (!m->stood_from)
        m->stood_from = machine_host_wall_ns();
    machine_kick(m);
    while (t && t->started && !t->parked)
        pthread_cond_wait(&t->stopped, &t->lock);
    gclock_pause(m->clock);
    if (t)
        loop_timer_clear(t->timer);
}

void machine_let_go(struct machine *m, bool *why)
{
    *why = false;
    if (machine_stands(m))
        return;
    if (m->stood_from && !m->config.time_source)
        machine_move_wall(m, machine_host_wall_ns() - m->stood_from);
    m->stood_from = 0;
    gclock_resume(m->clock); /* arms the loop's timer again */
    if (m->threads) {
        m->threads->parked = false;
        threads_wake(m);
    }
}

void machine_pause(struct machine *m)
{
    if (!m->paused)
        machine_hold(m, &m->paused);
}

void machine_resume(struct machine *m)
{
    if (m->paused)
        machine_let_go(m, &m->paused);
}

void machine_stop(struct machine *m)
{
    machine_end(m, MACHINE_END_STOPPED, 0, "stopped");
    if (m->threads)
        loop_wake(m->threads->loop);
}

uint64_t machine_threads_cpu_ns(const struct machine *m)
{
    return m->threads ? m->threads->cpu_ns : 0;
}
