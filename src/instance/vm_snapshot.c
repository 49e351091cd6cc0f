/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "instance/snapshot_files.h"
#include "io/disk_clone.h"
#include "machine/snapshot.h"

struct vm_snapshot {
    void (*done)(void *opaque, const struct error *err);
    void *opaque;
    struct str state;
    struct gmem_layer *memory;
    int dir, bell; /* eventfd: the thread is done */
    struct loop_fd *watch;
    pthread_t thread;
    bool started, reported;
    struct error err;
};

static void *write_thread(void *opaque)
{
    struct vm_snapshot *s = opaque;
    struct snapshot_summary summary;
    uint64_t one = 1;

    int r = snapshot_files_write(s->dir, &s->state, s->memory, &summary, &s->err);

    if (r < 0 && s->err.code >= 0)
        error_set(&s->err, r, "write a snapshot");
    /* An eventfd takes a first 1 always. */
    return write(s->bell, &one, sizeof one) == (ssize_t)sizeof one ? NULL : s;
}

static void report(struct vm_snapshot *s)
{
    if (s->reported)
        return;
    s->reported = true;
    s->done(s->opaque, s->err.code < 0 ? &s->err : NULL);
}

static void rung(void *opaque, int fd, unsigned events)
{
    struct vm_snapshot *s = opaque;

    loop_remove_fd(s->watch);
    s->watch = NULL;
    report(s);
}

static int save_drives(const struct vm_snapshot_request *q, struct error *err)
{
    for (size_t n = 0; n < q->disk_count; n++) {
        char path[4096];
        int r;
        if (!q->disks[n])
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/drive%zu.qcow2", q->dir, n) >= sizeof path)
            return error_set(err, -ENAMETOOLONG, "%s: the path is too long", q->dir);
        r = disk_clone_new(q->disks[n], path, "qcow2", err);
        if (r < 0)
            return error_wrap(err, r, "save drive %zu", n);
    }
    return 0;
}

static int take(struct vm_snapshot *s, const struct vm_snapshot_request *q, struct error *err)
{
    int r;

    if (!q->paused)
        machine_pause(q->machine);
    r = machine_save_state(q->machine, &s->state, err);
    if (r == 0)
        r = save_drives(q, err);
    if (r == 0) {
        s->memory = gmem_freeze(machine_memory(q->machine), err);
        r = s->memory ? 0 : -ENOMEM;
    }
    if (!q->paused)
        machine_resume(q->machine);
    return r;
}

static int start_thread(struct vm_snapshot *s, struct error *err)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&s->thread, NULL, write_thread, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    s->started = r == 0;
    return r ? error_set_errno(err, -r, "start a thread") : 0;
}

struct vm_snapshot *vm_snapshot_begin(const struct vm_snapshot_request *q, struct error *err)
{
    struct vm_snapshot *s = mem_new(struct vm_snapshot);
    int r = 0;

    if (!s) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    s->done = q->done;
    s->opaque = q->opaque;
    s->dir = open(q->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->dir < 0 || s->bell < 0)
        r = error_set_errno(err, -errno, "open %s", q->dir);
    if (r == 0)
        s->watch = loop_add_fd(q->loop, s->bell, LOOP_READ, rung, s, err);
    if (r == 0 && s->watch)
        r = take(s, q, err);
    if (r == 0 && s->watch && (r = start_thread(s, err)) == 0)
        return s;
    s->reported = true; /* the caller knows by our answer */
    vm_snapshot_end(s);
    return NULL;
}

void vm_snapshot_end(struct vm_snapshot *s)
{
    if (!s)
        return;
    if (s->started)
        pthread_join(s->thread, NULL);
    report(s);
    loop_remove_fd(s->watch);
    if (s->memory)
        gmem_layer_unref(s->memory);
    str_done(&s->state);
    if (s->dir >= 0)
        close(s->dir);
    if (s->bell >= 0)
        close(s->bell);
    free(s);
}
