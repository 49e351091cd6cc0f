/* SPDX-License-Identifier: Apache-2.0 */
/* The program isola-build, whose only command is build; its frame is isola-image's. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "build/build.h"
#include "image/idmap.h"
#include "image/program.h"
#include "image/reference.h"

extern char **environ;

/* Has isola-image, which is beside this program, bring an image here. */
static int fetch(void *opaque, const char *name, const char *platform, bool always,
                 struct error *err)
{
    char self[4096], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    cleanup_free char *policy = str_format("--policy=%s", always ? "always" : "missing");
    cleanup_free char *wanted = str_format("--platform=%s", platform ? platform : "");
    cleanup_free char *path = NULL;
    cleanup_free char *copy = strdup(name);
    char pull[] = "pull", progress[] = "--progress=plain", dashes[] = "--";
    char *argv[] = {NULL, pull, progress, policy, dashes, copy, NULL, NULL};
    posix_spawn_file_actions_t actions;
    int r, status;
    pid_t pid;

    (void)opaque;
    self[max_of(n, (ssize_t)0)] = 0;
    slash = strrchr(self, '/');
    if (slash)
        path = str_format("%.*s/isola-image", (int)(slash - self), self);
    if (!path || !policy || !wanted || !copy || posix_spawn_file_actions_init(&actions))
        return error_set_errno(err, -ENOMEM, "pull %s", name);
    argv[0] = path;
    if (platform) {
        argv[4] = wanted;
        argv[5] = dashes;
        argv[6] = copy;
    }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    r = posix_spawn(&pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r)
        return error_set_errno(err, -r, "run %s", path);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for %s", path);
    /* It has said why. */
    return status ? error_set(err, -EREMOTEIO, "the image %s could not be brought here", name) : 0;
}

/* All values of a repeated option. New array of borrowed texts. */
static const char **values(const struct program *p, const char *name)
{
    size_t n = 0;
    const char **list;

    while (program_list(p, name, n))
        n++;
    list = mem_alloc(n + 1, sizeof(*list));
    for (size_t i = 0; list && i < n; i++)
        list[i] = program_list(p, name, i);
    return list;
}

static int write_id(const char *path, const char *id, struct error *err)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, id, strlen(id)) != (ssize_t)strlen(id))
        return error_set_errno(err, -errno, "write %s", path);
    return 0;
}

/* What a quiet build kept to itself, shown because it failed. */
static void show(int fd)
{
    char piece[16384];
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        if (write(2, piece, (size_t)n) < 0)
            return;
}

static int build(struct program *p, struct build_options *o)
{
    struct image_store *store = program_store(p);
    const char *iidfile = program_option(p, "iidfile");
    struct error err = {0};
    struct digest id;
    int r;

    if (!store)
        return PROGRAM_FAILED;
    r = build_image(store, o, &id, &err);
    if (r < 0 && o->output != 2)
        show(o->output);
    if (r == 0 && iidfile)
        r = write_id(iidfile, id.text, &err);
    if (r < 0)
        return program_error(p, &err);
    printf("%s\n", id.text);
    fflush(stdout);
    return 0;
}

static int run(void *opaque)
{
    struct program *p = opaque;
    cleanup_free const char **tags = values(p, "tag"), **args = values(p, "build-arg");
    cleanup_free const char **labels = values(p, "label"), **secrets = values(p, "secret");
    struct build_options o = {
        .context = p->word_count ? p->words[0] : ".",
        .file = program_option(p, "file"),
        .target = program_option(p, "target"),
        .platform = program_option(p, "platform"),
        .tags = tags,
        .build_args = args,
        .labels = labels,
        .secrets = secrets,
        .no_cache = program_flag(p, "no-cache"),
        .pull = program_flag(p, "pull"),
        .network = program_option(p, "network"),
        .output = 2,
        .fetch = fetch,
    };
    int status;

    if (!tags || !args || !labels || !secrets)
        return program_complain(p, "memory ran out");
    /* Root of a namespace may mount only in mount namespaces of its own. */
    (void)!unshare(CLONE_NEWNS);
    if (program_flag(p, "quiet"))
        o.output = memfd_create("build", MFD_CLOEXEC);
    status = build(p, &o);
    if (o.output > 2)
        close(o.output);
    return status;
}

/* Programs started from here look for images in the same place, whoever they seem to be. */
static int keep_place(const struct image_store *store)
{
    cleanup_free char *data = strdup(image_store_dir(store));
    char *end = data ? strstr(data, "/isola/images") : NULL;

    if (!end)
        return 0;
    *end = 0;
    return setenv("XDG_DATA_HOME", data, 1);
}

static int command_build(struct program *p)
{
    struct error err = {0};
    int r;

    for (size_t i = 0; program_list(p, "tag", i); i++) {
        struct image_reference ref = {0};
        r = image_reference_parse(program_list(p, "tag", i), &ref, &err);
        if (r == 0 && ref.digest[0])
            r = error_set(&err, -EINVAL, "a name with a digest cannot be given to a new image");
        if (r < 0) {
            program_complain(p, "--tag: %s", error_text(&err));
            return PROGRAM_USAGE;
        }
    }
    /* Opened by the user that this is; what follows may be root of a namespace. */
    if (!program_store(p) || keep_place(p->store) < 0)
        return PROGRAM_FAILED;
    r = idmap_run(run, p, &err);
    return r < 0 ? program_error(p, &err) : r;
}

const struct program_command program_commands[] = {
    {"build", command_build, 0, 1},
    {0},
};
