/* SPDX-License-Identifier: Apache-2.0 */
/* gdb and trace: debugging connections to the supervisors of virtual machines. */
#include <errno.h>
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
