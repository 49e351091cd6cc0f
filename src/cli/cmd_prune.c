/* SPDX-License-Identifier: Apache-2.0 */
/* system prune: everything that nobody uses, in one go. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/filter.h"
#include "cli/prune.h"
#include "cli/verbs.h"
#include "image/store.h"

int prune_confirm(const struct args *args, struct error *err, const char *format, ...)
{
    char answer[16] = "";
    va_list ap;

    if (args_bool(args, "force"))
        return 0;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return error_set(err, -EPERM, "there is no terminal to ask on; add --force");
    fputs("Remove ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputs("? [y/N] ", stderr);
    fflush(stderr);
    if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return error_set(err, -EPERM, "nothing was removed");
    return 0;
}

int verb_system_prune(struct cli *cli, struct args *args)
{
    const bool all = args_bool(args, "all"), volumes = args_bool(args, "volumes");
    const bool filtered = args_given(args, "filter");
    const struct image_prune_what images = {.all = all, .build_cache = true};
    struct filter filter;
    struct error err = {0};
    int r;

    if (filter_parse(&filter, args, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    r = filtered ? prune_confirm(args, &err, "all instances that do not run and match the filter")
                 : prune_confirm(args, &err,
                                 "all instances that do not run, %simages that no instance uses%s, "
                                 "and what builds keep",
                                 all ? "" : "nameless ", volumes ? ", volumes without names" : "");
    if (r == 0)
        r = prune_instances(cli, args, &filter, &err);
    if (r == 0 && volumes)
        r = prune_volumes(cli, false, &err);
    if (r == 0 && !filtered)
        r = prune_images(cli, &images, &err);
    if (r < 0 && err.code)
        cli_error(cli, &err);
    return r < 0 ? EXIT_FAILED : 0;
}
