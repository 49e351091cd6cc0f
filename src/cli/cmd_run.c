/* SPDX-License-Identifier: Apache-2.0 */
/* run, create, start, attach: what begins an instance or connects to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/verbs.h"
#include "instance/instance.h"
#include "machine/accel.h"

/* Options of run and create that are about the command and not about the instance. */
static bool own_option(const struct option *o)
{
    static const char *const names[] = {"detach", "detach-keys", "sig-proxy", "cidfile",
                                        "help",   "pull",        "quiet"};

    for (size_t i = 0; i < array_size(names); i++) {
        if (strcmp(o->name, names[i]) == 0)
            return true;
    }
    return false;
}

/* What cannot be, said before anything is made. */
static int check_request(const struct args *args, struct error *err)
{
    bool vm = args_bool(args, "vm"), kernel = args_given(args, "kernel");
    const char *word = args->word_count ? args->words[0] : NULL;

    if (!vm && kernel)
        return error_set(err, -EINVAL, "option --kernel needs --vm");
    if (!vm && !word && !args_given(args, "rootfs"))
        return error_set(err, -EINVAL,
                         "nothing to run; name an image: isola run IMAGE, or a kernel: isola run "
                         "--vm --kernel FILE");
    if (!vm)
        return 0;
    if (word && !kernel)
        return error_set(err, -ENOTSUP,
                         "image \"%s\": virtual machines from images are not supported yet; name "
                         "a kernel and disks: --kernel FILE --disk FILE",
                         word);
    if (word)
        return error_set(err, -EINVAL,
                         "unexpected argument \"%s\": a kernel takes its command line from "
                         "--append",
                         word);
    if (!kernel)
        return error_set(err, -ENOTSUP,
                         "no kernel: booting from a disk needs firmware, which is not supported "
                         "yet; add --kernel FILE");
    return 0;
}

/* NAME=VALUE as it is; NAME with this process's value, and nothing when it has none. */
static int add_env(struct spec *spec, const char *text, struct error *err)
{
    const char *value = strchr(text, '=') ? "" : getenv(text);
    cleanup_free char *whole = NULL;

    if (strchr(text, '='))
        return spec_set(spec, "env", text, err);
    if (!value)
        return 0;
    whole = str_format("%s=%s", text, value);
    return whole ? spec_set(spec, "env", whole, err) : error_set(err, -ENOMEM, "out of memory");
}

/* Lines of NAME=VALUE or NAME; blank ones and comments are skipped. */
static int add_env_file(struct spec *spec, const char *path, struct error *err)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    int r = 0;
    ssize_t n;

    if (!file)
        return error_set_errno(err, -errno, "read %s", path);
    for (unsigned number = 1; r == 0 && (n = getline(&line, &size, file)) >= 0; number++) {
        char *text = line + strspn(line, " \t");
        if (n && line[n - 1] == '\n')
            line[n - 1] = 0;
        if (*text && *text != '#')
            r = add_env(spec, text, err);
        if (r < 0)
            error_wrap(err, r, "%s: line %u", path, number);
    }
    free(line);
    fclose(file);
    return r;
}

/* The image and the command. */
static int add_words(struct spec *spec, const struct args *args, struct error *err)
{
    int first = 0, r = 0;

    if (!spec->container.rootfs && args->word_count)
        r = spec_set(spec, "image", args->words[first++], err);
    for (int i = first; r == 0 && i < args->word_count; i++)
        r = spec_set(spec, "command", args->words[i], err);
    return r;
}

static struct spec *make_spec(const struct args *args, struct error *err)
{
    struct spec *spec = spec_new();
    int r = spec ? 0 : error_set_errno(err, -ENOMEM, "read the options");

    for (size_t i = 0; r == 0 && i < args->value_count; i++) {
        const struct arg_value *v = &args->values[i];
        if (own_option(v->option))
            continue;
        if (strcmp(v->option->name, "env") == 0)
            r = add_env(spec, v->text, err);
        else if (strcmp(v->option->name, "env-file") == 0)
            r = add_env_file(spec, v->text, err);
        else
            r = spec_set(spec, v->option->name, v->text, err);
        if (r < 0)
            error_wrap(err, r, "option --%s", v->option->name);
    }
    if (r == 0)
        r = add_words(spec, args, err);
    if (r == 0)
        r = spec_check(spec, err);
    if (r == 0)
        return spec;
    spec_free(spec);
    return NULL;
}

/* The file of --cidfile, which must be new. *ret_fd is -1 without the option. */
static int open_cidfile(const char *path, int *ret_fd, struct error *err)
{
    *ret_fd = -1;
    if (!path)
        return 0;
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (*ret_fd < 0 && errno == EEXIST)
        return error_set(err, -EEXIST, "write the id to %s: the file exists; remove it first",
                         path);
    if (*ret_fd < 0)
        return error_set_errno(err, -errno, "write the id to %s", path);
    return 0;
}

static int write_cidfile(int fd, const char *path, const char *id, struct error *err)
{
    if (fd >= 0 && write(fd, id, strlen(id)) != (ssize_t)strlen(id))
        return error_set_errno(err, -errno, "write the id to %s", path);
    return 0;
}

/* Makes the record of a request that was checked. @ret is new. The exit status, 0 when all is well.
 */
static int create(struct cli *cli, const struct args *args, struct instance **ret)
{
    struct instances *home;
    struct error err = {0};
    struct spec *spec = NULL;
    const char *cidfile = args_text(args, "cidfile");
    cleanup_fd int fd = -1;
    int r;

    spec = make_spec(args, &err);
    if (!spec) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    home = cli_home(cli);
    r = home ? open_cidfile(cidfile, &fd, &err) : -EIO;
    if (r == 0) {
        r = instance_create(home, spec, ret, &err);
        if (r == 0) {
            r = write_cidfile(fd, cidfile, (*ret)->id, &err);
            if (r < 0) {
                int ignored = instance_rm(home, (*ret)->id, true, NULL);
                (void)ignored;
                instance_free(steal_ptr(ret));
            }
        }
        if (r < 0 && fd >= 0)
            unlink(cidfile);
    }
    if (r < 0 && home)
        cli_error(cli, &err);
    spec_free(spec);
    return r < 0 ? EXIT_OWN : 0;
}

int verb_create(struct cli *cli, struct args *args)
{
    struct instance *instance = NULL;
    struct error err = {0};
    int status = EXIT_OWN;

    if (check_request(args, &err) < 0)
        cli_error(cli, &err);
    else
        status = create(cli, args, &instance);
    if (status == 0)
        printf("%s\n", instance->id);
    instance_free(instance);
    return status;
}

/* How this command connects to a console. */
struct connection {
    bool input, tty, proxy_signals;
    const char *detach_keys; /* NULL: the default ones */
};

static int check_connection(const struct connection *c, struct error *err)
{
    if (c->tty && !isatty(STDIN_FILENO))
        return error_set(err, -ENOTTY,
                         "the input device is not a TTY; leave out -t, or run it in a terminal");
    return c->detach_keys ? instance_detach_keys_check(c->detach_keys, err) : 0;
}

static struct instance_attach attach_request(const struct connection *c)
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
           status == INSTANCE_EXIT_TRIPLE;
}

/*
 * Serves @stream (taken) of @ref until the instance ends or the user detaches. @name is what the
 * user calls it.
 */
static int converse(struct cli *cli, const char *ref, const char *name,
                    struct instance_stream *stream, const struct connection *c)
{
    const struct instance_terminal terminal = {
        .input_fd = c->input ? STDIN_FILENO : -1,
        .output_fd = STDOUT_FILENO,
        .error_fd = STDERR_FILENO,
        .tty = c->tty,
        .proxy_signals = c->proxy_signals && !c->tty,
        .detach_keys = c->detach_keys,
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
        fprintf(stderr, "\r\nisola: detached; \"isola attach %s\" returns\r\n", name);
        return 0;
    }
    if (result.reason[0] && own_status(result.exit_code))
        cli_complain(cli, "%s: %s", name, result.reason);
    return result.exit_code;
}

/* Who waits at a terminal should know why it takes long. */
static void mention_slowness(const struct cli *cli, const struct args *args)
{
    const struct accel_ops *accel =
        strcmp(args_text(args, "accel"), "auto") == 0 ? accel_find(NULL, NULL) : NULL;

    if (accel && strcmp(accel->name, "interp") == 0 && isatty(STDERR_FILENO))
        cli_complain(cli, "interpreting the guest, which is slow: nothing faster works here "
                          "(isola doctor says why; --accel interp silences this)");
}

int verb_run(struct cli *cli, struct args *args)
{
    bool detach = args_bool(args, "detach");
    struct connection c = {
        .input = args_bool(args, "interactive"),
        .tty = args_bool(args, "tty"),
        .proxy_signals = args_bool(args, "sig-proxy"),
        .detach_keys = args_given(args, "detach-keys") ? args_text(args, "detach-keys") : NULL,
    };
    struct instance_attach request = {0};
    struct instance_stream *stream = NULL;
    struct instance *instance = NULL;
    struct error err = {0};
    int status, r = check_request(args, &err);

    if (r == 0 && !detach)
        r = check_connection(&c, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    status = create(cli, args, &instance);
    if (status != 0)
        return status;
    if (c.tty && !detach)
        mention_slowness(cli, args);
    request = attach_request(&c);
    r = instance_start(cli->home, instance->id, detach ? NULL : &request, detach ? NULL : &stream,
                       &err);
    if (r < 0) {
        cli_error(cli, &err);
        /* Nobody was told its id, and its name should be free for the next attempt. */
        r = instance_rm(cli->home, instance->id, true, NULL);
        if (args_given(args, "cidfile"))
            unlink(args_text(args, "cidfile"));
        status = EXIT_OWN;
    } else if (detach) {
        printf("%s\n", instance->id);
    } else {
        status = converse(cli, instance->id, instance->name, stream, &c);
    }
    instance_free(instance);
    return status;
}

static int start_connected(struct cli *cli, const struct args *args)
{
    struct connection c = {
        .input = args_bool(args, "interactive"),
        .proxy_signals = true,
        .detach_keys = args_given(args, "detach-keys") ? args_text(args, "detach-keys") : NULL,
    };
    struct instance_attach request;
    struct instance_stream *stream = NULL;
    struct error err = {0};
    int r = 0;

    c.tty = c.input && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (args->word_count > 1)
        r = error_set(&err, -EINVAL, "--attach and --interactive take one instance, not %d",
                      args->word_count);
    if (r == 0)
        r = check_connection(&c, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    request = attach_request(&c);
    r = instance_start(cli->home, args->words[0], &request, &stream, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    return converse(cli, args->words[0], args->words[0], stream, &c);
}

int verb_start(struct cli *cli, struct args *args)
{
    int status = 0;

    if (!cli_home(cli))
        return EXIT_FAILED;
    if (args_bool(args, "attach") || args_bool(args, "interactive"))
        return start_connected(cli, args);
    for (int i = 0; i < args->word_count; i++) {
        struct error err = {0};
        if (instance_start(cli->home, args->words[i], NULL, NULL, &err) == 0) {
            printf("%s\n", args->words[i]);
        } else {
            cli_error(cli, &err);
            status = EXIT_FAILED;
        }
    }
    return status;
}

int verb_attach(struct cli *cli, struct args *args)
{
    struct connection c = {
        .input = !args_bool(args, "no-stdin"),
        .proxy_signals = args_bool(args, "sig-proxy"),
        .detach_keys = args_given(args, "detach-keys") ? args_text(args, "detach-keys") : NULL,
    };
    struct instance_attach request;
    struct instance_stream *stream = NULL;
    struct error err = {0};
    int r;

    c.tty = c.input && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (!cli_home(cli))
        return EXIT_FAILED;
    r = check_connection(&c, &err);
    if (r == 0) {
        request = attach_request(&c);
        request.replay = c.tty; /* a screen that stays empty until the guest speaks misleads */
        r = instance_attach(cli->home, args->words[0], &request, &stream, &err);
    }
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return converse(cli, args->words[0], args->words[0], stream, &c);
}
