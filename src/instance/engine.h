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

#include "base/error.h"
#include "base/str.h"
#include "instance/instance.h"
#include "io/chardev.h"

struct loop;
struct engine;

/* What the supervisor gives to an engine. Borrowed until destroy. */
struct engine_env {
    const struct spec *spec;
    const char *id;
    const char *name; /* during create only: it may be renamed */
    struct loop *loop;
    struct chardev *console;       /* the instance's console */
    bool paused;                   /* begins with its processors stopped */
    struct chardev *debug_console; /* to the log as stream "debug"; NULL unless asked for */
    /*
     * The instance ended by itself with @exit_code and @reason (one line, NULL: nothing to say).
     * Called once per create, never inside another call of the engine.
     */
    void (*ended)(void *opaque, int exit_code, const char *reason);
    void *opaque;
};

struct engine_ops {
    const char *wall;  /* the name that specs use */
    const char *about; /* one line for doctor and help */
    /* Opens all that the spec names; nothing runs yet. */
    int (*create)(const struct engine_env *env, struct engine **ret, struct error *err);
    /* Runs it; with env->paused it is left paused. */
    int (*start)(struct engine *e, struct error *err);
    int (*exec)(struct engine *e, const char *const *argv, struct error *err);
    /* Linux's signal number; -ENOTSUP for those that the wall cannot deliver. */
    int (*signal)(struct engine *e, int number, struct error *err);
    int (*resize)(struct engine *e, unsigned columns, unsigned rows, struct error *err);
    int (*pause)(struct engine *e, struct error *err);
    int (*resume)(struct engine *e, struct error *err);
    int (*stats)(struct engine *e, struct instance_stats *ret, struct error *err);
    int (*update)(struct engine *e, const char *key, const char *value, struct error *err);
    int (*snapshot)(struct engine *e, const char *path, struct error *err);
    /* Asks the guest to end (power button); it may take its time or refuse. */
    int (*stop)(struct engine *e, struct error *err);
    /* Adds what it knows of itself as one JSON object. */
    int (*inspect)(struct engine *e, struct str *out, struct error *err);
    /* Ends what runs, without a word, and frees @e. NULL is fine. */
    void (*destroy)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
};

/* The virtual machine (vm_engine.c). */
extern const struct engine_ops vm_engine;
/* What this program has, NULL after the last (engines.c; tests bring their own). */
extern const struct engine_ops *const engines_built_in[];

/* The engine of @wall in @engines (NULL: the built-in ones); -ENOTSUP that says what is missing. */
const struct engine_ops *engine_find(const struct engine_ops *const *engines, enum spec_wall wall,
                                     struct error *err);
/* -ENOTSUP: "pause is not supported by wall vm". */
int engine_unsupported(const struct engine_ops *ops, const char *what, struct error *err);

#endif
