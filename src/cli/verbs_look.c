/* SPDX-License-Identifier: Apache-2.0 */
/* What shows instances. */
#include "cli/verb_table.h"

static const struct option ps_options[] = {
    FLAG("all", 'a', "Stopped instances too"),
    VALUE(OPTION_LIST, "filter", 'f', "KEY=VALUE", "Only instances that match; repeatable",
          .complete = COMPLETE_FILTER,
          .man = "Keys: id, name (a part of it), label (KEY or KEY=VALUE), status (created, "
                 "running, paused, restarting, exited, dead), exited (a status), wall, accel. "
                 "Values of one key are alternatives, except labels, and different keys must all "
                 "match. A filter "
                 "by status or exited implies --all."),
    VALUE(OPTION_UINT, "last", 'n', "N", "The N youngest, stopped ones too"),
    FLAG("latest", 'l', "The youngest, stopped or not"),
    LIST_OPTIONS,
    END,
};

static const struct option inspect_options[] = {
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template: '{{.State.Status}}'",
          .complete = COMPLETE_FORMAT,
          .man = "json prints one array of objects. Everything else is a template that is printed "
                 "once per instance: see TEMPLATES in isola(1)."),
    JSON,
    FLAG("live", 0, "Add what the running machine says of itself"),
    FLAG("report", 0, "What a running machine does now, as text",
         .man = "Processors with their rings, modes and control registers, interrupt controllers "
                "and what they route where, the memory map, devices. The machine stands still for "
                "as long as it is looked at."),
    VALUE(OPTION_TEXT, "walk", 0, "ADDRESS", "The page tables on the way to a linear address",
          .man = "As each processor of the running machine sees it."),
    END,
};

static const struct option logs_options[] = {
    FLAG("follow", 'f', "Go on with new output until the instance ends"),
    VALUE(OPTION_TEXT, "tail", 'n', "N", "Only the last N lines", .initial = "all"),
    VALUE(OPTION_TEXT, "since", 0, "TIME", "Only output after a time: 10m, 2026-01-31T12:00:00"),
    VALUE(OPTION_TEXT, "until", 0, "TIME", "Only output before a time"),
    FLAG("timestamps", 't', "Begin each line with its time"),
    END,
};

static const struct option stats_options[] = {
    FLAG("all", 'a', "Stopped instances too"),
    FLAG("counters", 0, "What the processors and devices of a machine have counted",
         .man = "Of virtual machines that are named: instructions, exits, interrupts by vector, "
                "exceptions, translations, requests of drives, frames. Printed once, with --json "
                "one object a machine."),
    FLAG("no-stream", 0, "Print once instead of going on"),
    FORMAT,
    JSON,
    FLAG("no-trunc", 0, "Full ids"),
    END,
};

static const struct option port_options[] = {FLAG("json", 0, "Print a JSON array"), END};

static const struct option events_options[] = {
    VALUE(OPTION_LIST, "filter", 'f', "KEY=VALUE", "Only events that match; repeatable",
          .man = "Keys: event (create, start, die, ...), instance (a name or id)."),
    VALUE(OPTION_TEXT, "since", 0, "TIME", "Begin with events after a time"),
    VALUE(OPTION_TEXT, "until", 0, "TIME", "End at a time"),
    VALUE(OPTION_TEXT, "format", 0, "FORMAT", "json, or a template: '{{.Event}}'",
          .complete = COMPLETE_FORMAT, .man = "json prints one object per line."),
    JSON,
    END,
};

static const struct option top_options[] = {
    VALUE(OPTION_TEXT, "format", 0, "FORMAT", "table, json, or a template",
          .complete = COMPLETE_FORMAT),
    JSON,
    END,
};

const struct verb look_verbs[] = {
    {
        .name = "ps",
        .aliases = "ls list",
        .group = "Look",
        .synopsis = "[OPTIONS]",
        .brief = "List instances",
        .help = "List the running instances.",
        .man = "The truth is checked: an instance whose supervisor was killed is shown as dead.",
        .options = ps_options,
        .examples =
            EXAMPLES({"isola ps -a", "Stopped instances too."},
                     {"isola ps -aq --filter status=exited", "The ids of all that have ended."},
                     {"isola ps --format '{{.Name}}: {{.Status}}'", "Choose what is printed."}),
        .run = verb_ps,
    },
    {
        .name = "inspect",
        .group = "Look",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Everything about instances",
        .help = "Print everything that is known about instances as JSON.",
        .options = inspect_options,
        .examples = EXAMPLES({"isola inspect web", "The whole description."},
                             {"isola inspect -f '{{.State.Status}}' web", "One field."},
                             {"isola inspect --walk 0xffffffff81000000 box",
                              "Where the kernel of box has this address."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_inspect,
    },
    {
        .name = "logs",
        .group = "Look",
        .synopsis = "[OPTIONS] INSTANCE",
        .brief = "Show console output",
        .help = "Show what an instance has written to its console.",
        .man = "Logs are kept until the instance is removed; --log-max-size and --log-max-files of "
               "\"isola run\" bound them.\n\nA TIME is a duration before now (90s, 10m, 2h, 3d), a "
               "date with optional "
               "time (2026-01-31, 2026-01-31T12:00:00, with Z or an offset such as +02:00; local "
               "time without), or seconds since 1970.",
        .options = logs_options,
        .examples = EXAMPLES({"isola logs -f --tail 20 web", "The last 20 lines, then new ones."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_logs,
    },
    {
        .name = "stats",
        .group = "Look",
        .synopsis = "[OPTIONS] [INSTANCE...]",
        .brief = "Show use of resources",
        .help = "Show what instances use of processors, memory, network and disks.",
        .man = "The table is renewed every second until ctrl-c. CPU % counts one host processor "
               "as 100.",
        .options = stats_options,
        .examples = EXAMPLES({"isola stats --no-stream", "One look at all that run."}),
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_stats,
    },
    {
        .name = "port",
        .group = "Look",
        .synopsis = "[OPTIONS] INSTANCE [PORT[/PROTO]]",
        .brief = "List published ports",
        .help = "List the published ports of an instance, or where one guest port is published.",
        .options = port_options,
        .examples = EXAMPLES({"isola port web 80", "Where the guest's port 80 is reached."}),
        .min = 1,
        .max = 2,
        .positional = COMPLETE_INSTANCE,
        .run = verb_port,
    },
    {
        .name = "events",
        .group = "Look",
        .synopsis = "[OPTIONS]",
        .brief = "Follow what happens",
        .help = "Print what happens to instances as it happens.",
        .man = "With --until the command ends at that time; without it goes on until ctrl-c.",
        .options = events_options,
        .examples =
            EXAMPLES({"isola events --since 1h --until 0s", "What happened in the last hour."}),
        .run = verb_events,
    },
    {
        .name = "top",
        .group = "Look",
        .synopsis = "[OPTIONS] INSTANCE",
        .brief = "List its processes",
        .help = "List the processes of a running container, with the host's numbers.",
        .options = top_options,
        .examples = EXAMPLES({"isola top web", "What runs in web."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_RUNNING,
        .run = verb_top,
    },
    {
        .name = "diff",
        .group = "Look",
        .synopsis = "INSTANCE",
        .brief = "List changed files",
        .help = "List the files of a container that differ from its image: A, C, D for added, "
                "changed, deleted.",
        .examples = EXAMPLES({"isola diff web", "What web has written."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_diff,
    },
    {0},
};
