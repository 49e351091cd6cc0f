/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an instance: one table of states x verbs, from which the code, docs/lifecycle.md and
 * the tests derive.
 */
#ifndef INSTANCE_LIFECYCLE_H
#define INSTANCE_LIFECYCLE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

/* Names and meanings are in the table of lifecycle.c. */
enum lifecycle_state {
    LIFECYCLE_CREATED,
    LIFECYCLE_RUNNING,
    LIFECYCLE_PAUSED,
    LIFECYCLE_RESTARTING, /* ended; the restart policy starts it again after a pause */
    LIFECYCLE_EXITED,
    LIFECYCLE_DEAD, /* its supervisor vanished without saying how the instance ended */
    LIFECYCLE_STATES
};

/* What commands ask for, and below LIFECYCLE_ENDED what happens by itself. */
enum lifecycle_verb {
    LIFECYCLE_START,
    LIFECYCLE_STOP,
    LIFECYCLE_KILL,
    LIFECYCLE_RESTART,
    LIFECYCLE_PAUSE,
    LIFECYCLE_UNPAUSE,
    LIFECYCLE_RM,
    LIFECYCLE_RM_FORCE,
    LIFECYCLE_RENAME,
    LIFECYCLE_UPDATE,
    LIFECYCLE_ATTACH,
    LIFECYCLE_EXEC,
    LIFECYCLE_STATS,
    LIFECYCLE_SNAPSHOT,
    LIFECYCLE_FORK,
    LIFECYCLE_WAIT,
    LIFECYCLE_LOGS,
    LIFECYCLE_INSPECT,
    LIFECYCLE_ENDED,        /* the guest ended and the policy says no restart */
    LIFECYCLE_WILL_RESTART, /* the guest ended and the policy says restart */
    LIFECYCLE_LOST,         /* the supervisor is gone without a word */
    LIFECYCLE_VERBS
};

enum lifecycle_outcome {
    LIFECYCLE_REFUSED, /* an error that says what to do instead */
    LIFECYCLE_NOTHING, /* already so: succeeds without doing anything */
    LIFECYCLE_ALLOWED, /* done; the state stays */
    LIFECYCLE_MOVES,   /* done; the state becomes @next */
    LIFECYCLE_REMOVED  /* done; the record is gone */
};

struct lifecycle_cell {
    enum lifecycle_outcome outcome;
    enum lifecycle_state next; /* of LIFECYCLE_MOVES */
    const char *hint;          /* of LIFECYCLE_REFUSED: what to do instead */
};

const struct lifecycle_cell *lifecycle_cell(enum lifecycle_state state, enum lifecycle_verb verb);

/* "created", "running", ... ; static. */
const char *lifecycle_state_name(enum lifecycle_state state);
const char *lifecycle_verb_name(enum lifecycle_verb verb);
/* The state called @name; false when there is none. */
bool lifecycle_state_parse(const char *name, enum lifecycle_state *ret);
/* Whether a supervisor is alive in @state. */
bool lifecycle_supervised(enum lifecycle_state state);

/*
 * 0 when @verb may be done in @state (*ret_cell tells how); -ESTALE with an error that names both
 * and says what to do instead.
 */
int lifecycle_check(enum lifecycle_state state, enum lifecycle_verb verb,
                    const struct lifecycle_cell **ret_cell, struct error *err) error_must_check;

/* Writes docs/lifecycle.md from the table. */
void lifecycle_document(struct str *out);

#endif
