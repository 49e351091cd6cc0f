/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that connect their terminal to an instance: run, start, attach, exec. */
#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

#include "cli/verbs.h"
#include "instance/instance.h"

/* How this command connects to a console. */
struct connection {
    bool input, tty, proxy_signals;
    bool exact_signals;      /* each as it came, not only "end" */
    bool no_output;          /* its standard output is not shown */
    bool no_errors;          /* nor its standard error */
    bool screen;             /* a machine's screen and keyboard instead of its console */
    bool quiet;              /* no word about how to come back after detaching */
    const char *detach_keys; /* NULL: the default ones */
};

int connect_check(const struct connection *c, struct error *err) error_must_check;
struct instance_attach connect_request(const struct connection *c);
/*
 * Serves @stream (taken) of @ref until the instance ends or the user detaches. @name is what the
 * user calls it. The exit status.
 */
int connect_converse(struct cli *cli, const char *ref, const char *name,
                     struct instance_stream *stream, const struct connection *c);

#endif
