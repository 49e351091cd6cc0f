/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp: files between the host and an instance. No program of the instance takes part, and every path
 * in it is looked up inside its root (instance/root_path.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "cli/image_program.h"
#include "cli/verbs.h"
#include "image/idmap.h"
#include "instance/instance.h"
#include "instance/root_path.h"
#include "instance/tree_copy.h"

/* One end of a copy. */
struct place {
    char *ref;  /* the instance, NULL: the host */
    char *path; /* as given, or with the instance's name taken off */
    int root;   /* of the instance, -1 */
};

/* INSTANCE:PATH, unless what is before the colon is a path. */
static int parse_place(const char *text, struct place *p, struct error *err)
{
    const char *colon = strchr(text, ':');

    p->root = -1;
    if (*text == '/' || *text == '.' || !colon) {
        p->path = strdup(text);
    } else {
        p->ref = strndup(text, (size_t)(colon - text));
        p->path = str_format("/%s", colon + 1 + (colon[1] == '/'));
    }
    return p->path && (p->ref || !colon || *text == '/' || *text == '.')
               ? 0
               : error_set(err, -ENOMEM, "out of memory");
}

static void place_done(struct place *p)
{
    free(p->ref);
    free(p->path);
    if (p->root >= 0)
        close(p->root);
}

/* As openat, inside the instance or on the host. Negative errno. */
static int open_at(const struct place *p, const char *path, int flags)
{
    int fd;

    if (p->root >= 0)
        return root_open(p->root, path, flags, 0);
    fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Splits @path into its directory (opened) and last component: *ret_name is new. */
static int open_parent(const struct place *p, const char *path, char **ret_name, struct error *err)
{
    cleanup_free char *copy = strdup(path);
    size_t n = copy ? strlen(copy) : 0;
    char *slash;
    int fd;

    if (!copy)
        return error_set(err, -ENOMEM, "out of memory");
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = 0;
    slash = strrchr(copy, '/');
    *ret_name = strdup(slash ? slash + 1 : copy);
    if (!*ret_name)
        return error_set(err, -ENOMEM, "out of memory");
    if (slash)
        slash[slash == copy] = 0;
    fd = open_at(p, slash ? copy : ".", O_RDONLY | O_DIRECTORY);
    return fd < 0 ? error_set_errno(err, fd, "open the directory of %s", path) : fd;
}

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

struct source {
    int dir;
    char *name;
    bool is_dir, contents; /* "DIR/.": what is in it */
};

static int open_source(const struct place *p, bool follow, struct source *s, struct error *err)
{
    struct stat st;

    s->contents = ends_in(p->path, "/.") || strcmp(p->path, ".") == 0;
    if (s->contents || strcmp(p->path, "/") == 0) {
        s->contents = true;
        s->is_dir = true;
        s->dir = open_at(p, p->path, O_RDONLY | O_DIRECTORY);
        return s->dir < 0 ? error_set_errno(err, s->dir, "open %s", p->path) : 0;
    }
    s->dir = open_parent(p, p->path, &s->name, err);
    if (s->dir < 0)
        return s->dir;
    if (fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(err, -errno, "%s", p->path);
    if (S_ISLNK(st.st_mode) && (follow || ends_in(p->path, "/"))) {
        /* what the link leads to, opened where it is */
        cleanup_fd int fd = open_at(p, p->path, O_PATH);
        cleanup_free char *link = str_format("/proc/self/fd/%d", fd);
        char target[4096];
        ssize_t n = fd < 0 || !link ? -1 : readlink(link, target, sizeof(target) - 1);
        if (n < 0)
            return error_set_errno(err, fd < 0 ? fd : -errno, "%s", p->path);
        if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
            return error_set(err, -ENOTSUP, "%s: a link to a file; name the file itself", p->path);
        close(s->dir);
        s->dir = open_at(p, p->path, O_RDONLY | O_DIRECTORY);
        s->contents = true;
        if (s->dir < 0)
            return error_set_errno(err, s->dir, "open %s", p->path);
    }
    s->is_dir = S_ISDIR(st.st_mode);
    return 0;
}

/* Copies into the directory @fd, which is there. */
static int copy_into(const struct source *s, int fd, unsigned flags, struct error *err)
{
    return s->contents && s->is_dir ? tree_copy_contents(s->dir, fd, flags, err)
                                    : tree_copy(s->dir, s->name, fd, s->name, flags, err);
}

static int copy_to(const struct source *s, const struct place *to, unsigned flags,
                   struct error *err)
{
    cleanup_fd int dir = open_at(to, to->path, O_RDONLY | O_DIRECTORY), parent = -1;
    cleanup_free char *name = NULL;

    if (dir >= 0)
        return copy_into(s, dir, flags | TREE_COPY_INTO, err);
    if (dir != -ENOENT && dir != -ENOTDIR)
        return error_set_errno(err, dir, "open %s", to->path);
    if (s->is_dir && dir == -ENOTDIR)
        return error_set(err, -ENOTDIR, "%s is a file; a directory cannot be copied onto it",
                         to->path);
    if (!s->is_dir && ends_in(to->path, "/"))
        return error_set(err, -ENOENT, "the directory %s does not exist", to->path);
    parent = open_parent(to, to->path, &name, err);
    if (parent < 0)
        return parent;
    if (!s->contents)
        return tree_copy(s->dir, s->name, parent, name, flags, err);
    if (mkdirat(parent, name, 0755) < 0)
        return error_set_errno(err, -errno, "create %s", to->path);
    dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dir < 0 ? error_set_errno(err, -errno, "open %s", to->path)
                   : tree_copy_contents(s->dir, dir, flags, err);
}

/* Has isola-image do @command with the directory @dir. */
static int archive(const char *command, int dir, const char *name, struct error *err)
{
    cleanup_free char *fd = str_format("--fd=%d", dir);
    cleanup_free char *entry = name ? str_format("--name=%s", name) : NULL;
    const char *const argv[] = {command, fd, entry, NULL};
    int r;

    if (!fd || (name && !entry))
        return error_set(err, -ENOMEM, "out of memory");
    if (fcntl(dir, F_SETFD, 0) < 0)
        return error_set_errno(err, -errno, "hand over the directory");
    r = image_program_run(argv, err);
    /* It has said why. */
    return r > 0 ? error_set(err, -EIO, "the archive is not complete") : r;
}

/* One end is an archive on standard output or input. */
static int copy_archive(const struct args *args, struct place ends[2], struct error *err)
{
    bool out = ends[0].ref != NULL;
    struct source s = {.dir = -1};
    cleanup_fd int dir = -1;
    int r;

    if (out && isatty(STDOUT_FILENO))
        return error_set(err, -EINVAL, "an archive does not belong on a terminal; redirect it");
    if (out) {
        r = open_source(&ends[0], args_bool(args, "follow-link"), &s, err);
        if (r == 0)
            r = archive("_export", s.dir, s.contents ? NULL : s.name, err);
        if (s.dir >= 0)
            close(s.dir);
        free(s.name);
        return r;
    }
    dir = open_at(&ends[1], ends[1].path, O_RDONLY | O_DIRECTORY);
    return dir < 0 ? error_set_errno(err, dir, "open the directory %s", ends[1].path)
                   : archive("_extract", dir, NULL, err);
}

/* What is left to do once the instance's root is open. */
struct job {
    struct cli *cli;
    const struct args *args;
    struct place *ends;
};

static int copy_files(void *opaque)
{
    struct job *job = opaque;
    unsigned flags = args_bool(job->args, "archive") ? TREE_COPY_ARCHIVE : 0;
    struct source s = {.dir = -1};
    struct error err = {0};
    bool stream = strcmp(job->args->words[0], "-") == 0 || strcmp(job->args->words[1], "-") == 0;
    int r = stream ? copy_archive(job->args, job->ends, &err)
                   : open_source(&job->ends[0], args_bool(job->args, "follow-link"), &s, &err);

    if (r == 0 && !stream)
        r = copy_to(&s, &job->ends[1], flags, &err);
    if (r < 0)
        cli_error(job->cli, &err);
    if (s.dir >= 0)
        close(s.dir);
    free(s.name);
    return r < 0 ? EXIT_FAILED : 0;
}

/* Its exit status, or a negative errno. */
static int copy(struct cli *cli, const struct args *args, struct place ends[2], struct error *err)
{
    struct job job = {.cli = cli, .args = args, .ends = ends};
    int r = 0;

    for (int i = 0; r == 0 && i < 2; i++)
        r = parse_place(args->words[i], &ends[i], err);
    if (r == 0 && !ends[0].ref == !ends[1].ref)
        r = error_set(err, -EINVAL,
                      "one of both is in an instance: isola cp INSTANCE:PATH PATH, or the other "
                      "way round");
    for (int i = 0; r == 0 && i < 2; i++)
        if (ends[i].ref)
            r = instance_root(cli->home, ends[i].ref, &ends[i].root, err);
    if (r < 0)
        return r;
    /* A user without rights sees the files as the container does: some belong to ids of theirs. */
    return idmap_run(copy_files, &job, err);
}

int verb_cp(struct cli *cli, struct args *args)
{
    struct place ends[2] = {{.root = -1}, {.root = -1}};
    struct error err = {0};
    int r;

    if (!cli_home(cli))
        return EXIT_FAILED;
    r = copy(cli, args, ends, &err);
    if (r < 0)
        cli_error(cli, &err);
    for (int i = 0; i < 2; i++)
        place_done(&ends[i]);
    return r < 0 ? EXIT_FAILED : r;
}
