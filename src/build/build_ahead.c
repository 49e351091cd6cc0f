/* SPDX-License-Identifier: Apache-2.0 */
/* Several stages at once. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "build/build_internal.h"

enum { AHEAD_MAX = 8 }; /* stages that are built by children at once */

/*
 * Stages that do not need each other are built by children. A child leaves layers in the store and
 * their keys in the cache, so that this process then gets the same state by going through the stage
 * again without doing anything. What a child writes is shown in one piece.
 */
struct ahead {
    struct stage *stage;
    pid_t pid;
    int output;
    struct shared {
        int result;
        struct error err;
    } * shared;
};

static void show(struct build *b, int fd)
{
    char piece[16384];
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        if (write(b->output, piece, (size_t)n) < 0)
            return;
}

/* Starts a child for @s whose first step has number @step + 1. */
static bool begin_ahead(struct build *b, struct stage *s, size_t step, struct ahead *a)
{
    a->stage = s;
    a->output = memfd_create("stage", MFD_CLOEXEC);
    a->shared =
        mmap(NULL, sizeof(*a->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    a->pid = a->output >= 0 && a->shared != MAP_FAILED ? fork() : -1;
    if (a->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        b->output = a->output;
        b->step = step;
        a->shared->result = build_stage(b, s, &a->shared->err);
        _exit(0);
    }
    if (a->pid > 0)
        return true;
    if (a->output >= 0)
        close(a->output);
    if (a->shared != MAP_FAILED)
        munmap(a->shared, sizeof(*a->shared));
    return false;
}

static int end_ahead(struct build *b, struct ahead *a, bool quiet, struct error *err)
{
    int status, r;

    while (waitpid(a->pid, &status, 0) < 0 && errno == EINTR)
        ;
    r = a->shared->result;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        r = error_set(err, -EIO, "the process for a stage ended unexpectedly");
    else if (r < 0 && err && !quiet)
        *err = a->shared->err;
    if (!quiet)
        show(b, a->output);
    close(a->output);
    munmap(a->shared, sizeof(*a->shared));
    return r;
}

/* Goes through @s again, from what the child left. */
static int replay(struct build *b, struct stage *s, struct error *err)
{
    int output = b->output, null = open("/dev/null", O_WRONLY | O_CLOEXEC), r;

    b->replaying = true;
    b->output = null >= 0 ? null : output;
    r = build_stage(b, s, err);
    b->output = output;
    b->replaying = false;
    if (null >= 0)
        close(null);
    return r;
}

int build_ready_stages(struct build *b, struct error *err)
{
    struct ahead ahead[AHEAD_MAX];
    size_t n = 0, most = max_of(2, get_nprocs()) - 1u, step;
    struct stage *first = NULL;
    int r;

    for (size_t i = 0; !first && i < b->stage_count; i++)
        if (build_ready(b, &b->stages[i]))
            first = &b->stages[i];
    step = b->step + first->end - first->first;
    for (size_t i = (size_t)(first - b->stages) + 1; i < b->stage_count; i++) {
        struct stage *s = &b->stages[i];
        if (n < min_of(most, (size_t)AHEAD_MAX) && build_ready(b, s) &&
            begin_ahead(b, s, step, &ahead[n])) {
            step += s->end - s->first;
            n++;
        }
    }
    r = build_stage(b, first, err);
    for (size_t i = 0; i < n; i++) {
        if (r < 0)
            kill(ahead[i].pid, SIGKILL);
        int e = end_ahead(b, &ahead[i], r < 0, r < 0 ? NULL : err);
        if (r == 0)
            r = e < 0 ? e : replay(b, ahead[i].stage, err);
    }
    return r;
}
