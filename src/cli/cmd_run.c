/* SPDX-License-Identifier: Apache-2.0 */
/* run, create, start, attach: what begins an instance or connects to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/boot_path.h"
#include "cli/connect.h"
#include "cli/environment.h"
#include "cli/image_program.h"
#include "cli/vm_parts.h"
#include "instance/instance.h"
#include "instance/snapshot.h"
#include "machine/accel.h"

/* Options of run and create that are about the command and not about the instance. */
static bool own_option(const struct option *o)
{
    static const char *const names[] = {"attach", "detach", "detach-keys", "sig-proxy", "cidfile",
                                        "help",   "pull",   "quiet",       "env",       "env-file"};

    for (size_t i = 0; i < array_size(names); i++) {
        if (strcmp(o->name, names[i]) == 0)
            return true;
    }
    return false;
}

/* The snapshot that run goes on from, NULL: it boots. */
static const char *from_snapshot(const struct args *args)
{
    /* create has no such option. */
    return args->verb->run == verb_run ? args_text(args, "from-snapshot") : NULL;
}

/* All but these is part of a snapshot. */
static int check_snapshot_request(const struct args *args, struct error *err)
{
    static const char *const names[] = {"from-snapshot", "name", "interactive", "tty", "vm"};

    if (args->word_count)
        return error_set(err, -EINVAL, "\"%s\": what runs is part of the snapshot", args->words[0]);
    for (size_t i = 0; i < args->value_count; i++) {
        const struct option *o = args->values[i].option;
        bool known = own_option(o);
        for (size_t k = 0; k < array_size(names); k++)
            known |= strcmp(o->name, names[k]) == 0;
        if (!known)
            return error_set(err, -EINVAL,
                             "option --%s: this is part of the snapshot and stays as it was",
                             o->name);
    }
    return 0;
}

/* What cannot be, said before anything is made. */
static int check_request(const struct args *args, struct error *err)
{
    bool vm = args_bool(args, "vm"), kernel = args_given(args, "kernel");
    const char *word = args->word_count ? args->words[0] : NULL;

    if (from_snapshot(args))
        return check_snapshot_request(args, err);
    if (!vm && kernel)
        return error_set(err, -EINVAL, "option --kernel needs --vm");
    if (!vm && !word && !args_given(args, "rootfs"))
        return error_set(err, -EINVAL,
                         "nothing to run; name an image: isola run IMAGE, or a kernel: isola run "
                         "--vm --kernel FILE");
    if (vm && !word && !kernel && !args_given(args, "disk") && !args_given(args, "cdrom") &&
        !args_given(args, "floppy") && !args_given(args, "firmware"))
        return error_set(err, -ENOTSUP,
                         "nothing to boot; name an image: isola run --vm IMAGE, a kernel: --kernel "
                         "FILE, or a disk with a system in it: --disk FILE");
    return 0;
}

/* The image and the command. */
static int add_words(struct spec *spec, const struct args *args, struct error *err)
{
    int first = 0, r = 0;

    if (args_bool(args, "vm") && args->word_count && boot_path_is(args->words[0])) {
        if (args->word_count > 1)
            return error_set(err, -EINVAL,
                             "%s is no image of a container: the system in it knows what to run, "
                             "leave \"%s\" out",
                             args->words[0], args->words[1]);
        return boot_path_add(spec, args->words[0], !args_given(args, "firmware"), err);
    }
    if (!spec->container.rootfs && args->word_count)
        r = spec_set(spec, "image", args->words[first++], err);
    for (int i = first; r == 0 && i < args->word_count; i++)
        r = spec_set(spec, "command", args->words[i], err);
    return r;
}

static struct spec *make_spec(const struct args *args, struct error *err)
{
    struct spec *spec = spec_new();
    struct environment env = {0};
    int r = spec ? 0 : error_set_errno(err, -ENOMEM, "read the options");

    for (size_t i = 0; r == 0 && i < args->value_count; i++) {
        const struct arg_value *v = &args->values[i];
        if (own_option(v->option))
            continue;
        r = spec_set(spec, v->option->name, v->text, err);
        if (r < 0)
            error_wrap(err, r, "option --%s", v->option->name);
    }
    if (r == 0)
        r = environment_from_args(args, &env, err);
    for (size_t i = 0; r == 0 && i < env.count; i++)
        r = spec_set(spec, "env", env.items[i], err);
    environment_done(&env);
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

/* Fetches the image; what that says goes to standard error, which is not the instance's output. */
static int pull(const struct args *args, const char *name, struct error *err)
{
    const char *argv[8], *platform = args_text(args, "platform");
    cleanup_free char *option = platform ? str_format("--platform=%s", platform) : NULL;
    int n = 0, out = dup(STDOUT_FILENO), r;

    argv[n++] = "pull";
    if (args_bool(args, "quiet"))
        argv[n++] = "--quiet=true";
    if (option)
        argv[n++] = option;
    argv[n++] = "--";
    argv[n++] = name;
    argv[n] = NULL;
    fflush(stdout);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return error_set_errno(err, -errno, "pull %s", name);
    r = image_program_run(argv, err);
    if (dup2(out, STDOUT_FILENO) < 0 && r >= 0)
        r = error_set_errno(err, -errno, "restore standard output");
    close(out);
    /* It has said why. */
    return r > 0 ? error_set(err, -EIO, "the image %s could not be fetched", name) : r;
}

/* The record, after what a machine needs to run the image. */
static int make(struct instances *home, const struct spec *spec, struct instance **ret,
                struct error *err)
{
    int r = spec->wall == SPEC_WALL_VM && spec->image ? vm_parts_make(home, spec, err) : 0;

    return r < 0 ? r : instance_create(home, spec, ret, err);
}

/* Creates the record; an image that is not here is fetched first, as --pull says. */
static int create_record(struct instances *home, const struct args *args, const struct spec *spec,
                         struct instance **ret, struct error *err)
{
    const char *when = args_text(args, "pull");
    int r = 0;

    if (from_snapshot(args))
        return snapshot_restore(home, from_snapshot(args), args_text(args, "name"), false, ret,
                                err);
    if (spec->image && strcmp(when, "always") == 0)
        r = pull(args, spec->image, err);
    if (r == 0)
        r = make(home, spec, ret, err);
    if (r != -ENOMEDIUM || strcmp(when, "never") == 0 || strcmp(when, "always") == 0)
        return r;
    fprintf(stderr, "isola: image %s is not here; fetching it\n", spec->image);
    r = pull(args, spec->image, err);
    return r < 0 ? r : make(home, spec, ret, err);
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

    spec = from_snapshot(args) ? spec_new() : make_spec(args, &err);
    if (!spec) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    home = cli_home(cli);
    r = home ? open_cidfile(cidfile, &fd, &err) : -EIO;
    if (r == 0) {
        r = create_record(home, args, spec, ret, &err);
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

/* Who waits at a terminal should know why it takes long. */
static void mention_slowness(const struct cli *cli, const struct args *args)
{
    const struct accel_ops *accel =
        strcmp(args_text(args, "accel"), "auto") == 0 ? accel_find(NULL, NULL) : NULL;

    if (accel && strcmp(accel->name, "interp") == 0 && isatty(STDERR_FILENO))
        cli_complain(cli, "interpreting the guest, which is slow: nothing faster works here "
                          "(isola doctor says why; --accel interp silences this)");
}

/* Of an instance that did not start: its command was not found (127), or something else. */
static int failed_status(struct cli *cli, const char *id)
{
    struct instance *instance = NULL;
    int status = EXIT_OWN;

    if (instance_find(cli->home, id, &instance, NULL) == 0 &&
        (instance->exit_code == INSTANCE_EXIT_NOT_EXECUTABLE ||
         instance->exit_code == INSTANCE_EXIT_NOT_FOUND))
        status = instance->exit_code;
    instance_free(instance);
    return status;
}

/* Whether signals for @ref are passed on as they are: to a process, not to a machine. */
static bool is_process(struct cli *cli, const char *ref)
{
    struct instance *instance = NULL;
    bool is = false;

    if (instance_find(cli->home, ref, &instance, NULL) == 0)
        is = instance->spec->wall == SPEC_WALL_CONTAINER || instance->spec->image;
    instance_free(instance);
    return is;
}

/* Whether the screen of the machine @ref is what its terminal shows. */
static bool shows_screen(struct cli *cli, const char *ref)
{
    struct instance *instance = NULL;
    bool shows = false;

    if (instance_find(cli->home, ref, &instance, NULL) == 0)
        shows = instance->spec->wall == SPEC_WALL_VM && spec_vm_text_display(instance->spec);
    instance_free(instance);
    return shows;
}

/* The screen of a machine instead of its console: the terminal is its keyboard. */
static void choose_screen(struct connection *c)
{
    c->screen = c->tty = true;
    c->input = true;
}

/* --attach: only the streams that it names. */
static int choose_streams(const struct args *args, struct connection *c, struct error *err)
{
    static const char *const names[] = {"stdin", "stdout", "stderr"};
    bool chosen[3] = {false}, any = false;

    for (size_t i = 0; i < args->value_count; i++) {
        const struct arg_value *v = &args->values[i];
        size_t k = 0;
        if (strcmp(v->option->name, "attach") != 0)
            continue;
        while (k < array_size(names) && strcasecmp(v->text, names[k]) != 0)
            k++;
        if (k == array_size(names))
            return error_set(err, -EINVAL,
                             "option --attach: \"%s\" is not one of stdin, stdout, stderr",
                             v->text);
        chosen[k] = any = true;
    }
    if (!any)
        return 0;
    if (args_bool(args, "detach"))
        return error_set(err, -EINVAL, "options --attach and --detach exclude each other");
    if (!chosen[1] && !chosen[2])
        return error_set(
            err, -ENOTSUP,
            "option --attach: stdin alone is not supported; attach stdout or stderr, too");
    c->input = c->input && chosen[0];
    c->no_output = !chosen[1];
    c->no_errors = !chosen[2];
    return 0;
}

int verb_run(struct cli *cli, struct args *args)
{
    bool detach = args_bool(args, "detach");
    struct connection c = {
        .input = args_bool(args, "interactive"),
        .tty = args_bool(args, "tty"),
        .proxy_signals = args_bool(args, "sig-proxy"),
        .exact_signals = (!args_bool(args, "vm") && !from_snapshot(args)) || args->word_count,
        .detach_keys = args_given(args, "detach-keys") ? args_text(args, "detach-keys") : NULL,
    };
    struct instance_attach request = {0};
    struct instance_stream *stream = NULL;
    struct instance *instance = NULL;
    struct error err = {0};
    int status, r = check_request(args, &err);

    if (r == 0)
        r = choose_streams(args, &c, &err);
    if (args_given(args, "display") && strcmp(args_text(args, "display"), "text") == 0 &&
        !args_given(args, "attach"))
        choose_screen(&c);
    if (r == 0 && !detach)
        r = connect_check(&c, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    status = create(cli, args, &instance);
    if (status != 0)
        return status;
    if (c.tty && !detach && args_bool(args, "vm"))
        mention_slowness(cli, args);
    request = connect_request(&c);
    r = instance_start(cli->home, instance->id, detach ? NULL : &request, detach ? NULL : &stream,
                       &err);
    if (r < 0) {
        cli_error(cli, &err);
        status = failed_status(cli, instance->id);
        /* Nobody was told its id, and its name should be free for the next attempt. */
        r = instance_rm(cli->home, instance->id, true, NULL);
        if (args_given(args, "cidfile"))
            unlink(args_text(args, "cidfile"));
    } else if (detach) {
        printf("%s\n", instance->id);
    } else {
        status = connect_converse(cli, instance->id, instance->name, stream, &c);
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
    if (r == 0 && c.tty && cli_home(cli) && shows_screen(cli, args->words[0]))
        choose_screen(&c);
    if (r == 0)
        r = connect_check(&c, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_USAGE;
    }
    c.exact_signals = is_process(cli, args->words[0]);
    request = connect_request(&c);
    r = vm_parts_renew(cli->home, args->words[0], &err);
    if (r == 0)
        r = instance_start(cli->home, args->words[0], &request, &stream, &err);
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    return connect_converse(cli, args->words[0], args->words[0], stream, &c);
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
        if (vm_parts_renew(cli->home, args->words[i], &err) == 0 &&
            instance_start(cli->home, args->words[i], NULL, NULL, &err) == 0) {
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
    if (args_given(args, "display") ? strcmp(args_text(args, "display"), "text") == 0
                                    : c.tty && shows_screen(cli, args->words[0]))
        choose_screen(&c);
    r = connect_check(&c, &err);
    if (r == 0) {
        c.exact_signals = is_process(cli, args->words[0]);
        request = connect_request(&c);
        request.replay = c.tty; /* a screen that stays empty until the guest speaks misleads */
        r = instance_attach(cli->home, args->words[0], &request, &stream, &err);
    }
    if (r < 0) {
        cli_error(cli, &err);
        return EXIT_FAILED;
    }
    return connect_converse(cli, args->words[0], args->words[0], stream, &c);
}
