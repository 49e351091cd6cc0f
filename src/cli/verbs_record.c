/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings of machines. */
#include "cli/verb_table.h"

static const struct option ls_options[] = {NAME_LIST_OPTIONS, END};
static const struct option inspect_options[] = {NAME_INSPECT_OPTIONS("{{.Instructions}}"), END};
static const struct option rm_options[] = {NAME_RM_OPTIONS, END};

static const struct option replay_options[] = {
    VALUE(OPTION_UINT, "to", 0, "COUNT", "Stop after so many instructions since power-on"),
    VALUE(OPTION_TEXT, "at", 0, "SECONDS", "Go to this guest time, from the checkpoint before it"),
    FLAG("quiet", 'q', "Do not print what the guest writes to its console"),
    JSON,
    END,
};

const struct verb record_verbs[] = {
    {
        .name = "record ls",
        .aliases = "record_list",
        .group = "Machines",
        .synopsis = "[OPTIONS]",
        .brief = "List recordings",
        .help = "List recordings of machines that ran with --record, newest first.",
        .options = ls_options,
        .examples = EXAMPLES({"isola record ls -q", "Only their names."}),
        .run = verb_record_ls,
    },
    {
        .name = "record inspect",
        .group = "Machines",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Show recordings",
        .help = "Show how long recordings are and how they end.",
        .options = inspect_options,
        .examples = EXAMPLES({"isola record inspect -f '{{.Instructions}}' boot",
                              "The number of instructions in it."}),
        .min = 1,
        .max = -1,
        .run = verb_record_inspect,
    },
    {
        .name = "record rm",
        .aliases = "record_remove",
        .group = "Machines",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Remove recordings",
        .help = "Remove recordings.",
        .options = rm_options,
        .examples = EXAMPLES({"isola record rm boot", "Remove one."}),
        .min = 1,
        .max = -1,
        .run = verb_record_rm,
    },
    {
        .name = "replay",
        .group = "Machines",
        .synopsis = "[OPTIONS] NAME|FILE",
        .brief = "Let a recorded machine live again",
        .help = "Run a recording to its end and compare each step with it.",
        .man = "The machine that was run with --record NAME runs again from the recording alone: "
               "no drive, network or kernel file is needed. What its guest wrote to the console "
               "is printed; a last line says whether the replay was equal to the bit, and where "
               "it first was not. The status is 0 when it was equal, 1 when not. A recording "
               "whose machine was killed ends with what had been written.\n\nA NAME with a slash "
               "is the path of a recording file.",
        .options = replay_options,
        .examples =
            EXAMPLES({"isola run --vm --record boot --kernel vmlinuz --initrd initrd.img",
                      "Record a machine's life."},
                     {"isola replay boot", "Live it again."},
                     {"isola replay --at 12.5 --json boot", "Go to that second of guest time."}),
        .min = 1,
        .max = 1,
        .run = verb_replay,
    },
    {0},
};
