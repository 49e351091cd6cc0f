/* SPDX-License-Identifier: Apache-2.0 */
#include "image/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"

enum { RANGES_MAX = 64 };

/* The lines NAME:START:COUNT of @file for this user. Returns how many. */
static size_t read_ranges(const char *file, struct idmap_range *ranges, size_t max)
{
    struct passwd *user = getpwuid(geteuid());
    char id[16], line[512];
    size_t count = 0;
    FILE *f = fopen(file, "re");

    snprintf(id, sizeof id, "%u", (unsigned)geteuid());
    while (f && count < max && fgets(line, sizeof line, f)) {
        char *save = NULL, *name = strtok_r(line, ":", &save);
        char *start = strtok_r(NULL, ":", &save), *size = strtok_r(NULL, ":\n", &save);
        uint64_t a, n;
        if (!name || !start || !size ||
            (strcmp(name, id) != 0 && !(user && strcmp(name, user->pw_name) == 0)) ||
            str_parse_u64(start, &a) < 0 || str_parse_u64(size, &n) < 0 || a > UINT32_MAX ||
            n == 0 || n > UINT32_MAX)
            continue;
        ranges[count++] = (struct idmap_range){(uint32_t)a, (uint32_t)n};
    }
    if (f)
        fclose(f);
    return count;
}

size_t idmap_granted(bool groups, struct idmap_range *ret, size_t max)
{
    return read_ranges(groups ? "/etc/subgid" : "/etc/subuid", ret, max);
}

static bool have_program(const char *name)
{
    static const char *const dirs[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"};
    char path[64];

    for (size_t i = 0; i < array_size(dirs); i++) {
        snprintf(path, sizeof path, "%s/%s", dirs[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

enum idmap_kind idmap_kind(void)
{
    struct idmap_range ranges[RANGES_MAX];

    if (geteuid() == 0)
        return IDMAP_ROOT;
    return have_program("newuidmap") && have_program("newgidmap") &&
                   read_ranges("/etc/subuid", ranges, RANGES_MAX) &&
                   read_ranges("/etc/subgid", ranges, RANGES_MAX)
               ? IDMAP_RANGES
               : IDMAP_SINGLE;
}

static int write_file(pid_t pid, const char *name, const char *text)
{
    char path[64];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Every id of this namespace is itself in the new one. */
static int write_identity(pid_t pid, const char *name)
{
    struct str map = {0};
    unsigned long inside, outside, count;
    char path[64];
    FILE *f;
    int r;

    snprintf(path, sizeof path, "/proc/self/%s", name);
    f = fopen(path, "re");
    while (f && fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3)
        str_addf(&map, "%lu %lu %lu\n", inside, inside, count);
    if (f)
        fclose(f);
    r = map.len ? write_file(pid, name, map.data) : -EIO;
    str_done(&map);
    return r;
}

/* Runs PROGRAM PID 0 ID 1 1 START COUNT ... */
static int run_newmap(const char *program, pid_t pid, unsigned id, const char *file,
                      struct error *err)
{
    struct idmap_range ranges[RANGES_MAX];
    size_t n = read_ranges(file, ranges, RANGES_MAX), argc = 0;
    char *argv[3 * (RANGES_MAX + 1) + 3];
    char numbers[3 * (RANGES_MAX + 1) + 1][16];
    uint32_t next = 1;
    pid_t child;
    int status, r;

    argv[argc++] = (char *)(uintptr_t)program;
    snprintf(numbers[argc], 16, "%d", (int)pid);
    argv[argc] = numbers[argc], argc++;
    for (size_t i = 0; i <= n; i++) {
        const uint32_t line[3] = {i ? next : 0, i ? ranges[i - 1].start : id,
                                  i ? ranges[i - 1].count : 1};
        for (size_t k = 0; k < 3; k++) {
            snprintf(numbers[argc], 16, "%u", line[k]);
            argv[argc] = numbers[argc], argc++;
        }
        if (i)
            next += line[2];
    }
    argv[argc] = NULL;
    r = -posix_spawnp(&child, program, NULL, NULL, argv, environ);
    if (r < 0)
        return error_set_errno(err, r, "run %s", program);
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for %s", program);
    }
    if (status)
        return error_set(err, -EPERM, "%s refused to map the ids of %s", program, file);
    return 0;
}

int idmap_write(pid_t pid, enum idmap_kind kind, struct error *err)
{
    char map[64];
    int r = 0;

    switch (kind) {
    case IDMAP_ROOT:
        r = write_identity(pid, "uid_map");
        if (r == 0)
            r = write_identity(pid, "gid_map");
        break;
    case IDMAP_RANGES:
        r = run_newmap("newuidmap", pid, (unsigned)geteuid(), "/etc/subuid", err);
        return r < 0 ? r : run_newmap("newgidmap", pid, (unsigned)getegid(), "/etc/subgid", err);
    case IDMAP_SINGLE:
        r = write_file(pid, "setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1\n", (unsigned)geteuid());
        if (r == 0)
            r = write_file(pid, "uid_map", map);
        snprintf(map, sizeof map, "0 %u 1\n", (unsigned)getegid());
        if (r == 0)
            r = write_file(pid, "gid_map", map);
        break;
    }
    return r < 0 ? error_set_errno(err, r, "map ids into a user namespace") : 0;
}

int idmap_become_root(enum idmap_kind kind)
{
    /* EPERM: this is a namespace within one that has only a single id. */
    if (kind != IDMAP_SINGLE && setgroups(0, NULL) < 0 && errno != EPERM)
        return -errno;
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return -errno;
    return 0;
}

static void child_run(int ready, int go, enum idmap_kind kind, pid_t parent, int (*fn)(void *),
                      void *opaque)
{
    char byte = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A caller that is not dumpable may not write our maps otherwise. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (unshare(CLONE_NEWUSER) < 0)
        byte = (char)errno;
    if (write(ready, &byte, 1) != 1 || byte || read(go, &byte, 1) != 1 ||
        idmap_become_root(kind) < 0)
        _exit(255);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* changing ids took it back */
    if (getppid() != parent)
        _exit(255);
    _exit(fn(opaque) & 0xff);
}

int idmap_run(int (*fn)(void *opaque), void *opaque, struct error *err)
{
    enum idmap_kind kind = idmap_kind();
    int ready[2], go[2], status = 0, r = 0;
    char byte = 0;
    pid_t pid, parent = getpid();

    if (kind == IDMAP_ROOT)
        return fn(opaque);
    if (pipe2(ready, O_CLOEXEC) < 0)
        return error_set_errno(err, -errno, "make a pipe");
    if (pipe2(go, O_CLOEXEC) < 0) {
        r = -errno;
        close(ready[0]);
        close(ready[1]);
        return error_set_errno(err, r, "make a pipe");
    }
    pid = fork();
    if (pid == 0) {
        close(ready[0]);
        close(go[1]); /* or it would never see that its parent gave up */
        child_run(ready[1], go[0], kind, parent, fn, opaque);
    }
    close(ready[1]);
    close(go[0]);
    if (pid < 0)
        r = error_set_errno(err, -errno, "start a child");
    else if (read(ready[0], &byte, 1) != 1 || byte)
        r = error_set_errno(err, byte ? -byte : -EIO, "make a user namespace");
    else
        r = idmap_write(pid, kind, err);
    if (r == 0 && write(go[1], &byte, 1) != 1)
        r = error_set_errno(err, -errno, "start a child");
    close(ready[0]);
    close(go[1]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return r;
    return WIFEXITED(status) ? WEXITSTATUS(status) : error_set(err, -EIO, "the child was killed");
}
