/* SPDX-License-Identifier: Apache-2.0 */
/* pull, push and search. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/command_registry.h"
#include "image/commands.h"

static void notice(void *opaque, const char *line)
{
    struct registry_run *run = opaque;

    if (run->progress)
        progress_notice(run->progress, line);
    else
        fprintf(stderr, "isola: %s\n", line);
}

int registry_run_begin(struct registry_run *run, struct program *p, const char *verb)
{
    struct error err = {0};
    const char *mode = program_option(p, "progress");
    enum progress_mode m = PROGRESS_NONE;

    run->program = p;
    run->settings.authfile = program_option(p, "authfile");
    run->settings.insecure = program_flag(p, "insecure");
    run->settings.cancel = &run->cancel;
    run->settings.notice = notice;
    run->settings.opaque = run;
    if (mode && !program_flag(p, "quiet") && progress_parse_mode(mode, &m, &err) < 0) {
        program_error(p, &err);
        return PROGRAM_USAGE;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return program_complain(p, "libcurl cannot be used");
    run->progress = verb ? progress_new(m, verb) : NULL;
    run->context = registry_context_new(&run->settings, &err);
    if (!run->context) {
        progress_free(run->progress);
        return program_error(p, &err);
    }
    return 0;
}

void registry_run_end(struct registry_run *run)
{
    progress_free(steal_ptr(&run->progress));
    registry_context_free(run->context);
}

int registry_run_name(struct registry_run *run, const char *text, struct image_reference *ret,
                      struct error *err)
{
    int r = image_reference_parse(text, ret, err);

    return r < 0 ? r : registries_expand(registry_context_registries(run->context), ret, err);
}

/* --- push --- */

static int push(struct registry_run *run, const char *source, const char *name, struct error *err)
{
    struct image_store *store = run->program->store;
    struct push_options o = {.progress = run->progress, .cancel = &run->cancel};
    struct image_reference to;
    struct image *image = NULL;
    struct digest digest;
    int r = registry_run_name(run, name, &to, err);

    if (r == 0)
        r = image_find(store, source, NULL, &image, err);
    if (r == 0)
        r = image_push(store, run->context, image, &to, &o, &digest, err);
    progress_free(steal_ptr(&run->progress));
    if (r == 0)
        printf("%s\n", digest.text);
    image_free(image);
    return r;
}

int command_push(struct program *p)
{
    struct registry_run run = {0};
    struct error err = {0};
    int status;

    if (!program_store(p))
        return PROGRAM_FAILED;
    status = registry_run_begin(&run, p, "pushing");
    if (status)
        return status;
    if (push(&run, p->words[0], p->words[p->word_count - 1], &err) < 0)
        status = program_complain(p, "%s: %s", p->words[p->word_count - 1], error_text(&err));
    registry_run_end(&run);
    return status;
}

/* --- search --- */

struct search {
    const char *prefix, *text; /* what is printed before names; what they are to contain */
    size_t found;
};

static void show(void *opaque, const char *name)
{
    struct search *s = opaque;

    if (!strstr(name, s->text))
        return;
    printf("%s%s\n", s->prefix, name);
    s->found++;
}

static int list(struct registry_run *run, struct http *http, const struct registry_endpoint *e,
                const struct image_reference *ref, const char *text, struct error *err)
{
    bool tags = program_flag(run->program, "list-tags");
    const char *limit = program_option(run->program, "limit");
    cleanup_free char *path =
        tags ? str_format("/v2/%s/tags/list", e->repository) : str_format("/v2/_catalog?n=1000");
    cleanup_free char *prefix = tags ? str_format("%s/%s:", ref->registry, ref->repository)
                                     : str_format("%s/", ref->registry);
    struct search s = {.prefix = prefix, .text = tags ? "" : text};
    struct registry *r;
    uint64_t max = 1000;
    int e2;

    if (!path || !prefix)
        return error_set_errno(err, -ENOMEM, "search");
    if (limit)
        (void)!str_parse_u64(limit, &max);
    r = registry_new(run->context, e, ref, "pull", err);
    if (!r)
        return -ENOMEM;
    e2 = registry_list(r, http, path, tags ? "tags" : "repositories", (size_t)max, show, &s, err);
    registry_free(r);
    if (e2 == 0 && !s.found)
        e2 = error_set(err, -ENOENT, "%s has no repository with \"%s\" in its name", ref->registry,
                       text);
    return e2;
}

static int search(struct registry_run *run, const char *what, struct error *err)
{
    struct image_reference ref = {0};
    struct registry_endpoint *endpoints = NULL;
    struct http *http;
    const char *slash = strchr(what, '/'), *text = slash ? slash + 1 : "";
    size_t n = slash ? (size_t)(slash - what) : strlen(what), count;
    bool tags = program_flag(run->program, "list-tags");
    int r;

    if (tags) {
        r = registry_run_name(run, what, &ref, err);
        if (r < 0)
            return r;
    } else {
        if (n > IMAGE_REGISTRY_MAX)
            n = 0;
        memcpy(ref.registry, what, n);
        if (!image_registry_valid(ref.registry) ||
            (!strpbrk(ref.registry, ".:") && strcmp(ref.registry, "localhost") != 0) ||
            strcmp(ref.registry, "docker.io") == 0)
            return error_set(err, -EINVAL,
                             "say which registry, as in localhost:5000/%s; registries have no "
                             "common search, Docker Hub's is https://hub.docker.com/search",
                             slash ? text : what);
    }
    r = registries_endpoints(registry_context_registries(run->context), &ref, true, &endpoints,
                             &count, err);
    if (r < 0)
        return r;
    http = registry_http_new(run->context, err);
    r = http ? list(run, http, endpoints, &ref, text, err) : -ENOMEM;
    http_free(http);
    free(endpoints);
    return r;
}

int command_search(struct program *p)
{
    struct registry_run run = {0};
    struct error err = {0};
    int status = registry_run_begin(&run, p, NULL);

    if (status)
        return status;
    if (search(&run, p->words[0], &err) < 0)
        status = program_error(p, &err);
    registry_run_end(&run);
    return status;
}
