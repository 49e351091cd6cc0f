/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances as commands see them: records in a store, and supervisors that run them.
 *
 * There is no daemon. A home (struct instances) is the store of one user; a running instance has
 * one supervisor process that holds its lock, console, logs and control socket. What the functions
 * below report about life and death rests on that lock and never on a remembered pid: a record
 * whose supervisor was killed is found dead by whoever looks next.
 *
 * An instance is named by its id, any unambiguous prefix of it, or its name ("ref" below).
 * Functions return 0 or a negative errno with a one-line reason; -ENOENT: no such instance,
 * -ESTALE: the state does not allow it, -EEXIST: name taken, -ENOTSUP: the wall cannot do it.
 */
#ifndef INSTANCE_INSTANCE_H
#define INSTANCE_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "instance/lifecycle.h"
#include "instance/spec.h"

struct engine_ops;

enum { INSTANCE_ID_LEN = 64, INSTANCE_SHORT_LEN = 12 };

/* Exit codes of instances without an agent, beside the guest's own. */
enum {
    INSTANCE_EXIT_PANIC = 101,  /* the guest's kernel panicked (pvpanic) */
    INSTANCE_EXIT_TRIPLE = 102, /* triple fault with no-reboot */
    INSTANCE_EXIT_OWN = 125,    /* Isola's own failure */
    INSTANCE_EXIT_NOT_EXECUTABLE = 126,
    INSTANCE_EXIT_NOT_FOUND = 127,
    INSTANCE_EXIT_KILLED = 137
};

/* Where things are and what runs them; zero is what the command uses. */
struct instances_config {
    const char
        *data_dir; /* NULL: $XDG_DATA_HOME/isola, ~/.local/share/isola; root: /var/lib/isola */
    const char *runtime_dir; /* NULL: $XDG_RUNTIME_DIR/isola, /run/user/UID/isola, /tmp/isola-UID;
                                root: /run/isola */
    const struct engine_ops *const *engines; /* NULL: those of engine.h */
    const char *program;                     /* re-executed as supervisor; NULL: /proc/self/exe */
};

struct instances;

/*
 * Opens the home, creating directories and store on first use. With a store that cannot be written
 * it opens for reading: lists work, changes fail with a reason. NULL with @err set.
 */
struct instances *instances_open(const struct instances_config *config, struct error *err);
void instances_close(struct instances *home);
/* Borrowed from @home. */
const char *instances_data_dir(const struct instances *home);
const char *instances_runtime_dir(const struct instances *home);

/* One record, at the moment of asking. Times are Unix nanoseconds, 0: not yet. */
struct instance {
    char id[INSTANCE_ID_LEN + 1];
    char *name;
    struct spec *spec;
    enum lifecycle_state state;
    int exit_code;     /* in states exited and dead */
    char *reason;      /* how it ended or why it failed, one line; NULL: nothing to say */
    unsigned restarts; /* automatic restarts since the last start */
    unsigned run;      /* counts starts */
    int pid;           /* of the living supervisor, 0: none */
    int64_t created, started, finished;
    char health[16]; /* of what is checked while it runs: starting, healthy, unhealthy; "": not */
};

void instance_free(struct instance *instance);
/* Frees the records and the array. */
void instance_list_free(struct instance **list, size_t count);

/* All records, newest first. @ret_list is a new array (NULL when empty). */
int instance_list(struct instances *home, struct instance ***ret_list, size_t *ret_count,
                  struct error *err) error_must_check;
/* The record that @ref names; -ENOENT, or -ENOTUNIQ for an ambiguous prefix. New. */
int instance_find(struct instances *home, const char *ref, struct instance **ret,
                  struct error *err) error_must_check;

/*
 * Makes a record from @spec (borrowed). @ret (may be NULL) gets the new record. -ENOMEDIUM: its
 * image is not here.
 */
int instance_create(struct instances *home, const struct spec *spec, struct instance **ret,
                    struct error *err) error_must_check;

/*
 * A connection to an instance's console: a socket with frames, see docs/control-protocol.md.
 */
struct instance_stream;

struct instance_attach {
    bool input;           /* pass on what the stream is given */
    bool replay;          /* begin with the console's recent output */
    bool wait_for_reader; /* the guest's console waits for this reader; else a slow reader loses
                             output and is told so */
    unsigned columns,
        rows; /* size of the terminal, told before the first byte; 0: not a terminal */
};

/*
 * Starts a created, exited or dead instance and returns once it runs (or is paused by its spec).
 * With @attach its console is connected before the guest's first instruction; *ret_stream is new.
 */
int instance_start(struct instances *home, const char *ref, const struct instance_attach *attach,
                   struct instance_stream **ret_stream, struct error *err) error_must_check;
int instance_attach(struct instances *home, const char *ref, const struct instance_attach *attach,
                    struct instance_stream **ret_stream, struct error *err) error_must_check;

/* Another process in a running instance: isola exec. */
struct instance_exec {
    const char *const *words;   /* NULL-terminated */
    const char *const *env;     /* NAME=VALUE; NULL-terminated; may be NULL */
    const char *workdir, *user; /* NULL: as the instance's own command has them */
    bool tty, interactive, privileged;
    bool detach; /* its output goes nowhere */
};
/*
 * Runs it. *ret_stream (new) carries its streams and its exit code; closing it leaves the process
 * running. -ENOENT: no such program, -EACCES: it cannot be executed.
 */
int instance_exec(struct instances *home, const char *ref, const struct instance_exec *exec,
                  const struct instance_attach *attach, struct instance_stream **ret_stream,
                  struct error *err) error_must_check;

/*
 * A descriptor of its root file system, running or not; to be used with root_path.h alone, as what
 * is in it may be hostile. *ret_fd is the caller's.
 */
int instance_root(struct instances *home, const char *ref, int *ret_fd,
                  struct error *err) error_must_check;
/* The directory of what a container made from an image has changed, NULL: out of memory. New. */
char *instance_upper(const struct instances *home, const struct instance *instance);

/* The same without what is mounted in it, for reading it as a whole. */
int instance_files(struct instances *home, const char *ref, int *ret_fd,
                   struct error *err) error_must_check;
/* Calls @change for each path that differs from its image: 'A'dded, 'C'hanged, 'D'eleted. */
int instance_diff(struct instances *home, const char *ref,
                  bool (*change)(void *opaque, char kind, const char *path), void *opaque,
                  struct error *err) error_must_check;
/* The host's numbers of its processes, as a new array. */
int instance_pids(struct instances *home, const char *ref, pid_t **ret, size_t *ret_count,
                  struct error *err) error_must_check;

/* Power button, then kill after @timeout seconds (-1: as its spec says). Returns when it ended. */
int instance_stop(struct instances *home, const char *ref, int timeout,
                  struct error *err) error_must_check;
/* @signal: a name or number as kill(1) takes; a VM without an image knows KILL, TERM, PWR. */
int instance_kill(struct instances *home, const char *ref, const char *signal,
                  struct error *err) error_must_check;
/* Stop when it runs, then start. */
int instance_restart(struct instances *home, const char *ref, int timeout,
                     struct error *err) error_must_check;
int instance_pause(struct instances *home, const char *ref, struct error *err) error_must_check;
int instance_unpause(struct instances *home, const char *ref, struct error *err) error_must_check;
/* Removes record, logs and directory; a running one only with @force (kills it first). */
int instance_rm(struct instances *home, const char *ref, bool force,
                struct error *err) error_must_check;
int instance_rename(struct instances *home, const char *ref, const char *name,
                    struct error *err) error_must_check;
/* Changes @key of the spec as spec_set does: restart, stop-timeout, label; others say why not. */
int instance_update(struct instances *home, const char *ref, const char *key, const char *value,
                    struct error *err) error_must_check;

enum instance_wait {
    INSTANCE_WAIT_NOT_RUNNING, /* returns at once when it does not run */
    INSTANCE_WAIT_NEXT_EXIT,   /* the next end, from now on */
    INSTANCE_WAIT_REMOVED,
};
/* Blocks until the condition holds; @ret_exit_code gets the instance's exit code. */
int instance_wait(struct instances *home, const char *ref, enum instance_wait condition,
                  int *ret_exit_code, struct error *err) error_must_check;

/* Deletes what is exited, dead or (with @created) was never started, and leftovers of crashes. */
int instance_prune(struct instances *home, bool created,
                   void (*removed)(void *opaque, const struct instance *instance), void *opaque,
                   struct error *err) error_must_check;

/* The record with spec and state as one JSON object; @live adds what the engine says of itself. */
int instance_inspect(struct instances *home, const char *ref, bool live, struct str *out,
                     struct error *err) error_must_check;

struct instance_stats {
    int64_t time;    /* Unix ns of the sample */
    uint64_t cpu_ns; /* of all processors, since start */
    uint64_t instructions;
    uint64_t memory_used, memory_limit;                 /* bytes */
    uint64_t block_read, block_written, net_rx, net_tx; /* bytes */
    unsigned cpus, pids;
};
int instance_stats(struct instances *home, const char *ref, struct instance_stats *ret,
                   struct error *err) error_must_check;

/*
 * A connection that looks inside a running machine: *ret_fd (the caller's) speaks gdb's remote
 * protocol (@what "gdb"), or says what it does as lines of JSON ("trace", @arguments: areas and
 * filters). -ENOTSUP: its wall has no such thing; -EBUSY: somebody else does.
 */
int instance_debug(struct instances *home, const char *ref, const char *what, const char *arguments,
                   int *ret_fd, struct error *err) error_must_check;
/* Appends text about a running machine, taken while it stands still: "" all there is, "counters",
 * "counters json", "walk ADDRESS" (page tables), "kaslr" (by how much its Linux kernel has moved).
 */
int instance_show(struct instances *home, const char *ref, const char *what, struct str *out,
                  struct error *err) error_must_check;

struct instance_log_line {
    int64_t time;       /* Unix ns */
    const char *stream; /* "stdout", "stderr", "debug" */
    const char *text;   /* raw bytes; ends in a newline unless the line was cut */
    size_t len;
};
struct instance_log_query {
    bool follow;          /* go on until the instance ends */
    int64_t tail;         /* only the last lines; negative: all */
    int64_t since, until; /* Unix ns; 0: no limit */
};
/* Calls @line for each; it returns false to end the listing. Rotated files are read first. */
int instance_logs(struct instances *home, const char *ref, const struct instance_log_query *query,
                  bool (*line)(void *opaque, const struct instance_log_line *line), void *opaque,
                  struct error *err) error_must_check;

struct instance_event {
    int64_t time;       /* Unix ns */
    const char *action; /* create start pause unpause restart stop kill die destroy rename update */
    const char *id, *name;
    int exit_code;      /* of die, else -1 */
    const char *reason; /* NULL: none */
};
struct instance_event_query {
    bool follow;
    int64_t since, until; /* Unix ns; 0: no limit */
};
int instance_events(struct instances *home, const struct instance_event_query *query,
                    bool (*event)(void *opaque, const struct instance_event *event), void *opaque,
                    struct error *err) error_must_check;

/*
 * The body of the hidden verb "supervise ID": returns the process's exit status. A fork's process
 * has inherited @origin_fds descriptors behind the starter's (supervisor.h).
 */
int instance_supervise(struct instances *home, const char *id, unsigned origin_fds);

/* ---- streams ---- */

void instance_stream_close(struct instance_stream *stream); /* NULL is fine */
/* For poll: readable when instance_stream_read has something. */
int instance_stream_fd(const struct instance_stream *stream);

enum instance_stream_kind {
    INSTANCE_STREAM_DATA,   /* console output */
    INSTANCE_STREAM_ERRORS, /* standard error of a container without a terminal */
    INSTANCE_STREAM_NOTICE, /* a line for the user: output was skipped, instance restarts */
    INSTANCE_STREAM_EXIT,   /* it ended with exit_code; data is the reason; the last one */
    INSTANCE_STREAM_LOST    /* the connection ended without an exit: the supervisor died */
};
struct instance_stream_event {
    enum instance_stream_kind kind;
    const uint8_t *data; /* valid until the next call */
    size_t len;
    int exit_code;
};
/* Waits for the next event. -EINTR when a signal came. */
int instance_stream_read(struct instance_stream *stream, struct instance_stream_event *ret,
                         struct error *err) error_must_check;
/* Sends input; may block while the guest does not take it. */
int instance_stream_write(struct instance_stream *stream, const void *bytes, size_t n,
                          struct error *err) error_must_check;
/* No more input will come. */
int instance_stream_end_input(struct instance_stream *stream, struct error *err) error_must_check;
int instance_stream_resize(struct instance_stream *stream, unsigned columns, unsigned rows,
                           struct error *err) error_must_check;

/*
 * Connects this process's terminal to @stream until the instance ends or the user detaches: raw
 * mode when @input_fd is a terminal and @tty is set (restored on every way out, fatal signals
 * included), window size changes, detach keys, and signals passed on (INT, TERM, HUP, QUIT) when
 * @proxy_signals is set and the terminal is not raw.
 */
struct instance_terminal {
    int input_fd, output_fd, error_fd; /* input -1: none */
    bool tty;
    bool proxy_signals;
    bool exact_signals; /* pass them on as they are; else the first asks for the end, the second
                           kills */
    const char *detach_keys; /* "ctrl-p,ctrl-q"; "" disables; NULL: those and "ctrl-]" */
    bool screen; /* a machine's screen and keyboard instead of its console; needs @tty */
};
struct instance_terminal_result {
    bool detached;
    int exit_code;    /* unless detached; 128+n when signal n ended the session */
    char reason[512]; /* how it ended, one line; empty: nothing to say */
};
int instance_terminal_run(struct instances *home, const char *ref, struct instance_stream *stream,
                          const struct instance_terminal *terminal,
                          struct instance_terminal_result *ret, struct error *err) error_must_check;
/* Checks the syntax of detach keys: letters, "ctrl-X", separated by commas. */
int instance_detach_keys_check(const char *keys, struct error *err) error_must_check;
/* The size of the terminal @fd, zeros when it is none. */
void instance_terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows);

#endif
