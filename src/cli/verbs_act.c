/* SPDX-License-Identifier: Apache-2.0 */
/* What changes instances. */
#include "cli/verb_table.h"

static const struct option stop_options[] = {TIMEOUT, END};

static const struct option kill_options[] = {
    VALUE(OPTION_TEXT, "signal", 's', "SIGNAL", "Signal to send", .initial = "KILL",
          .complete = COMPLETE_SIGNAL,
          .man = "Any signal for a container, by name or number. KILL ends a virtual machine at "
                 "once; TERM and PWR press its power button; others need an agent in the guest and "
                 "are not supported yet."),
    END,
};

static const struct option rm_options[] = {
    FLAG("force", 'f', "Kill it first when it runs; no error when it does not exist"),
    FLAG("volumes", 'v', "Its volumes without names, too"),
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

static const struct option update_options[] = {
    VALUE(OPTION_SIZE, "memory", 'm', "SIZE", "Memory"),
    VALUE(OPTION_TEXT, "memory-swap", 0, "SIZE", "Memory and swap together, -1: no limit"),
    VALUE(OPTION_SIZE, "memory-reservation", 0, "SIZE", "Soft limit of memory"),
    VALUE(OPTION_TEXT, "cpus", 0, "N", "Processors, such as 1.5"),
    VALUE(OPTION_UINT, "cpu-shares", 'c', "N", "Relative weight"),
    VALUE(OPTION_UINT, "cpu-period", 0, "MICROSECONDS", "Period of the quota"),
    VALUE(OPTION_TEXT, "cpu-quota", 0, "MICROSECONDS", "Time per period"),
    VALUE(OPTION_TEXT, "cpuset-cpus", 0, "LIST", "Processors to run on"),
    VALUE(OPTION_TEXT, "cpuset-mems", 0, "LIST", "Memory nodes"),
    VALUE(OPTION_TEXT, "pids-limit", 0, "N", "Most tasks, -1: no limit"),
    VALUE(OPTION_TEXT, "restart", 0, "POLICY", "What to do when it ends by itself",
          .choices = "no|on-failure|always|unless-stopped", .complete = COMPLETE_CHOICE),
    VALUE(OPTION_UINT, "stop-timeout", 0, "SECONDS", "Patience of stop until it kills"),
    END,
};

static const struct option screenshot_options[] = {
    FLAG("text", 't', "The text of a text mode instead of a picture"),
    END,
};

static const struct option type_options[] = {
    FLAG("enter", 'e', "Press enter afterwards"),
    END,
};

static const struct option media_options[] = {
    FLAG("eject", 0, "Take the disc out"),
    END,
};

static const struct option export_options[] = {
    VALUE(OPTION_TEXT, "output", 'o', "FILE", "Write to a file", .complete = COMPLETE_FILE),
    END,
};

static const struct option cp_options[] = {
    FLAG("archive", 'a', "Keep owners, times and attributes"),
    FLAG("follow-link", 'L', "Copy what a link to a directory leads to"),
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
        .man =
            "The time of a virtual machine stood still meanwhile, as that of QEMU's machines does: "
            "no timer ran out, and its system time is behind. Its real-time clock shows the "
            "host's time again, so that hwclock -s in a Linux guest, or its NTP client, puts that "
            "right; in a machine made from an image Isola does.",
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
        .name = "device add",
        .group = "Machines",
        .synopsis = "INSTANCE disk FILE[,...] | INSTANCE nic [ADDRESS]",
        .brief = "Plug in a disk or a nic",
        .help = "Plug a disk or network adapter into a virtual machine, while it runs or not.",
        .man = "The options after the file name are those of --disk; the bus is virtio. A network "
               "adapter is a virtio one with a NAT of its own, 10.0.3.0/24 for the first; without "
               "ADDRESS it gets one, which is printed. A running guest is told by ACPI PCI "
               "hot-plug and needs a driver for that, as Linux has.",
        .examples = EXAMPLES({"isola device add web disk data.img", "One more disk for web."},
                             {"isola device add web nic", "One more network adapter."}),
        .min = 2,
        .max = 3,
        .positional = COMPLETE_INSTANCE,
        .run = verb_device_add,
    },
    {
        .name = "device rm",
        .aliases = "device_remove",
        .group = "Machines",
        .synopsis = "INSTANCE disk FILE | INSTANCE nic ADDRESS",
        .brief = "Take out a disk or a nic",
        .help = "Take a disk or network adapter out of a virtual machine, while it runs or not.",
        .man = "A running guest is asked to let go of it and may take its time; the file is in use "
               "until it has. Disks on other buses than virtio stay until the machine has ended; "
               "the first network adapter stays.",
        .examples = EXAMPLES({"isola device rm web disk data.img", "Take that disk out again."},
                             {"isola device rm web nic 52:54:00:12:34:56", "Or that adapter."}),
        .min = 3,
        .max = 3,
        .positional = COMPLETE_INSTANCE,
        .run = verb_device_rm,
    },
    {
        .name = "media",
        .group = "Machines",
        .synopsis = "INSTANCE DRIVE FILE | INSTANCE DRIVE --eject",
        .brief = "Change a disc",
        .help = "Put another disc into a drive of a virtual machine, or take the disc out.",
        .man = "DRIVE is cdrom or floppy. The machine must have the drive: it was started with "
               "--cdrom or --floppy, if only with --cdrom none for an empty one. The guest is told "
               "as by a user who opens "
               "the drive, and its lock does not hold. An instance that does not run finds the "
               "disc when it starts.",
        .options = media_options,
        .examples = EXAMPLES({"isola media web cdrom second.iso", "Insert the second disc."},
                             {"isola media web cdrom --eject", "Leave the drive empty."}),
        .min = 2,
        .max = 3,
        .positional = COMPLETE_INSTANCE,
        .run = verb_media,
    },
    {
        .name = "screenshot",
        .group = "Machines",
        .synopsis = "[OPTIONS] INSTANCE [FILE]",
        .brief = "Take a picture of its screen",
        .help = "Write what the screen of a virtual machine shows as a PNG picture, or as text.",
        .man = "Without FILE the picture goes to stdout. The machine must have a screen: it was "
               "started with --vga std or --display, or it boots through firmware. --text works in "
               "text modes, such as those of a BIOS, and prints lines of UTF-8.",
        .options = screenshot_options,
        .examples = EXAMPLES({"isola screenshot web screen.png", "See what web shows."},
                             {"isola screenshot --text web", "Read it, while it is text."}),
        .min = 1,
        .max = 2,
        .positional = COMPLETE_RUNNING,
        .run = verb_screenshot,
    },
    {
        .name = "type",
        .group = "Machines",
        .synopsis = "[OPTIONS] INSTANCE TEXT...",
        .brief = "Type text on its keyboard",
        .help = "Type text on the keyboard of a virtual machine with a screen.",
        .man =
            "TEXT is typed as on a US keyboard, at the pace at which the guest takes it; several "
            "texts are joined by spaces. Keys without a character are for \"isola sendkey\".",
        .options = type_options,
        .examples = EXAMPLES({"isola type --enter web root", "Log in as root."}),
        .min = 2,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_type,
    },
    {
        .name = "sendkey",
        .group = "Machines",
        .synopsis = "INSTANCE KEYS...",
        .brief = "Press keys on its keyboard",
        .help = "Press keys of a virtual machine with a screen, one combination after the other.",
        .man = "KEYS are keys joined by \"-\", pressed together: letters, digits, f1 to f12, ctrl, "
               "alt, shift, altgr, meta, enter, esc, tab, space, backspace, delete, insert, home, "
               "end, pageup, pagedown, up, down, left, right, print, pause, menu, capslock, "
               "numlock, scrolllock.",
        .examples = EXAMPLES({"isola sendkey web ctrl-alt-delete", "Ask for a reboot."},
                             {"isola sendkey web down down enter", "Choose from a menu."}),
        .min = 2,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .run = verb_sendkey,
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
        .name = "cp",
        .group = "Act",
        .synopsis = "[OPTIONS] SOURCE DESTINATION",
        .brief = "Copy files in or out",
        .help = "Copy files between the host and a container: INSTANCE:PATH names one inside.",
        .man = "The container may be stopped. A directory is copied with all that is in it: into "
               "the destination when that is a directory, else as the destination; SOURCE/. "
               "copies what is in it. - instead of a path on the host is a tar archive on standard "
               "output or input. Symbolic links are copied as links; paths in the container "
               "never lead out of it. Files belong to who copies, root inside.",
        .options = cp_options,
        .examples = EXAMPLES({"isola cp web:/etc/nginx/nginx.conf .", "A file out."},
                             {"isola cp site/. web:/srv", "What is in a directory, in."},
                             {"isola cp web:/var/log - | tar -t", "A directory as an archive."}),
        .min = 2,
        .max = 2,
        .positional = COMPLETE_FILE,
        .run = verb_cp,
    },
    {
        .name = "update",
        .group = "Act",
        .synopsis = "[OPTIONS] INSTANCE...",
        .brief = "Change limits",
        .help = "Change limits and policies of instances, while they run or not.",
        .man =
            "Limits hold at once for containers. A virtual machine that runs gives memory to the "
            "host and takes it back, up to what it was started with; its kernel may take its "
            "time and needs a driver (virtio_balloon). Other limits hold from its next start.",
        .options = update_options,
        .examples = EXAMPLES({"isola update -m 1g --cpus 2 web", "More room for web."}),
        .min = 1,
        .max = -1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_update,
    },
    {
        .name = "export",
        .group = "Act",
        .synopsis = "[OPTIONS] INSTANCE",
        .brief = "Its files as an archive",
        .help = "Write the files of a container as a tar archive.",
        .man = "What is mounted in it, volumes among them, is left out. \"isola import\" makes an "
               "image of the archive. The container may run.",
        .options = export_options,
        .examples = EXAMPLES({"isola export -o web.tar web", "All files of web."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_INSTANCE,
        .run = verb_export,
    },
    {0},
};
