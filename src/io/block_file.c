/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that block_attempt could not finish in memory are handed to worker threads (at most
 * WORKERS, started as they are needed, gone after WORKER_IDLE_S seconds without work). A worker
 * puts what it has done on a list and rings an eventfd; the loop's thread, which holds the loop's
 * lock then, calls done. drain waits for the workers and calls done itself.
 *
 * Lock order: the loop's lock, then file->mutex. Workers never take the loop's lock.
 */
#include "io/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "io/block_file_sys.h"

enum { WORKERS = 4, WORKER_IDLE_S = 10 };
/* More than this is left to a worker even if it is in memory: copying it would hold up the guest.
 */
enum { ATTEMPT_MAX = 256 << 10 };

struct request_list {
    struct block_request *first, **last;
};

struct block_file {
    struct block block;
    struct block_file_data data;
    char *path;
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
};

static struct block_file *file_of(struct block *b)
{
    return container_of(b, struct block_file, block);
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
static void complete(struct block_file *f)
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

static void *worker(void *opaque)
{
    struct block_file *f = opaque;
    bool alone = false;

    pthread_mutex_lock(&f->mutex);
    while (!alone) {
        struct block_request *r = list_take(&f->waiting);
        if (r) {
            int result;
            bool ring;
            f->running++;
            pthread_mutex_unlock(&f->mutex);
            result = block_file_do(&f->data, r);
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
            until.tv_sec += WORKER_IDLE_S;
            f->idle++;
            alone = pthread_cond_timedwait(&f->work, &f->mutex, &until) == ETIMEDOUT &&
                    !f->waiting.first;
            f->idle--;
        }
    }
    f->workers--;
    pthread_cond_broadcast(&f->ended);
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* Starts one more worker, with all signals blocked: they are for the threads that expect them. */
static int start_worker(struct block_file *f)
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

static void file_submit(struct block *b, struct block_request *r)
{
    struct block_file *f = file_of(b);
    int result = block_check(b, r);

    pthread_mutex_lock(&f->mutex);
    if (result == 0) {
        list_add(&f->waiting, r);
        if (f->idle)
            pthread_cond_signal(&f->work);
        else if (f->workers < WORKERS && start_worker(f) < 0 && !f->workers) {
            log_error("block", "%s: no thread can be started", f->path);
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

static int file_attempt(struct block *b, const struct block_request *r)
{
    struct block_file *f = file_of(b);
    int result = block_check(b, r);

    if (result < 0)
        return result;
    if (r->op != BLOCK_READ || r->len > ATTEMPT_MAX)
        return BLOCK_WOULD_WAIT;
    return block_file_read_cached(&f->data, r);
}

static void file_drain(struct block *b)
{
    struct block_file *f = file_of(b);
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

static void file_free(struct block_file *f)
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
    close_fd(&f->data.fd);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->mutex);
    free(f->path);
    free(f);
}

static void file_close(struct block *b)
{
    file_drain(b);
    file_free(file_of(b));
}

static const struct block_ops file_ops = {
    .attempt = file_attempt,
    .submit = file_submit,
    .drain = file_drain,
    .close = file_close,
};

static struct block_file *file_alloc(const char *path)
{
    struct block_file *f = mem_new(struct block_file);
    pthread_condattr_t attr;

    if (!f)
        return NULL;
    f->data.fd = f->wakefd = -1;
    f->block.ops = &file_ops;
    list_init(&f->waiting);
    list_init(&f->done);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->work, &attr);
    pthread_cond_init(&f->ended, NULL);
    pthread_condattr_destroy(&attr);
    f->path = strdup(path);
    if (!f->path) {
        file_free(f);
        return NULL;
    }
    f->data.path = f->path;
    return f;
}

struct block *block_file_open(struct loop *loop, const char *path,
                              const struct block_file_options *options, struct error *err)
{
    struct block_file *f = file_alloc(path);
    int r;

    if (!f) {
        error_set(err, -ENOMEM, "open drive %s: out of memory", path);
        return NULL;
    }
    if (options->serial && strlen(options->serial) > sizeof(f->block.serial) - 1) {
        error_set(err, -EINVAL, "open drive %s: the serial is longer than 20 characters", path);
        file_free(f);
        return NULL;
    }
    if (options->serial)
        strcpy(f->block.serial, options->serial);
    r = block_file_open_data(&f->data, options, &f->block, err);
    if (r == 0) {
        f->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (f->wakefd < 0)
            r = error_set_errno(err, -errno, "create eventfd");
    }
    if (r == 0) {
        f->watch = loop_add_fd(loop, f->wakefd, LOOP_READ, on_wake, f, err);
        r = f->watch ? 0 : err && err->code ? err->code : -ENOMEM;
    }
    if (r < 0) {
        error_wrap(err, r, "open drive %s", path);
        file_free(f);
        return NULL;
    }
    return &f->block;
}
