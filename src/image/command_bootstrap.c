/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image bootstrap: an image of a Debian suite from its packages, by mmdebstrap, where only a
 * package mirror can be reached. The mirrors are those that this computer's own APT uses.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/commands.h"
#include "image/idmap.h"
#include "image/import.h"
#include "image/reference.h"

enum { LINE_WORDS = 3, ARGS_MAX = 64 };

/* What is run, and what it is run with; owned. */
struct arguments {
    char *list[ARGS_MAX + 1];
    size_t count;
    bool failed;
};

static void add(struct arguments *a, char *text)
{
    if (!text || a->count == ARGS_MAX) {
        free(text);
        a->failed = true;
        return;
    }
    a->list[a->count++] = text;
}

static void arguments_done(struct arguments *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->list[i]);
}

static int spawn_reading(char *const argv[], pid_t *ret_pid, int *ret_fd, struct error *err)
{
    posix_spawn_file_actions_t actions;
    int pipe_fds[2], r;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_set_errno(err, -errno, "make a pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    r = -posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (r < 0) {
        close(pipe_fds[0]);
        if (r == -ENOENT)
            return error_set(err, r, "%s is missing; install the package %s", argv[0], argv[0]);
        return error_set_errno(err, r, "run %s", argv[0]);
    }
    *ret_fd = pipe_fds[0];
    return 0;
}

static int wait_child(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return status;
}

/* A line "URI RELEASE COMPONENT" of APT, as an argument for mmdebstrap if it suits. */
static void add_mirror(struct arguments *a, const char *line, const char *suite, bool *own_suite,
                       char **any)
{
    char uri[512], release[128], component[128];
    size_t n = strlen(suite);

    if (sscanf(line, "%511s %127s %127s", uri, release, component) != LINE_WORDS)
        return;
    if (strncmp(release, suite, n) == 0 && (!release[n] || strcmp(release + n, "-updates") == 0 ||
                                            strcmp(release + n, "-security") == 0)) {
        *own_suite = *own_suite || !release[n];
        add(a, str_format("deb %s %s %s", uri, release, component));
    } else if (!*any && strcmp(component, "main") == 0) {
        size_t len = strlen(uri);
        while (len && uri[len - 1] == '/')
            len--;
        if (len > 7 && strncmp(uri + len - 7, "/debian", 7) == 0)
            *any = str_format("deb %s %s main", uri, suite);
    }
}

/* The mirrors of this computer's APT; none: mmdebstrap has its own. */
static void add_mirrors(struct arguments *a, const char *suite)
{
    char *const argv[] = {"apt-get",
                          "indextargets",
                          "--format",
                          "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                          "Created-By: Packages",
                          NULL};
    struct arguments own = {0};
    char line[1024], *any = NULL;
    bool own_suite = false;
    pid_t pid;
    int fd;
    FILE *f;

    if (spawn_reading(argv, &pid, &fd, NULL) < 0)
        return;
    f = fdopen(fd, "r");
    while (f && fgets(line, sizeof line, f))
        add_mirror(&own, line, suite, &own_suite, &any);
    if (f)
        fclose(f);
    (void)wait_child(pid);
    if (own_suite) {
        for (size_t i = 0; i < own.count; i++)
            add(a, strdup(own.list[i]));
    } else if (any) {
        add(a, strdup(any));
    }
    arguments_done(&own);
    free(any);
}

/* The archive as mmdebstrap writes it; its end counts only when mmdebstrap was content. */
struct source {
    pid_t pid;
    int fd;
};

static ssize_t read_source(void *opaque, void *buf, size_t n, struct error *err)
{
    struct source *s = opaque;
    ssize_t got = layer_read_fd(&s->fd, buf, n, err);

    if (got == 0 && s->pid > 0) {
        int status = wait_child(s->pid);
        s->pid = 0;
        if (status)
            return error_set(err, -EIO, "mmdebstrap failed; what it said is above");
    }
    return got;
}

/* Words that end up in mmdebstrap's command line must not be options or shell. */
static bool plain_word(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,+:_~=-";

    return *text && *text != '-' && !text[strspn(text, allowed)];
}

static int make_arguments(struct program *p, const char *suite, struct arguments *a,
                          struct error *err)
{
    const char *variant = program_option(p, "variant"), *mirror = program_option(p, "mirror");
    const char *include;

    add(a, strdup("mmdebstrap"));
    if (program_flag(p, "quiet"))
        add(a, strdup("--quiet"));
    add(a, str_format("--variant=%s", variant ? variant : "minbase"));
    add(a, strdup("--format=tar"));
    for (size_t i = 0; (include = program_list(p, "include", i)); i++) {
        if (!plain_word(include))
            return error_set(err, -EINVAL, "--include \"%s\" is no list of packages", include);
        add(a, str_format("--include=%s", include));
    }
    add(a, strdup(suite));
    add(a, strdup("-"));
    if (mirror)
        add(a, strdup(mirror));
    else
        add_mirrors(a, suite);
    return a->failed ? error_set(err, -E2BIG, "too many arguments for mmdebstrap") : 0;
}

static int bootstrap(struct program *p, struct image_store *store, const char *suite,
                     const char *name, struct digest *id, struct error *err)
{
    static const char *const changes[] = {
        "CMD [\"bash\"]", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        NULL};
    struct arguments a = {0};
    struct source s = {.fd = -1};
    int r = make_arguments(p, suite, &a, err);

    if (r == 0)
        r = spawn_reading(a.list, &s.pid, &s.fd, err);
    arguments_done(&a);
    if (r < 0)
        return r;
    r = image_import(store,
                     &(struct image_import){.read = read_source,
                                            .opaque = &s,
                                            .kind = ENCODE_GZIP,
                                            .changes = changes,
                                            .name = name,
                                            .created_by = "isola image bootstrap"},
                     id, err);
    close(s.fd);
    if (s.pid > 0) {
        kill(s.pid, SIGTERM);
        (void)wait_child(s.pid);
    }
    return r;
}

int command_bootstrap(struct program *p)
{
    const char *name = p->words[0], *suite = program_option(p, "suite");
    struct image_reference ref;
    struct image_store *store;
    struct error err = {0};
    struct digest id;
    int status = command_check_name(p, name);

    if (status)
        return status;
    if (image_reference_parse(name, &ref, &err) < 0)
        return program_error(p, &err);
    if (!suite)
        suite = ref.tag;
    if (!plain_word(suite) || (strcmp(suite, "latest") == 0)) {
        program_complain(p, "say which suite: debian:bookworm, or --suite");
        return PROGRAM_USAGE;
    }
    if (idmap_kind() == IDMAP_SINGLE)
        return program_complain(p, "this user has one id; a root file system has many. Add the "
                                   "user to /etc/subuid and /etc/subgid (and install uidmap), use "
                                   "root, pull an image, or import an archive");
    store = program_store(p);
    if (!store)
        return PROGRAM_FAILED;
    if (bootstrap(p, store, suite, name, &id, &err) < 0)
        return program_error(p, &err);
    puts(id.text);
    return 0;
}
