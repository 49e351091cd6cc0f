/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks are handed to a thread, so that the machine does not wait for the disk; it waits when more
 * than QUEUE_MAX bytes lie in the queue. Only whole chunks are appended: what a kill leaves is a
 * recording that ends sooner.
 */
#include "instance/vm_record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "instance/recording.h"

enum { QUEUE_MAX = 128 << 20 };

struct piece {
    struct str bytes;
    struct piece *next;
};

struct vm_record {
    int fd;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under mutex. */
    struct piece *first, **last;
    size_t queued;
    bool closing;
    int failed; /* negative errno: nothing more is written */
};

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? -errno : -EIO;
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

static void *writer(void *opaque)
{
    struct vm_record *w = opaque;
    struct piece *p;

    pthread_mutex_lock(&w->mutex);
    while ((p = w->first) || !w->closing) {
        int r = 0;
        if (!p) {
            pthread_cond_wait(&w->changed, &w->mutex);
            continue;
        }
        w->first = p->next;
        if (!w->first)
            w->last = &w->first;
        if (!w->failed) {
            pthread_mutex_unlock(&w->mutex);
            r = write_all(w->fd, p->bytes.data, p->bytes.len);
            pthread_mutex_lock(&w->mutex);
        }
        w->queued -= p->bytes.len;
        w->failed = r < 0 ? r : w->failed;
        pthread_cond_broadcast(&w->changed);
        str_done(&p->bytes);
        free(p);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static int hand_over(void *opaque, struct str *bytes)
{
    struct vm_record *w = opaque;
    struct piece *p = mem_new(struct piece);
    int r;

    if (!p) {
        str_done(bytes);
        return -ENOMEM;
    }
    p->bytes = *bytes;
    pthread_mutex_lock(&w->mutex);
    while (w->queued > QUEUE_MAX && !w->failed)
        pthread_cond_wait(&w->changed, &w->mutex);
    *w->last = p;
    w->last = &p->next;
    w->queued += bytes->len;
    r = w->failed;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return r;
}

static int create(const struct engine_env *env, struct error *err)
{
    cleanup_free char *dir = str_format("%s/recordings", env->data_dir),
                      *path = recording_path(env->data_dir, env->spec->record, err);
    int fd;

    if (env->spec->restart != SPEC_RESTART_NO)
        return error_set(err, -EINVAL, "--record keeps one life: leave out --restart");
    if (!dir || !path)
        return dir ? err->code : error_set(err, -ENOMEM, "out of memory");
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "create %s", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return error_set(err, -EEXIST,
                         "there is a recording %s already; remove it (isola record rm %s) or "
                         "choose another name",
                         env->spec->record, env->spec->record);
    return fd < 0 ? error_set_errno(err, -errno, "create %s", path) : fd;
}

int vm_record_open(const struct engine_env *env, struct vm_record **ret,
                   struct record_sink *ret_sink, struct error *err)
{
    struct vm_record *w = mem_new(struct vm_record);
    sigset_t all, old;
    int r;

    if (!w)
        return error_set(err, -ENOMEM, "out of memory");
    w->last = &w->first;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->fd = create(env, err);
    r = w->fd < 0 ? w->fd : 0;
    if (r == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&w->thread, NULL, writer, w);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        w->started = r == 0;
        r = r ? error_set_errno(err, -r, "start a thread") : 0;
    }
    if (r < 0) {
        vm_record_close(w);
        return r;
    }
    *ret_sink = (struct record_sink){.write = hand_over, .opaque = w};
    *ret = w;
    return 0;
}

void vm_record_close(struct vm_record *w)
{
    if (!w)
        return;
    if (w->started) {
        pthread_mutex_lock(&w->mutex);
        w->closing = true;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->mutex);
        pthread_join(w->thread, NULL);
    }
    if (w->failed)
        log_error("vm", "the recording is not whole: %s", strerror(-w->failed));
    if (w->fd >= 0)
        close(w->fd);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
