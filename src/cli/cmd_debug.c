/* SPDX-License-Identifier: Apache-2.0 */
/* gdb and trace: debugging connections to the supervisors of virtual machines. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "cli/verbs.h"
#include "instance/instance.h"
#include "instance/listen.h"

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* ---- gdb ---- */

/* Passes bytes both ways until one side ends. */
static void relay(int in, int out, int peer)
{
    struct pollfd p[2] = {{.fd = in, .events = POLLIN}, {.fd = peer, .events = POLLIN}};
    char bytes[16384];

    for (;;) {
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        for (unsigned i = 0; i < 2; i++) {
            ssize_t n;
            if (!p[i].revents)
                continue;
            n = read(p[i].fd, bytes, sizeof bytes);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0 || write_all(i ? out : peer, bytes, (size_t)n) < 0)
                return;
        }
    }
}

static int relay_stdio(struct cli *cli, const char *ref, const char *arch)
{
    struct error err = {0};
    cleanup_fd int fd = -1;

    if (instance_debug(cli->home, ref, "gdb", arch, &fd, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    relay(STDIN_FILENO, STDOUT_FILENO, fd);
    return 0;
}

static int relay_listen(struct cli *cli, const char *ref, const char *arch, const char *address)
{
    struct error err = {0};
    struct spec_gdb where;
    int r = spec_parse_gdb(address, &where, &err);
    cleanup_fd int listener = r < 0         ? -1
                              : *where.path ? listen_unix(where.path, &err)
                                            : listen_loopback(where.port, &err);
    cleanup_fd int client = -1;
    cleanup_fd int fd = -1;

    if (listener < 0) {
        cli_error(cli, &err);
        return r < 0 ? EXIT_USAGE : EXIT_FAILED;
    }
    do
        client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (client < 0 && errno == EINTR);
    if (*where.path)
        unlink(where.path);
    if (client < 0) {
        cli_complain(cli, "accept a connection: %s", strerror(errno));
        return EXIT_FAILED;
    }
    if (instance_debug(cli->home, ref, "gdb", arch, &fd, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    relay(client, client, fd);
    return 0;
}

/* gdb's command that reads symbols where the kernel runs; new, NULL with the error said. */
static char *kernel_command(struct cli *cli, const char *ref, const char *kernel)
{
    struct error err = {0};
    struct str text = {0};
    char *command = NULL;

    if (strpbrk(kernel, " \t\n\"'\\"))
        error_set(&err, -EINVAL, "--kernel %s: gdb takes no such name; give a link to it", kernel);
    else if (access(kernel, R_OK) < 0)
        error_set_errno(&err, -errno, "--kernel %s", kernel);
    else if (instance_show(cli->home, ref, "kaslr", &text, &err) == 0)
        command = str_format("symbol-file -o %s %s", str_text(&text), kernel);
    if (!command)
        cli_error(cli, &err);
    str_done(&text);
    return command;
}

static int run_gdb(struct cli *cli, struct args *args)
{
    enum { FIXED = 8 };
    const char *kernel = args_text(args, "kernel"), *ref = args->words[0];
    cleanup_free char *symbols = kernel ? kernel_command(cli, ref, kernel) : NULL;
    cleanup_free char *target = NULL;
    cleanup_free const char **argv = mem_alloc((size_t)args->word_count + FIXED, sizeof *argv);
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    size_t count = 0;

    if (kernel && !symbols)
        return EXIT_FAILED;
    self[n > 0 ? n : 0] = 0;
    target = str_format("target remote | '%s' gdb --stdio --arch %s %s", n > 0 ? self : "isola",
                        args_text(args, "arch"), ref);
    if (!argv || !target) {
        cli_complain(cli, "memory ran out");
        return EXIT_FAILED;
    }
    argv[count++] = "gdb";
    if (symbols) {
        argv[count++] = "-ex";
        argv[count++] = symbols;
    }
    argv[count++] = "-ex";
    argv[count++] = target;
    for (int i = 1; i < args->word_count; i++)
        argv[count++] = args->words[i];
    argv[count] = NULL;
    execvp("gdb", (char *const *)(uintptr_t)argv);
    cli_complain(cli, "run gdb: %s (Debian package gdb)", strerror(errno));
    return EXIT_FAILED;
}

int verb_gdb(struct cli *cli, struct args *args)
{
    const char *address = args_text(args, "listen"), *arch = args_text(args, "arch");
    struct instance *i = NULL;
    struct error err = {0};

    if (!cli_home(cli))
        return EXIT_FAILED;
    signal(SIGPIPE, SIG_IGN);
    if (args_bool(args, "stdio"))
        return relay_stdio(cli, args->words[0], arch);
    if (address)
        return relay_listen(cli, args->words[0], arch, address);
    if (instance_find(cli->home, args->words[0], &i, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    instance_free(i);
    signal(SIGPIPE, SIG_DFL);
    return run_gdb(cli, args);
}

/* ---- trace ---- */

static volatile sig_atomic_t interrupted;

static void note_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Areas and filters as the machine takes them; new. */
static char *wanted(const struct args *args)
{
    static const char *const filters[] = {"cpu", "vector", "device"};
    struct str s = {0};
    char *text;

    for (int i = 1; i < args->word_count; i++)
        str_addf(&s, "%s%s", i > 1 ? " " : "", args->words[i]);
    for (size_t i = 0; i < array_size(filters); i++)
        if (args_text(args, filters[i]))
            str_addf(&s, " %s=%s", filters[i], args_text(args, filters[i]));
    text = s.failed ? NULL : strdup(str_text(&s));
    str_done(&s);
    return text;
}

/* One event as a person reads it: time, processor, RIP, then what is particular to it. */
static void print_event(const char *line)
{
    json_t *o = json_loads(line, 0, NULL), *v;
    const char *key, *rip = json_string_value(json_object_get(o, "rip"));
    json_int_t ns = json_integer_value(json_object_get(o, "ns"));
    struct str out = {0};

    if (json_object_get(o, "lost")) {
        str_addf(&out, "... %lld events are missing",
                 json_integer_value(json_object_get(o, "lost")));
    } else {
        str_addf(&out, "%5lld.%06lld ", ns / 1000000000, ns / 1000 % 1000000);
        if (json_object_get(o, "cpu"))
            str_addf(&out, "cpu%lld %-18s ", json_integer_value(json_object_get(o, "cpu")),
                     rip ? rip : "");
        str_addf(&out, "%s", json_string_value(json_object_get(o, "event")));
        json_object_foreach(o, key, v)
        {
            if (strcmp(key, "ns") == 0 || strcmp(key, "area") == 0 || strcmp(key, "event") == 0 ||
                strcmp(key, "cpu") == 0 || strcmp(key, "rip") == 0)
                continue;
            if (json_is_string(v))
                str_addf(&out, " %s=%s", key, json_string_value(v));
            else if (json_is_integer(v))
                str_addf(&out, " %s=%lld", key, json_integer_value(v));
            else
                str_addf(&out, " %s", key);
        }
    }
    str_add_char(&out, '\n');
    cli_print(str_text(&out));
    str_done(&out);
    json_decref(o);
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Prints the whole lines in @text and keeps the rest; false after the last one wanted. */
static bool print_lines(struct str *text, bool json, uint64_t *left)
{
    size_t at = 0;
    char *end;

    while (*left && (end = memchr(text->data + at, '\n', text->len - at))) {
        *end = 0;
        if (json) {
            cli_print(text->data + at);
            cli_print("\n");
        } else {
            print_event(text->data + at);
        }
        at = (size_t)(end - text->data) + 1;
        --*left;
    }
    memmove(text->data, text->data + at, text->len - at);
    text->len -= at;
    return *left && fflush(stdout) == 0 && !text->failed;
}

static void follow(int fd, bool json, uint64_t count, int64_t until)
{
    struct str text = {0};
    char bytes[16384];
    bool more = true;

    while (more && !interrupted) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t wait = until ? until - now_ms() : -1;
        ssize_t n;
        if (until && wait <= 0)
            break;
        if (poll(&p, 1, (int)min_of(wait, (int64_t)INT_MAX)) <= 0)
            continue;
        n = read(fd, bytes, sizeof bytes);
        if (n <= 0 && errno != EINTR)
            break;
        if (n > 0) {
            str_add_n(&text, bytes, (size_t)n);
            more = print_lines(&text, json, &count);
        }
    }
    fflush(stdout);
    str_done(&text);
}

int verb_trace(struct cli *cli, struct args *args)
{
    const struct sigaction action = {.sa_handler = note_interrupt};
    const char *count = args_text(args, "count"), *seconds = args_text(args, "time");
    cleanup_free char *what = wanted(args);
    uint64_t events = UINT64_MAX, limit = 0;
    struct error err = {0};
    cleanup_fd int fd = -1;

    if ((count && str_parse_u64(count, &events) < 0) ||
        (seconds && (str_parse_u64(seconds, &limit) < 0 || limit > INT_MAX))) {
        cli_complain(cli, "--count and --time take numbers");
        return EXIT_USAGE;
    }
    if (!what || !cli_home(cli))
        return EXIT_FAILED;
    if (instance_debug(cli->home, args->words[0], "trace", what, &fd, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    follow(fd, args_bool(args, "json"), events, limit ? now_ms() + (int64_t)limit * 1000 : 0);
    return ferror(stdout) ? EXIT_FAILED : 0;
}
