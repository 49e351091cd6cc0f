/* SPDX-License-Identifier: Apache-2.0 */
/* The scope driver against a systemd that the test plays: it checks every byte of the call. */
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "container/cgroup_internal.h"

static char top[64], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/isola-scope-test-XXXXXX");
    if (!mkdtemp(top))
        return -1;
    snprintf(path, sizeof(path), "%s/private", top);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(top);
}

/* Reading a message by its signature, written from the specification; leaves on any disorder. */
struct reader {
    const uint8_t *bytes;
    size_t len, at;
    char *text; /* what was read, readable */
    size_t text_len;
};

static void bad(const char *why)
{
    fprintf(stderr, "the call is wrong: %s\n", why);
    _exit(1);
}

static void align(struct reader *r, size_t to)
{
    while (r->at % to) {
        if (r->at >= r->len || r->bytes[r->at])
            bad("padding");
        r->at++;
    }
}

static uint32_t read_u32(struct reader *r)
{
    align(r, 4);
    if (r->at + 4 > r->len)
        bad("end");
    r->at += 4;
    return load_le32(r->bytes + r->at - 4);
}

static const char *read_text(struct reader *r, size_t n)
{
    const char *s = (const char *)r->bytes + r->at;
    if (r->at + n + 1 > r->len || s[n] || strlen(s) != n)
        bad("string");
    r->at += n + 1;
    return s;
}

static void say(struct reader *r, const char *text)
{
    r->text_len += (size_t)snprintf(r->text + r->text_len, 4096 - r->text_len, "%s ", text);
}

static size_t alignment(char type)
{
    return type == 'y' || type == 'g' || type == 'v' ? 1 : type == '(' ? 8 : 4;
}

static const char *skip_type(const char *t)
{
    if (*t == 'a')
        return skip_type(t + 1);
    if (*t != '(')
        return t + 1;
    for (t++; *t != ')';)
        t = skip_type(t);
    return t + 1;
}

static const char *read_value(struct reader *r, const char *type)
{
    char number[16];
    if (r->at > r->len)
        bad("end");
    switch (*type) {
    case 'y':
        snprintf(number, sizeof(number), "%u", r->bytes[r->at++]);
        say(r, number);
        return type + 1;
    case 'u':
    case 'b':
        snprintf(number, sizeof(number), "%u", read_u32(r));
        say(r, number);
        return type + 1;
    case 's':
    case 'o':
        say(r, read_text(r, read_u32(r)));
        return type + 1;
    case 'g': {
        size_t n = r->bytes[r->at++];
        say(r, read_text(r, n));
        return type + 1;
    }
    case 'v': {
        size_t n = r->bytes[r->at++];
        const char *inner = read_text(r, n);
        if (*read_value(r, inner))
            bad("variant");
        return type + 1;
    }
    case '(':
        align(r, 8);
        for (type++; *type != ')';)
            type = read_value(r, type);
        return type + 1;
    case 'a': {
        uint32_t n = read_u32(r);
        align(r, alignment(type[1]));
        size_t end = r->at + n;
        if (end > r->len)
            bad("array");
        while (r->at < end)
            read_value(r, type + 1);
        if (r->at != end)
            bad("array's end");
        return skip_type(type);
    }
    default:
        bad("type");
        return type;
    }
}

static void read_line(int fd, char *line, size_t size)
{
    size_t n = 0;
    while (n < size - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = 0;
}

enum { ANSWER_OK, ANSWER_ERROR, ANSWER_CLOSE, ANSWER_JUNK, ANSWER_REFUSE };

/* Plays systemd once. */
static void serve(int server, int answer, const char *unit, const char *group)
{
    alarm(20);
    int fd = accept(server, NULL, NULL);
    char line[128], expected[64], uid[16], zero = 1;
    if (read(fd, &zero, 1) != 1 || zero)
        bad("no zero byte");
    read_line(fd, line, sizeof(line));
    snprintf(uid, sizeof(uid), "%u", (unsigned)geteuid());
    size_t n = (size_t)snprintf(expected, sizeof(expected), "AUTH EXTERNAL ");
    for (size_t i = 0; uid[i]; i++)
        n += (size_t)snprintf(expected + n, sizeof(expected) - n, "%02x", uid[i]);
    snprintf(expected + n, sizeof(expected) - n, "\r");
    if (strcmp(line, expected))
        bad(line);
    if (answer == ANSWER_REFUSE) {
        dprintf(fd, "REJECTED EXTERNAL\r\n");
        _exit(0);
    }
    dprintf(fd, "OK 0123456789abcdef0123456789abcdef\r\n");
    read_line(fd, line, sizeof(line));
    if (strcmp(line, "BEGIN\r"))
        bad(line);
    uint8_t bytes[8192];
    size_t len = 0, want = 16;
    while (len < want) {
        ssize_t k = read(fd, bytes + len, sizeof(bytes) - len);
        if (k <= 0)
            bad("short");
        len += (size_t)k;
        if (len >= 16)
            want = (16 + load_le32(bytes + 12) + 7) / 8 * 8 + load_le32(bytes + 4);
    }
    if (len != want || memcmp(bytes, "l\1\0\1", 4))
        bad("header");
    char text[4096];
    struct reader r = {bytes, len, 12, text, 0};
    read_value(&r, "a(yv)");
    static const char head[] = "1 /org/freedesktop/systemd1 2 org.freedesktop.systemd1.Manager 3 "
                               "StartTransientUnit 6 org.freedesktop.systemd1 8 ssa(sv)a(sa(sv)) ";
    if (strcmp(text, head))
        bad(text);
    align(&r, 8);
    r.bytes += r.at; /* the body is aligned by itself, too */
    r.len -= r.at;
    r.at = r.text_len = 0;
    for (const char *t = "ssa(sv)a(sa(sv))"; *t;)
        t = read_value(&r, t);
    if (r.at != r.len)
        bad("more than the signature says");
    char body[1024];
    const char *pids = strstr(text, "PIDs ");
    int pid = pids ? atoi(pids + 5) : 0;
    snprintf(body, sizeof(body),
             "%s replace Description isola container c1 Slice my.slice CollectMode "
             "inactive-or-failed Delegate 1 DefaultDependencies 0 CPUAccounting 1 MemoryAccounting "
             "1 TasksAccounting 1 IOAccounting 1 PIDs %d ",
             unit, pid);
    if (strcmp(text, body) || pid <= 0)
        bad(text);
    /* A signal first, which is not the answer. */
    static const uint8_t signal_message[16 + 8] = {'l', 4, 0, 1, 8, [8] = 9};
    if (write(fd, signal_message, 24) != 24)
        bad("write");
    if (answer == ANSWER_OK) {
        char file[256];
        snprintf(file, sizeof(file), "%s/cgroup.procs", group);
        FILE *f = fopen(file, "w");
        if (!f || fprintf(f, "%d\n", pid) < 0 || fclose(f))
            bad(file);
        static const uint8_t done[16] = {'l', 2, 0, 1, [8] = 10};
        if (write(fd, done, 16) != 16)
            bad("write");
    } else if (answer == ANSWER_ERROR) {
        static const uint8_t refusal[16 + 12] = {
            'l', 3, 0, 1, 11, [8] = 10, [16] = 6, [20] = 'e', 'x', 'i', 's', 't', 's'};
        if (write(fd, refusal, 27) != 27)
            bad("write");
    } else if (answer == ANSWER_JUNK) {
        uint8_t junk[16];
        memset(junk, 0xff, sizeof(junk));
        if (write(fd, junk, 16) != 16)
            bad("write");
    }
    _exit(0);
}

static int ask(int answer, const char *group, char **ret_path, pid_t *holder, struct error *err)
{
    unlink(path);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server, 1), 0);
    pid_t pid = fork();
    if (!pid)
        serve(server, answer, "pre-c1.scope", group);
    close(server);
    struct cgroup_place place = {.path = "my.slice:pre:c1", .id = "c1", .systemd = true};
    int r = cgroup_systemd_ask(path, &place, ret_path, holder, err);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return r;
}

static void test_refusals(void **state)
{
    (void)state;
    struct error err = {0};
    char *scope = NULL;
    pid_t holder = 0;
    assert_int_equal(ask(ANSWER_ERROR, NULL, &scope, &holder, &err), -EREMOTEIO);
    assert_non_null(strstr(error_text(&err), "exists"));
    assert_int_equal(ask(ANSWER_CLOSE, NULL, &scope, &holder, &err), -ECONNRESET);
    assert_int_equal(ask(ANSWER_JUNK, NULL, &scope, &holder, &err), -EPROTO);
    assert_int_equal(ask(ANSWER_REFUSE, NULL, &scope, &holder, &err), -EACCES);
    assert_null(scope);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no holder is left */
}

static void test_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {"/a/b", "one:two", "a:b:c:d", "a:b/c:d", "a b:c:d"};
    pid_t holder;
    char *scope = NULL;
    for (size_t i = 0; i < array_size(wrong); i++) {
        struct cgroup_place place = {.path = wrong[i], .id = "c1", .systemd = true};
        struct error err = {0};
        assert_int_equal(cgroup_systemd_ask("/nonexistent", &place, &scope, &holder, &err),
                         -EINVAL);
    }
    struct cgroup_place good = {.path = "::", .id = "c1", .systemd = true};
    struct error err = {0};
    assert_int_equal(cgroup_systemd_ask("/nonexistent", &good, &scope, &holder, &err), -ENOENT);
}

static void test_scope(void **state)
{
    (void)state;
    char slice[128], group[192];
    snprintf(slice, sizeof(slice), "/sys/fs/cgroup/systemd/isola-test-%d", (int)getpid());
    snprintf(group, sizeof(group), "%s/pre-c1.scope", slice);
    if (mkdir(slice, 0755) || mkdir(group, 0755)) {
        print_message("SKIP: no right to make directories in the hierarchy of systemd\n");
        skip();
    }
    struct error err = {0};
    char *scope = NULL;
    pid_t holder = 0;
    if (ask(ANSWER_OK, group, &scope, &holder, &err))
        fail_msg("%s", error_text(&err));
    assert_string_equal(scope, group + strlen("/sys/fs/cgroup/systemd"));
    assert_int_equal(kill(holder, 0), 0);
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    free(scope);
    for (int i = 0; rmdir(group) && errno == EBUSY && i < 1000; i++)
        usleep(1000);
    assert_int_equal(rmdir(slice), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scope, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
