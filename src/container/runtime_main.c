/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isola-runtime: a low-level runtime for containers with runc's command line, for containerd,
 * Podman, CRI-O and Docker. Static, and nothing but container/ and base/, because its start-up is
 * part of every container's.
 */
#include "container/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jtree.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "container/utc.h"

#define NAME "isola-runtime"

static const struct runtime_option no_options[] = {{0}};
static const struct runtime_option create_options[] = {{"bundle", 'b', true, false},
                                                       {"console-socket", 0, true, false},
                                                       {"pid-file", 0, true, false},
                                                       {"no-pivot", 0, false, false},
                                                       {"no-new-keyring", 0, false, false},
                                                       {"preserve-fds", 0, true, false},
                                                       {"pidfd-socket", 0, true, false},
                                                       {"best-effort", 0, false, false},
                                                       {0}};
static const struct runtime_option run_options[] = {
    {"bundle", 'b', true, false},        {"console-socket", 0, true, false},
    {"pid-file", 0, true, false},        {"no-pivot", 0, false, false},
    {"no-new-keyring", 0, false, false}, {"preserve-fds", 0, true, false},
    {"pidfd-socket", 0, true, false},    {"best-effort", 0, false, false},
    {"detach", 'd', false, false},       {"no-subreaper", 0, false, false},
    {"keep", 0, false, false},           {0}};
static const struct runtime_option exec_options[] = {
    {"console-socket", 0, true, false}, {"cwd", 0, true, false},
    {"env", 'e', true, true},           {"tty", 't', false, false},
    {"user", 'u', true, false},         {"additional-gids", 'g', true, true},
    {"process", 'p', true, false},      {"detach", 'd', false, false},
    {"pid-file", 0, true, false},       {"process-label", 0, true, false},
    {"apparmor", 0, true, false},       {"no-new-privs", 0, false, false},
    {"cap", 'c', true, true},           {"preserve-fds", 0, true, false},
    {"cgroup", 0, true, true},          {"ignore-paused", 0, false, false},
    {"pidfd-socket", 0, true, false},   {"best-effort", 0, false, false},
    {"no-subreaper", 0, false, false},  {0}};
static const struct runtime_option kill_options[] = {{"all", 'a', false, false}, {0}};
static const struct runtime_option delete_options[] = {{"force", 'f', false, false}, {0}};
static const struct runtime_option list_options[] = {
    {"format", 'f', true, false}, {"quiet", 'q', false, false}, {0}};
static const struct runtime_option ps_options[] = {{"format", 'f', true, false}, {0}};
static const struct runtime_option events_options[] = {
    {"interval", 0, true, false}, {"stats", 0, false, false}, {0}};
static const struct runtime_option spec_options[] = {
    {"bundle", 'b', true, false}, {"rootless", 0, false, false}, {0}};
static const struct runtime_option update_options[] = {{"resources", 'r', true, false},
                                                       {"blkio-weight", 0, true, false},
                                                       {"cpu-period", 0, true, false},
                                                       {"cpu-quota", 0, true, false},
                                                       {"cpu-burst", 0, true, false},
                                                       {"cpu-share", 0, true, false},
                                                       {"cpu-rt-period", 0, true, false},
                                                       {"cpu-rt-runtime", 0, true, false},
                                                       {"cpuset-cpus", 0, true, false},
                                                       {"cpuset-mems", 0, true, false},
                                                       {"memory", 0, true, false},
                                                       {"memory-reservation", 0, true, false},
                                                       {"memory-swap", 0, true, false},
                                                       {"pids-limit", 0, true, false},
                                                       {"cpu-idle", 0, true, false},
                                                       {"kernel-memory", 0, true, false},
                                                       {"kernel-memory-tcp", 0, true, false},
                                                       {0}};

static const struct verb verbs[] = {
    {"create", "ID", "make a container that waits for its start", create_options, 1, 1,
     verb_create},
    {"start", "ID", "run the program of a created container", no_options, 1, 1, verb_start},
    {"run", "ID", "create, start, and wait unless detached", run_options, 1, 1, verb_run},
    {"exec", "ID COMMAND [ARG...]", "run another process in a container", exec_options, 1, -1,
     verb_exec},
    {"state", "ID", "print what is known of a container, as JSON", no_options, 1, 1, verb_state},
    {"kill", "ID [SIGNAL]", "send a signal (TERM)", kill_options, 1, 2, verb_kill},
    {"delete", "ID", "remove what a stopped container left", delete_options, 1, 1, verb_delete},
    {"list", "", "list containers", list_options, 0, 0, verb_list},
    {"ps", "ID [PS OPTION...]", "list a container's processes", ps_options, 1, -1, verb_ps},
    {"pause", "ID", "freeze all processes", no_options, 1, 1, verb_pause},
    {"resume", "ID", "thaw them", no_options, 1, 1, verb_resume},
    {"events", "ID", "print statistics and out-of-memory events", events_options, 1, 1,
     verb_events},
    {"update", "ID", "change limits", update_options, 1, 1, verb_update},
    {"spec", "", "write a config.json to start from", spec_options, 0, 0, verb_spec},
    {"features", "", "print what is supported, as JSON", no_options, 0, 0, verb_features},
    {"checkpoint", "ID", "not supported", no_options, 0, -1, verb_refuse},
    {"restore", "ID", "not supported", no_options, 0, -1, verb_refuse},
};

/* --- log --- */

static void log_line(struct runtime *rt, const char *level, const char *text)
{
    char when[UTC_TEXT_MAX];
    struct str line = {0};
    utc_now(when, false);
    if (rt->log_json) {
        str_addf(&line, "{\"level\":\"%s\",\"msg\":", level);
        jtree_add_string(&line, text);
        str_addf(&line, ",\"time\":\"%s\"}\n", when);
    } else {
        str_addf(&line, "time=\"%s\" level=%s msg=", when, level);
        jtree_add_string(&line, text);
        str_add_char(&line, '\n');
    }
    if (rt->log_fd >= 0 && write(rt->log_fd, str_text(&line), line.len) < 0)
        rt->log_fd = -1;
    str_done(&line);
}

void runtime_warn(void *opaque, const char *text)
{
    struct runtime *rt = opaque;
    if (rt->log_fd >= 0)
        log_line(rt, "warning", text);
    if (rt->debug || rt->best_effort)
        fprintf(stderr, NAME ": warning: %s\n", text);
}

/* --- command line --- */

const char *command_value(const struct command *c, const char *name)
{
    for (unsigned i = 0; c->verb->options[i].name; i++)
        if (strcmp(c->verb->options[i].name, name) == 0)
            return c->values[i];
    return NULL;
}

bool command_has(const struct command *c, const char *name)
{
    return command_value(c, name) != NULL;
}

bool command_number(const struct command *c, const char *name, long long *ret)
{
    const char *text = command_value(c, name);
    char *end;
    *ret = 0;
    if (!text)
        return true;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return *text && !*end && !errno;
}

int runtime_load(struct command *c, struct container **ret, struct error *err)
{
    return container_load(c->rt->root, c->args[0], ret, err);
}

static void usage(FILE *to)
{
    fprintf(to, "usage: " NAME " [OPTION...] COMMAND [OPTION...] [ARG...]\n\n"
                "  --root DIR          where containers are kept\n"
                "  --log FILE          where errors are written as well\n"
                "  --log-format F      text or json\n"
                "  --systemd-cgroup    scopes of systemd: cgroupsPath is slice:prefix:name\n"
                "  --rootless V        true, false or auto\n"
                "  --best-effort       limits that the host cannot enforce are warnings\n"
                "  --debug, --version, --help\n\n");
    for (size_t i = 0; i < array_size(verbs); i++)
        fprintf(to, "  %-10s %-22s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
}

static void verb_usage(const struct verb *v, FILE *to)
{
    fprintf(to, "usage: " NAME " %s [OPTION...] %s\n%s\n", v->name, v->arguments, v->help);
    for (const struct runtime_option *o = v->options; o->name; o++) {
        char letter[8] = "";
        if (o->letter)
            snprintf(letter, sizeof letter, ", -%c", o->letter);
        fprintf(to, "  --%s%s%s\n", o->name, letter, o->value ? " VALUE" : "");
    }
}

/* The value of option @name at argv[*i], in either form; NULL when there is none left. */
static const char *take_value(const char *equals, char **argv, int argc, int *i)
{
    if (equals)
        return equals + 1;
    return *i + 1 < argc ? argv[++*i] : NULL;
}

static int find_option(const struct verb *v, const char *name, size_t len)
{
    for (int k = 0; v->options[k].name; k++) {
        const struct runtime_option *o = &v->options[k];
        if ((strlen(o->name) == len && strncmp(o->name, name, len) == 0) ||
            (len == 1 && o->letter == *name))
            return k;
    }
    return -1;
}

/* Options end at the first argument, or at "--"; "true" and "false" may follow a switch by "=". */
static int parse_verb(struct command *c, int argc, char **argv, struct error *err)
{
    int i = 0;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *name = argv[i] + 1 + (argv[i][1] == '-');
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        const char *equals = strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        int k = find_option(c->verb, name, len);
        if (k < 0)
            return error_set(err, -EINVAL, "%s: unknown option %s", c->verb->name, argv[i]);
        const struct runtime_option *o = &c->verb->options[k];
        if (!o->value) {
            c->values[k] = equals && strcmp(equals, "=false") == 0 ? NULL : "";
            continue;
        }
        const char *value = take_value(equals, argv, argc, &i);
        if (!value)
            return error_set(err, -EINVAL, "%s: --%s needs a value", c->verb->name, o->name);
        c->values[k] = value;
        if (!o->repeats)
            continue;
        if (c->repeated_count == RUNTIME_REPEAT_MAX)
            return error_set(err, -E2BIG, "%s: more than %d values", c->verb->name,
                             RUNTIME_REPEAT_MAX);
        c->repeated[c->repeated_count].option = (unsigned)k;
        c->repeated[c->repeated_count++].value = value;
    }
    c->args = argv + i;
    c->arg_count = argc - i;
    if (c->arg_count < c->verb->min_args ||
        (c->verb->max_args >= 0 && c->arg_count > c->verb->max_args))
        return error_set(err, -EINVAL, "usage: " NAME " %s %s", c->verb->name, c->verb->arguments);
    return 0;
}

static int set_global(struct runtime *rt, const char *name, size_t len, const char *value,
                      struct error *err)
{
#define is(text) (len == strlen(text) && strncmp(name, text, len) == 0)
    if (is("root"))
        rt->root = value;
    else if (is("log"))
        rt->log_path = value;
    else if (is("log-format") && (strcmp(value, "json") == 0 || strcmp(value, "text") == 0))
        rt->log_json = strcmp(value, "json") == 0;
    else if (is("rootless") && strcmp(value, "auto") != 0)
        rt->rootless = strcmp(value, "true") == 0;
    else if (!is("rootless") && !is("criu"))
        return error_set(err, -EINVAL, "unknown option or value: --%.*s %s", (int)len, name, value);
#undef is
    return 0;
}

static const char version[] = NAME " version " ISOLA_VERSION "\n"
                                   "commit: " ISOLA_VERSION "\n"
                                   "spec: 1.2.0\n";

/* Index of the verb in argv, 0 when there is nothing left to do, or a negative errno. */
static int parse_global(struct runtime *rt, int argc, char **argv, struct error *err)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-')
            return i;
        const char *name = argv[i] + 1 + (argv[i][1] == '-');
        const char *equals = strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        if (strcmp(name, "version") == 0 || strcmp(name, "v") == 0) {
            fputs(version, stdout);
            return 0;
        }
        if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
            usage(stdout);
            return 0;
        }
        bool on = !equals || strcmp(equals, "=false") != 0;
        if (strncmp(name, "debug", len) == 0 && len == 5) {
            rt->debug = on;
        } else if (strncmp(name, "systemd-cgroup", len) == 0 && len == 14) {
            rt->systemd_cgroup = on;
        } else if (strncmp(name, "best-effort", len) == 0 && len == 11) {
            rt->best_effort = on;
        } else {
            const char *value = take_value(equals, argv, argc, &i);
            int r = value ? set_global(rt, name, len, value, err)
                          : error_set(err, -EINVAL, "--%s needs a value", name);
            if (r < 0)
                return r;
        }
    }
    usage(stderr);
    return error_set(err, -EINVAL, "a command is missing");
}

/* An absolute path of where containers are kept. */
static int choose_root(struct runtime *rt, struct error *err)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    if (!rt->root && geteuid() == 0 && !rt->rootless)
        rt->root = "/run/" NAME;
    else if (!rt->root)
        rt->root = rt->default_root = run && *run == '/'
                                          ? str_format("%s/" NAME, run)
                                          : str_format("/tmp/" NAME "-%u", geteuid());
    else if (rt->root[0] != '/') {
        cleanup_free char *cwd = getcwd(NULL, 0);
        rt->root = rt->default_root = cwd ? str_format("%s/%s", cwd, rt->root) : NULL;
    }
    return rt->root ? 0 : error_set(err, -ENOMEM, "no directory for the containers' state");
}

static int run_verb(struct runtime *rt, int argc, char **argv, int at, struct error *err)
{
    struct command c = {.rt = rt};
    for (size_t i = 0; i < array_size(verbs); i++)
        if (strcmp(verbs[i].name, argv[at]) == 0)
            c.verb = &verbs[i];
    if (!c.verb && strcmp(argv[at], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (!c.verb)
        return error_set(err, -EINVAL, "unknown command %s; see --help", argv[at]);
    for (int i = at + 1; i < argc && argv[i][0] == '-'; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            verb_usage(c.verb, stdout);
            return 0;
        }
    int r = choose_root(rt, err);
    r = r < 0 ? r : parse_verb(&c, argc - at - 1, argv + at + 1, err);
    return r < 0 ? r : c.verb->run(&c, err);
}

/* What is opened later must not become standard input or output by its number. */
static void fill_stdio(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            _exit(1);
}

int main(int argc, char **argv)
{
    struct runtime rt = {.log_fd = -1};
    fill_stdio();
    struct error err = {0};
    int at = parse_global(&rt, argc, argv, &err), r = at;
    if (at == 0)
        return 0;
    if (rt.log_path && *rt.log_path) {
        rt.log_fd = open(rt.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
        if (rt.log_fd < 0 && at > 0)
            r = error_set_errno(&err, -errno, "open the log %s", rt.log_path);
    }
    if (r > 0)
        r = run_verb(&rt, argc, argv, at, &err);
    if (r < 0) {
        log_line(&rt, "error", error_text(&err));
        fprintf(stderr, NAME ": %s\n", error_text(&err));
    }
    free(rt.default_root);
    return r < 0 ? 1 : r;
}
