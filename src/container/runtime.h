/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of isola-runtime share. The command line is runc's. */
#ifndef CONTAINER_RUNTIME_H
#define CONTAINER_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "container/container.h"

enum { RUNTIME_OPTIONS_MAX = 32, RUNTIME_REPEAT_MAX = 256 };

/* Options before the verb. */
struct runtime {
    const char *root, *log_path;
    char *default_root;
    int log_fd;
    bool log_json, debug, systemd_cgroup, rootless, best_effort;
};

/* An option of a verb: "name,n" with its short form; a value or a switch; may repeat. */
struct runtime_option {
    const char *name;
    char letter;
    bool value, repeats;
};

struct verb;

/* A parsed command line. */
struct command {
    struct runtime *rt;
    const struct verb *verb;
    const char *values[RUNTIME_OPTIONS_MAX]; /* by index in the verb's table; "" for a switch */
    struct {
        unsigned option;
        const char *value;
    } repeated[RUNTIME_REPEAT_MAX];
    unsigned repeated_count;
    char **args;
    int arg_count;
};

struct verb {
    const char *name, *arguments, *help;
    const struct runtime_option *options; /* ends with a NULL name */
    int min_args, max_args;               /* max -1: any */
    /* The exit code. Errors are returned through @err with a negative value. */
    int (*run)(struct command *c, struct error *err);
};

/* NULL when not given. */
const char *command_value(const struct command *c, const char *name);
bool command_has(const struct command *c, const char *name);
/* 0 when not given; false when it is no whole number. */
bool command_number(const struct command *c, const char *name, long long *ret);

/* A warning to the log; also to standard error with --best-effort or --debug. */
void runtime_warn(void *runtime, const char *line);
/* The container of the first argument. */
int runtime_load(struct command *c, struct container **ret, struct error *err);

/* runtime_run.c */
int verb_create(struct command *c, struct error *err);
int verb_run(struct command *c, struct error *err);
int verb_exec(struct command *c, struct error *err);
/* runtime_verbs.c */
int verb_start(struct command *c, struct error *err);
int verb_state(struct command *c, struct error *err);
int verb_kill(struct command *c, struct error *err);
int verb_delete(struct command *c, struct error *err);
int verb_list(struct command *c, struct error *err);
int verb_ps(struct command *c, struct error *err);
int verb_pause(struct command *c, struct error *err);
int verb_resume(struct command *c, struct error *err);
int verb_refuse(struct command *c, struct error *err);
/* runtime_resources.c */
int verb_update(struct command *c, struct error *err);
int verb_events(struct command *c, struct error *err);
/* runtime_spec.c */
int verb_spec(struct command *c, struct error *err);
int verb_features(struct command *c, struct error *err);

#endif
