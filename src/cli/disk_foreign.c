/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of other programs, read by qemu-img. Such an image comes from anywhere and may name other
 * files as its parts, so qemu-img is shut in by Landlock: it can read itself and its libraries, the
 * image, and write the new one; nothing else, and no network. Where the kernel has no Landlock
 * nothing is converted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/disk_copy.h"
#include "io/disk_file.h"
#include "io/disk_image.h"
#include "io/disk_probe.h"

/* linux/landlock.h of Linux 6.12; Debian 12's is older. */
struct landlock_rules {
    uint64_t files, net, scoped;
};
struct landlock_path {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));
enum {
    LANDLOCK_EXECUTE = 1 << 0,
    LANDLOCK_WRITE_FILE = 1 << 1,
    LANDLOCK_READ_FILE = 1 << 2,
    LANDLOCK_READ_DIR = 1 << 3,
    LANDLOCK_ALL_V1 = (1 << 13) - 1,
    LANDLOCK_REFER = 1 << 13,
    LANDLOCK_TRUNCATE = 1 << 14,
};
enum { LANDLOCK_VERSION = 1, LANDLOCK_PATH_BENEATH = 1 };
enum { CHILD_FROM = 3, CHILD_TO = 4, MEMORY_MAX_GIB = 4 };

struct conversion {
    int from, to;
    const char *qemu_format; /* NULL: source says all */
    char *source;            /* what qemu-img calls the image; new */
    const char *to_format;
    char *dir; /* whose files it may read, too; NULL: none; new */
    int abi;
};

static void may(int rules, const char *path, int fd, uint64_t access)
{
    struct landlock_path p = {.access = access, .fd = fd};
    cleanup_fd int opened = -1;

    if (path)
        p.fd = opened = open(path, O_PATH | O_CLOEXEC);
    if (p.fd >= 0) /* what is not there needs no permission */
        (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_PATH_BENEATH, &p, 0);
}

static int shut_in(const struct conversion *c)
{
    static const char *const libraries[] = {"/usr", "/lib", "/lib64", "/bin"};
    const uint64_t read_tree = LANDLOCK_EXECUTE | LANDLOCK_READ_FILE | LANDLOCK_READ_DIR,
                   truncate = c->abi >= 3 ? LANDLOCK_TRUNCATE : 0;
    const struct landlock_rules handled = {
        .files = LANDLOCK_ALL_V1 | truncate | (c->abi >= 2 ? LANDLOCK_REFER : 0),
        .net = c->abi >= 4 ? 3 : 0,
        .scoped = c->abi >= 6 ? 3 : 0,
    };
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled,
                             c->abi >= 6   ? sizeof handled
                             : c->abi >= 4 ? 16
                                           : 8,
                             0);

    if (rules < 0)
        return -errno;
    for (size_t i = 0; i < array_size(libraries); i++)
        may(rules, libraries[i], -1, read_tree);
    may(rules, "/etc/ld.so.cache", -1, LANDLOCK_READ_FILE);
    may(rules, "/dev/null", -1, LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE);
    if (c->dir)
        may(rules, c->dir, -1, LANDLOCK_READ_FILE | LANDLOCK_READ_DIR);
    may(rules, NULL, c->from, LANDLOCK_READ_FILE);
    may(rules, NULL, c->to, LANDLOCK_READ_FILE | LANDLOCK_WRITE_FILE | truncate);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        return -errno;
    close(rules);
    return 0;
}

/* Root keeps what opens files of others, of which Landlock leaves two. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2], kept[2] = {0};

    if (syscall(SYS_capget, &header, now) < 0)
        return -errno;
    kept[0].permitted = kept[0].effective = now[0].permitted & 1u << CAP_DAC_OVERRIDE;
    return syscall(SYS_capset, &header, kept) < 0 ? -errno : 0;
}

/* In the child: 126 and 127 as shells say it. */
static void become_qemu_img(const struct conversion *c)
{
    const struct rlimit memory = {(rlim_t)MEMORY_MAX_GIB << 30, (rlim_t)MEMORY_MAX_GIB << 30},
                        none = {0, 0};
    const char *argv[16];
    int n = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (shut_in(c) < 0 || drop_capabilities() < 0 || setrlimit(RLIMIT_AS, &memory) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        _exit(126);
    /* Above both targets first: neither may hit the other. */
    int from = fcntl(c->from, F_DUPFD, 10), to = fcntl(c->to, F_DUPFD, 10),
        quiet = open("/dev/null", O_RDWR);
    if (from < 0 || to < 0 || quiet < 0 || dup2(quiet, 0) < 0 || dup2(from, CHILD_FROM) < 0 ||
        dup2(to, CHILD_TO) < 0)
        _exit(126);
    close_range(CHILD_TO + 1, ~0u, 0);
    argv[n++] = "qemu-img";
    argv[n++] = "convert";
    if (c->qemu_format) {
        argv[n++] = "-f";
        argv[n++] = c->qemu_format;
    }
    argv[n++] = "-O";
    argv[n++] = c->to_format;
    argv[n++] = c->source;
    argv[n++] = "/dev/fd/4";
    argv[n] = NULL;
    execvp("qemu-img", (char *const *)(uintptr_t)argv);
    _exit(errno == ENOENT ? 127 : 126);
}

static int run_qemu_img(const struct conversion *c, struct error *err)
{
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return error_set_errno(err, -errno, "start qemu-img");
    if (pid == 0)
        become_qemu_img(c);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for qemu-img");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return error_set(err, -ENOENT,
                         "reading this format needs qemu-img; install the package qemu-utils");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 126)
        return error_set(err, -EPERM, "qemu-img could not be started behind its walls");
    if (WIFSIGNALED(status))
        return error_set(err, -EIO, "qemu-img was ended by signal %d", WTERMSIG(status));
    return error_set(err, -EIO, "qemu-img could not convert it");
}

static const char *qemu_name(const char *format)
{
    return strcmp(format, "vhd") == 0 ? "vpc" : format;
}

/* Whether a VMDK is a text that names its parts, which lie beside it. */
static int name_source(struct conversion *c, const char *path, const char *format,
                       struct error *err)
{
    struct disk_member member;
    uint8_t head[DISK_PROBE_HEAD] = {0};
    cleanup_free char *whole = NULL;
    struct disk *file;
    int r = 0;

    if (strcmp(format, "ova") == 0) {
        file = disk_image_file(path, err);
        r = file ? disk_find_member(file, &member, err) : err->code;
        disk_close(file);
        if (r == 0)
            c->source = str_format("json:{\"driver\":\"%s\",\"file\":{\"driver\":\"raw\","
                                   "\"offset\":%llu,\"size\":%llu,\"file\":{\"driver\":\"file\","
                                   "\"filename\":\"/dev/fd/3\"}}}",
                                   qemu_name(member.format), (unsigned long long)member.offset,
                                   (unsigned long long)member.size);
        return r < 0 || c->source ? r : error_set(err, -ENOMEM, "out of memory");
    }
    c->qemu_format = qemu_name(format);
    if (pread(c->from, head, sizeof head, 0) > 0 && head[0] == '#') {
        whole = realpath(path, NULL);
        c->source = whole ? strdup(whole) : NULL;
        c->dir = whole ? strndup(whole, (size_t)(strrchr(whole, '/') - whole) + 1) : NULL;
        if (!c->dir)
            return error_set_errno(err, whole ? -ENOMEM : -errno, "find its directory");
    } else {
        c->source = strdup("/dev/fd/3");
    }
    return c->source ? 0 : error_set(err, -ENOMEM, "out of memory");
}

/* What qemu-img wrote is an image that we can open. */
static int verify(const char *to, const char *to_format, struct error *err)
{
    const struct disk_image_options o = {.format = to_format, .readonly = true};
    struct disk *disk = disk_image_open(to, &o, err);

    if (!disk)
        return error_wrap(err, err->code, "open the new image");
    disk_close(disk);
    return 0;
}

int disk_copy_foreign(const char *from, const char *from_format, const char *to,
                      const char *to_format, struct error *err)
{
    struct conversion c = {.from = -1, .to = -1, .to_format = to_format};
    int r = 0;

    c.abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
    if (c.abi < 1)
        return error_set(err, -ENOTSUP,
                         "images of this format are read behind Landlock, which this kernel does "
                         "not have; trust it and run: qemu-img convert -O %s IMAGE NEW",
                         to_format);
    c.from = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (c.from < 0)
        return error_set_errno(err, -errno, "open for reading");
    r = name_source(&c, from, from_format, err);
    if (r == 0) {
        c.to = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (c.to < 0 && errno == EEXIST)
            r = error_set(err, -EEXIST, "%s exists; remove it first or name another file", to);
        else if (c.to < 0)
            r = error_set_errno(err, -errno, "make %s", to);
    }
    if (r == 0)
        r = run_qemu_img(&c, err);
    if (r == 0)
        r = verify(to, to_format, err);
    if (r < 0 && c.to >= 0)
        unlink(to);
    close_fd(&c.from);
    close_fd(&c.to);
    free(c.source);
    free(c.dir);
    return r;
}
