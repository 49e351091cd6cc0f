/* SPDX-License-Identifier: Apache-2.0 */
/* What is true of all commands: sections of isola(1) and of docs/commands.md. */
#include "cli/document.h"

const struct document_section document_sections[] = {
    {"Naming an instance",
     "INSTANCE is a name, a full id of 64 digits, or the beginning of an id that fits no other "
     "instance. Names consist of letters, digits, _ . and -, and begin with a letter or digit."},
    {"Options",
     "Short options may be combined (-it), values follow after a blank or = (--name web, "
     "--name=web, -m 1g, -m1g), booleans may be said to be false (--rm=false), lists are made by "
     "repeating an option, and -- ends the options. With run and create the options end at the "
     "first argument that is not one.\n\n"
     "Sizes take the suffixes k, m, g and t, all binary; a bare number is bytes."},
    {"Output",
     "Results go to standard output, messages to standard error. Lists are tables; --format json "
     "(or --json) prints one JSON array with a stable set of members, whose ids are whole; -q "
     "prints only ids. Colours are used on a terminal unless NO_COLOR is set.\n\n"
     "An error is one line: what was attempted, on what, why, and what to do next."},
    {"Templates",
     "--format takes a part of the templates of Go. Text outside of {{ }} is copied, \\n and \\t "
     "are a new line and a tab. Fields are the members that --format json shows; case and "
     "underscores do not matter, so that {{.CreatedAt}} finds created_at.\n\n"
     "{{.Name}}\ta field; {{.State.ExitCode}} a field of a field; {{.}} the whole\n"
     "{{json .Ports}}\tthe value as JSON\n"
     "{{index .Labels \"key\"}}\ta member or, with a number, an element\n"
     "{{len .Ports}}\tthe number of elements\n"
     "{{upper .Name}} {{lower .Name}} {{title .Name}}\tchanged letters\n"
     "{{join .Names \", \"}} {{split .Image \":\"}}\tlists to text and back\n"
     "{{printf \"%-12s %d\" .Name .Cpus}}\taligned text; %s %d %x %f %v %q\n"
     "{{.Name | upper}}\tthe same as {{upper .Name}}\n"
     "{{- .Name -}}\tremoves blanks beside it\n\n"
     "range, if, with and variables are not supported."},
    {"Exit status",
     "0\tsuccess; of run, start --attach and attach: the guest powered off, or you detached\n"
     "1\tthe command failed for at least one instance\n"
     "101\tthe guest's kernel panicked, seen by its pvpanic device\n"
     "102\tthe guest caused a triple fault with --no-reboot\n"
     "125\tIsola itself failed, or the command line was wrong\n"
     "128+N\tended by signal N: 137 after a kill\n"
     "other\tthe guest's own status, such as the value of its debug-exit port"},
    {"Terminals",
     "-i connects standard input, -t the terminal; -t needs standard input to be a terminal. "
     "ctrl-p ctrl-q detaches and leaves the instance running, and so does ctrl-] unless "
     "--detach-keys is given. The terminal's settings are restored however the command ends; "
     "changes of its size are passed on. Without -t signals are passed on to the instance."},
    {"Environment",
     "NO_COLOR\tno colours\n"
     "XDG_DATA_HOME\tinstances are kept in isola/ below; ~/.local/share unless set\n"
     "XDG_RUNTIME_DIR\tsockets are in isola/ below; /run/user/UID or /tmp/isola-UID unless set"},
    {"Files", "~/.local/share/isola\tthe instances with their logs; of root: /var/lib/isola\n"
              "/run/isola\tthe sockets of root's instances"},
    {0},
};
