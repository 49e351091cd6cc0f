/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of isola-runtime that act on a container that exists. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/jtree.h"
#include "base/mem.h"
#include "base/own.h"
#include "container/container_internal.h"
#include "container/runtime.h"

int verb_start(struct command *c, struct error *err)
{
    struct container *x;
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    x->warn = runtime_warn;
    x->opaque = c->rt;
    r = container_start(x, err);
    container_free(x);
    return r < 0 ? error_wrap(err, r, "start container %s", c->args[0]) : 0;
}

/* As runc prints it; also one element of "list --format json". */
static void describe(struct container *x, struct str *out, const char *gap)
{
    const struct container_facts *f = container_facts(x);
    enum container_status status = container_status(x);
    const struct {
        const char *key, *value;
    } texts[] = {{"status", container_status_name(status)},
                 {"bundle", f->bundle},
                 {"rootfs", f->rootfs},
                 {"created", f->created},
                 {"owner", f->owner}};
    str_addf(out, "{%s\"ociVersion\": ", gap);
    jtree_add_string(out, f->version);
    str_addf(out, ",%s\"id\": ", gap);
    jtree_add_string(out, f->id);
    str_addf(out, ",%s\"pid\": %d", gap, container_pid(x));
    for (size_t i = 0; i < array_size(texts); i++) {
        str_addf(out, ",%s\"%s\": ", gap, texts[i].key);
        jtree_add_string(out, texts[i].value);
    }
    for (size_t i = 0; i < f->annotations->n; i++) {
        str_addf(out, i ? ", " : ",%s\"annotations\": {", gap);
        jtree_add_string(out, f->annotations->v[i].key);
        str_add(out, ": ");
        jtree_add_string(out, f->annotations->v[i].value);
    }
    str_add(out, f->annotations->n ? "}" : "");
    str_addf(out, "%s}", *gap == '\n' ? "\n" : "");
}

static int print(struct str *text, struct error *err)
{
    int r = text->failed ? error_set(err, -ENOMEM, "out of memory") : 0;
    if (r == 0 && (fputs(str_text(text), stdout) < 0 || fflush(stdout) < 0))
        r = error_set_errno(err, -errno, "write to standard output");
    str_done(text);
    return r;
}

int verb_state(struct command *c, struct error *err)
{
    struct container *x;
    struct str out = {0};
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    describe(x, &out, "\n  ");
    str_add_char(&out, '\n');
    container_free(x);
    return print(&out, err);
}

/* --- list --- */

static void list_row(struct container *x, struct str *out)
{
    const struct container_facts *f = container_facts(x);
    str_addf(out, "%-12s %-11d %-11s %s %s %s\n", f->id, container_pid(x),
             container_status_name(container_status(x)), f->bundle, f->created, f->owner);
}

int verb_list(struct command *c, struct error *err)
{
    const char *format = command_value(c, "format");
    bool json = format && strcmp(format, "json") == 0, quiet = command_has(c, "quiet");
    struct str out = {0};
    bool first = true;
    if (format && !json && strcmp(format, "table") != 0)
        return error_set(err, -EINVAL, "list: --format: table or json was expected");
    DIR *d = opendir(c->rt->root);
    if (!d && errno != ENOENT)
        return error_set_errno(err, -errno, "list %s", c->rt->root);
    if (json)
        str_add_char(&out, '[');
    else if (!quiet)
        str_addf(&out, "%-12s %-11s %-11s BUNDLE CREATED OWNER\n", "ID", "PID", "STATUS");
    for (struct dirent *e; d && (e = readdir(d));) {
        struct container *x;
        if (!container_id_valid(e->d_name) || container_load(c->rt->root, e->d_name, &x, NULL) < 0)
            continue;
        if (quiet)
            str_addf(&out, "%s\n", e->d_name);
        else if (!json)
            list_row(x, &out);
        else {
            str_add(&out, first ? "" : ",");
            describe(x, &out, " ");
        }
        first = false;
        container_free(x);
    }
    if (d)
        closedir(d);
    str_add(&out, json ? "]\n" : "");
    return print(&out, err);
}

/* --- kill, delete, pause, resume --- */

/* Not every C library has sigabbrev_np. */
static const char *const signal_names[] = {
    [SIGHUP] = "HUP",   [SIGINT] = "INT",   [SIGQUIT] = "QUIT",     [SIGILL] = "ILL",
    [SIGTRAP] = "TRAP", [SIGABRT] = "ABRT", [SIGBUS] = "BUS",       [SIGFPE] = "FPE",
    [SIGKILL] = "KILL", [SIGUSR1] = "USR1", [SIGSEGV] = "SEGV",     [SIGUSR2] = "USR2",
    [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM",     [SIGSTKFLT] = "STKFLT",
    [SIGCHLD] = "CHLD", [SIGCONT] = "CONT", [SIGSTOP] = "STOP",     [SIGTSTP] = "TSTP",
    [SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU", [SIGURG] = "URG",       [SIGXCPU] = "XCPU",
    [SIGXFSZ] = "XFSZ", [SIGPROF] = "PROF", [SIGVTALRM] = "VTALRM", [SIGWINCH] = "WINCH",
    [SIGPOLL] = "POLL", [SIGPWR] = "PWR",   [SIGSYS] = "SYS",
};

static int signal_number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end > text && !*end)
        return n > 0 && n <= SIGRTMAX ? (int)n : -1;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    if (strncasecmp(text, "RTMIN", 5) == 0) {
        n = text[5] ? strtol(text + 5, &end, 10) : 0;
        return n >= 0 && SIGRTMIN + n <= SIGRTMAX ? SIGRTMIN + (int)n : -1;
    }
    if (strncasecmp(text, "RTMAX", 5) == 0) {
        n = text[5] ? strtol(text + 5, &end, 10) : 0;
        return n <= 0 && SIGRTMAX + n >= SIGRTMIN ? SIGRTMAX + (int)n : -1;
    }
    for (size_t s = 1; s < array_size(signal_names); s++)
        if (signal_names[s] && strcasecmp(signal_names[s], text) == 0)
            return (int)s;
    return -1;
}

int verb_kill(struct command *c, struct error *err)
{
    const char *name = c->arg_count > 1 ? c->args[1] : "TERM";
    int signal = signal_number(name);
    struct container *x;
    if (signal < 0)
        return error_set(err, -EINVAL, "kill: \"%s\" is no signal", name);
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    r = container_kill(x, signal, command_has(c, "all"), err);
    container_free(x);
    return r;
}

int verb_delete(struct command *c, struct error *err)
{
    bool force = command_has(c, "force");
    struct container *x;
    int r = runtime_load(c, &x, err);
    if (r == -ENOENT && force) {
        /* A creation that was cut off leaves a directory without state. */
        cleanup_free char *dir = str_format("%s/%s", c->rt->root, c->args[0]);
        if (dir)
            container_remove_dir(dir);
        return 0;
    }
    if (r < 0)
        return r;
    x->warn = runtime_warn;
    x->opaque = c->rt;
    r = container_delete(x, force, err);
    container_free(x);
    return r;
}

int verb_pause(struct command *c, struct error *err)
{
    struct container *x;
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    r = container_pause(x, err);
    container_free(x);
    return r;
}

int verb_resume(struct command *c, struct error *err)
{
    struct container *x;
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    r = container_resume(x, err);
    container_free(x);
    return r;
}

int verb_refuse(struct command *c, struct error *err)
{
    return error_set(err, -ENOTSUP,
                     "%s is not supported: Isola does not save containers with CRIU; an instance "
                     "behind the wall \"vm\" is what keeps its state in a snapshot",
                     c->verb->name);
}

/* --- ps --- */

static bool has_pid(const pid_t *pids, size_t n, long pid)
{
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Index of the column PID in the head line of ps, -1. */
static int pid_column(const char *head)
{
    for (int column = 0; *head; column++) {
        head += strspn(head, " ");
        size_t n = strcspn(head, " \n");
        if (n == 3 && strncmp(head, "PID", 3) == 0)
            return column;
        head += n;
        head += strspn(head, " \n");
    }
    return -1;
}

static long field_number(const char *line, int column)
{
    for (; column > 0; column--) {
        line += strspn(line, " ");
        line += strcspn(line, " ");
    }
    return atol(line);
}

/* The host's ps, cut down to the container's processes. Nothing of the container is run. */
static int run_ps(char **options, int count, const pid_t *pids, size_t n, struct error *err)
{
    cleanup_free char **argv = mem_alloc((size_t)count + 3, sizeof *argv);
    int out[2];
    if (!argv || pipe(out) < 0)
        return error_set(err, -ENOMEM, "ps: no memory or descriptors");
    argv[0] = (char *)"ps";
    argv[1] = (char *)"-ef";
    for (int i = 0; i < count; i++)
        argv[i + 1] = options[i];
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execvp("ps", argv);
        _exit(127);
    }
    close(out[1]);
    FILE *in = fdopen(out[0], "r");
    cleanup_free char *line = NULL;
    size_t cap = 0;
    int column = -1;
    for (bool head = true; in && getline(&line, &cap, in) > 0; head = false) {
        if (head)
            column = pid_column(line);
        if (head || (column >= 0 && has_pid(pids, n, field_number(line, column))))
            fputs(line, stdout);
    }
    if (in)
        fclose(in);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (column < 0)
        return error_set(err, -EINVAL, "ps: the program ps failed or shows no column PID");
    return 0;
}

int verb_ps(struct command *c, struct error *err)
{
    const char *format = command_value(c, "format");
    cleanup_free pid_t *pids = NULL;
    struct container *x;
    size_t n = 0;
    int r = runtime_load(c, &x, err);
    if (r < 0)
        return r;
    r = container_pids(x, &pids, &n, err);
    container_free(x);
    if (r < 0)
        return r;
    if (!format || strcmp(format, "table") == 0)
        return run_ps(c->args + 1, c->arg_count - 1, pids, n, err);
    if (strcmp(format, "json") != 0)
        return error_set(err, -EINVAL, "ps: --format: table or json was expected");
    struct str out = {0};
    str_add_char(&out, '[');
    for (size_t i = 0; i < n; i++)
        str_addf(&out, "%s%d", i ? "," : "", pids[i]);
    str_add(&out, "]\n");
    return print(&out, err);
}
