/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/lifecycle.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct state_info {
    const char *name, *about;
    bool supervised;
};

static const struct state_info states[LIFECYCLE_STATES] = {
    [LIFECYCLE_CREATED] = {"created", "a record that never ran", false},
    [LIFECYCLE_RUNNING] = {"running", "its supervisor runs it", true},
    [LIFECYCLE_PAUSED] = {"paused", "its supervisor holds it; its processors stand still", true},
    [LIFECYCLE_RESTARTING] = {"restarting",
                              "it ended; its supervisor starts it again after a "
                              "pause, by its restart policy",
                              true},
    [LIFECYCLE_EXITED] = {"exited", "it ended and said how", false},
    [LIFECYCLE_DEAD] = {"dead",
                        "its supervisor vanished (killed, host down) without saying how it ended; "
                        "found by whoever looks next",
                        false},
};

struct verb_info {
    const char *name, *about;
};

static const struct verb_info verbs[LIFECYCLE_VERBS] = {
    [LIFECYCLE_START] = {"start", "boots it"},
    [LIFECYCLE_STOP] = {"stop", "power button, and kill after the stop timeout; no restart"},
    [LIFECYCLE_KILL] = {"kill", "ends it at once; no restart"},
    [LIFECYCLE_RESTART] = {"restart", "stop when it runs, then start"},
    [LIFECYCLE_PAUSE] = {"pause", "stops its processors and its clock"},
    [LIFECYCLE_UNPAUSE] = {"unpause", "lets them go on"},
    [LIFECYCLE_RM] = {"rm", "removes record, logs and directory"},
    [LIFECYCLE_RM_FORCE] = {"rm --force", "the same, killing it first when it runs"},
    [LIFECYCLE_RENAME] = {"rename", "gives it another name"},
    [LIFECYCLE_UPDATE] = {"update", "changes what can change while it lives"},
    [LIFECYCLE_ATTACH] = {"attach", "connects to its console"},
    [LIFECYCLE_EXEC] = {"exec", "runs a command in it (where the wall can)"},
    [LIFECYCLE_STATS] = {"stats", "says what it uses"},
    [LIFECYCLE_SNAPSHOT] = {"snapshot create", "keeps what it is at this instant"},
    [LIFECYCLE_FORK] = {"fork", "starts others that go on from what it is at this instant"},
    [LIFECYCLE_WAIT] = {"wait", "returns when it does not run, with its exit code"},
    [LIFECYCLE_LOGS] = {"logs", "shows what its console said"},
    [LIFECYCLE_INSPECT] = {"inspect", "shows the record"},
    [LIFECYCLE_ENDED] = {"(ended)", "the guest ended and its policy says no restart"},
    [LIFECYCLE_WILL_RESTART] = {"(ended, policy restarts)", "the guest ended and its policy says "
                                                            "restart"},
    [LIFECYCLE_LOST] = {"(lost)", "its supervisor is gone without a word"},
};

#define NO(text)                                                                                   \
    {                                                                                              \
        LIFECYCLE_REFUSED, 0, text                                                                 \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        LIFECYCLE_NOTHING, 0, NULL                                                                 \
    }
#define OK                                                                                         \
    {                                                                                              \
        LIFECYCLE_ALLOWED, 0, NULL                                                                 \
    }
#define TO(s)                                                                                      \
    {                                                                                              \
        LIFECYCLE_MOVES, LIFECYCLE_##s, NULL                                                       \
    }
#define GONE                                                                                       \
    {                                                                                              \
        LIFECYCLE_REMOVED, 0, NULL                                                                 \
    }

#define START_IT NO("start it first")
#define NEVER    NO("nothing runs")

/* Columns: created, running, paused, restarting, exited, dead. */
static const struct lifecycle_cell table[LIFECYCLE_VERBS][LIFECYCLE_STATES] = {
    [LIFECYCLE_START] = {TO(RUNNING), NOTHING, NO("unpause it"), TO(RUNNING), TO(RUNNING),
                         TO(RUNNING)},
    [LIFECYCLE_STOP] = {NOTHING, TO(EXITED), TO(EXITED), TO(EXITED), NOTHING, NOTHING},
    [LIFECYCLE_KILL] = {START_IT, TO(EXITED), TO(EXITED), TO(EXITED), START_IT, START_IT},
    [LIFECYCLE_RESTART] = {TO(RUNNING), TO(RUNNING), TO(RUNNING), TO(RUNNING), TO(RUNNING),
                           TO(RUNNING)},
    [LIFECYCLE_PAUSE] = {START_IT, TO(PAUSED), NO("it is already so"),
                         NO("wait until it runs, or stop it"), START_IT, START_IT},
    [LIFECYCLE_UNPAUSE] = {START_IT, NO("only a paused instance can be unpaused"), TO(RUNNING),
                           NO("only a paused instance can be unpaused"), START_IT, START_IT},
    [LIFECYCLE_RM] = {GONE, NO("stop it first, or use --force"),
                      NO("stop it first, or use --force"), NO("stop it first, or use --force"),
                      GONE, GONE},
    [LIFECYCLE_RM_FORCE] = {GONE, GONE, GONE, GONE, GONE, GONE},
    [LIFECYCLE_RENAME] = {OK, OK, OK, OK, OK, OK},
    [LIFECYCLE_UPDATE] = {OK, OK, OK, OK, OK, OK},
    [LIFECYCLE_ATTACH] = {START_IT, OK, OK, OK, START_IT, START_IT},
    [LIFECYCLE_EXEC] = {START_IT, OK, NO("unpause it"), NO("wait until it runs"), START_IT,
                        START_IT},
    [LIFECYCLE_STATS] = {START_IT, OK, OK, OK, START_IT, START_IT},
    [LIFECYCLE_SNAPSHOT] = {START_IT, OK, OK, NO("wait until it runs"), START_IT, START_IT},
    [LIFECYCLE_FORK] = {START_IT, OK, OK, NO("wait until it runs"), START_IT, START_IT},
    [LIFECYCLE_WAIT] = {OK, OK, OK, OK, OK, OK},
    [LIFECYCLE_LOGS] = {OK, OK, OK, OK, OK, OK},
    [LIFECYCLE_INSPECT] = {OK, OK, OK, OK, OK, OK},
    [LIFECYCLE_ENDED] = {NEVER, TO(EXITED), TO(EXITED), TO(EXITED), NEVER, NEVER},
    [LIFECYCLE_WILL_RESTART] = {NEVER, TO(RESTARTING), TO(RESTARTING), TO(RESTARTING), NEVER,
                                NEVER},
    [LIFECYCLE_LOST] = {NEVER, TO(DEAD), TO(DEAD), TO(DEAD), NEVER, NEVER},
};

const struct lifecycle_cell *lifecycle_cell(enum lifecycle_state state, enum lifecycle_verb verb)
{
    return &table[verb][state];
}

const char *lifecycle_state_name(enum lifecycle_state state)
{
    return states[state].name;
}

const char *lifecycle_verb_name(enum lifecycle_verb verb)
{
    return verbs[verb].name;
}

bool lifecycle_state_parse(const char *name, enum lifecycle_state *ret)
{
    for (unsigned i = 0; i < LIFECYCLE_STATES; i++)
        if (strcmp(states[i].name, name) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

bool lifecycle_supervised(enum lifecycle_state state)
{
    return states[state].supervised;
}

int lifecycle_check(enum lifecycle_state state, enum lifecycle_verb verb,
                    const struct lifecycle_cell **ret_cell, struct error *err)
{
    const struct lifecycle_cell *cell = &table[verb][state];

    if (cell->outcome == LIFECYCLE_REFUSED)
        return error_set(err, -ESTALE, "it is %s; %s", states[state].name, cell->hint);
    if (ret_cell)
        *ret_cell = cell;
    return 0;
}

static void document_cell(struct str *out, const struct lifecycle_cell *c)
{
    switch (c->outcome) {
    case LIFECYCLE_REFUSED:
        str_add(out, "refused |");
        break;
    case LIFECYCLE_NOTHING:
        str_add(out, "nothing to do |");
        break;
    case LIFECYCLE_ALLOWED:
        str_add(out, "yes |");
        break;
    case LIFECYCLE_MOVES:
        str_addf(out, "-> %s |", states[c->next].name);
        break;
    case LIFECYCLE_REMOVED:
        str_add(out, "removed |");
        break;
    }
}

void lifecycle_document(struct str *out)
{
    str_add(out, "# The life of an instance\n\n"
                 "Generated from the table in src/instance/lifecycle.c; do not edit.\n\n"
                 "## States\n\n| state | meaning | supervisor |\n| --- | --- | --- |\n");
    for (unsigned s = 0; s < LIFECYCLE_STATES; s++)
        str_addf(out, "| %s | %s | %s |\n", states[s].name, states[s].about,
                 states[s].supervised ? "alive" : "none");
    str_add(out, "\n## What each verb does in each state\n\n| verb |");
    for (unsigned s = 0; s < LIFECYCLE_STATES; s++)
        str_addf(out, " %s |", states[s].name);
    str_add(out, "\n| --- |");
    for (unsigned s = 0; s < LIFECYCLE_STATES; s++)
        str_add(out, " --- |");
    for (unsigned v = 0; v < LIFECYCLE_VERBS; v++) {
        str_addf(out, "\n| %s |", verbs[v].name);
        for (unsigned s = 0; s < LIFECYCLE_STATES; s++) {
            str_add_char(out, ' ');
            document_cell(out, &table[v][s]);
        }
    }
    str_add(out, "\n\n\"refused\" is an error that says what to do instead; \"nothing to do\" "
                 "succeeds; \"yes\" is done and the\nstate stays. Rows in parentheses happen by "
                 "themselves.\n\n## Verbs\n\n");
    for (unsigned v = 0; v < LIFECYCLE_VERBS; v++)
        str_addf(out, "- %s: %s\n", verbs[v].name, verbs[v].about);
}
