/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image_program.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/verbs.h"

extern char **environ;

char *program_find(const char *name, const char *built, struct error *err)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *path = NULL;

    if (n > 0) {
        self[n] = 0;
        *(strrchr(self, '/') + 1) = 0;
        path = str_format("%s%s", self, built ? built : name);
        if (path && access(path, X_OK) == 0)
            return path;
        free(path);
    }
    path = str_format("%s/%s", ISOLA_LIBEXECDIR, name);
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    error_set(err, -ENOENT, "%s is neither beside isola nor in %s; install Isola again", name,
              ISOLA_LIBEXECDIR);
    return NULL;
}

/* A growing argument list; texts are owned. */
struct list {
    char **argv;
    size_t count;
    bool failed;
};

static void list_add(struct list *l, char *text)
{
    char **more = text ? realloc(l->argv, (l->count + 2) * sizeof(*more)) : NULL;

    if (!more) {
        free(text);
        l->failed = true;
        return;
    }
    l->argv = more;
    l->argv[l->count++] = text;
    l->argv[l->count] = NULL;
}

static void list_done(struct list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->argv[i]);
    free(l->argv);
}

static void add_options(struct list *l, struct args *args)
{
    for (size_t i = 0; i < args->value_count; i++)
        list_add(l, str_format("--%s=%s", args->values[i].option->name, args->values[i].text));
    for (const struct option *o = args->verb->options; o && o->name; o++)
        if (o->initial && !args_given(args, o->name))
            list_add(l, str_format("--%s=%s", o->name, o->initial));
    list_add(l, str_format("--"));
    for (int i = 0; i < args->word_count; i++)
        list_add(l, str_format("%s", args->words[i]));
}

static int become(struct cli *cli, struct args *args, const char *program)
{
    struct error err = {0};
    cleanup_free char *path = program_find(program, NULL, &err);
    struct list l = {0};

    if (!path) {
        cli_error(cli, &err);
        return EXIT_OWN;
    }
    list_add(&l, str_format("%s", path));
    list_add(&l, str_format("%s", args->verb->name));
    add_options(&l, args);
    if (l.failed) {
        cli_complain(cli, "memory ran out");
    } else {
        execv(path, l.argv);
        cli_complain(cli, "run %s: %s", path, strerror(errno));
    }
    list_done(&l);
    return EXIT_OWN;
}

int image_program_become(struct cli *cli, struct args *args)
{
    return become(cli, args, "isola-image");
}

int build_program_become(struct cli *cli, struct args *args)
{
    return become(cli, args, "isola-build");
}

int image_program_run(const char *const *argv, struct error *err)
{
    cleanup_free char *path = program_find("isola-image", NULL, err);

    return path ? program_run(path, argv, err) : -ENOENT;
}

int program_run(const char *path, const char *const *argv, struct error *err)
{
    struct list l = {0};
    pid_t pid;
    int r, status;

    list_add(&l, str_format("%s", path));
    for (; *argv; argv++)
        list_add(&l, str_format("%s", *argv));
    r = l.failed ? ENOMEM : posix_spawn(&pid, path, NULL, NULL, l.argv, environ);
    list_done(&l);
    if (r)
        return error_set_errno(err, -r, "run %s", path);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for %s", path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
