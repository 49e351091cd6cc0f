/* SPDX-License-Identifier: Apache-2.0 */
/* The host, the command itself, and what only Isola calls. */
#include "cli/verb_table.h"

static const struct option output_options[] = {
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template", .complete = COMPLETE_FORMAT),
    JSON,
    END,
};

static const struct option help_options[] = {
    FLAG("all", 'a', "Show every option"),
    END,
};

static const struct option systemd_options[] = {
    FLAG("user", 0, "For systemd's instance of this user"),
    VALUE(OPTION_TEXT, "restart", 0, "POLICY", "systemd's Restart=", .initial = "on-failure"),
    END,
};

const struct verb host_verbs[] = {
    {
        .name = "doctor",
        .aliases = "info",
        .group = "Host",
        .synopsis = "[OPTIONS]",
        .brief = "What this host can do",
        .help = "Say what this host can do for Isola, and why not.",
        .man = "The exit status is 1 when something that Isola needs is missing.",
        .options = output_options,
        .examples = EXAMPLES({"isola doctor", "Check this host."}),
        .run = verb_doctor,
    },
    {
        .name = "generate systemd",
        .group = "Host",
        .synopsis = "[OPTIONS] INSTANCE",
        .brief = "A unit for an instance",
        .help = "Print a unit file with which systemd starts and stops an instance.",
        .options = systemd_options,
        .examples = EXAMPLES({"isola generate systemd web > /etc/systemd/system/web.service",
                              "Start web with the host."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_generate_systemd,
    },
    {
        .name = "completion",
        .group = "Host",
        .synopsis = "bash|zsh|fish",
        .brief = "Completion for a shell",
        .help = "Print the completion script for a shell.",
        .man = "Installed packages bring the scripts along; this is for a binary that was copied.",
        .examples = EXAMPLES({"source <(isola completion bash)", "Complete in this shell."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_SHELL,
        .run = verb_completion,
    },
    {
        .name = "version",
        .group = "Host",
        .synopsis = "[OPTIONS]",
        .brief = "Show the version",
        .help = "Show the version of Isola.",
        .options = output_options,
        .examples = EXAMPLES({"isola version -f '{{.Version}}'", "Only the number."}),
        .run = verb_version,
    },
    {
        .name = "help",
        .group = "Host",
        .synopsis = "[OPTIONS] [COMMAND]",
        .brief = "How a command is used",
        .help = "Show the commands, or how one is used.",
        .options = help_options,
        .examples = EXAMPLES({"isola help --all run", "Every option of run."}),
        .max = 1,
        .positional = COMPLETE_VERB,
        .run = verb_help,
    },
    {0},
};

const struct verb hidden_verbs[] = {
    {.name = "__complete", .max = -1, .stop_at_positional = true, .run = verb_complete},
    {.name = "__man", .synopsis = "DIRECTORY", .min = 1, .max = 1, .run = verb_man},
    {.name = "__markdown", .run = verb_markdown},
    {.name = "supervise", .synopsis = "ID [COUNT]", .min = 1, .max = 2, .run = verb_supervise},
    {0},
};
