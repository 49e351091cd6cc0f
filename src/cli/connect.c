/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/own.h"

int connect_check(const struct connection *c, struct error *err)
{
    if (c->screen && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
        return error_set(err, -ENOTTY,
                         "--display text needs a terminal to show the screen on; start it with -d, "
                         "and connect with isola attach when there is one");
    if (c->tty && !isatty(STDIN_FILENO))
        return error_set(err, -ENOTTY,
                         "the input device is not a TTY; leave out -t, or run it in a terminal");
    return c->detach_keys ? instance_detach_keys_check(c->detach_keys, err) : 0;
}

struct instance_attach connect_request(const struct connection *c)
{
    struct instance_attach a = {.input = c->input, .wait_for_reader = true};

    if (c->tty)
        instance_terminal_size(STDIN_FILENO, &a.columns, &a.rows);
    return a;
}

/* Statuses that are Isola's words and not the guest's: the guest cannot explain them. */
static bool own_status(int status)
{
    return status == INSTANCE_EXIT_OWN || status == INSTANCE_EXIT_PANIC ||
           status == INSTANCE_EXIT_TRIPLE || status == INSTANCE_EXIT_NOT_EXECUTABLE ||
           status == INSTANCE_EXIT_NOT_FOUND;
}

int connect_converse(struct cli *cli, const char *ref, const char *name,
                     struct instance_stream *stream, const struct connection *c)
{
    cleanup_fd int nowhere =
        c->no_output || c->no_errors ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
    const struct instance_terminal terminal = {
        .input_fd = c->input ? STDIN_FILENO : -1,
        .output_fd = c->no_output ? nowhere : STDOUT_FILENO,
        .error_fd = c->no_errors ? nowhere : STDERR_FILENO,
        .tty = c->tty,
        .proxy_signals = c->proxy_signals && !c->tty,
        .detach_keys = c->detach_keys,
        .exact_signals = c->exact_signals,
        .screen = c->screen,
    };
    struct instance_terminal_result result = {0};
    struct error err = {0};
    int r;

    fflush(stdout);
    r = instance_terminal_run(cli->home, ref, stream, &terminal, &result, &err);
    instance_stream_close(stream);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    if (result.detached) {
        if (!c->quiet)
            fprintf(stderr, "\r\nisola: detached; \"isola attach %s\" returns\r\n", name);
        return 0;
    }
    if (result.reason[0] && own_status(result.exit_code))
        cli_complain(cli, "%s: %s", name, result.reason);
    return result.exit_code;
}
