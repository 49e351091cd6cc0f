/* SPDX-License-Identifier: Apache-2.0 */
#include "image/registries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/http.h"

enum { FILE_MAX = 1 << 20, PEM_MAX = 1 << 20 };

/* The files' contents, merged: {"aliases": {...}, "registries": {...}, ...}, all checked. */
struct registries {
    json_t *root;
};

static const struct {
    const char *name;
    unsigned least, most, initial;
} limits[] = {
    {"parallel", 1, 16, 4},
    {"attempts", 1, 20, 5},
    {"connect-seconds", 1, 600, 20},
    {"stall-seconds", 1, 3600, 60},
};

/* --- reading --- */

static int check_text(const json_t *v, const char *what, const char *key, struct error *err)
{
    return json_is_string(v) ? 0 : error_set(err, -EINVAL, "%s: \"%s\" wants a text", what, key);
}

/* "registry.example", "registry.example/team" or "*.example" */
static bool place_valid(const char *text, bool wildcard)
{
    char host[IMAGE_REGISTRY_MAX + 1];
    size_t n = strcspn(text, "/");

    if (wildcard && text[0] == '*' && text[1] == '.')
        return !text[n] && image_registry_valid(text + 2);
    if (n >= sizeof(host))
        return false;
    memcpy(host, text, n);
    host[n] = 0;
    return image_registry_valid(host) && (!text[n] || image_repository_valid(text + n + 1));
}

static int check_registry(const char *place, json_t *entry, const char *what, struct error *err)
{
    const char *key;
    json_t *v, *mirror;
    size_t i;

    if (!place_valid(place, true))
        return error_set(err, -EINVAL, "%s: \"%s\" is not HOST[:PORT][/REPOSITORY] or *.DOMAIN",
                         what, place);
    if (!json_is_object(entry))
        return error_set(err, -EINVAL, "%s: \"%s\" wants an object", what, place);
    json_object_foreach(entry, key, v)
    {
        if (strcmp(key, "insecure") == 0 || strcmp(key, "blocked") == 0) {
            if (!json_is_boolean(v))
                return error_set(err, -EINVAL, "%s: \"%s\" of %s is true or false", what, key,
                                 place);
            if (key[0] == 'i' && strchr(place, '/'))
                return error_set(err, -EINVAL, "%s: \"insecure\" belongs to a host, not to %s",
                                 what, place);
        } else if (strcmp(key, "location") == 0) {
            if (!json_is_string(v) || !place_valid(json_string_value(v), false))
                return error_set(err, -EINVAL, "%s: \"location\" of %s wants HOST[:PORT][/PATH]",
                                 what, place);
        } else if (strcmp(key, "mirrors") == 0 && json_is_array(v)) {
            json_array_foreach(v, i, mirror)
            {
                if (!json_is_string(mirror) || !place_valid(json_string_value(mirror), false))
                    return error_set(err, -EINVAL,
                                     "%s: \"mirrors\" of %s wants texts HOST[:PORT][/PATH]", what,
                                     place);
            }
        } else {
            return error_set(err, -EINVAL,
                             "%s: %s has an unknown or wrong \"%s\"; it takes insecure, blocked, "
                             "location and a list of mirrors",
                             what, place, key);
        }
    }
    return 0;
}

static int check_alias(const char *name, const json_t *v, const char *what, struct error *err)
{
    struct image_reference ref;
    int r = check_text(v, what, name, err);

    if (r < 0)
        return r;
    if (!image_repository_valid(name))
        return error_set(err, -EINVAL, "%s: \"%s\" cannot be an alias", what, name);
    r = image_reference_parse(json_string_value(v), &ref, err);
    if (r < 0)
        return error_wrap(err, r, "%s: alias \"%s\"", what, name);
    if (ref.short_name)
        return error_set(err, -EINVAL, "%s: alias \"%s\" wants a name with its registry", what,
                         name);
    return 0;
}

static int check_limit(const char *key, const json_t *v, const char *what, struct error *err)
{
    for (size_t i = 0; i < array_size(limits); i++) {
        if (strcmp(key, limits[i].name) != 0)
            continue;
        if (!json_is_integer(v) || json_integer_value(v) < limits[i].least ||
            json_integer_value(v) > limits[i].most)
            return error_set(err, -EINVAL, "%s: \"%s\" wants a number from %u to %u", what, key,
                             limits[i].least, limits[i].most);
        return 0;
    }
    return error_set(err, -EINVAL,
                     "%s: unknown \"%s\"; known are registries, aliases, parallel, attempts, "
                     "connect-seconds and stall-seconds",
                     what, key);
}

static int check(json_t *root, const char *what, struct error *err)
{
    const char *key, *name;
    json_t *v, *entry;
    int r = 0;

    if (!json_is_object(root))
        return error_set(err, -EINVAL, "%s: it is no JSON object", what);
    json_object_foreach(root, key, v)
    {
        bool places = strcmp(key, "registries") == 0;
        if (!places && strcmp(key, "aliases") != 0) {
            r = check_limit(key, v, what, err);
        } else if (!json_is_object(v)) {
            r = error_set(err, -EINVAL, "%s: \"%s\" wants an object", what, key);
        } else {
            json_object_foreach(v, name, entry)
            {
                r = places ? check_registry(name, entry, what, err)
                           : check_alias(name, entry, what, err);
                if (r < 0)
                    break;
            }
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Adds a file's text to @reg; its entries replace those there. */
static int add(struct registries *reg, const char *text, size_t n, const char *what,
               struct error *err)
{
    json_error_t e;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e), *v;
    const char *key;
    int r;

    if (!root)
        return error_set(err, -EINVAL, "%s: line %d, column %d: %s", what, e.line, e.column,
                         e.text);
    r = check(root, what, err);
    if (r == 0) {
        json_object_foreach(root, key, v)
        {
            json_t *there = json_object_get(reg->root, key);
            int bad = there && json_is_object(there) ? json_object_update(there, v)
                                                     : json_object_set(reg->root, key, v);
            if (bad)
                r = error_set_errno(err, -ENOMEM, "read %s", what);
        }
    }
    json_decref(root);
    return r;
}

/* Reads a whole file of at most @max bytes. New; NULL with errno. */
static char *slurp(int dir, const char *path, size_t max, size_t *ret_n)
{
    cleanup_fd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;
    size_t n = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
        errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
        return NULL;
    }
    text = malloc((size_t)st.st_size + 1);
    while (text && n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(text);
            return NULL;
        }
        if (!got)
            break;
        n += (size_t)got;
    }
    if (text) {
        text[n] = 0;
        *ret_n = n;
    }
    return text;
}

static int add_file(struct registries *reg, const char *path, bool must_exist, struct error *err)
{
    size_t n;
    char *text = slurp(AT_FDCWD, path, FILE_MAX, &n);
    int r;

    if (!text) {
        if (!must_exist && (errno == ENOENT || errno == ENOTDIR))
            return 0;
        return error_set_errno(err, -errno, "read %s", path);
    }
    r = add(reg, text, n, path, err);
    free(text);
    return r;
}

/* $XDG_CONFIG_HOME/@leaf, or below ~/.config. New; NULL: neither is set. */
static char *config_path(const char *leaf)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (xdg && xdg[0] == '/')
        return str_format("%s/%s", xdg, leaf);
    return home && home[0] == '/' ? str_format("%s/.config/%s", home, leaf) : NULL;
}

static struct registries *make(struct error *err)
{
    struct registries *reg = mem_new(struct registries);

    if (reg && (reg->root = json_object()))
        return reg;
    free(reg);
    error_set_errno(err, -ENOMEM, "read the configuration of registries");
    return NULL;
}

struct registries *registries_parse(const char *text, size_t n, const char *what, struct error *err)
{
    struct registries *reg = make(err);

    if (reg && add(reg, text, n, what, err) < 0) {
        registries_free(reg);
        return NULL;
    }
    return reg;
}

struct registries *registries_load(struct error *err)
{
    struct registries *reg = make(err);
    const char *only = getenv("ISOLA_REGISTRIES");
    cleanup_free char *user = config_path("isola/registries.json");
    int r = reg ? 0 : -ENOMEM;

    if (r == 0 && only && *only) {
        r = add_file(reg, only, true, err);
    } else if (r == 0) {
        r = add_file(reg, "/etc/isola/registries.json", false, err);
        if (r == 0 && user)
            r = add_file(reg, user, false, err);
    }
    if (r == 0)
        return reg;
    registries_free(reg);
    return NULL;
}

void registries_free(struct registries *reg)
{
    if (!reg)
        return;
    json_decref(reg->root);
    free(reg);
}

void registries_get_limits(const struct registries *reg, struct registries_limits *ret)
{
    unsigned v[array_size(limits)];

    for (size_t i = 0; i < array_size(limits); i++) {
        json_t *n = json_object_get(reg->root, limits[i].name);
        v[i] = n ? (unsigned)json_integer_value(n) : limits[i].initial;
    }
    *ret = (struct registries_limits){v[0], v[1], v[2], v[3]};
}

/* --- names --- */

int registries_expand(const struct registries *reg, struct image_reference *ref, struct error *err)
{
    struct image_reference to;
    const char *text;
    int r;

    if (!ref->short_name)
        return 0;
    /* As written: what stands in docker.io/library/ was written without. */
    text = str_starts(ref->repository, "library/") ? ref->repository + strlen("library/")
                                                   : ref->repository;
    text = json_string_value(json_object_get(json_object_get(reg->root, "aliases"), text));
    if (!text)
        return 0;
    r = image_reference_parse(text, &to, err);
    if (r < 0)
        return r;
    /* The user's tag and digest stand before the alias's. */
    if (ref->digest[0] || strcmp(ref->tag, "latest") != 0) {
        memcpy(to.tag, ref->tag, sizeof(to.tag));
        memcpy(to.digest, ref->digest, sizeof(to.digest));
    }
    *ref = to;
    return 0;
}

/* Bytes of @key that match the beginning of @name, at the end of a component; 0: none. */
static size_t matches(const char *key, const char *name)
{
    size_t n = strlen(key), host = strcspn(name, "/");

    if (key[0] == '*') { /* "*.example": a host below it */
        n--;
        return host > n && strncasecmp(name + host - n, key + 1, n) == 0 ? 1 : 0;
    }
    return strncmp(name, key, n) == 0 && (!name[n] || name[n] == '/') ? n : 0;
}

/* The entry whose key is the longest beginning of @name. */
static const json_t *find(const struct registries *reg, const char *name, const char **ret_key)
{
    json_t *all = json_object_get(reg->root, "registries"), *v;
    const json_t *best = NULL;
    const char *key;
    size_t longest = 0;

    json_object_foreach(all, key, v)
    {
        size_t n = matches(key, name);
        if (n > longest) {
            longest = n;
            best = v;
            *ret_key = key;
        }
    }
    return best;
}

static int put_endpoint(struct registry_endpoint *e, const char *place, const char *rest,
                        bool mirror, struct error *err)
{
    size_t n = strcspn(place, "/");
    const char *path = place + n + (place[n] ? 1 : 0);
    int len = snprintf(e->repository, sizeof(e->repository), "%s%s%s", path,
                       *path && *rest ? "/" : "", rest);

    if (len < 0 || (size_t)len >= sizeof(e->repository) || n >= sizeof(e->authority))
        return error_set(err, -EINVAL, "the name at %s becomes longer than 255 bytes", place);
    memcpy(e->authority, place, n);
    e->authority[n] = 0;
    /* Docker Hub's registry has another name than its images. */
    if (strcmp(e->authority, "docker.io") == 0)
        strcpy(e->authority, "registry-1.docker.io");
    e->mirror = mirror;
    return 0;
}

int registries_endpoints(const struct registries *reg, const struct image_reference *ref, bool push,
                         struct registry_endpoint **ret, size_t *ret_count, struct error *err)
{
    cleanup_free char *name = str_format("%s/%s", ref->registry, ref->repository);
    const char *key = "", *location, *rest = name;
    const json_t *entry = name ? find(reg, name, &key) : NULL;
    const json_t *mirrors = json_object_get(entry, "mirrors");
    size_t count = 0, most = 1 + json_array_size(mirrors);
    struct registry_endpoint *list = mem_alloc(most, sizeof(*list));
    int r = 0;

    if (!name || !list) {
        free(list);
        return error_set_errno(err, -ENOMEM, "find a registry");
    }
    if (json_is_true(json_object_get(entry, "blocked"))) {
        free(list);
        return error_set(err, -EPERM, "%s is blocked by registries.json", key);
    }
    if (entry && key[0] != '*')
        rest = name + strlen(key) + (name[strlen(key)] == '/' ? 1 : 0);
    else if (entry)
        rest = ref->repository;
    for (size_t i = 0; !push && r == 0 && i + 1 < most; i++)
        r = put_endpoint(&list[count++], json_string_value(json_array_get(mirrors, i)), rest, true,
                         err);
    location = json_string_value(json_object_get(entry, "location"));
    if (r == 0)
        r = location ? put_endpoint(&list[count++], location, rest, false, err)
                     : put_endpoint(&list[count++], name, "", false, err);
    if (r < 0) {
        free(list);
        return r;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

bool registries_insecure(const struct registries *reg, const char *authority)
{
    size_t n = authority[0] == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":");
    cleanup_free char *host = strndup(authority, n);
    const char *key;

    if (host && http_is_loopback(host))
        return true;
    return json_is_true(json_object_get(find(reg, authority, &key), "insecure"));
}

/* --- certificates --- */

static void add_pem(char **to, int dir, const char *name)
{
    size_t n;
    cleanup_free char *text = slurp(dir, name, PEM_MAX, &n);
    char *both = text ? str_format("%s%s\n", *to ? *to : "", text) : NULL;

    if (both) {
        free(*to);
        *to = both;
    }
}

static bool read_directory(const char *path, struct registry_certificates *ret)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        size_t n = strlen(e->d_name);
        if (n > 4 && strcmp(e->d_name + n - 4, ".crt") == 0) {
            add_pem(&ret->ca_pem, dirfd(d), e->d_name);
        } else if (n > 5 && strcmp(e->d_name + n - 5, ".cert") == 0 && !ret->client_certificate) {
            ret->client_certificate = str_format("%s/%s", path, e->d_name);
            ret->client_key = str_format("%s/%.*s.key", path, (int)(n - 5), e->d_name);
        }
    }
    if (d)
        closedir(d);
    return ret->ca_pem || ret->client_certificate;
}

void registries_certificates(const char *authority, struct registry_certificates *ret)
{
    char *places[] = {config_path("isola/certs.d"), str_format("/etc/isola/certs.d"),
                      config_path("containers/certs.d"), str_format("/etc/containers/certs.d"),
                      str_format("/etc/docker/certs.d")};
    bool found = false;

    memset(ret, 0, sizeof(*ret));
    /* The authority may come from a redirect; it is one component of a path. */
    if (!image_registry_valid(authority))
        found = true;
    for (size_t i = 0; i < array_size(places); i++) {
        cleanup_free char *path = places[i] ? str_format("%s/%s", places[i], authority) : NULL;
        if (path && !found)
            found = read_directory(path, ret);
        free(places[i]);
    }
}
