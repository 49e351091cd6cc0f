/* SPDX-License-Identifier: Apache-2.0 */
/* What changes instances. */
#include "cli/verb_table.h"

static const struct option stop_options[] = {TIMEOUT, END};

static const struct option kill_options[] = {
    VALUE(OPTION_TEXT, "signal", 's', "SIGNAL", "Signal to send", .initial = "KILL",
          .complete = COMPLETE_SIGNAL,
          .man = "KILL ends a virtual machine at once; TERM and PWR press its power button. Other "
                 "signals need an agent in the guest and are not supported yet."),
    END,
};

static const struct option rm_options[] = {
    FLAG("force", 'f', "Kill it first when it runs; no error when it does not exist"),
    END,
};

static const struct option wait_options[] = {
    CHOICE("condition", 0, "not-running|next-exit|removed", "CONDITION", "What to wait for",
           .initial = "not-running"),
    END,
};

static const struct option prune_options[] = {
    FLAG("force", 'f', "Do not ask", .alias = "yes"),
    VALUE(OPTION_LIST, "filter", 0, "KEY=VALUE", "Only instances that match; repeatable",
          .man = "Keys as in \"isola ps\"."),
    END,
};

const struct verb act_verbs[] = {
    {
        .name = "stop",
        .group = "Act",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Shut down",
        .help = "Shut instances down: press the power button, and kill after a time.",
        .man = "A guest that does not answer its power button is killed after the timeout.",
        .options = stop_options,
        .examples = EXAMPLES({"isola stop -t 60 web", "Give web a minute to shut down."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_stop,
    },
    {
        .name = "kill",
        .group = "Act",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "End at once",
        .help = "End instances at once, without asking the guest.",
        .options = kill_options,
        .examples = EXAMPLES({"isola kill web", "As if the power was cut."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_kill,
    },
    {
        .name = "pause",
        .group = "Act",
        .synopsis = "INSTANCE...",
        .brief = "Stop the processors",
        .help = "Stop the processors of instances; guest time stands still.",
        .examples = EXAMPLES({"isola pause web", "Freeze web."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_pause,
    },
    {
        .name = "unpause",
        .group = "Act",
        .aliases = "resume",
        .synopsis = "INSTANCE...",
        .brief = "Let the processors go on",
        .help = "Let the processors of paused instances go on.",
        .examples = EXAMPLES({"isola unpause web", "Go on where \"isola pause\" stopped."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_PAUSED,
        .run = verb_unpause,
    },
    {
        .name = "wait",
        .group = "Act",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Wait for the end",
        .help = "Wait until instances have ended and print their exit statuses.",
        .man = "not-running returns at once for an instance that does not run, next-exit waits for "
               "the next end, removed for the removal.",
        .options = wait_options,
        .examples = EXAMPLES({"isola wait web", "Print the exit status of web once it has one."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_wait,
    },
    {
        .name = "rename",
        .group = "Act",
        .synopsis = "INSTANCE NAME",
        .brief = "Give another name",
        .help = "Give an instance another name.",
        .examples = EXAMPLES({"isola rename quick_newton web", "Call it web."}),
        .min = 2,
        .max = 2,
        .positional = COMPLETE_INSTANCE,
        .run = verb_rename,
    },
    {
        .name = "rm",
        .aliases = "remove delete",
        .group = "Act",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Remove instances",
        .help = "Remove instances with their logs. Disk images are not touched.",
        .options = rm_options,
        .examples = EXAMPLES({"isola rm -f web", "Remove web even if it runs."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_rm,
    },
    {
        .name = "prune",
        .group = "Act",
        .synopsis = "[OPTIONS]",
        .brief = "Remove all that have ended",
        .help = "Remove all instances that do not run, those never started included.",
        .man = "Asks first on a terminal; elsewhere --force (or --yes) is needed. \"isola system "
               "prune\" is the same.",
        .options = prune_options,
        .examples = EXAMPLES({"isola prune -f --filter label=ci", "Without asking, those with the "
                                                                  "label ci."}),
        .run = verb_prune,
    },
    {0},
};
