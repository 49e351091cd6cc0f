/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One debugger at a time. What it sends is handled at once; what it is told waits in a bounded
 * buffer when it does not read, and one that lets that run full is let go.
 */
#include "instance/vm_gdb.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "instance/listen.h"
#include "machine/debug.h"
#include "machine/gdb.h"

/* syscalls: accept4 bind chmod connect listen newfstatat recvfrom sendto setsockopt socket unlink
 * lstat stat */

enum { OUT_MAX = 1 << 20 };

struct vm_gdb {
    struct loop *loop;
    struct machine *machine;
    int listener;
    bool i386; /* what is told to those who connect there */
    struct loop_fd *listen_watch;
    char *path; /* of the listening socket, to be removed */
    int fd;
    struct loop_fd *watch;
    struct gdb *stub;
    struct str out;
    size_t sent;
    bool broken; /* of no more use: is closed once nobody is inside the stub */
};

static void disconnect(struct vm_gdb *g)
{
    struct gdb *stub = steal_ptr(&g->stub);

    loop_remove_fd(g->watch);
    g->watch = NULL;
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
    g->out.len = g->sent = 0;
    gdb_free(stub);
}

static void flush(struct vm_gdb *g)
{
    while (g->fd >= 0 && g->sent < g->out.len) {
        ssize_t n =
            send(g->fd, g->out.data + g->sent, g->out.len - g->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g->broken |= errno != EAGAIN;
            break;
        }
        g->sent += (size_t)n;
    }
    if (g->sent == g->out.len)
        g->out.len = g->sent = 0;
    if (g->watch)
        loop_set_events(g->watch, LOOP_READ | (g->out.len ? LOOP_WRITE : 0));
}

static void send_bytes(void *opaque, const void *bytes, size_t n)
{
    struct vm_gdb *g = opaque;

    str_add_n(&g->out, bytes, n);
    if (g->out.failed || g->out.len > OUT_MAX)
        g->broken = true;
    else
        flush(g);
}

static void ready(void *opaque, int fd, unsigned events)
{
    struct vm_gdb *g = opaque;
    uint8_t bytes[4096];
    ssize_t n;

    if (events & LOOP_WRITE)
        flush(g);
    n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        g->broken = true;
    if (n > 0)
        gdb_input(g->stub, bytes, (size_t)n);
    if (g->broken || gdb_closing(g->stub))
        disconnect(g);
}

int vm_gdb_serve(struct vm_gdb *g, bool i386, int fd, struct error *err)
{
    int r = machine_debug_check(g->machine, err);

    if (r < 0 && fd >= 0)
        close(fd);
    if (r < 0 || fd < 0)
        return r;
    g->stub = gdb_new(g->machine, !i386, send_bytes, g, err);
    g->watch = g->stub ? loop_add_fd(g->loop, fd, LOOP_READ, ready, g, err) : NULL;
    if (!g->watch) {
        gdb_free(steal_ptr(&g->stub));
        close(fd);
        return err && err->code < 0 ? err->code : -ENOMEM;
    }
    g->fd = fd;
    g->broken = false;
    return 0;
}

static void incoming(void *opaque, int fd, unsigned events)
{
    struct vm_gdb *g = opaque;
    struct error err = {0};
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (client >= 0 && vm_gdb_serve(g, g->i386, client, &err) < 0)
        log_warn("gdb", "%s", error_text(&err));
}

static int open_listener(struct vm_gdb *g, const char *text, struct error *err)
{
    struct spec_gdb where;
    int r = spec_parse_gdb(text, &where, err);

    if (r < 0)
        return r;
    g->i386 = where.i386;
    g->listener = *where.path ? listen_unix(where.path, err) : listen_loopback(where.port, err);
    if (g->listener < 0)
        return g->listener;
    if (*where.path)
        g->path = strdup(where.path);
    g->listen_watch = loop_add_fd(g->loop, g->listener, LOOP_READ, incoming, g, err);
    if (!g->listen_watch || (*where.path && !g->path))
        return error_set(err, -ENOMEM, "out of memory");
    if (where.wait)
        machine_debug_hold(g->machine);
    return 0;
}

struct vm_gdb *vm_gdb_new(const struct engine_env *env, struct machine *machine, struct error *err)
{
    struct vm_gdb *g = mem_new(struct vm_gdb);
    int r;

    if (!g) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    g->loop = env->loop;
    g->machine = machine;
    g->fd = g->listener = -1;
    r = env->spec->gdb ? open_listener(g, env->spec->gdb, err) : 0;
    if (r < 0) {
        error_wrap(err, r, "--gdb %s", env->spec->gdb);
        vm_gdb_free(g);
        return NULL;
    }
    return g;
}

void vm_gdb_ended(struct vm_gdb *g, int code)
{
    if (!g || !g->stub)
        return;
    gdb_machine_ended(g->stub, code);
    disconnect(g);
}

void vm_gdb_free(struct vm_gdb *g)
{
    if (!g)
        return;
    machine_lock(g->machine);
    disconnect(g);
    machine_unlock(g->machine);
    loop_remove_fd(g->listen_watch);
    if (g->listener >= 0)
        close(g->listener);
    if (g->path)
        unlink(g->path);
    free(g->path);
    str_done(&g->out);
    free(g);
}
