/* SPDX-License-Identifier: Apache-2.0 */
#include "image/config.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "image/json.h"
#include "image/reference.h"

enum { LIST_MAX = 65536, HISTORY_MAX = 65536 };

static int copy_text(const json_t *o, const char *key, bool optional, char **ret, struct error *err)
{
    const char *text;
    int r = image_json_text(o, key, &text, err);

    if (r < 0)
        return r;
    if (optional && !*text)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int read_labels(const json_t *o, struct image_config *c, struct error *err)
{
    json_t *labels = json_object_get(o, "Labels"), *value;
    size_t n = json_object_size(labels);
    const char *key;

    if (!labels || json_is_null(labels))
        return 0;
    if (!json_is_object(labels))
        return error_set(err, -EINVAL, "\"Labels\" is not an object");
    if (n > LIST_MAX)
        return error_set(err, -E2BIG, "\"Labels\" has %zu entries", n);
    c->labels = mem_alloc(n ? n : 1, sizeof *c->labels);
    if (!c->labels)
        return error_set(err, -ENOMEM, "out of memory");
    json_object_foreach(labels, key, value)
    {
        struct image_label *l = &c->labels[c->label_count++];
        if (!json_is_string(value))
            return error_set(err, -EINVAL, "label \"%s\" is not a string", key);
        l->key = strdup(key);
        l->value = strdup(json_string_value(value));
        if (!l->key || !l->value)
            return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int read_health(const json_t *o, struct image_config *c, struct error *err)
{
    json_t *h = json_object_get(o, "Healthcheck");
    struct image_health *health;
    uint64_t retries = 0;
    int r;

    if (!h || json_is_null(h))
        return 0;
    if (!json_is_object(h))
        return error_set(err, -EINVAL, "\"Healthcheck\" is not an object");
    c->health = health = mem_new(struct image_health);
    if (!health)
        return error_set(err, -ENOMEM, "out of memory");
    r = image_json_list(h, "Test", LIST_MAX, &health->test, err);
    if (r == 0)
        r = image_json_u64(h, "Interval", (uint64_t *)&health->interval, err);
    if (r == 0)
        r = image_json_u64(h, "Timeout", (uint64_t *)&health->timeout, err);
    if (r == 0)
        r = image_json_u64(h, "StartPeriod", (uint64_t *)&health->start_period, err);
    if (r == 0)
        r = image_json_u64(h, "StartInterval", (uint64_t *)&health->start_interval, err);
    if (r == 0)
        r = image_json_u64(h, "Retries", &retries, err);
    if (r == 0 && retries > 1000000)
        r = error_set(err, -EINVAL, "\"Retries\" is too large");
    health->retries = (int)retries;
    return r < 0 ? error_wrap(err, r, "Healthcheck") : 0;
}

static int read_history(const json_t *root, struct image_config *c, struct error *err)
{
    json_t *list = json_object_get(root, "history");
    size_t n = json_array_size(list);
    int r = 0;

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return error_set(err, -EINVAL, "\"history\" is not an array");
    if (n > HISTORY_MAX)
        return error_set(err, -E2BIG, "\"history\" has %zu entries", n);
    c->history = mem_alloc(n ? n : 1, sizeof *c->history);
    if (!c->history)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n && r == 0; i++) {
        json_t *o = json_array_get(list, i);
        struct image_history *h = &c->history[c->history_count++];
        if (!json_is_object(o))
            return error_set(err, -EINVAL, "\"history\"[%zu] is not an object", i);
        h->empty_layer = json_is_true(json_object_get(o, "empty_layer"));
        r = copy_text(o, "created", true, &h->created, err);
        if (r == 0)
            r = copy_text(o, "created_by", true, &h->created_by, err);
        if (r == 0)
            r = copy_text(o, "author", true, &h->author, err);
        if (r == 0)
            r = copy_text(o, "comment", true, &h->comment, err);
    }
    return r;
}

static int read_rootfs(const json_t *root, struct image_config *c, struct error *err)
{
    json_t *rootfs = json_object_get(root, "rootfs");
    const char *type;
    int r;

    if (!json_is_object(rootfs))
        return error_set(err, -EINVAL, "\"rootfs\" is missing");
    r = image_json_text(rootfs, "type", &type, err);
    if (r == 0 && strcmp(type, "layers") != 0)
        r = error_set(err, -EINVAL, "the root file system has type \"%s\"; only layers are known",
                      type);
    if (r == 0)
        r = image_json_list(rootfs, "diff_ids", IMAGE_LAYERS_MAX, &c->diff_ids, err);
    if (r < 0)
        return r;
    c->diff_count = image_strings_count(c->diff_ids);
    for (size_t i = 0; i < c->diff_count; i++) {
        if (!str_starts(c->diff_ids[i], "sha256:") || !image_digest_valid(c->diff_ids[i]))
            return error_set(err, -EINVAL, "diff id \"%.100s\" is not a sha256 digest",
                             c->diff_ids[i]);
    }
    return 0;
}

/* What a container is started with: the member "config". */
static int read_runtime(const json_t *root, struct image_config *c, struct error *err)
{
    json_t *o = json_object_get(root, "config");
    const struct {
        const char *key;
        char ***list;
    } lists[] = {{"Env", &c->env},
                 {"Entrypoint", &c->entrypoint},
                 {"Cmd", &c->cmd},
                 {"Shell", &c->shell},
                 {"OnBuild", &c->onbuild}};
    int r = 0;

    if (json_is_null(o))
        o = NULL;
    if (o && !json_is_object(o))
        return error_set(err, -EINVAL, "\"config\" is not an object");
    for (size_t i = 0; i < array_size(lists) && r == 0; i++)
        r = image_json_list(o, lists[i].key, LIST_MAX, lists[i].list, err);
    if (r == 0)
        r = image_json_keys(o, "Volumes", LIST_MAX, &c->volumes, err);
    if (r == 0)
        r = image_json_keys(o, "ExposedPorts", LIST_MAX, &c->exposed_ports, err);
    if (r == 0)
        r = copy_text(o, "User", false, &c->user, err);
    if (r == 0)
        r = copy_text(o, "WorkingDir", false, &c->workdir, err);
    if (r == 0)
        r = copy_text(o, "StopSignal", false, &c->stop_signal, err);
    if (r == 0 && o)
        r = read_labels(o, c, err);
    if (r == 0 && o)
        r = read_health(o, c, err);
    return r;
}

int image_config_parse(const char *text, size_t len, struct image_config *ret, struct error *err)
{
    struct image_config c = {0};
    json_t *root;
    int r;

    if (len > IMAGE_CONFIG_MAX)
        return error_set(err, -E2BIG, "the configuration has %zu bytes; at most %d are taken", len,
                         IMAGE_CONFIG_MAX);
    root = image_json(text, len, "the configuration", err);
    if (!root)
        return -EINVAL;
    if (!json_is_object(root))
        r = error_set(err, -EINVAL, "the configuration is not a JSON object");
    else
        r = read_runtime(root, &c, err);
    if (r == 0)
        r = copy_text(root, "architecture", false, &c.architecture, err);
    if (r == 0)
        r = copy_text(root, "os", false, &c.os, err);
    if (r == 0)
        r = copy_text(root, "variant", false, &c.variant, err);
    if (r == 0)
        r = copy_text(root, "author", false, &c.author, err);
    if (r == 0)
        r = copy_text(root, "created", false, &c.created, err);
    if (r == 0)
        r = read_rootfs(root, &c, err);
    if (r == 0)
        r = read_history(root, &c, err);
    json_decref(root);
    if (r < 0) {
        image_config_done(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void image_config_done(struct image_config *c)
{
    char **lists[] = {c->env,           c->entrypoint, c->cmd,     c->volumes,
                      c->exposed_ports, c->shell,      c->onbuild, c->diff_ids};
    char *texts[] = {c->user, c->workdir, c->stop_signal, c->architecture,
                     c->os,   c->variant, c->author,      c->created};

    for (size_t i = 0; i < array_size(lists); i++)
        image_strings_free(lists[i]);
    for (size_t i = 0; i < array_size(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < c->label_count; i++) {
        free(c->labels[i].key);
        free(c->labels[i].value);
    }
    free(c->labels);
    for (size_t i = 0; i < c->history_count; i++) {
        free(c->history[i].created);
        free(c->history[i].created_by);
        free(c->history[i].author);
        free(c->history[i].comment);
    }
    free(c->history);
    if (c->health)
        image_strings_free(c->health->test);
    free(c->health);
    *c = (struct image_config){0};
}

/* Other names of an architecture, as people and kernels say them. */
static const char *arch_name(const char *text, size_t n)
{
    static const struct {
        const char *from, *to;
    } names[] = {{"x86_64", "amd64"}, {"x86-64", "amd64"},    {"aarch64", "arm64"},
                 {"i386", "386"},     {"i686", "386"},        {"armv7l", "arm"},
                 {"armhf", "arm"},    {"ppc64el", "ppc64le"}, {"amd64", "amd64"},
                 {"arm64", "arm64"},  {"386", "386"},         {"arm", "arm"},
                 {"s390x", "s390x"},  {"ppc64le", "ppc64le"}, {"riscv64", "riscv64"}};

    for (size_t i = 0; i < array_size(names); i++) {
        if (strlen(names[i].from) == n && strncasecmp(names[i].from, text, n) == 0)
            return names[i].to;
    }
    return NULL;
}

bool image_platform_match(const struct image_config *config, const char *platform)
{
    const char *slash = strchr(platform, '/'), *arch = slash ? slash + 1 : platform, *known;
    size_t n = strcspn(arch, "/");

    if (slash && (strlen(config->os) != (size_t)(slash - platform) ||
                  strncmp(config->os, platform, (size_t)(slash - platform)) != 0))
        return false;
    known = arch_name(arch, n);
    if (known ? strcmp(known, config->architecture) != 0
              : strlen(config->architecture) != n || strncmp(config->architecture, arch, n) != 0)
        return false;
    return !arch[n] || !config->variant[0] || strcmp(arch + n + 1, config->variant) == 0;
}

const char *image_platform_host(void)
{
#if defined(__x86_64__)
    return "linux/amd64";
#elif defined(__aarch64__)
    return "linux/arm64";
#elif defined(__riscv)
    return "linux/riscv64";
#elif defined(__powerpc64__)
    return "linux/ppc64le";
#elif defined(__s390x__)
    return "linux/s390x";
#else
    return "linux/unknown";
#endif
}
