/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup driver "systemd": a transient scope that systemd makes and delegates to us.
 *
 * linux.cgroupsPath is "slice:prefix:name" and means the unit prefix-name.scope in that slice. A
 * scope starts with the processes it is given and ends with its last one, so a helper process
 * holds it open until the container's first process has joined (cgroup_settled).
 *
 * systemd is asked over its private socket, one D-Bus method call (D-Bus specification 0.38,
 * "Message Protocol"): org.freedesktop.systemd1.Manager.StartTransientUnit. Whether the scope is
 * there is seen in the helper's /proc/PID/cgroup, so no signal has to be waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_internal.h"

enum { ANSWER_MS = 10000, SCOPE_MS = 10000, MESSAGE_MAX = 16384 };

/* The unit of @place. Each part may be empty. New strings. */
static int unit_of(const struct cgroup_place *place, char **ret_slice, char **ret_unit,
                   struct error *err)
{
    const char *path = place->path && *place->path ? place->path : "";
    const char *first = strchr(path, ':'), *second = first ? strchr(first + 1, ':') : NULL;
    if (*path && (!second || strchr(second + 1, ':')))
        return error_set(err, -EINVAL,
                         "cgroups path '%s' is not slice:prefix:name, as the systemd cgroup driver "
                         "needs",
                         path);
    const char *standard = place->rootless ? "user.slice" : "system.slice";
    int slice_len = *path ? (int)(first - path) : 0;
    int prefix_len = *path ? (int)(second - first - 1) : 0;
    const char *name = *path && second[1] ? second + 1 : place->id;
    for (const char *p = *path ? path : name; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == '/' || (unsigned char)*p >= 127)
            return error_set(err, -EINVAL, "cgroups path '%s' has characters that no unit has",
                             path);
    char *slice = slice_len ? str_format("%.*s", slice_len, path) : str_format("%s", standard);
    char *unit = prefix_len ? str_format("%.*s-%s.scope", prefix_len, first + 1, name)
                            : str_format("%s.scope", name);
    if (!slice || !unit || strlen(slice) > 255 || strlen(unit) > 255) {
        free(slice);
        free(unit);
        return error_set(err, -EINVAL, "cgroups path '%s' is too long for a unit", path);
    }
    *ret_slice = slice;
    *ret_unit = unit;
    return 0;
}

/* Writing a message: values are aligned to their size, from the message's start. */

struct message {
    uint8_t bytes[MESSAGE_MAX];
    size_t len;
    bool failed;
};

static void put_bytes(struct message *m, const void *bytes, size_t n)
{
    if (n > sizeof(m->bytes) - m->len) {
        m->failed = true;
        return;
    }
    memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
}

static void align(struct message *m, size_t to)
{
    static const uint8_t zeros[8];
    put_bytes(m, zeros, (to - m->len % to) % to);
}

static void put_u32(struct message *m, uint32_t v)
{
    uint8_t le[4];
    align(m, 4);
    store_le32(le, v);
    put_bytes(m, le, 4);
}

static void put_string(struct message *m, const char *text)
{
    put_u32(m, (uint32_t)strlen(text));
    put_bytes(m, text, strlen(text) + 1);
}

static void put_signature(struct message *m, const char *text)
{
    uint8_t n = (uint8_t)strlen(text);
    put_bytes(m, &n, 1);
    put_bytes(m, text, (size_t)n + 1);
}

/* An array's length is known at its end: the place of it, and where its elements start. */
struct array {
    size_t at, start;
};

static struct array begin_array(struct message *m, size_t alignment)
{
    struct array a;
    put_u32(m, 0);
    a.at = m->len - 4;
    align(m, alignment);
    a.start = m->len;
    return a;
}

static void end_array(struct message *m, struct array a)
{
    if (!m->failed)
        store_le32(m->bytes + a.at, (uint32_t)(m->len - a.start));
}

/* A header field: struct of a code and a variant with a string-like value. */
static void put_field(struct message *m, uint8_t code, const char *type, const char *value)
{
    align(m, 8);
    put_bytes(m, &code, 1);
    put_signature(m, type);
    if (*type == 'g')
        put_signature(m, value);
    else
        put_string(m, value);
}

static void put_text_property(struct message *m, const char *name, const char *value)
{
    align(m, 8);
    put_string(m, name);
    put_signature(m, "s");
    put_string(m, value);
}

static void put_bool_property(struct message *m, const char *name, bool value)
{
    align(m, 8);
    put_string(m, name);
    put_signature(m, "b");
    put_u32(m, value);
}

static void put_call(struct message *m, const char *slice, const char *unit, const char *id,
                     pid_t pid)
{
    enum { PATH = 1, INTERFACE = 2, MEMBER = 3, DESTINATION = 6, SIGNATURE = 8 };
    static const uint8_t start[4] = {'l', 1 /* method call */, 0, 1 /* protocol */};
    put_bytes(m, start, sizeof(start));
    put_u32(m, 0); /* length of the body: below */
    put_u32(m, 1); /* serial */
    struct array fields = begin_array(m, 8);
    put_field(m, PATH, "o", "/org/freedesktop/systemd1");
    put_field(m, INTERFACE, "s", "org.freedesktop.systemd1.Manager");
    put_field(m, MEMBER, "s", "StartTransientUnit");
    put_field(m, DESTINATION, "s", "org.freedesktop.systemd1");
    put_field(m, SIGNATURE, "g", "ssa(sv)a(sa(sv))");
    end_array(m, fields);
    align(m, 8);
    size_t body = m->len;
    put_string(m, unit);
    put_string(m, "replace");
    struct array properties = begin_array(m, 8);
    char description[300];
    snprintf(description, sizeof(description), "isola container %.200s", id);
    put_text_property(m, "Description", description);
    put_text_property(m, "Slice", slice);
    put_text_property(m, "CollectMode", "inactive-or-failed");
    put_bool_property(m, "Delegate", true);
    put_bool_property(m, "DefaultDependencies", false);
    static const char *const accounting[] = {"CPUAccounting", "MemoryAccounting", "TasksAccounting",
                                             "IOAccounting"};
    for (size_t i = 0; i < array_size(accounting); i++)
        put_bool_property(m, accounting[i], true);
    align(m, 8);
    put_string(m, "PIDs");
    put_signature(m, "au");
    struct array pids = begin_array(m, 4);
    put_u32(m, (uint32_t)pid);
    end_array(m, pids);
    end_array(m, properties);
    struct array extra = begin_array(m, 8);
    end_array(m, extra);
    if (!m->failed)
        store_le32(m->bytes + 4, (uint32_t)(m->len - body));
}

/* Talking. */

static int send_all(int fd, const void *bytes, size_t n)
{
    while (n) {
        ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -errno;
        bytes = (const uint8_t *)bytes + k;
        n -= (size_t)k;
    }
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* At least @want bytes into @buffer, which holds *@len already. */
static int receive(int fd, uint8_t *buffer, size_t size, size_t *len, size_t want, int64_t until)
{
    if (want > size)
        return -EMSGSIZE;
    while (*len < want) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - now_ms();
        int r = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r ? -errno : -ETIMEDOUT;
        ssize_t n = read(fd, buffer + *len, size - *len);
        if (n <= 0)
            return n ? -errno : -ECONNRESET;
        *len += (size_t)n;
    }
    return 0;
}

static int authenticate(int fd, int64_t until)
{
    char hello[80], uid[16];
    int n = snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
    size_t len = 0;
    hello[len++] = 0;
    len += (size_t)snprintf(hello + len, sizeof(hello) - len, "AUTH EXTERNAL ");
    for (int i = 0; i < n; i++)
        len += (size_t)snprintf(hello + len, sizeof(hello) - len, "%02x", uid[i]);
    len += (size_t)snprintf(hello + len, sizeof(hello) - len, "\r\n");
    int r = send_all(fd, hello, len);
    uint8_t line[256];
    size_t have = 0;
    while (!r && (have < 2 || memcmp(line + have - 2, "\r\n", 2)))
        r = receive(fd, line, sizeof(line), &have, have + 1, until);
    if (!r && (have < 3 || memcmp(line, "OK ", 3)))
        r = -EACCES;
    return r ? r : send_all(fd, "BEGIN\r\n", 7);
}

/* Waits for the answer to our call; other messages pass by. */
static int read_answer(int fd, int64_t until, struct error *err)
{
    static const char what[] = "ask systemd for a scope";
    uint8_t buffer[MESSAGE_MAX];
    size_t len = 0;
    for (;;) {
        int r = receive(fd, buffer, sizeof(buffer), &len, 16, until);
        if (r)
            return error_set_errno(err, r, "%s", what);
        if (buffer[0] != 'l')
            return error_set(err, -EPROTO, "%s: it does not speak D-Bus", what);
        size_t body = load_le32(buffer + 4), fields = load_le32(buffer + 12);
        if (body > MESSAGE_MAX || fields > MESSAGE_MAX)
            return error_set(err, -EPROTO, "%s: its answer is too long", what);
        size_t start = (16 + fields + 7) / 8 * 8, all = start + body;
        r = receive(fd, buffer, sizeof(buffer), &len, all, until);
        if (r)
            return error_set_errno(err, r, "%s", what);
        if (buffer[1] == 2) /* method return */
            return 0;
        if (buffer[1] == 3) { /* error: its first argument is a text */
            size_t n = body >= 5 ? load_le32(buffer + start) : 0;
            n = n > body - 5 || body < 5 ? 0 : n;
            return error_set(err, -EREMOTEIO, "%s: %.*s", what, n ? (int)n : 10,
                             n ? (char *)buffer + start + 4 : "it refuses");
        }
        memmove(buffer, buffer + all, len - all);
        len -= all;
    }
}

/* The helper: ends with us or by cgroup_settled. */
static pid_t start_holder(void)
{
    pid_t parent = getpid(), pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent)
            pause();
        _exit(0);
    }
    return pid < 0 ? -errno : pid;
}

/* Waits until @pid is in @unit; its path in the hierarchies, new. */
static int wait_for_scope(pid_t pid, const char *unit, char **ret_path, struct error *err)
{
    char where[32], text[8192];
    snprintf(where, sizeof(where), "/proc/%d", (int)pid);
    struct cgroup_dir proc = {.path = where};
    for (int64_t until = now_ms() + SCOPE_MS; now_ms() < until;
         nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL)) {
        if (cgroup_read_text(&proc, "cgroup", text, sizeof(text)) <= 0)
            break;
        char *save = NULL;
        for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
            bool systemds = str_starts(l, "0::") || strstr(l, ":name=systemd:");
            const char *path = systemds ? strchr(strchr(l, ':') + 1, ':') + 1 : NULL;
            const char *name = path ? strrchr(path, '/') : NULL;
            if (name && !strcmp(name + 1, unit)) {
                *ret_path = strdup(path);
                return *ret_path ? 0 : error_set(err, -ENOMEM, "no memory");
            }
        }
    }
    return error_set(err, -ETIMEDOUT, "systemd made no scope %s in %d seconds", unit,
                     SCOPE_MS / 1000);
}

int cgroup_systemd_ask(const char *socket_path, const struct cgroup_place *place, char **ret_path,
                       pid_t *ret_holder, struct error *err)
{
    cleanup_free char *slice = NULL, *unit = NULL;
    int r = unit_of(place, &slice, &unit, err);
    if (r)
        return r;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof(address.sun_path))
        return error_set(err, -ENAMETOOLONG, "%s is too long for a socket", socket_path);
    strcpy(address.sun_path, socket_path);
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set_errno(err, -errno, "connect to systemd at %s", socket_path);
    int64_t until = now_ms() + ANSWER_MS;
    r = authenticate(fd, until);
    if (r)
        return error_set_errno(err, r, "talk to systemd at %s", socket_path);
    pid_t pid = start_holder();
    if (pid < 0)
        return error_set_errno(err, (int)pid, "start the process that holds the scope");
    struct message m = {.len = 0};
    put_call(&m, slice, unit, place->id, pid);
    r = m.failed ? -E2BIG : send_all(fd, m.bytes, m.len);
    if (r)
        error_set_errno(err, r, "ask systemd for the scope %s", unit);
    else
        r = read_answer(fd, until, err);
    if (!r)
        r = wait_for_scope(pid, unit, ret_path, err);
    if (r) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    *ret_holder = pid;
    return 0;
}

int cgroup_systemd_scope(const struct cgroup_place *place, char **ret_path, pid_t *ret_holder,
                         struct error *err)
{
    if (access("/run/systemd/system", F_OK) < 0)
        return error_set(err, -ENOTSUP,
                         "the systemd cgroup driver was asked for and no systemd runs here (no "
                         "/run/systemd/system): run without --systemd-cgroup, or give the caller "
                         "the cgroup manager cgroupfs");
    if (geteuid() == 0 && !place->rootless)
        return cgroup_systemd_ask("/run/systemd/private", place, ret_path, ret_holder, err);
    const char *run = getenv("XDG_RUNTIME_DIR");
    cleanup_free char *path = run && run[0] == '/' ? str_format("%s/systemd/private", run) : NULL;
    if (!path)
        return error_set(err, -ENOTSUP,
                         "the systemd cgroup driver needs the user's systemd: XDG_RUNTIME_DIR is "
                         "not set");
    return cgroup_systemd_ask(path, place, ret_path, ret_holder, err);
}
