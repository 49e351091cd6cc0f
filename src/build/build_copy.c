/* SPDX-License-Identifier: Apache-2.0 */
/* COPY, ADD and WORKDIR: steps that this process does itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "build/archive.h"
#include "build/build_internal.h"
#include "build/download.h"

/* COPY with its words expanded. */
struct copy {
    const struct instruction *i;
    char **words; /* sources, then the destination */
    size_t sources;
    char *target;     /* absolute and clean */
    bool into;        /* the target is a directory in any case */
    char **documents; /* expanded contents, NULL where a source is none */
    char **names;     /* what such a file is called */
    int *files;       /* what was downloaded, -1 where a source is none */
    bool *archives;   /* sources that are unpacked */
    struct copy_how how;
    char *chown; /* expanded */
    struct ignore *exclude;
};

static void copy_done(struct copy *c)
{
    for (size_t k = 0; c->documents && k < c->sources; k++)
        free(c->documents[k]);
    for (size_t k = 0; k < c->sources; k++) {
        if (c->files && c->files[k] >= 0)
            close(c->files[k]);
        if (c->names && c->files && c->files[k] >= 0)
            free(c->names[k]);
    }
    free(c->documents);
    free(c->names);
    free(c->files);
    free(c->archives);
    words_free(c->words);
    free(c->target);
    free(c->chown);
    ignore_free(c->exclude);
}

/* The words of either form, each expanded. */
static char **expand_words(struct stage *s, const struct instruction *i, size_t *ret_n,
                           struct error *err)
{
    struct words_scope scope = stage_scope(s);
    size_t n = 0;
    char **list;

    if (!i->words)
        return words_split(i->text, &scope, ret_n, err);
    while (i->words[n])
        n++;
    list = mem_alloc(n + 1, sizeof(*list));
    for (size_t k = 0; list && k < n; k++) {
        list[k] = words_expand(i->words[k], &scope, err);
        if (!list[k]) {
            words_free(list);
            return NULL;
        }
    }
    *ret_n = n;
    return list;
}

/* <<NAME words stand for the here-documents in their order. */
static int take_documents(struct stage *s, struct copy *c, struct error *err)
{
    struct words_scope scope = stage_scope(s);
    size_t next = 0;

    for (size_t k = 0; k < c->sources && c->i->document_count; k++) {
        const struct instruction_document *d = &c->i->documents[next];
        if (next == c->i->document_count || !str_starts(c->words[k], "<<"))
            continue;
        next++;
        c->names[k] = d->name;
        c->documents[k] = d->expand ? words_expand_document(d->text, &scope, err) : strdup(d->text);
        if (!c->documents[k])
            return -EINVAL;
    }
    return 0;
}

static int parse_mode(const char *text, mode_t *ret)
{
    char *end;
    unsigned long v = strtoul(text, &end, 8);

    if (!*text || *end || v > 07777)
        return -EINVAL;
    *ret = (mode_t)v;
    return 0;
}

static int parse(struct build *b, struct stage *s, const struct instruction *i, struct copy *c,
                 struct error *err)
{
    struct words_scope scope = stage_scope(s);
    const char *chown = instruction_flag(i, "chown"), *chmod = instruction_flag(i, "chmod");
    const char *from = instruction_flag(i, "from"), *pattern, *to;
    size_t n = 0;
    int r;

    c->i = i;
    if (instruction_flag(i, "parents") || instruction_flag(i, "keep-git-dir"))
        return error_set(err, -ENOTSUP, "--parents and --keep-git-dir are not supported yet");
    c->words = expand_words(s, i, &n, err);
    if (!c->words)
        return -EINVAL;
    if (n < 2)
        return error_set(err, -EINVAL, "it wants sources and a destination");
    c->sources = n - 1;
    to = c->words[n - 1];
    c->target = stage_path(s, to);
    if (!c->target)
        return error_set(err, -EINVAL, "the path \"%.100s\" is too long", to);
    n = strlen(to);
    c->into = c->sources > 1 || (n && to[n - 1] == '/') || strcmp(to, ".") == 0 ||
              (n > 1 && strcmp(to + n - 2, "/.") == 0);
    c->documents = mem_alloc(c->sources, sizeof(*c->documents));
    c->names = mem_alloc(c->sources, sizeof(*c->names));
    c->files = mem_alloc(c->sources, sizeof(*c->files));
    c->archives = mem_alloc(c->sources, sizeof(*c->archives));
    c->exclude = ignore_parse("", 0, err);
    for (size_t k = 0; c->files && k < c->sources; k++)
        c->files[k] = -1;
    if (!c->documents || !c->names || !c->files || !c->archives || !c->exclude)
        return error_set_errno(err, -ENOMEM, "copy");
    for (size_t k = 0; (pattern = instruction_flag_at(i, "exclude", k)); k++)
        if ((r = ignore_add(c->exclude, pattern, err)) < 0)
            return r;
    c->chown = chown ? words_expand(chown, &scope, err) : NULL;
    if (chown && !c->chown)
        return -EINVAL;
    c->how = (struct copy_how){.owned = chown || !from, /* stages and images keep their owners */
                               .moded = chmod != NULL,
                               .ignore = from ? NULL : b->ignore,
                               .exclude = c->exclude};
    if (chmod) {
        cleanup_free char *mode = words_expand(chmod, &scope, err);
        if (!mode || parse_mode(mode, &c->how.mode) < 0)
            return error_set(err, -EINVAL, "--chmod wants an octal number such as 644");
    }
    return take_documents(s, c, err);
}

/* All that decides the result goes into the stage's key. */
static int add_key(struct stage *s, struct copy *c, int root, struct error *err)
{
    struct hash *h = hash_new();
    struct digest d;
    struct str facts = {0};
    int r = h ? 0 : error_set_errno(err, -ENOMEM, "copy");

    str_addf(&facts, "%s %s %d %s %d %o", instruction_name(c->i->kind), c->target, c->into,
             c->chown ? c->chown : "", c->how.moded, (unsigned)c->how.mode);
    stage_key_add(s, str_text(&facts), facts.len);
    str_done(&facts);
    for (size_t k = 0; r == 0 && k < c->sources; k++) {
        struct copy_sources found = {0};
        if (c->files[k] >= 0)
            continue; /* its digest is in the key already */
        stage_key_add(s, c->archives[k] ? "unpack" : "copy", 4);
        if (c->documents[k]) {
            stage_key_add(s, c->names[k], strlen(c->names[k]));
            stage_key_add(s, c->documents[k], strlen(c->documents[k]));
            continue;
        }
        r = copy_find(root, c->words[k], &c->how, &found, err);
        for (size_t m = 0; r == 0 && m < found.count; m++) {
            const char *slash = strrchr(found.paths[m], '/');
            const char *leaf = slash ? slash + 1 : found.paths[m];
            /* Of a file its name counts, of a directory only what is in it. */
            bool directory = copy_is_directory(root, found.paths[m]);
            hash_add(h, directory ? "d" : "f", 1);
            if (!directory)
                hash_add(h, leaf, strlen(leaf) + 1);
            r = copy_hash(root, found.paths[m], &c->how, h, err);
        }
        copy_sources_done(&found);
    }
    if (r == 0) {
        hash_get(h, &d);
        stage_key_add(s, d.text, strlen(d.text));
    }
    hash_free(h);
    return r;
}

/* --- copying --- */

/* Opens the directory that @path names and, with *name, says what the file in it is called. */
static int open_target(struct copy *c, int root, const char *leaf, bool contents, int *ret_dir,
                       char **ret_name, struct error *err)
{
    bool directory = c->into || contents || copy_is_directory(root, c->target + 1);
    char *slash = strrchr(c->target, '/');
    cleanup_free char *above = strndup(c->target, (size_t)(slash - c->target));
    int r;

    if (!above)
        return error_set_errno(err, -ENOMEM, "copy");
    r = root_mkdirs(root, directory ? c->target : above, c->how.owned ? c->how.uid : 0,
                    c->how.owned ? c->how.gid : 0, ret_dir, err);
    *ret_name = r < 0 ? NULL : strdup(directory ? leaf : slash + 1);
    return r;
}

/* Sends all of @from to @to. */
static int send_file(int from, int to)
{
    char buf[65536];
    ssize_t n = 0;

    if (lseek(from, 0, SEEK_SET) < 0)
        return -errno;
    while ((n = read(from, buf, sizeof(buf))) > 0)
        if (write(to, buf, (size_t)n) != n)
            return errno ? -errno : -EIO;
    return n < 0 ? -errno : 0;
}

/* A here-document, or what was downloaded. */
static int write_file(struct copy *c, size_t k, int root, struct error *err)
{
    cleanup_fd int dir = -1, fd = -1;
    cleanup_free char *name = NULL;
    const char *text = c->documents[k];
    mode_t mode = text ? 0644 : 0600;
    int r = open_target(c, root, c->names[k], false, &dir, &name, err);

    if (r < 0)
        return r;
    unlinkat(dir, name, 0);
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(err, -errno, "write %s", name);
    if (text)
        r = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
    else
        r = send_file(c->files[k], fd);
    if (r == 0 && (fchown(fd, c->how.uid, c->how.gid) < 0 ||
                   fchmod(fd, c->how.moded ? c->how.mode : mode) < 0))
        r = -errno;
    return r < 0 ? error_set_errno(err, r, "write %s", name) : 0;
}

static int unpack_source(struct copy *c, const char *path, int from, int root, struct error *err)
{
    cleanup_fd int fd = root_open(from, path, O_RDONLY);
    cleanup_fd int dir = -1;
    cleanup_free char *name = NULL;
    int r = open_target(c, root, "", true, &dir, &name, err);

    if (r == 0)
        r = archive_unpack(fd, dir, err);
    return r < 0 ? error_wrap(err, r, "%s", path) : 0;
}

static int copy_source(struct copy *c, const char *path, int from, int root, struct error *err)
{
    const char *slash = strrchr(path, '/');
    bool contents = copy_is_directory(from, path);
    cleanup_fd int dir = -1;
    cleanup_free char *name = NULL;
    int r = open_target(c, root, slash ? slash + 1 : path, contents, &dir, &name, err);

    return r < 0 ? r : copy_tree(from, path, dir, contents ? NULL : name, &c->how, err);
}

static int perform(struct copy *c, int from, int root, struct error *err)
{
    struct root_user owner;
    int r = 0;

    if (c->chown) {
        r = root_user(root, c->chown, &owner, err);
        if (r < 0)
            return error_wrap(err, r, "--chown");
        c->how.uid = owner.uid;
        /* "--chown=5" means the group 5, too, as in Docker; a name brings its own group. */
        c->how.gid = strspn(c->chown, "0123456789") == strlen(c->chown) ? owner.uid : owner.gid;
    }
    for (size_t k = 0; r == 0 && k < c->sources; k++) {
        struct copy_sources found = {0};
        if (c->documents[k] || c->files[k] >= 0) {
            r = write_file(c, k, root, err);
            continue;
        }
        r = copy_find(from, c->words[k], &c->how, &found, err);
        if (r == 0 && found.count > 1)
            c->into = true;
        for (size_t m = 0; r == 0 && m < found.count; m++)
            r = c->archives[k] && !copy_is_directory(from, found.paths[m])
                    ? unpack_source(c, found.paths[m], from, root, err)
                    : copy_source(c, found.paths[m], from, root, err);
        copy_sources_done(&found);
    }
    if (r == -EINVAL && c->how.owned && (c->how.uid || c->how.gid))
        return error_set(err, -EPERM,
                         "files cannot be given to %u:%u: this user has no such ids; see "
                         "/etc/subuid and /etc/subgid",
                         (unsigned)c->how.uid, (unsigned)c->how.gid);
    return r;
}

/* Makes the layer by @change, unless the cache has it, and ends the step. */
struct step {
    int (*change)(void *opaque, int root, struct error *err);
    void *opaque;
};

static int run_step(struct build *b, struct stage *s, const struct step *step, struct layer *ret,
                    bool *ret_empty, struct error *err)
{
    char **dirs = stage_directories(s, b->store);
    struct rootfs rootfs = {.fd = -1};
    int r = dirs ? rootfs_new(b->work, (const char *const *)dirs, s->layer_count, &rootfs, err)
                 : error_set_errno(err, -ENOMEM, "build");

    if (r == 0) {
        r = rootfs_mount(&rootfs, err);
        if (r == 0)
            r = step->change(step->opaque, rootfs.fd, err);
        if (r == 0)
            r = build_seal(b, s, &rootfs, ret, ret_empty, err);
        rootfs_close(&rootfs);
    }
    words_free(dirs);
    if (r == 0)
        build_remember(b, s, *ret_empty ? NULL : ret);
    return r;
}

static int finish_step(struct build *b, struct stage *s, const struct instruction *i,
                       const struct step *step, struct error *err)
{
    cleanup_free char *text = str_format("%s %s", instruction_name(i->kind), i->text);
    struct layer layer;
    bool empty = false;
    int cached = build_cached(b, s, &layer, &empty), r = 0;

    build_announce(b, i, cached);
    if (!cached)
        r = run_step(b, s, step, &layer, &empty, err);
    if (r == 0)
        r = stage_step(s, empty ? NULL : &layer, text ? text : "", err);
    return r;
}

struct copy_step {
    struct copy *copy;
    int from;
};

static int change_by_copy(void *opaque, int root, struct error *err)
{
    struct copy_step *x = opaque;

    return perform(x->copy, x->from, root, err);
}

/* Fetches one address of ADD. What came is in the key by its digest. */
static int fetch_source(struct build *b, struct stage *s, struct copy *c, size_t k,
                        struct error *err)
{
    const char *wanted = instruction_flag(c->i, "checksum"), *slash = strrchr(c->target, '/');
    char *path = str_format("%s/download.XXXXXX", b->work);
    struct digest d;
    int r = 0;

    /* The target names the file, unless it is a directory. */
    c->names[k] = c->into || !slash[1] ? download_name(c->words[k], err) : strdup(slash + 1);
    if (!c->names[k] || !path) {
        free(path);
        return -EINVAL;
    }
    c->files[k] = mkostemp(path, O_CLOEXEC);
    if (c->files[k] < 0) {
        r = error_set_errno(err, -errno, "keep what is downloaded");
        free(steal_ptr(&c->names[k]));
    } else {
        unlink(path);
    }
    free(path);
    if (r == 0)
        r = download(c->words[k], c->files[k], &d, err);
    if (r == 0 && wanted && strcmp(wanted, d.text) != 0)
        r = error_set(err, -EBADMSG, "%.200s has digest %s, --checksum wants %.80s", c->words[k],
                      d.text, wanted);
    if (r == 0) {
        stage_key_add(s, c->names[k], strlen(c->names[k]));
        stage_key_add(s, d.text, strlen(d.text));
    }
    return r;
}

/* What ADD does beyond COPY: addresses are fetched, archives of the context unpacked. */
static int prepare_add(struct build *b, struct stage *s, struct copy *c, int root,
                       struct error *err)
{
    const char *unpack = instruction_flag(c->i, "unpack");
    int r = 0;

    for (size_t k = 0; r == 0 && k < c->sources; k++) {
        struct copy_sources found = {0};
        if (c->documents[k])
            continue;
        if (str_starts(c->words[k], "git@") || str_starts(c->words[k], "git://") ||
            str_starts(c->words[k], "ssh://")) {
            r = error_set(err, -ENOTSUP, "repositories are not supported; use RUN git clone");
        } else if (download_is(c->words[k])) {
            r = fetch_source(b, s, c, k, err);
        } else if (!unpack || strcmp(unpack, "false") != 0) {
            r = copy_find(root, c->words[k], &c->how, &found, err);
            for (size_t m = 0; r == 0 && m < found.count; m++) {
                cleanup_fd int fd = copy_is_directory(root, found.paths[m])
                                        ? -1
                                        : root_open(root, found.paths[m], O_RDONLY | O_NONBLOCK);
                c->archives[k] |= fd >= 0 && archive_recognised(fd);
            }
            copy_sources_done(&found);
        }
    }
    return r;
}

int build_copy(struct build *b, struct stage *s, const struct instruction *i, struct error *err)
{
    struct build_source source = {.fd = -1};
    struct copy c = {0};
    struct copy_step x = {.copy = &c};
    struct step step = {change_by_copy, &x};
    int r = parse(b, s, i, &c, err);
    bool opened = false;

    if (r == 0) {
        r = build_source_open(b, s, instruction_flag(i, "from"), &source, err);
        opened = r == 0;
    }
    x.from = source.fd;
    if (r == 0 && i->kind == INSTRUCTION_ADD)
        r = prepare_add(b, s, &c, source.fd, err);
    if (r == 0)
        r = add_key(s, &c, source.fd, err);
    if (r == 0)
        r = finish_step(b, s, i, &step, err);
    if (opened)
        build_source_done(&source);
    copy_done(&c);
    return r;
}

/* --- WORKDIR --- */

static int change_by_mkdir(void *opaque, int root, struct error *err)
{
    return root_mkdirs(root, opaque, 0, 0, NULL, err);
}

int build_workdir(struct build *b, struct stage *s, const struct instruction *i, struct error *err)
{
    cleanup_free char *path = NULL;
    struct step step = {.change = change_by_mkdir};
    int r = stage_configure(s, i, err);

    if (r < 0)
        return r;
    path = strdup(stage_text(s, "WorkingDir"));
    if (!path)
        return error_set_errno(err, -ENOMEM, "build");
    step.opaque = path;
    stage_key_add(s, "WORKDIR", strlen("WORKDIR"));
    stage_key_add(s, path, strlen(path));
    return finish_step(b, s, i, &step, err);
}
