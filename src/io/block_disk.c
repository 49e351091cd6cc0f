/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that block_attempt could not finish in memory are handed to worker threads (at most
 * WORKERS, started as they are needed, gone after WORKER_IDLE_S seconds without work). A worker
 * puts what it has done on a list and rings an eventfd; the loop's thread, which holds the loop's
 * lock then, calls done. After writes a worker that finds no more work for SETTLE_S seconds lets
 * the disk settle. drain waits for the workers and calls done itself.
 *
 * Lock order: the loop's lock, then drive->mutex. Workers never take the loop's lock.
 */
#include "io/block_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"

enum { WORKERS = 4, WORKER_IDLE_S = 10, SETTLE_S = 1 };
/* More than this is left to a worker even if it is in memory: copying it would hold up the guest.
 */
enum { ATTEMPT_MAX = 256 << 10 };

struct request_list {
    struct block_request *first, **last;
};

struct block_disk {
    struct block block;
    struct disk *disk;
    char *name;
    bool write_through;
    int wakefd;
    struct loop_fd *watch;
    pthread_mutex_t mutex;
    pthread_cond_t work;  /* for workers: a request waits, or closing */
    pthread_cond_t ended; /* for drain and close: a request was done or a worker went */
    /* Under mutex. */
    struct request_list waiting, done;
    unsigned running; /* requests that workers have in hand */
    unsigned workers, idle;
    bool closing;
    bool unsettled; /* written to since the disk settled last */
};

static struct block_disk *disk_of(struct block *b)
{
    return container_of(b, struct block_disk, block);
}

static void list_init(struct request_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_add(struct request_list *l, struct block_request *r)
{
    r->next = NULL;
    *l->last = r;
    l->last = &r->next;
}

static struct block_request *list_take(struct request_list *l)
{
    struct block_request *r = l->first;

    if (r) {
        l->first = r->next;
        if (!l->first)
            l->last = &l->first;
    }
    return r;
}

/* The result waits in the request until done is called. */
static void set_result(struct block_request *r, int result)
{
    r->backend = (void *)(intptr_t)result;
}

/* Calls done for all that have ended. The loop's lock is held. */
static void complete(struct block_disk *f)
{
    struct request_list done;

    pthread_mutex_lock(&f->mutex);
    list_init(&done);
    while (f->done.first)
        list_add(&done, list_take(&f->done));
    pthread_mutex_unlock(&f->mutex);
    for (struct block_request *r = list_take(&done); r; r = list_take(&done)) {
        int result = (int)(intptr_t)r->backend;
        r->done(r, result);
    }
}

static void on_wake(void *opaque, int fd, unsigned events)
{
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof(count));

    (void)ignored;
    complete(opaque);
}

static int do_request(struct block_disk *f, const struct block_request *r)
{
    int result = disk_run(f->disk, r);

    if (result == 0 && f->write_through && r->op != BLOCK_READ && r->op != BLOCK_FLUSH)
        result = disk_flush(f->disk);
    return result;
}

static void *worker(void *opaque)
{
    struct block_disk *f = opaque;
    bool alone = false;

    pthread_mutex_lock(&f->mutex);
    while (!alone) {
        struct block_request *r = list_take(&f->waiting);
        if (r) {
            int result;
            bool ring;
            f->running++;
            f->unsettled |= r->op != BLOCK_READ && f->disk->ops->settle;
            pthread_mutex_unlock(&f->mutex);
            result = do_request(f, r);
            pthread_mutex_lock(&f->mutex);
            f->running--;
            set_result(r, result);
            ring = !f->done.first;
            list_add(&f->done, r);
            pthread_cond_broadcast(&f->ended);
            if (ring) {
                uint64_t one = 1;
                ssize_t ignored = write(f->wakefd, &one, sizeof(one));
                (void)ignored;
            }
        } else if (f->closing) {
            break;
        } else {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += f->unsettled ? SETTLE_S : WORKER_IDLE_S;
            f->idle++;
            alone = pthread_cond_timedwait(&f->work, &f->mutex, &until) == ETIMEDOUT &&
                    !f->waiting.first;
            f->idle--;
            if (alone && f->unsettled) {
                f->unsettled = alone = false;
                pthread_mutex_unlock(&f->mutex);
                f->disk->ops->settle(f->disk);
                pthread_mutex_lock(&f->mutex);
            }
        }
    }
    f->workers--;
    pthread_cond_broadcast(&f->ended);
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* Starts one more worker, with all signals blocked: they are for the threads that expect them. */
static int start_worker(struct block_disk *f)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 << 10);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&thread, &attr, worker, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (r == 0)
        f->workers++;
    return -r;
}

static void drive_submit(struct block *b, struct block_request *r)
{
    struct block_disk *f = disk_of(b);
    int result = block_check(b, r);

    pthread_mutex_lock(&f->mutex);
    if (result == 0) {
        list_add(&f->waiting, r);
        if (f->idle)
            pthread_cond_signal(&f->work);
        else if (f->workers < WORKERS && start_worker(f) < 0 && !f->workers) {
            log_error("block", "%s: no thread can be started", f->name);
            list_init(&f->waiting); /* it held only @r: there was never a worker to take more */
            result = -EAGAIN;
        }
    }
    if (result < 0) {
        uint64_t one = 1;
        ssize_t ignored;
        set_result(r, result);
        list_add(&f->done, r);
        ignored = write(f->wakefd, &one, sizeof(one));
        (void)ignored;
    }
    pthread_mutex_unlock(&f->mutex);
}

static int drive_attempt(struct block *b, const struct block_request *r)
{
    struct block_disk *f = disk_of(b);
    int result = block_check(b, r);

    if (result < 0)
        return result;
    if (r->op != BLOCK_READ || r->len > ATTEMPT_MAX)
        return BLOCK_WOULD_WAIT;
    return disk_attempt(f->disk, r);
}

static void drive_drain(struct block *b)
{
    struct block_disk *f = disk_of(b);
    bool more = true;

    while (more) {
        pthread_mutex_lock(&f->mutex);
        while ((f->waiting.first || f->running) && !f->done.first)
            pthread_cond_wait(&f->ended, &f->mutex);
        pthread_mutex_unlock(&f->mutex);
        complete(f); /* may submit again */
        pthread_mutex_lock(&f->mutex);
        more = f->waiting.first || f->running || f->done.first;
        pthread_mutex_unlock(&f->mutex);
    }
}

static void drive_free(struct block_disk *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->mutex);
    f->closing = true;
    pthread_cond_broadcast(&f->work);
    while (f->workers)
        pthread_cond_wait(&f->ended, &f->mutex);
    pthread_mutex_unlock(&f->mutex);
    loop_remove_fd(f->watch);
    close_fd(&f->wakefd);
    disk_close(f->disk);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->mutex);
    free(f->name);
    free(f);
}

static void drive_close(struct block *b)
{
    drive_drain(b);
    drive_free(disk_of(b));
}

static const struct block_ops drive_ops = {
    .attempt = drive_attempt,
    .submit = drive_submit,
    .drain = drive_drain,
    .close = drive_close,
};

static struct block_disk *drive_alloc(const char *name)
{
    struct block_disk *f = mem_new(struct block_disk);
    pthread_condattr_t attr;

    if (!f)
        return NULL;
    f->wakefd = -1;
    f->block.ops = &drive_ops;
    list_init(&f->waiting);
    list_init(&f->done);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->work, &attr);
    pthread_cond_init(&f->ended, NULL);
    pthread_condattr_destroy(&attr);
    f->name = strdup(name);
    if (!f->name) {
        drive_free(f);
        return NULL;
    }
    return f;
}

static int watch_ends(struct block_disk *f, struct loop *loop, struct error *err)
{
    f->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->wakefd < 0)
        return error_set_errno(err, -errno, "create eventfd");
    f->watch = loop_add_fd(loop, f->wakefd, LOOP_READ, on_wake, f, err);
    return f->watch ? 0 : err->code ? err->code : -ENOMEM;
}

struct block *block_disk_new(struct loop *loop, struct disk *disk, const char *name,
                             const struct block_disk_options *options, struct error *err)
{
    struct block_disk *f = drive_alloc(name);
    const char *serial = options->serial;
    struct error local = {0};
    int r = 0;

    if (!err)
        err = &local;
    if (!f) {
        error_set(err, -ENOMEM, "out of memory");
        disk_close(disk);
        return NULL;
    }
    f->disk = disk;
    f->write_through = options->write_through;
    f->block.size = disk->size;
    f->block.physical_block = disk->physical_block;
    f->block.readonly = disk->readonly;
    f->block.can_discard = disk->can_discard;
    if (serial && strlen(serial) > sizeof(f->block.serial) - 1)
        r = error_set(err, -EINVAL, "the serial is longer than 20 characters");
    else if (serial)
        strcpy(f->block.serial, serial);
    if (r == 0)
        r = watch_ends(f, loop, err);
    if (r < 0) {
        drive_free(f);
        return NULL;
    }
    return &f->block;
}
