/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that the kernel asks for a container's life: what `runc spec` describes (its mounts,
 * six namespaces, ten masked and five read-only paths, device nodes), done without a configuration,
 * checks or records.
 *
 *   floor [-c NAME] ROOTFS PROGRAM...     -c: with a cgroup NAME in each v1 hierarchy, mounted
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        _exit(1);
    }
}

static const char *const groups[] = {"cpu",     "cpuacct", "cpuset", "memory", "devices",
                                     "freezer", "blkio",   "pids",   "systemd"};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

static void group_path(char *out, size_t size, unsigned i, const char *name, const char *file)
{
    snprintf(out, size, "/sys/fs/cgroup/%s/%s%s%s", groups[i], name, file ? "/" : "",
             file ? file : "");
}

static void make_groups(const char *name, int fds[GROUPS])
{
    static const char *const rules[] = {"c *:* m",   "b *:* m",    "c 1:3 rwm", "c 1:5 rwm",
                                        "c 1:7 rwm", "c 1:8 rwm",  "c 1:9 rwm", "c 5:0 rwm",
                                        "c 5:2 rwm", "c 136:* rwm"};
    char path[256], text[256];
    for (unsigned i = 0; i < GROUPS; i++) {
        group_path(path, sizeof(path), i, name, NULL);
        if (mkdir(path, 0755) < 0 && errno == ENOENT) {
            fds[i] = -1;
            continue;
        }
        if (!strcmp(groups[i], "cpuset"))
            for (int k = 0; k < 2; k++) {
                const char *file = k ? "cpuset.mems" : "cpuset.cpus";
                snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/%s", file);
                int from = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t n = read(from, text, sizeof(text));
                close(from);
                group_path(path, sizeof(path), i, name, file);
                int to = open(path, O_WRONLY | O_CLOEXEC);
                must(write(to, text, (size_t)n) > 0, "cpuset");
                close(to);
            }
        if (!strcmp(groups[i], "devices")) {
            group_path(path, sizeof(path), i, name, "devices.deny");
            int deny = open(path, O_WRONLY | O_CLOEXEC);
            must(write(deny, "a", 1) == 1, "devices.deny");
            close(deny);
            group_path(path, sizeof(path), i, name, "devices.allow");
            int allow = open(path, O_WRONLY | O_CLOEXEC);
            for (unsigned k = 0; k < sizeof(rules) / sizeof(rules[0]); k++)
                must(write(allow, rules[k], strlen(rules[k])) > 0, "devices.allow");
            close(allow);
        }
        group_path(path, sizeof(path), i, name, "tasks");
        fds[i] = open(path, O_WRONLY | O_CLOEXEC);
        must(fds[i] >= 0, path);
    }
}

static void node(const char *path, unsigned major, unsigned minor)
{
    must(!mknod(path, S_IFCHR | 0666, makedev(major, minor)), path);
}

static void mask(const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return;
    if (S_ISDIR(st.st_mode))
        mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k");
    else
        mount("dev/null", path, NULL, MS_BIND, NULL);
}

static void child(const char *root, char **args, const char *name, const int *fds)
{
    static const char *const masked[] = {
        "proc/acpi",          "proc/asound",     "proc/kcore",       "proc/keys",
        "proc/latency_stats", "proc/timer_list", "proc/timer_stats", "proc/sched_debug",
        "sys/firmware",       "proc/scsi"};
    static const char *const fixed[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys",
                                        "proc/sysrq-trigger"};
    for (unsigned i = 0; fds && i < GROUPS; i++)
        must(fds[i] < 0 || write(fds[i], "0", 1) == 1, "join");
    must(!mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "propagation");
    must(!mount(root, root, NULL, MS_BIND | MS_REC, NULL), "bind");
    must(!chdir(root), root);
    must(!mount("proc", "proc", "proc", 0, NULL), "proc");
    must(!mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k"), "dev");
    mkdir("dev/pts", 0755), mkdir("dev/shm", 0755), mkdir("dev/mqueue", 0755);
    must(!mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                "newinstance,ptmxmode=0666,mode=0620"),
         "pts");
    must(!mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=65536k"), "shm");
    must(!mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV, NULL), "mqueue");
    must(!mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID, NULL), "sys");
    if (fds) {
        must(!mount("cgroup", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                    "mode=755"),
             "cgroup");
        for (unsigned i = 0; i < GROUPS; i++) {
            char from[256], to[64];
            group_path(from, sizeof(from), i, name, NULL);
            snprintf(to, sizeof(to), "sys/fs/cgroup/%s", groups[i]);
            if (fds[i] < 0)
                continue;
            must(!mkdir(to, 0755) && !mount(from, to, NULL, MS_BIND, NULL), to);
            must(!mount(NULL, to, NULL,
                        MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL),
                 to);
        }
    }
    node("dev/null", 1, 3), node("dev/zero", 1, 5), node("dev/full", 1, 7);
    node("dev/random", 1, 8), node("dev/urandom", 1, 9), node("dev/tty", 5, 0);
    for (unsigned i = 0; i < sizeof(masked) / sizeof(masked[0]); i++)
        mask(masked[i]);
    for (unsigned i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (!mount(fixed[i], fixed[i], NULL, MS_BIND | MS_REC, NULL))
            mount(NULL, fixed[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
    must(!syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(!umount2(".", MNT_DETACH), "umount");
    must(!chdir("/") && !sethostname("floor", 5), "chdir");
    execv(args[0], args);
    must(0, args[0]);
}

int main(int argc, char **argv)
{
    const char *name = NULL;
    int at = 1, fds[GROUPS];
    if (argc > 2 && !strcmp(argv[1], "-c")) {
        name = argv[2];
        at = 3;
    }
    if (argc < at + 2)
        return 2;
    if (name)
        make_groups(name, fds);
    struct clone_args clone = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET |
                 CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &clone, sizeof(clone));
    must(pid >= 0, "clone3");
    if (!pid)
        child(argv[at], argv + at + 1, name, name ? fds : NULL);
    int status;
    must(waitpid(pid, &status, 0) == pid, "wait");
    for (unsigned i = 0; name && i < GROUPS; i++) {
        char path[256];
        group_path(path, sizeof(path), i, name, NULL);
        rmdir(path);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
