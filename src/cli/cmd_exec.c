/* SPDX-License-Identifier: Apache-2.0 */
/* exec: another process in a running instance. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/connect.h"
#include "cli/environment.h"

int verb_exec(struct cli *cli, struct args *args)
{
    struct connection c = {
        .input = args_bool(args, "interactive"),
        .tty = args_bool(args, "tty"),
        .quiet = true,
        .detach_keys = args_given(args, "detach-keys") ? args_text(args, "detach-keys") : NULL,
    };
    struct environment env = {0};
    struct instance_exec exec = {.words = args->words + 1,
                                 .workdir = args_text(args, "workdir"),
                                 .user = args_text(args, "user"),
                                 .tty = c.tty,
                                 .interactive = c.input,
                                 .privileged = args_bool(args, "privileged"),
                                 .detach = args_bool(args, "detach")};
    struct instance_stream *stream = NULL;
    struct instance *instance = NULL;
    struct instance_attach request;
    struct error err = {0};
    int status = 0, r = environment_from_args(args, &env, &err);

    exec.env = (const char *const *)env.items;
    if (r == 0 && exec.workdir && exec.workdir[0] != '/')
        r = error_set(&err, -EINVAL, "option --workdir: \"%s\" is not an absolute path",
                      exec.workdir);
    if (r == 0 && !exec.detach)
        r = connect_check(&c, &err);
    if (r < 0) {
        cli_error(cli, &err);
        environment_done(&env);
        return EXIT_USAGE;
    }
    if (!cli_home(cli)) {
        environment_done(&env);
        return EXIT_FAILED;
    }
    request = connect_request(&c);
    r = instance_find(cli->home, args->words[0], &instance, &err);
    instance_free(instance);
    if (r < 0) { /* so that -ENOENT below speaks of the program */
        cli_error(cli, &err);
        environment_done(&env);
        return EXIT_FAILED;
    }
    r = instance_exec(cli->home, args->words[0], &exec, &request, &stream, &err);
    if (r < 0) {
        cli_error(cli, &err);
        status = r == -ENOENT                                    ? INSTANCE_EXIT_NOT_FOUND
                 : r == -EACCES || r == -ENOEXEC || r == -EISDIR ? INSTANCE_EXIT_NOT_EXECUTABLE
                                                                 : EXIT_FAILED;
    } else if (exec.detach) {
        instance_stream_close(stream);
    } else {
        status = connect_converse(cli, args->words[0], args->words[0], stream, &c);
    }
    environment_done(&env);
    return status;
}
