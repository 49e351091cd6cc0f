/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer takes events out of the machine's ring and sends them; while the client does not read,
 * they stay there, and what does not fit is counted.
 */
#include "instance/vm_trace.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "machine/trace.h"

#define PERIOD_NS 20000000ull
enum { BATCH = 256 << 10 };

struct vm_trace {
    struct vm_trace **slot;
    struct machine *machine;
    struct machine_trace *trace;
    int fd;
    struct loop_fd *watch;
    struct loop_timer *timer;
    struct str out;
    size_t sent;
};

static void end(struct vm_trace *t)
{
    *t->slot = NULL;
    machine_trace_free(t->trace);
    loop_remove_fd(t->watch);
    loop_timer_free(t->timer);
    if (t->fd >= 0)
        close(t->fd);
    str_done(&t->out);
    free(t);
}

/* False when the client is gone. */
static bool flush(struct vm_trace *t)
{
    while (t->sent < t->out.len) {
        ssize_t n =
            send(t->fd, t->out.data + t->sent, t->out.len - t->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        t->sent += (size_t)n;
    }
    t->out.len = t->sent = 0;
    return true;
}

static void due(void *opaque)
{
    struct vm_trace *t = opaque;

    if (!flush(t) || t->out.failed) {
        end(t);
        return;
    }
    if (!t->out.len && machine_trace_read(t->trace, &t->out, BATCH) && !flush(t)) {
        end(t);
        return;
    }
    loop_timer_set(t->timer, loop_now_ns() + PERIOD_NS);
}

/* It has nothing to say but good-bye. */
static void ready(void *opaque, int fd, unsigned events)
{
    char bytes[256];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

    (void)events;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end(opaque);
}

int vm_trace_serve(struct vm_trace **slot, struct loop *loop, struct machine *machine,
                   const char *wanted, int fd, struct error *err)
{
    struct machine_trace_filter filter;
    struct vm_trace *t = NULL;
    int r = machine_trace_parse(wanted, &filter, err);

    if (r == 0 && *slot)
        r = error_set(err, -EBUSY, "it is being traced already; end that first");
    if (r == 0 && fd < 0)
        return 0;
    if (r == 0 && !(t = mem_new(struct vm_trace)))
        r = error_set(err, -ENOMEM, "out of memory");
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        return r;
    }
    t->slot = slot;
    t->machine = machine;
    t->fd = fd;
    *slot = t;
    t->timer = loop_timer_new(loop, due, t);
    t->watch = loop_add_fd(loop, fd, LOOP_READ, ready, t, err);
    t->trace = t->timer && t->watch ? machine_trace_new(machine, &filter, err) : NULL;
    if (!t->trace) {
        end(t);
        return -ENOMEM;
    }
    loop_timer_set(t->timer, loop_now_ns() + PERIOD_NS);
    return 0;
}

void vm_trace_end(struct vm_trace **slot)
{
    struct machine *m;

    if (!*slot)
        return;
    m = (*slot)->machine;
    machine_lock(m);
    end(*slot);
    machine_unlock(m);
}
