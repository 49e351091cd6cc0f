/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
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

/* State, drives and memory of one instant; @state may have bytes also on failure. */
static int take(const struct vm_snapshot_request *q, struct str *state, struct gmem_layer **ret,
                struct error *err)
{
    int r;

    if (!q->paused)
        machine_pause(q->machine);
    r = machine_save_state(q->machine, state, err);
    if (r == 0)
        r = save_drives(q, err);
    if (r == 0) {
        *ret = gmem_freeze(machine_memory(q->machine), err);
        r = *ret ? 0 : -ENOMEM;
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
        r = take(q, &s->state, &s->memory, err);
    if (r == 0 && s->watch && (r = start_thread(s, err)) == 0)
        return s;
    s->reported = true; /* the caller knows by our answer */
    vm_snapshot_end(s);
    return NULL;
}

/* ---- forks: descriptors of the state, then of the memory (gmem_layer_fds) ---- */

static int state_fd(const struct str *state, struct error *err)
{
    int fd = memfd_create("isola-fork", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write(fd, state->data, state->len) != (ssize_t)state->len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        error_set_errno(err, errno ? -errno : -ENOSPC, "keep the machine's state");
        if (fd >= 0)
            close(fd);
        return err->code;
    }
    return fd;
}

int vm_fork_take(const struct vm_snapshot_request *q, struct engine_origin *ret, struct error *err)
{
    struct gmem_layer *memory = NULL;
    struct engine_origin origin = {0};
    int fds[GMEM_LAYER_FDS], fd, r;
    struct str state = {0};
    unsigned count;

    _Static_assert((int)GMEM_LAYER_FDS < (int)ENGINE_ORIGIN_FDS,
                   "an origin is a state and a layer");
    r = take(q, &state, &memory, err);
    if (r == 0) {
        fd = state_fd(&state, err);
        r = fd < 0 ? fd : 0;
    }
    if (r == 0) {
        origin.fds[origin.count++] = fd;
        count = gmem_layer_fds(memory, fds);
        for (unsigned i = 0; r == 0 && i < count; i++) {
            fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
            if (fd < 0)
                r = error_set_errno(err, -errno, "pass on the machine's memory");
            else
                origin.fds[origin.count++] = fd;
        }
    }
    str_done(&state);
    gmem_layer_unref(memory);
    if (r == 0)
        *ret = origin;
    else
        while (origin.count)
            close(origin.fds[--origin.count]);
    return r;
}

int vm_fork_open(const struct engine_origin *origin, struct snapshot_files *ret, struct error *err)
{
    off_t len = origin->count < 3 ? -1 : lseek(origin->fds[0], 0, SEEK_END),
          bytes = origin->count < 3 ? -1 : lseek(origin->fds[2], 0, SEEK_END);
    void *state;

    *ret = (struct snapshot_files){0};
    if (len <= 0 || bytes <= 0)
        return error_set(err, -EINVAL, "what the fork begins from is no machine");
    state = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, origin->fds[0], 0);
    if (state == MAP_FAILED)
        return error_set_errno(err, -errno, "map the machine's state");
    ret->state = state;
    ret->state_len = (size_t)len;
    ret->memory = gmem_layer_from_fds(origin->fds + 1, origin->count - 1, (uint64_t)bytes, err);
    if (!ret->memory)
        snapshot_files_done(ret);
    return ret->memory ? 0 : err->code;
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
