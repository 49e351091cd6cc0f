/* SPDX-License-Identifier: Apache-2.0 */
/* What begins an instance or connects to it. */
#include "cli/verb_table.h"

/* Options of run and create: what every instance has. */
#define COMMON_OPTIONS                                                                             \
    VALUE(OPTION_TEXT, "name", 0, "NAME", "Name of the instance",                                  \
          .man = "Letters, digits, and after the first also _ . and -. A name is generated "       \
                 "when none is given."),                                                           \
        FLAG("rm", 0, "Remove the instance when it ends"),                                         \
        FLAG("interactive", 'i', "Connect standard input"),                                        \
        FLAG("tty", 't', "Connect a terminal"),                                                    \
        VALUE(OPTION_SIZE, "memory", 'm', "SIZE", "Memory, such as 512m or 2g",                    \
              .man = "The limit of a container (no limit unless given), or the memory of a "       \
                     "virtual machine (512m unless given). Suffixes k, m, g and t are binary; a "  \
                     "bare number is bytes. Host memory is taken as the guest touches it."),       \
        VALUE(OPTION_TEXT, "cpus", 0, "N", "Processors: 2, for containers also 1.5",               \
              .man = "The share of the host's processors that a container may use at most (no "    \
                     "limit unless given), or the number of a virtual machine's (1)."),            \
        VALUE(OPTION_TEXT, "network", 0, "nat|none|host|container:NAME", "The network",            \
              .alias = "net", .initial = "nat",                                                    \
              .choices = "nat|none|host|container:", .complete = COMPLETE_CHOICE,                  \
              .man =                                                                               \
                  "nat: a private network, from which it reaches what the host reaches; nothing "  \
                  "outside reaches it except by published ports. Containers that root starts "     \
                  "reach one another, too. none: no network. For containers also host: the "       \
                  "host's own network, and container:NAME: that of another container. Docker's "   \
                  "name bridge means nat."),                                                       \
        VALUE(OPTION_LIST, "publish", 'p', "[IP:]HOST:PORT", "Publish a port; repeatable",         \
              .man =                                                                               \
                  "Forward a port of the host to the instance, as [[IP:]HOSTPORT:]PORT with "      \
                  "an optional /tcp or /udp; ports may be ranges such as 8000-8010. The "          \
                  "address is 127.0.0.1 unless given; 0.0.0.0 lets other computers in. Without "   \
                  "HOSTPORT a free port is taken; \"isola port\" says which."),                    \
        VALUE(OPTION_LIST, "label", 'l', "KEY=VALUE", "Attach a label; repeatable", .more = true), \
        VALUE(OPTION_TEXT, "restart", 0, "POLICY", "What to do when it ends by itself",            \
              .more = true,                                                                        \
              .man = "no, on-failure or on-failure:N (N attempts), always, or unless-stopped.",    \
              .initial = "no", .choices = "no|on-failure|always|unless-stopped",                   \
              .complete = COMPLETE_CHOICE),                                                        \
        VALUE(OPTION_UINT, "stop-timeout", 0, "SECONDS", "Patience of stop until it kills",        \
              .more = true, .initial = "10"),                                                      \
        VALUE(OPTION_SIZE, "log-max-size", 0, "SIZE", "Size at which the log is rotated",          \
              .more = true, .initial = "10m"),                                                     \
        VALUE(OPTION_UINT, "log-max-files", 0, "N", "Log files kept, the current one included",    \
              .more = true, .initial = "3"),                                                       \
        VALUE(OPTION_LIST, "log-opt", 0, "KEY=VALUE", "max-size=SIZE or max-file=N", .more = true, \
              .man = "Docker's way to say --log-max-size and --log-max-files."),                   \
        VALUE(OPTION_TEXT, "cidfile", 0, "FILE", "Write the instance's id to a new file",          \
              .more = true, .complete = COMPLETE_FILE)

/* Options of containers. */
#define CONTAINER_OPTIONS                                                                          \
    VALUE(OPTION_LIST, "env", 'e', "NAME=VALUE", "Set a variable; repeatable",                     \
          .man = "NAME alone takes the value from the environment of this command."),              \
        VALUE(OPTION_LIST, "volume", 'v', "SOURCE:DIR[:ro]", "Mount a directory or volume",        \
              .complete = COMPLETE_FILE,                                                           \
              .man = "SOURCE is a path of the host when it contains a slash, else the name of a "  \
                     "volume, which is made when it is missing and then begins with what the "     \
                     "image has at DIR. DIR alone makes a volume without a name, which goes with " \
                     "the container when it was started with --rm or is removed with rm -v. "      \
                     "Options: ro, rw, nocopy, noexec, nosuid, nodev, and rprivate, rshared, "     \
                     "rslave."),                                                                   \
        VALUE(OPTION_TEXT, "workdir", 'w', "DIR", "Working directory"),                            \
        VALUE(OPTION_TEXT, "user", 'u', "USER[:GROUP]", "Names or numbers"),                       \
        VALUE(OPTION_LIST, "env-file", 0, "FILE", "Read variables from a file", .more = true,      \
              .complete = COMPLETE_FILE,                                                           \
              .man = "Lines of NAME=VALUE or NAME; those that begin with # are comments."),        \
        VALUE(OPTION_TEXT, "hostname", 'h', "NAME", "Host name", .more = true,                     \
              .man = "The first 12 digits of the id unless given."),                               \
        VALUE(OPTION_TEXT, "domainname", 0, "NAME", "NIS domain name", .more = true),              \
        VALUE(OPTION_TEXT, "entrypoint", 0, "PROGRAM", "Instead of the image's", .more = true,     \
              .man =                                                                               \
                  "An empty text takes the image's away. The image's command is left out, too, "   \
                  "as with Docker."),                                                              \
        VALUE(OPTION_TEXT, "rootfs", 0, "DIR", "A directory instead of an image", .more = true,    \
              .complete = COMPLETE_FILE,                                                           \
              .man = "The container runs on this directory itself and writes to it; with "         \
                     "--read-only it cannot. All words after the options are its command."),       \
        VALUE(                                                                                     \
            OPTION_LIST, "mount", 0, "type=...,...", "A mount, as Docker's --mount", .more = true, \
            .man = "type=bind|volume|tmpfs,source=...,target=..., and readonly, volume-nocopy, "   \
                   "bind-propagation=..., tmpfs-size=..., tmpfs-mode=.... Double quotes protect "  \
                   "commas. A bind mount's source must exist."),                                   \
        VALUE(OPTION_LIST, "tmpfs", 0, "DIR[:OPTIONS]", "A file system in memory", .more = true,   \
              .man =                                                                               \
                  "Options: size=, mode=, uid=, gid=, exec and so on; noexec, nosuid and nodev "   \
                  "hold unless said otherwise."),                                                  \
        VALUE(OPTION_LIST, "volumes-from", 0, "INSTANCE[:ro]", "Mounts of another container",      \
              .more = true),                                                                       \
        VALUE(OPTION_SIZE, "shm-size", 0, "SIZE", "Size of /dev/shm", .more = true,                \
              .initial = "64m"),                                                                   \
        FLAG("read-only", 0, "The root file system cannot be written", .more = true),              \
        VALUE(OPTION_LIST, "group-add", 0, "GROUP", "Additional group", .more = true),             \
        FLAG("init", 0, "A small init as process 1", .more = true,                                 \
             .man = "It passes signals on and collects orphans."),                                 \
        FLAG("boot", 0, "The image's own init as process 1", .more = true,                         \
             .man = "A machine container: /sbin/init (systemd) runs with a cgroup of its own and " \
                    "tmpfs on /run and /tmp; stop shuts it down, a reboot inside restarts it. An " \
                    "entrypoint /sbin/init means the same."),                                      \
        FLAG("publish-all", 'P', "Publish all ports that the image exposes", .more = true),        \
        VALUE(OPTION_LIST, "expose", 0, "PORT", "A port for --publish-all", .more = true),         \
        VALUE(OPTION_TEXT, "ip", 0, "ADDRESS", "Its address in the private network", .more = true, \
              .man = "Of 10.213.0.0/16; without root of 10.0.2.0/24."),                            \
        VALUE(OPTION_LIST, "dns", 0, "ADDRESS", "Name server", .more = true),                      \
        VALUE(OPTION_LIST, "dns-search", 0, "DOMAIN", "Search domain", .more = true),              \
        VALUE(OPTION_LIST, "dns-option", 0, "OPTION", "Option of resolv.conf", .more = true),      \
        VALUE(OPTION_LIST, "add-host", 0, "NAME:IP", "Line of /etc/hosts", .more = true,           \
              .man = "host-gateway as the address means the host."),                               \
        VALUE(OPTION_TEXT, "memory-swap", 0, "SIZE", "Memory and swap together", .more = true,     \
              .man = "-1: no limit of swap."),                                                     \
        VALUE(OPTION_SIZE, "memory-reservation", 0, "SIZE", "Soft limit of memory", .more = true), \
        FLAG("oom-kill-disable", 0, "Do not kill when memory is short", .more = true),             \
        VALUE(OPTION_TEXT, "oom-score-adj", 0, "N", "Preference of the host's OOM killer",         \
              .more = true),                                                                       \
        VALUE(OPTION_UINT, "cpu-shares", 'c', "N", "Relative weight", .more = true),               \
        VALUE(OPTION_UINT, "cpu-period", 0, "MICROSECONDS", "Period of the quota", .more = true),  \
        VALUE(OPTION_TEXT, "cpu-quota", 0, "MICROSECONDS", "Time per period", .more = true),       \
        VALUE(OPTION_TEXT, "cpuset-cpus", 0, "LIST", "Processors to run on: 0-3,7", .more = true), \
        VALUE(OPTION_TEXT, "cpuset-mems", 0, "LIST", "Memory nodes", .more = true),                \
        VALUE(OPTION_TEXT, "pids-limit", 0, "N", "Most tasks it may have, -1: no limit",           \
              .more = true),                                                                       \
        VALUE(OPTION_LIST, "ulimit", 0, "NAME=SOFT[:HARD]", "Limit of setrlimit", .more = true),   \
        VALUE(OPTION_TEXT, "cgroup-parent", 0, "PATH", "Where its cgroup is made", .more = true),  \
        FLAG("best-effort", 0, "Warn when the host cannot enforce a limit", .more = true,          \
             .man = "Without it, a limit that was asked for and that the host cannot enforce is "  \
                    "an error."),                                                                  \
        VALUE(OPTION_LIST, "device", 0, "PATH[:PATH[:rwm]]", "A device of the host",               \
              .more = true),                                                                       \
        VALUE(OPTION_LIST, "device-cgroup-rule", 0, "RULE", "Such as \"c 1:3 rwm\"",               \
              .more = true),                                                                       \
        VALUE(OPTION_LIST, "cap-add", 0, "CAPABILITY", "Add a capability, or ALL", .more = true),  \
        VALUE(OPTION_LIST, "cap-drop", 0, "CAPABILITY", "Drop a capability, or ALL",               \
              .more = true),                                                                       \
        FLAG("privileged", 0, "No wall worth the name", .more = true,                              \
             .man = "All capabilities and devices, no system call filter, nothing hidden."),       \
        VALUE(OPTION_LIST, "security-opt", 0, "OPTION", "Change the wall", .more = true,           \
              .man = "no-new-privileges, seccomp=unconfined, seccomp=FILE, "                       \
                     "systempaths=unconfined, apparmor=unconfined, label=disable."),               \
        VALUE(OPTION_TEXT, "userns", 0, "host|private", "User namespace", .more = true,            \
              .man = "private maps the container's users to the caller's ranges of /etc/subuid. "  \
                     "Without root it is always so, with as many users as there are."),            \
        VALUE(OPTION_TEXT, "pid", 0, "host|container:NAME", "Process namespace", .more = true),    \
        VALUE(OPTION_TEXT, "ipc", 0, "private|host|container:NAME", "IPC namespace",               \
              .more = true),                                                                       \
        VALUE(OPTION_TEXT, "uts", 0, "private|host", "Host name's namespace", .more = true),       \
        VALUE(OPTION_TEXT, "cgroupns", 0, "private|host", "Cgroup namespace", .more = true),       \
        VALUE(OPTION_LIST, "sysctl", 0, "NAME=VALUE", "Kernel parameter of its namespaces",        \
              .more = true),                                                                       \
        VALUE(OPTION_TEXT, "stop-signal", 0, "SIGNAL", "What stop sends", .more = true,            \
              .man = "The image's, or TERM.", .complete = COMPLETE_SIGNAL),                        \
        VALUE(OPTION_TEXT, "health-cmd", 0, "COMMAND", "Check of health, run by a shell",          \
              .more = true),                                                                       \
        VALUE(OPTION_TEXT, "health-interval", 0, "TIME", "Between checks", .more = true,           \
              .man = "30s unless the image says otherwise."),                                      \
        VALUE(OPTION_TEXT, "health-timeout", 0, "TIME", "Longest time of one check",               \
              .more = true),                                                                       \
        VALUE(OPTION_TEXT, "health-start-period", 0, "TIME", "While failures do not count",        \
              .more = true),                                                                       \
        VALUE(OPTION_UINT, "health-retries", 0, "N", "Failures until it is unhealthy",             \
              .more = true),                                                                       \
        FLAG("no-healthcheck", 0, "No check, whatever the image says", .more = true),              \
        VALUE(OPTION_LIST, "annotation", 0, "NAME=VALUE", "OCI annotation", .more = true),         \
        CHOICE("pull", 0, "always|missing|never", "WHEN", "When to pull the image", .more = true,  \
               .initial = "missing"),                                                              \
        VALUE(OPTION_TEXT, "platform", 0, "OS/ARCH", "Platform of the image", .more = true)

/* Options of virtual machines. */
#define MACHINE_OPTIONS                                                                            \
    FLAG("vm", 0, "Isolate by a virtual machine",                                                  \
         .man =                                                                                    \
             "The wall of the instance; without it, a container. The image's command runs "        \
             "behind a kernel of its own; --kernel and --initrd replace that kernel, and "         \
             "without an image boot what you give; with disks alone, firmware boots from them."),  \
        VALUE(OPTION_TEXT, "kernel", 0, "FILE", "Kernel to boot: bzImage or ELF",                  \
              .complete = COMPLETE_FILE,                                                           \
              .man = "A Linux bzImage, an ELF file with a PVH entry, or a multiboot 1 ELF file."), \
        VALUE(OPTION_TEXT, "initrd", 0, "FILE", "Initial RAM disk for the kernel", .more = true,   \
              .complete = COMPLETE_FILE),                                                          \
        VALUE(OPTION_TEXT, "append", 0, "TEXT", "Kernel command line", .more = true,               \
              .man = "One argument: quote it. console=ttyS0 sends the kernel's messages to the "   \
                     "terminal that --tty and --interactive connect."),                            \
        VALUE(OPTION_TEXT, "firmware", 0, "bios|uefi|FILE", "Firmware that boots from a disk",     \
              .more = true, .complete = COMPLETE_FILE,                                             \
              .man = "bios: SeaBIOS from the package seabios, which is what a machine with disks " \
                     "and without kernel or image gets. Without a drive, and with --boot-menu, "   \
                     "it also boots from the network: by the iPXE of the package ipxe-qemu. "      \
                     "uefi: OVMF from the package ovmf; the "                                      \
                     "instance keeps its own variables. FILE: a ROM image of 64 KiB to 16 MiB."),  \
        FLAG("boot-menu", 0, "Let the firmware ask what to boot", .more = true,                    \
             .man = "SeaBIOS offers its menu on the console for three seconds."),                  \
        VALUE(OPTION_LIST, "disk", 0, "FILE[,ro,...]", "Attach a disk image; repeatable",          \
              .more = true, .complete = COMPLETE_DISK,                                             \
              .man =                                                                               \
                  "Attach FILE as a virtio disk: the first is /dev/vda. After the file name "      \
                  "follow, separated by commas: ro (the guest cannot write); temporary (what it "  \
                  "writes is forgotten at the end); format=raw or format=qcow2; serial=TEXT; "     \
                  "cache=writeback (a flush of the guest makes writes durable), writethrough "     \
                  "(each write is at once) or unsafe (the host decides: fast); discard=on or "     \
                  "off; bus=virtio, scsi (virtio too), ide or ahci.\n\nWithout a format the file " \
                  "is looked "                                                                     \
                  "at: a qcow2 image says so at its "                                              \
                  "beginning, what bears no known mark is raw. A drive that was guessed to be "    \
                  "raw refuses writes that would give it such a mark, so that a guest cannot "     \
                  "choose what its drive is taken for at the next start; format=raw allows "       \
                  "them. Images of other programs are converted by \"isola disk convert\"."),      \
        VALUE(OPTION_TEXT, "user-data", 0, "FILE", "What cloud-init sets the guest up with",       \
              .more = true, .complete = COMPLETE_FILE,                                             \
              .man =                                                                               \
                  "A further disk called cidata holds FILE as user-data, and the instance's id "   \
                  "and name as meta-data: what cloud-init's NoCloud data source looks for."),      \
        FLAG("temporary", 0, "Forget what is written to disks", .more = true,                      \
             .man = "All --disk are as if \"temporary\" was said: the guest's writes go to an "    \
                    "overlay without a name, in the instance's directory."),                       \
        VALUE(OPTION_TEXT, "cdrom", 0, "FILE", "Put a disc into a CD drive", .more = true,         \
              .complete = COMPLETE_FILE,                                                           \
              .man =                                                                               \
                  "FILE is an ISO image; none is an empty drive, for \"isola media\". The drive "  \
                  "is on the IDE bus; FILE,bus=ahci puts it on AHCI."),                            \
        VALUE(OPTION_TEXT, "floppy", 0, "FILE[,ro]", "Put a diskette into drive A", .more = true,  \
              .complete = COMPLETE_FILE,                                                           \
              .man = "FILE is an image of 360k, 720k, 1200k, 1440k, 1680k or 2880k; none is an "   \
                     "empty drive."),                                                              \
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
        VALUE(OPTION_TEXT, "disk-size", 0, "SIZE", "Room for what a machine from an image writes", \
              .more = true,                                                                        \
              .man = "10g when none is given; at least 64m. The file takes what is used."),        \
        VALUE(OPTION_TEXT, "uuid", 0, "UUID", "UUID of the machine (SMBIOS)", .more = true,        \
              .man = "Made from the instance's id when none is given."),                           \
        VALUE(OPTION_TEXT, "mac", 0, "ADDRESS", "Address of the network card", .more = true),      \
        CHOICE("nic", 0, "virtio|e1000|rtl8139", "MODEL", "Network card of the machine",           \
               .more = true, .initial = "virtio",                                                  \
               .man = "virtio is the fastest. Systems without a driver for it know e1000 (Intel "  \
                      "82540EM) or, from before 2002, rtl8139 (Realtek RTL8139C)."),               \
        CHOICE("vga", 0, "auto|std|none", "KIND", "Display adapter of the machine", .more = true,  \
               .initial = "auto",                                                                  \
               .man =                                                                              \
                   "std is a VGA with linear modes up to 2560x1600, and with it a PS/2 "           \
                   "keyboard, a PS/2 mouse and a virtio tablet. auto: when --display is given "    \
                   "or the machine boots through firmware. \"isola screenshot\", \"isola type\" "  \
                   "and \"isola sendkey\" work with it."),                                         \
        VALUE(OPTION_TEXT, "display", 0, "none|text|vnc=ADDRESS", "Who shows the screen",          \
              .more = true,                                                                        \
              .man = "text shows a screen in text mode in your terminal, whose keys are the "      \
                     "machine's keyboard; with -d, isola attach shows it. vnc= starts a VNC "      \
                     "server; ADDRESS is a PORT of 127.0.0.1, which every user of this host can "  \
                     "reach, or the absolute path of a socket to be made, which only you can. A "  \
                     "kernel that is loaded directly finds a linear mode of 1024x768, for text "   \
                     "the VGA's text mode; console=tty0 shows its messages there."),               \
        VALUE(OPTION_TEXT, "rtc", 0, "TIME", "What the real-time clock shows", .more = true,       \
              .initial = "utc",                                                                    \
              .man = "utc, localtime, or the time at the start such as 2031-05-06T07:08:09. "      \
                     "localtime is for systems that keep their clock so, DOS and Windows."),       \
        VALUE(OPTION_TEXT, "record", 0, "NAME", "Record its life, for isola replay", .more = true, \
              .man = "All that the machine hears from outside is kept in a file: see \"isola "     \
                     "replay\" and \"isola record ls\"."),                                         \
        FLAG("no-reboot", 0, "End instead of rebooting", .more = true,                             \
             .man = "A reboot ends the instance with status 0, a triple fault with status 102."),  \
        FLAG("paused", 0, "Start with stopped processors", .more = true,                           \
             .man = "\"isola unpause\" lets them go."),                                            \
        VALUE(OPTION_TEXT, "gdb", 0, "PORT|unix:PATH", "Let gdb debug the machine", .more = true,  \
              .man = "Listens on a port of 127.0.0.1, which every user of this host can reach, "   \
                     "or on a socket to be made, which only you can. With ,wait behind it the "    \
                     "machine starts when gdb says so; with ,i386 gdb is told of the registers "   \
                     "of an i386. A running machine needs no such option: see \"isola gdb\"."),    \
        FLAG("debug-exit", 0, "Port 0xf4 ends the machine", .more = true,                          \
             .man = "The guest writes a value to port 0xf4; the instance ends with status "        \
                    "(value << 1) | 1."),                                                          \
        FLAG("debug-console", 0, "Log what is written to port 0x402", .more = true,                \
             .man = "\"isola logs\" shows it among the console's output.")

static const struct option run_options[] = {
    COMMON_OPTIONS,
    CONTAINER_OPTIONS,
    MACHINE_OPTIONS,
    FLAG("quiet", 'q', "No progress of a pull", .more = true),
    VALUE(OPTION_TEXT, "from-snapshot", 0, "SNAPSHOT", "Go on from a snapshot", .more = true,
          .man = "The same as isola restore, with the console connected. What runs and how is part "
                 "of the snapshot; beside this only --name and options of the command itself are "
                 "taken."),
    FLAG("detach", 'd', "Run in the background and print the id"),
    VALUE(OPTION_LIST, "attach", 'a', "stdin|stdout|stderr", "Connect only these streams",
          .more = true,
          .man = "Without it standard output and error are connected, and with --interactive "
                 "standard input. What is not connected can be read with isola logs."),
    DETACH_KEYS,
    FLAG("sig-proxy", 0, "Pass signals on to the instance", .more = true, .initial = "true",
         .man = "Without a terminal, SIGTERM, SIGINT, SIGHUP and SIGQUIT are passed on. With "
                "--sig-proxy=false they end the command and leave the instance running."),
    END,
};

static const struct option create_options[] = {
    COMMON_OPTIONS, CONTAINER_OPTIONS, MACHINE_OPTIONS,
    FLAG("quiet", 'q', "No progress of a pull", .more = true), END};

static const struct option start_options[] = {
    FLAG("attach", 'a', "Connect standard output and wait for the end"),
    FLAG("interactive", 'i', "Connect standard input and output"),
    DETACH_KEYS,
    END,
};

static const struct option stop_options[] = {TIMEOUT, END};

static const struct option attach_options[] = {
    DETACH_KEYS,
    CHOICE("display", 0, "text|none", "WHAT", "The screen as text, or the console",
           .man = "text shows the screen of a virtual machine in text mode, and types on its "
                  "keyboard; of a picture it tells only the size. The default is what the machine "
                  "was started with."),
    FLAG("no-stdin", 0, "Do not connect standard input"),
    FLAG("sig-proxy", 0, "Pass signals on to the instance", .initial = "true"),
    END,
};

static const struct option exec_options[] = {
    FLAG("interactive", 'i', "Connect standard input"),
    FLAG("tty", 't', "Connect a terminal"),
    FLAG("detach", 'd', "Do not wait; its output goes nowhere"),
    VALUE(OPTION_LIST, "env", 'e', "NAME=VALUE", "Set a variable; repeatable"),
    VALUE(OPTION_LIST, "env-file", 0, "FILE", "Read variables from a file",
          .complete = COMPLETE_FILE),
    VALUE(OPTION_TEXT, "user", 'u', "USER[:GROUP]", "Names or numbers"),
    VALUE(OPTION_TEXT, "workdir", 'w', "DIR", "Working directory"),
    FLAG("privileged", 0, "With all capabilities"),
    DETACH_KEYS,
    END,
};

#define EXIT_STATUS_OF_RUN                                                                         \
    "The exit status is that of the command: of a container its own, 126 when it could not be "    \
    "executed, 127 when it was not found; of a virtual machine 0 when it powered off, the value "  \
    "written to the debug-exit port, 101 when its kernel panicked (seen by pvpanic), 102 on a "    \
    "triple fault with --no-reboot. 128 plus the signal's number when it was killed, 0 when you "  \
    "detached, and 125 when Isola itself failed."

const struct verb start_verbs[] = {
    {
        .name = "run",
        .group = "Start",
        .synopsis = "[OPTIONS] IMAGE [COMMAND...]",
        .brief = "Create and start",
        .help = "Create an instance, start it, and wait for its end.",
        .man = "Makes an instance and starts it: a container from an image or from --rootfs, or a "
               "virtual machine with --vm. Without --detach the command shows its output "
               "until it ends: add -it to type into it.\n\n" EXIT_STATUS_OF_RUN
               "\n\nWith --vm the image may be a path (/..., ./..., ../...) instead: a disk image "
               "with a system in it, which boots through firmware (UEFI when it has only that), a "
               "disc (ISO 9660), or a kernel.\n\nEverything after the image belongs to the "
               "command; the option list ends at the "
               "first argument that is not an option.",
        .options = run_options,
        .examples = EXAMPLES(
            {"isola run -it --rm debian bash", "A shell in a container made from an image."},
            {"isola run -d --name web -p 8080:80 -v data:/srv nginx",
             "A server in the background, with a port and a volume."},
            {"isola run --vm -it --rm debian bash", "The same image behind a kernel of its own."},
            {"isola run --vm -it --rm ./debian.qcow2", "The system that is on a disk image."},
            {"isola run --vm -it --rm --kernel vmlinuz --initrd initrd.img --append console=ttyS0",
             "Boot a kernel and its initial RAM disk, with the console in this terminal."},
            {"isola run --vm -d --name web -m 1g --cpus 2 -p 8080:80 --kernel vmlinuz --disk "
             "root.img --append 'root=/dev/vda console=ttyS0'",
             "Start a system from a disk image in the background."}),
        .max = -1,
        .positional = COMPLETE_IMAGE,
        .stop_at_positional = true,
        .run = verb_run,
    },
    {
        .name = "create",
        .group = "Start",
        .synopsis = "[OPTIONS] IMAGE [COMMAND...]",
        .brief = "Create without starting",
        .help = "Create an instance without starting it and print its id.",
        .man = "The instance is started later by \"isola start\".",
        .options = create_options,
        .examples = EXAMPLES({"isola create --vm --name web --kernel vmlinuz --disk root.img",
                              "Create an instance that \"isola start web\" boots."}),
        .max = -1,
        .positional = COMPLETE_IMAGE,
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
        .man =
            "What you type goes to the container's command or to the guest's first serial port, "
            "or with --display text to the keyboard of a virtual machine, whose screen is shown. "
            "ctrl-p ctrl-q, or ctrl-], "
            "detaches and leaves the instance running. " EXIT_STATUS_OF_RUN,
        .options = attach_options,
        .examples = EXAMPLES({"isola attach web", "Connect to web; ctrl-p ctrl-q leaves."}),
        .min = 1,
        .max = 1,
        .positional = COMPLETE_RUNNING,
        .run = verb_attach,
    },
    {
        .name = "exec",
        .group = "Start",
        .synopsis = "[OPTIONS] INSTANCE COMMAND...",
        .brief = "Run a command in it",
        .help = "Run another command in a running container.",
        .man = "The exit status is the command's: 127 when it was not found, 126 when it could not "
               "be executed, 1 when Isola itself failed. Virtual machines need an agent for it, "
               "which is not built yet.",
        .options = exec_options,
        .examples = EXAMPLES({"isola exec -it web sh", "A shell beside the server."},
                             {"isola exec -u www-data -e DEBUG=1 web env", "As another user."}),
        .min = 2,
        .max = -1,
        .positional = COMPLETE_RUNNING,
        .stop_at_positional = true,
        .run = verb_exec,
    },
    {0},
};
