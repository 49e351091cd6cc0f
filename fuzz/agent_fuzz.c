/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile agent: the input is what a guest sends on the agent's port, in pieces, between events
 * of the host side. The first byte of each piece says what happens before it and how long it is.
 */
#include <stdint.h>

#include "base/loop.h"
#include "base/mem.h"
#include "guest/protocol.h"
#include "instance/agent.h"
#include "io/chardev_mem.h"

enum { RUNS = 3, PIECES = 200 };

struct world {
    struct loop *loop;
    struct agent *agent;
    struct chardev_client port;
    struct chardev *out[RUNS], *err[RUNS];
    struct agent_process *run[RUNS];
    size_t room;
};

static size_t room(void *opaque)
{
    return ((struct world *)opaque)->room;
}

static void input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct world *w = opaque;

    w->room -= n;
}

static void failed(void *opaque, const char *reason)
{
}

static void ended(void *opaque, int code, const char *reason)
{
}

static void event(struct world *w, unsigned what)
{
    struct chardev *ch = agent_chardev(w->agent);
    unsigned i = what % RUNS;
    static const char text[5000];

    switch (what / RUNS % 7) {
    case 0:
        chardev_mem_limit(w->out[i], what * 100);
        break;
    case 1:
        chardev_mem_limit(w->err[i], UINT64_MAX);
        break;
    case 2:
        chardev_mem_type(w->out[i], text, sizeof text);
        break;
    case 3:
        w->room = (size_t)what * 50;
        ch->ops->ready(ch);
        break;
    case 4:
        (void)!agent_process_signal(w->run[i], 15, NULL);
        break;
    case 5:
        loop_step(w->loop, 0, NULL);
        break;
    default:
        chardev_mem_resize(w->out[i], what, what);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = mem_new(struct world);
    struct str settings = {0};
    struct chardev *ch;

    w->loop = loop_new(NULL);
    w->room = 1 << 20;
    w->agent = agent_new(w->loop, &(struct agent_watch){failed, w}, NULL);
    w->port = (struct chardev_client){.room = room, .input = input, .opaque = w};
    ch = agent_chardev(w->agent);
    ch->ops->attach(ch, &w->port);
    agent_set(&settings, "arg", "x");
    for (unsigned i = 0; i < RUNS; i++) {
        struct agent_command c = {.main = i == 0, .input = true, .settings = &settings};
        c.output = w->out[i] = chardev_mem_new(NULL);
        c.errors = w->err[i] = chardev_mem_new(NULL);
        c.ended = ended;
        if (agent_run(w->agent, &c, &w->run[i], NULL) < 0)
            abort();
    }
    str_done(&settings);
    for (unsigned n = 0; n < PIECES && size > 2; n++) {
        size_t len = min_of((size_t)(data[1] & 0x3f), size - 2);
        /* Long outputs need no long inputs. */
        if (data[1] & 0x80) {
            static const uint8_t zeros[AGENT_DATA_MAX];
            ch->ops->write(ch, data + 2, len);
            ch->ops->write(ch, zeros, sizeof zeros);
        } else {
            ch->ops->write(ch, data + 2, len);
        }
        event(w, data[0]);
        data += 2 + len;
        size -= 2 + len;
    }
    loop_step(w->loop, 0, NULL);
    for (unsigned i = 0; i < RUNS; i++) {
        agent_process_free(w->run[i]);
        w->out[i]->ops->close(w->out[i]);
        w->err[i]->ops->close(w->err[i]);
    }
    agent_free(w->agent);
    loop_free(w->loop);
    free(w);
    return 0;
}
