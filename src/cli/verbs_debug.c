/* SPDX-License-Identifier: Apache-2.0 */
/* What looks inside running machines. */
#include "cli/verb_table.h"

static const struct option gdb_options[] = {
    FLAG("stdio", 0, "Speak gdb's protocol on standard input and output",
         .man = "For gdb's command \"target remote | isola gdb --stdio INSTANCE\"."),
    VALUE(OPTION_TEXT, "listen", 0, "PORT|unix:PATH", "Wait there for one debugger instead",
          .man = "A port of 127.0.0.1, or the absolute path of a socket that only you can reach. "
                 "The command ends with the connection."),
    VALUE(OPTION_TEXT, "kernel", 0, "VMLINUX", "Symbols of the running Linux kernel",
          .complete = COMPLETE_FILE,
          .man = "A vmlinux with symbols, of the kernel that runs. Where the kernel has moved "
                 "itself to (KASLR) is found out; it must have come far enough for that."),
    CHOICE("arch", 0, "x86-64|i386", "ARCH", "Whose registers gdb is told of", .initial = "x86-64",
           .man = "i386 for systems of 16 and 32 bits: gdb then takes their programs and shows "
                  "their code. A machine in 64-bit mode shows the lower halves."),
    END,
};

static const struct option trace_options[] = {
    FLAG("json", 0, "One JSON object per line"),
    VALUE(OPTION_UINT, "cpu", 0, "N", "Only events of this processor"),
    VALUE(OPTION_TEXT, "vector", 0, "N", "Only interrupts and exceptions of this vector",
          .man = "Decimal, or hexadecimal with 0x."),
    VALUE(OPTION_TEXT, "device", 0, "NAME", "Only this device (a part of its name)"),
    VALUE(OPTION_UINT, "count", 'n', "N", "End after N events"),
    VALUE(OPTION_UINT, "time", 't', "SECONDS", "End after so many seconds"),
    END,
};

const struct verb debug_verbs[] = {
    {
        .name = "gdb",
        .group = "Machines",
        .synopsis = "[OPTIONS] INSTANCE [GDB ARGUMENTS...]",
        .brief = "Debug a machine with gdb",
        .help = "Debug a running virtual machine with gdb: its processors are gdb's threads.",
        .man = "Runs gdb, connected to the machine, which stands still until gdb lets it go on. "
               "Breakpoints and watchpoints are kept outside the guest, which can not see them; "
               "gdb's monitor command knows more (\"monitor help\"). When gdb leaves, "
               "breakpoints go and the machine goes on.",
        .options = gdb_options,
        .examples = EXAMPLES({"isola gdb --kernel vmlinux box", "Debug the kernel of box."},
                             {"isola gdb --listen 1234 box", "For gdb's \"target remote :1234\"."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .stop_at_positional = true,
        .run = verb_gdb,
    },
    {
        .name = "trace",
        .group = "Machines",
        .synopsis = "[OPTIONS] INSTANCE AREA...",
        .brief = "Follow what a machine does",
        .help = "Print what a running virtual machine does, as it happens, until ctrl-c.",
        .man = "Areas: exits (processors stop running guest code), interrupts, rings (changes of "
               "privilege), exceptions, paging (page faults, translations, address spaces), "
               "devices (accesses to ports and registers), drives (requests), frames (network), "
               "or all.\n\nEach line has the guest's time in seconds, the area, the processor and "
               "its RIP. A machine that does more than can be written is not slowed down: a line "
               "says how many events are missing. Nothing is measurably slower when nobody "
               "traces.",
        .options = trace_options,
        .examples = EXAMPLES(
            {"isola trace box interrupts exceptions", "What interrupts its kernel."},
            {"isola trace --device ide --count 100 box devices", "How a driver talks."},
            {"isola trace --json --vector 14 box exceptions", "Page faults, for a program."}),
        .min = 2,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_trace,
    },
    {0},
};
