/* SPDX-License-Identifier: Apache-2.0 */
/* RUN: what the program is, what it sees, and what becomes of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "build/build_internal.h"
#include "build/execute.h"

enum { FILE_MAX = 1 << 20 };
enum { MOUNTS_MAX = CONTAINERFILE_FLAGS_MAX + 4, SECRET_MAX = 1 << 20 };

#define SCRIPT "/dev/isola-script"

struct run {
    struct build *b;
    struct stage *s;
    const struct instruction *i;
    char **args, **env;
    char *script; /* contents of a here-document that names its interpreter; NULL */
    struct execute_mount mounts[MOUNTS_MAX];
    char *texts[2 * MOUNTS_MAX]; /* what the mounts borrow */
    size_t mount_count, text_count;
    int locks[MOUNTS_MAX];
    size_t lock_count;
    char *private; /* a directory for secrets and copies, removed with the branch */
};

static void run_done(struct run *x)
{
    words_free(x->args);
    words_free(x->env);
    free(x->script);
    for (size_t k = 0; k < x->text_count; k++)
        free(x->texts[k]);
    for (size_t k = 0; k < x->lock_count; k++)
        close(x->locks[k]);
}

static char *own(struct run *x, char *text)
{
    if (text && x->text_count < array_size(x->texts))
        x->texts[x->text_count++] = text;
    return text;
}

static char **single(const char *word)
{
    char **list = mem_alloc(2, sizeof(*list));

    if (list && !(list[0] = strdup(word))) {
        free(list);
        return NULL;
    }
    return list;
}

static char **copy_list(char *const *words)
{
    size_t n = 0;
    char **list;

    while (words[n])
        n++;
    list = mem_alloc(n + 1, sizeof(*list));
    for (size_t k = 0; list && k < n; k++)
        if (!(list[k] = strdup(words[k]))) {
            words_free(list);
            return NULL;
        }
    return list;
}

/* The program: the JSON form, a shell's command line, or here-documents. */
static int make_args(struct run *x, struct error *err)
{
    const struct instruction *i = x->i;
    struct str text = {0};

    if (i->words) {
        if (!i->words[0])
            return error_set(err, -EINVAL, "it wants a program");
        x->args = copy_list(i->words);
    } else if (!i->document_count) {
        x->args = stage_shell(x->s, i->text);
    } else if (i->document_count == 1 && str_starts(i->text, "<<") &&
               !strpbrk(i->text + 2, " \t;|&<>()")) {
        /* Nothing but a here-document: it is the script. */
        const char *script = i->documents[0].text;
        if (str_starts(script, "#!")) {
            x->script = strdup(script);
            x->args = single(SCRIPT);
        } else {
            x->args = stage_shell(x->s, script);
        }
    } else {
        str_addf(&text, "%s\n", i->text);
        for (size_t k = 0; k < i->document_count; k++)
            str_addf(&text, "%s%s\n", i->documents[k].text, i->documents[k].name);
        x->args = stage_shell(x->s, str_text(&text));
        str_done(&text);
    }
    return x->args ? 0 : error_set_errno(err, -ENOMEM, "run");
}

/* --- mounts --- */

static int add_mount(struct run *x, struct execute_mount m, struct error *err)
{
    if (!m.target || m.target[0] != '/' || !m.target[1])
        return error_set(err, -EINVAL, "--mount wants a target below /");
    if (x->mount_count == MOUNTS_MAX)
        return error_set(err, -E2BIG, "too many mounts");
    x->mounts[x->mount_count++] = m;
    return 0;
}

/* The target as the program will see it. */
static char *target_of(struct run *x, const char *text)
{
    static const char *const names[] = {"target", "dst", "destination"};
    struct words_scope scope = stage_scope(x->s);

    for (size_t k = 0; k < array_size(names); k++) {
        cleanup_free char *raw = build_field(text, names[k]);
        cleanup_free char *path = raw ? words_expand(raw, &scope, NULL) : NULL;
        if (path)
            return own(x, stage_path(x->s, path));
    }
    return NULL;
}

static mode_t octal(const char *text, mode_t usual)
{
    char *end;
    unsigned long v = text ? strtoul(text, &end, 8) : 0;

    return text && *text && !*end && v <= 07777 ? (mode_t)v : usual;
}

static uint32_t decimal(const char *text)
{
    uint64_t v;

    return text && str_parse_u64(text, &v) == 0 && v <= INT32_MAX ? (uint32_t)v : 0;
}

static int mount_cache(struct run *x, const char *text, struct error *err)
{
    char *target = target_of(x, text);
    cleanup_free char *id = build_field(text, "id"), *mode = build_field(text, "mode");
    cleanup_free char *uid = build_field(text, "uid"), *gid = build_field(text, "gid");
    cleanup_free char *sharing = build_field(text, "sharing");
    cleanup_free char *parent = str_format("%s/mounts", x->b->dir);
    const char *name = id ? id : target;
    struct digest d;
    char *path;
    int fd;

    if (!target)
        return error_set(err, -EINVAL, "--mount=type=cache wants a target");
    hash_bytes(name, strlen(name), &d);
    path = own(x, str_format("%s/%s", parent, d.text + strlen("sha256:")));
    if (!parent || !path)
        return error_set_errno(err, -ENOMEM, "mount");
    mkdir(parent, 0700);
    if (mkdir(path, 0755) == 0) {
        if (chown(path, decimal(uid), decimal(gid)) < 0 || chmod(path, octal(mode, 0755)) < 0)
            return error_set_errno(err, -errno, "make the cache %s", name);
    } else if (errno != EEXIST) {
        return error_set_errno(err, -errno, "make the cache %s", name);
    }
    if (sharing && strcmp(sharing, "shared") != 0) { /* locked, or private: one at a time */
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) < 0 || x->lock_count == MOUNTS_MAX) {
            if (fd >= 0)
                close(fd);
            return error_set_errno(err, -errno, "lock the cache %s", name);
        }
        x->locks[x->lock_count++] = fd;
    }
    return add_mount(x, (struct execute_mount){.target = target, .source = path}, err);
}

static int mount_tmpfs(struct run *x, const char *text, struct error *err)
{
    cleanup_free char *size = build_field(text, "size");
    uint64_t bytes = 0;

    if (size && str_parse_size(size, 1, &bytes) < 0)
        return error_set(err, -EINVAL, "--mount: bad size");
    return add_mount(x, (struct execute_mount){.target = target_of(x, text), .size = bytes}, err);
}

/* What is bound is a copy: the program may write to it, and nobody sees that. */
static int mount_bind(struct run *x, const char *text, struct error *err)
{
    cleanup_free char *from = build_field(text, "from"), *path = build_field(text, "source");
    struct copy_how how = {.ignore = from ? NULL : x->b->ignore};
    char *target = target_of(x, text), *copy;
    struct build_source source;
    cleanup_fd int dir = -1;
    bool directory, rw = build_field_flag(text, "rw") || build_field_flag(text, "readwrite");
    char clean[4096] = "";
    int r;

    if (!target)
        return error_set(err, -EINVAL, "--mount wants a target");
    if (!path)
        path = build_field(text, "src");
    if (path && !path_clean(path, clean, sizeof(clean)))
        return error_set(err, -EINVAL, "--mount: \"%.100s\" leads outside", path);
    copy = own(x, str_format("%s/%zu", x->private, x->mount_count));
    r = build_source_open(x->b, x->s, from, &source, err);
    if (r < 0)
        return r;
    directory = copy_is_directory(source.fd, clean);
    if (!copy || (directory && mkdir(copy, 0755) < 0))
        r = error_set_errno(err, -errno, "copy what is to be mounted");
    if (r == 0) {
        dir = open(directory ? copy : x->private, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = copy_tree(source.fd, clean, dir, directory ? NULL : strrchr(copy, '/') + 1, &how, err);
    }
    build_source_done(&source);
    if (r < 0)
        return error_wrap(err, r, "--mount");
    return add_mount(x,
                     (struct execute_mount){
                         .target = target, .source = copy, .readonly = !rw, .file = !directory},
                     err);
}

/* Writes a file that only the program's user reads. New text owned by @x; NULL. */
static char *private_file(struct run *x, const char *bytes, size_t n, mode_t mode, uid_t uid,
                          gid_t gid)
{
    char *path = own(x, str_format("%s/%zu", x->private, x->mount_count));
    cleanup_fd int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fchown(fd, uid, gid) < 0 ||
        fchmod(fd, mode) < 0)
        return NULL;
    return path;
}

/* The bytes of the secret called @id. New; NULL with errno. */
static char *read_secret(struct build *b, const char *id, size_t *ret_n)
{
    for (const char *const *t = b->options->secrets; t && *t; t++) {
        cleanup_free char *name = build_field(*t, "id"), *src = build_field(*t, "src");
        cleanup_free char *env = build_field(*t, "env");
        const char *value;
        if (!name || strcmp(name, id) != 0)
            continue;
        if (!src)
            src = build_field(*t, "source");
        if (src)
            return host_read(src, SECRET_MAX, ret_n);
        value = getenv(env ? env : id);
        *ret_n = value ? strlen(value) : 0;
        errno = ENOENT;
        return value ? strdup(value) : NULL;
    }
    errno = ENOENT;
    return NULL;
}

static int mount_secret(struct run *x, const char *text, struct error *err)
{
    cleanup_free char *id = build_field(text, "id"), *mode = build_field(text, "mode");
    cleanup_free char *uid = build_field(text, "uid"), *gid = build_field(text, "gid");
    char *target = target_of(x, text), *bytes, *path;
    size_t n;

    if (!id)
        return error_set(err, -EINVAL, "--mount=type=secret wants an id");
    if (!target)
        target = own(x, str_format("/run/secrets/%s", id));
    bytes = read_secret(x->b, id, &n);
    if (!bytes)
        return build_field_flag(text, "required")
                   ? error_set_errno(err, -errno,
                                     "the secret %s; give it by --secret id=%s,src=...", id, id)
                   : 0;
    path = private_file(x, bytes, n, octal(mode, 0400), decimal(uid), decimal(gid));
    explicit_bzero(bytes, n);
    free(bytes);
    if (!path)
        return error_set_errno(err, -errno, "write the secret %s", id);
    return add_mount(
        x,
        (struct execute_mount){
            .target = target, .source = path, .readonly = true, .secret = true, .file = true},
        err);
}

/* What RUN says goes before what the command line says. */
static enum execute_network network_of(const struct run *x)
{
    const char *said = instruction_flag(x->i, "network");

    if (!said || strcmp(said, "default") == 0)
        said = x->b->options->network;
    if (said && strcmp(said, "none") == 0)
        return EXECUTE_NET_NONE;
    return said && strcmp(said, "host") == 0 ? EXECUTE_NET_HOST : EXECUTE_NET_PRIVATE;
}

/* Whether a name server of @path is on the host's loopback, which a private network lacks. */
static bool asks_loopback(const char *path)
{
    size_t n;
    cleanup_free char *text = host_read(path, FILE_MAX, &n);
    char *rest = text, *line;

    while (rest && (line = strsep(&rest, "\n")))
        if (str_starts(line, "nameserver") &&
            (strstr(line, " 127.") || strstr(line, "\t127.") || strstr(line, "::1")))
            return true;
    return false;
}

/* Where the program finds name servers. */
static const char *name_servers(const struct run *x)
{
    /* What systemd-resolved, which listens on loopback, asks itself. */
    static const char resolved[] = "/run/systemd/resolve/resolv.conf";
    static const char usual[] = "/etc/resolv.conf";

    return geteuid() == 0 && network_of(x) == EXECUTE_NET_PRIVATE && asks_loopback(usual) &&
                   access(resolved, R_OK) == 0
               ? resolved
               : usual;
}

static int make_mounts(struct run *x, struct error *err)
{
    const char *const files[][2] = {{"/etc/resolv.conf", name_servers(x)},
                                    {"/etc/hosts", "/etc/hosts"}};
    const char *text;
    int r = 0;

    for (size_t k = 0; r == 0 && (text = instruction_flag_at(x->i, "mount", k)); k++) {
        cleanup_free char *type = build_field(text, "type");
        const char *t = type ? type : "bind";
        if (strcmp(t, "bind") == 0)
            r = mount_bind(x, text, err);
        else if (strcmp(t, "cache") == 0)
            r = mount_cache(x, text, err);
        else if (strcmp(t, "tmpfs") == 0)
            r = mount_tmpfs(x, text, err);
        else if (strcmp(t, "secret") == 0)
            r = mount_secret(x, text, err);
        else
            r = error_set(err, -ENOTSUP, "--mount=type=%s is not supported", t);
    }
    for (size_t k = 0; r == 0 && k < array_size(files); k++)
        if (access(files[k][1], R_OK) == 0)
            r = add_mount(
                x,
                (struct execute_mount){
                    .target = files[k][0], .source = files[k][1], .readonly = true, .file = true},
                err);
    if (r == 0 && x->script) {
        char *path = private_file(x, x->script, strlen(x->script), 0755, 0, 0);
        r = path ? add_mount(x,
                             (struct execute_mount){
                                 .target = SCRIPT, .source = path, .readonly = true, .file = true},
                             err)
                 : error_set_errno(err, -errno, "write the script");
    }
    return r;
}

/* --- the step --- */

static void add_list(struct stage *s, char *const *list)
{
    for (; *list; list++)
        stage_key_add(s, *list, strlen(*list));
    stage_key_add(s, "", 0);
}

static void add_key(struct run *x)
{
    const struct instruction *i = x->i;
    const char *user = stage_text(x->s, "User"), *dir = stage_text(x->s, "WorkingDir");

    stage_key_add(x->s, "RUN", strlen("RUN"));
    add_list(x->s, x->args);
    add_list(x->s, x->env);
    stage_key_add(x->s, user, strlen(user));
    stage_key_add(x->s, dir, strlen(dir));
    if (x->script)
        stage_key_add(x->s, x->script, strlen(x->script));
    for (size_t f = 0; f < i->flag_count; f++)
        stage_key_add(x->s, i->flags[f].value, strlen(i->flags[f].value));
}

/* Files of the context or of a stage that are bound decide the result, too. */
static int add_bound_files(struct run *x, struct error *err)
{
    const char *text;
    int r = 0;

    for (size_t k = 0; r == 0 && (text = instruction_flag_at(x->i, "mount", k)); k++) {
        cleanup_free char *type = build_field(text, "type"), *from = build_field(text, "from");
        cleanup_free char *path = build_field(text, "source");
        struct copy_how how = {.ignore = from ? NULL : x->b->ignore};
        struct build_source source;
        struct hash *h;
        struct digest d;
        char clean[4096] = "";

        if (type && strcmp(type, "bind") != 0)
            continue;
        if (!path)
            path = build_field(text, "src");
        if (path && !path_clean(path, clean, sizeof(clean)))
            return error_set(err, -EINVAL, "--mount: \"%.100s\" leads outside", path);
        r = build_source_open(x->b, x->s, from, &source, err);
        if (r < 0)
            return r;
        h = hash_new();
        r = h ? copy_hash(source.fd, clean, &how, h, err) : -ENOMEM;
        if (r == 0) {
            hash_get(h, &d);
            stage_key_add(x->s, d.text, strlen(d.text));
        }
        hash_free(h);
        build_source_done(&source);
    }
    return r;
}

static void warn(void *opaque, const char *line)
{
    build_say(opaque, "warning: %s\n", line);
}

static int execute(struct run *x, struct rootfs *rootfs, struct error *err)
{
    const char *dir = stage_text(x->s, "WorkingDir");
    cleanup_free char *state = str_format("%s/state", rootfs->dir);
    struct root_user user;
    char **env = NULL;
    struct execute run = {
        .rootfs = rootfs,
        .state_dir = state,
        .args = (const char *const *)x->args,
        .workdir = *dir ? dir : "/",
        .user = &user,
        .mounts = x->mounts,
        .mount_count = x->mount_count,
        .network = network_of(x),
        .output = x->b->output,
        .warn = warn,
        .opaque = x->b,
    };
    int status = 0, r;

    if (!state || mkdir(state, 0700) < 0)
        return error_set_errno(err, -errno, "make a directory");
    r = rootfs_mount(rootfs, err);
    if (r == 0)
        r = root_user(rootfs->fd, stage_text(x->s, "User"), &user, err);
    rootfs_unmount(rootfs);
    if (r == 0 && !(env = stage_environment(x->s, user.home)))
        r = error_set_errno(err, -ENOMEM, "run");
    run.env = (const char *const *)env;
    if (r == 0)
        r = execute_run(&run, &status, err);
    words_free(env);
    if (r == 0 && status)
        r = error_set(err, -ECHILD, "\"%.200s\" ended with status %d", x->i->text, status);
    return r;
}

static int perform(struct run *x, struct layer *ret, bool *ret_empty, struct error *err)
{
    struct build *b = x->b;
    char **dirs = stage_directories(x->s, b->store);
    struct rootfs rootfs = {.fd = -1};
    cleanup_free char *private = NULL;
    int r = dirs ? rootfs_new(b->work, (const char *const *)dirs, x->s->layer_count, &rootfs, err)
                 : error_set_errno(err, -ENOMEM, "build");

    if (r == 0) {
        private = str_format("%s/private", rootfs.dir);
        x->private = private;
        if (!private || mkdir(private, 0711) < 0)
            r = error_set_errno(err, -errno, "make a directory");
        if (r == 0)
            r = make_mounts(x, err);
        if (r == 0)
            r = execute(x, &rootfs, err);
        if (r == 0)
            r = build_seal(b, x->s, &rootfs, ret, ret_empty, err);
        rootfs_close(&rootfs);
    }
    words_free(dirs);
    if (r == 0)
        build_remember(b, x->s, *ret_empty ? NULL : ret);
    return r;
}

int build_run(struct build *b, struct stage *s, const struct instruction *i, struct error *err)
{
    cleanup_free char *text = str_format("RUN %s", i->text);
    const char *network = instruction_flag(i, "network");
    struct run x = {.b = b, .s = s, .i = i};
    struct layer layer;
    bool empty = false;
    int cached, r = make_args(&x, err);

    if (r == 0 && instruction_flag(i, "device"))
        r = error_set(err, -ENOTSUP, "--device is not supported");
    if (r == 0 && instruction_flag(i, "security") &&
        strcmp(instruction_flag(i, "security"), "sandbox") != 0)
        r = error_set(err, -ENOTSUP, "--security other than sandbox is not supported");
    if (r == 0 && network && strcmp(network, "none") != 0 && strcmp(network, "default") != 0 &&
        strcmp(network, "host") != 0)
        r = error_set(err, -EINVAL, "--network is default, none or host");
    x.env = r == 0 ? stage_environment(s, NULL) : NULL;
    if (r == 0 && !x.env)
        r = error_set_errno(err, -ENOMEM, "run");
    if (r == 0) {
        add_key(&x);
        r = add_bound_files(&x, err);
    }
    if (r == 0) {
        cached = build_cached(b, s, &layer, &empty);
        build_announce(b, i, cached);
        if (!cached)
            r = perform(&x, &layer, &empty, err);
    }
    if (r == 0)
        r = stage_step(s, empty ? NULL : &layer, text ? text : "", err);
    run_done(&x);
    return r;
}
