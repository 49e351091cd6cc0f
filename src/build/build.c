/* SPDX-License-Identifier: Apache-2.0 */
#include "build/build.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "build/build_internal.h"
#include "image/manifest.h"
#include "image/store_internal.h"

static int no_memory(struct error *err)
{
    return error_set_errno(err, -ENOMEM, "build");
}

void build_say(struct build *b, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vdprintf(b->output, format, ap);
    va_end(ap);
}

void build_announce(struct build *b, const struct instruction *i, bool cached)
{
    struct str text = {0};

    str_addf(&text, "%s", instruction_name(i->kind));
    for (size_t f = 0; f < i->flag_count; f++)
        str_addf(&text, " --%s=%s", i->flags[f].name, i->flags[f].value);
    build_say(b, "[%zu/%zu] %s %.300s%s\n", ++b->step, b->steps, str_text(&text), i->text,
              cached ? " (cached)" : "");
    str_done(&text);
}

/* --- fields of "a=1,b=2,c" --- */

static const char *find_field(const char *text, const char *name, size_t *ret_n)
{
    size_t len = strlen(name);

    while (*text) {
        size_t n = strcspn(text, ",");
        if (n >= len && strncmp(text, name, len) == 0 && (n == len || text[len] == '=')) {
            *ret_n = n - len - (n > len);
            return text + len + (n > len);
        }
        text += n + (text[n] == ',');
    }
    return NULL;
}

char *build_field(const char *text, const char *name)
{
    size_t n;
    const char *v = find_field(text, name, &n);

    return v ? strndup(v, n) : NULL;
}

bool build_field_flag(const char *text, const char *name)
{
    size_t n;
    const char *v = find_field(text, name, &n);

    return v && (!n || strncmp(v, "true", 4) == 0 || strncmp(v, "1", 1) == 0);
}

/* --- sources --- */

static struct stage *find_named(struct build *b, size_t before, const char *name)
{
    for (size_t i = before; i-- > 0;)
        if (b->stages[i].name && strcasecmp(b->stages[i].name, name) == 0)
            return &b->stages[i];
    return NULL;
}

/* By name or, as only --from and --target may, by number. */
static struct stage *find_stage(struct build *b, size_t before, const char *name)
{
    struct stage *s = find_named(b, before, name);
    uint64_t n;

    if (s)
        return s;
    return str_parse_u64(name, &n) == 0 && n < before ? &b->stages[n] : NULL;
}

/* Finds the image @name in the store, after bringing it here if that is needed. */
static int find_image(struct build *b, const char *name, const char *platform, struct image **ret,
                      struct error *err)
{
    bool always = b->options->pull;
    int r = always ? -ENOENT : image_find(b->store, name, platform, ret, err);

    if (r == -ENOENT || r == -ENOEXEC) {
        r = b->options->fetch(b->options->opaque, name, platform, always, err);
        if (r == 0)
            r = image_find(b->store, name, platform, ret, err);
    }
    return r;
}

int build_source_open(struct build *b, struct stage *s, const char *from, struct build_source *ret,
                      struct error *err)
{
    struct build_source src = {.fd = b->context, .is_context = true};
    struct stage *stage;
    struct image *image = NULL;
    int r = 0;

    src.rootfs.fd = -1;
    if (!from || !*from) {
        *ret = src;
        return 0;
    }
    src.is_context = false;
    stage = find_stage(b, (size_t)(s - b->stages), from);
    if (!stage) {
        r = find_image(b, from, b->options->platform, &image, err);
        if (r == 0)
            r = stage_from_image(&src.image, b->store, image, err);
        image_free(image);
        stage = &src.image;
    }
    if (r == 0 && !(src.dirs = stage_directories(stage, b->store)))
        r = no_memory(err);
    if (r == 0)
        r = rootfs_new(b->work, (const char *const *)src.dirs, stage->layer_count, &src.rootfs,
                       err);
    src.mounted = r == 0;
    if (r == 0)
        r = rootfs_mount(&src.rootfs, err);
    src.fd = src.rootfs.fd;
    if (r < 0) {
        build_source_done(&src);
        return error_wrap(err, r, "--from=%s", from);
    }
    *ret = src;
    return 0;
}

void build_source_done(struct build_source *src)
{
    if (src->mounted)
        rootfs_close(&src->rootfs);
    words_free(src->dirs);
    stage_done(&src->image);
}

/* --- variables --- */

static const char *global_value(void *opaque, const char *name, size_t n)
{
    struct build *b = opaque;
    cleanup_free char *key = strndup(name, n);

    return key ? json_string_value(json_object_get(b->globals, key)) : NULL;
}

static const char *build_arg(struct build *b, const char *name)
{
    const char *value = json_string_value(json_object_get(b->build_args, name));

    if (value)
        json_object_set_new(b->used_args, name, json_true());
    return value;
}

/* ARG NAME[=default]...: @s NULL before the first FROM. */
static int declare(struct build *b, struct stage *s, const struct instruction *i, struct error *err)
{
    struct words_scope scope =
        s ? stage_scope(s) : (struct words_scope){global_value, b, b->file.escape};
    json_t *to = s ? s->args : b->globals;
    size_t n;
    char **words = words_split(i->text, &scope, &n, err);
    int r = 0;

    for (size_t k = 0; words && r == 0 && k < n; k++) {
        char *equal = strchr(words[k], '=');
        const char *value;
        if (equal)
            *equal = 0;
        if (!words[k][0])
            r = error_set(err, -EINVAL, "ARG wants NAME or NAME=value");
        value = build_arg(b, words[k]);
        if (!value)
            value = equal ? equal + 1 : json_string_value(json_object_get(b->globals, words[k]));
        if (r == 0 && json_object_set_new(to, words[k], value ? json_string(value) : json_null()))
            r = error_set(err, -EINVAL, "ARG is not UTF-8 text");
    }
    words_free(words);
    return words ? r : -EINVAL;
}

static int read_build_args(struct build *b, struct error *err)
{
    for (const char *const *a = b->options->build_args; a && *a; a++) {
        size_t n = strcspn(*a, "=");
        cleanup_free char *name = strndup(*a, n);
        const char *value = (*a)[n] ? *a + n + 1 : name ? getenv(name) : NULL;
        if (!name || !n)
            return error_set(err, -EINVAL, "--build-arg wants NAME=value");
        if (value && json_object_set_new(b->build_args, name, json_string(value)))
            return error_set(err, -EINVAL, "--build-arg %s is not UTF-8 text", name);
    }
    return 0;
}

static int read_platform(struct build *b, struct error *err)
{
    static const char *const prefixes[] = {"BUILD", "TARGET"};
    struct platform p;
    int r = 0;

    for (size_t k = 0; k < array_size(prefixes); k++) {
        struct str text = {0};
        char name[32];
        platform_host(&p);
        if (k && b->options->platform)
            r = platform_parse(b->options->platform, &p, err);
        if (r < 0)
            return error_wrap(err, r, "--platform");
        platform_text(&p, &text);
        snprintf(name, sizeof(name), "%sPLATFORM", prefixes[k]);
        json_object_set_new(b->globals, name, json_string(str_text(&text)));
        snprintf(name, sizeof(name), "%sOS", prefixes[k]);
        json_object_set_new(b->globals, name, json_string(p.os));
        snprintf(name, sizeof(name), "%sARCH", prefixes[k]);
        json_object_set_new(b->globals, name, json_string(p.architecture));
        snprintf(name, sizeof(name), "%sVARIANT", prefixes[k]);
        json_object_set_new(b->globals, name, json_string(p.variant));
        str_done(&text);
    }
    return 0;
}

/* --- stages --- */

static int line_error(struct error *err, int r, const struct instruction *i)
{
    return error_wrap(err, r, "line %u: %s", i->line, instruction_name(i->kind));
}

static int read_from(struct build *b, struct stage *s, struct error *err)
{
    const struct instruction *i = &b->file.list[s->first];
    struct words_scope scope = {global_value, b, b->file.escape};
    size_t n;

    s->file = &b->file;
    s->from_words = words_split(i->text, &scope, &n, err);
    if (!s->from_words)
        return line_error(err, -EINVAL, i);
    if (n == 3 && strcasecmp(s->from_words[1], "AS") == 0)
        s->name = s->from_words[2];
    else if (n != 1)
        return error_set(err, -EINVAL, "line %u: FROM wants IMAGE [AS NAME]", i->line);
    if (!s->from_words[0][0])
        return error_set(err, -EINVAL, "line %u: FROM names no image; is an ARG missing?", i->line);
    return 0;
}

static int make_stages(struct build *b, struct error *err)
{
    int r = 0;

    b->stages = mem_alloc(BUILD_STAGES_MAX, sizeof(*b->stages));
    if (!b->stages)
        return no_memory(err);
    for (size_t k = 0; r == 0 && k < b->file.count; k++) {
        const struct instruction *i = &b->file.list[k];
        if (i->kind == INSTRUCTION_FROM) {
            if (b->stage_count == BUILD_STAGES_MAX)
                return error_set(err, -E2BIG, "more than %d stages", BUILD_STAGES_MAX);
            b->stages[b->stage_count].first = k;
            r = read_from(b, &b->stages[b->stage_count++], err);
        } else if (!b->stage_count) {
            r = declare(b, NULL, i, err);
            if (r < 0)
                return line_error(err, r, i);
        }
        if (r == 0 && b->stage_count)
            b->stages[b->stage_count - 1].end = k + 1;
    }
    return r;
}

/* Calls @fn with each stage that @s needs itself. A stage only needs earlier ones. */
static void each_base(struct build *b, struct stage *s,
                      void (*fn)(struct build *b, struct stage *t))
{
    size_t index = (size_t)(s - b->stages);
    struct stage *t = find_named(b, index, s->from_words[0]);

    if (t)
        fn(b, t);
    for (size_t k = s->first; k < s->end; k++) {
        const struct instruction *i = &b->file.list[k];
        const char *from = instruction_flag(i, "from"), *m;
        if (from && (t = find_stage(b, index, from)))
            fn(b, t);
        for (size_t n = 0; (m = instruction_flag_at(i, "mount", n)); n++) {
            cleanup_free char *name = build_field(m, "from");
            if (name && (t = find_stage(b, index, name)))
                fn(b, t);
        }
    }
}

static void mark(struct build *b, struct stage *s)
{
    if (s->needed)
        return;
    s->needed = true;
    b->steps += s->end - s->first;
    each_base(b, s, mark);
}

static void look(struct build *b, struct stage *s)
{
    b->waiting |= !s->done;
}

bool build_ready(struct build *b, struct stage *s)
{
    b->waiting = false;
    each_base(b, s, look);
    return s->needed && !s->done && !b->waiting;
}

static int begin_stage(struct build *b, struct stage *s, struct error *err)
{
    const struct instruction *i = &b->file.list[s->first];
    size_t index = (size_t)(s - b->stages);
    const char *name = s->from_words[0], *flag = instruction_flag(i, "platform");
    struct words_scope scope = {global_value, b, b->file.escape};
    cleanup_free char *own = flag ? words_expand(flag, &scope, err) : NULL;
    const char *platform = own ? own : b->options->platform;
    struct stage *base = find_named(b, index, name);
    struct image *image = NULL;
    int r;

    if (flag && !own)
        return line_error(err, -EINVAL, i);
    build_announce(b, i, false);
    if (strcmp(name, "scratch") == 0) {
        const char *os = json_string_value(json_object_get(b->globals, "TARGETOS"));
        const char *arch = json_string_value(json_object_get(b->globals, "TARGETARCH"));
        r = stage_from_scratch(s, os, arch, err);
    } else if (base && base->done) {
        r = stage_from_stage(s, base, err);
    } else {
        r = find_image(b, name, platform, &image, err);
        if (r == 0)
            r = stage_from_image(s, b->store, image, err);
        image_free(image);
    }
    return r < 0 ? line_error(err, r, i) : 0;
}

static int perform(struct build *b, struct stage *s, const struct instruction *i, struct error *err)
{
    int r;

    if (i->kind == INSTRUCTION_RUN)
        r = build_run(b, s, i, err);
    else if (i->kind == INSTRUCTION_COPY || i->kind == INSTRUCTION_ADD)
        r = build_copy(b, s, i, err);
    else if (i->kind == INSTRUCTION_WORKDIR)
        r = build_workdir(b, s, i, err);
    else {
        cleanup_free char *text = str_format("%s %s", instruction_name(i->kind), i->text);
        build_announce(b, i, false);
        r = i->kind == INSTRUCTION_ARG ? declare(b, s, i, err) : stage_configure(s, i, err);
        if (r == 0)
            r = text ? stage_step(s, NULL, text, err) : no_memory(err);
    }
    return r < 0 ? line_error(err, r, i) : 0;
}

/* What the base wanted to be done in whatever is built on it. */
static int triggers(struct build *b, struct stage *s, struct error *err)
{
    json_t *list = json_incref(json_object_get(stage_config(s), "OnBuild")), *v;
    size_t i;
    int r = 0;

    json_object_del(stage_config(s), "OnBuild");
    json_array_foreach(list, i, v)
    {
        struct containerfile one;
        const char *text = json_string_value(v);
        if (r < 0 || !text)
            continue;
        r = containerfile_parse_one(text, &one, err);
        if (r == 0) {
            b->steps++;
            r = perform(b, s, &one.list[0], err);
            containerfile_done(&one);
        }
        if (r < 0)
            r = error_wrap(err, r, "ONBUILD of %s", s->from_words[0]);
    }
    json_decref(list);
    return r;
}

int build_stage(struct build *b, struct stage *s, struct error *err)
{
    int r = begin_stage(b, s, err);

    if (r == 0)
        r = triggers(b, s, err);
    for (size_t k = s->first + 1; r == 0 && k < s->end; k++)
        r = perform(b, s, &b->file.list[k], err);
    s->done = r == 0;
    return r;
}

/* --- the result --- */

static int add_labels(struct build *b, struct stage *s, struct error *err)
{
    for (const char *const *l = b->options->labels; l && *l; l++) {
        size_t n = strcspn(*l, "=");
        cleanup_free char *name = strndup(*l, n);
        json_t *labels = json_object_get(stage_config(s), "Labels");
        if (!json_is_object(labels)) {
            labels = json_object();
            json_object_set_new(stage_config(s), "Labels", labels);
        }
        if (!name || !n ||
            json_object_set_new(labels, name, json_string((*l)[n] ? *l + n + 1 : "")))
            return error_set(err, -EINVAL, "--label wants NAME=value");
    }
    return 0;
}

static int commit(struct build *b, struct stage *s, struct digest *ret_id, struct error *err)
{
    cleanup_free char *config = NULL;
    cleanup_free const char **names = NULL;
    cleanup_free struct str *texts = NULL;
    size_t n = 0;
    int r = add_labels(b, s, err);

    while (b->options->tags && b->options->tags[n])
        n++;
    names = mem_alloc(n + 1, sizeof(*names));
    texts = mem_alloc(n + 1, sizeof(*texts));
    config = json_dumps(s->image, JSON_COMPACT);
    if (r == 0 && (!names || !texts || !config))
        r = no_memory(err);
    for (size_t k = 0; r == 0 && k < n; k++) {
        struct image_reference ref;
        r = image_reference_parse(b->options->tags[k], &ref, err);
        if (r == 0) {
            image_reference_text(&ref, &texts[k]);
            names[k] = str_text(&texts[k]);
        }
    }
    if (r == 0) {
        struct image_new image = {.config = config,
                                  .config_len = strlen(config),
                                  .layers = s->layers,
                                  .layer_count = s->layer_count,
                                  .names = names};
        r = image_commit(b->store, &image, ret_id, err);
    }
    for (size_t k = 0; texts && k < n; k++)
        str_done(&texts[k]);
    return r;
}

/* --- the whole --- */

static int read_stdin(struct str *out, struct error *err)
{
    char piece[16384];
    ssize_t n;

    while ((n = read(0, piece, sizeof(piece))) > 0 && out->len <= CONTAINERFILE_MAX)
        str_add_n(out, piece, (size_t)n);
    return n < 0 ? error_set_errno(err, -errno, "read standard input") : 0;
}

static int read_file(struct build *b, struct error *err)
{
    static const char *const usual[] = {"Containerfile", "Dockerfile"};
    const char *file = b->options->file, *name = file;
    cleanup_free char *text = NULL;
    struct str in = {0};
    size_t n = 0;
    int r = 0;

    if (file && strcmp(file, "-") == 0) {
        r = read_stdin(&in, err);
        n = in.len;
        text = in.data ? str_steal(&in) : strdup("");
    } else if (file) {
        text = host_read(file, CONTAINERFILE_MAX, &n);
    } else {
        for (size_t i = 0; !text && i < array_size(usual); i++)
            text = root_read(b->context, name = usual[i], CONTAINERFILE_MAX, &n);
        if (!text && errno == ENOENT)
            return error_set(err, -ENOENT, "there is no Containerfile and no Dockerfile in %s",
                             b->options->context);
    }
    if (r == 0 && !text)
        r = error_set_errno(err, -errno, "read %s", name);
    if (r == 0)
        r = containerfile_parse(text, n, &b->file, err);
    return r < 0 ? error_wrap(err, r, "%s", name) : 0;
}

static int read_ignore(struct build *b, struct error *err)
{
    static const char *const usual[] = {".containerignore", ".dockerignore"};
    cleanup_free char *own = b->options->file && strcmp(b->options->file, "-") != 0
                                 ? str_format("%s.dockerignore", b->options->file)
                                 : NULL;
    size_t n;
    char *text = own ? host_read(own, 1 << 20, &n) : NULL;

    for (size_t i = 0; !text && i < array_size(usual); i++)
        text = root_read(b->context, usual[i], 1 << 20, &n);
    if (!text)
        return 0;
    b->ignore = ignore_parse(text, n, err);
    free(text);
    return b->ignore ? 0 : error_wrap(err, -EINVAL, ".dockerignore");
}

static int make_directories(struct build *b, struct error *err)
{
    cleanup_free char *parent = str_format("%s/../build", image_store_dir(b->store));
    cleanup_free char *lock = NULL;

    if (!parent || (mkdir(parent, 0700) < 0 && errno != EEXIST) ||
        !(b->dir = realpath(parent, NULL)))
        return error_set_errno(err, -errno, "make the directory of builds");
    b->work = str_format("%s/work", b->dir);
    b->cache = str_format("%s/cache", b->dir);
    lock = str_format("%s/lock", b->dir);
    if (!b->work || !b->cache || !lock)
        return no_memory(err);
    b->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* When nobody else builds, what is in work/ is left of one who died. */
    if (b->lock >= 0 && flock(b->lock, LOCK_EX | LOCK_NB) == 0)
        store_remove_tree(AT_FDCWD, b->work);
    if (b->lock < 0 || flock(b->lock, LOCK_SH) < 0 ||
        (mkdir(b->work, 0700) < 0 && errno != EEXIST) ||
        (mkdir(b->cache, 0700) < 0 && errno != EEXIST))
        return error_set_errno(err, -errno, "make the directory of builds");
    return 0;
}

static int begin(struct build *b, struct error *err)
{
    int r;

    b->globals = json_object();
    b->build_args = json_object();
    b->used_args = json_object();
    b->context = open(b->options->context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->context < 0)
        return error_set_errno(err, -errno, "open the context %s", b->options->context);
    r = read_platform(b, err);
    if (r == 0)
        r = read_build_args(b, err);
    if (r == 0)
        r = read_file(b, err);
    if (r == 0)
        r = read_ignore(b, err);
    if (r == 0)
        r = make_stages(b, err);
    return r < 0 ? r : make_directories(b, err);
}

static void end(struct build *b)
{
    for (size_t i = 0; i < b->stage_count; i++)
        stage_done(&b->stages[i]);
    free(b->stages);
    containerfile_done(&b->file);
    ignore_free(b->ignore);
    json_decref(b->globals);
    json_decref(b->build_args);
    json_decref(b->used_args);
    if (b->context >= 0)
        close(b->context);
    if (b->lock >= 0)
        close(b->lock);
    free(b->dir);
    free(b->work);
    free(b->cache);
}

int build_image(struct image_store *store, const struct build_options *options,
                struct digest *ret_id, struct error *err)
{
    struct build b = {
        .options = options, .store = store, .output = options->output, .context = -1, .lock = -1};
    struct stage *target;
    const char *name;
    json_t *v;
    int r = begin(&b, err);

    target = r == 0 ? &b.stages[b.stage_count - 1] : NULL;
    if (r == 0 && options->target && !(target = find_stage(&b, b.stage_count, options->target)))
        r = error_set(err, -EINVAL, "there is no stage \"%.100s\"", options->target);
    if (r == 0)
        mark(&b, target);
    while (r == 0 && !target->done)
        r = build_ready_stages(&b, err);
    if (r == 0)
        r = commit(&b, target, ret_id, err);
    json_object_foreach(b.build_args, name, v)
    {
        if (r == 0 && !json_object_get(b.used_args, name))
            build_say(&b, "warning: no ARG asked for --build-arg %s\n", name);
    }
    end(&b);
    return r;
}
