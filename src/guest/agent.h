/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the agent share. */
#ifndef GUEST_AGENT_H
#define GUEST_AGENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "guest/protocol.h"

/* Frames on their way out; above the mark no output of processes is taken in. */
enum { OUT_SIZE = 256 << 10, OUT_MARK = 128 << 10 };

struct process {
    uint16_t id; /* 0: the slot is free */
    pid_t pid;   /* in the namespace of the agent */
    bool main, tty;
    int in;     /* -1: closed, or not connected; a terminal's is out[0] */
    int out[2]; /* output (or the terminal), errors; -1: at its end */
    size_t window[2];
    uint8_t *input; /* AGENT_WINDOW bytes, NULL: none */
    size_t input_at, input_len;
    uint32_t taken; /* of the input, and no credit given yet */
    bool input_ended, exited;
    int code;
};

struct agent {
    int port;       /* to the host */
    int signals;    /* signalfd of SIGCHLD */
    bool is_init;   /* PID 1 of a machine; else under test on a host */
    bool is_set_up; /* AGENT_SETUP was done */
    bool isolated;  /* processes have a namespace of their own */
    bool scratch;   /* what is written need not last */
    bool over;      /* the main process has ended */
    uint8_t out[OUT_SIZE];
    size_t out_at, out_len;
    uint8_t in[AGENT_HEADER + AGENT_REQUEST_MAX];
    size_t in_len;
    struct process processes[AGENT_PROCESSES];
};

/* Settings: texts "key=value", each ended by a zero byte, in @len bytes that end with one. */
struct settings {
    const char *text;
    size_t len;
};
/* The next one from *at (NULL: the first) on, which has @key: its value, or NULL. */
const char *settings_next(const struct settings *s, const char *key, const char **at);
/* The first of @key, or NULL. */
const char *settings_get(const struct settings *s, const char *key);
/* Its number, 0 when it is not there. */
unsigned long settings_number(const struct settings *s, const char *key);
size_t settings_count(const struct settings *s, const char *key);

/* ---- setup.c: what is done once ---- */

/* Mounts /dev and /sys and loads the modules of the initrd. */
int setup_early(struct error *err);
/* Opens the port to the host: a descriptor, or a negative errno. */
int setup_port(struct error *err);
/* Root file system, mounts, network, names: as the host's settings say. */
int setup_machine(struct agent *a, const struct settings *s, struct error *err);
/* What was written reaches the drive. */
void setup_sync(void);

/* ---- agent.c: frames ---- */

/* Queues a frame; there is room by the rules of the loop. */
void agent_send(struct agent *a, uint16_t process, enum agent_frame type, const void *data,
                size_t len);
/* Where the payload of a frame of up to AGENT_DATA_MAX bytes may be put; then agent_put. */
uint8_t *agent_space(struct agent *a);
void agent_put(struct agent *a, uint16_t process, enum agent_frame type, size_t len);

/* ---- process.c ---- */

void process_run(struct agent *a, uint16_t id, const struct settings *s);
struct process *process_find(struct agent *a, uint16_t id);
void process_input(struct process *p, const uint8_t *data, size_t len);
void process_input_end(struct process *p);
void process_resize(struct process *p, unsigned columns, unsigned rows);
void process_signal(struct process *p, int number);
void process_credit(struct process *p, unsigned stream, size_t bytes);
/* Children have ended. */
void process_reap(struct agent *a);
/* Adds what the process waits for to @fds (at most 3); returns how many. */
size_t process_poll(const struct agent *a, const struct process *p, struct pollfd *fds);
/* Does what can be done now without waiting. */
void process_turn(struct agent *a, struct process *p);

/* ---- spawn.c ---- */

struct spawn {
    const struct settings *settings;
    int stdio[3]; /* of the process; with a terminal all its slave's */
    bool tty, mount_proc;
    bool init; /* a small init is process 1, and the program below it */
};
/* Makes the process: its pid, or a negative errno with *ret_code the exit code and @err why. */
pid_t spawn(const struct spawn *s, int *ret_code, struct error *err);

#endif
