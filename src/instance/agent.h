/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's end of the protocol with the agent in a machine that was made from an image
 * (docs/agent-protocol.md). Whatever the guest sends, it costs no more than the buffers named here,
 * and what breaks the protocol is an error of the machine.
 *
 * All calls are made under the lock of the loop; the guest's bytes may come on any thread that
 * holds it. Callbacks are made on the loop's thread, never inside a call.
 */
#ifndef INSTANCE_AGENT_H
#define INSTANCE_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "io/chardev.h"

struct loop;
struct agent;
struct agent_process;

struct agent_watch {
    /* The machine could not be set up, or its agent broke the protocol: nothing works any more. */
    void (*failed)(void *opaque, const char *reason);
    void *opaque;
};

/* NULL with @err set. */
struct agent *agent_new(struct loop *loop, const struct agent_watch *watch, struct error *err);
/* Forgets all processes without a word. NULL is fine. */
void agent_free(struct agent *a);
/* What the machine's port is connected to. Borrowed from @a. */
struct chardev *agent_chardev(struct agent *a);
/* Whether the agent has set the machine up. */
bool agent_is_ready(const struct agent *a);

/* Adds "@key=@value" to settings. */
void agent_set(struct str *settings, const char *key, const char *value);
/* Sends the settings of the machine, once. -E2BIG: too much. */
int agent_setup(struct agent *a, const struct str *settings, struct error *err) error_must_check;

/* Sets the guest's clock to @ns since 1970, when the agent has set the machine up. */
void agent_set_time(struct agent *a, int64_t ns);

struct agent_command {
    bool main;                       /* its end is the end of the machine; the first one */
    bool input;                      /* takes input */
    const struct str *settings;      /* of the process */
    struct chardev *output, *errors; /* borrowed until agent_process_free */
    /*
     * It has ended, and all its output was handed on; it is still to be freed. @reason: why it
     * could not be run, NULL: it ran.
     */
    void (*ended)(void *opaque, int code, const char *reason);
    void *opaque;
};
/*
 * New. -E2BIG: the settings are too long; -EAGAIN: too many processes; -EPIPE: it failed before.
 */
int agent_run(struct agent *a, const struct agent_command *c, struct agent_process **ret,
              struct error *err) error_must_check;
/* Linux's number. -ENOBUFS: the guest takes nothing any more. */
int agent_process_signal(struct agent_process *p, int number, struct error *err) error_must_check;
/*
 * Lets go of it: its devices must not call it any more. One that has not ended goes on in the
 * guest, and its output is thrown away. NULL is fine.
 */
void agent_process_free(struct agent_process *p);

#endif
