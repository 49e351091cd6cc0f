/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_exec.h"

#include <errno.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/mem.h"
#include "instance/control.h"

/* How long a client may take to read the last words. */
#define LAST_WORDS_NS (2ull * 1000000000)
#define LOOK_NS       (20ull * 1000000)

struct vm_exec {
    struct vm_exec **list, *next;
    struct vm_image *image;
    struct console *console;
    struct control *control;
    struct loop_timer *timer; /* frees it outside of its own callbacks */
    struct agent_process *process;
    struct str settings;
    bool tty, input;
    bool started, client_gone, over;
    uint64_t until; /* of the last words */
};

static void exec_free(struct vm_exec *x)
{
    control_free(x->control);
    if (x->console)
        console_detach_device(x->console);
    agent_process_free(x->process);
    console_free(x->console);
    if (x->timer)
        loop_timer_free(x->timer);
    str_done(&x->settings);
    free(x);
}

static void exec_discard(struct vm_exec *x)
{
    struct vm_exec **at = x->list;

    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    exec_free(x);
}

void vm_exec_free_all(struct vm_exec **list)
{
    while (*list)
        exec_discard(*list);
}

/* It is over: goes once everything is sent, or nobody is there, or it takes too long. */
static void on_timer(void *opaque)
{
    struct vm_exec *x = opaque;

    if (!x->client_gone && control_busy(x->control) && loop_now_ns() < x->until)
        loop_timer_set(x->timer, loop_now_ns() + LOOK_NS);
    else
        exec_discard(x);
}

static void leave(struct vm_exec *x)
{
    x->over = true;
    x->until = loop_now_ns() + LAST_WORDS_NS;
    loop_timer_set(x->timer, 1);
}

static void on_end(void *opaque, int code, const char *reason)
{
    struct vm_exec *x = opaque;

    control_ended(x->control, code, reason);
    leave(x);
}

static int run(struct vm_exec *x, const struct protocol_request *q, struct error *err)
{
    struct agent_command c = {.input = x->input,
                              .settings = &x->settings,
                              .output = console_chardev(x->console),
                              .errors = console_errors(x->console),
                              .ended = on_end,
                              .opaque = x};
    int r;

    if (x->tty)
        vm_image_add_size(&x->settings, q->columns, q->rows);
    r = agent_run(x->image->agent, &c, &x->process, err);
    str_done(&x->settings);
    return r;
}

static void on_request(void *opaque, struct control_client *client,
                       const struct protocol_request *q)
{
    struct vm_exec *x = opaque;
    struct error err = {0};
    int r;

    if (q->verb != PROTOCOL_START || x->started) {
        control_fail(client, -EINVAL, "only one start is served here");
        return;
    }
    x->started = true;
    r = run(x, q, &err);
    if (r < 0) {
        control_fail(client, r, error_text(&err));
        leave(x);
    } else {
        control_upgrade(client, q);
    }
}

/* A process that was started goes on without a client. */
static void on_gone(void *opaque, struct control_client *client)
{
    struct vm_exec *x = opaque;

    x->client_gone = true;
    if (!x->started || x->over)
        leave(x);
}

int vm_exec_new(struct vm_exec **list, struct vm_image *image, const struct instance_exec *exec,
                int fd, struct error *err)
{
    struct loop *loop = image->env->loop;
    struct vm_exec *x = mem_new(struct vm_exec);
    int r = x ? 0 : error_set(err, -ENOMEM, "out of memory");

    if (r == 0) {
        *x = (struct vm_exec){
            .list = list, .image = image, .tty = exec->tty, .input = exec->interactive};
        x->timer = loop_timer_new(loop, on_timer, x);
        x->console = console_new(loop, NULL, err);
        if (x->console)
            x->control = control_new(loop, image->env->id, x->console, on_request, x, err);
        r = x->timer && x->control ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        r = vm_image_exec_settings(image, exec, &x->settings, err);
    if (r == 0) {
        control_set_gone(x->control, on_gone);
        if (!control_add(x->control, fd, err))
            r = err->code; /* which has closed it */
    } else {
        close(fd);
    }
    if (r < 0) {
        if (x)
            exec_free(x);
        return r;
    }
    x->next = *list;
    *list = x;
    return 0;
}
