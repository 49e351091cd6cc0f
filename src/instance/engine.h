/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines: what runs an instance behind its wall. The supervisor knows every wall through this one
 * table; a function that is NULL means "not supported by wall X" and becomes that error.
 *
 * An engine lives in the supervisor's process and on its loop. All functions are called on the
 * loop's thread with its lock held; none may block for long.
 */
#ifndef INSTANCE_ENGINE_H
#define INSTANCE_ENGINE_H

#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "instance/instance.h"
#include "io/chardev.h"

struct loop;
struct engine;

enum { ENGINE_REBOOT = -1 };

/* What a fork begins from: descriptors that mean something to its engine alone. */
enum { ENGINE_ORIGIN_FDS = 32 };
struct engine_origin {
    int fds[ENGINE_ORIGIN_FDS];
    unsigned count;
};

/* What the supervisor gives to an engine. Borrowed until destroy. */
struct engine_env {
    const struct spec *spec;
    const char *id;
    const char *name; /* during create only: it may be renamed */
    struct loop *loop;
    struct chardev *console;            /* the instance's console */
    bool paused;                        /* begins with its processors stopped */
    bool again;                         /* this process has run it before: a restart */
    bool *spent;                        /* set once another start is beyond its rights */
    const struct engine_origin *origin; /* a fork's first start, during create; NULL: none */
    struct chardev *errors;             /* standard error of what has no terminal */
    struct chardev *debug_console;      /* to the log as stream "debug" */
    const char *data_dir, *runtime_dir; /* of the home */
    const char *dir;                    /* the instance's own, in data_dir */
    /* The terminal's size as known so far, zeros: not known. */
    void (*size)(void *opaque, unsigned *ret_columns, unsigned *ret_rows);
    int *start_code; /* set before a create or start fails: the exit code that this means */
    /* Something worth an event happened: "health_status: healthy". */
    void (*event)(void *opaque, const char *action);
    /*
     * The instance ended by itself with @exit_code and @reason (one line, NULL: nothing to say).
     * Called once per create, never inside another call of the engine. ENGINE_REBOOT: it is to be
     * started again, whatever its policy says.
     */
    void (*ended)(void *opaque, int exit_code, const char *reason);
    void *opaque;
};

/* An instance without a supervisor, for what commands do to it. */
struct engine_place {
    const char *data_dir, *runtime_dir;
    const char *dir; /* the instance's own; may be gone */
    const char *id;
    const struct spec *spec;
};

struct engine_ops {
    const char *wall;  /* the name that specs use */
    const char *about; /* one line for doctor and help */
    /* It drops what it does not need by itself; else the supervisor does (confine.h). */
    bool confines_itself;
    /*
     * Its supervisor is a fork of the command that starts it, which is faster. Else the program is
     * executed anew: what holds a guest shares no layout and no memory with the command.
     */
    bool forked;
    /* What to do instead where @what is not supported; NULL, or NULL returned: nothing. */
    const char *(*instead)(const char *what);
    /* An instance is about to be created from @spec: checks it and settles what is to stay. */
    int (*prepare)(const struct engine_place *place, struct spec *spec, struct error *err);
    /*
     * Nobody supervises it any more: collects what a supervisor that died has left (processes,
     * mounts, cgroups). With @remove also what is kept between runs. May be called again.
     */
    void (*collect)(const struct engine_place *place, bool remove);
    /* The root file system, see container_root.h; NULL where there is none to be seen. */
    int (*root)(const struct engine_place *place, int *ret_fd, struct error *err);
    /* The files without what is mounted among them, for reading; else as root. */
    int (*files)(const struct engine_place *place, int *ret_fd, struct error *err);
    /* Calls @change for each path that differs from its image: 'A'dded, 'C'hanged, 'D'eleted. */
    int (*diff)(const struct engine_place *place,
                bool (*change)(void *opaque, char kind, const char *path), void *opaque,
                struct error *err);
    /* New array of the host's numbers of its processes. */
    int (*pids)(const struct engine_place *place, pid_t **ret, size_t *ret_count,
                struct error *err);
    /*
     * The body of a process of its own, which runs another process in the instance and serves the
     * control protocol on socket @fd (taken): a start, then a stream until it ends. The process's
     * exit status.
     */
    int (*exec)(const struct engine_place *place, const struct instance_exec *exec, int fd);
    /*
     * The same for walls that have their supervisor do it: serves the control protocol on @fd
     * (taken) on the engine's loop. @exec is borrowed during the call.
     */
    int (*exec_here)(struct engine *e, const struct instance_exec *exec, int fd, struct error *err);
    /* Opens all that the spec names; nothing runs yet. */
    int (*create)(const struct engine_env *env, struct engine **ret, struct error *err);
    /* Runs it; with env->paused it is left paused. */
    int (*start)(struct engine *e, struct error *err);
    /* Linux's signal number; -ENOTSUP for those that the wall cannot deliver. */
    int (*signal)(struct engine *e, int number, struct error *err);
    int (*resize)(struct engine *e, unsigned columns, unsigned rows, struct error *err);
    int (*pause)(struct engine *e, struct error *err);
    int (*resume)(struct engine *e, struct error *err);
    int (*stats)(struct engine *e, struct instance_stats *ret, struct error *err);
    /* Limits in env->spec have changed: they hold from now. */
    int (*update)(struct engine *e, struct error *err);
    /* Whether there is a screen now; @screen serves it on a connected socket @fd (taken). */
    bool (*has_screen)(const struct engine *e);
    int (*screen)(struct engine *e, int fd, struct error *err);
    /*
     * Keeps what it is now in directory @dir, which exists and is empty. @done is called on the
     * loop when all is written, or has failed (@err not NULL); not when this call fails.
     */
    int (*snapshot)(struct engine *e, const char *dir,
                    void (*done)(void *opaque, const struct error *err), void *opaque,
                    struct error *err);
    /*
     * Tells what others may go on from, as it is at this instant, while it goes on itself: *ret has
     * descriptors for env->origin, the caller's. Drives that its guest may write are copied into
     * directory @dir, drive N as driveN.qcow2.
     */
    int (*fork)(struct engine *e, const char *dir, struct engine_origin *ret, struct error *err);
    /*
     * A connection that looks inside: @what is "gdb" (gdb's remote protocol from here on) or
     * "trace" (lines of JSON; @arguments: areas and filters, machine/trace.h). Serves connected
     * socket @fd (taken); -1: only says whether it would.
     */
    int (*debug)(struct engine *e, const char *what, const char *arguments, int fd,
                 struct error *err);
    /* Appends what it is asked for as text: "" all, "counters", "counters json",
     * "walk ADDRESS", "kaslr". */
    int (*show)(struct engine *e, const char *what, struct str *out, struct error *err);
    /* Asks the guest to end (power button); it may take its time or refuse. */
    int (*stop)(struct engine *e, struct error *err);
    /*
     * After the end, before destroy: a descriptor (new, or -1) that holds what takes long to let go
     * of, as a file system that is written back then. It is closed once clients know of the end,
     * and before anything is started again.
     */
    int (*hold)(struct engine *e);
    /* Adds what it knows of itself as one JSON object. */
    int (*inspect)(struct engine *e, struct str *out, struct error *err);
    /* Ends what runs, without a word, and frees @e. NULL is fine. */
    void (*destroy)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
};

/* The virtual machine (vm_engine.c). */
extern const struct engine_ops vm_engine, container_engine;
/* What this program has, NULL after the last (engines.c; tests bring their own). */
extern const struct engine_ops *const engines_built_in[];

/* The engine of @wall in @engines (NULL: the built-in ones); -ENOTSUP that says what is missing. */
const struct engine_ops *engine_find(const struct engine_ops *const *engines, enum spec_wall wall,
                                     struct error *err);
/* -ENOTSUP: "pause is not supported by wall vm". */
int engine_unsupported(const struct engine_ops *ops, const char *what, struct error *err);

/* Calls collect of the engine of @place's wall. */
void engine_collect(const struct engine_ops *const *engines, const struct engine_place *place,
                    bool remove);

#endif
