/* SPDX-License-Identifier: Apache-2.0 */
/* generate systemd: a unit file for an instance. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/verbs.h"
#include "instance/instance.h"

int verb_generate_systemd(struct cli *cli, struct args *args)
{
    bool user = args_bool(args, "user");
    struct instance *i = NULL;
    struct error err = {0};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (n < 0 || instance_find(cli->home, args->words[0], &i, &err) < 0) {
        if (n < 0)
            error_set_errno(&err, -errno, "find this program");
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    self[n] = 0;
    if (i->spec->restart != SPEC_RESTART_NO)
        cli_complain(cli, "%s has a restart policy of its own; with systemd's, use one of both",
                     i->name);
    /* The command in the foreground is what systemd watches; its exit status is the instance's. */
    printf("[Unit]\n"
           "Description=Isola instance %s\n"
           "Wants=network-online.target\n"
           "After=network-online.target\n"
           "\n"
           "[Service]\n"
           "Type=exec\n"
           "ExecStart=%s start --attach %s\n"
           "ExecStop=%s stop %s\n"
           "Restart=%s\n"
           "TimeoutStopSec=%u\n"
           "KillMode=mixed\n"
           "\n"
           "[Install]\n"
           "WantedBy=%s\n",
           i->name, self, i->id, self, i->id, args_text(args, "restart"),
           i->spec->stop_timeout + 10, user ? "default.target" : "multi-user.target");
    instance_free(i);
    return 0;
}
