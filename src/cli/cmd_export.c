/* SPDX-License-Identifier: Apache-2.0 */
/* export: a container's files as an archive. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/image_program.h"
#include "cli/verbs.h"
#include "instance/instance.h"

/* Standard output becomes the file @path. */
static int redirect(const char *path, struct error *err)
{
    cleanup_fd int out = -1;

    if (!path && isatty(STDOUT_FILENO))
        return error_set(err, -EINVAL,
                         "an archive does not belong on a terminal; add -o FILE or redirect it");
    if (!path)
        return 0;
    out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0)
        return error_set_errno(err, -errno, "write %s", path);
    return 0;
}

int verb_export(struct cli *cli, struct args *args)
{
    const char *path = args_text(args, "output");
    cleanup_free char *option = NULL;
    struct error err = {0};
    int fd = -1, r;

    if (!cli_home(cli))
        return EXIT_FAILED;
    r = instance_files(cli->home, args->words[0], &fd, &err);
    if (r == 0)
        r = redirect(path, &err);
    option = r == 0 ? str_format("--fd=%d", fd) : NULL;
    if (option && fcntl(fd, F_SETFD, 0) == 0) { /* the program has it, too */
        const char *const argv[] = {"_export", option, NULL};
        r = image_program_run(argv, &err);
    } else if (r == 0) {
        r = error_set(&err, -ENOMEM, "out of memory");
    }
    if (fd >= 0)
        close(fd);
    if (r < 0)
        cli_error(cli, &err);
    if (r != 0 && path)
        unlink(path);
    return r < 0 ? EXIT_FAILED : r;
}
