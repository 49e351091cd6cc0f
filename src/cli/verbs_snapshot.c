/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of machines. */
#include "cli/verb_table.h"

static const struct option ls_options[] = {NAME_LIST_OPTIONS, END};
static const struct option inspect_options[] = {NAME_INSPECT_OPTIONS("{{.Instance}}"), END};
static const struct option rm_options[] = {NAME_RM_OPTIONS, END};

static const struct option restore_options[] = {
    VALUE(OPTION_TEXT, "name", 0, "NAME", "Name of the new instance; one is generated otherwise"),
    FLAG("new-ports", 0, "Free ports of the host instead of those of then; no VNC server"),
    END,
};

static const struct option fork_options[] = {
    VALUE(OPTION_UINT, "count", 'n', "COUNT", "How many", .initial = "1"),
    VALUE(OPTION_TEXT, "name", 0, "PATTERN",
          "Their names, with a % where a number goes; NAME-% unless given"),
    END,
};

const struct verb snapshot_verbs[] = {
    {
        .name = "fork",
        .group = "Machines",
        .synopsis = "[OPTIONS] INSTANCE",
        .brief = "Start copies of a running machine",
        .help = "Start machines that go on from what a running one is now; print their ids.",
        .man =
            "Memory is shared until one of them writes to it; the machine that is forked stands "
            "still only while processors and devices are saved and the drives that its guest "
            "may write are copied. A fork has drives, name, UUID and MAC address of its own (its "
            "guest sees the last two when it boots the next time), a network of its own "
            "(connections of then are gone) and free ports of the host; it has no VNC server. "
            "It needs the first machine no more. When it is started again after its end, it "
            "boots.",
        .positional = COMPLETE_RUNNING,
        .options = fork_options,
        .examples =
            EXAMPLES({"isola fork web", "Start web-1."},
                     {"isola fork -n 8 --name worker-% web", "Start worker-1 to worker-8."}),
        .min = 1,
        .max = 1,
        .run = verb_fork,
    },
    {
        .name = "snapshot create",
        .group = "Machines",
        .synopsis = "INSTANCE [NAME]",
        .brief = "Keep what a machine is now",
        .help = "Keep processors, memory, devices and drives of a running machine; print the name.",
        .man = "The machine stands still while its state and drives are taken and goes on while "
               "its memory is written. Without NAME the snapshot is called after the instance and "
               "the time. Drives that the guest may write are kept as qcow2 images.",
        .positional = COMPLETE_RUNNING,
        .examples = EXAMPLES({"isola snapshot create web before-upgrade", "Keep it."},
                             {"isola restore before-upgrade --name web2",
                              "A second machine that goes on from there."}),
        .min = 1,
        .max = 2,
        .run = verb_snapshot_create,
    },
    {
        .name = "snapshot ls",
        .aliases = "snapshot_list",
        .group = "Machines",
        .synopsis = "[OPTIONS]",
        .brief = "List snapshots",
        .help = "List snapshots, newest first.",
        .options = ls_options,
        .examples = EXAMPLES({"isola snapshot ls -q", "Only their names."}),
        .run = verb_snapshot_ls,
    },
    {
        .name = "snapshot inspect",
        .group = "Machines",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Show snapshots",
        .help = "Show what is known about snapshots.",
        .options = inspect_options,
        .examples = EXAMPLES({"isola snapshot inspect before-upgrade", "As JSON."}),
        .min = 1,
        .max = -1,
        .run = verb_snapshot_inspect,
    },
    {
        .name = "snapshot rm",
        .aliases = "snapshot_remove",
        .group = "Machines",
        .synopsis = "[OPTIONS] NAME...",
        .brief = "Remove snapshots",
        .help = "Remove snapshots, unless an instance came from them.",
        .options = rm_options,
        .examples = EXAMPLES({"isola snapshot rm before-upgrade", "Remove one."}),
        .min = 1,
        .max = -1,
        .run = verb_snapshot_rm,
    },
    {
        .name = "restore",
        .group = "Machines",
        .synopsis = "[OPTIONS] SNAPSHOT",
        .brief = "Go on from a snapshot",
        .help =
            "Start a new instance that goes on from a snapshot, in the background; print its id.",
        .man = "Each gets drives of its own, overlays of what they were, and a network of its own: "
               "connections of then are gone. When it is started again after its end, it boots.",
        .options = restore_options,
        .examples = EXAMPLES({"isola restore before-upgrade", "Go on from there."},
                             {"isola restore --new-ports before-upgrade",
                              "Beside the machine that it was taken from."}),
        .min = 1,
        .max = 1,
        .run = verb_restore,
    },
    {0},
};
