/* SPDX-License-Identifier: Apache-2.0 */
/* top, diff: what happens inside instances, seen from outside. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "cli/output.h"
#include "cli/table.h"
#include "instance/instance.h"

static const struct output_column top_columns[] = {
    {"UID", "user", NULL},  {"PID", "pid", NULL}, {"PPID", "ppid", NULL},   {"STAT", "state", NULL},
    {"TIME", "time", NULL}, {"RSS", "rss", NULL}, {"CMD", "command", NULL}, {NULL, NULL, NULL},
};

/* The whole of a small file of /proc, NUL-terminated; -1 when it is not there. */
static ssize_t read_proc(pid_t pid, const char *leaf, char *buf, size_t size)
{
    char path[64];
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, leaf);
    f = fopen(path, "re");
    if (!f)
        return -1;
    n = fread(buf, 1, size - 1, f);
    fclose(f);
    buf[n] = 0;
    return (ssize_t)n;
}

/* Whatever a process calls itself is shown without control characters. */
static json_t *clean_text(const char *text)
{
    struct str clean = {0};
    json_t *value;

    table_add_clean(&clean, text);
    value = json_string(str_text(&clean));
    str_done(&clean);
    return value;
}

static json_t *process_row(pid_t pid)
{
    char text[1024], words[4096], time[32], number[32];
    unsigned long user = 0, system = 0;
    long ppid = 0, rss = 0, ticks = sysconf(_SC_CLK_TCK);
    char state = '?', *after;
    char path[64];
    struct stat owner = {0};
    ssize_t n;
    json_t *row;

    if (read_proc(pid, "stat", text, sizeof(text)) <= 0)
        return NULL;
    after = strrchr(text, ')'); /* the name before may contain anything */
    if (!after || sscanf(after + 1,
                         " %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d "
                         "%*d %*u %*u %ld",
                         &state, &ppid, &user, &system, &rss) < 5)
        return NULL;
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (stat(path, &owner) < 0)
        return NULL;
    n = read_proc(pid, "cmdline", words, sizeof(words));
    for (ssize_t i = 0; i + 1 < n; i++)
        words[i] = words[i] ? words[i] : ' ';
    if (n <= 0) {
        char *name = strchr(text, '(');
        snprintf(words, sizeof(words), "[%.*s]", (int)(after - name - 1), name + 1);
    }
    user = (user + system) / (unsigned long)max_of(ticks, 1l);
    snprintf(time, sizeof(time), "%lu:%02lu:%02lu", user / 3600, user / 60 % 60, user % 60);
    snprintf(number, sizeof(number), "%u", (unsigned)owner.st_uid);
    row =
        json_pack("{s:s, s:i, s:i, s:s%, s:s, s:I, s:o}", "user", number, "pid", (int)pid, "ppid",
                  (int)ppid, "state", &state, (size_t)1, "time", time, "rss",
                  (json_int_t)(rss * (sysconf(_SC_PAGESIZE) / 1024)), "command", clean_text(words));
    return row;
}

int verb_top(struct cli *cli, struct args *args)
{
    struct output o = {.columns = top_columns, .no_trunc = true};
    struct error err = {0};
    pid_t *pids = NULL;
    size_t count = 0;
    json_t *rows;

    o.format = args_bool(args, "json") ? "json" : args_text(args, "format");
    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_pids(cli->home, args->words[0], &pids, &count, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    rows = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *row = process_row(pids[i]);
        if (row)
            json_array_append_new(rows, row);
    }
    free(pids);
    return output_print(cli, &o, rows);
}

static bool print_change(void *opaque, char kind, const char *path)
{
    struct str clean = {0};

    table_add_clean(&clean, path);
    printf("%c %s\n", kind, str_text(&clean));
    str_done(&clean);
    return !ferror(stdout);
}

int verb_diff(struct cli *cli, struct args *args)
{
    struct error err = {0};

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (instance_diff(cli->home, args->words[0], print_change, NULL, &err) < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return 0;
}
