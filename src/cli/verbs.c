/* SPDX-License-Identifier: Apache-2.0 */
/* The commands and their options. docs/commands.md is generated from this file. */
#include "cli/option.h"

#include <string.h>

#include "base/mem.h"
#include "cli/verbs.h"

/* A boolean, a text and so on with the least typing; further fields follow by name. */
#define FLAG(name_, letter_, help_, ...)                                                           \
    {                                                                                              \
        .name = name_, .letter = letter_, .kind = OPTION_BOOL, .help = help_, ##__VA_ARGS__        \
    }
#define VALUE(kind_, name_, letter_, value_, help_, ...)                                           \
    {                                                                                              \
        .name = name_, .letter = letter_, .kind = kind_, .value = value_, .help = help_,           \
        ##__VA_ARGS__                                                                              \
    }
#define CHOICE(name_, letter_, choices_, value_, help_, ...)                                       \
    VALUE(OPTION_CHOICE, name_, letter_, value_, help_, .choices = choices_,                       \
          .complete = COMPLETE_CHOICE, ##__VA_ARGS__)
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

const char *const verb_groups[] = {"Start", "Look", "Act", "Host", NULL};

#define DETACH_KEYS                                                                                \
    VALUE(OPTION_TEXT, "detach-keys", 0, "KEYS", "Keys that detach, such as ctrl-a,d",             \
          .more = true, .initial = "ctrl-p,ctrl-q",                                                \
          .man = "Keys separated by commas, each a letter or ctrl- with a letter or one of "       \
                 "@[\\]^_. An empty text switches detaching off. With the default, ctrl-] "        \
                 "detaches from the console of a virtual machine too.")

#define FORMAT                                                                                     \
    VALUE(OPTION_TEXT, "format", 0, "FORMAT", "table, json, or a template: '{{.Name}}'",           \
          .complete = COMPLETE_FORMAT,                                                             \
          .man = "table prints aligned columns, json one array of objects. Everything else is a "  \
                 "template that is printed once per object: see TEMPLATES in isola(1). \"table "   \
                 "TEMPLATE\" prints the template's fields as columns with headings.")
#define JSON FLAG("json", 0, "The same as --format json")

/* Options of run and create: what a virtual machine is made of. */
#define MACHINE_OPTIONS                                                                            \
    FLAG("vm", 0, "Isolate by a virtual machine",                                                  \
         .man = "The wall of the instance. Containers are not supported yet, so that --vm is "     \
                "needed today."),                                                                  \
        VALUE(OPTION_TEXT, "kernel", 0, "FILE", "Kernel to boot: bzImage or ELF",                  \
              .complete = COMPLETE_FILE,                                                           \
              .man = "A Linux bzImage, an ELF file with a PVH entry, or a multiboot 1 ELF file."), \
        VALUE(OPTION_TEXT, "initrd", 0, "FILE", "Initial RAM disk for the kernel",                 \
              .complete = COMPLETE_FILE),                                                          \
        VALUE(OPTION_TEXT, "append", 0, "TEXT", "Kernel command line",                             \
              .man = "One argument: quote it. console=ttyS0 sends the kernel's messages to the "   \
                     "terminal that --tty and --interactive connect."),                            \
        VALUE(OPTION_LIST, "disk", 0, "FILE[,ro,...]", "Attach a disk image; repeatable",          \
              .complete = COMPLETE_DISK,                                                           \
              .man = "Attach FILE as a virtio disk: the first is /dev/vda. After the file name "   \
                     "follow, separated by commas: ro (the guest cannot write), format=raw, "      \
                     "serial=TEXT, cache=writeback or cache=unsafe, discard=on or discard=off."),  \
        VALUE(OPTION_SIZE, "memory", 'm', "SIZE", "Memory, such as 512m or 2g", .initial = "512m", \
              .man = "Memory of the guest. Suffixes k, m, g and t are binary; a bare number is "   \
                     "bytes. Host memory is taken as the guest touches it."),                      \
        VALUE(OPTION_UINT, "cpus", 0, "N", "Number of processors", .initial = "1"),                \
        CHOICE("network", 0, "nat|none", "nat|none", "The guest's network", .alias = "net",        \
               .initial = "nat",                                                                   \
               .man = "nat: the guest gets 10.0.2.15 by DHCP and reaches what the host reaches, "  \
                      "without root; nothing reaches the guest except published ports. none: no "  \
                      "network device."),                                                          \
        VALUE(OPTION_LIST, "publish", 'p', "[IP:]HOST:GUEST", "Publish a port; repeatable",        \
              .man = "Forward a port of the host to the guest, as [IP:]HOSTPORT:GUESTPORT with "   \
                     "an optional /tcp or /udp. The address is 127.0.0.1 unless given; 0.0.0.0 "   \
                     "lets other computers in."),                                                  \
        VALUE(OPTION_TEXT, "name", 0, "NAME", "Name of the instance",                              \
              .man = "Letters, digits, and after the first also _ . and -. A name is generated "   \
                     "when none is given."),                                                       \
        FLAG("rm", 0, "Remove the instance when it ends"),                                         \
        FLAG("interactive", 'i', "Connect standard input"),                                        \
        FLAG("tty", 't', "Connect the terminal"),                                                  \
        VALUE(OPTION_LIST, "label", 'l', "KEY=VALUE", "Attach a label; repeatable", .more = true), \
        VALUE(OPTION_TEXT, "restart", 0, "POLICY", "What to do when it ends by itself",            \
              .more = true,                                                                        \
              .man = "no, on-failure or on-failure:N (N attempts), always, or unless-stopped.",    \
              .initial = "no", .choices = "no|on-failure|always|unless-stopped",                   \
              .complete = COMPLETE_CHOICE),                                                        \
        VALUE(OPTION_UINT, "stop-timeout", 0, "SECONDS", "Patience of stop until it kills",        \
              .more = true, .initial = "10"),                                                      \
        CHOICE("accel", 0, "auto|interp|jit|kvm", "NAME", "What runs the processors",              \
               .more = true, .initial = "auto",                                                    \
               .man = "auto takes the fastest that works on this host; \"isola doctor\" says "     \
                      "which do and why not. interp is the portable interpreter."),                \
        VALUE(OPTION_TEXT, "cpu", 0, "MODEL", "Processor model the guest sees", .more = true),     \
        CHOICE("machine", 0, "pc", "BOARD", "Board of the machine", .more = true,                  \
               .initial = "pc"),                                                                   \
        CHOICE("serial", 0, "console|virtio|none", "KIND", "What the console is", .more = true,    \
               .initial = "console",                                                               \
               .man = "console: the first serial port, ttyS0 in Linux. virtio: a virtio console, " \
                      "hvc0. none: no console."),                                                  \
        VALUE(OPTION_TEXT, "uuid", 0, "UUID", "UUID of the machine (SMBIOS)", .more = true,        \
              .man = "Made from the instance's id when none is given."),                           \
        VALUE(OPTION_TEXT, "mac", 0, "ADDRESS", "Address of the network card", .more = true),      \
        FLAG("no-reboot", 0, "End instead of rebooting", .more = true,                             \
             .man = "A reboot ends the instance with status 0, a triple fault with status 102."),  \
        FLAG("paused", 0, "Start with stopped processors", .more = true,                           \
             .man = "\"isola unpause\" lets them go."),                                            \
        FLAG("debug-exit", 0, "Port 0xf4 ends the machine", .more = true,                          \
             .man = "The guest writes a value to port 0xf4; the instance ends with status "        \
                    "(value << 1) | 1."),                                                          \
        FLAG("debug-console", 0, "Log what is written to port 0x402", .more = true,                \
             .man = "\"isola logs\" shows it among the console's output."),                        \
        VALUE(OPTION_SIZE, "log-max-size", 0, "SIZE", "Size at which the log is rotated",          \
              .more = true, .initial = "10m"),                                                     \
        VALUE(OPTION_UINT, "log-max-files", 0, "N", "Log files kept, the current one included",    \
              .more = true, .initial = "3"),                                                       \
        VALUE(OPTION_TEXT, "cidfile", 0, "FILE", "Write the instance's id to a new file",          \
              .more = true, .complete = COMPLETE_FILE)

static const struct option run_options[] = {
    MACHINE_OPTIONS,
    FLAG("detach", 'd', "Run in the background and print the id"),
    DETACH_KEYS,
    FLAG("sig-proxy", 0, "Pass signals on to the instance", .more = true, .initial = "true",
         .man = "Without a terminal, SIGTERM, SIGINT, SIGHUP and SIGQUIT are passed on. With "
                "--sig-proxy=false they end the command and leave the instance running."),
    END,
};

static const struct option create_options[] = {MACHINE_OPTIONS, END};

static const struct option start_options[] = {
    FLAG("attach", 'a', "Connect standard output and wait for the end"),
    FLAG("interactive", 'i', "Connect standard input and output"),
    DETACH_KEYS,
    END,
};

#define LIST_OPTIONS                                                                               \
    FORMAT, JSON, FLAG("no-trunc", 0, "Full ids and texts"), FLAG("quiet", 'q', "Print only ids")

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
    END,
};

#define TIMEOUT                                                                                    \
    VALUE(OPTION_UINT, "timeout", 't', "SECONDS", "Seconds until it is killed", .alias = "time",   \
          .man = "Default: the instance's --stop-timeout. 0 kills at once.")

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

static const struct option logs_options[] = {
    FLAG("follow", 'f', "Go on with new output until the instance ends"),
    VALUE(OPTION_TEXT, "tail", 'n', "N", "Only the last N lines", .initial = "all"),
    VALUE(OPTION_TEXT, "since", 0, "TIME", "Only output after a time: 10m, 2026-01-31T12:00:00"),
    VALUE(OPTION_TEXT, "until", 0, "TIME", "Only output before a time"),
    FLAG("timestamps", 't', "Begin each line with its time"),
    END,
};

static const struct option attach_options[] = {
    DETACH_KEYS,
    FLAG("no-stdin", 0, "Do not connect standard input"),
    FLAG("sig-proxy", 0, "Pass signals on to the instance", .initial = "true"),
    END,
};

static const struct option stats_options[] = {
    FLAG("all", 'a', "Stopped instances too"),
    FLAG("no-stream", 0, "Print once instead of going on"),
    FORMAT,
    JSON,
    FLAG("no-trunc", 0, "Full ids"),
    END,
};

static const struct option wait_options[] = {
    CHOICE("condition", 0, "not-running|next-exit|removed", "CONDITION", "What to wait for",
           .initial = "not-running"),
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

static const struct option prune_options[] = {
    FLAG("force", 'f', "Do not ask", .alias = "yes"),
    VALUE(OPTION_LIST, "filter", 0, "KEY=VALUE", "Only instances that match; repeatable",
          .man = "Keys as in \"isola ps\"."),
    END,
};

static const struct option output_options[] = {
    VALUE(OPTION_TEXT, "format", 'f', "FORMAT", "json, or a template", .complete = COMPLETE_FORMAT),
    JSON,
    END,
};

static const struct option help_options[] = {
    FLAG("all", 'a', "Show every option"),
    END,
};

#define EXAMPLES(...)                                                                              \
    (const struct example[])                                                                       \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

#define EXIT_STATUS_OF_RUN                                                                         \
    "The exit status is the guest's: 0 when it powered off, the value written to the debug-exit "  \
    "port, 101 when its kernel panicked (seen by pvpanic), 102 on a triple fault with "            \
    "--no-reboot, 128 plus the signal's number when it was killed, 0 when you detached, and 125 "  \
    "when Isola itself failed."

const struct verb verbs[] = {
    {
        .name = "run",
        .group = "Start",
        .synopsis = "[OPTIONS] --vm --kernel FILE",
        .brief = "Create and start",
        .help = "Create an instance, start it, and wait for its end.",
        .man = "Makes an instance and starts it. Without --detach the command shows the console "
               "of the guest until it ends: add -it to type into it.\n\n" EXIT_STATUS_OF_RUN
               "\n\nEverything after the options belongs to the guest; the option list ends at "
               "the first argument that is not an option.",
        .options = run_options,
        .examples = EXAMPLES(
            {"isola run --vm -it --rm --kernel vmlinuz --initrd initrd.img --append console=ttyS0",
             "Boot a kernel and its initial RAM disk, with the console in this terminal."},
            {"isola run --vm -d --name web -m 1g --cpus 2 -p 8080:80 --kernel vmlinuz --disk "
             "root.img --append 'root=/dev/vda console=ttyS0'",
             "Start a system from a disk image in the background."}),
        .max = -1,
        .positional = COMPLETE_NONE,
        .stop_at_positional = true,
        .run = verb_run,
    },
    {
        .name = "create",
        .group = "Start",
        .synopsis = "[OPTIONS] --vm --kernel FILE",
        .brief = "Create without starting",
        .help = "Create an instance without starting it and print its id.",
        .man = "The instance is started later by \"isola start\".",
        .options = create_options,
        .examples = EXAMPLES({"isola create --vm --name web --kernel vmlinuz --disk root.img",
                              "Create an instance that \"isola start web\" boots."}),
        .max = -1,
        .stop_at_positional = true,
        .run = verb_create,
    },
    {
        .name = "start",
        .group = "Start",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Start stopped instances",
        .help = "Start instances that were created or have ended.",
        .man = "With --attach or --interactive one instance is started, its console is shown, and "
               "the exit status is the guest's, as with \"isola run\".",
        .options = start_options,
        .examples = EXAMPLES({"isola start -ai web", "Start web with its console in this "
                                                     "terminal."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_STOPPED,
        .run = verb_start,
    },
    {
        .name = "restart",
        .group = "Start",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Stop and start again",
        .help = "Stop instances as \"isola stop\" does and start them again.",
        .options = stop_options,
        .examples = EXAMPLES({"isola restart -t 30 web", "Give web half a minute to shut down."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_restart,
    },
    {
        .name = "attach",
        .group = "Start",
        .synopsis = "[OPTIONS] INSTANCE",
        .brief = "Connect to the console",
        .help = "Connect this terminal to the console of a running instance.",
        .man = "What you type goes to the guest's first serial port. ctrl-p ctrl-q, or ctrl-], "
               "detaches and leaves the instance running. " EXIT_STATUS_OF_RUN,
        .options = attach_options,
        .examples = EXAMPLES({"isola attach web", "Connect to web; ctrl-p ctrl-q leaves."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_RUNNING,
        .run = verb_attach,
    },
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
                             {"isola inspect -f '{{.State.Status}}' web", "One field."}),
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
    {.name = "__complete", .max = -1, .stop_at_positional = true, .run = verb_complete},
    {.name = "__man", .synopsis = "DIRECTORY", .min = 1, .max = 1, .run = verb_man},
    {.name = "__markdown", .run = verb_markdown},
    {.name = "supervise", .synopsis = "ID", .min = 1, .max = 1, .run = verb_supervise},
    {0},
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *v = verbs; v->name; v++) {
        size_t n = strlen(name);

        if (strcmp(v->name, name) == 0)
            return v;
        for (const char *a = v->aliases; a && *a; a += strcspn(a, " "), a += *a == ' ') {
            if (strcspn(a, " ") == n && strncmp(a, name, n) == 0)
                return v;
        }
    }
    return NULL;
}
